//! The main job on the real thing: Dynamo 1.6.1 with its mock engine in; Debian's Prometheus, and stand-ins for Tempo
//! and Loki, out; wired by `configs/dynamo-local.yaml`. Before it stands a second process with
//! `configs/dynamo-correlated.yaml`: the spans go through both, lines and metrics of the same Dynamo to each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::standins::loki::Loki;
use crate::standins::remote_write::RemoteWrite;
use crate::standins::tempo::Tempo;
use crate::support::process::{Process, Slipring};
use crate::support::prometheus::Prometheus;
use crate::support::{eventually, free_low_port, free_port, http, workspace};
use crate::twin;

const REQUESTS: usize = 20;
const MODEL: &str = "TinyLlama/TinyLlama_v1.1";

#[test]
fn dynamo_arrives_whole_at_prometheus_tempo_and_loki() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prometheus = Prometheus::start("prometheus", folder.path(), "global: {scrape_interval: 1h}\n");
    let (tempo, loki) = (Tempo::start(), Loki::start());
    let dynamo = folder.path().join("dynamo");
    let [frontend, worker1, worker2] = std::array::from_fn(|_| free_low_port());
    let [grpc, http_port] = std::array::from_fn(|_| free_port());
    let variables = [
        ("PROMETHEUS", format!("http://{}", prometheus.address)),
        ("TEMPO", format!("http://{}", tempo.address)),
        ("LOKI", format!("http://{}", loki.address)),
        ("DYNAMO_FRONTEND", format!("127.0.0.1:{frontend}")),
        ("DYNAMO_WORKER_1", format!("127.0.0.1:{worker1}")),
        ("DYNAMO_WORKER_2", format!("127.0.0.1:{worker2}")),
        ("DYNAMO_LOGS", format!("{}/*.jsonl", dynamo.display())),
        ("OTLP_GRPC", format!("127.0.0.1:{grpc}")),
        ("OTLP_HTTP", format!("127.0.0.1:{http_port}")),
        ("SCRAPE_INTERVAL", "1s".to_owned()),
        ("CLUSTER", "test-cluster".to_owned()),
        ("DEPLOYMENT", "test-deployment".to_owned()),
    ];
    let slipring = Slipring::start(&workspace().join("configs/dynamo-local.yaml"), folder.path(), &variables);
    let correlated = Correlated::start(folder.path(), &dynamo, frontend, grpc);
    let mut dynamo_process = start_dynamo(&dynamo, [frontend, worker1, worker2], correlated.otlp);
    for n in 0..REQUESTS {
        chat(frontend, n);
    }

    metrics_arrive(&prometheus);
    let targets = [frontend, worker1, worker2].map(|port| format!("127.0.0.1:{port}"));
    twin::agree_about(&[
        ("dynamo-frontend", &targets[0]),
        ("dynamo-backend", &targets[1]),
        ("dynamo-backend-2", &targets[2]),
    ]);
    correlated.has_exemplars_of(&tempo);
    // Dynamo flushes its spans when it stops.
    dynamo_process.signal("TERM");
    dynamo_process.wait(Duration::from_secs(30));
    let logged = trace_ids_logged(&dynamo);
    assert!(logged.len() >= REQUESTS, "only {} trace ids in the JSONL", logged.len());
    traces_and_logs_arrive(&logged, &dynamo, &tempo, &loki);
    correlated.has_lines_of(&logged);
    correlated.stop();
    counts_agree(&slipring, &tempo, &loki);
    assert_eq!(loki.stored().refused, Vec::<String>::new());
    slipring.stop();
}

/// `configs/dynamo-correlated.yaml` on the same Dynamo.
struct Correlated {
    slipring: Slipring,
    loki: Loki,
    prometheus: RemoteWrite,
    /// Where it takes spans over gRPC.
    otlp: u16,
}

impl Correlated {
    /// Its Tempo is the gRPC port `tempo`.
    fn start(folder: &Path, dynamo: &Path, frontend: u16, tempo: u16) -> Correlated {
        let folder = folder.join("correlated");
        fs::create_dir_all(&folder).expect("the folder is writable");
        let (loki, prometheus, otlp) = (Loki::start(), RemoteWrite::start(), free_port());
        let variables = [
            ("PROMETHEUS", format!("http://{}", prometheus.address)),
            ("TEMPO", format!("http://127.0.0.1:{tempo}")),
            ("LOKI", format!("http://{}", loki.address)),
            ("DYNAMO_FRONTEND", format!("127.0.0.1:{frontend}")),
            ("DYNAMO_LOGS", format!("{}/*.jsonl", dynamo.display())),
            ("OTLP_GRPC", format!("127.0.0.1:{otlp}")),
            ("OTLP_HTTP", format!("127.0.0.1:{}", free_port())),
            ("SCRAPE_INTERVAL", "1s".to_owned()),
        ];
        let slipring = Slipring::start(&workspace().join("configs/dynamo-correlated.yaml"), &folder, &variables);
        Correlated { slipring, loki, prometheus, otlp }
    }

