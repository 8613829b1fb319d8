//! Proxies and streams, against scripted far sides.

use super::*;
use crate::net::config::{TlsClientConfig, TlsCommon, TlsServerConfig};
use crate::net::tls;

fn through(url: &str) -> ClientOptions {
    ClientOptions { proxies: Proxies::one(url, "").unwrap(), ..ClientOptions::default() }
}

/// Answers the first connection to `proxy:3128` with these bytes, once a whole head has come; gives that head.
async fn proxy(world: &World, answer: &'static str) -> tokio::sync::oneshot::Receiver<(String, BoxStream)> {
    let mut listener = world.doors.net.listen("proxy:3128").await.unwrap();
    let (told, head) = tokio::sync::oneshot::channel();
    world.tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = told.send((String::from_utf8(head).unwrap(), stream));
    });
    head
}

#[tokio::test]
async fn a_proxy_is_told_the_whole_url_and_who_we_are() {
    let world = World::new();
    let asked = proxy(&world, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let client = Client::new(through("http://u:p@proxy:3128"), &world.context("test")).unwrap();
    let response = client.send(Request::get(parse_url("http://far.test:9100/metrics?x=y").unwrap())).await.unwrap();
    assert_eq!(text(&response), "hi");
    let (head, _) = asked.await.unwrap();
    assert!(head.starts_with("GET http://far.test:9100/metrics?x=y HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic dTpw\r\n") && head.contains("host: far.test:9100\r\n"), "{head}");
}

#[tokio::test]
async fn tls_goes_through_a_tunnel() {
    let files = |name: &str| format!("{}/../tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let common = TlsCommon { cert_file: files("server.pem"), key_file: files("server.key"), ..TlsCommon::default() };
    let world = World::new().with_real_files();
    let server = tls::server(&TlsServerConfig { common, ..TlsServerConfig::default() }, &world.doors.files).unwrap();
    let running = start(ServerOptions { tls: Some(server), ..ServerOptions::default() }).await;
    let asked = proxy(&running.world, "HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n").await;
    let tls = TlsClientConfig {
        common: TlsCommon { ca_file: files("ca.pem"), ..TlsCommon::default() },
        ..TlsClientConfig::default()
    };
    let mut options = ClientOptions { tls, ..through("proxy:3128") };
    options.proxies.connect_headers = header("x-team", "llm");
    let client = running.client(options);
    let net = running.world.doors.net.clone();
    running.world.tasks.spawn(async move {
        let (head, mut near) = asked.await.unwrap();
        assert!(
            head.starts_with("CONNECT localhost:4318 HTTP/1.1\r\nhost: localhost:4318\r\nx-team: llm\r\n"),
            "{head}"
        );
        let mut far = net.connect(ADDRESS).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let response = client.send(Request::get(parse_url("https://localhost:4318/").unwrap())).await.unwrap();
    assert!(text(&response).starts_with("GET https://localhost:4318/"), "{}", text(&response));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_answer() {
    let world = World::new();
    let _asked = proxy(&world, "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let client = Client::new(through("http://u:secret@proxy:3128"), &world.context("test")).unwrap();
    let error = client.send(Request::get(parse_url("https://far.test/").unwrap())).await.unwrap_err().to_string();
    let expected = "the proxy proxy:3128 gives no way to far.test:443: it answered CONNECT with";
    assert!(error.contains(expected) && error.contains("403 Forbidden") && !error.contains("secret"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_can_be_read_as_it_comes() {
    let world = World::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
    let asked = proxy(&world, head).await;
    let client = Client::new(ClientOptions::default(), &world.context("test")).unwrap();
    let mut answer = client.open(Request::get(parse_url("http://proxy:3128/watch").unwrap())).await.unwrap();
    assert_eq!((answer.status, answer.next().await.unwrap().unwrap()), (StatusCode::OK, Bytes::from("one")));
    let (_, mut stream) = asked.await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(5), answer.next()).await;
    assert!(waited.is_err(), "nothing more has come");
    stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(answer.next().await.unwrap().unwrap(), "two");
    assert_eq!(answer.next().await.unwrap(), None);
}
