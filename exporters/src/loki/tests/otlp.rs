//! Short ways to say OTLP logs.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use pipeline::{Batch, Signal};
use prost::Message;

/// 2026-01-01T00:00:00Z.
pub const TIME: u64 = 1_767_225_600_000_000_000;

pub fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) })
}

pub fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(k, v)| KeyValue { key: (*k).to_owned(), value: text(v), ..KeyValue::default() }).collect()
}

/// A record so many nanoseconds after [`TIME`].
pub fn record(after: u64, body: &str, labels: &[(&str, &str)]) -> LogRecord {
    LogRecord { time_unix_nano: TIME + after, body: text(body), attributes: attributes(labels), ..LogRecord::default() }
}

pub fn scope(name: &str, log_records: Vec<LogRecord>) -> ScopeLogs {
    let scope = InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() };
    ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() }
}

pub fn resource(labels: &[(&str, &str)], log_records: Vec<LogRecord>) -> ResourceLogs {
    let resource = Resource { attributes: attributes(labels), ..Resource::default() };
    ResourceLogs { resource: Some(resource), scope_logs: vec![scope("", log_records)], ..ResourceLogs::default() }
}

pub fn batch(resource_logs: Vec<ResourceLogs>) -> Batch {
    let request = ExportLogsServiceRequest { resource_logs };
    Batch::new(Signal::Logs, Bytes::from(request.encode_to_vec())).unwrap()
}
