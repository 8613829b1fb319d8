use pipeline::config::testing::{decode, warnings};
use pipeline::testing::conformance::extension;

use super::*;

const FULL: &str =
    "{endpoint: 'localhost:1777', block_profile_fraction: 3, mutex_profile_fraction: 5, save_to_file: x}";

#[tokio::test(start_paused = true)]
async fn it_is_an_extension_like_others() {
    extension::<Factory>(FULL).await;
}

#[test]
fn it_says_that_it_does_nothing() {
    let said = warnings::<Config>(FULL);
    assert!(said.contains("it does nothing and listens nowhere"), "{said}");
    let error = decode::<Config>("endpont: x").unwrap_err();
    assert!(error.contains("did you mean `endpoint`?"), "{error}");
}
