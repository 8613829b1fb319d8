//! Keywords and short names.

use super::super::schema::{FieldType, Type};

/// The keyword of a line about a message.
pub(super) fn keyword(message: Type) -> &'static str {
    match message {
        Type::Resource | Type::ResourceSpans | Type::ResourceMetrics | Type::ResourceLogs => "resource",
        Type::Scope | Type::ScopeSpans | Type::ScopeMetrics | Type::ScopeLogs => "scope",
        Type::Span => "span",
        Type::Event => "event",
        Type::Link => "link",
        Type::LogRecord => "log",
        Type::Metric => "metric",
        Type::NumberPoint | Type::HistogramPoint | Type::ExponentialPoint | Type::SummaryPoint => "point",
        Type::Exemplar => "exemplar",
        _ => "request",
    }
}

/// The name of a field in the text form.
pub(super) fn short(message: Type, field: &FieldType) -> &'static str {
    match field.name {
        "trace_id" => "trace",
        "span_id" if message == Type::Span => "id",
        "span_id" => "span",
        "parent_span_id" => "parent",
        "start_time_unix_nano" => "start",
        "end_time_unix_nano" => "end",
        "time_unix_nano" => "time",
        "observed_time_unix_nano" => "observed",
        "trace_state" => "state",
        "severity_number" => "sev",
        "severity_text" => "level",
        "event_name" => "event",
        "schema_url" if message != Type::EntityRef => "url",
        "description" => "about",
        "dropped_attributes_count" => "dropped",
        "bucket_counts" => "counts",
        "explicit_bounds" => "bounds",
        "zero_count" => "zero",
        "zero_threshold" => "threshold",
        "quantile_values" => "quantiles",
        name => name,
    }
}

/// The field of that name.
pub(super) fn field(message: Type, name: &str) -> Option<&'static FieldType> {
    message.fields().iter().find(|field| field.name == name || short(message, field) == name)
}

/// Whether a field is a time in nanoseconds.
pub(super) fn is_time(field: &FieldType) -> bool {
    field.name.ends_with("time_unix_nano")
}

/// The number of the attributes of a message that has a line.
pub(super) fn attributes(message: Type) -> Option<&'static FieldType> {
    message.fields().iter().find(|field| matches!(field.name, "attributes" | "filtered_attributes"))
}

/// Whether the name of a message stands first on its line.
pub(super) fn is_named(message: Type) -> bool {
    matches!(message, Type::Span | Type::Event | Type::Scope | Type::Metric)
}

/// The word for a kind of data.
pub(super) const DATA: [(&str, Type, u32); 5] = [
    ("gauge", Type::Gauge, 5),
    ("sum", Type::Sum, 7),
    ("histogram", Type::Histogram, 9),
    ("exponential", Type::ExponentialHistogram, 10),
    ("summary", Type::Summary, 11),
];

/// Whether text may stand without quotes where a name or key is meant.
pub(super) fn is_word(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && text.bytes().all(is_word_byte)
}

/// What words consist of.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-/:@$*+%".contains(&byte)
}
