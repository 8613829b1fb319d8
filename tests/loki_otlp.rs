//! `otlp_http` to Loki's own OTLP endpoint.

use std::fs;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;

use crate::standins::loki::Loki;
use crate::support::process::Slipring;
use crate::support::{data, eventually, free_port, http};

const CONFIG: &str = "\
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}'}}}
exporters:
  otlp_http: {endpoint: '${env:LOKI}/otlp'}
service:
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp_http]}
";

#[test]
fn records_go_to_lokis_otlp_endpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    fs::write(&config, CONFIG).expect("the folder is writable");
    let loki = Loki::start();
    let otlp = format!("127.0.0.1:{}", free_port());
    let variables = [("OTLP", otlp.clone()), ("LOKI", format!("http://{}", loki.address))];
    let slipring = Slipring::start(&config, folder.path(), &variables);
    let mut records = 0;
    for number in 0..15 {
        let recorded = fs::read(data(&format!("dynamo-1.6.1/otlp/logs-{number:04}.pb"))).expect("recorded data");
        let mut request = ExportLogsServiceRequest::decode(recorded.as_slice()).expect("recorded data decode");
        let groups = request.resource_logs.iter_mut().flat_map(|group| &mut group.scope_logs);
        for record in groups.flat_map(|scope| &mut scope.log_records) {
            records += 1;
            // Loki takes no records of long ago; those without any time are of now.
            record.observed_time_unix_nano = 0;
        }
        let headers = ["Content-Type: application/x-protobuf"];
        let (status, answer) =
            http::post(&otlp, "/v1/logs", &headers, &request.encode_to_vec()).expect("OTLP/HTTP answers");
        assert_eq!(status, 200, "{answer}");
    }
    eventually(Duration::from_secs(20), "all records are at Loki", || match loki.stored().entries().count() {
        count if count == records => Ok(()),
        count => Err(format!("{count} of {records}")),
    });
    let stored = loki.stored();
    assert_eq!(stored.refused, Vec::<String>::new());
    assert!(stored.streams.keys().all(|labels| labels["service_name"].starts_with("dynamo-")));
    assert!(stored.entries().any(|entry| entry.metadata.get("trace_id").is_some_and(|id| id.len() == 32)));
    slipring.stop();
}
