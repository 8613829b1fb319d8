//! OTLP metrics become the series that the compatibility specification asks for.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, HistogramDataPoint, Sum, Summary, SummaryDataPoint,
    exemplar, exponential_histogram_data_point, metric, number_data_point, summary_data_point,
};
use pipeline::Batch;
use prost::Message as _;

use super::prompb::WriteRequest;
use super::prompb_2::receive;
use crate::prometheus_remote_write::convert::{Conversion, Converted, convert};
use crate::prometheus_remote_write::metadata::Told;
use crate::prometheus_remote_write::timeseries::{Message::*, Most};
use crate::testing::otlp::*;
use crate::translation::{ResourceLabels, Translation};

const ALL: Most = Most { samples: usize::MAX, bytes: usize::MAX };

pub fn conversion() -> Conversion {
    let translation = Translation { target_info: true, scope_labels: true, ..Translation::default() };
    Conversion { translation, native_histograms: true, lanes: 1, samples: usize::MAX, ..Conversion::default() }
}

pub fn request(converted: &Converted) -> WriteRequest {
    let cut = converted.series.cut(0, 0, ALL);
    cut.map_or_else(WriteRequest::default, |cut| WriteRequest::decode(cut.request.body.as_slice()).unwrap())
}

/// What the batch becomes: series, and what is dropped. The series are the same in both versions, but for what only 2.0
/// has.
fn lines(conversion: &Conversion, batch: &Batch) -> (Vec<String>, Vec<(&'static str, usize)>) {
    let converted = convert(conversion, V1, batch).unwrap();
    let lines = request(&converted).lines();
    let second = convert(conversion, V2, batch).unwrap();
    if let Some(cut) = second.series.cut(0, 0, ALL) {
        let received = receive(&cut.request.body).unwrap().series.lines();
        let unlike = |line: &String| line.split(' ').filter(|word| *word != "since").count();
        assert!(received.iter().any(|line| line.contains(" since ")) || received == lines, "{received:?}");
        assert_eq!(received.len(), lines.len());
        assert!(received.iter().zip(&lines).all(|(a, b)| unlike(a) <= unlike(b) + 1));
    }
    assert_eq!(second.dropped, converted.dropped);
    let dropped = converted.dropped.into_counts().into_iter().map(|(reason, n)| (reason.code, n)).collect();
    (lines, dropped)
}

/// The conversion with another translation.
fn translated(change: impl FnOnce(&mut Translation)) -> Conversion {
    let mut out = conversion();
    change(&mut out.translation);
    out
}

#[track_caller]
fn check_with(conversion: &Conversion, batch: &Batch, expected: &[&str]) {
    let at = format!(" @{SECONDS}000");
    let (lines, dropped) = lines(conversion, batch);
    let lines: Vec<_> = lines.iter().map(|l| l.replace(&at, "")).collect();
    assert_eq!(lines, expected);
    assert_eq!(dropped, []);
}

#[track_caller]
fn check(batch: &Batch, expected: &[&str]) {
    check_with(&conversion(), batch, expected);
}

#[test]
fn gauges_and_sums_become_series_named_by_unit_and_kind() {
    check(
        &plain(vec![
            gauge("queue.depth", "{request}", vec![point(&[("model", "a"), ("dp.rank", "0")], 3.0)]),
            sum("tokens", "", true, vec![point(&[], 7.0)]),
            sum("connections.open", "", false, vec![point(&[], -2.0)]),
        ]),
        &[r#"queue_depth{dp_rank="0",model="a"} 3"#, "tokens_total 7", "connections_open -2"],
    );
}

#[test]
fn whole_numbers_and_times_below_a_millisecond_are_converted() {
    let mut whole = point(&[], 0.0);
    whole.value = Some(number_data_point::Value::AsInt(-5));
    whole.time_unix_nano = TIME + 1_999_999;
    let (lines, _) = lines(&conversion(), &plain(vec![gauge("g", "", vec![whole])]));
    assert_eq!(lines, [format!("g -5 @{SECONDS}001")]);
}

#[test]
fn labels_are_sorted_by_bytes_and_empty_ones_left_out() {
    let labels = [("b", "2"), ("Z", "1"), ("a_b", "4"), ("aZ", "3"), ("empty", ""), ("__name__", "no"), ("", "x")];
    check(&plain(vec![gauge("g", "", vec![point(&labels, 1.0)])]), &[r#"g{Z="1",aZ="3",a_b="4",b="2"} 1"#]);
}

#[test]
fn labels_that_come_to_be_the_same_are_joined_in_the_order_of_their_keys() {
    check(
        &plain(vec![gauge("g", "", vec![point(&[("a_b", "under"), ("a.b", "dot"), ("a-b", "dash")], 1.0)])]),
        &[r#"g{a_b="dash;dot;under"} 1"#],
    );
    check(&plain(vec![gauge("g", "", vec![point(&[("a", "old"), ("a", "new")], 1.0)])]), &[r#"g{a="new"} 1"#]);
}

#[test]
fn values_that_are_no_text_become_text() {
    let mut p = point(&[], 1.0);
    p.attributes = vec![
        attribute("int", Value::IntValue(-3)),
        attribute("bool", Value::BoolValue(true)),
        attribute("float", Value::DoubleValue(0.5)),
        attribute("bytes", Value::BytesValue(vec![0, 255])),
    ];
    check(&plain(vec![gauge("g", "", vec![p])]), &[r#"g{bool="true",bytes="AP8=",float="0.5",int="-3"} 1"#]);
}

#[test]
fn job_and_instance_come_from_the_service_and_the_rest_of_the_resource_is_target_info() {
    let labels = [
        ("service.name", "frontend"),
        ("service.namespace", "dynamo"),
        ("service.instance.id", "pod-1"),
        ("host.name", "node"),
    ];
    check(
        &batch(vec![resource(&labels, vec![scope("", vec![gauge("g", "", vec![point(&[("job", "mine")], 1.0)])])])]),
        &[
            r#"g{instance="pod-1",job="dynamo/frontend"} 1"#,
            r#"target_info{host_name="node",instance="pod-1",job="dynamo/frontend"} 1"#,
        ],
    );
}

#[test]
fn a_resource_that_says_nothing_more_or_not_who_it_is_has_no_target_info() {
    let only = |labels: &[(&str, &str)]| {
        batch(vec![resource(labels, vec![scope("", vec![gauge("g", "", vec![point(&[], 1.0)])])])])
    };
    check(&only(&[("service.name", "a")]), &[r#"g{job="a"} 1"#]);
    check(&only(&[("host.name", "a")]), &["g 1"]);
    let off = translated(|t| t.target_info = false);
    check_with(&off, &only(&[("service.name", "a"), ("host.name", "b")]), &[r#"g{job="a"} 1"#]);
}

#[test]
fn series_say_their_scope_unless_told_not_to() {
    let mut scope = scope("dynamo.runtime", vec![gauge("g", "", vec![point(&[], 1.0)])]);
    let inner = scope.scope.as_mut().unwrap();
    inner.version = "1.6.1".to_owned();
    inner.attributes = attributes(&[("lib.kind", "rust"), ("1st", "x")]);
    scope.schema_url = "https://schema".to_owned();
    let batch = batch(vec![resource(&[], vec![scope])]);
    check(
        &batch,
        &[concat!(
            r#"g{otel_scope_1st="x",otel_scope_lib_kind="rust",otel_scope_name="dynamo.runtime","#,
            r#"otel_scope_schema_url="https://schema",otel_scope_version="1.6.1"} 1"#
        )],
    );
    check_with(&translated(|t| t.scope_labels = false), &batch, &["g 1"]);
}

#[test]
fn external_labels_and_resource_attributes_stand_back_behind_what_the_point_says() {
    let conversion = translated(|t| {
        t.external_labels = vec![("cluster".to_owned(), "c1".to_owned()), ("region".to_owned(), "eu".to_owned())];
        t.resource_labels =
            ResourceLabels { included: vec!["k8s.*".to_owned()], excluded: vec!["k8s.pod.uid".to_owned()] };
        t.target_info = false;
    });
    let labels = [("k8s.pod.name", "p"), ("k8s.pod.uid", "u"), ("k8s.node.name", "n"), ("host", "h")];
    let points = vec![point(&[("region", "us"), ("k8s.node.name", "mine")], 1.0)];
    check_with(
        &conversion,
        &batch(vec![resource(&labels, vec![scope("", vec![gauge("g", "", points)])])]),
        &[r#"g{cluster="c1",k8s_node_name="mine",k8s_pod_name="p",region="us"} 1"#],
    );
}

fn histogram_point(labels: &[(&str, &str)]) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(labels),
        time_unix_nano: TIME,
        count: 6,
        sum: Some(12.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 10.0],
        ..HistogramDataPoint::default()
    }
}

#[test]
fn histograms_become_cumulative_buckets_sum_and_count() {
    check(
        &plain(vec![histogram("ttft", "ms", vec![histogram_point(&[("model", "a"), ("le", "x")])])]),
        &[
            r#"ttft_milliseconds_bucket{le="0.5",model="a"} 1"#,
            r#"ttft_milliseconds_bucket{le="10",model="a"} 3"#,
            r#"ttft_milliseconds_bucket{le="+Inf",model="a"} 6"#,
            r#"ttft_milliseconds_sum{model="a"} 12.5"#,
            r#"ttft_milliseconds_count{model="a"} 6"#,
        ],
    );
    let bare = HistogramDataPoint { sum: None, bucket_counts: vec![], explicit_bounds: vec![], ..histogram_point(&[]) };
    check(&plain(vec![histogram("h", "", vec![bare])]), &[r#"h_bucket{le="+Inf"} 6"#, "h_count 6"]);
}

#[test]
fn the_labels_of_a_bucket_are_in_order_around_its_bound() {
    check(
        &plain(vec![histogram(
            "h",
            "",
            vec![HistogramDataPoint {
                bucket_counts: vec![],
                sum: None,
                ..histogram_point(&[("A", "1"), ("z", "4"), ("lf", "3"), ("ld", "2")])
            }],
        )]),
        &[r#"h_bucket{A="1",ld="2",le="+Inf",lf="3",z="4"} 6"#, r#"h_count{A="1",ld="2",lf="3",z="4"} 6"#],
    );
}

#[test]
fn summaries_become_quantiles_sum_and_count() {
    let quantile = |quantile, value| summary_data_point::ValueAtQuantile { quantile, value };
    let data_points = vec![SummaryDataPoint {
        attributes: attributes(&[("m", "a")]),
        time_unix_nano: TIME,
        count: 3,
        sum: 4.5,
        quantile_values: vec![quantile(0.5, 1.0), quantile(1.0, 2.0)],
        ..SummaryDataPoint::default()
    }];
    check(
        &plain(vec![named("s", "s", metric::Data::Summary(Summary { data_points }))]),
        &[
            r#"s_seconds{m="a",quantile="0.5"} 1"#,
            r#"s_seconds{m="a",quantile="1"} 2"#,
            r#"s_seconds_sum{m="a"} 4.5"#,
            r#"s_seconds_count{m="a"} 3"#,
        ],
    );
}

fn exponential(point: ExponentialHistogramDataPoint) -> Batch {
    let data_points = vec![ExponentialHistogramDataPoint { time_unix_nano: TIME, ..point }];
    let data = ExponentialHistogram { data_points, aggregation_temporality: CUMULATIVE };
    plain(vec![named("e", "", metric::Data::ExponentialHistogram(data))])
}

fn buckets(offset: i32, bucket_counts: &[u64]) -> Option<exponential_histogram_data_point::Buckets> {
    Some(exponential_histogram_data_point::Buckets { offset, bucket_counts: bucket_counts.to_vec() })
}

#[test]
fn exponential_histograms_become_native_ones() {
    let point = ExponentialHistogramDataPoint {
        count: 12,
        sum: Some(3.5),
        scale: 3,
        zero_count: 1,
        positive: buckets(-2, &[2, 0, 3, 0, 0, 0, 5]),
        negative: buckets(0, &[1]),
        ..ExponentialHistogramDataPoint::default()
    };
    check(
        &exponential(point),
        &["e schema=3 count=12 sum=3.5 zero=1 positive=[-1+3 3+1][2, -2, 3, 2] negative=[1+1][1]"],
    );
}

#[test]
fn resolutions_that_prometheus_lacks_are_made_coarser_or_dropped() {
    let point = |scale| ExponentialHistogramDataPoint {
        count: 10,
        scale,
        positive: buckets(-3, &[1, 2, 3, 4]),
        ..ExponentialHistogramDataPoint::default()
    };
    check(&exponential(point(10)), &["e schema=8 count=10 sum=0 zero=0 positive=[0+2][6, -2] negative=[][]"]);
    check(&exponential(point(-4)), &["e schema=-4 count=10 sum=0 zero=0 positive=[-2+4][1, 1, 1, 1] negative=[][]"]);
    assert_eq!(lines(&conversion(), &exponential(point(-5))), (vec![], vec![("exponential_scale", 1)]));
    let off = Conversion { native_histograms: false, ..conversion() };
    assert_eq!(lines(&off, &exponential(point(0))), (vec![], vec![("native_histograms_off", 1)]));
}

#[test]
fn points_without_a_value_mark_their_series_stale() {
    let stale = |labels| opentelemetry_proto::tonic::metrics::v1::NumberDataPoint {
        flags: 1,
        value: None,
        ..point(labels, 0.0)
    };
    let histogram_stale = HistogramDataPoint { flags: 1, count: 0, bucket_counts: vec![0; 3], ..histogram_point(&[]) };
    check(
        &plain(vec![gauge("g", "", vec![stale(&[("a", "b")])]), histogram("h", "", vec![histogram_stale])]),
        &[
            r#"g{a="b"} stale"#,
            r#"h_bucket{le="0.5"} stale"#,
            r#"h_bucket{le="10"} stale"#,
            r#"h_bucket{le="+Inf"} stale"#,
            "h_sum stale",
            "h_count stale",
        ],
    );
    let point = ExponentialHistogramDataPoint { flags: 1, ..ExponentialHistogramDataPoint::default() };
    check(&exponential(point), &["e schema=0 count=0 sum=stale zero=0 positive=[][] negative=[][]"]);
}

#[test]
fn samples_that_are_no_number_never_look_stale() {
    let negative = f64::from_bits(0xfff8_0000_0000_0000);
    let marked = f64::from_bits(super::super::points::STALE);
    check(
        &plain(vec![gauge(
            "g",
            "",
            vec![point(&[], f64::NAN), point(&[], negative), point(&[], marked), point(&[], f64::INFINITY)],
        )]),
        &["g NaN", "g NaN", "g stale", "g inf"],
    );
}

#[test]
fn what_remote_write_cannot_say_is_dropped_and_counted_by_reason() {
    let delta = |points| {
        let data = Sum { data_points: points, aggregation_temporality: 1, is_monotonic: true };
        named("d", "", metric::Data::Sum(data))
    };
    let unspecified = named("u", "", metric::Data::Sum(Sum { data_points: vec![point(&[], 1.0)], ..Sum::default() }));
    let zero = opentelemetry_proto::tonic::metrics::v1::NumberDataPoint { time_unix_nano: 0, ..point(&[], 1.0) };
    let none = opentelemetry_proto::tonic::metrics::v1::NumberDataPoint { value: None, ..point(&[], 1.0) };
    let batch = plain(vec![
        delta(vec![point(&[], 1.0), point(&[], 2.0)]),
        unspecified,
        gauge("g", "", vec![zero, none]),
        gauge("", "", vec![point(&[], 1.0)]),
    ]);
    let expected = vec![
        ("delta_temporality", 2),
        ("unspecified_temporality", 1),
        ("zero_timestamp", 1),
        ("no_value", 1),
        ("no_metric_name", 1),
    ];
    assert_eq!(lines(&conversion(), &batch), (vec![], expected));
    assert_eq!(batch.items(), 6);
}

#[test]
fn a_small_request_cannot_ask_for_more_series_than_there_is_memory_for() {
    let long = "x".repeat(10_000);
    let huge = HistogramDataPoint {
        explicit_bounds: vec![1.0; 30_000],
        bucket_counts: vec![1; 30_001],
        ..histogram_point(&[("long", &long)])
    };
    let batch = plain(vec![histogram("h", "", vec![huge]), gauge("g", "", vec![point(&[], 1.0)])]);
    let converted = convert(&conversion(), V1, &batch).unwrap();
    assert_eq!(request(&converted).lines().len(), 1);
    assert_eq!(converted.dropped.into_counts()[0].0.code, "expansion_limit");
}

fn exemplar(value: f64, filtered: &[(&str, &str)]) -> Exemplar {
    Exemplar {
        filtered_attributes: attributes(filtered),
        time_unix_nano: TIME,
        span_id: vec![1; 8],
        trace_id: vec![0xab; 16],
        value: Some(exemplar::Value::AsDouble(value)),
    }
}

#[test]
fn exemplars_go_with_counters_and_with_the_bucket_they_are_in() {
    let mut counted = point(&[], 1.0);
    counted.exemplars = vec![exemplar(1.0, &[("user.id", "u"), ("trace_id", "no")])];
    let mut measured = histogram_point(&[]);
    measured.sum = None;
    measured.exemplars = vec![exemplar(10.0, &[]), exemplar(11.0, &[("long", &"x".repeat(100))])];
    let ids = |more| format!("{{span_id=\"0101010101010101\",trace_id=\"abababababababababababababababab\"{more}}}");
    check(
        &plain(vec![sum("c", "", true, vec![counted]), histogram("h", "", vec![measured])]),
        &[
            &format!("c_total 1 # {} 1", ids(r#",user_id="u""#)),
            r#"h_bucket{le="0.5"} 1"#,
            &format!("h_bucket{{le=\"10\"}} 3 # {} 10", ids("")),
            &format!("h_bucket{{le=\"+Inf\"}} 6 # {} 11", ids("")),
            "h_count 6",
        ],
    );
}

#[test]
fn what_our_scraper_brought_passes_byte_for_byte() {
    let labels = [("service.name", "dynamo"), ("service.instance.id", "localhost:8081"), ("server.port", "8081")];
    let mut bounded = histogram_point(&[("model", "a")]);
    bounded.explicit_bounds = vec![1.0, 1_000_000.0];
    let metrics = vec![
        sum("kvbm_matched_tokens", "tokens", true, vec![point(&[("tier", "g1")], 1.0)]),
        gauge("dynamo_operator_resources_total", "1", vec![point(&[("_odd.name", "x"), ("empty", "")], 2.0)]),
        gauge("up", "", vec![point(&[("job", "own")], 1.0)]),
        histogram("h", "s", vec![bounded]),
    ];
    let target = r#"instance="localhost:8081",job="dynamo""#;
    check(
        &batch(vec![resource(&labels, vec![scope("slipring/prometheus", metrics)])]),
        &[
            &format!(r#"kvbm_matched_tokens{{{target},tier="g1"}} 1"#),
            &format!(r#"dynamo_operator_resources_total{{_odd.name="x",{target}}} 2"#),
            r#"up{instance="localhost:8081",job="own"} 1"#,
            r#"h_bucket{instance="localhost:8081",job="dynamo",le="1.0",model="a"} 1"#,
            r#"h_bucket{instance="localhost:8081",job="dynamo",le="1e+06",model="a"} 3"#,
            r#"h_bucket{instance="localhost:8081",job="dynamo",le="+Inf",model="a"} 6"#,
            &format!(r#"h_sum{{{target},model="a"}} 12.5"#),
            &format!(r#"h_count{{{target},model="a"}} 6"#),
        ],
    );
}

#[test]
fn metadata_name_each_metric_once_with_its_type() {
    let mut scraped = sum("s", "", false, vec![point(&[], 1.0)]);
    scraped.metadata = attributes(&[("prometheus.type", "info")]);
    let mut counter = sum("c", "By", true, vec![point(&[], 1.0)]);
    counter.description = "what for".to_owned();
    let batch = plain(vec![counter.clone(), scraped, counter]);
    let converted = convert(&Conversion { metadata: true, ..conversion() }, V1, &batch).unwrap();
    let [due] = &Told::default().due(&converted.metadata)[..] else { panic!("one request") };
    let request = WriteRequest::decode(due.body.as_slice()).unwrap();
    let found: Vec<_> = request
        .metadata
        .iter()
        .map(|m| (m.kind, m.metric_family_name.as_str(), m.help.as_str(), m.unit.as_str()))
        .collect();
    assert_eq!(found, [(1, "c_bytes_total", "what for", "bytes"), (6, "s", "", "")]);
    assert!(Told::default().due(&convert(&conversion(), V1, &batch).unwrap().metadata).is_empty());
}

#[tokio::test(start_paused = true)]
async fn metadata_are_told_once_a_minute_and_again_when_they_change() {
    let told = Told::default();
    let entries = |help: &str| {
        let mut counter = sum("c", "", true, vec![point(&[], 1.0)]);
        counter.description = help.to_owned();
        convert(&Conversion { metadata: true, ..conversion() }, V1, &plain(vec![counter])).unwrap().metadata
    };
    let due = |help| told.due(&entries(help)).into_iter().next();
    assert!(due("a").is_some(), "not told yet");
    told.remember(&due("a").unwrap());
    assert!(due("a").is_none());
    assert!(due("b").is_some());
    tokio::time::advance(std::time::Duration::from_millis(59_999)).await;
    assert!(due("a").is_none());
    tokio::time::advance(std::time::Duration::from_millis(1)).await;
    assert!(due("a").is_some());
}
