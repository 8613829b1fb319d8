//! The house itself: each component has its folder, README and place in the binary; every example and config is valid;
//! what the architecture page says of dependencies is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::workspace;

const KINDS: [&str; 4] = ["receivers", "processors", "exporters", "extensions"];

fn components() -> Vec<(&'static str, PathBuf)> {
    let folders = |kind: &'static str| {
        let entries = fs::read_dir(workspace().join(kind).join("src")).expect("the crate has sources");
        let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.join("README.md").exists()).collect();
        paths.sort();
        paths.into_iter().map(move |path| (kind, path))
    };
    KINDS.into_iter().flat_map(folders).collect()
}

fn slipring(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_slipring")).args(arguments).output().expect("slipring runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The `yaml` blocks of a README that are whole configs.
pub fn examples(readme: &str) -> Vec<String> {
    let blocks = readme.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.filter(|block| block.contains("\nservice:")).map(str::to_owned).collect()
}

fn validate(what: &Path, config: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.yaml");
    fs::write(&path, config).expect("the folder is writable");
    let (code, _, errors) = slipring(&["validate", "--config", &path.display().to_string()]);
    assert_eq!(code, Some(0), "{}:\n{errors}", what.display());
}

#[test]
fn every_component_has_a_readme_whose_example_is_valid() {
    for (kind, path) in components() {
        let readme = fs::read_to_string(path.join("README.md")).expect("it was listed");
        let delivery = ["## Delivery"].into_iter().filter(|_| kind != "extensions");
        for heading in ["## Config", "## Example", "## Telemetry"].into_iter().chain(delivery) {
            assert!(readme.contains(heading), "{}: no {heading}", path.display());
        }
        let examples = examples(&readme);
        assert!(!examples.is_empty(), "{}: no example that is a whole config", path.display());
        examples.iter().for_each(|example| validate(&path, example));
        examples.iter().for_each(|example| rehearse(&path, example));
    }
}

#[test]
fn every_component_folder_is_in_the_binary() {
    let (code, listed, _) = slipring(&["components"]);
    assert_eq!(code, Some(0));
    let folders: BTreeSet<String> = components()
        .iter()
        .map(|(_, path)| path.file_name().expect("a folder").to_string_lossy().into_owned())
        .collect();
    assert!(folders.len() >= 15, "{folders:?}");
    for name in folders {
        assert!(listed.contains(&format!("name: {name}\n")), "{name} is not in:\n{listed}");
    }
}

#[test]
fn every_config_says_when_to_use_it_and_is_valid() {
    let mut seen = 0;
    for entry in fs::read_dir(workspace().join("configs")).expect("there are configs").flatten() {
        let path = entry.path().display().to_string();
        if !path.ends_with(".yaml") || path.ends_with(".test.yaml") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a config is text");
        assert!(text.starts_with("# When to use: "), "{}", entry.path().display());
        validate(&entry.path(), &text);
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn the_examples_of_the_readme_are_valid() {
    for path in ["README.md", "pipeline/src/delivery/README.md"].map(|path| workspace().join(path)) {
        let readme = fs::read_to_string(&path).expect("there is a README");
        examples(&readme).iter().for_each(|example| validate(&path, example));
        examples(&readme).iter().for_each(|example| rehearse(&path, example));
    }
}

/// Starts a config in a simulated world and passes something of each signal through each of its receivers.
fn rehearse(what: &Path, config: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("example.yaml");
    fs::write(&path, config).expect("the folder is writable");
    let (_, printed, _) = slipring(&["print-config", "--format", "json", "--config", &path.display().to_string()]);
    let tree: Value = serde_json::from_str(&printed).expect("a config prints as JSON");
    let mut inputs = serde_json::Map::new();
    let mut signals = BTreeMap::<String, BTreeSet<String>>::new();
    for (pipeline, parts) in tree["service"]["pipelines"].as_object().into_iter().flatten() {
        let signal = pipeline.split('/').next().unwrap_or_default();
        for receiver in parts["receivers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            signals.entry(receiver.to_owned()).or_default().insert(signal.to_owned());
        }
    }
    for (receiver, signals) in &signals {
        let body = &tree["receivers"][receiver];
        let entries: Vec<Value> = match receiver.split('/').next().unwrap_or_default() {
            // Nobody comes in unknown.
            "otlp" if body.to_string().contains("\"authenticator\"") => {
                signals.iter().map(|signal| json!({signal: one_of(signal), "answer": "refused"})).collect()
            }
            "otlp" => signals.iter().map(|signal| json!({signal: one_of(signal)})).collect(),
            "prometheus" => {
                let page = |target: &String| json!({"target": target, "text": "something_total 1\n"});
                targets(body).iter().map(page).collect()
            }
            "file_log" | "filelog" => {
                let first = body["include"][0].as_str().expect("file_log includes something");
                let path = first.replace("**", "a").replace('*', "x").replace("{stdout,stderr}", "stdout");
                vec![json!({"at": "1s", "path": path, "lines": [LINE]})]
            }
            "stdin_log" => vec![json!({"lines": [LINE]})],
            _ => Vec::new(),
        };
        if !entries.is_empty() {
            inputs.insert(receiver.clone(), entries.into());
        }
    }
    // Who gives out tokens is outside, as what a receiver asks is.
    let extensions = tree["extensions"].as_object().into_iter().flatten();
    for url in extensions.filter_map(|(_, body)| body["token_url"].as_str()) {
        let token = r#"{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}"#;
        if let Some(Value::Array(first)) = inputs.values_mut().next() {
            first.push(json!({"target": url, "text": token}));
        }
    }
    let files = json!({
        // What an example may name.
        "/etc/podinfo/labels": "a=\"b\"\n",
    });
    let test = json!({"files": files, "tests": [{"name": "it runs", "inputs": inputs, "for": "1m"}]});
    let path = folder.path().join("example.test.yaml");
    fs::write(&path, test.to_string()).expect("the folder is writable");
    let (code, out, errors) = slipring(&["test", &path.display().to_string()]);
    assert_eq!(code, Some(0), "{}:\n{config}\n{test}\n{out}{errors}", what.display());
}

const LINE: &str = r#"{"time":"2026-01-01T00:00:01Z","level":"INFO","message":"a line","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;

/// A request of a signal, in the text form.
fn one_of(signal: &str) -> &'static str {
    match signal {
        "traces" => "resource {service.name=\"a\"}\n  scope none\n    span s trace=1 id=1 start=now-1s end=now",
        "metrics" => "resource {service.name=\"a\"}\n  scope none\n    metric m gauge\n      point time=now 1",
        _ => "resource {service.name=\"a\"}\n  scope none\n    log time=now sev=info \"a line\"",
    }
}

/// The addresses that a scrape config names.
fn targets(body: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let jobs = body["config"]["scrape_configs"].as_array().into_iter().flatten();
    for group in jobs.flat_map(|job| job["static_configs"].as_array().into_iter().flatten()) {
        out.extend(group["targets"].as_array().into_iter().flatten().filter_map(|t| t.as_str().map(str::to_owned)));
    }
    out
}

#[test]
fn the_frame_names_no_component_and_components_do_not_name_each_other() {
    for (crate_name, forbidden) in [
        ("pipeline", KINDS.as_slice()),
        ("receivers", &["processors", "exporters", "extensions"]),
        ("processors", &["receivers", "exporters", "extensions"]),
        ("exporters", &["receivers", "processors", "extensions"]),
        ("extensions", &["receivers", "processors", "exporters"]),
        ("runner", &KINDS),
    ] {
        let manifest = fs::read_to_string(workspace().join(crate_name).join("Cargo.toml")).expect("a manifest");
        for name in forbidden {
            let depends = manifest.lines().any(|line| line.starts_with(name));
            assert!(!depends, "{crate_name} depends on {name}");
        }
    }
}

#[test]
fn only_config_knows_yaml() {
    let mut folders = vec![workspace().join("src")];
    folders.extend(["pipeline/src", "runner/src"].map(|name| workspace().join(name)));
    folders.extend(KINDS.map(|name| workspace().join(name).join("src")));
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder of sources").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                if !path.ends_with("pipeline/src/config") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                assert!(!text.contains("saphyr"), "{} knows YAML", path.display());
            }
        }
    }
}
