//! The messages of OTLP 1.10 as data: what the check, the joining of repeated messages and JSON go by.
//! Field numbers for code that knows its message are in [`fields`](super::fields).

use Cardinality::{Many, One, OneOf, Optional};
use Kind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Int32, Int64, Message, Sfixed64, Sint32, SpanId, Text, TraceId,
    Uint32, Uint64,
};

use crate::batch::Signal;

/// A message of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Type {
    AnyValue,
    ArrayValue,
    KeyValueList,
    KeyValue,
    Resource,
    EntityRef,
    Scope,
    TracesRequest,
    ResourceSpans,
    ScopeSpans,
    Span,
    Event,
    Link,
    Status,
    LogsRequest,
    ResourceLogs,
    ScopeLogs,
    LogRecord,
    MetricsRequest,
    ResourceMetrics,
    ScopeMetrics,
    Metric,
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
    NumberPoint,
    HistogramPoint,
    ExponentialPoint,
    Buckets,
    SummaryPoint,
    QuantileValue,
    Exemplar,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    TraceId,
    SpanId,
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    /// With the prefix of its names and their rest by number.
    Enum(&'static str, &'static [&'static str]),
    Message(Type),
}

/// How often a field may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cardinality {
    /// Once; a scalar is left out when it has its default.
    One,
    /// Once, and being there says something.
    Optional,
    /// Any number of times; numbers are packed.
    Many,
    /// Once, and none of the others of its message that are `OneOf`.
    OneOf,
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldType {
    pub(super) number: u32,
    /// In the spelling of the `.proto` files.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) cardinality: Cardinality,
}

const fn field(number: u32, name: &'static str, kind: Kind, cardinality: Cardinality) -> FieldType {
    FieldType { number, name, kind, cardinality }
}

/// The names of an enum: what stands before each, and the rest of each, by number.
const SPAN_KIND: Kind = Enum("SPAN_KIND_", &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]);
const STATUS_CODE: Kind = Enum("STATUS_CODE_", &["UNSET", "OK", "ERROR"]);
const TEMPORALITY: Kind = Enum("AGGREGATION_TEMPORALITY_", &["UNSPECIFIED", "DELTA", "CUMULATIVE"]);
#[rustfmt::skip]
const SEVERITY: Kind = Enum("SEVERITY_NUMBER_", &[
    "UNSPECIFIED", "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2",
    "INFO3", "INFO4", "WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2",
    "FATAL3", "FATAL4",
]);

impl Type {
    pub(super) const COUNT: usize = Type::Exemplar as usize + 1;

    #[rustfmt::skip]
    pub(super) const ALL: [Type; Type::COUNT] = {
        use Type::*;
        [
            AnyValue, ArrayValue, KeyValueList, KeyValue, Resource, EntityRef, Scope, TracesRequest, ResourceSpans,
            ScopeSpans, Span, Event, Link, Status, LogsRequest, ResourceLogs, ScopeLogs, LogRecord, MetricsRequest,
            ResourceMetrics, ScopeMetrics, Metric, Gauge, Sum, Histogram, ExponentialHistogram, Summary, NumberPoint,
            HistogramPoint, ExponentialPoint, Buckets, SummaryPoint, QuantileValue, Exemplar,
        ]
    };

    /// The export request of a signal.
    pub(super) const fn request(signal: Signal) -> Type {
        match signal {
            Signal::Traces => Type::TracesRequest,
            Signal::Metrics => Type::MetricsRequest,
            Signal::Logs => Type::LogsRequest,
        }
    }

