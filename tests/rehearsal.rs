//! `slipring test`, `record` and `replay` as a user runs them; and the tests of every config in `configs/`.

use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{eventually, free_port, http, workspace};

/// What the tests of `configs/` must exercise of their configs, in per cent.
const LEAST_COVERAGE: &str = "100";

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn slipring(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_slipring"))
        .args(arguments)
        .current_dir(workspace())
        .output()
        .expect("slipring runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A config with one OTLP receiver and the given parts, and a test file beside it.
fn files(config: &str, test: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("a.yaml"), config).expect("the folder is writable");
    let path = folder.path().join("a.test.yaml");
    fs::write(&path, test).expect("the folder is writable");
    (folder, path)
}

fn run(config: &str, test: &str, more: &[&str]) -> Ran {
    let (_folder, path) = files(config, test);
    slipring(&[&["test", &path.display().to_string()], more].concat())
}

const CONFIG: &str = r#"
receivers:
  otlp: {protocols: {grpc: {}, http: {}}}
processors:
  resource:
    attributes:
      - {key: env, value: test, action: insert}
exporters:
  otlp_grpc: {endpoint: "http://far:4317", retry_on_failure: {initial_interval: 1s}}
  loki: {endpoint: "https://loki:3100/loki/api/v1/push"}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [resource], exporters: [otlp_grpc]}
    logs: {receivers: [otlp], processors: [resource], exporters: [loki]}
"#;

fn span(name: &str) -> String {
    format!("{{traces: \"scope none\\n  span {name} trace=1 id=1 start=now end=now\"}}")
}

