//! What holds for every batch: what the protocol asks of labels and order, and that every point is accounted for.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, NumberDataPoint, ResourceMetrics, Summary, SummaryDataPoint,
};
use pipeline::config::testing::decode;
use pipeline::net::compress::{Coding, decompress};
use proptest::prelude::*;
use prost::Message as _;

use super::prompb::WriteRequest;
use super::prompb_2::receive;
use crate::prometheus_remote_write::Config;
use crate::prometheus_remote_write::convert::{Conversion, convert};
use crate::prometheus_remote_write::timeseries::{Message, Most, Request};
use crate::requests::Cut;
use crate::testing::otlp::*;

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[a-c_.]{0,3}|__name__|le|job|instance|cluster|[A-Z]";
    prop::collection::vec((name, "[a-z\"\\\\ü]{0,3}"), 0..6)
}

fn as_attributes(labels: &[(String, String)]) -> Vec<KeyValue> {
    attributes(&labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>())
}

fn number() -> impl Strategy<Value = NumberDataPoint> {
    (labels(), 0..4u64, any::<f64>(), 0..2u32).prop_map(|(labels, time, value, flags)| NumberDataPoint {
        attributes: as_attributes(&labels),
        time_unix_nano: time * 1_000_000_000,
        flags,
        ..point(&[], value)
    })
}

fn distribution() -> impl Strategy<Value = HistogramDataPoint> {
    let buckets = prop::collection::vec((any::<u16>(), any::<f64>()), 0..4);
    (labels(), 0..4u64, buckets).prop_map(|(labels, time, buckets)| HistogramDataPoint {
        attributes: as_attributes(&labels),
        time_unix_nano: time * 1_000_000_000,
        bucket_counts: buckets.iter().map(|(count, _)| u64::from(*count)).collect(),
        explicit_bounds: buckets.iter().skip(1).map(|(_, bound)| *bound).collect(),
        ..HistogramDataPoint::default()
    })
}

fn resources() -> impl Strategy<Value = Vec<ResourceMetrics>> {
    // Gauges may be called like parts of the histograms.
    let metric = prop_oneof![
        ("[a-b.]{0,2}(_bucket|_sum|_count)?", prop::collection::vec(number(), 0..5))
            .prop_map(|(name, points)| gauge(&name, "s", points)),
        ("[a-b.]{1,2}", prop::collection::vec(number(), 0..5)).prop_map(|(name, points)| sum(&name, "", true, points)),
        ("[a-b.]{1,2}", prop::collection::vec(distribution(), 0..3)).prop_map(|(name, p)| histogram(&name, "", p)),
    ];
    let scope_name = prop_oneof![Just(""), Just("lib"), Just("slipring/prometheus")];
    let scope = (scope_name, prop::collection::vec(metric, 0..4)).prop_map(|(name, metrics)| scope(name, metrics));
    let resource = (labels(), any::<bool>(), prop::collection::vec(scope, 0..3)).prop_map(|(labels, named, scopes)| {
        let mut out = resource(&[], scopes);
        let attributes = &mut out.resource.as_mut().unwrap().attributes;
        *attributes = as_attributes(&labels);
        if named {
            attributes.extend(crate::testing::otlp::attributes(&[("service.name", "s"), ("service.instance.id", "i")]));
        }
        out
    });
    prop::collection::vec(resource, 0..3)
}

proptest! {
    #[test]
    fn labels_are_sorted_and_unique_and_every_series_is_in_order(
        resources in resources(),
        lanes in 1..4usize,
        version_2 in any::<bool>(),
        rules in any::<bool>(),
    ) {
        let yaml = format!(
            "{{endpoint: 'http://a', external_labels: {{cluster: c, job: other}}, \
             resource_to_telemetry_conversion: {{enabled: true}}, remote_write_queue: {{num_consumers: {lanes}}}, \
             max_samples_per_send: 3, write_relabel_configs: [{}]}}",
            if rules { "{source_labels: [a], regex: b, action: drop}, {target_label: z, replacement: x}" } else { "" }
        );
        let message = if version_2 { Message::V2 } else { Message::V1 };
        let config: Config = decode(&yaml).unwrap();
        let batch = batch(resources);
        let converted = convert(&config.conversion(), message, &batch).unwrap();
        let mut items = converted.dropped.items();
        let mut seen: HashMap<_, (usize, i64)> = HashMap::new();
        prop_assert!((1..=lanes).contains(&converted.series.lanes()));
        for lane in 0..lanes {
            let mut from = 0;
            while let Some(cut) = converted.series.cut(lane, from, Most { samples: 3, bytes: 1000 }) {
                prop_assert!((1..=3).contains(&cut.entries));
                if let Some(packed) = converted.series.cut_packed(lane, from, Most { samples: 3, bytes: 1000 }) {
                    prop_assert_eq!(message, Message::V1);
                    let body = decompress(Coding::Snappy, &packed.request.body, 1 << 20).unwrap();
                    prop_assert_eq!(Cut { request: Request { body, ..packed.request }, ..packed }, cut.clone());
                }
                from += cut.entries;
                items += cut.items;
                prop_assert!(cut.entries == 1 || cut.request.body.len() <= 1000);
                let request = match message {
                    Message::V1 => WriteRequest::decode(cut.request.body.as_slice()).unwrap(),
                    Message::V2 => receive(&cut.request.body).unwrap().series,
                };
                prop_assert_eq!(request.timeseries.len(), cut.entries);
                prop_assert_eq!(cut.request.samples, cut.entries);
                for series in request.timeseries {
                    let names: Vec<_> = series.labels.iter().map(|l| l.name.as_str()).collect();
                    prop_assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", names);
                    prop_assert!(names.contains(&"__name__"));
                    prop_assert!(series.labels.iter().all(|l| !l.name.is_empty() && !l.value.is_empty()));
                    let [sample] = series.samples.as_slice() else { panic!("one sample a series") };
                    let key: Vec<_> = series.labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect();
                    let (first_lane, last) = seen.entry(key).or_insert((lane, sample.timestamp));
                    prop_assert!(*first_lane == lane || *last == sample.timestamp);
                    prop_assert!(*last <= sample.timestamp);
                    *last = sample.timestamp;
                }
            }
        }
        prop_assert_eq!(items, batch.items());
    }

    #[test]
    fn the_order_of_attributes_does_not_matter(
        mut resources in resources(),
        version_2 in any::<bool>(),
        translated in any::<bool>(),
    ) {
        let strategy = if translated { "UnderscoreEscapingWithSuffixes" } else { "NoTranslation" };
        let yaml = format!(
            "{{endpoint: 'http://a', external_labels: {{cluster: c}}, translation_strategy: {strategy}, \
             resource_to_telemetry_conversion: {{enabled: true}}}}"
        );
        let conversion = decode::<Config>(&yaml).unwrap().conversion();
        let message = if version_2 { Message::V2 } else { Message::V1 };
        let most = Most { samples: usize::MAX, bytes: usize::MAX };
        let mut converted = |order: fn(&mut Vec<KeyValue>)| {
            each_attributes(&mut resources, order);
            let converted = convert(&conversion, message, &batch(resources.clone())).unwrap();
            converted.series.cut(0, 0, most).map(|cut| cut.request.body)
        };
        let sorted = converted(|attributes| {
            attributes.sort_by(|a, b| a.key.cmp(&b.key));
            attributes.dedup_by(|a, b| a.key == b.key);
        });
        prop_assert_eq!(sorted, converted(|attributes| attributes.reverse()));
    }
}

