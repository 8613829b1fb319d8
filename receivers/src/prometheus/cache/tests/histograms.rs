//! Native histograms, their limits and their mistakes, and classic ones that become custom buckets.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, Metric as OtlpMetric};
use proptest::prelude::*;
use prost::Message;

use super::families::*;
use super::*;

const NATIVE: Histograms =
    Histograms { native: true, always_classic: false, custom_buckets: false, bucket_limit: 0, finest_schema: 8 };

fn target(histograms: Histograms, format: Format) -> Target {
    let rules = Rules { honor_timestamps: true, histograms, ..Rules::default() };
    Target { format, ..Target::with(rules) }
}

fn metrics(scraped: &Scraped) -> Vec<OtlpMetric> {
    let request = ExportMetricsServiceRequest::decode(&scraped.request[..]).unwrap();
    let all = request.resource_metrics.into_iter().flat_map(|r| r.scope_metrics).flat_map(|s| s.metrics);
    all.filter(|m| m.name != "up" && !m.name.starts_with("scrape_")).collect()
}

fn points(scraped: &Scraped) -> Vec<ExponentialHistogramDataPoint> {
    let points = |metric: OtlpMetric| match metric.data {
        Some(Data::ExponentialHistogram(of)) => of.data_points,
        _ => Vec::new(),
    };
    metrics(scraped).into_iter().flat_map(points).collect()
}

/// Names and numbers of points, `~` before those that are exponential.
fn shown(scraped: &Scraped) -> Vec<String> {
    let show = |metric: OtlpMetric| match metric.data.unwrap() {
        Data::Gauge(of) => format!("{} {}", metric.name, of.data_points.len()),
        Data::Sum(of) => format!("{} {}", metric.name, of.data_points.len()),
        Data::Histogram(of) => format!("{}{{}} {}", metric.name, of.data_points.len()),
        Data::ExponentialHistogram(of) => format!("~{} {}", metric.name, of.data_points.len()),
        Data::Summary(of) => format!("{} {}", metric.name, of.data_points.len()),
    };
    metrics(scraped).into_iter().map(show).collect()
}

fn native() -> Histogram {
    Histogram {
        count: 6,
        sum: 1.5,
        buckets: buckets(&[(1.0, 4)]),
        schema: 1,
        positive_spans: spans(&[(1, 4)]),
        positive_deltas: vec![1, 0, 1, 0],
        ..Histogram::default()
    }
}

#[test]
fn what_a_native_histogram_becomes_is_for_the_config_to_say() {
    let body = body(&[histogram(native())]);
    let classic = Histograms { native: false, ..NATIVE };
    for (rules, expected) in [
        (classic, &["h{} 1"][..]),
        (NATIVE, &["~h 1"]),
        (Histograms { always_classic: true, ..NATIVE }, &["~h 1", "h{} 1"]),
        (Histograms { always_classic: true, custom_buckets: true, ..NATIVE }, &["~h 1", "h{} 1"]),
    ] {
        let mut target = target(rules, Format::Protobuf);
        for _ in 0..2 {
            let scraped = target.read_bytes(Some(&body), true);
            assert_eq!(scraped.error, None);
            assert_eq!(shown(&scraped), expected, "{rules:?}");
        }
    }
}

#[test]
fn a_native_histogram_is_one_sample_and_goes_stale_as_one() {
    let mut target = target(NATIVE, Format::Protobuf);
    let scraped = target.read_bytes(Some(&body(&[histogram(native())])), true);
    assert_eq!((scraped.counts.scraped, scraped.counts.kept, scraped.counts.added), (1, 1, 1));
    let again = target.read_bytes(Some(&body(&[histogram(native())])), true);
    assert_eq!(again.counts.added, 0);
    let gone = target.read_bytes(Some(b""), true);
    let points = points(&gone);
    assert_eq!((points.len(), points[0].flags, points[0].count), (1, 1, 0));
    assert_eq!(shown(&target.read_bytes(Some(b""), true)), [""; 0]);
}

#[test]
fn a_histogram_without_native_buckets_is_classic_even_when_native_ones_are_wanted() {
    let mut target = target(NATIVE, Format::Protobuf);
    let classic = Histogram { count: 4, sum: 1.5, buckets: buckets(&[(1.0, 4)]), ..Histogram::default() };
    assert_eq!(shown(&target.read_bytes(Some(&body(&[histogram(classic)])), true)), ["h{} 1"]);
    // An empty span says that there will be native buckets.
    let marked = Histogram { positive_spans: spans(&[(0, 0)]), ..Histogram::default() };
    assert_eq!(shown(&target.read_bytes(Some(&body(&[histogram(marked)])), true)), ["h{} 1", "~h 1"]);
}

