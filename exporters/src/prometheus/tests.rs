//! What a scraper reads, in each format.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    Summary, SummaryDataPoint, exemplar, exponential_histogram_data_point, metric, summary_data_point,
};
use pipeline::config::testing::{decode, warnings};
use pipeline::net::config::HttpClientConfig;
use pipeline::net::http::{Client, Request, Response};
use pipeline::net::origin::parse_url;
use pipeline::testing::{World, conformance};
use pipeline::{Batch, Exporter, ExporterFactory, Receipt, Signal};
use prost::Message;

use super::format::{Format, Kind, accepts_gzip};
use super::{Config, Factory};
use crate::testing::otlp::*;

const TEXT_1: &str = "text/plain;version=1.0.0;escaping=allow-utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

struct Endpoint {
    world: World,
    exporter: Box<dyn Exporter>,
    client: Client,
}

impl Endpoint {
    async fn start(yaml: &str) -> Endpoint {
        let world = World::new();
        let config = decode::<Config>(&format!("endpoint: here:8889\n{yaml}")).unwrap();
        let context = world.context_for("prometheus", Signal::Metrics);
        let exporter = Factory::build(config, context.clone()).unwrap();
        exporter.start().await.unwrap();
        let client = Client::new(HttpClientConfig::default().options(), &context).unwrap();
        Endpoint { world, exporter, client }
    }

    async fn put(&self, batch: &Batch) {
        assert_eq!(self.exporter.export(batch).await, Ok(Receipt::default()));
    }

