//! What deltas come to, and what becomes of those that cannot be added.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use pipeline::component::Processor;
use pipeline::testing::{World, conformance, count};
use pipeline::{Batch, Signal};
use proptest::prelude::*;
use prost::Message;

use super::{Config, Factory};
use crate::testing::{attributes, build, problems, processor};

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

fn batch(data: Vec<Data>) -> Batch {
    let metric = |data| Metric { name: "m".to_owned(), data: Some(data), ..Metric::default() };
    let scope = ScopeMetrics { metrics: data.into_iter().map(metric).collect(), ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    let request = ExportMetricsServiceRequest { resource_metrics: vec![resource] };
    Batch::new(Signal::Metrics, request.encode_to_vec().into()).unwrap()
}

fn data(batch: &Batch) -> Vec<Data> {
    let request = ExportMetricsServiceRequest::decode(batch.to_bytes()).unwrap();
    let scopes = request.resource_metrics.into_iter().flat_map(|r| r.scope_metrics);
    scopes.flat_map(|s| s.metrics).filter_map(|m| m.data).collect()
}

fn delta_sum(points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: DELTA, is_monotonic: true })
}

fn number(labels: &str, start: u64, time: u64, value: Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// Sends sums one after the other, each point as `start time value`, and answers what comes out in the same words.
fn sums(processor: &dyn Processor, deltas: &[(u64, u64, f64)]) -> Vec<String> {
    let send = |(start, time, value): &(u64, u64, f64)| {
        let point = number("{}", *start, *time, Value::AsDouble(*value));
        let out = processor.process(batch(vec![delta_sum(vec![point])])).unwrap();
        assert_eq!(out.items(), pipeline::otlp::count::items(Signal::Metrics, &out.to_bytes()).unwrap());
        match &data(&out)[..] {
            [] => "dropped".to_owned(),
            [Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true })] => {
                let [p] = &data_points[..] else { panic!("{data_points:?}") };
                let Some(Value::AsDouble(value)) = p.value else { panic!("{p:?}") };
                format!("{} {} {value}", p.start_time_unix_nano, p.time_unix_nano)
            }
            other => panic!("{other:?}"),
        }
    };
    deltas.iter().map(send).collect()
}

#[test]
fn deltas_add_up_from_the_start_of_the_first() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    let out = sums(&*processor, &[(10, 20, 1.5), (20, 30, 2.0), (30, 40, 0.0), (35, 50, -1.0)]);
    assert_eq!(out, ["10 20 1.5", "10 30 3.5", "10 40 3.5", "10 50 2.5"]);
}

#[test]
fn a_delta_that_comes_again_counts_once_and_one_out_of_order_not_at_all() {
    let world = World::new();
    let processor = build::<Factory>("{}", world.context_for("delta_to_cumulative", Signal::Metrics)).unwrap();
    let out =
        sums(&*processor, &[(10, 20, 1.0), (20, 40, 2.0), (20, 40, 2.0), (20, 30, 5.0), (5, 60, 1.0), (40, 50, 1.0)]);
    assert_eq!(out, ["10 20 1", "10 40 3", "10 40 3", "dropped", "dropped", "10 50 4"]);
    for reason in ["out_of_order", "older_start"] {
        assert_eq!(count(&world.meter, "slipring_dropped_items_total", &[("reason", reason)]), 1);
    }
}