#[test]
fn too_many_buckets_are_merged_or_fail_the_scrape() {
    let wide = Histogram {
        count: 40,
        schema: 2,
        positive_spans: spans(&[(-19, 40)]),
        positive_deltas: [&[1][..], &[0; 39]].concat(),
        ..Histogram::default()
    };
    let body = body(&[histogram(wide)]);
    for (limit, expected) in [(40, Ok((2, 40))), (39, Ok((1, 20))), (10, Ok((0, 10))), (2, Ok((-3, 2))), (1, Err(()))] {
        let mut target = target(Histograms { bucket_limit: limit, ..NATIVE }, Format::Protobuf);
        let scraped = target.read_bytes(Some(&body), true);
        match expected {
            Ok((scale, buckets)) => {
                let point = &points(&scraped)[0];
                let positive = point.positive.as_ref().unwrap();
                assert_eq!((point.scale, positive.bucket_counts.len()), (scale, buckets), "{limit}");
                assert_eq!(positive.bucket_counts.iter().sum::<u64>(), 40);
            }
            Err(()) => assert_eq!(
                scraped.error.unwrap(),
                "native histogram h: it has 2 buckets at the coarsest resolution, native_histogram_bucket_limit is 1"
            ),
        }
    }
    let mut target = target(Histograms { finest_schema: 0, ..NATIVE }, Format::Protobuf);
    assert_eq!(points(&target.read_bytes(Some(&body), true))[0].scale, 0);
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Histogram), expected: &str) {
    let mut of = native();
    change(&mut of);
    let mut target = target(NATIVE, Format::Protobuf);
    let error = target.read_bytes(Some(&body(&[histogram(of)])), true).error.unwrap_or_default();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn native_histograms_that_prometheus_would_not_store_fail_the_scrape() {
    refused(|h| h.count = 5, "native histogram h: its count is 5, and its buckets hold 6");
    refused(|h| h.count = 7, "its count is 7, and its buckets hold 6");
    refused(|h| (h.sum, h.count) = (f64::NAN, 5), "its count is 5, and its buckets hold 6");
    refused(|h| h.schema = -5, "its schema is -5, the schemas are -4 to 8");
    refused(|h| h.schema = 53, "its schema is 53");
    refused(|h| h.positive_deltas = vec![1, -2, 1, 0], "a bucket holds -1");
    refused(|h| h.positive_deltas = vec![1, 0, 1], "its spans have more buckets than there are");
    refused(|h| h.positive_deltas.push(0), "it has 1 buckets more than its spans");
    refused(|h| h.positive_spans = spans(&[(1, 2), (-1, 2)]), "its span 2 goes back by 1");
    refused(|h| h.positive_spans = spans(&[(3000, 4)]), "is beyond the range of a double");
    refused(|h| h.positive_spans = spans(&[(0, u32::MAX)]), "its spans have more buckets than there are");
    refused(|h| h.positive_deltas = vec![i64::MAX, i64::MAX, 0, 0], "beyond 64 bits");
    let floats = |counts: &[f64]| Histogram { count_float: 1.0, positive_counts: counts.to_vec(), ..native() };
    refused(|h| *h = floats(&[1.0, -1.0, 1.0, 1.0]), "a bucket holds -1");
    refused(|h| *h = floats(&[1.0]), "its spans have more buckets than there are");
}

#[test]
fn an_observation_that_is_not_a_number_is_in_no_bucket() {
    let mut target = target(NATIVE, Format::Protobuf);
    let of = Histogram { sum: f64::NAN, count: 7, ..native() };
    assert_eq!(points(&target.read_bytes(Some(&body(&[histogram(of)])), true))[0].count, 7);
}

#[test]
fn a_small_body_cannot_ask_for_much_memory() {
    // Two buckets as far apart as doubles go: the row between them is merged until it is short.
    let far = Histogram {
        count: 2,
        schema: 8,
        positive_spans: spans(&[(-270_000, 1), (530_000, 1)]),
        positive_deltas: vec![1, 0],
        ..Histogram::default()
    };
    let mut target = target(NATIVE, Format::Protobuf);
    let scraped = target.read_bytes(Some(&body(&[histogram(far.clone())])), true);
    let point = &points(&scraped)[0];
    assert!(point.scale < 8 && point.positive.as_ref().unwrap().bucket_counts.len() <= 1 << 16);
    let metric =
        |i: i32| Metric { labels: labels(&[("i", &i.to_string())]), histogram: Some(far.clone()), ..Metric::default() };
    let many = MetricFamily { metrics: (0..3000).map(metric).collect(), ..histogram(far.clone()) };
    let error = target.read_bytes(Some(&body(&[many])), true).error.unwrap();
    assert!(error.contains("the native histograms of the body take more than"), "{error}");
}

const CLASSIC: &str = "# TYPE h histogram\n\
    h_bucket{a=\"1\",le=\"0.5\"} 1\nh_bucket{a=\"1\",le=\"+Inf\"} 3\nh_sum{a=\"1\"} 4\nh_count{a=\"1\"} 3\n\
    # TYPE g gauge\ng 1\n";

#[test]
fn classic_histograms_become_one_sample_with_custom_buckets() {
    let rules = Histograms { custom_buckets: true, ..Histograms::default() };
    let mut target = target(rules, Format::Text);
    for added in [2, 0] {
        let scraped = target.scrape(CLASSIC);
        assert_eq!((scraped.counts.scraped, scraped.counts.kept), (2, 2));
        assert_eq!(scraped.counts.added, added, "a histogram is one series");
        assert_eq!(shown(&scraped), ["h{} 1", "g 1"]);
        let form = &metrics(&scraped)[0].metadata[1];
        assert_eq!(form.key, NATIVE_FORM);
    }
    let fewer = CLASSIC.replace("h_bucket{a=\"1\",le=\"0.5\"} 1\n", "");
    assert_eq!(shown(&target.scrape(&fewer)), ["h{} 1", "g 1"], "a bucket is not a series that could go stale");
    assert_eq!(shown(&target.scrape("g 1\n")), ["h{} 1", "g 1"]);
    assert_eq!(shown(&target.scrape("g 1\n")), ["g 1"]);
}

#[test]
fn rules_see_a_converted_histogram_by_its_own_name_and_without_le() {
    let rules = "[{source_labels: [__name__, le], regex: 'h;', target_label: __name__, replacement: renamed}, \
        {source_labels: [__name__], regex: '.*_bucket', action: drop}]";
    let config: Vec<crate::prometheus::relabel::config::Config> =
        pipeline::config::testing::decode_block(rules).unwrap();
    let metric_relabel = crate::prometheus::relabel::config::compile(&config, NameRule::Utf8, "", &mut Vec::new());
    let histograms = Histograms { custom_buckets: true, ..Histograms::default() };
    let mut target = Target::with(Rules { histograms, metric_relabel, ..Rules::default() });
    for _ in 0..2 {
        assert_eq!(shown(&target.scrape(CLASSIC)), ["renamed{} 1", "g 1"]);
    }
}

#[test]
fn both_forms_are_asked_for_when_classic_ones_are_always_wanted() {
    let rules = Histograms { custom_buckets: true, always_classic: true, ..Histograms::default() };
    let mut target = target(rules, Format::Text);
    let scraped = target.scrape(CLASSIC);
    assert_eq!((shown(&scraped), scraped.counts.kept), (vec!["h{} 1".to_owned(), "g 1".to_owned()], 5));
    let form = metrics(&scraped)[0].metadata[1].value.clone().unwrap().value;
    let expected = any_value::Value::StringValue("custom_buckets_and_classic".to_owned());
    assert_eq!(form, Some(expected));
}

fn arbitrary_spans() -> impl Strategy<Value = (Vec<Span>, Vec<i64>)> {
    let span = (0i32..20, 0u32..6).prop_map(|(offset, length)| Span { offset, length });
    (-50i32..50, prop::collection::vec(span, 0..5), prop::collection::vec(0i64..50, 30)).prop_map(
        |(first, mut spans, counts)| {
            if let Some(span) = spans.first_mut() {
                span.offset = first;
            }
            let buckets = spans.iter().map(|span| span.length as usize).sum();
            let before = std::iter::once(0).chain(counts.iter().copied());
            let deltas = counts.iter().zip(before).map(|(count, before)| count - before).take(buckets).collect();
            (spans, deltas)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What prost writes arrives with every bucket where it was, or in the one that its own becomes part of.
    #[test]
    fn every_bucket_arrives(
        (positive_spans, positive_deltas) in arbitrary_spans(),
        (negative_spans, negative_deltas) in arbitrary_spans(),
        schema in -2i32..=10,
        zero_count in 0u64..100,
        sum in prop::num::f64::NORMAL,
    ) {
        let sides = [absolute(&positive_spans, &positive_deltas), absolute(&negative_spans, &negative_deltas)];
        let count = sides.iter().flat_map(|side| side.values()).sum::<i64>() as u64 + zero_count;
        let of = Histogram {
            count, sum, schema, zero_count, zero_threshold: 0.001, positive_spans, positive_deltas, negative_spans,
            negative_deltas, ..Histogram::default()
        };
        let mut target = target(NATIVE, Format::Protobuf);
        let scraped = target.read_bytes(Some(&body(&[histogram(of)])), true);
        prop_assert_eq!(&scraped.error, &None);
        let point = points(&scraped).remove(0);
        prop_assert_eq!((point.count, point.sum, point.zero_count), (count, Some(sum), zero_count));
        prop_assert_eq!(point.scale, schema.min(8));
        let shift = schema - point.scale;
        for (side, got) in sides.iter().zip([&point.positive, &point.negative]) {
            let mut expected = std::collections::BTreeMap::new();
            for (index, count) in side.iter().filter(|(_, count)| **count > 0) {
                *expected.entry((index - 1) >> shift).or_insert(0) += *count as u64;
            }
            let got = got.iter().flat_map(|b| (i64::from(b.offset)..).zip(b.bucket_counts.iter().copied()));
            let got: std::collections::BTreeMap<_, _> = got.filter(|(_, count)| *count > 0).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