    /// The frontend's histograms have exemplars, each of a trace that is at Tempo.
    fn has_exemplars_of(&self, tempo: &Tempo) {
        let names = ["request_duration_seconds", "time_to_first_token_seconds", "output_sequence_tokens"];
        let buckets = names.map(|name| format!("dynamo_frontend_{name}_bucket"));
        eventually(Duration::from_secs(40), "the frontend's histograms have exemplars", || {
            let have: BTreeSet<_> = self.prometheus.stored().0.iter().map(|e| e.series["__name__"].clone()).collect();
            let missing: Vec<_> = buckets.iter().filter(|name| !have.contains(*name)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} have none, {have:?} have")) }
        });
        eventually(Duration::from_secs(20), "every exemplar's trace is at Tempo", || {
            let traces = tempo.stored().trace_ids;
            let (exemplars, refused) = self.prometheus.stored();
            assert_eq!(refused, Vec::<String>::new());
            match exemplars.iter().find(|exemplar| !traces.contains(&exemplar.labels["trace_id"])) {
                None => Ok(()),
                Some(exemplar) => Err(format!("{exemplar:?}")),
            }
        });
        for exemplar in self.prometheus.stored().0 {
            let le: f64 = exemplar.series["le"].parse().expect("a bound");
            assert!(exemplar.value <= le, "{exemplar:?}");
        }
    }

    /// The lines have their trace ids, and those of requests have facts of their traces.
    fn has_lines_of(&self, logged: &BTreeSet<String>) {
        eventually(Duration::from_secs(30), "the lines of all traces are at Loki, with facts of most", || {
            let stored = self.loki.stored();
            let ids = |name: &str| -> BTreeSet<String> {
                let with = stored.entries().filter(|entry| entry.metadata.contains_key(name));
                with.filter_map(|entry| entry.metadata.get("trace_id").cloned()).collect()
            };
            let (traces, served, modelled) = (ids("trace_id"), ids("trace_service"), ids("trace_model"));
            if traces.is_superset(logged) && served.len() >= REQUESTS && modelled.len() >= REQUESTS {
                return Ok(());
            }
            Err(format!(
                "{} of {} traces, facts of {} and {}",
                traces.len(),
                logged.len(),
                served.len(),
                modelled.len()
            ))
        });
        let stored = self.loki.stored();
        assert_eq!(stored.refused, Vec::<String>::new());
        for entry in stored.entries() {
            if let Some(id) = entry.metadata.get("trace_id") {
                assert!(entry.line.contains(id.as_str()), "the trace id is not in the line: {}", entry.line);
            }
        }
    }

    fn stop(self) {
        self.slipring.stop();
    }
}

fn start_dynamo(folder: &Path, [frontend, worker1, worker2]: [u16; 3], otlp: u16) -> Process {
    fs::create_dir_all(folder).expect("the folder is writable");
    let mut command = Command::new(workspace().join("tests/peers/run-dynamo"));
    command.arg(folder).env("FRONTEND_PORT", frontend.to_string());
    command.env("WORKER1_PORT", worker1.to_string()).env("WORKER2_PORT", worker2.to_string());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{otlp}"));
    let mut process = Process::start("dynamo", &mut command, &folder.join("run.out"));
    eventually(Duration::from_secs(150), "dynamo serves its model", || {
        assert!(process.is_running(), "dynamo ended: {}", process.printed());
        if folder.join("ready").exists() { Ok(()) } else { Err("not ready".to_owned()) }
    });
    process
}

fn chat(frontend: u16, n: usize) {
    let body = format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"request {n}: the quick brown fox"}}],"max_tokens":16,"stream":{}}}"#,
        n.is_multiple_of(2)
    );
    let headers = ["Content-Type: application/json".to_owned(), format!("x-request-id: test-{n}")];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = http::post(&format!("127.0.0.1:{frontend}"), "/v1/chat/completions", &headers, body.as_bytes());
    assert!(matches!(answer, Ok((200, _))), "{answer:?}");
}

