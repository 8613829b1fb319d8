//! Debian's Prometheus as the far side: remote write from a sender that would rather speak 2.0, requests that it refuses in
//! part, and the exposition endpoint, scraped as text and as protobuf.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::process::Slipring;
use crate::support::prometheus::Prometheus;
use crate::support::{eventually, free_port, http};

const NATIVE: &str = "--enable-feature=native-histograms";
const NOTHING_TO_SCRAPE: &str = "global: {scrape_interval: 1h}\n";

/// A `slipring` with an OTLP receiver in front of that exporter.
struct Sender {
    slipring: Slipring,
    otlp: String,
}

impl Sender {
    fn start(folder: &Path, exporter: &str) -> Sender {
        let otlp = format!("127.0.0.1:{}", free_port());
        let config = format!(
            "receivers:\n  otlp: {{protocols: {{http: {{endpoint: '{otlp}'}}}}}}\n\
             processors:\n  delta_to_cumulative: {{}}\n\
             exporters:\n  {exporter}\n\
             service:\n  pipelines:\n    metrics: {{receivers: [otlp], processors: [delta_to_cumulative], exporters: [{}]}}\n",
            exporter.split(':').next().expect("its type")
        );
        let path = folder.join("config.yaml");
        fs::write(&path, config).expect("the folder is writable");
        Sender { slipring: Slipring::start(&path, folder, &[]), otlp }
    }

    fn send(&self, metrics: &[Value]) {
        let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]});
        let body = json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]});
        let json = &["Content-Type: application/json"];
        let answer = http::post(&self.otlp, "/v1/metrics", json, body.to_string().as_bytes()).expect("an answer");
        assert_eq!(answer.0, 200, "{}", answer.1);
    }
}

/// Nanoseconds since 1970, so many seconds ago, as OTLP JSON has them.
fn ago(seconds: u64) -> String {
    #[allow(clippy::disallowed_methods, reason = "prometheus takes nothing old")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    (now - Duration::from_secs(seconds)).as_nanos().to_string()
}

fn sum(name: &str, temporality: u8, points: &[Value]) -> Value {
    json!({"name": name, "sum": {"aggregationTemporality": temporality, "isMonotonic": true, "dataPoints": points}})
}

fn point(start: &str, time: &str, value: f64) -> Value {
    json!({"startTimeUnixNano": start, "timeUnixNano": time, "asDouble": value})
}

fn exponential(time: &str) -> Value {
    let point = json!({
        "timeUnixNano": time, "count": "10", "sum": 30.5, "scale": 2, "zeroCount": "1",
        "positive": {"offset": 1, "bucketCounts": ["2", "0", "0", "0", "7"]}
    });
    json!({"name": "latency", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [point]}})
}

fn classic(time: &str) -> Value {
    let point = json!({
        "timeUnixNano": time, "count": "6", "sum": 12.5, "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.5, 10.0]
    });
    json!({"name": "size", "unit": "By", "histogram": {"aggregationTemporality": 2, "dataPoints": [point]}})
}

#[track_caller]
fn shows(prometheus: &Prometheus, expression: &str, expected: f64) {
    eventually(Duration::from_secs(20), expression, || match prometheus.value(expression)? {
        value if (value - expected).abs() < 1e-9 => Ok(()),
        other => Err(format!("{expression} is {other}")),
    });
}

