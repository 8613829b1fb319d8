//! Remote write 2.0 against a strict receiver, and what follows where the far side does not take it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, exemplar,
    exponential_histogram_data_point, metric,
};
use pipeline::config::testing::decode;
use pipeline::{Batch, Exporter, ExporterFactory, Reason, Receipt, Refused, Signal};
use prost::Message as _;

use super::prompb::WriteRequest;
use super::prompb_2::{Received, receive};
use crate::prometheus_remote_write::{Config, Factory};
use crate::testing::otlp::*;
use crate::testing::{FarSide, Say, Sent};

const YAML: &str = "endpoint: http://far/api/v1/write\nprotobuf_message: io.prometheus.write.v2.Request";

fn exporter(far: &FarSide, yaml: &str) -> Box<dyn Exporter> {
    let config = decode::<Config>(&format!("{YAML}\n{yaml}")).unwrap();
    Factory::build(config, far.world.context_for("prometheus_remote_write", Signal::Metrics)).unwrap()
}

fn written(status: u16, samples: usize, histograms: usize) -> Say {
    Say::status(status)
        .header("x-prometheus-remote-write-samples-written", samples.to_string())
        .header("x-prometheus-remote-write-histograms-written", histograms.to_string())
        .header("x-prometheus-remote-write-exemplars-written", "0")
}

/// Takes 2.0 only, and all of it but samples with the value 666; as Prometheus 3 does, it stores the others.
fn strict(sent: &Sent) -> Say {
    let headers = [sent.header("content-type"), sent.header("x-prometheus-remote-write-version")];
    if headers != ["application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"] {
        return Say::status(415).body(format!("{headers:?}"));
    }
    let received = match receive(&sent.unsnapped()) {
        Ok(received) => received,
        Err(why) => return Say::status(400).body(why),
    };
    let series = &received.series.timeseries;
    let samples = series.iter().flat_map(|s| &s.samples);
    let bad = samples.clone().filter(|s| s.value == 666.0).count();
    let histograms = series.iter().map(|s| s.histograms.len()).sum();
    written(if bad > 0 { 400 } else { 204 }, samples.count() - bad, histograms).body("out of order sample")
}

fn received(sent: &Sent) -> Received {
    receive(&sent.unsnapped()).unwrap()
}

fn points(count: u32) -> Batch {
    plain(vec![gauge("g", "", (0..count).map(|i| point(&[("i", &i.to_string())], f64::from(i))).collect())])
}

fn dropped(receipt: &Receipt) -> Vec<(&'static str, usize)> {
    receipt.dropped.iter().map(|(reason, items)| (reason.code, *items)).collect()
}

#[tokio::test]
async fn every_series_has_its_type_help_and_unit_and_when_it_began() {
    let far = FarSide::judging([], strict).await;
    let since = TIME - 5_000_000_000;
    let mut counter = sum("c", "By", true, vec![NumberDataPoint { start_time_unix_nano: since, ..point(&[], 3.0) }]);
    counter.description = "what for".to_owned();
    let mut depth = gauge("depth", "", vec![NumberDataPoint { start_time_unix_nano: since, ..point(&[], 1.0) }]);
    depth.metadata = attributes(&[("prometheus.type", "unknown")]);
    let stale = NumberDataPoint { start_time_unix_nano: since, flags: 1, value: None, ..point(&[("x", "y")], 0.0) };
    let batch = batch(vec![resource(
        &[("service.name", "s"), ("host.name", "h")],
        vec![scope("", vec![counter, depth, sum("d", "", true, vec![stale])])],
    )]);
    assert_eq!(exporter(&far, "").export(&batch).await, Ok(Receipt::default()));
    let sent = far.take();
    let received = received(&sent[0]);
    let at = format!("@{SECONDS}000");
    assert_eq!(
        received.series.lines(),
        [
            format!("c_bytes_total{{job=\"s\"}} 3 since {}000 {at}", SECONDS - 5),
            format!("depth{{job=\"s\"}} 1 {at}"),
            format!("d_total{{job=\"s\",x=\"y\"}} stale {at}"),
            format!("target_info{{host_name=\"h\",job=\"s\"}} 1 {at}"),
        ]
    );
    let said: Vec<_> = received.said.iter().map(|(kind, help, unit)| (*kind, help.as_str(), unit.as_str())).collect();
    assert_eq!(said, [(1, "what for", "bytes"), (0, "", ""), (1, "", ""), (6, "", "")]);
}