    async fn dropped(&self, batch: &Batch) -> Vec<(&'static str, usize)> {
        let receipt = self.exporter.export(batch).await.unwrap();
        receipt.dropped.iter().map(|(reason, items)| (reason.code, *items)).collect()
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Response {
        let mut request = Request::get(parse_url(&format!("http://here:8889{path}")).unwrap());
        request.method = method;
        for (name, value) in headers {
            request.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        self.client.send(request).await.unwrap()
    }

    async fn read(&self, accept: &str) -> String {
        let response = self.ask(Method::GET, "/metrics", &[("accept", accept)]).await;
        assert_eq!(response.status, 200);
        String::from_utf8(response.decoded(1 << 20).unwrap().to_vec()).unwrap()
    }
}

fn counter(name: &str, value: f64) -> Metric {
    let example = Exemplar {
        time_unix_nano: TIME + 1_500_000,
        trace_id: vec![0xab; 16],
        value: Some(exemplar::Value::AsDouble(1.0)),
        ..Exemplar::default()
    };
    let start = TIME - 5_250_000_000;
    let point =
        NumberDataPoint { start_time_unix_nano: start, exemplars: vec![example], ..point(&[("a", "b")], value) };
    Metric { description: "What\nfor \\ \"it\"".to_owned(), ..sum(name, "By", true, vec![point]) }
}

fn classic() -> Metric {
    let observed = Exemplar {
        value: Some(exemplar::Value::AsDouble(0.7)),
        filtered_attributes: attributes(&[("k", "v\"")]),
        ..Exemplar::default()
    };
    let point = HistogramDataPoint {
        time_unix_nano: TIME,
        count: 6,
        sum: Some(12.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 10.0],
        exemplars: vec![observed],
        ..HistogramDataPoint::default()
    };
    histogram("latency", "s", vec![point])
}

fn exponential() -> Metric {
    let point = ExponentialHistogramDataPoint {
        time_unix_nano: TIME,
        count: 7,
        sum: Some(6.0),
        scale: 1,
        zero_count: 1,
        positive: Some(exponential_histogram_data_point::Buckets { offset: 0, bucket_counts: vec![1, 2, 0, 0, 0, 3] }),
        ..ExponentialHistogramDataPoint::default()
    };
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: CUMULATIVE };
    named("native", "", metric::Data::ExponentialHistogram(data))
}

fn quantiles() -> Metric {
    let at = |quantile, value| summary_data_point::ValueAtQuantile { quantile, value };
    let point = SummaryDataPoint {
        time_unix_nano: TIME,
        count: 2,
        sum: 3.0,
        quantile_values: vec![at(0.5, 1.0), at(1.0, f64::NAN)],
        ..SummaryDataPoint::default()
    };
    named("sizes", "", metric::Data::Summary(Summary { data_points: vec![point] }))
}

/// All kinds, of a resource that says who it is.
fn everything() -> Batch {
    let mut depth = gauge("queue.depth", "", vec![point(&[("dp.rank", "0")], -0.000_001)]);
    depth.description = "How deep".to_owned();
    let metrics = vec![counter("io", 1e22), depth, classic(), exponential(), quantiles()];
    batch(vec![resource(&[("service.name", "s"), ("host.name", "h")], vec![scope("", metrics)])])
}

#[tokio::test]
async fn the_oldest_text_is_what_everybody_gets() {
    let endpoint = Endpoint::start("const_labels: {c: d}").await;
    endpoint.put(&everything()).await;
    let response = endpoint.ask(Method::GET, "/metrics", &[]).await;
    let kind = response.headers["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    let expected = r#"# HELP io_bytes_total What\nfor \\ "it"
# TYPE io_bytes_total counter
io_bytes_total{a="b",c="d",job="s"} 1e22
# TYPE latency_seconds histogram
latency_seconds_bucket{c="d",job="s",le="0.5"} 1
latency_seconds_bucket{c="d",job="s",le="10.0"} 3
latency_seconds_bucket{c="d",job="s",le="+Inf"} 6
latency_seconds_sum{c="d",job="s"} 12.5
latency_seconds_count{c="d",job="s"} 6
# TYPE native histogram
native_bucket{c="d",job="s",le="+Inf"} 7
native_sum{c="d",job="s"} 6
native_count{c="d",job="s"} 7
# HELP queue_depth How deep
# TYPE queue_depth gauge
queue_depth{c="d",dp_rank="0",job="s"} -1e-6
# TYPE sizes summary
sizes{c="d",job="s",quantile="0.5"} 1
sizes{c="d",job="s",quantile="1.0"} NaN
sizes_sum{c="d",job="s"} 3
sizes_count{c="d",job="s"} 2
# HELP target_info Target metadata
# TYPE target_info gauge
target_info{c="d",host_name="h",job="s"} 1
"#;
    assert_eq!(String::from_utf8(response.body.to_vec()).unwrap(), expected);
}

#[tokio::test]
async fn open_metrics_has_units_starts_exemplars_and_an_end() {
    let endpoint = Endpoint::start("enable_open_metrics: true\nsend_timestamps: true").await;
    let mut scraped =
        vec![sum("served", "", true, vec![point(&[], 1.0)]), gauge("odd_total", "", vec![point(&[], 2.0)])];
    scraped.push(Metric {
        metadata: attributes(&[("prometheus.type", "info")]),
        ..sum("build_info", "", false, vec![point(&[("v", "1")], 1.0)])
    });
    let own = resource(&[], vec![scope("", vec![counter("io", 3.0), classic()])]);
    endpoint.put(&batch(vec![own, resource(&[], vec![scope("slipring/prometheus", scraped)])])).await;
    let id = "ab".repeat(16);
    let s = SECONDS;
    let expected = format!(
        r#"# TYPE build info
build_info{{v="1"}} 1 {s}
# TYPE io_bytes counter
# UNIT io_bytes bytes
# HELP io_bytes What\nfor \\ \"it\"
io_bytes_total{{a="b"}} 3 {s} # {{trace_id="{id}"}} 1 {s}.001
io_bytes_created{{a="b"}} {created}.75
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{{le="0.5"}} 1 {s}
latency_seconds_bucket{{le="10.0"}} 3 {s} # {{k="v\""}} 0.7
latency_seconds_bucket{{le="+Inf"}} 6 {s}
latency_seconds_sum 12.5 {s}
latency_seconds_count 6 {s}
# TYPE odd_total gauge
odd_total 2 {s}
# TYPE served unknown
served 1 {s}
# EOF
"#,
        created = s - 6,
    );
    assert_eq!(endpoint.read(OPEN_METRICS).await, expected);
}

#[tokio::test]
async fn names_beyond_ascii_stand_in_quotes_or_are_escaped_as_asked() {
    let endpoint = Endpoint::start("translation_strategy: NoTranslation").await;
    let name = vec![gauge("größe.1", "", vec![point(&[("dp.rank", "0"), ("plain", "x")], 1.0)])];
    endpoint.put(&plain(name)).await;
    let quoted = "# TYPE \"größe.1\" gauge\n{\"größe.1\",\"dp.rank\"=\"0\",plain=\"x\"} 1\n";
    assert_eq!(endpoint.read(TEXT_1).await, quoted);
    let escaped = "# TYPE gr__e_1 gauge\ngr__e_1{dp_rank=\"0\",plain=\"x\"} 1\n";
    assert_eq!(endpoint.read("text/plain").await, escaped);
    let values = "# TYPE U__gr_f6__df_e_2e_1 gauge\nU__gr_f6__df_e_2e_1{U__dp_2e_rank=\"0\",plain=\"x\"} 1\n";
    assert_eq!(endpoint.read("text/plain;version=0.0.4;escaping=values").await, values);
}

#[derive(Clone, PartialEq, Message)]
struct PbFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<PbMetric>,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, Message)]
struct PbMetric {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<PbLabel>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<PbNumber>,
    #[prost(message, optional, tag = "3")]
    counter: Option<PbNumber>,
    #[prost(message, optional, tag = "4")]
    summary: Option<PbSummary>,
    #[prost(int64, tag = "6")]
    time: i64,
    #[prost(message, optional, tag = "7")]
    histogram: Option<PbHistogram>,
}

