//! Credentials that change while we run, and what stands between, against scripted far sides.

use http::StatusCode;
use pipeline::config::testing::decode_block;
use pipeline::net::config::{TlsCommon, TlsServerConfig};
use pipeline::net::http::{ServerOptions, serve};
use pipeline::net::origin::parse_url;
use pipeline::net::tls;
use pipeline::testing::World;
use tokio::time::advance;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::prometheus::tests::{self as scripted, Far, far};

async fn ask(agent: &Agent, url: &str) -> Result<Response, NoAnswer> {
    let mut request = Request::get(parse_url(url).unwrap());
    request.timeout = Some(Duration::from_secs(10));
    agent.send(request).await
}

fn agent(world: &World, yaml: &str) -> Agent {
    let config: HttpConfig = decode_block(yaml).unwrap_or_else(|error| panic!("{error}"));
    Agent::new(&config, &world.context("prometheus")).unwrap()
}

fn token(name: &str) -> Vec<u8> {
    let body = format!("{{\"access_token\": \"{name}\", \"token_type\": \"bearer\", \"expires_in\": 60}}");
    scripted::http("200 OK\r\ncontent-type: application/json", body)
}

const OAUTH2: &str = "oauth2: {client_id: 'me:1', client_secret_file: /s, token_url: 'http://login/token?x=1', scopes: [a, b], endpoint_params: {audience: m&t}}";

