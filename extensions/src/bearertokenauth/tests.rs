use std::time::Duration;

use http::header::AUTHORIZATION;
use pipeline::config::testing::{decode, warnings};
use pipeline::testing::World;
use pipeline::testing::conformance::extension;

use super::*;

#[tokio::test(start_paused = true)]
async fn it_is_an_extension_like_others() {
    extension::<Factory>("token: t0").await;
}

fn build(world: &World, yaml: &str) -> Arc<dyn Extension> {
    Factory::build(decode(yaml).unwrap(), world.context("bearertokenauth")).unwrap()
}

async fn comes_in(extension: &Arc<dyn Extension>, header: &str, value: &str) -> Result<Identity, Denied> {
    let headers = HeaderMap::from_iter([(HeaderName::try_from(header).unwrap(), value.parse().unwrap())]);
    extension.clone().server_auth().unwrap().check(&headers).await
}

async fn signed(extension: &Arc<dyn Extension>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    extension.clone().client_auth().unwrap().sign(&mut headers, None).await.map(|()| headers)
}

#[tokio::test(start_paused = true)]
async fn who_shows_one_of_the_tokens_comes_in() {
    let server = build(&World::new(), "tokens: [t1, t2]");
    assert_eq!(comes_in(&server, "authorization", "Bearer t1").await, Ok(vec![]));
    assert_eq!(comes_in(&server, "authorization", "Bearer t2").await, Ok(vec![]));
    let wrong = Err(Denied::Unknown("scheme or token does not match"));
    for value in ["Bearer t3", "Bearer t", "Bearer t1t2", "t1", "Basic t1"] {
        assert_eq!(comes_in(&server, "authorization", value).await, wrong, "{value}");
    }
    let missing = Err(Denied::Unknown("missing or empty authorization header"));
    assert_eq!(comes_in(&server, "authorization", "").await, missing);
    assert_eq!(comes_in(&server, "x-key", "Bearer t1").await, missing);
    assert_eq!(signed(&server).await.unwrap()[AUTHORIZATION], "Bearer t1");

    let other = build(&World::new(), "{header: X-Key, scheme: '', token: t1}");
    assert_eq!(comes_in(&other, "x-key", "t1").await, Ok(vec![]));
    assert_eq!(signed(&other).await.unwrap()["x-key"], "t1");
    assert!(signed(&other).await.unwrap()["x-key"].is_sensitive());
}

#[tokio::test(start_paused = true)]
async fn a_file_of_tokens_is_read_again() {
    let world = World::new();
    world.files.put("/t", "old\n\nolder\n");
    let both = build(&world, "filename: /t");
    both.start().await.unwrap();
    assert!(comes_in(&both, "authorization", "Bearer older").await.is_ok());
    world.files.put("/t", "new");
    assert_eq!(signed(&both).await.unwrap()[AUTHORIZATION], "Bearer old", "not within a second");
    assert!(both.clone().client_auth().unwrap().refused());
    assert_eq!(signed(&both).await.unwrap()[AUTHORIZATION], "Bearer new", "but at once where the old was refused");
    assert!(comes_in(&both, "authorization", "Bearer older").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_there_keeps_from_starting_or_is_waited_for() {
    let world = World::new();
    assert!(build(&world, "filename: /t").start().await.unwrap_err().to_string().starts_with("cannot read /t: "));
    let patient = build(&world, "{filename: /t, wait_for_token_file: true}");
    patient.start().await.unwrap();
    assert!(comes_in(&patient, "authorization", "Bearer t").await.is_err());
    assert!(signed(&patient).await.unwrap_err().starts_with("cannot read /t"));
    world.files.put("/t", "t");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(comes_in(&patient, "authorization", "Bearer t").await.is_ok());
}

#[test]
fn what_does_not_go_together_is_said() {
    let wrong = |yaml: &str, expected: &str| {
        let errors = decode::<Config>(yaml).unwrap_err();
        assert!(errors.contains(expected), "{errors}");
        assert!(!errors.contains("s3cr3t"), "{errors}");
    };
    wrong("{}", "needs a token, tokens or a filename");
    wrong("{token: s3cr3t, tokens: [a]}", "give token or tokens, not both");
    wrong("{header: 'a b', token: t}", "\"a b\" cannot be a header name");
    wrong("{token: \"s3cr3t\\n\"}", "characters that a header cannot have");
    assert!(warnings::<Config>("{token: s3cr3t, filename: /t}").contains("the tokens beside it are not"));
}