fn metrics_arrive(api: &Prometheus) {
    let requests = format!(
        "sum(dynamo_frontend_requests_total{{cluster=\"test-cluster\",job=\"dynamo-frontend\"}}) >= {REQUESTS}"
    );
    eventually(Duration::from_secs(30), "the frontend's requests are counted", || api.value(&requests));
    let workers = "count(count by (instance, worker_id) (dynamo_component_uptime_seconds{cluster=\"test-cluster\",job=\"dynamo-backend\"}))";
    eventually(Duration::from_secs(30), "both workers have series with the injected label", || {
        match api.value(workers)? {
            2.0 => Ok(()),
            other => Err(format!("{other} workers")),
        }
    });
    eventually(Duration::from_secs(30), "all three targets are up", || match api.value("sum(up)")? {
        3.0 => Ok(()),
        other => Err(format!("{other} up")),
    });
    // What the filter keeps out, although Dynamo exposes it.
    let outside = "count({__name__=~\"dynamo_tokio_.*|dynamo_transport_.*|dynamo_request_plane_.*|process_.*\"})";
    assert_eq!(api.query(outside), Ok(Vec::new()));
    // Names and labels as Prometheus would have stored them itself.
    assert_eq!(api.query("{__name__=~\"dynamo_component_kv_cache_events_applied_total\"}"), Ok(Vec::new()));
    let buckets = "count(dynamo_frontend_time_to_first_token_seconds_bucket{le=\"+Inf\"}) > 0";
    eventually(Duration::from_secs(10), "histograms keep their buckets", || api.value(buckets));
    assert_eq!(api.query("{otel_scope_name=~\".+\"}"), Ok(Vec::new()));
}

fn trace_ids_logged(folder: &Path) -> BTreeSet<String> {
    lines(folder).filter_map(|line| line["trace_id"].as_str().map(str::to_owned)).collect()
}

fn lines(folder: &Path) -> impl Iterator<Item = Value> {
    let files = ["frontend", "worker1", "worker2"].map(|name| folder.join(format!("{name}.stderr.jsonl")));
    files.into_iter().flat_map(|path| {
        let text = fs::read_to_string(&path).expect("dynamo wrote its log");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>()
    })
}

fn traces_and_logs_arrive(logged: &BTreeSet<String>, folder: &Path, tempo: &Tempo, loki: &Loki) {
    eventually(Duration::from_secs(30), "every trace id of the JSONL is at Tempo", || {
        let missing: Vec<_> = logged.difference(&tempo.stored().trace_ids).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{} missing: {missing:?}", missing.len())) }
    });
    eventually(Duration::from_secs(30), "every line is at Loki, its trace id beside it", || {
        let stored = loki.stored();
        let ids: BTreeSet<String> = stored.entries().filter_map(|e| e.metadata.get("trace_id").cloned()).collect();
        let (have, want) = (stored.entries().count(), lines(folder).count());
        if ids == *logged && have >= want { Ok(()) } else { Err(format!("{} ids, {have} of {want} lines", ids.len())) }
    });
    let stored = loki.stored();
    for (labels, entries) in &stored.streams {
        for name in ["namespace", "nvidia_com_dynamo_graph_deployment_name", "nvidia_com_dynamo_component_type"] {
            assert!(labels.contains_key(name), "{labels:?}");
        }
        for entry in entries {
            if let Some(id) = entry.metadata.get("trace_id") {
                assert!(entry.line.contains(id.as_str()), "the trace id is not in the line: {}", entry.line);
            }
        }
    }
    eventually(Duration::from_secs(20), "the requests' spans are at Tempo, labelled", || {
        let stored = tempo.stored();
        let labelled = stored.resource_attributes.contains("deployment.environment.name=test-cluster");
        let named = stored.span_names.contains("http-request");
        if labelled && named { Ok(()) } else { Err(format!("labelled {labelled}, names {:?}", stored.span_names)) }
    });
}

/// What went in at the doors is what came out at the ends.
fn counts_agree(slipring: &Slipring, tempo: &Tempo, loki: &Loki) {
    eventually(Duration::from_secs(20), "the counts agree", || {
        let own = slipring.own_metrics();
        let spans = [
            own.sum("otelcol_receiver_accepted_spans_total", &[("transport", "grpc")]),
            own.sum("otelcol_exporter_sent_spans_total", &[]),
            tempo.stored().spans as f64,
        ];
        let records = [
            own.sum("otelcol_receiver_accepted_log_records_total", &[("receiver", "file_log/dynamo")]),
            own.sum("otelcol_exporter_sent_log_records_total", &[]),
            loki.stored().entries().count() as f64,
        ];
        let points = [
            own.sum("otelcol_receiver_accepted_metric_points_total", &[]),
            own.sum("otelcol_exporter_sent_metric_points_total", &[])
                + own.sum("slipring_dropped_items_total", &[("signal", "metrics")])
                + own.sum("slipring_in_flight_items", &[("signal", "metrics")]),
        ];
        let equal = |counts: &[f64]| counts.iter().all(|c| *c == counts[0]) && counts[0] > 0.0;
        if equal(&spans) && equal(&records) && equal(&points) {
            Ok(())
        } else {
            Err(format!("spans {spans:?}, records {records:?}, points {points:?}"))
        }
    });
}