    /// The field of that number.
    pub(super) fn field(self, number: u32) -> Option<&'static FieldType> {
        self.fields().iter().find(|field| field.number == number)
    }

    /// The fields, in the order of their numbers.
    #[rustfmt::skip]
    pub(super) const fn fields(self) -> &'static [FieldType] {
        const ATTRIBUTES: Kind = Message(Type::KeyValue);
        match self {
            Type::AnyValue => const { &[
                field(1, "string_value", Text, OneOf),
                field(2, "bool_value", Bool, OneOf),
                field(3, "int_value", Int64, OneOf),
                field(4, "double_value", Double, OneOf),
                field(5, "array_value", Message(Type::ArrayValue), OneOf),
                field(6, "kvlist_value", Message(Type::KeyValueList), OneOf),
                field(7, "bytes_value", Bytes, OneOf),
                field(8, "string_value_strindex", Int32, OneOf),
            ] },
            Type::ArrayValue => const { &[field(1, "values", Message(Type::AnyValue), Many)] },
            Type::KeyValueList => const { &[field(1, "values", ATTRIBUTES, Many)] },
            Type::KeyValue => const { &[
                field(1, "key", Text, One),
                field(2, "value", Message(Type::AnyValue), One),
                field(3, "key_strindex", Int32, One),
            ] },
            Type::Resource => const { &[
                field(1, "attributes", ATTRIBUTES, Many),
                field(2, "dropped_attributes_count", Uint32, One),
                field(3, "entity_refs", Message(Type::EntityRef), Many),
            ] },
            Type::EntityRef => const { &[
                field(1, "schema_url", Text, One),
                field(2, "type", Text, One),
                field(3, "id_keys", Text, Many),
                field(4, "description_keys", Text, Many),
            ] },
            Type::Scope => const { &[
                field(1, "name", Text, One),
                field(2, "version", Text, One),
                field(3, "attributes", ATTRIBUTES, Many),
                field(4, "dropped_attributes_count", Uint32, One),
            ] },
            Type::TracesRequest => const { &[field(1, "resource_spans", Message(Type::ResourceSpans), Many)] },
            Type::ResourceSpans => const { &[
                field(1, "resource", Message(Type::Resource), One),
                field(2, "scope_spans", Message(Type::ScopeSpans), Many),
                field(3, "schema_url", Text, One),
            ] },
            Type::ScopeSpans => const { &[
                field(1, "scope", Message(Type::Scope), One),
                field(2, "spans", Message(Type::Span), Many),
                field(3, "schema_url", Text, One),
            ] },
            Type::Span => const { &[
                field(1, "trace_id", TraceId, One),
                field(2, "span_id", SpanId, One),
                field(3, "trace_state", Text, One),
                field(4, "parent_span_id", SpanId, One),
                field(5, "name", Text, One),
                field(6, "kind", SPAN_KIND, One),
                field(7, "start_time_unix_nano", Fixed64, One),
                field(8, "end_time_unix_nano", Fixed64, One),
                field(9, "attributes", ATTRIBUTES, Many),
                field(10, "dropped_attributes_count", Uint32, One),
                field(11, "events", Message(Type::Event), Many),
                field(12, "dropped_events_count", Uint32, One),
                field(13, "links", Message(Type::Link), Many),
                field(14, "dropped_links_count", Uint32, One),
                field(15, "status", Message(Type::Status), One),
                field(16, "flags", Fixed32, One),
            ] },
            Type::Event => const { &[
                field(1, "time_unix_nano", Fixed64, One),
                field(2, "name", Text, One),
                field(3, "attributes", ATTRIBUTES, Many),
                field(4, "dropped_attributes_count", Uint32, One),
            ] },
            Type::Link => const { &[
                field(1, "trace_id", TraceId, One),
                field(2, "span_id", SpanId, One),
                field(3, "trace_state", Text, One),
                field(4, "attributes", ATTRIBUTES, Many),
                field(5, "dropped_attributes_count", Uint32, One),
                field(6, "flags", Fixed32, One),
            ] },
            Type::Status => const { &[
                field(2, "message", Text, One),
                field(3, "code", STATUS_CODE, One),
            ] },
            Type::LogsRequest => const { &[field(1, "resource_logs", Message(Type::ResourceLogs), Many)] },
            Type::ResourceLogs => const { &[
                field(1, "resource", Message(Type::Resource), One),
                field(2, "scope_logs", Message(Type::ScopeLogs), Many),
                field(3, "schema_url", Text, One),
            ] },
            Type::ScopeLogs => const { &[
                field(1, "scope", Message(Type::Scope), One),
                field(2, "log_records", Message(Type::LogRecord), Many),
                field(3, "schema_url", Text, One),
            ] },
            Type::LogRecord => const { &[
                field(1, "time_unix_nano", Fixed64, One),
                field(2, "severity_number", SEVERITY, One),
                field(3, "severity_text", Text, One),
                field(5, "body", Message(Type::AnyValue), One),
                field(6, "attributes", ATTRIBUTES, Many),
                field(7, "dropped_attributes_count", Uint32, One),
                field(8, "flags", Fixed32, One),
                field(9, "trace_id", TraceId, One),
                field(10, "span_id", SpanId, One),
                field(11, "observed_time_unix_nano", Fixed64, One),
                field(12, "event_name", Text, One),
            ] },
            Type::MetricsRequest => const { &[field(1, "resource_metrics", Message(Type::ResourceMetrics), Many)] },
            Type::ResourceMetrics => const { &[
                field(1, "resource", Message(Type::Resource), One),
                field(2, "scope_metrics", Message(Type::ScopeMetrics), Many),
                field(3, "schema_url", Text, One),
            ] },
            Type::ScopeMetrics => const { &[
                field(1, "scope", Message(Type::Scope), One),
                field(2, "metrics", Message(Type::Metric), Many),
                field(3, "schema_url", Text, One),
            ] },
            Type::Metric => const { &[
                field(1, "name", Text, One),
                field(2, "description", Text, One),
                field(3, "unit", Text, One),
                field(5, "gauge", Message(Type::Gauge), OneOf),
                field(7, "sum", Message(Type::Sum), OneOf),
                field(9, "histogram", Message(Type::Histogram), OneOf),
                field(10, "exponential_histogram", Message(Type::ExponentialHistogram), OneOf),
                field(11, "summary", Message(Type::Summary), OneOf),
                field(12, "metadata", ATTRIBUTES, Many),
            ] },
            Type::Gauge => const { &[field(1, "data_points", Message(Type::NumberPoint), Many)] },
            Type::Sum => const { &[
                field(1, "data_points", Message(Type::NumberPoint), Many),
                field(2, "aggregation_temporality", TEMPORALITY, One),
                field(3, "is_monotonic", Bool, One),
            ] },
            Type::Histogram => const { &[
                field(1, "data_points", Message(Type::HistogramPoint), Many),
                field(2, "aggregation_temporality", TEMPORALITY, One),
            ] },
            Type::ExponentialHistogram => const { &[
                field(1, "data_points", Message(Type::ExponentialPoint), Many),
                field(2, "aggregation_temporality", TEMPORALITY, One),
            ] },
            Type::Summary => const { &[field(1, "data_points", Message(Type::SummaryPoint), Many)] },
            Type::NumberPoint => const { &[
                field(2, "start_time_unix_nano", Fixed64, One),
                field(3, "time_unix_nano", Fixed64, One),
                field(4, "as_double", Double, OneOf),
                field(5, "exemplars", Message(Type::Exemplar), Many),
                field(6, "as_int", Sfixed64, OneOf),
                field(7, "attributes", ATTRIBUTES, Many),
                field(8, "flags", Uint32, One),
            ] },
            Type::HistogramPoint => const { &[
                field(2, "start_time_unix_nano", Fixed64, One),
                field(3, "time_unix_nano", Fixed64, One),
                field(4, "count", Fixed64, One),
                field(5, "sum", Double, Optional),
                field(6, "bucket_counts", Fixed64, Many),
                field(7, "explicit_bounds", Double, Many),
                field(8, "exemplars", Message(Type::Exemplar), Many),
                field(9, "attributes", ATTRIBUTES, Many),
                field(10, "flags", Uint32, One),
                field(11, "min", Double, Optional),
                field(12, "max", Double, Optional),
            ] },
            Type::ExponentialPoint => const { &[
                field(1, "attributes", ATTRIBUTES, Many),
                field(2, "start_time_unix_nano", Fixed64, One),
                field(3, "time_unix_nano", Fixed64, One),
                field(4, "count", Fixed64, One),
                field(5, "sum", Double, Optional),
                field(6, "scale", Sint32, One),
                field(7, "zero_count", Fixed64, One),
                field(8, "positive", Message(Type::Buckets), One),
                field(9, "negative", Message(Type::Buckets), One),
                field(10, "flags", Uint32, One),
                field(11, "exemplars", Message(Type::Exemplar), Many),
                field(12, "min", Double, Optional),
                field(13, "max", Double, Optional),
                field(14, "zero_threshold", Double, One),
            ] },
            Type::Buckets => const { &[
                field(1, "offset", Sint32, One),
                field(2, "bucket_counts", Uint64, Many),
            ] },
            Type::SummaryPoint => const { &[
                field(2, "start_time_unix_nano", Fixed64, One),
                field(3, "time_unix_nano", Fixed64, One),
                field(4, "count", Fixed64, One),
                field(5, "sum", Double, One),
                field(6, "quantile_values", Message(Type::QuantileValue), Many),
                field(7, "attributes", ATTRIBUTES, Many),
                field(8, "flags", Uint32, One),
            ] },
            Type::QuantileValue => const { &[
                field(1, "quantile", Double, One),
                field(2, "value", Double, One),
            ] },
            Type::Exemplar => const { &[
                field(2, "time_unix_nano", Fixed64, One),
                field(3, "as_double", Double, OneOf),
                field(4, "span_id", SpanId, One),
                field(5, "trace_id", TraceId, One),
                field(6, "as_int", Sfixed64, OneOf),
                field(7, "filtered_attributes", ATTRIBUTES, Many),
            ] },
        }
    }
}
