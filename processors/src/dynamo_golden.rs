//! Dynamo's own label injection and prefix filters against `dynamo_labels` and `filter`: what Dynamo made of each
//! recorded exposition, these make of its scrape.

use std::fs;
use std::path::PathBuf;

use pipeline::Signal;
use serde_json::{Map, Value, json};

use crate::testing::exposition::{samples, samples_of_text, scrape};
use crate::testing::{problems, processor};
use crate::{dynamo_labels, filter};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/dynamo-1.6.1/label_injection"))
}

fn read(name: &Value) -> String {
    fs::read_to_string(folder().join(name.as_str().unwrap())).unwrap()
}

/// The config of `dynamo_labels` that says what the call said.
fn labels(params: &Value) -> Option<String> {
    let names = [("namespace_name", "namespace"), ("component_name", "component"), ("model_name", "model")];
    let mut config = Map::new();
    for (theirs, ours) in names {
        config.extend(params.get(theirs).map(|value| (ours.to_owned(), value.clone())));
    }
    config.extend(params.get("inject_custom_labels").map(|labels| ("labels".to_owned(), labels.clone())));
    let worker = params.get("connection_id").and_then(Value::as_u64);
    config.extend(worker.map(|id| ("worker_id".to_owned(), json!(format!("{id:x}")))));
    (!config.is_empty()).then(|| Value::from(config).to_string())
}

/// The config of `filter` that says what the call said.
fn prefixes(params: &Value) -> Option<String> {
    let rule = |key: &str| params.get(key).map(|names| json!({"match_type": "prefix", "metric_names": names}));
    let mut metrics = Map::new();
    metrics.extend(rule("metric_prefix_filters").map(|rule| ("include".to_owned(), rule)));
    metrics.extend(rule("exclude_prefixes").map(|rule| ("exclude".to_owned(), rule)));
    if metrics.is_empty() {
        return None;
    }
    metrics.insert("per_sample".to_owned(), json!(true));
    Some(json!({"metrics": metrics}).to_string())
}

#[test]
fn the_recorded_pairs_come_out_the_same() {
    let cases: Value = serde_json::from_str(&fs::read_to_string(folder().join("cases.json")).unwrap()).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let (name, params) = (&case["name"], &case["params"]);
        let mut batch = scrape(&read(&case["input"]));
        assert_eq!(samples(&batch), samples_of_text(&read(&case["input"])), "{name}: the test's own scrape");
        if name == "05_reserved_le_returns_empty" {
            // Dynamo answers nothing at all from then on; here the config is refused.
            let message =
                "'::labels::le': is reserved for buckets and quantiles and cannot be injected: choose another name";
            assert_eq!(problems::<dynamo_labels::Config>(&labels(params).unwrap()), [message]);
            continue;
        }
        if let Some(config) = labels(params) {
            batch = processor::<dynamo_labels::Factory>(&config, Signal::Metrics).process(batch).unwrap();
        }
        if let Some(config) = prefixes(params) {
            batch = processor::<filter::Factory>(&config, Signal::Metrics).process(batch).unwrap();
        }
        assert_eq!(samples(&batch), samples_of_text(&read(&case["expected"])), "{name}");
    }
}
