//! What goes over the wire, and what its answers mean.

use std::time::Duration;

use pipeline::config::testing::{decode, decode_exporter};
use pipeline::delivery::Sizer;
use pipeline::testing::{Fault, conformance};
use pipeline::{Batch, Exported, Exporter, ExporterFactory, Reason, Receipt, Refused, Signal};
use prost::Message;

use super::prompb::WriteRequest;
use crate::prometheus_remote_write::{Config, Factory};
use crate::testing::otlp::*;
use crate::testing::{FarSide, Say, Sent};

const ENDPOINT: &str = "endpoint: http://far/api/v1/write";
/// One request after the other.
const ONE: &str = "remote_write_queue: {num_consumers: 1}";

fn exporter(far: &FarSide, yaml: &str) -> Box<dyn Exporter> {
    let config = decode::<Config>(&format!("{ENDPOINT}\n{yaml}")).unwrap();
    Factory::build(config, far.world.context_for("prometheus_remote_write", Signal::Metrics)).unwrap()
}

/// A gauge with so many points, all at one time.
fn points(count: u32) -> Batch {
    plain(vec![gauge("g", "", (0..count).map(|i| point(&[("i", &i.to_string())], f64::from(i))).collect())])
}

fn decoded(sent: &Sent) -> WriteRequest {
    WriteRequest::decode(sent.unsnapped().as_slice()).unwrap()
}

fn samples(sent: &[Sent]) -> Vec<usize> {
    sent.iter().map(|s| decoded(s).timeseries.len()).collect()
}

fn retry(after: Option<u64>, code: &'static str, message: &'static str) -> Exported {
    Err(Refused::Retry { after: after.map(Duration::from_secs), reason: Reason::new(code, message) })
}

#[tokio::test]
async fn a_request_has_exactly_the_headers_that_the_protocol_asks_for() {
    let far = FarSide::start([]).await;
    let yaml = "headers: {X-Scope-OrgID: tenant, Content-Encoding: gzip, X-Prometheus-Remote-Write-Version: 9.9.9}";
    let exporter = exporter(&far, yaml);
    assert_eq!(exporter.export(&points(1)).await, Ok(Receipt::default()));
    let sent = far.take();
    assert_eq!((sent.len(), sent[0].line.as_str()), (1, "POST /api/v1/write"));
    for (name, value) in [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("x-scope-orgid", "tenant"),
    ] {
        assert_eq!(sent[0].header(name), value);
    }
    assert!(sent[0].header("user-agent").starts_with("slipring/"));
    assert_eq!(decoded(&sent[0]).lines(), [format!("g{{i=\"0\"}} 0 @{SECONDS}000")]);
}

#[tokio::test]
async fn requests_hold_at_most_so_many_samples_and_bytes() {
    let far = FarSide::start([]).await;
    exporter(&far, ONE).export(&points(4500)).await.unwrap();
    assert_eq!(samples(&far.take()), [2000, 2000, 500]);
    exporter(&far, "max_batch_size_bytes: 3000").export(&points(200)).await.unwrap();
    let sent = far.take();
    assert_eq!(samples(&sent).iter().sum::<usize>(), 200);
    assert!(sent.len() > 1 && sent.iter().all(|s| s.unsnapped().len() <= 3000));
}

#[tokio::test]
async fn what_one_scrape_brings_fills_as_few_requests_as_it_can() {
    let far = FarSide::start([]).await;
    exporter(&far, "max_samples_per_send: 100").export(&points(905)).await.unwrap();
    let mut sent = samples(&far.take());
    sent.sort_unstable();
    assert_eq!(sent, [5, 100, 100, 100, 100, 100, 100, 100, 100, 100]);
}

