//! Short ways to say OTLP metrics.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use pipeline::{Batch, Signal};
use prost::Message;

/// 2025-01-01T00:00:00Z in seconds, and in nanoseconds.
pub const SECONDS: i64 = 1_735_689_600;
pub const TIME: u64 = 1_735_689_600_000_000_000;
pub const CUMULATIVE: i32 = 2;

pub fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(k, v)| attribute(k, any_value::Value::StringValue((*v).to_owned()))).collect()
}

pub fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub fn point(labels: &[(&str, &str)], value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        time_unix_nano: TIME,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

pub fn gauge(name: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    named(name, unit, metric::Data::Gauge(Gauge { data_points }))
}

pub fn sum(name: &str, unit: &str, is_monotonic: bool, data_points: Vec<NumberDataPoint>) -> Metric {
    named(name, unit, metric::Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic }))
}

pub fn histogram(name: &str, unit: &str, data_points: Vec<HistogramDataPoint>) -> Metric {
    named(name, unit, metric::Data::Histogram(Histogram { data_points, aggregation_temporality: CUMULATIVE }))
}

pub fn named(name: &str, unit: &str, data: metric::Data) -> Metric {
    Metric { name: name.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
}

pub fn scope(name: &str, metrics: Vec<Metric>) -> ScopeMetrics {
    let scope = InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() };
    ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }
}

pub fn resource(labels: &[(&str, &str)], scope_metrics: Vec<ScopeMetrics>) -> ResourceMetrics {
    let resource = Resource { attributes: attributes(labels), ..Resource::default() };
    ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() }
}

pub fn batch(resource_metrics: Vec<ResourceMetrics>) -> Batch {
    let request = ExportMetricsServiceRequest { resource_metrics };
    Batch::new(Signal::Metrics, Bytes::from(request.encode_to_vec())).unwrap()
}

/// Metrics without resource and scope.
pub fn plain(metrics: Vec<Metric>) -> Batch {
    batch(vec![resource(&[], vec![scope("", metrics)])])
}