#[tokio::test]
async fn histograms_go_native_with_exemplars_and_custom_buckets_when_asked_to() {
    let exemplar = Exemplar {
        time_unix_nano: TIME,
        trace_id: vec![0xab; 16],
        value: Some(exemplar::Value::AsDouble(0.3)),
        ..Exemplar::default()
    };
    let classic = |counts: &[u64]| HistogramDataPoint {
        time_unix_nano: TIME,
        start_time_unix_nano: TIME - 1_000_000_000,
        count: counts.iter().sum(),
        sum: Some(7.5),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![0.5, 1.0, 2.0, 4.0, 8.0],
        exemplars: vec![exemplar.clone()],
        ..HistogramDataPoint::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: TIME,
        start_time_unix_nano: TIME - 1_000_000_000,
        count: 3,
        sum: Some(6.0),
        scale: 1,
        positive: Some(exponential_histogram_data_point::Buckets { offset: 0, bucket_counts: vec![1, 2] }),
        ..ExponentialHistogramDataPoint::default()
    };
    let mut gauge_kind = named(
        "ge",
        "",
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential],
            aggregation_temporality: CUMULATIVE,
        }),
    );
    gauge_kind.metadata = attributes(&[("prometheus.type", "gaugehistogram")]);
    let stale = HistogramDataPoint { flags: 1, ..classic(&[]) };
    let batch = plain(vec![histogram("h", "", vec![classic(&[1, 0, 0, 0, 2, 3]), stale]), gauge_kind]);
    let far = FarSide::judging([], strict).await;
    let convert = "convert_explicit_histograms_to_nhcb: true";
    assert_eq!(exporter(&far, convert).export(&batch).await, Ok(Receipt::default()));
    let (since, at) = (format!("since {}000", SECONDS - 1), format!("@{SECONDS}000"));
    let bounds = "bounds=[0.5, 1.0, 2.0, 4.0, 8.0]";
    let id = "ab".repeat(16);
    let native = [
        format!(
            "h schema=-53 count=6 sum=7.5 zero=0 positive=[0+1 3+2][1, 1, 1] negative=[][] {bounds} {since} {at} \
             # {{trace_id=\"{id}\"}} 0.3 {at}"
        ),
        format!(
            "h schema=-53 count=0 sum=stale zero=0 positive=[][] negative=[][] {at} # {{trace_id=\"{id}\"}} 0.3 {at}"
        ),
        format!("ge schema=1 count=3 sum=6 zero=0 positive=[1+2][1, 1] negative=[][] gauge {since} {at}"),
    ];
    assert_eq!(received(&far.take()[0]).series.lines(), native);
    let both = format!("{convert}\nkeep_classic_histograms: true");
    assert_eq!(exporter(&far, &both).export(&batch).await, Ok(Receipt::default()));
    let lines = received(&far.take()[0]).series.lines();
    assert_eq!(lines.len(), native.len() + 8 + 3);
    assert!(lines.contains(&format!("h_bucket{{le=\"4\"}} 1 {since} {at}")), "{lines:?}");
}

#[tokio::test]
async fn a_scraped_histogram_has_custom_buckets_where_the_scrape_config_says_so() {
    let point = HistogramDataPoint {
        time_unix_nano: TIME,
        count: 3,
        sum: Some(7.5),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        ..HistogramDataPoint::default()
    };
    for (form, series) in [("", 4), ("custom_buckets", 1), ("custom_buckets_and_classic", 5)] {
        let mut metric = histogram("h", "", vec![point.clone()]);
        metric.metadata = attributes(&[("prometheus.native_histogram", form)]);
        let far = FarSide::judging([], strict).await;
        assert_eq!(exporter(&far, "").export(&plain(vec![metric])).await, Ok(Receipt::default()));
        assert_eq!(received(&far.take()[0]).series.timeseries.len(), series, "{form}");
    }
}

#[tokio::test]
async fn a_scraped_zero_bucket_is_as_wide_as_it_was() {
    let point = ExponentialHistogramDataPoint {
        time_unix_nano: TIME,
        count: 1,
        zero_count: 1,
        ..ExponentialHistogramDataPoint::default()
    };
    for (name, expected) in [("slipring/prometheus", 0.0), ("", 1e-128)] {
        let data = ExponentialHistogram { data_points: vec![point.clone()], aggregation_temporality: CUMULATIVE };
        let metric = named("h", "", metric::Data::ExponentialHistogram(data));
        let far = FarSide::judging([], strict).await;
        let batch = batch(vec![resource(&[], vec![scope(name, vec![metric])])]);
        assert_eq!(exporter(&far, "").export(&batch).await, Ok(Receipt::default()));
        let threshold = received(&far.take()[0]).series.timeseries[0].histograms[0].zero_threshold;
        assert_eq!(threshold.to_bits(), f64::to_bits(expected));
    }
}

#[tokio::test]
async fn requests_keep_to_their_limits_and_symbols_to_their_request() {
    let far = FarSide::judging([], strict).await;
    exporter(&far, "max_batch_size_bytes: 3000").export(&points(300)).await.unwrap();
    let sent = far.take();
    assert!(sent.len() > 2 && sent.iter().all(|s| s.unsnapped().len() <= 3000), "{}", sent.len());
    assert_eq!(sent.iter().map(|s| received(s).series.timeseries.len()).sum::<usize>(), 300);
}

