//! Protobuf bodies: what is refused, what order and types do, and that nothing upsets the reader.

use proptest::prelude::*;

use super::families::*;
use super::*;

fn target() -> Target {
    Target { format: Format::Protobuf, ..Target::new() }
}

fn gauge(value: f64) -> Metric {
    Metric { gauge: Some(Number { value }), ..Metric::default() }
}

fn labelled(value: f64, pairs: &[(&str, &str)]) -> Metric {
    Metric { labels: labels(pairs), ..gauge(value) }
}

#[track_caller]
fn check(families: &[MetricFamily], expected: &[&str]) {
    let mut target = target();
    for _ in 0..2 {
        let scraped = target.read_bytes(Some(&body(families)), true);
        assert_eq!(scraped.error, None);
        assert_eq!(scraped.samples(), expected);
    }
}

#[track_caller]
fn refused(body: &[u8], expected: &str) {
    let mut target = target();
    let error = target.read_bytes(Some(body), true).error.unwrap_or_default();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn families_become_the_samples_that_prometheus_makes_of_them() {
    let counter = Metric { counter: Some(Counter { value: 3.0, ..Counter::default() }), ..Metric::default() };
    check(
        &[family("c_total", COUNTER, counter), family("g", GAUGE, labelled(1.5, &[("b", "2"), ("a", "1")]))],
        &["c_total 3", "g{a=\"1\",b=\"2\"} 1.5"],
    );
    let summary = Summary { quantiles: vec![Quantile { quantile: 1.0, value: 7.0 }], ..Summary::default() };
    let summary = Metric { summary: Some(Summary { count: 2, sum: 3.0, ..summary }), ..Metric::default() };
    check(&[family("s", SUMMARY, summary)], &["s_count 2", "s_sum 3", "s{quantile=\"1.0\"} 7"]);
    let of = Histogram { count: 5, sum: 9.0, buckets: buckets(&[(0.5, 1), (2.0, 4)]), ..Histogram::default() };
    let expected =
        ["h_bucket{le=\"+Inf\"} 5", "h_bucket{le=\"0.5\"} 1", "h_bucket{le=\"2.0\"} 4", "h_count 5", "h_sum 9"];
    check(&[histogram(of.clone())], &expected);
    let with_infinity = Histogram { buckets: buckets(&[(0.5, 1), (2.0, 4), (f64::INFINITY, 5)]), ..of };
    check(&[histogram(with_infinity)], &expected);
    // The type says which field counts; one that is missing is zero.
    check(&[family("x", COUNTER, gauge(5.0))], &["x 0"]);
    let early = family("g", GAUGE, Metric { timestamp_ms: START_MS + 5000, ..gauge(1.0) });
    assert_eq!(target().read_bytes(Some(&body(&[early])), true).samples(), ["g 1 @5"]);
}

#[test]
fn the_same_series_twice_keeps_the_first() {
    let twice = MetricFamily { metrics: vec![gauge(1.0), gauge(2.0)], ..family("g", GAUGE, gauge(0.0)) };
    let mut target = target();
    for _ in 0..2 {
        let scraped = target.read_bytes(Some(&body(std::slice::from_ref(&twice))), true);
        assert_eq!(scraped.samples(), ["g 1"]);
        assert_eq!(scraped.counts.duplicates, 1);
    }
}

#[test]
fn what_prometheus_refuses_fails_the_scrape() {
    let gauges = |name: &str, kind| body(&[family(name, kind, gauge(1.0))]);
    refused(&gauges("g", 6), "metric family 1 of the body: g has the type 6, the types are 0 to 5");
    refused(&gauges("", GAUGE), "it has no name");
    refused(&body(&[MetricFamily { unit: "s".to_owned(), ..family("g", GAUGE, gauge(1.0)) }]), "the unit \"s\" is not");
    refused(&[&gauges("g", GAUGE)[..], b"\x05\x0a"].concat(), "metric family 2 of the body: protobuf ends inside");
    refused(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "longer than 64 bits");
    refused(b"a 1\n", "protobuf ends inside a field");
    let label = |name: &str, value: &str| body(&[family("g", GAUGE, labelled(1.0, &[(name, value)]))]);
    refused(&label("", "x"), "\"\" cannot be a label name");
    refused(&body(&[family("g", GAUGE, labelled(1.0, &[("a", "1"), ("a", "2")]))]), "label a is there twice");
    let bad_utf8: Vec<u8> = label("a", "?").into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
    refused(&bad_utf8, "protobuf string is not UTF-8");
}

#[test]
fn a_family_whose_type_changes_keeps_its_series() {
    let mut target = target();
    let read = |target: &mut Target, kind| {
        let metric = Metric { counter: Some(Counter { value: 1.0, ..Counter::default() }), ..gauge(1.0) };
        target.read_bytes(Some(&body(&[family("x", kind, metric)])), true)
    };
    read(&mut target, GAUGE);
    let scraped = read(&mut target, COUNTER);
    assert_eq!((scraped.samples(), scraped.counts.added), (vec!["x 1".to_owned()], 0));
}

#[test]
fn a_target_that_changes_its_format_keeps_its_series() {
    let mut target = target();
    let body = body(&[family("g", GAUGE, labelled(1.0, &[("a", "1")]))]);
    target.read_bytes(Some(&body), true);
    target.format = Format::Text;
    assert_eq!(target.scrape("# TYPE g gauge\ng{a=\"1\"} 2\n").samples(), ["g{a=\"1\"} 2"]);
    target.format = Format::Protobuf;
    assert_eq!(target.read_bytes(Some(&body), true).samples(), ["g{a=\"1\"} 1"]);
}

#[test]
fn limits_hold_for_protobuf_too() {
    let limits = Limits { samples: 1, ..Limits::default() };
    let mut target = Target { format: Format::Protobuf, ..Target::with(Rules { limits, ..Rules::default() }) };
    let two = body(&[family("a", GAUGE, gauge(1.0)), family("b", GAUGE, gauge(1.0))]);
    assert_eq!(target.read_bytes(Some(&two), true).error.unwrap(), "the scrape has 2 samples, sample_limit is 1");
}

proptest! {
    #[test]
    fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..200), native: bool) {
        let histograms = Histograms { native, always_classic: true, ..Histograms::default() };
        let rules = Rules { histograms, ..Rules::default() };
        let mut target = Target { format: Format::Protobuf, ..Target::with(rules) };
        target.read_bytes(Some(&bytes), true);
    }

    #[test]
    fn what_prost_writes_is_read_back(
        values in prop::collection::vec((any::<f64>(), "[a-c]", "\\PC{1,6}"), 1..8),
        kind in prop::sample::select(vec![COUNTER, GAUGE, UNTYPED]),
    ) {
        let metric = |(value, name, text): &(f64, String, String)| Metric {
            labels: labels(&[(name, text)]),
            gauge: Some(Number { value: *value }),
            counter: Some(Counter { value: *value, ..Counter::default() }),
            untyped: Some(Number { value: *value }),
            ..Metric::default()
        };
        let all = MetricFamily { metrics: values.iter().map(metric).collect(), ..family("x", kind, gauge(0.0)) };
        let scraped = target().read_bytes(Some(&body(&[all])), true);
        prop_assert_eq!(&scraped.error, &None);
        let mut expected = std::collections::BTreeMap::new();
        for (value, name, text) in &values {
            let own = [("job", "dynamo"), ("instance", "worker:8081"), ("__name__", "x")];
            let series = series([(name.as_str(), text.as_str())].into_iter().chain(own));
            // prost leaves out both zeroes.
            let bits = if value.is_nan() { 0x7ff8_0000_0000_0001 } else { (*value + 0.0).to_bits() };
            expected.entry(series).or_insert(bits);
        }
        let got: std::collections::BTreeMap<_, _> = scraped.flat().into_iter()
            .filter(|flat| flat.series.starts_with("x{"))
            .map(|flat| (flat.series, flat.value.unwrap().to_bits()))
            .collect();
        prop_assert_eq!(got, expected);
    }
}
