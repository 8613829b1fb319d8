//! The collector's config and what delivery is told.

use std::time::Duration;

use pipeline::component::Stage;
use pipeline::config::testing::decode;
use pipeline::delivery::{BatchSettings, Sizer};
use pipeline::registry::ProcessorFactory;
use pipeline::testing::context;

use super::{Config, Factory};
use crate::testing::problems;

fn settings(yaml: &str) -> BatchSettings {
    let config = decode::<Config>(yaml).unwrap();
    match Factory::build(config, context("batch")).unwrap() {
        Stage::Batching(settings) => settings,
        _ => panic!("not a front of delivery"),
    }
}

#[test]
fn the_defaults_are_the_collectors() {
    let expected = BatchSettings {
        flush_timeout: Duration::from_millis(200),
        min_size: 8192,
        max_size: 0,
        sizer: Some(Sizer::Items),
        metadata_keys: Vec::new(),
    };
    assert_eq!(settings("{}"), expected);
    assert_eq!(settings(""), expected);
}

#[test]
fn every_key_reaches_delivery() {
    let yaml = "{timeout: 5s, send_batch_size: 10, send_batch_max_size: 20, metadata_keys: [X-Tenant], \
                metadata_cardinality_limit: 5}";
    let expected = BatchSettings {
        flush_timeout: Duration::from_secs(5),
        min_size: 10,
        max_size: 20,
        sizer: Some(Sizer::Items),
        metadata_keys: vec!["x-tenant".to_owned()],
    };
    assert_eq!(settings(yaml), expected);
}

#[test]
fn a_timeout_of_zero_sends_at_once() {
    let settings = settings("timeout: 0s");
    assert_eq!((settings.min_size, settings.flush_timeout), (0, Duration::ZERO));
}

#[test]
fn the_collectors_rules_are_checked() {
    assert_eq!(
        problems::<Config>("{send_batch_size: 100, send_batch_max_size: 99, metadata_keys: [a, '', A]}"),
        [
            "'::send_batch_max_size': is 99, it must be at least send_batch_size (100), or 0 for no limit",
            "'::metadata_keys[1]': is empty, name a request header",
            "'::metadata_keys[2]': names A again; letter case does not matter",
        ]
    );
    assert_eq!(problems::<Config>("{send_batch_max_size: 8191}").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    pipeline::testing::conformance::processor::<Factory>("timeout: 1s").await;
}
