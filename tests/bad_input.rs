//! Bad input of every kind at one running process: each is answered so that its sender understands, the process lives,
//! and what was accepted before and after it still arrives.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::support::process::Slipring;
use crate::support::{data, eventually, free_port, http};

const CONFIG: &str = "
receivers:
  otlp:
    protocols:
      http: {endpoint: '${env:OTLP_HTTP}', max_request_body_size: 1000000}
  prometheus:
    config:
      scrape_configs:
        - job_name: garbage
          scrape_interval: 1s
          scrape_timeout: 1s
          static_configs: [{targets: ['${env:GARBAGE}']}]
        - job_name: nobody
          scrape_interval: 1s
          scrape_timeout: 1s
          static_configs: [{targets: ['${env:NOBODY}']}]
  file_log:
    include: ['${env:FOLDER}/*.log']
    start_at: beginning
exporters:
  file: {path: '${env:OUT}'}
  otlp_http:
    endpoint: 'http://${env:NOBODY}'
    retry_on_failure: {initial_interval: 100ms}
service:
  shutdown_timeout: 1s
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    traces/nobody: {receivers: [otlp], exporters: [otlp_http]}
    metrics: {receivers: [prometheus, otlp], exporters: [file]}
    logs: {receivers: [file_log, otlp], exporters: [file]}
";

#[test]
fn bad_input_is_answered_and_costs_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.jsonl");
    let config = folder.path().join("config.yaml");
    fs::write(&config, CONFIG).expect("the folder is writable");
    let otlp = format!("127.0.0.1:{}", free_port());
    let variables = [
        ("OTLP_HTTP", otlp.clone()),
        ("GARBAGE", garbage_target()),
        ("NOBODY", format!("127.0.0.1:{}", free_port())),
        ("FOLDER", folder.path().display().to_string()),
        ("OUT", out.display().to_string()),
    ];
    // A file that is not text at all, and a folder where a file is expected.
    fs::write(folder.path().join("binary.log"), b"\xff\xfe\x00half a line\nwhole\n").expect("the folder is writable");
    fs::create_dir(folder.path().join("folder.log")).expect("the folder is writable");

    let mut slipring = Slipring::start(&config, folder.path(), &variables);
    let good = fs::read(data("dynamo-1.6.1/otlp/traces-0004.pb")).expect("recorded data");
    let post = |path: &str, headers: &[&str], body: &[u8]| http::post(&otlp, path, headers, body).expect("an answer");
    let protobuf = "Content-Type: application/x-protobuf";
    let json = "Content-Type: application/json";
    assert_eq!(post("/v1/traces", &[protobuf], &good).0, 200, "before");

    let mut cut = good.clone();
    cut.truncate(good.len() - 3);
    let bomb = gzip(&vec![0; 8_000_000]);
    type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a [u8], u16);
    let cases: [Case<'_>; 12] = [
        ("cut off", "/v1/traces", &[protobuf], &cut, 400),
        ("not protobuf", "/v1/traces", &[protobuf], b"\xff\xff\xff\xff", 400),
        ("another signal's message", "/v1/metrics", &[protobuf], &good, 400),
        ("not JSON", "/v1/logs", &[json], b"{\"resourceLogs\": [", 400),
        ("JSON of another shape", "/v1/logs", &[json], b"{\"resourceLogs\": 7}", 400),
        ("an empty JSON body", "/v1/logs", &[json], b"", 400),
        ("an unknown content type", "/v1/traces", &["Content-Type: text/xml"], b"<a/>", 415),
        ("no gzip", "/v1/traces", &[protobuf, "Content-Encoding: gzip"], b"plain", 400),
        ("a gzip bomb", "/v1/traces", &[protobuf, "Content-Encoding: gzip"], &bomb, 413),
        ("an unknown encoding", "/v1/traces", &[protobuf, "Content-Encoding: br"], b"x", 400),
        ("too large", "/v1/traces", &[protobuf], &vec![0; 1_000_001], 413),
        ("an unknown path", "/v1/unknown", &[protobuf], &good, 404),
    ];
    for (what, path, headers, body, expected) in cases {
        let (status, answer) = post(path, headers, body);
        assert_eq!(status, expected, "{what}: {answer}");
        assert!(slipring.process.is_running(), "{what}");
    }
    assert_eq!(http::get(&otlp, "/v1/traces").expect("an answer").0, 405, "GET");

    assert_eq!(post("/v1/traces", &[protobuf], &good).0, 200, "after");
    eventually(Duration::from_secs(20), "what was good is in the file", || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        let spans = text.matches("\"resourceSpans\"").count();
        let lines = text.contains("\"stringValue\":\"whole\"");
        let up = text.matches("\"name\":\"up\"").count();
        if spans >= 2 && lines && up >= 2 { Ok(()) } else { Err(format!("spans {spans}, lines {lines}, up {up}")) }
    });
    // The pipeline whose far side is nobody refuses nothing and holds what it was given until the end.
    let held = slipring.own_metrics().sum("otelcol_exporter_queue_size", &[("exporter", "otlp_http")]);
    assert!(held >= 0.0);
    let status = slipring.process.terminate(Duration::from_secs(15));
    assert_eq!(status.code(), Some(1), "what could not be delivered is an exit code of its own");
    let printed = slipring.process.printed();
    assert!(printed.contains("shutdown"), "{printed}");
}

#[test]
fn a_config_with_problems_shows_all_of_them_and_starts_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("bad.yaml");
    let text = "receivers:\n  otpl:\n  otlp:\n    protocols:\n      grcp: {}\nexporters:\n  debug: {verbosity: loud}\nservice:\n  pipelines:\n    traces: {receivers: [otlp], exporters: [nowhere]}\n";
    fs::write(&config, text).expect("the folder is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_slipring"))
        .args(["validate", "--config"])
        .arg(&config)
        .output()
        .expect("slipring runs");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    for expected in
        ["bad.yaml:2:3", "did you mean `otlp`", "bad.yaml:5:7", "`grpc`", "bad.yaml:7:22", "normal", "bad.yaml:10:"]
    {
        assert!(printed.contains(expected), "{expected} is not in:\n{printed}");
    }
}

/// A target that answers 200 with something that is no exposition.
fn garbage_target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it listens").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let body = "<html>{{{ not metrics\n\0\u{fffd}";
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    address
}

/// Stored-block gzip would not be a bomb; this is what `gzip -9` makes.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .args(["-9", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip is on every Debian");
    let mut input = child.stdin.take().expect("piped");
    let plain = plain.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&plain));
    let output = child.wait_with_output().expect("gzip ends");
    writer.join().expect("the writer ends").expect("gzip reads all");
    output.stdout
}
