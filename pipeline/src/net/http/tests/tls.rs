//! TLS between our client and our server.

use super::*;
use crate::net::config::{TlsClientConfig, TlsCommon, TlsServerConfig};
use crate::net::tls;

pub(super) const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls");

fn file(name: &str) -> String {
    format!("{DATA}/{name}")
}

fn identity(name: &str) -> TlsCommon {
    TlsCommon {
        cert_file: file(&format!("{name}.pem")),
        key_file: file(&format!("{name}.key")),
        ..TlsCommon::default()
    }
}

async fn check(server: TlsServerConfig, client: TlsClientConfig, host: &str, expected: Result<&str, &str>) {
    let world = World::new().with_real_files();
    let tls = tls::server(&server, &world.doors.files).unwrap();
    let running = start(ServerOptions { tls: Some(tls), ..ServerOptions::default() }).await;
    let client = running.client(ClientOptions { tls: client, ..ClientOptions::default() });
    let request = Request::get(parse_url(&format!("https://{host}:4318/")).unwrap());
    match (client.send(request).await, expected) {
        (Ok(response), Ok(words)) => assert!(text(&response).contains(words), "{}", text(&response)),
        (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
        (got, expected) => panic!("{got:?}, expected {expected:?}"),
    }
}

pub(super) fn server() -> TlsServerConfig {
    TlsServerConfig { common: identity("server"), ..TlsServerConfig::default() }
}

pub(super) fn trusting() -> TlsClientConfig {
    TlsClientConfig {
        common: TlsCommon { ca_file: file("ca.pem"), ..TlsCommon::default() },
        ..TlsClientConfig::default()
    }
}

#[tokio::test]
async fn a_known_authority_is_trusted_and_http2_is_chosen() {
    check(server(), trusting(), "127.0.0.1", Ok("HTTP/2.0")).await;
    check(server(), trusting(), "localhost", Ok("HTTP/2.0")).await;
}

#[tokio::test]
async fn strangers_and_wrong_names_are_refused() {
    let stranger = TlsClientConfig { common: identity("server"), ..TlsClientConfig::default() };
    let mut stranger =
        TlsClientConfig { common: TlsCommon { ca_file: file("client.pem"), ..stranger.common }, ..stranger };
    check(server(), stranger.clone(), "localhost", Err("cannot secure the connection to localhost:4318")).await;
    stranger.insecure_skip_verify = true;
    check(server(), stranger, "localhost", Ok("GET")).await;

    let misnamed = TlsClientConfig { server_name_override: "elsewhere.test".to_owned(), ..trusting() };
    check(server(), misnamed, "localhost", Err("not valid for name")).await;
    let named = TlsClientConfig { server_name_override: "collector.test".to_owned(), ..trusting() };
    check(server(), named, "localhost", Ok("GET")).await;
}

#[tokio::test]
async fn a_server_with_a_client_authority_wants_certificates() {
    let closed = TlsServerConfig { client_ca_file: file("ca.pem"), ..server() };
    let mut known = trusting();
    (known.common.cert_file, known.common.key_file) = (file("client.pem"), file("client.key"));
    check(closed.clone(), known, "localhost", Ok("GET")).await;
    check(closed, trusting(), "localhost", Err("localhost:4318")).await;
}

#[tokio::test]
async fn versions_are_kept_apart() {
    let mut old = server();
    old.common.max_version = "1.2".to_owned();
    let mut new = trusting();
    new.common.min_version = "1.3".to_owned();
    check(old.clone(), new, "localhost", Err("cannot secure")).await;
    check(old, trusting(), "localhost", Ok("GET")).await;
}

#[test]
fn missing_and_wrong_files_are_named() {
    let files = World::new().with_real_files().doors.files;
    let mut common = identity("server");
    common.key_file = file("ca.pem");
    let wrong = tls::server(&TlsServerConfig { common, ..TlsServerConfig::default() }, &files).unwrap_err();
    assert!(wrong.to_string().contains("ca.pem has no private key in it"), "{wrong}");
    let mut missing = trusting();
    missing.common.ca_file = file("nowhere.pem");
    let missing = tls::client(&missing, &*files, tls::Offer::Both).unwrap_err();
    assert!(missing.to_string().contains("nowhere.pem: No such file"), "{missing}");
}
