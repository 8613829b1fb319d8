//! The shared blocks as configs write them.

use std::time::Duration;

use super::*;
use crate::config::testing::decode_block;
use crate::net::compress::Coding;

#[test]
fn grpc_endpoints_have_the_collectors_forms() {
    let check = |yaml: &str, expected: Result<&str, &str>| {
        let target = decode_block::<GrpcClientConfig>(yaml).unwrap().target();
        match (target, expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url, expected, "{yaml}"),
            (Err(message), Err(expected)) => assert!(message.contains(expected), "{message}"),
            (found, expected) => panic!("{yaml}: {found:?}, expected {expected:?}"),
        }
    };
    check("endpoint: tempo:4317", Ok("https://tempo:4317/"));
    check("{endpoint: 'tempo:4317', tls: {insecure: true}}", Ok("http://tempo:4317/"));
    check("endpoint: http://tempo:4317", Ok("http://tempo:4317/"));
    check("{endpoint: 'https://tempo:4317', tls: {insecure: true}}", Ok("https://tempo:4317/"));
    check("{endpoint: 'dns:///tempo:4317', tls: {insecure: true}}", Ok("http://tempo:4317/"));
    check("{endpoint: 'dns://8.8.8.8/tempo:4317'}", Ok("https://tempo:4317/"));
    check("endpoint: '[::1]:4317'", Ok("https://[::1]:4317/"));
    check("{}", Err("an endpoint is needed"));
    check("endpoint: tempo", Err("needs a host and a port"));
    check("endpoint: unix:/run/x.sock", Err("unix sockets are not supported"));
    check("endpoint: 'a b:1'", Err("is not host:port"));
}

fn problems(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
}

#[test]
fn what_would_change_who_may_connect_is_refused_by_name() {
    let client = decode_block::<HttpClientConfig>(
        "{endpoint: 'tempo:4318', proxy_url: 'socks5://p', cookies: {enabled: true},
          compression: lz4, headers: {'a b': c}, middlewares: [{id: x}],
          tls: {cert_file: c.pem, min_version: '1.1', curve_preferences: [P521], ca_file: a, ca_pem: b}}",
    )
    .unwrap();
    let found = problems(&client.check("here"));
    for expected in [
        "here.endpoint: tempo:4318 has no scheme",
        "here.proxy_url: a proxy with the scheme",
        "here.cookies.enabled: ",
        "here.compression: lz4 is not available",
        "here.headers.a b: \"a b\" cannot be a header name",
        "here.middlewares.0: there is no extension \"x\"",
        "here.tls: a certificate needs its key",
        "here.tls.ca_pem: give ca_file or ca_pem, not both",
        "here.tls.min_version: TLS \"1.1\" is not available",
        "here.tls.curve_preferences.0: \"P521\" is not available, there are X25519, P256, P384",
    ] {
        assert!(found.iter().any(|p| p.starts_with(expected)), "{expected} not in {found:#?}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");

    let server = decode_block::<HttpServerConfig>(
        "{endpoint: localhost, transport: unix, tls: {client_ca_file_reload: true}, cors: {allowed_origins: ['*', 'https://*.a.*', b], allowed_headers: ['a b']},
          compression_algorithms: ['', gzip, lz4, br]}",
    )
    .unwrap();
    let found = problems(&server.check(""));
    for expected in [
        "cors.allowed_origins.1: \"https://*.a.*\" has more than one *",
        "cors.allowed_origins.2: \"b\" is no origin",
        "cors.allowed_headers.0: \"a b\" cannot be a header name",
    ] {
        assert!(found.iter().any(|p| p.starts_with(expected)), "{expected} not in {found:#?}");
    }
    assert_eq!(found.len(), 7, "{found:#?}");
}

#[test]
fn defaults_and_blocks_are_the_collectors() {
    let client = decode_block::<HttpClientConfig>("{}").unwrap().options();
    assert_eq!((client.keep_alive, client.most_idle, client.idle_timeout), (true, 100, Some(Duration::from_secs(90))));
    let client = decode_block::<HttpClientConfig>(
        "{keepalive: {idle_conn_timeout: 0s, max_idle_conns: 0, max_idle_conns_per_host: 7}, max_conns_per_host: 3}",
    )
    .unwrap()
    .options();
    assert_eq!((client.most_idle, client.idle_timeout), (usize::MAX, None));
    assert_eq!((client.most_idle_per_host, client.most_requests_per_host), (7, 3));
    assert!(!decode_block::<HttpClientConfig>("keepalive: {enabled: false}").unwrap().options().keep_alive);

    let grpc = decode_block::<GrpcClientConfig>("{endpoint: 'a:1', keepalive: }").unwrap().options();
    assert_eq!((grpc.ping_after, grpc.ping_timeout), (Some(Duration::from_secs(10)), Duration::from_secs(10)));
    assert_eq!(decode_block::<GrpcClientConfig>("endpoint: 'a:1'").unwrap().options().ping_after, None);

    let server = decode_block::<HttpServerConfig>("compression_algorithms: ['', zstd]").unwrap();
    assert_eq!(server.most_body_bytes(), 20 << 20);
    assert!(server.takes(None) && server.takes(Some(Coding::Zstd)) && !server.takes(Some(Coding::Gzip)));
    assert_eq!(decode_block::<GrpcServerConfig>("{}").unwrap().most_message_bytes(), 4 << 20);
    assert_eq!(decode_block::<GrpcServerConfig>("max_recv_msg_size_mib: 16").unwrap().most_message_bytes(), 16 << 20);
}

#[test]
fn headers_come_as_a_map_or_a_list() {
    for yaml in ["headers: {x-tenant: a}", "headers: [{name: x-tenant, value: a}]"] {
        let options =
            decode_block::<GrpcClientConfig>(&format!("{{endpoint: 'a:1', authority: b, {yaml}}}")).unwrap().options();
        assert_eq!(options.headers["x-tenant"], "a");
        assert_eq!(options.headers["host"], "b");
    }
}
