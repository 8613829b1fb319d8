//! Requests of 1.0 that are packed from the pieces of their series are what snappy would have made of the whole.

use bytes::Bytes;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};
use pipeline::net::compress::{Coding, Level, compress, decompress};
use pipeline::{Batch, Signal};
use proptest::prelude::*;

use super::convert::conversion;
use crate::prometheus_remote_write::convert::{Conversion, convert};
use crate::prometheus_remote_write::timeseries::{Message, Most};
use crate::testing::otlp::*;

const ALL: Most = Most { samples: usize::MAX, bytes: usize::MAX };

/// Sizes of all requests of a batch: packed, and compressed by snappy. They must hold the same.
fn sizes(conversion: &Conversion, batch: &Batch) -> (usize, usize) {
    let converted = convert(conversion, Message::V1, batch).unwrap();
    let (mut packed_bytes, mut snappy_bytes) = (0, 0);
    for lane in 0..converted.series.lanes() {
        let Some(plain) = converted.series.cut(lane, 0, ALL) else { continue };
        let plain = plain.request.body;
        let snappy = compress(Coding::Snappy, Level::default(), &plain).unwrap();
        let packed = converted.series.cut_packed(lane, 0, ALL).map_or(snappy.clone(), |cut| cut.request.body);
        assert!(decompress(Coding::Snappy, &packed, 1 << 28) == Ok(plain));
        packed_bytes += packed.len();
        snappy_bytes += snappy.len();
    }
    (packed_bytes, snappy_bytes)
}

/// In sum: which series share a lane is random, and a small request has few that are alike.
#[track_caller]
fn are_about_as_small(batches: &[Batch]) {
    let settings = Conversion { lanes: 5, samples: 2000, ..conversion() };
    let all: Vec<(usize, usize)> = batches.iter().map(|batch| sizes(&settings, batch)).collect();
    let (packed, snappy) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(packed <= snappy + snappy * 3 / 10, "{packed} bytes, {snappy} by snappy");
}

/// Points like those of a fleet of inference servers.
fn fleet(points: usize) -> Batch {
    let labels = |n: usize| {
        let worker = format!("{:x}", 0x7f3a_0000 + n);
        let of =
            [("component", "backend"), ("model", "Qwen/Qwen3-0.6B"), ("namespace", "prod"), ("worker_id", &worker)];
        attributes(&of)
    };
    let buckets: Vec<u64> = (0..14).collect();
    let bounds: Vec<f64> = (0..13).map(|i| f64::from(i) * 0.25).collect();
    let mut metrics = Vec::new();
    for first in (0..points).step_by(20) {
        let histograms = (first..first + 20).map(|n| HistogramDataPoint {
            attributes: labels(n),
            time_unix_nano: TIME,
            count: 91 + n as u64,
            sum: Some(n as f64 * 0.123),
            bucket_counts: buckets.iter().map(|i| i + n as u64 % 7).collect(),
            explicit_bounds: bounds.clone(),
            ..HistogramDataPoint::default()
        });
        metrics.push(histogram(&format!("request_stage_{first}_seconds"), "", histograms.collect()));
        let gauges =
            (first..first + 20).map(|n| NumberDataPoint { attributes: labels(n), ..point(&[], n as f64 * 0.377) });
        metrics.push(gauge(&format!("component_gauge_{first}"), "", gauges.collect()));
    }
    let resource = resource(
        &[("service.name", "dynamo"), ("service.instance.id", "worker:8081")],
        vec![scope("slipring/prometheus", metrics)],
    );
    batch(vec![resource])
}

#[test]
fn a_packed_request_is_about_as_small_as_snappy_makes_it() {
    are_about_as_small(&[fleet(400)]);
    let recorded = (0..15).map(|i| {
        let path = format!("{}/../tests/data/dynamo-1.6.1/otlp/metrics-{i:04}.pb", env!("CARGO_MANIFEST_DIR"));
        Batch::new(Signal::Metrics, Bytes::from(std::fs::read(path).unwrap())).unwrap()
    });
    are_about_as_small(&recorded.collect::<Vec<_>>());
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![
        8 => "[a-c]{1,2}",
        4 => "worker-[0-9]{1,8}",
        2 => "(GET|POST|/v1/chat/completions|/v1/models)",
        1 => "x{100,140}",
    ];
    let all = ["__a", "Z", "a", "job", "k", "le", "method", "model", "quantile", "route", "worker"];
    (prop::sample::subsequence(all.to_vec(), 0..11), prop::collection::vec(value, 11))
        .prop_map(|(names, values)| names.into_iter().map(str::to_owned).zip(values).collect())
}

fn points() -> impl Strategy<Value = Vec<NumberDataPoint>> {
    let value = prop_oneof![(0..9000u32).prop_map(f64::from), any::<f64>()];
    let change = (any::<prop::sample::Index>(), "[0-9]{1,9}");
    let one = (labels(), prop::collection::vec((change, value, 0..12u8), 1..12));
    prop::collection::vec(one, 1..6).prop_map(|groups| {
        let mut out = Vec::new();
        for (mut labels, points) in groups {
            for ((at, changed), value, time) in points {
                if !labels.is_empty() {
                    let at = at.index(labels.len());
                    labels[at].1 = changed;
                }
                let pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let time = TIME + u64::from(time / 10) * 1_000_000_000;
                out.push(NumberDataPoint { time_unix_nano: time, ..point(&pairs, value) });
            }
        }
        out
    })
}

proptest! {
    #[test]
    fn it_holds_the_same(groups in prop::collection::vec(("[a-b]{1,3}", points()), 1..4), lanes in 1..3usize, rules in any::<bool>()) {
        let metrics = groups.iter().map(|(name, points)| gauge(name, "", points.clone()));
        let histograms = groups.iter().map(|(name, points)| {
            let points = points.iter().map(|point| HistogramDataPoint {
                attributes: point.attributes.clone(),
                time_unix_nano: point.time_unix_nano,
                count: 5,
                sum: Some(1.5),
                bucket_counts: vec![1, 3, 1],
                explicit_bounds: vec![0.5, point.attributes.len() as f64],
                ..HistogramDataPoint::default()
            });
            histogram(&format!("h{name}"), "", points.collect())
        });
        let metrics = metrics.chain(histograms).collect();
        let resource = resource(&[("service.name", "s"), ("service.instance.id", "i")], vec![scope("slipring/prometheus", metrics)]);
        let mut conversion = Conversion { lanes, samples: 100, ..conversion() };
        if rules {
            let yaml = "endpoint: 'http://a'\nwrite_relabel_configs: [{target_label: z, replacement: x}]";
            let config = pipeline::config::testing::decode::<crate::prometheus_remote_write::Config>(yaml).unwrap();
            conversion.rules = config.conversion().rules;
        }
        let (packed, _) = sizes(&conversion, &batch(vec![resource]));
        prop_assert!(packed > 0);
    }
}

#[test]
fn labels_that_reach_further_back_than_a_copy_does_are_written_again() {
    let long = "x".repeat(70_000);
    let points = (0..3).map(|n| point(&[("long", &long), ("n", &n.to_string())], 1.0)).collect();
    assert!(sizes(&conversion(), &plain(vec![gauge("g", "", points)])).0 > 70_000);
}
