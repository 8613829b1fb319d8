//! A body in each format, and the request that comes of it, in files: `golden/<body>` and `golden/<name>.otlp`.

use pipeline::Signal;
use pipeline::otlp::text;

use super::families::*;
use super::*;

const NATIVE: Histograms =
    Histograms { native: true, always_classic: false, custom_buckets: false, bucket_limit: 0, finest_schema: 8 };

/// Each case: the file of the request, that of the body, its format, and what becomes of histograms.
fn cases() -> Vec<(&'static str, &'static str, Format, Histograms)> {
    let classic = Histograms::default();
    vec![
        ("text-0.0.4", "text-0.0.4.prom", Format::Text, classic),
        ("text-1.0.0", "text-1.0.0.prom", Format::Text, classic),
        ("openmetrics-0.0.1", "openmetrics-0.0.1.prom", Format::OpenMetrics, classic),
        ("openmetrics-1.0.0", "openmetrics-1.0.0.prom", Format::OpenMetrics, classic),
        ("protobuf-classic", "protobuf.pb", Format::Protobuf, classic),
        ("protobuf-native", "protobuf.pb", Format::Protobuf, NATIVE),
        ("protobuf-both", "protobuf.pb", Format::Protobuf, Histograms { always_classic: true, ..NATIVE }),
        (
            "openmetrics-custom-buckets",
            "openmetrics-1.0.0.prom",
            Format::OpenMetrics,
            Histograms { custom_buckets: true, ..classic },
        ),
    ]
}

fn path(name: &str) -> String {
    format!("{}/src/prometheus/cache/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn request(body: &str, format: Format, histograms: Histograms) -> String {
    let body = std::fs::read(path(body)).unwrap();
    let mut target = Target::with(Rules { honor_timestamps: true, histograms, ..Rules::default() });
    target.format = format;
    let scraped = target.read_bytes(Some(&body), true);
    assert_eq!(scraped.error, None);
    let printed = text::print(Signal::Metrics, &scraped.request.into()).unwrap();
    // The version changes, and what the target tells of itself is tested elsewhere.
    let printed = printed.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let own = printed.find("    metric up ").unwrap_or(printed.len());
    printed[..own].to_owned()
}

#[test]
fn bodies_become_the_requests_in_the_files() {
    for (name, body, format, histograms) in cases() {
        check(&format!("{name}.otlp"), request(body, format, histograms).as_bytes());
    }
}

/// The body of the protobuf cases.
fn protobuf() -> Vec<u8> {
    let time = |seconds| Some(Timestamp { seconds, nanos: 500_000_000 });
    let exemplar = |id: &str, value, time| Some(Exemplar { labels: labels(&[("trace_id", id)]), value, time });
    let counter =
        Counter { value: 42.0, exemplar: exemplar("abc", 1.5, time(1_700_000_008)), created: time(1_699_999_000) };
    let summary = Summary {
        count: 3,
        sum: 1.5,
        quantiles: vec![Quantile { quantile: 0.5, value: 0.25 }, Quantile { quantile: 0.99, value: f64::NAN }],
        created: time(1_699_999_001),
    };
    let native = Histogram {
        count: 10,
        sum: 12.5,
        buckets: vec![
            Bucket { bound: 1.0, count: 4, exemplar: exemplar("def", 0.5, time(1_700_000_007)), ..Bucket::default() },
            Bucket { bound: 5.0, count: 9, exemplar: exemplar("timeless", 2.0, None), ..Bucket::default() },
        ],
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 2,
        negative_spans: spans(&[(0, 1)]),
        negative_deltas: vec![1],
        positive_spans: spans(&[(-2, 2), (3, 1)]),
        positive_deltas: vec![1, 2, 0],
        created: time(1_699_999_002),
        ..Histogram::default()
    };
    let floats = Histogram {
        count_float: 3.0,
        sum: 4.5,
        schema: 0,
        zero_count_float: 1.0,
        positive_spans: spans(&[(1, 1)]),
        positive_counts: vec![2.0],
        ..Histogram::default()
    };
    let metric = |pairs: &[(&str, &str)]| Metric { labels: labels(pairs), ..Metric::default() };
    let named = |name, kind, metric| MetricFamily { help: format!("About {name}."), ..family(name, kind, metric) };
    body(&[
        MetricFamily {
            unit: "bytes".to_owned(),
            ..named("c_bytes_total", COUNTER, Metric { counter: Some(counter), ..metric(&[("a", "1")]) })
        },
        named(
            "g",
            GAUGE,
            Metric { gauge: Some(Number { value: 1.5 }), timestamp_ms: 1_700_000_009_000, ..metric(&[]) },
        ),
        named("u.v", UNTYPED, Metric { untyped: Some(Number { value: 2.0 }), ..metric(&[("l.m", "x")]) }),
        named("s", SUMMARY, Metric { summary: Some(summary), ..metric(&[]) }),
        named("h", HISTOGRAM, Metric { histogram: Some(native.clone()), ..metric(&[("a", "1")]) }),
        named("f", HISTOGRAM, Metric { histogram: Some(floats), ..metric(&[]) }),
        named("gh", GAUGE_HISTOGRAM, Metric { histogram: Some(native), ..metric(&[]) }),
        MetricFamily { name: "no_metrics".to_owned(), kind: 9, ..MetricFamily::default() },
    ])
}

#[test]
fn the_protobuf_body_is_what_prost_writes() {
    check("protobuf.pb", &protobuf());
}

/// Compares with a file. `UPDATE_EXPECTED=1` writes it instead, to be read before it is committed.
fn check(name: &str, now: &[u8]) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path(name), now).unwrap();
    }
    let expected = std::fs::read(path(name)).unwrap();
    assert_eq!(String::from_utf8_lossy(now), String::from_utf8_lossy(&expected), "{name}");
    assert_eq!(now, expected, "{name}");
}
