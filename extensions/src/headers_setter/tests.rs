use pipeline::config::testing::decode;
use pipeline::net::auth::{on_behalf_of, sender};
use pipeline::testing::World;
use pipeline::testing::conformance::extension;

use super::*;

#[tokio::test(start_paused = true)]
async fn it_is_an_extension_like_others() {
    extension::<Factory>("headers: [{key: X-Scope-OrgID, from_context: tenant}]").await;
}

fn build(world: &World, yaml: &str) -> Result<Arc<dyn ClientAuth>, Error> {
    let built = Factory::build(decode(yaml).unwrap(), world.context("headers_setter"))?;
    Ok(built.client_auth().expect("it signs"))
}

/// What becomes of `a: old` on behalf of a sender.
async fn check(world: &World, yaml: &str, expected: &str) {
    let auth = build(world, &format!("headers: [{{{yaml}}}]")).unwrap();
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let metadata = Metadata {
        headers: pairs(&[("tenant", "acme"), ("twice", "1"), ("twice", "2")]),
        identity: pairs(&[("username", "ada")]),
        ..Metadata::default()
    };
    let mut headers = HeaderMap::from_iter([(HeaderName::from_static("a"), HeaderValue::from_static("old"))]);
    let metadata = Arc::new(metadata);
    let signed = on_behalf_of(Some(&metadata), async { auth.sign(&mut headers, sender().as_deref()).await });
    let said = match signed.await {
        Ok(()) => headers.iter().map(|(k, v)| format!("{k}={}", v.to_str().unwrap())).collect::<Vec<_>>().join(" "),
        Err(error) => error,
    };
    assert_eq!(said, expected, "{yaml}");
}

#[tokio::test(start_paused = true)]
async fn headers_come_from_the_config_from_files_and_from_the_sender() {
    let world = World::new();
    world.files.put("/v", "from file\n");
    check(&world, "key: B, value: new", "a=old b=new").await;
    check(&world, "key: b, value_file: /v", "a=old b=from file").await;
    check(&world, "key: b, from_context: Tenant", "a=old b=acme").await;
    check(&world, "key: b, from_attribute: username", "a=old b=ada").await;
    check(&world, "key: b, from_context: none, default_value: d", "a=old b=d").await;
    check(&world, "key: b, from_attribute: none", "a=old").await;
    let several = "the sender gives several values of twice, which one is meant is not known";
    check(&world, "key: b, from_context: twice", several).await;
    world.files.put("/v", "two\nlines");
    check(&world, "key: b, value_file: /v", "the secret for b has characters that a header cannot have").await;
}

#[tokio::test(start_paused = true)]
async fn actions_look_at_what_is_there() {
    let world = World::new();
    check(&world, "key: a, value: new", "a=new").await;
    check(&world, "action: insert, key: a, value: new", "a=old").await;
    check(&world, "action: insert, key: b, value: new", "a=old b=new").await;
    check(&world, "action: update, key: a, value: new", "a=new").await;
    check(&world, "action: update, key: b, value: new", "a=old").await;
    check(&world, "action: delete, key: a", "").await;
}

#[tokio::test(start_paused = true)]
async fn another_authenticator_can_follow() {
    let world = World::new();
    let bearer = crate::bearertokenauth::Factory::build(decode("token: t").unwrap(), world.context("bearertokenauth"));
    world.extensions.add(pipeline::config::ComponentId::new("bearertokenauth", ""), bearer.unwrap());
    let auth = build(&world, "{headers: [{key: b, value: c}], additional_auth: bearertokenauth}").unwrap();
    let mut headers = HeaderMap::new();
    auth.sign(&mut headers, None).await.unwrap();
    assert_eq!((headers["b"].to_str().unwrap(), headers["authorization"].to_str().unwrap()), ("c", "Bearer t"));
    let missing = build(&world, "{headers: [{key: b, value: c}], additional_auth: basicauth}").err().unwrap();
    assert_eq!(missing.to_string(), "auth: 'basicauth' is not in service.extensions");
}

#[test]
fn what_is_missing_or_too_much_is_said() {
    let wrong = |yaml: &str, expected: &str| {
        let errors = decode::<Config>(yaml).unwrap_err();
        assert!(errors.contains(expected), "{errors}");
    };
    wrong("{}", "needs at least one header");
    wrong("headers: [{value: x}]", "'settings::headers[0]::key': needs the name of a header");
    wrong("headers: [{key: a}]", "needs one of value, value_file, from_context and from_attribute");
    wrong("headers: [{key: a, value: x, from_context: y}]", "needs one of");
    wrong("headers: [{key: a, value: x, action: replace}]", "insert");
}
