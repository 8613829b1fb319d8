//! `configs/quickstart.yaml` as the README shows it: no server, OTLP and a file in, a file out.

use std::fs;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::support::process::Slipring;
use crate::support::{data, eventually, http, workspace};

#[test]
fn the_quickstart_takes_a_span_and_a_line_and_writes_them_with_its_own_metrics_to_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.jsonl");
    let line = r#"{"time":"2026-11-20T15:31:26.681620Z","level":"INFO","target":"request_span","message":"SPAN_CLOSED","span_id":"bb984f8a387a4d39","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;
    fs::write(folder.path().join("in.jsonl"), format!("{line}\n")).expect("the folder is writable");
    let variables = [
        ("QUICKSTART_LOG", folder.path().join("in.jsonl").display().to_string()),
        ("QUICKSTART_OUT", out.display().to_string()),
    ];
    // The quickstart scrapes its own metrics at their default address, and listens at OTLP's.
    let config = workspace().join("configs/quickstart.yaml");
    let slipring = Slipring::start(&config, folder.path(), &variables);
    let request = fs::read(data("dynamo-1.6.1/otlp/traces-0004.pb")).expect("recorded data");
    let spans = ExportTraceServiceRequest::decode(request.as_slice()).expect("recorded data decode");
    let name = spans.resource_spans[0].scope_spans[0].spans[0].name.clone();
    let headers = ["Content-Type: application/x-protobuf"];
    let (status, _) = http::post("127.0.0.1:4318", "/v1/traces", &headers, &request).expect("OTLP/HTTP answers");
    assert_eq!(status, 200);
    eventually(Duration::from_secs(20), "span and line are in the file", || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        let traces = text.contains(&format!("\"name\":\"{name}\"")) && text.contains("quickstart");
        let logs = text.contains("4bf92f3577b34da6a3ce929d0e0e4736") && text.contains("bb984f8a387a4d39");
        if traces && logs { Ok(()) } else { Err(format!("traces {traces}, logs {logs}")) }
    });
    let printed = slipring.stop();
    assert!(!printed.contains("ERROR"), "{printed}");
}
