use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use pipeline::config::testing::decode;
use pipeline::net::auth::{Denied, Identity};
use pipeline::testing::World;
use pipeline::testing::conformance::extension;

use super::*;

const INLINE: &str =
    "{htpasswd: {inline: \"ada:$$2y$$05$$abcdefghijklmnopqrstuugwV8qBBvnFAgKU/1lAQTjzoU4mNz2BW\\nbob:b0b\"}}";

#[tokio::test(start_paused = true)]
async fn both_sides_are_extensions_like_others() {
    extension::<Factory>(INLINE).await;
    extension::<Factory>("client_auth: {username: ada, password: x}").await;
}

fn build(world: &World, yaml: &str) -> Arc<dyn Extension> {
    Factory::build(decode(yaml).unwrap(), world.context("basicauth")).unwrap()
}

fn shown(user: &str, password: &str) -> HeaderMap {
    let value = format!("bAsIc {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
}

async fn ask(extension: &Arc<dyn Extension>, headers: &HeaderMap) -> Result<Identity, Denied> {
    extension.clone().server_auth().unwrap().check(headers).await
}

#[tokio::test(start_paused = true)]
async fn who_is_in_the_htpasswd_comes_in_and_nobody_else() {
    let server = build(&World::new(), INLINE);
    let is = |user: &str| Ok(vec![("username".to_owned(), user.to_owned())]);
    let wrong = Err(Denied::Unknown("invalid credentials"));
    for _ in 0..2 {
        assert_eq!(ask(&server, &shown("ada", "myPassword")).await, is("ada"));
        assert_eq!(ask(&server, &shown("ada", "myPasswort")).await, wrong);
        assert_eq!(ask(&server, &shown("bob", "b0b")).await, is("bob"));
        assert_eq!(ask(&server, &shown("bob", "myPassword")).await, wrong);
        assert_eq!(ask(&server, &shown("eve", "myPassword")).await, wrong);
    }
    assert_eq!(ask(&server, &HeaderMap::new()).await, Err(Denied::Unknown("no basic auth provided")));
    for garbage in ["Basic", "Basic !!", "Basic YWRh", "Bearer YWRhOng=", "\u{e9}"] {
        let headers =
            HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_bytes(garbage.as_bytes()).unwrap())]);
        assert_eq!(ask(&server, &headers).await, wrong, "{garbage}");
    }
    assert!(server.client_auth().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_and_a_password_that_was_right_is_not_for_ever() {
    let world = World::new();
    world.files.put("/users", "ada:$2y$05$abcdefghijklmnopqrstuugwV8qBBvnFAgKU/1lAQTjzoU4mNz2BW\n");
    let server = build(&world, "htpasswd: {file: /users, inline: 'bob:b0b'}");
    server.start().await.unwrap();
    assert!(ask(&server, &shown("ada", "myPassword")).await.is_ok());
    assert!(ask(&server, &shown("bob", "b0b")).await.is_ok());
    world.files.put("/users", "ada:$apr1$abcdefgh$G8IsPsylW5ROvIKsQMRG61");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(ask(&server, &shown("ada", "myPassword")).await.is_err());
    assert!(ask(&server, &shown("ada", "a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_client_shows_what_its_files_hold_now() {
    let world = World::new();
    world.files.put("/user", "ada\n");
    let client = build(&world, "client_auth: {username: eve, username_file: /user, password: 's:1'}");
    client.start().await.unwrap();
    let auth = client.clone().client_auth().unwrap();
    let mut headers = HeaderMap::new();
    auth.sign(&mut headers, None).await.unwrap();
    assert_eq!(headers[AUTHORIZATION], format!("Basic {}", BASE64_STANDARD.encode("ada:s:1")));
    assert!(headers[AUTHORIZATION].is_sensitive());
    world.files.rm("/user");
    let error = auth.sign(&mut headers, None).await.unwrap_err();
    assert!(error.starts_with("cannot read /user: "), "{error}");
    assert!(client.server_auth().is_none());
    let missing = build(&world, "client_auth: {username_file: /user}");
    assert!(missing.start().await.is_err());
}

#[test]
fn any_bytes_are_read_or_not() {
    let seeds: [&[u8]; 4] = [
        b"Basic YWRhOnBhNTV3b3Jk",
        b"# all\nada:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\nbob:b0b\n",
        b"ada:$2y$05$abcdefghijklmnopqrstuugwV8qBBvnFAgKU/1lAQTjzoU4mNz2BW",
        b"ada:$apr1$abcdefgh$G8IsPsylW5ROvIKsQMRG61\nb:{SSHA}",
    ];
    for seed in seeds {
        for at in 0..seed.len() {
            for byte in [0, b':', b'$', b'{', b'=', b'\n', 0xc3, seed[at] ^ 1] {
                let mut changed = seed.to_vec();
                changed[at] = byte;
                for bytes in [&changed[..], &seed[..at], &changed[at..]] {
                    fuzz::header(bytes);
                    fuzz::htpasswd(bytes);
                }
            }
        }
    }
}

#[test]
fn what_does_not_go_together_is_said() {
    let wrong = |yaml: &str, expected: &str| {
        let errors = decode::<Config>(yaml).unwrap_err();
        assert!(errors.contains(expected), "{errors}");
        assert!(!errors.contains("s3cr3t"), "{errors}");
    };
    wrong("{}", "needs htpasswd, to let clients in, or client_auth");
    wrong("{htpasswd: {inline: 'a:b'}, client_auth: {username: a}}", "an extension of its own");
    wrong("htpasswd: {}", "needs a file");
    wrong("htpasswd: {inline: s3cr3t}", "line 1: it has no user:hash");
    wrong("client_auth: {password: s3cr3t}", "needs a username or a username_file");
}