#[test]
fn streams_are_told_apart_by_attributes_in_any_order_and_whole_numbers_stay_whole() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    let send = |points| match &data(&processor.process(batch(vec![delta_sum(points)])).unwrap())[..] {
        [Data::Sum(sum)] => sum.data_points.iter().map(|p| p.value.unwrap()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let first = send(vec![
        number("{a: x, b: y}", 1, 2, Value::AsInt(1)),
        number("{a: y, b: x}", 1, 2, Value::AsInt(10)),
        number("{a: x}", 1, 2, Value::AsInt(i64::MAX)),
    ]);
    assert_eq!(first, [Value::AsInt(1), Value::AsInt(10), Value::AsInt(i64::MAX)]);
    let second = send(vec![
        number("{b: y, a: x}", 2, 3, Value::AsInt(1)),
        number("{a: y, b: x}", 2, 3, Value::AsDouble(0.5)),
        number("{a: x}", 2, 3, Value::AsInt(1)),
    ]);
    assert_eq!(second, [Value::AsInt(2), Value::AsDouble(10.5), Value::AsDouble(2f64.powi(63))]);
}

#[test]
fn what_is_no_delta_passes_byte_for_byte() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    let points = || vec![number("{}", 1, 2, Value::AsInt(1))];
    let sum = Sum { data_points: points(), aggregation_temporality: CUMULATIVE, is_monotonic: true };
    let batch = batch(vec![Data::Sum(sum), Data::Gauge(Gauge { data_points: points() })]);
    assert_eq!(processor.process(batch.clone()).unwrap().to_bytes(), batch.to_bytes());
}

#[test]
fn a_point_without_a_value_passes_and_adds_nothing() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    let point = NumberDataPoint { flags: 1, value: None, ..number("{}", 20, 30, Value::AsInt(0)) };
    assert_eq!(sums(&*processor, &[(10, 20, 1.0)]), ["10 20 1"]);
    let out = data(&processor.process(batch(vec![delta_sum(vec![point.clone()])])).unwrap());
    let [Data::Sum(sum)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((sum.data_points.clone(), sum.aggregation_temporality), (vec![point], CUMULATIVE));
    assert_eq!(sums(&*processor, &[(30, 40, 1.0)]), ["10 40 2"]);
}

fn histogram(time: u64, counts: &[u64], bounds: &[f64], more: Option<(f64, f64, f64)>) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: time - 1,
        time_unix_nano: time,
        count: counts.iter().sum(),
        sum: more.map(|m| m.0),
        min: more.map(|m| m.1),
        max: more.map(|m| m.2),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    }
}

#[test]
fn histograms_add_up_bucket_by_bucket_and_begin_anew_with_other_bounds() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    let send = |point: &HistogramDataPoint| {
        let delta = Histogram { data_points: vec![point.clone()], aggregation_temporality: DELTA };
        match &data(&processor.process(batch(vec![Data::Histogram(delta)])).unwrap())[..] {
            [Data::Histogram(Histogram { data_points, aggregation_temporality: CUMULATIVE })] => data_points[0].clone(),
            other => panic!("{other:?}"),
        }
    };
    let first = histogram(10, &[1, 2], &[5.0], Some((7.0, 1.0, 6.0)));
    assert_eq!(send(&first), first);
    let with = send(&histogram(11, &[0, 1], &[5.0], Some((9.0, 9.0, 9.0))));
    let both = histogram(11, &[1, 3], &[5.0], Some((16.0, 1.0, 9.0)));
    assert_eq!(with, HistogramDataPoint { start_time_unix_nano: 9, ..both });
    let without = send(&histogram(12, &[1, 0], &[5.0], None));
    assert_eq!(without, HistogramDataPoint { start_time_unix_nano: 9, ..histogram(12, &[2, 3], &[5.0], None) });
    let anew = histogram(14, &[1, 0, 0], &[1.0, 5.0], None);
    assert_eq!(send(&anew), anew);
    let then = send(&histogram(15, &[1, 0, 0], &[1.0, 5.0], None));
    assert_eq!(then, HistogramDataPoint { start_time_unix_nano: 13, ..histogram(15, &[2, 0, 0], &[1.0, 5.0], None) });
}