#[tokio::test]
async fn a_far_side_that_does_not_take_it_gets_the_same_batch_in_1_0_and_everything_after() {
    let old = |sent: &Sent| {
        if sent.header("x-prometheus-remote-write-version") == "0.1.0" { Say::status(204) } else { Say::status(415) }
    };
    // As Prometheus 2.42 does, which takes every body for one of 1.0, and finds nothing in it.
    let silent = |_: &Sent| Say::status(204);
    for judge in [old as fn(&Sent) -> Say, silent] {
        let far = FarSide::judging([], judge).await;
        let exporter = exporter(&far, "");
        assert_eq!(exporter.export(&points(3)).await, Ok(Receipt::default()));
        assert_eq!(exporter.export(&points(2)).await, Ok(Receipt::default()));
        let sent = far.take();
        let versions: Vec<_> = sent.iter().map(|s| s.header("x-prometheus-remote-write-version")).collect();
        assert_eq!(versions, ["2.0.0", "0.1.0", "0.1.0"]);
        assert_eq!(sent[1].header("content-type"), "application/x-protobuf");
        let request = WriteRequest::decode(sent[1].unsnapped().as_slice()).unwrap();
        assert_eq!(request.timeseries.len(), 3);
    }
}

#[tokio::test]
async fn a_refusal_of_1_0_as_well_is_final() {
    let far = FarSide::judging([], |_| Say::status(415)).await;
    let refused = exporter(&far, "").export(&points(1)).await.unwrap_err();
    assert!(matches!(&refused, Refused::Reject { reason } if reason.code == "http_415"), "{refused}");
}

#[tokio::test]
async fn what_may_be_taken_later_does_not_change_the_version() {
    let far = FarSide::judging([Say::status(503), Say::status(429).header("retry-after", "3")], strict).await;
    let (exporter, batch) = (exporter(&far, ""), points(2));
    assert!(exporter.export(&batch).await.is_err());
    let refused = exporter.export(&batch).await.unwrap_err();
    assert!(matches!(refused, Refused::Retry { after: Some(after), .. } if after.as_secs() == 3));
    assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
}

#[tokio::test]
async fn the_offending_series_is_found_among_those_that_were_stored() {
    let stored = Arc::new(Mutex::new(HashSet::new()));
    let seen = stored.clone();
    let far = FarSide::judging([], move |sent| {
        let series = received(sent).series;
        let good = series.timeseries.iter().filter(|s| s.samples[0].value != 666.0);
        seen.lock().unwrap().extend(good.map(|s| s.label("i").unwrap().to_owned()));
        strict(sent)
    })
    .await;
    let value = |i: u32| if i == 37 || i == 62 { 666.0 } else { f64::from(i) };
    let batch = plain(vec![gauge("g", "", (0..100).map(|i| point(&[("i", &i.to_string())], value(i))).collect())]);
    let receipt = exporter(&far, "").export(&batch).await.unwrap();
    assert_eq!(dropped(&receipt), [("http_400", 1), ("http_400", 1)]);
    for (at, i) in [(0, 37), (1, 62)] {
        let words = &receipt.dropped[at].0.message;
        assert!(words.starts_with(&format!("g{{i=\"{i}\"}} @{SECONDS}000: ")), "{words}");
    }
    assert_eq!(stored.lock().unwrap().len(), 98);
}

#[tokio::test]
async fn what_is_stored_is_not_sent_again_where_its_series_went_on() {
    let far = FarSide::judging([], strict).await;
    let later = |i: u64, value| NumberDataPoint { time_unix_nano: TIME + i * 1_000_000_000, ..point(&[], value) };
    let batch = plain(vec![gauge("g", "", (0..5).map(|i| later(i, if i == 3 { 666.0 } else { 1.0 })).collect())]);
    let receipt = exporter(&far, "").export(&batch).await.unwrap();
    assert_eq!(far.take().len(), 1);
    assert_eq!(dropped(&receipt), [("http_400", 1)]);
}

#[tokio::test]
async fn what_was_taken_but_not_written_is_dropped_with_a_reason() {
    let far = FarSide::start([written(200, 2, 0), written(200, 0, 0), written(400, 5, 0)]).await;
    let exporter = exporter(&far, "");
    let receipt = exporter.export(&points(5)).await.unwrap();
    assert_eq!(
        receipt.dropped,
        [(Reason::new("not_written", "the far side answered 200 OK but wrote 2 of 5 samples"), 3)]
    );
    assert_eq!(dropped(&exporter.export(&points(5)).await.unwrap()), [("not_written", 5)]);
    assert_eq!(dropped(&exporter.export(&points(5)).await.unwrap()), [], "all of it was written");
}
