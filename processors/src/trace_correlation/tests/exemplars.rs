//! Histograms: the spans that explain them.

use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Histogram, HistogramDataPoint, Metric, exemplar, metric::Data,
};
use pipeline::{Refused, Signal};
use tokio::time::advance;

use super::*;
use crate::testing::{metrics, read_metrics};

const TTFT: &str = "dynamo_frontend_time_to_first_token_seconds";

/// A request of a model that has ended at that second.
fn request(number: u8, model: &str, end: u64, ttft_ms: &str) -> Batch {
    let given = attributes(&format!("{{model: {model}, ttft_ms: '{ttft_ms}'}}"));
    let mut root = span("http-request", number, (1, 0), given);
    (root.start_time_unix_nano, root.end_time_unix_nano) = ((end - 2) * 1_000_000_000, end * 1_000_000_000);
    spans("frontend", [root])
}

/// A point at that second with the bounds 0.1 and 1.
fn point(model: &str, at: u64, bucket_counts: [u64; 3]) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(&format!("{{model: {model}}}")),
        time_unix_nano: at * 1_000_000_000,
        count: bucket_counts.iter().sum(),
        bucket_counts: bucket_counts.into(),
        explicit_bounds: vec![0.1, 1.0],
        ..HistogramDataPoint::default()
    }
}

fn histogram(name: &str, data_points: Vec<HistogramDataPoint>) -> Batch {
    let data = Data::Histogram(Histogram { data_points, aggregation_temporality: 2 });
    metrics(
        resource("{job: f}"),
        scope("", ""),
        vec![Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }],
    )
}

fn exemplars(batch: &Batch) -> Vec<Exemplar> {
    let groups = read_metrics(batch).resource_metrics.into_iter().flat_map(|group| group.scope_metrics);
    let points = groups.flat_map(|scope| scope.metrics).flat_map(|metric| match metric.data {
        Some(Data::Histogram(histogram)) => histogram.data_points,
        _ => Vec::new(),
    });
    points.flat_map(|point| point.exemplars).collect()
}

impl Setup {
    /// The exemplars of the metrics that came out since the last call, as `trace value@second`.
    fn exemplars(&self) -> Vec<String> {
        let show = |exemplar: Exemplar| {
            let Some(exemplar::Value::AsDouble(value)) = exemplar.value else { panic!("a double") };
            format!("{} {value}@{}", exemplar.trace_id[0], exemplar.time_unix_nano / 1_000_000_000)
        };
        self.sink(Signal::Metrics).take().iter().flat_map(exemplars).map(show).collect()
    }

    async fn scrape(&self, name: &str, points: Vec<HistogramDataPoint>) -> Vec<String> {
        self.send(histogram(name, points)).await.unwrap();
        self.exemplars()
    }
}