fn exponential(time: u64, scale: i32, zero: (u64, f64), positive: (i32, &[u64])) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        start_time_unix_nano: time - 1,
        time_unix_nano: time,
        count: zero.0 + positive.1.iter().sum::<u64>(),
        sum: Some(1.0),
        scale,
        zero_count: zero.0,
        zero_threshold: zero.1,
        positive: Some(Buckets { offset: positive.0, bucket_counts: positive.1.to_vec() }),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn add(processor: &dyn Processor, point: &ExponentialHistogramDataPoint) -> ExponentialHistogramDataPoint {
    let delta = ExponentialHistogram { data_points: vec![point.clone()], aggregation_temporality: DELTA };
    match &data(&processor.process(batch(vec![Data::ExponentialHistogram(delta)])).unwrap())[..] {
        [Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: CUMULATIVE })] => {
            data_points[0].clone()
        }
        other => panic!("{other:?}"),
    }
}

/// Scale, zero bucket and positive buckets.
fn shape(point: &ExponentialHistogramDataPoint) -> (i32, u64, f64, i32, Vec<u64>) {
    let buckets = point.positive.clone().unwrap_or_default();
    (point.scale, point.zero_count, point.zero_threshold, buckets.offset, buckets.bucket_counts)
}

#[test]
fn exponential_histograms_add_up_at_the_coarsest_scale() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    let out = add(&*processor, &exponential(10, 1, (1, 0.0), (0, &[1, 0, 2])));
    assert_eq!(shape(&out), (1, 1, 0.0, 0, vec![1, 0, 2]));
    let out = add(&*processor, &exponential(11, 0, (2, 0.0), (-1, &[4, 8])));
    assert_eq!(shape(&out), (0, 3, 0.0, -1, vec![4, 9, 2]));
    assert_eq!((out.start_time_unix_nano, out.count, out.sum), (9, 18, Some(2.0)));
    let out = add(&*processor, &exponential(12, 3, (0, 0.0), (100, &[1])));
    assert_eq!(shape(&out), (0, 3, 0.0, -1, [vec![4, 9, 2], vec![0; 10], vec![1]].concat()));
}

#[test]
fn a_wider_zero_bucket_swallows_what_it_reaches() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    add(&*processor, &exponential(10, 0, (1, 0.0), (-3, &[1, 2, 4, 8])));
    // Buckets end at 0.25, 0.5, 1 and 2.
    let out = add(&*processor, &exponential(11, 0, (0, 0.3), (0, &[16])));
    assert_eq!(shape(&out), (0, 4, 0.5, -1, vec![4, 24]));
}

#[test]
fn few_buckets_stay_of_observations_that_lie_far_apart() {
    let processor = processor::<Factory>("{}", Signal::Metrics);
    add(&*processor, &exponential(10, 20, (0, 0.0), (i32::MIN, &[1])));
    let out = add(&*processor, &exponential(11, 20, (0, 0.0), (i32::MAX, &[1])));
    let (scale, _, _, _, counts) = shape(&out);
    assert!(counts.len() <= 160 && counts.iter().sum::<u64>() == 2, "{scale} {counts:?}");
}

#[tokio::test(start_paused = true)]
async fn stale_streams_are_forgotten() {
    let world = World::new();
    let processor =
        build::<Factory>("max_stale: 10s", world.context_for("delta_to_cumulative", Signal::Metrics)).unwrap();
    assert_eq!(sums(&*processor, &[(10, 20, 1.0)]), ["10 20 1"]);
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(sums(&*processor, &[(20, 30, 1.0)]), ["10 30 2"]);
    let tracked = |expected| {
        assert_eq!(count(&world.meter, "otelcol_deltatocumulative_streams_tracked", &[]), expected);
    };
    tracked(1);
    tokio::time::advance(Duration::from_secs(10)).await;
    processor.process(batch(vec![])).unwrap();
    tracked(0);
    assert_eq!(sums(&*processor, &[(30, 40, 1.0)]), ["30 40 1"]);
}

