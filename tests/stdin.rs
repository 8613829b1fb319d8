//! Another program's output piped into Slipring: everything arrives, and the process ends with its input.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn the_process_ends_with_its_input_after_everything_was_delivered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        "receivers: {{stdin_log: {{format: dynamo_jsonl}}}}
exporters: {{file: {{path: '{}'}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [stdin_log], exporters: [file]}}}}
",
        at("out.jsonl")
    );
    fs::write(at("config.yaml"), config).expect("the folder is writable");
    let mut child = Command::new(env!("CARGO_BIN_EXE_slipring"))
        .args(["run", "--config", &at("config.yaml")])
        .env("SLIPRING_DATA_DIR", at("data"))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("slipring runs");
    let mut input = child.stdin.take().expect("it is piped");
    for i in 0..5000 {
        writeln!(input, r#"{{"level":"INFO","message":"line-{i}"}}"#).expect("slipring reads");
    }
    drop(input);
    assert!(child.wait().expect("it ends").success());
    let out = fs::read_to_string(at("out.jsonl")).expect("it was written");
    for i in [0, 1, 2500, 4999] {
        assert!(out.contains(&format!("line-{i}\\\"")), "line {i}");
    }
    assert_eq!(out.matches("\"severityNumber\":9").count(), 5000);
}