#[test]
fn every_config_has_tests_that_pass_and_would_miss_each_of_its_rules() {
    let mut arguments = vec!["test".to_owned(), "--coverage-threshold".to_owned(), LEAST_COVERAGE.to_owned()];
    for entry in fs::read_dir(workspace().join("configs")).expect("there are configs").flatten() {
        let path = entry.path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if name.ends_with(".test.yaml") {
            arguments.push(format!("configs/{name}"));
        } else if name.ends_with(".yaml") {
            let test = path.with_extension("test.yaml");
            assert!(test.exists(), "{} has no {}", path.display(), test.display());
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = slipring(&arguments);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

#[test]
fn a_test_that_fails_shows_the_nearest_and_exits_with_1() {
    let test = format!(
        "tests:\n  - name: wrong\n    inputs: {{otlp: [{}]}}\n    expect:\n      otlp_grpc:\n        contains:\n          - \
         {{span: checkout, resource: {{env: prod}}}}\n",
        span("checkout")
    );
    let ran = run(CONFIG, &test, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for part in [
        "FAIL wrong",
        "a.test.yaml:7:13: exporter otlp_grpc: span \"checkout\"",
        "- resource.env: \"prod\"",
        "+ resource.env: \"test\"",
        "0 passed, 1 failed",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in:\n{}", ran.out);
    }
}

#[test]
fn junit_and_json_say_the_same() {
    let test = format!(
        "tests:\n  - name: good <&>\n    inputs: {{otlp: [{}]}}\n    expect: {{otlp_grpc: [a]}}\n  - name: bad\n    expect: {{otlp_grpc: [a]}}\n",
        span("a")
    );
    let ran = run(CONFIG, &test, &["--format", "json"]);
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((ran.code, &json["passed"], &json["failed"]), (Some(1), &1.into(), &1.into()));
    assert_eq!(json["files"][0]["tests"][1]["failures"][0]["line"], 6);
    let ran = run(CONFIG, &test, &["--format", "junit"]);
    for part in [
        "<testsuites tests=\"2\" failures=\"1\"",
        "name=\"good &lt;&amp;&gt;\"",
        "<failure message=\"exporter otlp_grpc: a is not there",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in:\n{}", ran.out);
    }
    let ran = run(CONFIG, &test, &["--filter", "good"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.contains("1 passed, 1 left out"), "{}", ran.out);
}

#[test]
fn a_broken_test_file_says_everything_at_its_place_and_exits_with_2() {
    let test = "tests:\n  - name: broken\n    inputs:\n      otlpp: [{traces: x}]\n      otlp:\n        - traces: spam\n        - {at: soon, tracse: y}\n    expext: {}\n    faults: {loki: {status: 429, hang: true}}\n    assert: [nothing]\n";
    let ran = run(CONFIG, test, &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    for part in [
        "a.test.yaml:4:15: error: nothing is known of what comes in by otlpp",
        "a.test.yaml:6:19: error: the text form of traces",
        "a.test.yaml:7:",
        "did you mean `traces`?",
        "did you mean `expect`?",
        "a.test.yaml:9:14: error: a fault does one thing, this one 2",
        "a.test.yaml:10:14: error",
    ] {
        assert!(ran.err.contains(part), "no {part:?} in:\n{}", ran.err);
    }
    let ran = run(CONFIG, "tests:\n  - name: a\n    expect:\n      lokki: []\n      otlp: []\n", &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("a.test.yaml:4:7: error: the config has no lokki in its exporters"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `loki`?"), "{}", ran.err);
    let ran = run("receivers: {otlp: {}}", "tests: [{name: a}]", &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("a.yaml:"), "{}", ran.err);
    assert_eq!(slipring(&["test", "/nonexistent/a.test.yaml"]).code, Some(2));
}

#[test]
fn every_format_says_what_is_wrong_with_files_and_where_a_test_failed() {
    let broken = "tests:\n  - name: a\n    expect:\n      lokki: []\n";
    let ran = run(CONFIG, broken, &["--format", "json"]);
    let json: Value = serde_json::from_str(&ran.out).expect("JSON");
    let problems = &json["problems"];
    assert_eq!((ran.code, &problems["errors"], &json["passed"]), (Some(2), &1.into(), &0.into()), "{}", ran.out);
    let first = &problems["diagnostics"][0];
    assert_eq!((&first["line"], &first["column"], &first["end_column"]), (&4.into(), &7.into(), &12.into()), "{first}");
    assert_eq!(first["help"][0], "did you mean `loki`?");

    let ran = run(CONFIG, broken, &["--format", "junit"]);
    assert_eq!(ran.code, Some(2));
    for part in
        ["tests=\"1\" failures=\"0\" errors=\"1\"", "<error message=\"the config has no lokki", "did you mean `loki`?"]
    {
        assert!(ran.out.contains(part), "no {part:?} in:\n{}", ran.out);
    }
    assert!(ran.err.contains("a.test.yaml:4:7: error"), "people read it, too: {}", ran.err);

    let results = |config: &str, test: &str| {
        let ran = run(config, test, &["--format", "sarif"]);
        let log: Value = serde_json::from_str(&ran.out).expect("JSON");
        (ran.code, log["runs"][0]["results"].as_array().expect("a list").clone())
    };
    let (code, all) = results(CONFIG, broken);
    assert_eq!((code, all.len(), &all[0]["ruleId"]), (Some(2), 1, &"reference".into()), "{all:?}");
    let (code, all) = results(CONFIG, "tests:\n  - name: bad\n    expect: {otlp_grpc: [a]}\n");
    assert_eq!((code, all.len(), &all[0]["ruleId"]), (Some(1), 1, &"test".into()), "{all:?}");
    let location = &all[0]["locations"][0]["physicalLocation"];
    assert_eq!(location["region"]["startLine"], 3, "{location}");
    assert!(all[0]["message"]["text"].as_str().is_some_and(|text| text.starts_with("bad: exporter otlp_grpc: ")));
    let (code, all) = results(&CONFIG.replace("  otlp_grpc:", "  otlp_http: {endpoint: 5d}\n  otlp_grpc:"), broken);
    assert_eq!(code, Some(2));
    assert!(all.iter().any(|one| {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            .as_str()
            .is_some_and(|uri| uri.ends_with("/a.yaml"))
    }));
}

#[test]
fn problems_that_tests_share_are_said_once_and_warnings_do_not_keep_tests_from_running() {
    let (folder, path) = files("receivers: {otlp: {}}", "tests: [{name: a}, {name: b, env: {A: b}}]");
    fs::write(folder.path().join("b.test.yaml"), "config: a.yaml\ntests: [{name: a}]").expect("it is written");
    let other = folder.path().join("b.test.yaml").display().to_string();
    let ran = slipring(&["test", &path.display().to_string(), &other]);
    assert_eq!((ran.code, ran.err.matches("at least one protocol").count()), (Some(2), 1), "{}", ran.err);

    let old = CONFIG.replace("otlp_grpc", "otlp");
    let test = format!("tests: [{{name: a, inputs: {{otlp: [{}]}}, expect: {{otlp: [a]}}}}]", span("a"));
    let ran = run(&old, &test, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("warning: "), "{}", ran.err);
    assert!(ran.out.contains("1 passed"), "{}", ran.out);
}

#[test]
fn tests_run_again_when_their_config_or_they_change() {
    let test = |name: &str| {
        format!("tests: [{{name: a, inputs: {{otlp: [{}]}}, expect: {{otlp_grpc: [{name}]}}}}]", span("a"))
    };
    let (folder, path) = files(CONFIG, &test("b"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_slipring"))
        .args(["test", "--watch", &path.display().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("slipring runs");
    let (sender, lines) = std::sync::mpsc::sync_channel(100);
    let stdout = std::io::BufReader::new(child.stdout.take().expect("its output"));
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    // Rounds follow one another until one says this: a file may be read while it is half written.
    let until = |part: &str| {
        let mut said = Vec::new();
        while !said.iter().any(|line: &String| line.contains(part)) {
            match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => said.push(line),
                Err(_) => panic!("no {part:?} in {said:#?}"),
            }
        }
    };
    let config = folder.path().join("a.yaml");
    until("0 passed, 1 failed");
    until("waiting for changes of 2 files");
    fs::write(&path, test("a")).expect("it is written");
    until("1 passed");
    until("waiting");
    fs::write(&config, CONFIG.replace("receivers: [otlp]", "receivers: [none]")).expect("it is written");
    until("waiting");
    fs::write(&config, CONFIG.replace("value: test", "value: other")).expect("it is written");
    until("1 passed");
    child.kill().expect("it still runs");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("a.yaml:"), "what was wrong in between is said: {said}");
}

#[test]
fn a_test_has_neither_the_variables_nor_the_files_of_the_machine() {
    let config = CONFIG.replace("value: test", "value: \"${env:HOME}-${file:/etc/hostname}\"");
    let ran = run(&config, "tests: [{name: a}]", &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("a test has only the files that it names"), "{}", ran.err);
    let test = format!(
        "env: {{HOME: h}}\nfiles: {{/etc/hostname: n}}\ntests:\n  - name: a\n    inputs: {{otlp: [{}]}}\n    expect: {{otlp_grpc: [{{resource: {{env: h-n}}}}]}}\n",
        span("a")
    );
    let ran = run(&config, &test, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

#[test]
fn faults_are_met_and_overcome() {
    for fault in [
        "{status: 503, for: 10s}",
        "{status: 429, retry_after: 3s, times: 2}",
        "{hang: true, for: 10s}",
        "{reset: true, for: 10s}",
        "{refuse: true, for: 10s}",
        "{delay: 2s}",
    ] {
        let test = format!(
            "tests:\n  - name: f\n    inputs: {{otlp: [{}]}}\n    faults: {{otlp_grpc: {fault}}}\n    for: 5m\n    expect: {{otlp_grpc: {{contains: [a]}}}}\n",
            span("a")
        );
        let ran = run(CONFIG, &test, &[]);
        assert_eq!(ran.code, Some(0), "{fault}: {}{}", ran.out, ran.err);
        // One that lasts beyond the end of the process costs what it sent.
        let ran = run(CONFIG, &test.replace(", for: 10s", "").replace(", times: 2", ""), &[]);
        assert_eq!(ran.code, Some(i32::from(!fault.contains("delay"))), "{fault}: {}", ran.out);
    }
    let test = format!(
        "tests:\n  - name: partial\n    inputs: {{otlp: [{}]}}\n    faults: {{otlp_grpc: {{partial: {{rejected: 1, message: no}}}}}}\n    dropped: {{otlp_grpc: {{partial_success: 1}}}}\n",
        span("a")
    );
    let ran = run(CONFIG, &test, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let ran = run(CONFIG, &test.replace("dropped: {otlp_grpc: {partial_success: 1}}", "for: 1s"), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("say so under `dropped`"), "{}", ran.out);
}

#[test]
fn a_driver_plays_a_script_in_the_time_of_the_test() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let driver = fake_nvml::FakeDriver::playing(folder.path(), "").expect("cargo has built the library");
    let config = r#"
receivers: {nvml: {hostname: node-7}}
exporters: {otlp_grpc: {endpoint: "http://far:4317"}}
service:
  pipelines:
    metrics: {receivers: [nvml], exporters: [otlp_grpc]}
"#;
    let script = |util: u32| {
        format!(
            r"driver = 580.1\n[gpu]\nuuid = GPU-1\nname = NVIDIA H100\nbus = 00000000:31:00.0\ntemperature_0 = {util}\n"
        )
    };
    let test = format!(
        r#"
tests:
  - name: gpu
    inputs:
      nvml:
        - {{driver: {}, script: "{}"}}
        - {{at: 12s, script: "{}"}}
    for: 30s
    expect:
      otlp_grpc:
        ordered: true
        contains:
          - DCGM_FI_DEV_GPU_TEMP{{UUID="GPU-1", Hostname="node-7"}} 10 @0s
          - DCGM_FI_DEV_GPU_TEMP 70 @15s
"#,
        driver.library().display(),
        script(10),
        script(70),
    );
    let ran = run(config, &test, &[]);
    assert_eq!(ran.code, Some(0), "{}{}\n{test}", ran.out, ran.err);
}

#[test]
fn another_config_is_read_while_the_test_runs() {
    let test = format!(
        "tests:\n  - name: r\n    inputs: {{otlp: [{}, {{at: 10s, {}]}}\n    reload: {{at: 5s, set: ['processors.resource.attributes=[{{key: env, value: other, action: insert}}]']}}\n    expect:\n      otlp_grpc:\n        only: [{{span: before, resource: {{env: test}}}}, {{span: behind, resource: {{env: other}}}}]\n",
        span("before"),
        span("behind").trim_start_matches('{')
    );
    let ran = run(CONFIG, &test, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let ran = run(CONFIG, &test.replace("value: other", "value: third"), &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
}

#[test]
fn golden_expectations_are_written_and_everything_else_stays() {
    let test = format!(
        "# a comment\ntests:\n  - name: one # another\n    inputs: {{otlp: [{}, {{logs: 'log time=now \"it''s\"'}}]}}\n    expect:\n      otlp_grpc:\n        equals:\n          - old\n      # about loki\n      loki:\n        equals: []\n\n  # about two\n  - name: two\n    inputs: {{otlp: [{}]}}\n",
        span("a"),
        span("b")
    );
    let (_folder, path) = files(CONFIG, &test);
    let shown = path.display().to_string();
    assert_eq!(slipring(&["test", &shown]).code, Some(1));
    let ran = slipring(&["test", "--update", &shown]);
    assert!(ran.out.contains("3 expectations written"), "{}{}", ran.out, ran.err);
    let written = fs::read_to_string(&path).expect("the file is there");
    for part in [
        "# a comment\n",
        "name: one # another",
        "      # about loki\n",
        "  # about two\n",
        "          - span: a\n",
        "line: \"it's\"",
    ] {
        assert!(written.contains(part), "no {part:?} in:\n{written}");
    }
    let ran = slipring(&["test", &shown]);
    assert_eq!(ran.code, Some(0), "{}\n{written}", ran.out);
    assert!(slipring(&["test", "--update", &shown]).out.contains("2 passed"));
    assert_eq!(fs::read_to_string(&path).expect("the file is there"), written);
}

#[test]
fn coverage_names_what_no_test_would_miss() {
    let test = format!("tests:\n  - name: a\n    inputs: {{otlp: [{}]}}\n    expect: {{otlp_grpc: [a]}}\n", span("a"));
    let ran = run(CONFIG, &test, &["--coverage-threshold", "100"]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    for part in [
        "processors::resource::attributes[0]: no test fails without it",
        "a.yaml:7:9",
        "exporter loki: nothing passes it",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in:\n{}", ran.out);
    }
    assert_eq!(run(CONFIG, &test, &["--coverage-threshold", "10"]).code, Some(0));
}

#[test]
fn a_recording_becomes_a_test_that_passes_and_can_be_replayed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("in.log");
    let out = folder.path().join("recording");
    let config = folder.path().join("a.yaml");
    let text = format!(
        "receivers:\n  otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:${{env:RECORD_PORT}}\"}}}}}}\n  file_log: {{include: [\"{}\"], start_at: beginning}}\n  prometheus: {{config: {{scrape_configs: [{{job_name: self, scrape_interval: 1s, static_configs: [{{targets: [\"127.0.0.1:${{env:METRICS_PORT}}\"]}}], metric_relabel_configs: [{{source_labels: [__name__], regex: slipring_received_items_total, action: keep}}]}}]}}}}\nexporters:\n  file: {{path: \"{}\"}}\nservice:\n  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: \"${{env:METRICS_PORT}}\"}}}}}}}}]}}}}\n  pipelines:\n    traces: {{receivers: [otlp], exporters: [file]}}\n    logs: {{receivers: [file_log], exporters: [file]}}\n    metrics: {{receivers: [prometheus], exporters: [file]}}\n",
        log.display(),
        folder.path().join("out.jsonl").display(),
    );
    fs::write(&config, text).expect("the folder is writable");
    let (port, metrics) = (free_port().to_string(), free_port().to_string());
    let process = Command::new(env!("CARGO_BIN_EXE_slipring"))
        .args(["record", "--for", "4s", "--redact", "--config", &config.display().to_string()])
        .args(["--out", &out.display().to_string(), "--set"])
        .arg(format!("service.data_dir={}", folder.path().join("data").display()))
        .env("RECORD_PORT", &port)
        .env("METRICS_PORT", &metrics)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("slipring runs");
    // It is there when everything has started; what is read at once was there before.
    listens(&metrics);
    #[allow(clippy::disallowed_methods, reason = "the process is a real one with a real clock")]
    std::thread::sleep(Duration::from_millis(200));
    let request = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","name":"recorded a@b.example"}]}]}]}"#;
    let headers = ["Content-Type: application/json"];
    let (status, _) =
        http::post(&format!("127.0.0.1:{port}"), "/v1/traces", &headers, request.as_bytes()).expect("it answers");
    assert_eq!(status, 200);
    fs::write(&log, "a line\n").expect("the folder is writable");
    let output = process.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}{}", String::from_utf8_lossy(&output.stdout));
    let test = out.join("recording.test.yaml");
    let written = fs::read_to_string(&test).expect("a test was written");
    for part in [
        "otlp-0001.json",
        "page-0001.txt",
        "lines-0001.log",
        "recorded someone@example.com",
        "a line",
        "slipring_received_items",
    ] {
        assert!(written.contains(part), "no {part:?} in:\n{written}");
    }
    let shown = test.display().to_string();
    let ran = slipring(&["test", &shown]);
    assert_eq!(ran.code, Some(0), "{}{}\n{written}", ran.out, ran.err);
    replayed(&shown, &port);
}

/// Replays a recording against a config that listens there.
fn replayed(recording: &str, port: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("live.yaml");
    let out = folder.path().join("out.jsonl");
    let text = format!(
        "receivers:\n  otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{port}\"}}}}}}\nexporters:\n  file: {{path: \"{}\"}}\nservice:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    traces: {{receivers: [otlp], exporters: [file]}}\n",
        out.display()
    );
    fs::write(&config, text).expect("the folder is writable");
    let mut live = Command::new(env!("CARGO_BIN_EXE_slipring"))
        .args(["run", "--config", &config.display().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("slipring runs");
    listens(port);
    let root = folder.path().join("files");
    let ran = slipring(&["replay", "--speed", "20", "--root", &root.display().to_string(), recording]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    eventually(Duration::from_secs(20), "the span is replayed", || {
        let text = fs::read_to_string(&out).map_err(|error| error.to_string())?;
        if text.contains("recorded someone@example.com") { Ok(()) } else { Err(text) }
    });
    live.kill().expect("it is ours");
    live.wait().expect("it ends");
    let lines = walk(&root).into_iter().filter_map(|path| fs::read_to_string(path).ok()).collect::<String>();
    assert_eq!(lines, "a line\n");
}

fn listens(port: &str) {
    eventually(Duration::from_secs(20), "it listens", || {
        std::net::TcpStream::connect(format!("127.0.0.1:{port}")).map(drop).map_err(|error| error.to_string())
    });
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