#[test]
fn streams_beyond_the_most_are_dropped_and_the_others_go_on() {
    let world = World::new();
    let processor =
        build::<Factory>("max_streams: 2", world.context_for("delta_to_cumulative", Signal::Metrics)).unwrap();
    let send = |time| {
        let points = ["{a: x}", "{a: y}", "{a: z}"].map(|l| number(l, time - 1, time, Value::AsInt(1)));
        processor.process(batch(vec![delta_sum(points.into())])).unwrap().items()
    };
    assert_eq!((send(10), send(11)), (2, 2));
    assert_eq!(count(&world.meter, "slipring_dropped_items_total", &[("reason", "max_streams")]), 2);
    let small = build::<Factory>("max_bytes: 300", world.context_for("delta_to_cumulative", Signal::Metrics)).unwrap();
    let points = ["{a: x}", "{a: y}", "{a: z}"].map(|l| number(l, 1, 2, Value::AsInt(1)));
    assert_eq!(small.process(batch(vec![delta_sum(points.into())])).unwrap().items(), 2);
}

#[test]
fn a_config_that_cannot_work_says_what_would() {
    assert_eq!(problems::<Config>("max_streams: 0"), ["'::max_streams': max_streams is 0, the least is 1"]);
    assert_eq!(problems::<Config>("max_bytes: 0"), ["'::max_bytes': max_bytes is 0, the least is 1"]);
    assert_eq!(problems::<Config>("{max_stale: 0s, max_streams: 9223372036854775807}"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn it_does_what_every_processor_does() {
    conformance::processor::<Factory>("{}").await;
}

fn any_exponential() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let buckets = || (any::<i32>(), prop::collection::vec(0..5u64, 0..20));
    let near = || (-50..50i32, prop::collection::vec(0..5u64, 0..20));
    let sides = prop_oneof![3 => (near(), near()), 1 => (buckets(), buckets())];
    (-12..21i32, 0..5u64, prop_oneof![Just(0.0), 0.0..100.0f64, any::<f64>()], sides).prop_map(
        |(scale, zero_count, zero_threshold, (positive, negative))| {
            let buckets = |(offset, bucket_counts)| Some(Buckets { offset, bucket_counts });
            let count = zero_count + positive.1.iter().sum::<u64>() + negative.1.iter().sum::<u64>();
            ExponentialHistogramDataPoint {
                count,
                scale,
                zero_count,
                zero_threshold,
                positive: buckets(positive),
                negative: buckets(negative),
                ..ExponentialHistogramDataPoint::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn no_observation_is_lost_or_made(points in prop::collection::vec(any_exponential(), 1..10)) {
        let processor = processor::<Factory>("{}", Signal::Metrics);
        let mut expected = 0;
        for (time, mut point) in (2..).zip(points) {
            expected += point.count;
            (point.start_time_unix_nano, point.time_unix_nano) = (time - 1, time);
            let out = add(&*processor, &point);
            let side = |buckets: &Option<Buckets>| buckets.iter().flat_map(|b| &b.bucket_counts).sum::<u64>();
            prop_assert_eq!(out.count, expected);
            prop_assert_eq!(out.zero_count + side(&out.positive) + side(&out.negative), expected);
        }
    }

    #[test]
    fn changed_requests_are_refused_or_added_up(
        points in prop::collection::vec(any_exponential(), 1..4),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..5),
    ) {
        let delta = ExponentialHistogram { data_points: points, aggregation_temporality: DELTA };
        let histogram = Histogram { data_points: vec![histogram(10, &[1, 2], &[5.0], None)], aggregation_temporality: DELTA };
        let sum = delta_sum(vec![number("{a: b}", 1, 2, Value::AsInt(3))]);
        let mut request = batch(vec![Data::ExponentialHistogram(delta), Data::Histogram(histogram), sum]).to_bytes().to_vec();
        super::fuzz::metrics(&request);
        for (at, byte) in changes {
            let at = at.index(request.len());
            request[at] = byte;
        }
        super::fuzz::metrics(&request);
    }
}