#[test]
fn a_prometheus_without_2_0_gets_everything_in_1_0_native_histograms_and_deltas_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prometheus = Prometheus::start_with("prometheus", folder.path(), NOTHING_TO_SCRAPE, &[NATIVE]);
    let exporter = format!(
        "prometheus_remote_write: {{endpoint: 'http://{}/api/v1/write', \
         protobuf_message: io.prometheus.write.v2.Request, send_metadata: true}}",
        prometheus.address
    );
    let sender = Sender::start(folder.path(), &exporter);
    let (start, middle, end) = (ago(30), ago(20), ago(10));
    sender.send(&[sum("tokens", 1, &[point(&start, &middle, 2.0)]), exponential(&end), classic(&end)]);
    sender.send(&[sum("tokens", 1, &[point(&middle, &end, 3.0)])]);
    shows(&prometheus, "tokens_total{job=\"shop\"}", 5.0);
    shows(&prometheus, "min_over_time(tokens_total[1m])", 2.0);
    shows(&prometheus, "size_bytes_bucket{job=\"shop\",le=\"10\"}", 3.0);
    shows(&prometheus, "histogram_count(latency)", 10.0);
    shows(&prometheus, "histogram_sum(latency)", 30.5);
    // Above 2^(6/4), where the last bucket of seven ends, there is nothing.
    shows(&prometheus, "histogram_fraction(0, 2.9, latency)", 1.0);
    shows(&prometheus, "histogram_fraction(0, 1.7, latency)", 0.3);
    let printed = sender.slipring.stop();
    assert!(printed.contains("writing 1.0 from now on"), "{printed}");
}

#[test]
fn of_a_refused_request_only_the_offending_series_is_lost_and_it_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prometheus = Prometheus::start_with("prometheus", folder.path(), NOTHING_TO_SCRAPE, &[]);
    let exporter = format!("prometheus_remote_write: {{endpoint: 'http://{}/api/v1/write'}}", prometheus.address);
    let sender = Sender::start(folder.path(), &exporter);
    let time = ago(10);
    let gauge = |values: &mut dyn Iterator<Item = (u32, f64)>| {
        let point = |(i, value): (u32, f64)| {
            let label = json!([{"key": "i", "value": {"stringValue": i.to_string()}}]);
            json!({"timeUnixNano": &time, "asDouble": value, "attributes": label})
        };
        json!({"name": "g", "gauge": {"dataPoints": values.map(point).collect::<Vec<_>>()}})
    };
    sender.send(&[gauge(&mut (0..40).map(|i| (i, 1.0)))]);
    shows(&prometheus, "count(g)", 40.0);
    // Another value for the same time is what Prometheus refuses; the same value it takes again.
    sender.send(&[gauge(&mut (0..100).map(|i| (i, if i == 17 { 2.0 } else { 1.0 })))]);
    shows(&prometheus, "count(g)", 100.0);
    shows(&prometheus, "g{i=\"17\"}", 1.0);
    let lost = sender.slipring.own_metrics().sum("slipring_dropped_items_total", &[("reason", "http_400")]);
    assert!((lost - 1.0).abs() < 1e-9, "{lost}");
    let printed = sender.slipring.stop();
    assert!(printed.contains("i=\\\"17\\\"") || printed.contains("i=\"17\""), "{printed}");
}

#[test]
fn prometheus_scrapes_the_endpoint_in_open_metrics_and_in_protobuf() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let endpoint = format!("127.0.0.1:{}", free_port());
    let exporter = format!("prometheus: {{endpoint: '{endpoint}', enable_open_metrics: true}}");
    let sender = Sender::start(folder.path(), &exporter);
    let (start, end) = (ago(30), ago(10));
    sender.send(&[sum("tokens", 2, &[point(&start, &end, 5.0)]), exponential(&end), classic(&end)]);
    let config = format!(
        "scrape_configs:\n- {{job_name: slipring, scrape_interval: 1s, honor_labels: true, \
         static_configs: [{{targets: ['{endpoint}']}}]}}\n"
    );
    let text = Prometheus::start_with("text", folder.path(), &config, &[]);
    let protobuf = Prometheus::start_with("protobuf", folder.path(), &config, &[NATIVE]);
    for prometheus in [&text, &protobuf] {
        shows(prometheus, "up", 1.0);
        shows(prometheus, "tokens_total{job=\"shop\"}", 5.0);
        shows(
            prometheus,
            "size_bytes_bucket{job=\"shop\",le=\"10.0\"} or size_bytes_bucket{job=\"shop\",le=\"10\"}",
            3.0,
        );
        shows(prometheus, "size_bytes_count", 6.0);
    }
    shows(&text, "latency_count", 10.0);
    shows(&protobuf, "histogram_count(latency)", 10.0);
    shows(&protobuf, "histogram_fraction(0, 1.7, latency)", 0.3);
    sender.slipring.stop();
}
