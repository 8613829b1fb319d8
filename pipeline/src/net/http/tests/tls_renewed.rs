//! Certificates that change while connections are open.

use super::tls::{DATA, server, trusting};
use super::*;
use crate::config::{GoDuration, Opaque};
use crate::net::config::{TlsClientConfig, TlsCommon, TlsServerConfig};
use crate::net::tls;

const MINUTE: Duration = Duration::from_secs(60);

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(format!("{DATA}/{name}")).unwrap()
}

/// A world whose files are the test certificates, under `/tls`.
fn world() -> World {
    let world = World::new();
    for name in ["ca.pem", "server.pem", "server.key", "client.pem", "client.key"] {
        world.files.put(format!("/tls/{name}"), pem(name));
    }
    world
}

fn in_memory(common: TlsCommon) -> TlsCommon {
    let moved = |file: String| file.replace(DATA, "/tls");
    TlsCommon {
        ca_file: moved(common.ca_file),
        cert_file: moved(common.cert_file),
        key_file: moved(common.key_file),
        reload_interval: GoDuration::from_secs(60),
        ..common
    }
}

fn renewed_server() -> TlsServerConfig {
    TlsServerConfig { common: in_memory(server().common), ..server() }
}

#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn listen(world: &World, config: &TlsServerConfig) {
    let options =
        ServerOptions { tls: Some(tls::server(config, &world.doors.files).unwrap()), ..ServerOptions::default() };
    let listener = world.doors.net.listen(ADDRESS).await.unwrap();
    let handler = Arc::new(Echo::default());
    tokio::spawn(serve(listener, options, handler, world.tasks.clone(), CancellationToken::new()));
}

fn client(world: &World, common: TlsCommon) -> Client {
    let tls = TlsClientConfig { common, ..TlsClientConfig::default() };
    Client::new(ClientOptions { tls, ..ClientOptions::default() }, &world.context("test")).unwrap()
}

async fn ask(client: &Client) -> Result<u16, String> {
    let request = Request::get(parse_url("https://localhost:4318/").unwrap());
    client.send(request).await.map(|response| response.status.as_u16()).map_err(|error| error.to_string())
}

fn trust() -> TlsCommon {
    in_memory(trusting().common)
}

#[tokio::test(start_paused = true)]
async fn a_servers_new_certificate_is_for_new_connections_and_a_broken_one_for_none() {
    let world = world();
    listen(&world, &renewed_server()).await;
    let open = client(&world, trust());
    assert_eq!(ask(&open).await, Ok(200));
    world.files.put("/tls/server.pem", "garbage");
    tokio::time::advance(MINUTE).await;
    assert_eq!(ask(&client(&world, trust())).await, Ok(200), "what was before holds");
    // A certificate that is for clients only tells that it has been read.
    world.files.put("/tls/server.pem", pem("client.pem"));
    world.files.put("/tls/server.key", pem("client.key"));
    assert_eq!(ask(&client(&world, trust())).await, Ok(200), "not before the interval is over");
    tokio::time::advance(MINUTE).await;
    assert!(ask(&client(&world, trust())).await.unwrap_err().contains("cannot secure"));
    assert_eq!(ask(&open).await, Ok(200), "what is open stays open");
}

#[tokio::test(start_paused = true)]
async fn clients_authorities_are_read_again_where_the_config_wants_it() {
    let world = world();
    world.files.put("/tls/clients.pem", pem("client.pem"));
    let mut config = renewed_server();
    config.common.reload_interval = GoDuration::default();
    config.client_ca_file = "/tls/clients.pem".to_owned();
    config.client_ca_file_reload = true;
    listen(&world, &config).await;
    let known =
        TlsCommon { cert_file: "/tls/client.pem".to_owned(), key_file: "/tls/client.key".to_owned(), ..trust() };
    assert!(ask(&client(&world, known.clone())).await.is_err());
    world.files.put("/tls/clients.pem", pem("ca.pem"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&client(&world, known)).await, Ok(200));
    assert!(ask(&client(&world, trust())).await.is_err(), "without a certificate nobody comes in");
}

#[tokio::test(start_paused = true)]
async fn a_client_reads_its_certificates_again() {
    let world = world();
    let config = TlsServerConfig { client_ca_file: "/tls/ca.pem".to_owned(), ..renewed_server() };
    listen(&world, &config).await;
    // One for servers only is refused.
    world.files.put("/me.pem", pem("server.pem"));
    world.files.put("/me.key", pem("server.key"));
    let me = TlsCommon { cert_file: "/me.pem".to_owned(), key_file: "/me.key".to_owned(), ..trust() };
    let client = client(&world, me);
    assert!(ask(&client).await.is_err());
    world.files.put("/me.pem", pem("client.pem"));
    world.files.put("/me.key", pem("client.key"));
    assert!(ask(&client).await.is_err(), "not before the interval is over");
    tokio::time::advance(MINUTE).await;
    assert_eq!(ask(&client).await, Ok(200));
}

#[tokio::test(start_paused = true)]
async fn certificates_can_stand_in_the_config_and_suites_and_curves_must_meet() {
    let world = world();
    let text = |name: &str| Opaque(String::from_utf8(pem(name)).unwrap());
    let suite = |name: &str| vec![name.to_owned()];
    let common = TlsCommon {
        cert_pem: text("server.pem"),
        key_pem: text("server.key"),
        max_version: "1.2".to_owned(),
        cipher_suites: ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
            .map(str::to_owned)
            .to_vec(),
        curve_preferences: suite("P256"),
        ..TlsCommon::default()
    };
    listen(&world, &TlsServerConfig { common, ..TlsServerConfig::default() }).await;
    let trust = || TlsCommon { ca_pem: text("ca.pem"), ..TlsCommon::default() };
    assert_eq!(ask(&client(&world, trust())).await, Ok(200));
    let other_suite = ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"];
    let other_suite = TlsCommon { cipher_suites: other_suite.map(str::to_owned).to_vec(), ..trust() };
    assert!(ask(&client(&world, other_suite)).await.is_err());
    let same_curve = TlsCommon { curve_preferences: suite("P256"), ..trust() };
    assert_eq!(ask(&client(&world, same_curve)).await, Ok(200));
    let other_curve = TlsCommon { curve_preferences: suite("X25519"), ..trust() };
    assert!(ask(&client(&world, other_curve)).await.is_err());
    // The system's certificates come beside the own ones, not instead of them.
    let both = TlsCommon { include_system_ca_certs_pool: true, ..trust() };
    match Client::new(
        ClientOptions {
            tls: TlsClientConfig { common: both, ..TlsClientConfig::default() },
            ..ClientOptions::default()
        },
        &world.context("test"),
    ) {
        Ok(client) => assert_eq!(ask(&client).await, Ok(200)),
        Err(error) => assert!(error.to_string().contains("the system has no certificates"), "{error}"),
    }
}
