//! What the tests of several processors share: requests from short descriptions, and attributes as text.

pub mod exposition;

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use pipeline::component::{Context, Processor, Stage};
use pipeline::config::Settings;
use pipeline::config::testing::{decode, decode_block};
use pipeline::otlp::write::Writer;
use pipeline::registry::ProcessorFactory;
use pipeline::testing::World;
use pipeline::{Batch, Signal};
use prost::Message;

use crate::value::Value;

/// The ordinary processor that a config makes.
pub fn processor<F: ProcessorFactory>(yaml: &str, signal: Signal) -> Box<dyn Processor> {
    build::<F>(yaml, World::new().context_for(F::TYPES[0], signal)).unwrap()
}

/// The ordinary processor that a config makes in a context.
pub fn build<F: ProcessorFactory>(yaml: &str, context: Context) -> Result<Box<dyn Processor>, String> {
    let config = decode::<F::Config>(yaml).expect("a config that is right");
    match F::build(config, context) {
        Ok(Stage::Plain(processor)) => Ok(processor),
        Ok(_) => panic!("not an ordinary processor"),
        Err(error) => Err(error.to_string()),
    }
}

/// The messages about a config, one for each line, without places.
pub fn problems<C: Settings>(yaml: &str) -> Vec<String> {
    let Err(text) = decode::<C>(yaml) else { return Vec::new() };
    let messages = text.lines().filter_map(|line| line.split_once("error: "));
    messages.map(|(_, message)| message.replace("'settings", "'")).collect()
}

/// Attributes from a YAML map: `{a: 1, b: text}`.
pub fn attributes(yaml: &str) -> Vec<KeyValue> {
    #[derive(serde::Deserialize)]
    struct Body {
        attributes: Value,
    }
    let entries = match decode_block::<Body>(&format!("attributes: {yaml}")).unwrap().attributes {
        Value::Map(entries) => entries,
        Value::Null => Vec::new(),
        other => panic!("{other:?} is not a map"),
    };
    entries.into_iter().map(|(key, value)| KeyValue { key, value: Some(any(&value)), ..KeyValue::default() }).collect()
}

/// An OTLP value.
pub fn any(value: &Value) -> AnyValue {
    let mut out = Writer::new();
    value.write(&mut out);
    AnyValue::decode(out.as_slice()).unwrap()
}

/// Attributes as `a=1 b="text"`, in their order.
pub fn show(attributes: &[KeyValue]) -> String {
    let one = |a: &KeyValue| format!("{}={}", a.key, a.value.as_ref().map_or("none".to_owned(), show_value));
    attributes.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A value as text.
pub fn show_value(value: &AnyValue) -> String {
    match &value.value {
        None => "empty".to_owned(),
        Some(any_value::Value::StringValue(v)) => format!("{v:?}"),
        Some(any_value::Value::BoolValue(v)) => v.to_string(),
        Some(any_value::Value::IntValue(v)) => v.to_string(),
        Some(any_value::Value::DoubleValue(v)) => format!("{v:?}"),
        Some(any_value::Value::BytesValue(v)) => format!("bytes{v:?}"),
        Some(any_value::Value::ArrayValue(v)) => {
            format!("[{}]", v.values.iter().map(show_value).collect::<Vec<_>>().join(" "))
        }
        Some(any_value::Value::KvlistValue(v)) => format!("{{{}}}", show(&v.values)),
        Some(other) => format!("{other:?}"),
    }
}

/// A resource with attributes.
pub fn resource(yaml: &str) -> Resource {
    Resource { attributes: attributes(yaml), ..Resource::default() }
}

/// A scope with a name and a version.
pub fn scope(name: &str, version: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.to_owned(), version: version.to_owned(), ..InstrumentationScope::default() }
}

/// Log records of one resource and scope.
pub fn logs(resource: Resource, scope: InstrumentationScope, log_records: Vec<LogRecord>) -> Batch {
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }];
    batch(Signal::Logs, &ExportLogsServiceRequest { resource_logs })
}

/// Spans of one resource and scope.
pub fn spans(resource: Resource, scope: InstrumentationScope, spans: Vec<Span>) -> Batch {
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    batch(Signal::Traces, &ExportTraceServiceRequest { resource_spans })
}

/// Metrics of one resource and scope.
pub fn metrics(resource: Resource, scope: InstrumentationScope, metrics: Vec<Metric>) -> Batch {
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() }];
    batch(Signal::Metrics, &ExportMetricsServiceRequest { resource_metrics })
}

/// A request as a batch.
pub fn batch(signal: Signal, request: &impl Message) -> Batch {
    Batch::new(signal, Bytes::from(request.encode_to_vec())).unwrap()
}

/// What a batch of logs holds.
pub fn read_logs(batch: &Batch) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest::decode(batch.to_bytes()).unwrap()
}

/// What a batch of spans holds.
pub fn read_spans(batch: &Batch) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(batch.to_bytes()).unwrap()
}

/// What a batch of metrics holds.
pub fn read_metrics(batch: &Batch) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(batch.to_bytes()).unwrap()
}

/// A batch with what is known about its sender.
pub fn from(batch: Batch, peer: &str, headers: &[(&str, &str)]) -> Batch {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    batch.with_meta(Arc::new(pipeline::Metadata { peer: Some(peer.to_owned()), headers, ..Default::default() }))
}
