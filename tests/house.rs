//! The house itself: each component has its folder, README and place in the binary; every example and config is valid;
//! what the architecture page says of dependencies is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
fn examples(readme: &str) -> Vec<String> {
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
    }
}

#[test]
fn the_frame_names_no_component_and_components_do_not_name_each_other() {
    for (crate_name, forbidden) in [
        ("pipeline", KINDS.as_slice()),
        ("receivers", &["processors", "exporters", "extensions"]),
        ("processors", &["receivers", "exporters", "extensions"]),
        ("exporters", &["receivers", "processors", "extensions"]),
        ("extensions", &["receivers", "processors", "exporters"]),
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
    folders.push(workspace().join("pipeline/src"));
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
