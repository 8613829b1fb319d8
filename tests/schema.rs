//! The JSON Schema: the committed copy is what the binary prints, good configs fit it and bad ones do not.

use std::fs;
use std::process::Command;

use jsonschema::Validator;
use pipeline::config::yaml_value;

use crate::house::examples;
use crate::support::{data, workspace};

fn schema() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_slipring")).arg("schema").output().expect("slipring runs");
    String::from_utf8(output.stdout).expect("a schema is text")
}

fn validator() -> Validator {
    let schema = serde_json::from_str(&schema()).expect("a schema is JSON");
    jsonschema::draft7::meta::validate(&schema).expect("it is a schema of draft-07");
    jsonschema::draft7::new(&schema).expect("it can be used")
}

/// What is wrong with a config by the schema.
fn problems(validator: &Validator, yaml: &str) -> Vec<String> {
    let config = yaml_value(yaml).expect("the config is YAML");
    validator.iter_errors(&config).map(|error| format!("{} at {}", error, error.instance_path())).collect()
}

#[test]
fn the_committed_schema_is_the_binarys() {
    let path = workspace().join("configs/slipring.schema.json");
    let schema = schema();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &schema).expect("the sources are writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == schema, "UPDATE_EXPECTED=1 cargo test --test it schema writes {}", path.display());
}

#[test]
fn every_good_config_fits_the_schema() {
    let validator = validator();
    let mut seen = 0;
    let mut check = |what: &str, yaml: &str| {
        let problems = problems(&validator, yaml);
        assert!(problems.is_empty(), "{what}: {problems:#?}");
        seen += 1;
    };
    for folder in [workspace().join("configs"), data("collector-configs"), data("collector-configs/also")] {
        for path in fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            let name = path.display().to_string();
            // Tests have a language of their own, and a part of a config is none.
            if name.ends_with(".yaml") && !name.ends_with(".test.yaml") && !name.ends_with("also/otlp_http.yaml") {
                check(&name, &fs::read_to_string(&path).expect("a config is text"));
            }
        }
    }
    for path in crate::tables::readmes().into_iter().chain([workspace().join("README.md")]) {
        let readme = fs::read_to_string(&path).expect("a README is text");
        examples(&readme).iter().for_each(|example| check(&path.display().to_string(), example));
    }
    assert!(seen > 70, "{seen}");
}

/// What is wrong in the shape of a config; what is wrong only together with other values is for `slipring validate`.
const SEEN_BY_EDITORS: &[&str] = &[
    "check-attributes",
    "check-debug",
    "check-dynamo-labels",
    "check-file",
    "check-file-log-operators",
    "check-file-storage",
    "check-loki",
    "check-nvml",
    "check-prometheus-receiver",
    "check-prometheus-receiver-extra",
    "check-remote-write",
    "check-service",
    "check-trace-correlation",
    "component-at-the-top",
    "component-of-another-kind",
    "components-not-here",
    "components-removed",
    "connectors",
    "dashes-in-a-type",
    "durations",
    "durations-of-prometheus",
    "enum-in-capitals",
    "enum-misspelt",
    "header-values",
    "headers-as-a-list",
    "key-in-another-style",
    "key-misspelt",
    "key-of-another-block",
    "keys-removed",
    "number-out-of-range",
    "pipeline-is-a-list",
    "pipeline-key-misspelt",
    "pipeline-signals",
    "pipelines-at-the-top",
    "section-is-a-list",
    "section-is-text",
    "sizes",
    "unknown-components",
    "unknown-sections",
    "wrong-kinds",
];

#[test]
fn bad_configs_do_not_fit_the_schema() {
    let validator = validator();
    for name in SEEN_BY_EDITORS {
        let yaml = fs::read_to_string(data("bad-configs").join(format!("{name}.yaml"))).expect("it is there");
        assert!(!problems(&validator, &yaml).is_empty(), "{name} fits the schema");
    }
}