#[derive(Clone, PartialEq, Message)]
struct PbLabel {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct PbNumber {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(message, optional, tag = "2")]
    exemplar: Option<PbExemplar>,
    #[prost(message, optional, tag = "3")]
    created: Option<PbTime>,
}

#[derive(Clone, PartialEq, Message)]
struct PbTime {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct PbExemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<PbLabel>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    time: Option<PbTime>,
}

#[derive(Clone, PartialEq, Message)]
struct PbHistogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    buckets: Vec<PbBucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    spans: Vec<PbSpan>,
    #[prost(sint64, repeated, tag = "13")]
    deltas: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct PbSummary {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(message, repeated, tag = "3")]
    quantiles: Vec<PbQuantile>,
}

#[derive(Clone, PartialEq, Message)]
struct PbQuantile {
    #[prost(double, tag = "1")]
    quantile: f64,
    #[prost(double, tag = "2")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct PbBucket {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<PbExemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct PbSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[tokio::test]
async fn protobuf_has_everything_native_histograms_included() {
    let endpoint = Endpoint::start("send_timestamps: true").await;
    endpoint.put(&everything()).await;
    let response = endpoint.ask(Method::GET, "/metrics", &[("accept", PROTOBUF)]).await;
    assert!(response.headers["content-type"].to_str().unwrap().starts_with("application/vnd.google.protobuf; proto="));
    let mut rest = response.body.as_ref();
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(PbFamily::decode_length_delimited(&mut rest).unwrap());
    }
    let kinds: Vec<_> = families.iter().map(|f| (f.name.as_str(), f.kind, f.unit.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("io_bytes_total", 0, "bytes"),
            ("latency_seconds", 4, "seconds"),
            ("native", 4, ""),
            ("queue_depth", 1, ""),
            ("sizes", 2, ""),
            ("target_info", 1, "")
        ]
    );
    let only = |at: usize| &families[at].metrics[0];
    let counter = only(0).counter.as_ref().unwrap();
    let exemplar = counter.exemplar.as_ref().unwrap();
    assert_eq!((counter.value, counter.created.clone().unwrap().nanos), (1e22, 750_000_000));
    assert_eq!((exemplar.labels[0].name.as_str(), exemplar.time.clone().unwrap().nanos), ("trace_id", 1_500_000));
    assert_eq!((only(0).labels[0].value.as_str(), only(0).time), ("b", SECONDS * 1000));
    let classic = only(1).histogram.as_ref().unwrap();
    let buckets: Vec<_> = classic.buckets.iter().map(|b| (b.bound, b.count, b.exemplar.is_some())).collect();
    assert_eq!(buckets, [(0.5, 1, false), (10.0, 3, true), (f64::INFINITY, 6, false)]);
    let native = only(2).histogram.as_ref().unwrap();
    assert_eq!((native.count, native.schema, native.zero_count, native.zero_threshold), (7, 1, 1, 1e-128));
    let span = |offset, length| PbSpan { offset, length };
    assert_eq!((native.spans.as_slice(), native.deltas.as_slice()), (&[span(1, 2), span(3, 1)][..], &[1, 1, 1][..]));
    assert_eq!(only(3).gauge.as_ref().unwrap().value, -0.000_001);
    let summary = only(4).summary.as_ref().unwrap();
    assert_eq!((summary.count, summary.quantiles[0].quantile, summary.quantiles.len()), (2, 0.5, 2));
}

