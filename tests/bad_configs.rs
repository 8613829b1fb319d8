//! Bad configs and everything that is said about them: `tests/data/bad-configs/NAME.yaml` and, beside it, `NAME.txt`.
//! `UPDATE_EXPECTED=1` writes what is said now, to be read before it is committed.
//!
//! The first line may say more: `# env: NAME=value`, or `# with: --config OTHER --set KEY=VALUE`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::data;

fn configs() -> Vec<PathBuf> {
    let entries = fs::read_dir(data("bad-configs")).expect("there is a collection").flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    paths.sort();
    paths
}

/// What `slipring validate` answers about one of them: exit code, standard output and standard error.
fn validate(path: &Path, format: &str) -> (Option<i32>, String, String) {
    let folder = data("bad-configs");
    let name = path.strip_prefix(&folder).unwrap_or(path).display().to_string();
    let text = fs::read(path).unwrap_or_default();
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
    command.current_dir(folder).env_clear().args(["validate", "--format", format, "--config", &name]);
    if let Some(variable) = first.strip_prefix("# env: ") {
        let (name, value) = variable.split_once('=').expect("a name and a value");
        command.env(name, value);
    }
    if let Some(arguments) = first.strip_prefix("# with: ") {
        command.args(arguments.split_whitespace());
    }
    let output = command.output().expect("slipring runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn each_bad_config_is_told_what_is_wrong_where_and_what_would_work() {
    let configs = configs();
    assert!(configs.len() >= 80, "{}", configs.len());
    let mut differing = String::new();
    for path in &configs {
        let (code, out, said) = validate(path, "text");
        assert!(matches!(code, Some(0 | 2)) && out.is_empty(), "{}: {code:?} {out}", path.display());
        assert_eq!(code == Some(0), !said.contains(": error: "), "{}:\n{said}", path.display());
        for leak in ["hunter2", "12345", "::de::", "serde", "Err(", "panicked", "NoneError", "invalid type"] {
            assert!(!said.contains(leak), "{} shows {leak}:\n{said}", path.display());
        }
        let beside = path.with_extension("txt");
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if said == expected {
            continue;
        }
        match std::env::var_os("UPDATE_EXPECTED") {
            Some(_) => fs::write(&beside, said).expect("the sources are writable"),
            None => differing.push_str(&format!("==== {}\n{said}---- expected\n{expected}", path.display())),
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

#[test]
fn programs_are_told_the_same() {
    for path in configs() {
        let (code, said, errors) = validate(&path, "json");
        assert_eq!(errors, "", "{}", path.display());
        let json: Value = serde_json::from_str(&said).expect("JSON");
        let (sarif_code, sarif, _) = validate(&path, "sarif");
        let sarif: Value = serde_json::from_str(&sarif).expect("JSON");
        assert_eq!(code, sarif_code);
        let diagnostics = json["diagnostics"].as_array().expect("a list");
        let results = sarif["runs"][0]["results"].as_array().expect("a list");
        assert_eq!(diagnostics.len(), results.len(), "{}", path.display());
        assert_eq!(diagnostics.iter().filter(|d| d["severity"] == "error").count() > 0, code == Some(2));
        for (diagnostic, result) in diagnostics.iter().zip(results) {
            assert_eq!(diagnostic["rule"], result["ruleId"]);
            assert_eq!(diagnostic["severity"], result["level"]);
            let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().expect("a list");
            let index = usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small");
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let region = &result["locations"][0]["physicalLocation"]["region"];
            let number = |value: &Value| value.as_u64();
            assert!(number(&region["startLine"]) >= Some(1), "{result}");
            if let Some(start) = number(&region["startColumn"]) {
                assert!(start >= 1 && number(&region["endColumn"]) > Some(start), "{result}");
                assert_eq!(Some(start), number(&diagnostic["column"]));
            }
            let message = diagnostic["message"].as_str().expect("text");
            assert!(result["message"]["text"].as_str().is_some_and(|text| text.starts_with(message)), "{result}");
            assert!(!result.to_string().contains("hunter2"), "{result}");
        }
    }
}

#[test]
fn a_config_that_is_too_long_or_no_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("huge.yaml");
    fs::write(&path, format!("receivers:\n  otlp:\n{}", "# filler\n".repeat(1 << 20))).expect("writable");
    let (code, _, said) = validate(&path, "text");
    assert_eq!(code, Some(2));
    assert!(said.contains("error: cannot read the config: "), "{said}");
    let (code, _, said) = validate(folder.path(), "text");
    assert_eq!(code, Some(2));
    assert!(said.contains("error: cannot read the config: "), "{said}");
}