#[tokio::test]
async fn consumers_share_the_series_and_each_stays_in_order() {
    let far = FarSide::start([]).await;
    let exporter = exporter(&far, "remote_write_queue: {num_consumers: 4}\nmax_samples_per_send: 60");
    let scrapes: Vec<_> = (0..10u64)
        .map(|scrape| {
            let mut metric = gauge("g", "", (0..20).map(|i| point(&[("i", &i.to_string())], 0.0)).collect());
            let Some(opentelemetry_proto::tonic::metrics::v1::metric::Data::Gauge(data)) = &mut metric.data else {
                unreachable!()
            };
            data.data_points.iter_mut().for_each(|p| p.time_unix_nano += scrape * 1_000_000_000);
            metric
        })
        .collect();
    exporter.export(&plain(scrapes)).await.unwrap();
    let sent = far.take();
    assert!((4..=8).contains(&sent.len()));
    for i in 0..20 {
        let all = sent.iter().flat_map(|s| decoded(s).timeseries);
        let of_series = all.filter(|t| t.label("i") == Some(&i.to_string()));
        let times: Vec<_> = of_series.map(|t| t.samples[0].timestamp).collect();
        assert!(times.len() == 10 && times.is_sorted());
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_taken_later_is_a_retry_with_the_wait_asked_for() {
    let far = FarSide::start([
        Say::status(503).body("out of\nspace"),
        Say::status(429).header("retry-after", "7"),
        Say::status(429).header("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT"),
        Say::status(500).header("retry-after", "-1"),
    ])
    .await;
    let (exporter, batch) = (exporter(&far, ""), points(1));
    let url = "http://far/api/v1/write";
    let say = |status| Box::leak(format!("{url} answered {status}").into_boxed_str());
    assert_eq!(exporter.export(&batch).await, retry(None, "http_503", say("503 Service Unavailable: out of space")));
    let many = "429 Too Many Requests: no explanation";
    assert_eq!(exporter.export(&batch).await, retry(Some(7), "http_429", say(many)));
    assert_eq!(exporter.export(&batch).await, retry(Some(60), "http_429", say(many)));
    let broken = "500 Internal Server Error: no explanation";
    assert_eq!(exporter.export(&batch).await, retry(None, "http_500", say(broken)));
    assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
    assert_eq!(far.take().len(), 5);
}

#[tokio::test]
async fn nobody_there_is_a_retry() {
    let far = FarSide::start([]).await;
    far.world.net.fault("far:80", Some(Fault::Refuse));
    let refused = exporter(&far, "").export(&points(1)).await.unwrap_err();
    assert!(matches!(&refused, Refused::Retry { after: None, reason } if reason.code == "connect"), "{refused}");
}

#[tokio::test]
async fn what_will_never_be_taken_is_rejected_with_the_servers_words_cut_short() {
    let far = FarSide::start([Say::status(401).body(format!("no entry {}", "x".repeat(100_000)))]).await;
    let refused = exporter(&far, "").export(&points(1)).await.unwrap_err();
    let Refused::Reject { reason } = refused else { panic!("{refused}") };
    assert_eq!(reason.code, "http_401");
    assert!(reason.message.starts_with("http://far/api/v1/write answered 401 Unauthorized: no entry xxx"));
    assert!(reason.message.len() < 700);
}

#[tokio::test]
async fn the_sample_that_spoils_a_request_is_found_and_the_others_are_stored() {
    let no = || Say::status(400).body("out of order sample");
    let far = FarSide::start([no(), Say::status(204), no(), no()]).await;
    let receipt = exporter(&far, "").export(&points(4)).await.unwrap();
    assert_eq!(samples(&far.take()), [4, 2, 2, 1, 1]);
    let dropped: Vec<_> = receipt.dropped.iter().map(|(reason, items)| (reason.code, *items)).collect();
    assert_eq!(dropped, [("http_400", 1)]);
    let words = &receipt.dropped[0].0.message;
    assert!(words.starts_with(&format!("g{{i=\"2\"}} @{SECONDS}000: http://far/api/v1/write answered 400")), "{words}");
    assert!(words.ends_with("out of order sample"), "{words}");
}

#[tokio::test]
async fn native_histograms_that_are_disabled_there_do_not_hold_up_the_rest() {
    let no = || Say::status(500).body("native histograms are disabled");
    let far = FarSide::start([no(), no()]).await;
    let receipt = exporter(&far, "").export(&points(2)).await.unwrap();
    assert_eq!(samples(&far.take()), [2, 1, 1]);
    assert_eq!((receipt.dropped[0].0.code, receipt.dropped[0].1), ("native_histograms_disabled", 1));
    assert!(receipt.dropped[0].0.message.contains("set send_native_histograms: false"));
}

#[tokio::test]
async fn one_request_that_is_refused_does_not_take_the_others_with_it() {
    let far = FarSide::start([Say::status(204), Say::status(403).body("no")]).await;
    let receipt = exporter(&far, &format!("{ONE}\nmax_samples_per_send: 10")).export(&points(25)).await.unwrap();
    assert_eq!(samples(&far.take()), [10, 10, 5]);
    let dropped: Vec<_> = receipt.dropped.iter().map(|(reason, items)| (reason.code, *items)).collect();
    assert_eq!(dropped, [("http_403", 10)]);
}

#[tokio::test]
async fn a_retry_sends_only_what_was_not_taken() {
    let far = FarSide::start([Say::status(204), Say::status(503)]).await;
    let (exporter, batch) = (exporter(&far, &format!("{ONE}\nmax_samples_per_send: 10")), points(25));
    assert!(exporter.export(&batch).await.is_err());
    let first: Vec<_> = far.take().iter().map(decoded).collect();
    assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
    let second: Vec<_> = far.take().iter().map(decoded).collect();
    assert_eq!((first.len(), second.len()), (2, 2));
    assert_eq!(first[1], second[0]);
}

#[tokio::test]
async fn a_request_that_comes_again_says_how_often_it_was_sent_before() {
    let far = FarSide::start([Say::status(503), Say::status(429)]).await;
    for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        let exporter = exporter(&far, &format!("protobuf_message: {message}"));
        for batch in [points(1), points(2)] {
            while exporter.export(&batch).await.is_err() {}
        }
        let attempts: Vec<_> = far.take().iter().map(|sent| sent.header("retry-attempt").to_owned()).collect();
        let expected: &[&str] = if message == "prometheus.WriteRequest" { &["", "1", "2", ""] } else { &["", "", ""] };
        assert_eq!(attempts, expected, "the far side of 2.0 does not say what it wrote, and 1.0 begins anew");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved() {
    let far = FarSide::start([Say::status(413)]).await;
    assert_eq!(exporter(&far, "").export(&points(9)).await, Ok(Receipt::default()));
    assert_eq!(samples(&far.take()), [9, 4, 4, 1]);
}

#[tokio::test]
async fn points_count_once_however_many_samples_they_become() {
    let far = FarSide::start([Say::status(404)]).await;
    let histogram = histogram(
        "h",
        "",
        vec![opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint {
            time_unix_nano: TIME,
            explicit_bounds: (0..20).map(f64::from).collect(),
            bucket_counts: vec![1; 21],
            ..Default::default()
        }],
    );
    let receipt =
        exporter(&far, &format!("{ONE}\nmax_samples_per_send: 10")).export(&plain(vec![histogram])).await.unwrap();
    assert_eq!(samples(&far.take()), [10, 10, 2]);
    assert_eq!(receipt.dropped.iter().map(|(_, items)| items).sum::<usize>(), 1);
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_has_a_form() {
    let far = FarSide::start([]).await;
    let zero = opentelemetry_proto::tonic::metrics::v1::NumberDataPoint { time_unix_nano: 0, ..point(&[], 1.0) };
    let receipt = exporter(&far, "").export(&plain(vec![gauge("g", "", vec![zero])])).await.unwrap();
    assert_eq!(receipt.dropped.len(), 1);
    assert_eq!(far.take().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_does_what_every_exporter_does() {
    conformance::exporter::<Factory>(ENDPOINT, FarSide::forever).await;
}

#[tokio::test]
async fn a_malformed_batch_is_rejected() {
    let far = FarSide::start([]).await;
    let batch = Batch::counted(Signal::Metrics, bytes::Bytes::from_static(&[10, 200]), 1);
    let refused = exporter(&far, "").export(&batch).await.unwrap_err();
    assert_eq!(refused.reason().code, "malformed");
}

#[tokio::test]
async fn metadata_follow_in_a_request_of_their_own_and_their_refusal_costs_nothing() {
    let far = FarSide::start([Say::status(204), Say::status(500)]).await;
    assert_eq!(exporter(&far, "send_metadata: true").export(&points(3)).await, Ok(Receipt::default()));
    let sent: Vec<_> = far.take().iter().map(decoded).collect();
    let counts: Vec<_> = sent.iter().map(|r| (r.timeseries.len(), r.metadata.len())).collect();
    assert_eq!(counts, [(3, 0), (0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn samples_that_are_too_old_are_dropped_also_between_attempts() {
    let far = FarSide::start([Say::status(503)]).await;
    let now = far.world.doors.clock.now();
    let ago = |seconds: u64| {
        let time = now - Duration::from_secs(seconds);
        let labels = point(&[("ago", &seconds.to_string())], 0.0);
        opentelemetry_proto::tonic::metrics::v1::NumberDataPoint {
            time_unix_nano: u64::try_from(time.as_nanos()).unwrap(),
            ..labels
        }
    };
    let batch = plain(vec![gauge("g", "", [5, 50, 10, 11].map(ago).into())]);
    let exporter = exporter(&far, "sample_age_limit: 10s");
    assert!(exporter.export(&batch).await.is_err());
    tokio::time::advance(Duration::from_secs(3)).await;
    let receipt = exporter.export(&batch).await.unwrap();
    assert_eq!(samples(&far.take()), [2, 1]);
    let dropped: Vec<_> = receipt.dropped.iter().map(|(reason, items)| (reason.code, *items)).collect();
    assert_eq!(dropped, [("too_old", 3)]);
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(exporter.export(&batch).await.unwrap_err().reason().code, "too_old");
    assert_eq!(far.take().len(), 0);
}

#[tokio::test]
async fn rules_change_labels_and_drop_series_and_the_points_that_have_none_left() {
    let far = FarSide::start([]).await;
    let rules = "[{source_labels: [i], regex: '[12]', action: drop}, {regex: i, action: labelmap, replacement: n}, \
                 {regex: i, action: labeldrop}, {target_label: __name__, replacement: new}]";
    let exporter = exporter(&far, &format!("external_labels: {{a: b}}\nwrite_relabel_configs: {rules}"));
    let receipt = exporter.export(&points(4)).await.unwrap();
    let dropped: Vec<_> = receipt.dropped.iter().map(|(reason, items)| (reason.code, *items)).collect();
    assert_eq!(dropped, [("write_relabel_configs", 2)]);
    let lines = decoded(&far.take()[0]).lines();
    let line = |i| format!("new{{a=\"b\",n=\"{i}\"}} {i} @{SECONDS}000");
    assert_eq!(lines, [line(0), line(3)]);
}

#[test]
fn delivery_keeps_order_and_batches_as_prometheus_does() {
    let (_, delivery) = decode_exporter::<Factory>(ENDPOINT).unwrap();
    let batch = delivery.queue.batch.unwrap();
    assert_eq!((delivery.queue.num_consumers, delivery.retry.initial_interval), (1, Duration::from_millis(50)));
    assert_eq!((batch.sizer, batch.flush_timeout), (Some(Sizer::Items), Duration::from_secs(5)));
    assert_eq!((batch.min_size, batch.max_size), (2000, 10_000), "at least one request, at most one for each consumer");
    let yaml = format!("{ENDPOINT}\nremote_write_queue: {{enabled: true, queue_size: 7, num_consumers: 3}}");
    let (_, delivery) = decode_exporter::<Factory>(&yaml).unwrap();
    assert_eq!((delivery.queue.queue_size, delivery.queue.num_consumers), (7, 1));
    let batch = delivery.queue.batch.unwrap();
    assert_eq!((batch.min_size, batch.max_size), (6000, 6000), "a request for each");
}

#[track_caller]
fn refused(yaml: &str, expected: &str) {
    let error = decode::<Config>(yaml).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_config_that_cannot_work_says_what_would() {
    refused("{}", "an endpoint is needed, such as http://localhost:9090/api/v1/write");
    refused("endpoint: localhost:9090", "http");
    refused("http: {endpoint: 'http://a'}\nendpoint: http://b", "endpoint stands here and in http, leave one");
    let with = |yaml: &str| format!("{ENDPOINT}\n{yaml}");
    refused(&with("compression: gzip"), "always compressed with snappy");
    refused(&with("protobuf_message: io.prometheus.write.v3.Request"), "io.prometheus.write.v2.Request");
    refused(&with("write_relabel_configs: [{action: keep, regex: '('}]"), "is not a regular expression");
    refused(&with("sample_age_limit: -1s"), "sample_age_limit");
    refused(&with("external_labels: {cluster: ''}"), "give it a name and a value");
    refused(&with("external_labels: {__name__: x}"), "__name__ is what a metric is called");
    refused(&with("translation_strategy: None"), "UnderscoreEscapingWithSuffixes");
    refused(&with("remote_write_queue: {num_consumers: 0}"), "from 1 to 100");
    refused(&with("max_samples_per_send: 0"), "the least is 1");
    refused(&with("wal: {directory: /tmp}"), "a durable queue is sending_queue with storage");
    refused(&with("export_created_metric: {enabled: true}"), "created timestamps");
    refused(&with("convert_explicit_histograms_to_nhcb: true"), "set protobuf_message: io.prometheus.write.v2.Request");
}

#[tokio::test]
async fn the_collectors_older_and_newer_keys_mean_the_same() {
    let far = FarSide::start([]).await;
    for yaml in [
        "http: {endpoint: 'http://far/api/v1/write'}\nadd_metric_suffixes: false",
        "endpoint: http://far/api/v1/write\ntranslation_strategy: UnderscoreEscapingWithoutSuffixes",
    ] {
        let more = "namespace: ns\nexternal_labels: {my-cluster: c}\nresource_to_telemetry_conversion: {enabled: true}";
        let config = decode::<Config>(&format!("{yaml}\n{more}\ntarget_info: {{enabled: false}}")).unwrap();
        let exporter = Factory::build(config, far.world.context_for("rw", Signal::Metrics)).unwrap();
        let resource = resource(&[("k8s.pod", "p")], vec![scope("", vec![sum("c", "s", true, vec![point(&[], 1.0)])])]);
        exporter.export(&batch(vec![resource])).await.unwrap();
        let lines = decoded(&far.take()[0]).lines();
        assert_eq!(lines, [format!("ns_c{{k8s_pod=\"p\",my_cluster=\"c\"}} 1 @{SECONDS}000")]);
    }
}
