//! What real senders' metrics become.

use std::collections::BTreeSet;

use bytes::Bytes;
use pipeline::{Batch, Signal};

use super::convert::{conversion, request};
use super::prompb::WriteRequest;
use crate::prometheus_remote_write::convert::convert;
use crate::prometheus_remote_write::timeseries::Message;

fn converted(file: &str) -> (WriteRequest, usize) {
    let path = format!("{}/../tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let batch = Batch::new(Signal::Metrics, Bytes::from(std::fs::read(path).unwrap())).unwrap();
    let converted = convert(&conversion(), Message::V1, &batch).unwrap();
    (request(&converted), converted.dropped.items())
}

#[test]
fn the_metrics_of_transformers_have_the_names_that_its_dashboard_asks_for() {
    let mut names = BTreeSet::new();
    for file in ["metrics-001.pb", "metrics-004.pb"] {
        let (request, dropped) = converted(&format!("transformers-5.0.0/{file}"));
        assert_eq!(dropped, 0);
        assert!(request.timeseries.iter().all(|t| t.label("job") == Some("transformers")));
        names.extend(request.timeseries.iter().map(|t| t.label("__name__").unwrap().to_owned()));
    }
    for name in [
        "kv_cache_memory_bytes",
        "kv_cache_free_memory_bytes",
        "active_requests_count",
        "waiting_requests_count",
        "decode_prefill_ratio",
        "decode_tokens_processed_total",
        "prefill_tokens_processed_total",
        "batch_fill_percentage_percent_bucket",
        "ttft_milliseconds_bucket",
        "request_latency_milliseconds_bucket",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
}

#[test]
fn the_metrics_of_dynamo_all_have_a_form() {
    let mut names = BTreeSet::new();
    for i in 0..15 {
        let (request, dropped) = converted(&format!("dynamo-1.6.1/otlp/metrics-{i:04}.pb"));
        assert_eq!(dropped, 0);
        assert!(!request.timeseries.is_empty());
        names.extend(request.timeseries.iter().map(|t| t.label("__name__").unwrap().to_owned()));
    }
    for name in [
        "dynamo_component_requests_total",
        "dynamo_component_request_duration_seconds_bucket",
        "vllm:num_preemptions_total",
        "vllm:time_to_first_token_seconds_count",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
}
