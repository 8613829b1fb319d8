//! `slipring why-missing` asks a running process.

use std::process::Command;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::support::process::Slipring;
use crate::support::{eventually, free_port, http};

const CONFIG: &str = "
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}'}}}
processors:
  filter: {logs: {exclude: {match_type: regexp, bodies: ['.*noise.*']}}}
exporters:
  otlp_http: {endpoint: 'http://${env:NOBODY}', retry_on_failure: {enabled: false}}
  debug: {}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
    logs: {receivers: [otlp], processors: [filter], exporters: [debug]}
";

fn ask(slipring: &Slipring, wanted: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_slipring"))
        .args(["why-missing", "--url", &format!("http://{}", slipring.metrics), wanted])
        .output()
        .expect("slipring runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_running_process_says_why_something_is_missing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, CONFIG).expect("the folder is writable");
    let address = || format!("127.0.0.1:{}", free_port());
    let otlp = address();
    let slipring = Slipring::start(&config, folder.path(), &[("OTLP", otlp.clone()), ("NOBODY", address())]);
    let span = Span { trace_id: vec![7; 16], span_id: vec![1; 8], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let headers = ["Content-Type: application/x-protobuf"];
    let spans = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    assert_eq!(http::post(&otlp, "/v1/traces", &headers, &spans).map(|(status, _)| status), Ok(200));
    let (path, logs) = crate::killed::request("l: some noise of job 12");
    assert_eq!(http::post(&otlp, path, &headers, &logs).map(|(status, _)| status), Ok(200));
    let trace = "07070707070707070707070707070707";
    let answer = eventually(Duration::from_secs(10), "the drop is known", || {
        let answer = ask(&slipring, trace);
        if answer.contains("No drop") { Err(answer) } else { Ok(answer) }
    });
    assert!(answer.contains("exporter otlp_http (traces) dropped 1 items: "), "{answer}");
    assert!(answer.contains(&format!("among them: {trace}")), "{answer}");
    let answer = ask(&slipring, "noise of job 12");
    assert!(answer.contains("processor filter (logs) dropped 1 items: filtered"), "{answer}");
    let answer = ask(&slipring, "up{job=\"nobody\"}");
    assert!(answer.starts_with("No drop of up{job=\"nobody\"} is known.\nThe ledger reaches back to 20"), "{answer}");
    assert!(answer.contains("Dropped on purpose, as the config says:\n    processor filter (logs)"), "{answer}");
    slipring.stop();
}

#[test]
fn a_process_that_is_not_there_cannot_be_asked() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let asked = Command::new(env!("CARGO_BIN_EXE_slipring")).args(["why-missing", "--url", &url, "x"]).output();
    let output = asked.expect("slipring runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("is a slipring running there"), "{words}");
}
