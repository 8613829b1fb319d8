//! A run of Dynamo 1.6.1 as it was recorded: spans, log lines and a scrape of the frontend find each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use pipeline::Signal;

use super::*;
use crate::testing::{exposition, read_metrics};

fn recorded(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/dynamo-1.6.1").join(name)
}

fn requests(signal: Signal) -> Vec<Batch> {
    let mut files: Vec<_> = fs::read_dir(recorded("otlp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(signal.name()));
    files.sort();
    let read = |path: PathBuf| Batch::new(signal, Bytes::from(fs::read(path).unwrap())).unwrap();
    files.into_iter().map(read).collect()
}

fn lines() -> Vec<String> {
    let files = ["frontend", "worker1", "worker2"].map(|name| recorded(&format!("{name}.stderr.jsonl")));
    files
        .iter()
        .flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn spans_of(batches: &[Batch]) -> Vec<Span> {
    let groups = batches.iter().flat_map(|batch| read_spans(batch).resource_spans).flat_map(|group| group.scope_spans);
    groups.flat_map(|scope| scope.spans).collect()
}

fn records_of(batches: &[Batch]) -> Vec<LogRecord> {
    let groups = batches.iter().flat_map(|batch| read_logs(batch).resource_logs).flat_map(|group| group.scope_logs);
    groups.flat_map(|scope| scope.log_records).collect()
}

/// A pipeline that has seen the run's spans.
async fn with_spans() -> (Setup, Vec<Span>) {
    let setup = Setup::new("{wait: 0s}");
    for batch in requests(Signal::Traces) {
        setup.send(batch).await.unwrap();
    }
    let spans = spans_of(&setup.sink(Signal::Traces).take());
    (setup, spans)
}

#[tokio::test(start_paused = true)]
async fn its_lines_have_the_trace_ids_of_its_spans_and_no_decimal_id_is_taken_for_one() {
    let (setup, spans) = with_spans().await;
    let in_spans: BTreeSet<_> = spans.iter().map(|span| hex(&span.trace_id)).collect();
    let lines = lines();
    assert_eq!((lines.len(), spans.len(), in_spans.len()), (965, 269, 31));
    setup.send(logs(lines.iter().map(|line| record(line, vec![], "{}")))).await.unwrap();
    let records = records_of(&setup.sink(Signal::Logs).take());
    let (mut in_lines, mut by_request, mut decimal) = (BTreeSet::new(), 0, 0);
    for (line, record) in lines.iter().zip(&records) {
        let fields: serde_json::Value = serde_json::from_str(line).unwrap();
        match fields["trace_id"].as_str() {
            Some(id) => {
                in_lines.insert(id.to_owned());
                assert_eq!(
                    (hex(&record.trace_id), hex(&record.span_id)),
                    (id.to_owned(), fields["span_id"].as_str().unwrap().to_owned())
                );
            }
            None => {
                assert_eq!(record.span_id, [0u8; 0], "{line}");
                decimal += usize::from(fields["span_id"].is_string());
                by_request += usize::from(!record.trace_id.is_empty());
            }
        }
    }
    assert_eq!((&in_lines, decimal), (&in_spans, 15));
    // 26 lines name only their request, and so do the 15.
    assert_eq!(by_request, 41);
    let with_model = records.iter().filter(|r| r.attributes.iter().any(|a| a.key == "trace.model")).count();
    assert!(with_model > 600, "{with_model}");
}

#[tokio::test(start_paused = true)]
async fn its_spans_show_the_errors_of_their_records() {
    let setup = Setup::new("{wait: 0s}");
    for batch in requests(Signal::Logs) {
        setup.send(batch).await.unwrap();
    }
    let errors = records_of(&setup.sink(Signal::Logs).take()).into_iter().filter(|r| r.severity_number >= 17);
    let mut expected: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    errors.filter(|r| !r.trace_id.is_empty()).for_each(|r| *expected.entry(r.trace_id).or_default() += 1);
    assert!(expected.len() > 10, "{expected:?}");
    for batch in requests(Signal::Traces) {
        setup.send(batch).await.unwrap();
    }
    let mut seen = BTreeMap::new();
    for span in spans_of(&setup.sink(Signal::Traces).take()).iter().filter(|span| span.name == "http-request") {
        let count = span
            .attributes
            .iter()
            .find(|a| a.key == "log.error_count")
            .map(|a| crate::testing::show_value(a.value.as_ref().unwrap()));
        if let Some(count) = count {
            seen.insert(span.trace_id.clone(), count.parse().unwrap());
        }
    }
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn its_histograms_get_exemplars_whose_traces_are_among_the_spans() {
    let (setup, spans) = with_spans().await;
    let end = spans.iter().map(|span| span.end_time_unix_nano).max().unwrap();
    let mut scrape = read_metrics(&exposition::scrape(&fs::read_to_string(recorded("frontend.loaded.prom")).unwrap()));
    for metric in &mut scrape.resource_metrics[0].scope_metrics[0].metrics {
        if let Some(Data::Histogram(histogram)) = &mut metric.data {
            histogram.data_points.iter_mut().for_each(|point| point.time_unix_nano = end + 1);
        }
    }
    setup.send(crate::testing::batch(Signal::Metrics, &scrape)).await.unwrap();
    let out = read_metrics(&setup.sink(Signal::Metrics).take()[0]);
    let requests: BTreeSet<_> =
        spans.iter().filter(|span| span.name == "http-request").map(|span| &span.trace_id).collect();
    let mut exemplars: BTreeMap<&str, usize> = BTreeMap::new();
    for metric in &out.resource_metrics[0].scope_metrics[0].metrics {
        let Some(Data::Histogram(histogram)) = &metric.data else { continue };
        for point in &histogram.data_points {
            for exemplar in &point.exemplars {
                assert!(requests.contains(&exemplar.trace_id));
                *exemplars.entry(metric.name.strip_prefix("dynamo_frontend_").unwrap()).or_default() += 1;
            }
        }
    }
    let names = [
        "input_sequence_tokens",
        "inter_token_latency_seconds",
        "output_sequence_tokens",
        "request_duration_seconds",
        "time_to_first_token_seconds",
    ];
    assert_eq!(exemplars.keys().copied().collect::<Vec<_>>(), names);
    assert!(exemplars["time_to_first_token_seconds"] >= 3, "{exemplars:?}");
}