#[tokio::test(start_paused = true)]
async fn series_go_when_they_are_marked_stale_or_get_no_points() {
    let endpoint = Endpoint::start("metric_expiration: 10s").await;
    let labelled = |a: &str, value| plain(vec![gauge("g", "", vec![point(&[("a", a)], value)])]);
    let shown = async |expected: &[&str]| {
        let text = endpoint.read("").await;
        let lines: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(lines, expected);
    };
    endpoint.put(&labelled("x", 1.0)).await;
    endpoint.put(&labelled("y", 2.0)).await;
    shown(&["g{a=\"x\"} 1", "g{a=\"y\"} 2"]).await;
    let stale = NumberDataPoint { flags: 1, value: None, ..point(&[("a", "x")], 0.0) };
    endpoint.put(&plain(vec![gauge("g", "", vec![stale])])).await;
    shown(&["g{a=\"y\"} 2"]).await;
    tokio::time::advance(Duration::from_secs(9)).await;
    endpoint.put(&labelled("x", 3.0)).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    shown(&["g{a=\"x\"} 3"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_exporter_goes_on_with_the_series_of_the_one_before() {
    let world = World::new();
    let context = world.context_for("prometheus", Signal::Metrics);
    let build = |yaml: &str| {
        let shared = context.shared.clone();
        let config = decode::<Config>(&format!("endpoint: here:8889\n{yaml}")).unwrap();
        Factory::build(config, pipeline::Context { shared, ..world.context_for("prometheus", Signal::Metrics) })
            .unwrap()
    };
    let client = Client::new(HttpClientConfig::default().options(), &context).unwrap();
    let shown = async |exporter: Box<dyn Exporter>, before: Option<Box<dyn Exporter>>| {
        if let Some(before) = before {
            before.close().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        exporter.start().await.unwrap();
        let request = Request::get(parse_url("http://here:8889/metrics").unwrap());
        let answer = client.send(request).await.unwrap().decoded(1 << 20).unwrap().to_vec();
        (exporter, String::from_utf8(answer).unwrap())
    };
    let point = |value| plain(vec![gauge("g", "", vec![point(&[], value)])]);
    let first = build("");
    assert_eq!(first.export(&point(1.0)).await, Ok(Receipt::default()));
    let (first, text) = shown(first, None).await;
    assert_eq!(text, "# TYPE g gauge\ng 1\n");
    let second = build("send_timestamps: true\nmetric_expiration: 20s");
    // What the one before still gets is not lost either.
    assert_eq!(first.export(&point(2.0)).await, Ok(Receipt::default()));
    let (second, text) = shown(second, Some(first)).await;
    assert!(text.starts_with("# TYPE g gauge\ng 2 1"), "{text}");
    let renamed = build("namespace: other");
    let (renamed, text) = shown(renamed, Some(second)).await;
    assert_eq!(text, "", "what has other names begins anew");
    assert_eq!(renamed.export(&point(3.0)).await, Ok(Receipt::default()));
    let (third, text) = shown(build("namespace: other\nmetric_expiration: 5s"), Some(renamed)).await;
    assert_eq!(text, "# TYPE other_g gauge\nother_g 3\n");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(shown(build("namespace: other\nmetric_expiration: 5s"), Some(third)).await.1, "", "its own limits hold");
}

#[tokio::test]
async fn an_older_point_does_not_take_a_later_ones_place() {
    let endpoint = Endpoint::start("").await;
    let at =
        |time, value| plain(vec![gauge("g", "", vec![NumberDataPoint { time_unix_nano: time, ..point(&[], value) }])]);
    endpoint.put(&at(TIME, 1.0)).await;
    endpoint.put(&at(TIME - 1, 2.0)).await;
    assert_eq!(endpoint.read("").await, "# TYPE g gauge\ng 1\n");
}

#[tokio::test]
async fn what_has_no_place_is_dropped_with_a_reason() {
    let endpoint = Endpoint::start("max_bytes: 1000").await;
    let many = (0..10).map(|i| point(&[("i", &i.to_string())], 1.0)).collect();
    assert_eq!(endpoint.dropped(&plain(vec![gauge("g", "", many)])).await, [("max_bytes", 4)]);
    assert_eq!(endpoint.read("").await.lines().count(), 7);
    let endpoint = Endpoint::start("").await;
    let mut delta = counter("c", 1.0);
    let Some(metric::Data::Sum(data)) = &mut delta.data else { unreachable!() };
    data.aggregation_temporality = 1;
    let coarse = ExponentialHistogramDataPoint { scale: -5, time_unix_nano: TIME, ..Default::default() };
    let coarse = ExponentialHistogram { data_points: vec![coarse], aggregation_temporality: CUMULATIVE };
    let metrics = vec![
        delta,
        gauge("latency_seconds", "", vec![point(&[], 1.0)]),
        classic(),
        named("e", "", metric::Data::ExponentialHistogram(coarse)),
    ];
    let expected = [("delta_temporality", 1), ("type_conflict", 1), ("no_form", 1)];
    assert_eq!(endpoint.dropped(&plain(metrics)).await, expected);
}

#[tokio::test]
async fn http_is_spoken_as_scrapers_do() {
    let endpoint = Endpoint::start("response_headers: {x-by: slipring}").await;
    endpoint.put(&everything()).await;
    let zipped = endpoint.ask(Method::GET, "/metrics", &[("accept-encoding", "br, gzip;q=0.5")]).await;
    assert_eq!(
        (&zipped.headers["content-encoding"], &zipped.headers["x-by"]),
        (&"gzip".parse().unwrap(), &"slipring".parse().unwrap())
    );
    assert!(zipped.decoded(1 << 20).unwrap().starts_with(b"# HELP io_bytes_total"));
    let head = endpoint.ask(Method::HEAD, "/metrics", &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(endpoint.ask(Method::POST, "/metrics", &[]).await.status, 405);
    assert_eq!(endpoint.ask(Method::GET, "/", &[]).await.status, 404);
    endpoint.exporter.close().await;
    endpoint.world.tasks.close();
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let endpoint = Endpoint::start("").await;
    let config = decode::<Config>("endpoint: here:8889").unwrap();
    let second = Factory::build(config, endpoint.world.context_for("prometheus", Signal::Metrics)).unwrap();
    let error = second.start().await.unwrap_err().to_string();
    assert!(error.starts_with("endpoint: cannot listen on here:8889: "), "{error}");
}

#[test]
fn the_best_format_that_is_asked_for_is_taken() {
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                        application/openmetrics-text;version=0.0.1;q=0.5,\
                        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let native = format!("{PROTOBUF};escaping=allow-utf-8;q=0.7,{prometheus_3}");
    for (accept, open_metrics, kind, escaping) in [
        ("", true, Kind::Text004, "underscores"),
        ("*/*", true, Kind::Text004, "underscores"),
        ("application/json", true, Kind::Text004, "underscores"),
        (prometheus_3, true, Kind::OpenMetrics100, "allow-utf-8"),
        (prometheus_3, false, Kind::Text100, "allow-utf-8"),
        (&native, false, Kind::Protobuf, "allow-utf-8"),
        (
            "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5",
            true,
            Kind::OpenMetrics001,
            "underscores",
        ),
        ("text/plain;version=0.0.4;escaping=allow-utf-8", true, Kind::Text004, "underscores"),
        ("text/plain;version=0.0.4;escaping=dots", true, Kind::Text004, "dots"),
        ("text/plain;version=1.0.0;q=0,text/plain;q=0.1", true, Kind::Text004, "underscores"),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            true,
            Kind::Text004,
            "underscores",
        ),
    ] {
        let format = Format::negotiate(accept, open_metrics);
        assert_eq!((format.kind, format.escaping.name()), (kind, escaping), "{accept}");
    }
    for (accept, expected) in
        [("gzip", true), ("deflate, gzip;q=1.0", true), ("gzip;q=0", false), ("br", false), ("*", true)]
    {
        assert_eq!(accepts_gzip(accept), expected, "{accept}");
    }
}

#[test]
fn a_config_that_cannot_work_says_what_would() {
    for (yaml, expected) in [
        ("{}", "an endpoint is needed, such as localhost:8889"),
        ("{endpoint: 'a:1', metric_expiration: 0s}", "give a time such as 5m"),
        ("{endpoint: 'a:1', max_bytes: 0}", "the least is 1"),
        ("{endpoint: 'a:1', const_labels: {a: ''}}", "give it a name and a value"),
        ("{endpoint: 'a:1', const_labels: {__name__: x}}", "__name__ is what a metric is called"),
    ] {
        let error = decode::<Config>(yaml).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn labels_for_all_that_are_renamed_are_told() {
    let labels = "endpoint: a:1\nconst_labels: {'a b': c, d: e}";
    let warned = warnings::<Config>(labels);
    assert!(warned.contains("the label \"a b\" becomes a_b; write it so") && warned.contains("1 warning"), "{warned}");
    assert_eq!(warnings::<Config>(&format!("{labels}\ntranslation_strategy: NoTranslation")), "");
}

#[tokio::test(start_paused = true)]
async fn it_does_what_every_exporter_does() {
    conformance::exporter::<Factory>("endpoint: here:8889", async |_| {}).await;
}
