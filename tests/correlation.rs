//! `configs/dynamo-correlated.yaml` on a recorded run of Dynamo: its spans, lines and a scrape of its frontend go in; what
//! comes out at the stand-ins for Tempo, Loki and Prometheus has one trace id in all three.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;

use crate::standins::loki::Loki;
use crate::standins::remote_write::RemoteWrite;
use crate::standins::stage::Stage;
use crate::standins::tempo::Tempo;
use crate::support::process::Slipring;
use crate::support::{data, eventually, free_port, http, workspace};

const FILES: [&str; 3] = ["frontend", "worker1", "worker2"];

#[test]
fn one_trace_id_goes_through_spans_lines_and_histograms() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tempo, loki, prometheus, frontend) = (Tempo::start(), Loki::start(), RemoteWrite::start(), Stage::start());
    let metrics = fs::read_to_string(data("dynamo-1.6.1/frontend.loaded.prom")).expect("recorded data");
    frontend.say("/metrics", "text/plain; charset=utf-8", &metrics);
    let lines = write_lines(folder.path());
    let otlp = format!("127.0.0.1:{}", free_port());
    let variables = [
        ("PROMETHEUS", format!("http://{}", prometheus.address)),
        ("TEMPO", format!("http://{}", tempo.address)),
        ("LOKI", format!("http://{}", loki.address)),
        ("DYNAMO_FRONTEND", frontend.address.clone()),
        ("DYNAMO_LOGS", format!("{}/*.jsonl", folder.path().display())),
        ("OTLP_GRPC", format!("127.0.0.1:{}", free_port())),
        ("OTLP_HTTP", otlp.clone()),
        ("SCRAPE_INTERVAL", "1s".to_owned()),
        ("WAIT", "10s".to_owned()),
    ];
    let slipring = Slipring::start(&workspace().join("configs/dynamo-correlated.yaml"), folder.path(), &variables);
    for request in spans() {
        let headers = ["Content-Type: application/x-protobuf"];
        let (status, answer) = http::post(&otlp, "/v1/traces", &headers, &request).expect("OTLP/HTTP answers");
        assert_eq!(status, 200, "{answer}");
    }

    let in_lines: BTreeSet<String> = lines.iter().filter_map(|l| l["trace_id"].as_str().map(str::to_owned)).collect();
    assert_eq!((lines.len(), in_lines.len()), (965, 31));
    eventually(Duration::from_secs(20), "the spans are at Tempo", || {
        let ids = tempo.stored().trace_ids;
        if ids == in_lines { Ok(()) } else { Err(format!("{} trace ids", ids.len())) }
    });
    eventually(Duration::from_secs(20), "the lines are at Loki", || match loki.stored().entries().count() {
        965 => Ok(()),
        entries => Err(format!("{entries} entries")),
    });
    lines_have_their_traces(&loki, &lines, &in_lines);
    let names = eventually(Duration::from_secs(20), "exemplars are at Prometheus", || {
        let (exemplars, _) = prometheus.stored();
        let names: BTreeSet<_> = exemplars.iter().map(|e| e.series["__name__"].clone()).collect();
        if names.len() >= 5 { Ok(names) } else { Err(format!("{names:?}")) }
    });
    assert!(names.iter().all(|name| name.starts_with("dynamo_frontend_") && name.ends_with("_bucket")), "{names:?}");
    let (exemplars, refused) = prometheus.stored();
    assert_eq!(refused, Vec::<String>::new());
    for exemplar in exemplars {
        assert!(in_lines.contains(&exemplar.labels["trace_id"]), "{exemplar:?}");
        assert!(["TinyLlama/TinyLlama_v1.1", "unknown_model"].contains(&&*exemplar.series["model"]), "{exemplar:?}");
        let le: f64 = exemplar.series["le"].parse().expect("a bound");
        assert!(exemplar.value <= le, "{exemplar:?}");
    }
    assert_eq!(loki.stored().refused, Vec::<String>::new());
    let own = slipring.own_metrics();
    assert!(own.sum("slipring_trace_correlation_hits_total", &[("signal", "logs")]) > 700.0);
    assert!(own.sum("slipring_trace_correlation_held_bytes", &[("what", "index")]) > 0.0);
    slipring.stop();
}

/// The lines, in three files, without their times: Loki takes no lines of long ago.
fn write_lines(folder: &std::path::Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for name in FILES {
        let path = format!("{name}.stderr.jsonl");
        let text = fs::read_to_string(data(&format!("dynamo-1.6.1/{path}"))).expect("recorded data");
        let now: String = text
            .lines()
            .map(|line| match line.split_once("\",") {
                Some((time, rest)) if time.starts_with("{\"time\"") => format!("{{{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        lines.extend(now.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON")));
        fs::write(folder.join(path), now).expect("the folder is writable");
    }
    lines
}

/// The requests with spans, as if they had ended now.
#[allow(clippy::disallowed_methods, reason = "the process under test has the system's clock")]
fn spans() -> Vec<Vec<u8>> {
    let read = |number: usize| {
        let bytes = fs::read(data(&format!("dynamo-1.6.1/otlp/traces-{number:04}.pb"))).expect("recorded data");
        ExportTraceServiceRequest::decode(bytes.as_slice()).expect("recorded data decode")
    };
    let mut requests: Vec<_> = (0..6).map(read).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let now = u64::try_from(now).expect("before 2554");
    let all = |requests: &mut Vec<ExportTraceServiceRequest>, change: &mut dyn FnMut(&mut u64)| {
        let groups = requests.iter_mut().flat_map(|r| &mut r.resource_spans).flat_map(|g| &mut g.scope_spans);
        for span in groups.flat_map(|scope| &mut scope.spans) {
            change(&mut span.start_time_unix_nano);
            change(&mut span.end_time_unix_nano);
        }
    };
    let mut last = 0;
    all(&mut requests, &mut |time| last = last.max(*time));
    all(&mut requests, &mut |time| *time = now - (last - *time));
    requests.iter().map(Message::encode_to_vec).collect()
}

/// Every line's own trace id, or that of its request, is beside it and in it.
fn lines_have_their_traces(loki: &Loki, lines: &[Value], in_lines: &BTreeSet<String>) {
    let stored = loki.stored();
    for labels in stored.streams.keys() {
        for name in
            ["namespace", "nvidia_com_dynamo_graph_deployment_name", "nvidia_com_dynamo_component_type", "service_name"]
        {
            assert!(labels.contains_key(name), "{labels:?}");
        }
        assert!(!labels.contains_key("trace_id"), "{labels:?}");
    }
    let ids: BTreeSet<String> = stored.entries().filter_map(|e| e.metadata.get("trace_id").cloned()).collect();
    assert_eq!(ids, *in_lines);
    let with_ids = stored.entries().filter(|e| e.metadata.contains_key("trace_id")).count();
    let own = lines.iter().filter(|line| line["trace_id"].is_string()).count();
    // 41 lines name only their request.
    assert_eq!(with_ids, own + 41);
    for entry in stored.entries() {
        if let Some(id) = entry.metadata.get("trace_id") {
            assert!(entry.line.contains(id.as_str()), "{}", entry.line);
            serde_json::from_str::<Value>(&entry.line).expect("the line is still JSON");
        }
    }
    let with_facts = stored.entries().filter(|e| e.metadata.contains_key("trace_service")).count();
    assert!(with_facts > 700, "{with_facts}");
}
