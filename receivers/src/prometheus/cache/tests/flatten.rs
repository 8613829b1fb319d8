//! From OTLP back to samples: what remote write has to make of a request, written here a second time, plainly, over
//! decoded objects.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric, number_data_point};
use prost::Message;

use crate::prometheus::exposition::open_metrics_float;

/// A sample as Prometheus would store it.
#[derive(Clone, Debug, PartialEq)]
pub struct Flat {
    /// `name{a="b",…}`, labels sorted.
    pub series: String,
    /// `None` is a staleness marker.
    pub value: Option<f64>,
    /// Milliseconds since 1970.
    pub ms: i64,
}

/// All samples of a request, sorted; a series that has two samples at one time is an error.
pub fn flatten(request: &[u8]) -> Vec<Flat> {
    let request = ExportMetricsServiceRequest::decode(request).expect("the request is OTLP");
    let mut out = Vec::new();
    for group in &request.resource_metrics {
        let attributes = &group.resource.as_ref().unwrap().attributes;
        let value = |key: &str| attributes.iter().find(|a| a.key == key).map(text).unwrap_or_default();
        let resource = [("job", value("service.name")), ("instance", value("service.instance.id"))];
        for scope in &group.scope_metrics {
            assert_eq!(scope.scope.as_ref().unwrap().name, "slipring/prometheus");
            for metric in &scope.metrics {
                let mut flat = Flattener { resource: &resource, out: &mut out };
                flat.metric(metric);
            }
        }
    }
    out.sort_by(|a, b| (&a.series, a.ms).cmp(&(&b.series, b.ms)));
    for pair in out.windows(2) {
        assert!(
            (&pair[0].series, pair[0].ms) != (&pair[1].series, pair[1].ms),
            "twice at one time: {}",
            pair[0].series
        );
    }
    out
}

/// A series in the form that [`Flat`] has.
pub fn series<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let labels: BTreeMap<_, _> = labels.filter(|(_, value)| !value.is_empty()).collect();
    let name = labels.get("__name__").copied().unwrap_or_default();
    let rest: Vec<_> = labels.iter().filter(|(n, _)| **n != "__name__").map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{name}{{{}}}", rest.join(","))
}

struct Flattener<'a> {
    resource: &'a [(&'static str, String)],
    out: &'a mut Vec<Flat>,
}

impl Flattener<'_> {
    fn push(
        &mut self,
        name: &str,
        attributes: &[KeyValue],
        extra: Option<(&str, &str)>,
        value: Option<f64>,
        nanos: u64,
    ) {
        let texts: Vec<_> = attributes.iter().map(text).collect();
        let labels = self.resource.iter().map(|(n, v)| (*n, v.as_str()));
        let labels = labels.chain(attributes.iter().map(|a| a.key.as_str()).zip(texts.iter().map(String::as_str)));
        let labels = labels.chain(extra).chain([("__name__", name)]);
        let ms = i64::try_from(nanos / 1_000_000).unwrap();
        self.out.push(Flat { series: series(labels), value, ms });
    }

    fn numbers(&mut self, name: &str, points: &[NumberDataPoint]) {
        for point in points {
            let value = match point.value {
                Some(number_data_point::Value::AsDouble(value)) => Some(value),
                None if point.flags == 1 => None,
                other => panic!("{name}: {other:?}, flags {}", point.flags),
            };
            self.push(name, &point.attributes, None, value, point.time_unix_nano);
        }
    }

    fn metric(&mut self, metric: &Metric) {
        let name = metric.name.as_str();
        match metric.data.as_ref().expect("a metric has data") {
            metric::Data::Gauge(gauge) => self.numbers(name, &gauge.data_points),
            metric::Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, 2);
                self.numbers(name, &sum.data_points);
            }
            metric::Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, 2);
                for point in &histogram.data_points {
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    let (attributes, nanos) = (&point.attributes, point.time_unix_nano);
                    let value = |value: f64| (point.flags == 0).then_some(value);
                    let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                    let mut count = 0;
                    for (bound, bucket) in bounds.zip(&point.bucket_counts) {
                        count += bucket;
                        let le = open_metrics_float(bound);
                        self.push(&format!("{name}_bucket"), attributes, Some(("le", &le)), value(count as f64), nanos);
                    }
                    assert_eq!(count, point.count);
                    self.push(&format!("{name}_count"), attributes, None, value(count as f64), nanos);
                    assert!(point.flags == 0 || point.sum.is_some(), "a stale point marks its sum, too");
                    if let Some(sum) = point.sum {
                        self.push(&format!("{name}_sum"), attributes, None, value(sum), nanos);
                    }
                }
            }
            metric::Data::Summary(summary) => {
                for point in &summary.data_points {
                    let (attributes, nanos) = (&point.attributes, point.time_unix_nano);
                    let value = |value: f64| (point.flags == 0).then_some(value);
                    for step in &point.quantile_values {
                        let quantile = open_metrics_float(step.quantile);
                        self.push(name, attributes, Some(("quantile", &quantile)), value(step.value), nanos);
                    }
                    self.push(&format!("{name}_count"), attributes, None, value(point.count as f64), nanos);
                    self.push(&format!("{name}_sum"), attributes, None, value(point.sum), nanos);
                }
            }
            metric::Data::ExponentialHistogram(_) => panic!("{name} is an exponential histogram"),
        }
    }
}

fn text(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{}: {other:?}", attribute.key),
    }
}