#[tokio::test(start_paused = true)]
async fn a_point_gets_the_newest_span_of_its_model_in_each_bucket_that_counts_it() {
    let setup = Setup::new("{}");
    for (number, model, end, ttft) in [
        (1, "m", 10, "50"),
        (2, "m", 12, "70"),
        (3, "m", 11, "60"),
        (4, "m", 12, "500"),
        (5, "n", 12, "80"),
        (6, "M", 12, "2000"),
    ] {
        setup.send(request(number, model, end, ttft)).await.unwrap();
    }
    assert_eq!(setup.scrape(TTFT, vec![point("m", 15, [3, 0, 1])]).await, ["2 0.07@12", "6 2@12"]);
    assert_eq!(setup.lookups(Signal::Metrics), (1, 0));
    // Each is offered once to a series; what its histogram had not counted is, when it has.
    assert_eq!(setup.scrape(TTFT, vec![point("m", 16, [3, 1, 1])]).await, ["4 0.5@12"]);
    assert_eq!(setup.scrape(TTFT, vec![point("m", 17, [3, 1, 1]), point("n", 17, [1, 0, 0])]).await, ["5 0.08@12"]);
    // Other histograms of the same spans are other series.
    let duration = setup.scrape("dynamo_frontend_request_duration_seconds", vec![point("m", 17, [0, 0, 4])]).await;
    assert_eq!(duration.len(), 1);
    assert!(duration[0].ends_with(" 2@12"), "{duration:?}");
    assert_eq!(setup.scrape("some_other_seconds", vec![point("m", 17, [1, 1, 1])]).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_span_explains_no_point_before_its_end_or_before_the_series_began() {
    let setup = Setup::new("{}");
    setup.send(request(1, "m", 10, "50")).await.unwrap();
    assert_eq!(setup.scrape(TTFT, vec![point("m", 9, [1, 0, 0])]).await, [""; 0]);
    let restarted = HistogramDataPoint { start_time_unix_nano: 11_000_000_000, ..point("m", 12, [1, 0, 0]) };
    assert_eq!(setup.scrape(TTFT, vec![restarted]).await, [""; 0]);
    let stale = HistogramDataPoint { flags: 1, ..point("m", 12, [1, 0, 0]) };
    assert_eq!(setup.scrape(TTFT, vec![stale]).await, [""; 0]);
    assert_eq!(setup.scrape(TTFT, vec![point("m", 12, [1, 0, 0])]).await, ["1 0.05@10"]);
}

#[tokio::test(start_paused = true)]
async fn a_point_keeps_its_own_exemplars_and_everything_else() {
    let setup = Setup::new("{}");
    setup.send(request(1, "m", 10, "50")).await.unwrap();
    let own = Exemplar { trace_id: trace(9), value: Some(exemplar::Value::AsDouble(3.0)), ..Exemplar::default() };
    let first = HistogramDataPoint { exemplars: vec![own], sum: Some(3.0), ..point("m", 12, [1, 0, 1]) };
    let second = HistogramDataPoint { min: Some(0.5), ..point("m", 13, [1, 0, 0]) };
    let batch = histogram(TTFT, vec![first, second]);
    setup.send(batch.clone()).await.unwrap();
    let out = setup.sink(Signal::Metrics).take();
    assert_eq!(exemplars(&out[0]).iter().map(|e| e.trace_id[0]).collect::<Vec<_>>(), [9, 1]);
    let without = |batch: &Batch| {
        let mut request = read_metrics(batch);
        let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
        if let Some(Data::Histogram(histogram)) = &mut metric.data {
            histogram.data_points.iter_mut().for_each(|point| point.exemplars.clear());
        }
        request
    };
    assert_eq!(without(&out[0]), without(&batch));
    assert_eq!(out[0].items(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_span_whose_model_becomes_known_later_explains_later_points() {
    let setup = Setup::new("{}");
    let root = || {
        let mut root = span("http-request", 1, (1, 0), attributes("{ttft_ms: 50}"));
        root.end_time_unix_nano = 10_000_000_000;
        spans("f", [root])
    };
    setup.send(root()).await.unwrap();
    assert_eq!(setup.scrape(TTFT, vec![point("m", 12, [1, 0, 0])]).await, [""; 0]);
    assert_eq!(setup.lookups(Signal::Metrics), (0, 1));
    setup.send(spans("f", [span("inner", 1, (2, 1), attributes("{model: m}"))])).await.unwrap();
    assert_eq!(setup.scrape(TTFT, vec![point("m", 13, [1, 0, 0])]).await, ["1 0.05@10"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_gets_the_same_exemplars_again() {
    let setup = Setup::new("{}");
    setup.send(request(1, "m", 10, "50")).await.unwrap();
    setup.sink(Signal::Metrics).then(Err(Refused::retry("queue_full", "full")));
    setup.send(histogram(TTFT, vec![point("m", 12, [1, 0, 0])])).await.unwrap_err();
    assert_eq!(setup.scrape(TTFT, vec![point("m", 12, [1, 0, 0])]).await, ["1 0.05@10"]);
}

#[tokio::test(start_paused = true)]
async fn observations_are_bounded_and_forgotten() {
    let setup = Setup::new("{keep: 60s}");
    for second in 0..5000 {
        setup.send(request(1, "m", 10 + second, "50")).await.unwrap();
    }
    assert_eq!(setup.scrape(TTFT, vec![point("m", 912, [1, 0, 0])]).await, [""; 0], "the oldest are gone");
    assert_eq!(setup.scrape(TTFT, vec![point("m", 5000, [1, 0, 0])]).await, ["1 0.05@5000"]);
    assert!(setup.held("index") < 4096 * 200, "{}", setup.held("index"));
    advance(Duration::from_secs(60)).await;
    assert_eq!(setup.scrape(TTFT, vec![point("m", 6000, [1, 0, 0])]).await, [""; 0]);
    assert_eq!(setup.held("index"), 0);
}

#[tokio::test(start_paused = true)]
async fn worker_ids_get_one_form() {
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint, number_data_point::Value};
    async fn check(yaml: &str, signal: Signal, name: &str, given: &str, expected: &str) {
        let setup = Setup::new(yaml);
        let attributes = attributes(&format!("{{worker_id: {given}}}"));
        let batch = match signal {
            Signal::Traces => spans("f", [span(name, 1, (1, 0), attributes)]),
            Signal::Logs => logs([LogRecord { attributes, ..LogRecord::default() }]),
            Signal::Metrics => {
                let point = NumberDataPoint { attributes, value: Some(Value::AsInt(1)), ..NumberDataPoint::default() };
                let data = Some(Data::Gauge(Gauge { data_points: vec![point] }));
                metrics(
                    resource("{}"),
                    scope("", ""),
                    vec![Metric { name: name.to_owned(), data, ..Metric::default() }],
                )
            }
        };
        setup.send(batch).await.unwrap();
        let out = setup.sink(signal).take().remove(0);
        let shown = match signal {
            Signal::Traces => show(&read_spans(&out).resource_spans[0].scope_spans[0].spans[0].attributes),
            Signal::Logs => show(&read_logs(&out).resource_logs[0].scope_logs[0].log_records[0].attributes),
            Signal::Metrics => match &read_metrics(&out).resource_metrics[0].scope_metrics[0].metrics[0].data {
                Some(Data::Gauge(gauge)) => show(&gauge.data_points[0].attributes),
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(shown, format!("worker_id={expected}"), "{yaml} {signal} {name}");
    }
    let (hex, decimal) = ("\"483ab2dd02794664\"", "\"5204668981679048292\"");
    let component = "dynamo_component_uptime_seconds";
    check("{}", Signal::Metrics, component, hex, decimal).await;
    check("{}", Signal::Metrics, component, "'10'", "\"16\"").await;
    check("{}", Signal::Metrics, "dynamo_frontend_worker_active_decode_blocks", "'10'", "\"10\"").await;
    check("{}", Signal::Traces, "s", decimal, decimal).await;
    check("{worker_id: unchanged}", Signal::Metrics, component, hex, hex).await;
    check("{worker_id: hex}", Signal::Metrics, component, hex, hex).await;
    check("{worker_id: hex}", Signal::Metrics, "dynamo_frontend_worker_active_decode_blocks", decimal, hex).await;
    check("{worker_id: hex}", Signal::Traces, "s", decimal, hex).await;
    check("{worker_id: hex}", Signal::Logs, "l", "5204668981679048292", hex).await;
}