async fn with_login() -> (World, Far, Far, Agent) {
    let world = World::new();
    world.files.put("/s", "p w\n");
    let (login, target) = (far(&world, "login:80").await, far(&world, "target:80").await);
    login.answer(token("one"));
    let agent = agent(&world, OAUTH2);
    (world, login, target, agent)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_once_and_used_until_it_expires() {
    let (_, login, target, agent) = with_login().await;
    for _ in 0..3 {
        ask(&agent, "http://target").await.unwrap();
    }
    let asked = login.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /token?x=1 HTTP/1.1\r\n"), "{}", asked[0]);
    let id = BASE64_STANDARD.encode("me%3A1:p+w");
    assert!(asked[0].contains(&format!("authorization: Basic {id}\r\n")), "{}", asked[0]);
    assert!(asked[0].ends_with("\r\n\r\ngrant_type=client_credentials&scope=a+b&audience=m%26t"), "{}", asked[0]);
    assert!(target.requests().iter().all(|request| request.contains("authorization: Bearer one\r\n")));

    login.answer(token("two"));
    advance(Duration::from_secs(49)).await;
    ask(&agent, "http://target").await.unwrap();
    advance(Duration::from_secs(2)).await;
    ask(&agent, "http://target").await.unwrap();
    let used: Vec<_> = target.requests().iter().map(|request| request.contains("Bearer two\r\n")).collect();
    assert_eq!(used, [false, false, false, false, true], "ten seconds before it expires");
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_and_a_refused_token_ask_anew() {
    let (world, login, target, agent) = with_login().await;
    ask(&agent, "http://target").await.unwrap();
    world.files.put("/s", "other");
    ask(&agent, "http://target").await.unwrap();
    agent.forget_token();
    ask(&agent, "http://target").await.unwrap();
    assert_eq!((login.requests().len(), target.requests().len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn some_want_the_secret_in_the_form() {
    let (_, login, target, agent) = with_login().await;
    login.answer_once(scripted::http("401 Unauthorized", "{\"error\": \"invalid_client\"}"));
    login.answer_once(scripted::http(
        "200 OK\r\ncontent-type: application/x-www-form-urlencoded",
        "access_token=x%2By&expires_in=11",
    ));
    ask(&agent, "http://target").await.unwrap();
    assert!(login.requests()[1].ends_with("&client_id=me%3A1&client_secret=p+w"), "{}", login.requests()[1]);
    assert!(!login.requests()[1].contains("authorization"));
    assert!(target.requests()[0].contains("authorization: Bearer x+y\r\n"));
    advance(Duration::from_secs(6)).await;
    ask(&agent, "http://target").await.unwrap();
    assert_eq!(login.requests().len(), 3, "it is known now");
    assert!(login.requests()[2].contains("client_secret"));
}

#[tokio::test(start_paused = true)]
async fn no_token_is_an_error_without_secrets() {
    let (_, login, target, agent) = with_login().await;
    for (answer, expected) in [
        (scripted::http("403 Forbidden", "p w"), "no token: login/token answered 403 Forbidden"),
        (scripted::http("200 OK", "<html>p w"), "no token: the answer of login/token is not the JSON of one"),
        (
            scripted::http("200 OK", "{\"id_token\": \"p w\"}"),
            "no token: the answer of login/token has no access_token",
        ),
    ] {
        login.answer(answer);
        assert_eq!(ask(&agent, "http://target").await.unwrap_err().to_string(), expected);
    }
    login.answer("");
    let late = ask(&agent, "http://target").await.unwrap_err().to_string();
    assert_eq!(late, "no answer from target:80 within 10s");
    assert_eq!(target.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_go_through_a_proxy_but_for_exceptions() {
    let world = World::new();
    let (proxy, near) = (far(&world, "proxy:3128").await, far(&world, "near:80").await);
    let agent = agent(&world, "{proxy_url: 'http://u:p@proxy:3128', no_proxy: near}");
    ask(&agent, "http://far.test/m").await.unwrap();
    ask(&agent, "http://near/m").await.unwrap();
    assert!(proxy.requests()[0].starts_with("GET http://far.test/m HTTP/1.1\r\n"));
    assert!(proxy.requests()[0].contains("proxy-authorization: Basic dTpw\r\n"));
    assert!(near.requests()[0].starts_with("GET /m HTTP/1.1\r\n"));
}

#[tokio::test(start_paused = true)]
async fn secrets_are_not_taken_along_to_another_host() {
    let world = World::new();
    let (from, to) = (far(&world, "from:80").await, far(&world, "to:80").await);
    from.answer(scripted::http("307 Temporary Redirect\r\nlocation: http://to/m", ""));
    let agent = agent(&world, "{bearer_token: t, http_headers: {X-Key: {secrets: [k]}, X-Team: {values: [llm]}}}");
    ask(&agent, "http://from").await.unwrap();
    assert!(from.requests()[0].contains("authorization: Bearer t\r\n") && from.requests()[0].contains("x-key: k\r\n"));
    assert!(!to.requests()[0].contains("Bearer") && !to.requests()[0].contains("x-key"), "{}", to.requests()[0]);
    assert!(to.requests()[0].contains("x-team: llm\r\n"));
}

#[tokio::test(start_paused = true)]
async fn certificates_are_read_anew_when_they_change() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls");
    let real = |name: &str| std::fs::read(format!("{data}/{name}")).unwrap();
    let world = World::new();
    for name in ["ca.pem", "client.pem", "client.key", "server.pem", "server.key"] {
        world.files.put(format!("/tls/{name}"), real(name));
    }
    let common = TlsCommon {
        cert_file: "/tls/server.pem".to_owned(),
        key_file: "/tls/server.key".to_owned(),
        ..TlsCommon::default()
    };
    let server = TlsServerConfig { common, client_ca_file: "/tls/ca.pem".to_owned(), ..TlsServerConfig::default() };
    let options =
        ServerOptions { tls: Some(tls::server(&server, &world.doors.files).unwrap()), ..ServerOptions::default() };
    let listener = world.doors.net.listen("localhost:4318").await.unwrap();
    world.tasks.spawn(serve(listener, options, Arc::new(Nothing), world.tasks.clone(), CancellationToken::new()));

    world.files.put("/run/ca.pem", real("client.pem"));
    world.files.put("/run/cert.pem", real("client.pem"));
    world.files.put("/run/key.pem", real("client.key"));
    let agent = agent(&world, "tls_config: {ca_file: /run/ca.pem, cert_file: /run/cert.pem, key_file: /run/key.pem}");
    let error = ask(&agent, "https://localhost:4318/").await.unwrap_err().to_string();
    assert!(error.contains("cannot secure the connection"), "{error}");
    world.files.put("/run/ca.pem", real("ca.pem"));
    advance(Duration::from_secs(6)).await;
    assert_eq!(ask(&agent, "https://localhost:4318/").await.unwrap().status, StatusCode::NOT_FOUND);
    world.files.put("/run/key.pem", "half of a k");
    advance(Duration::from_secs(6)).await;
    assert_eq!(ask(&agent, "https://localhost:4318/").await.unwrap().status, StatusCode::NOT_FOUND, "the one before");
}

/// Has nothing, but says so.
struct Nothing;

impl pipeline::net::http::Handler for Nothing {
    fn handle(
        self: Arc<Self>,
        _: http::Request<pipeline::net::http::Incoming>,
        _: Arc<str>,
    ) -> pipeline::component::BoxFuture<'static, http::Response<pipeline::net::body::Chunks>> {
        let mut answer = http::Response::new(pipeline::net::body::Chunks::empty());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        Box::pin(async move { answer })
    }
}
