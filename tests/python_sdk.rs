//! The Python OpenTelemetry SDK sends all three signals over gRPC and HTTP; they come out at a stand-in for Tempo and in a
//! file.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::standins::tempo::Tempo;
use crate::support::process::Slipring;
use crate::support::{eventually, free_port, workspace};

const CONFIG: &str = "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: '${env:OTLP_GRPC}'}
      http: {endpoint: '${env:OTLP_HTTP}'}
processors:
  resource:
    attributes: [{key: injected, value: 'yes', action: insert}]
exporters:
  otlp_grpc: {endpoint: '${env:TEMPO}'}
  file: {path: '${env:OUT}'}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [resource], exporters: [otlp_grpc, file]}
    metrics: {receivers: [otlp], processors: [resource], exporters: [file]}
    logs: {receivers: [otlp], processors: [resource], exporters: [file]}
";

#[test]
fn the_python_sdk_is_understood_over_grpc_and_http_plain_and_gzipped() {
    let python = std::env::var("SLIPRING_TEST_PYTHON").expect("cargo xtask test sets SLIPRING_TEST_PYTHON");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    fs::write(&config, CONFIG).expect("the folder is writable");
    let tempo = Tempo::start();
    let out = folder.path().join("out.jsonl");
    let [grpc, http] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let variables = [
        ("OTLP_GRPC", grpc.clone()),
        ("OTLP_HTTP", http.clone()),
        ("TEMPO", format!("http://{}", tempo.address)),
        ("OUT", out.display().to_string()),
    ];
    let slipring = Slipring::start(&config, folder.path(), &variables);
    let mut sent = 0;
    for protocol in ["grpc", "http/protobuf"] {
        for compression in ["none", "gzip"] {
            let endpoint = if protocol == "grpc" { &grpc } else { &http };
            let output = Command::new(&python)
                .arg(workspace().join("tests/peers/send_otlp.py"))
                .args([protocol, &format!("http://{endpoint}"), compression])
                .output()
                .expect("python runs");
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && words.is_empty(), "{protocol} {compression}: {words}");
            sent += 1;
        }
    }
    eventually(Duration::from_secs(20), "every span is at the stand-in", || match tempo.stored().spans {
        spans if spans == sent * 10 => Ok(()),
        spans => Err(format!("{spans} spans")),
    });
    assert!(tempo.stored().resource_attributes.contains("injected=yes"));
    eventually(Duration::from_secs(20), "metrics and logs are in the file", || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        let counts = ["\"name\":\"sdk.counter\"", "\"name\":\"sdk.histogram\"", "\"stringValue\":\"a log line\""]
            .map(|needle| text.matches(needle).count());
        // The SDK exports its metrics once more when it shuts down.
        let [counters, histograms, logs] = counts;
        let all = counters >= sent && histograms >= sent && logs == sent;
        if all { Ok(()) } else { Err(format!("{counts:?} of {sent}")) }
    });
    slipring.stop();
}