/// Changes the attributes of all points.
fn each_attributes(resources: &mut [ResourceMetrics], change: fn(&mut Vec<KeyValue>)) {
    let metrics = resources.iter_mut().flat_map(|r| &mut r.scope_metrics).flat_map(|s| &mut s.metrics);
    for data in metrics.filter_map(|metric| metric.data.as_mut()) {
        match data {
            Data::Gauge(gauge) => gauge.data_points.iter_mut().for_each(|point| change(&mut point.attributes)),
            Data::Sum(sum) => sum.data_points.iter_mut().for_each(|point| change(&mut point.attributes)),
            Data::Histogram(histogram) => {
                histogram.data_points.iter_mut().for_each(|point| change(&mut point.attributes));
            }
            _ => {}
        }
    }
}

#[test]
fn a_series_stays_in_its_lane_in_whichever_form_it_comes() {
    let mut metrics = Vec::new();
    for model in ('a'..='z').map(String::from) {
        let labels = [("model", model.as_str()), ("zone", "1")];
        let step = |name: &'static str| [labels[0], (name, "1.0"), labels[1]];
        metrics.push(histogram("h", "", vec![histogram_point(&labels)]));
        metrics.push(gauge("h_count", "", vec![later(&labels)]));
        metrics.push(gauge("h_bucket", "", vec![later(&step("le"))]));
        metrics.push(named("s", "", Data::Summary(Summary { data_points: vec![summary_point(&labels)] })));
        metrics.push(gauge("s", "", vec![later(&step("quantile"))]));
    }
    let batch = batch(vec![resource(&[("service.name", "j")], vec![scope("slipring/prometheus", metrics)])]);
    let conversion =
        Conversion { lanes: 7, samples: 3, ..decode::<Config>("endpoint: 'http://a'").unwrap().conversion() };
    for message in [Message::V1, Message::V2] {
        let converted = convert(&conversion, message, &batch).unwrap();
        assert_eq!(converted.series.lanes(), 7);
        let mut lanes: HashMap<String, Vec<usize>> = HashMap::new();
        for lane in 0..7 {
            let names = (0..).map_while(|at| converted.series.name(lane, at));
            let series = names.filter_map(|name| Some(name.split_once(" @")?.0.to_owned()));
            series.for_each(|series| lanes.entry(series).or_default().push(lane));
        }
        let twice = lanes.values().filter(|lanes| lanes.len() == 2);
        assert_eq!(twice.clone().count(), 26 * 3);
        assert!(twice.clone().all(|lanes| lanes[0] == lanes[1]), "{lanes:?}");
        assert!(lanes.values().any(|lanes| lanes[0] == 0) && lanes.values().any(|lanes| lanes[0] == 6));
    }
}

/// A point of another moment: only then must samples be kept in order.
fn later(labels: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint { time_unix_nano: TIME + 1_000_000_000, ..point(labels, 1.0) }
}

fn histogram_point(labels: &[(&str, &str)]) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(labels),
        time_unix_nano: TIME,
        count: 2,
        sum: Some(3.0),
        bucket_counts: vec![1, 1],
        explicit_bounds: vec![1.0],
        ..HistogramDataPoint::default()
    }
}

fn summary_point(labels: &[(&str, &str)]) -> SummaryDataPoint {
    SummaryDataPoint {
        attributes: attributes(labels),
        time_unix_nano: TIME,
        quantile_values: vec![ValueAtQuantile { quantile: 1.0, value: 5.0 }],
        ..SummaryDataPoint::default()
    }
}
