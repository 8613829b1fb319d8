//! OTLP requests item by item: attributes as plain values, enums by name, times as moments, and each item with its
//! resource and scope.

use bytes::Bytes;
use pipeline::Signal;
use serde_json::{Map, Value};

use super::{Item, Kind, Moments};

const SPAN_KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES: [&str; 3] = ["unset", "ok", "error"];
const TEMPORALITIES: [&str; 3] = ["unspecified", "delta", "cumulative"];

/// The gRPC method that takes a signal.
pub const fn service(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

pub(super) fn service_signal(path: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| path.ends_with(service(*signal)))
}

/// The signal that a path of OTLP over HTTP takes.
pub(super) fn path_signal(path: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| path.ends_with(&format!("/v1/{}", signal.name())))
}

pub(super) fn items(signal: Signal, request: &Bytes, moments: &Moments) -> Result<Vec<Item>, String> {
    let json =
        pipeline::otlp::json::from_proto(signal, request).map_err(|error| format!("no OTLP request: {error}"))?;
    let request: Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let (groups, scopes, leaves) = match signal {
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
        Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
    };
    let mut out = Vec::new();
    for group in list(&request, groups) {
        let resource = attributes(&group["resource"]);
        for in_scope in list(group, scopes) {
            let scope = scope(in_scope);
            for leaf in list(in_scope, leaves) {
                let start = out.len();
                match signal {
                    Signal::Traces => out.push(Item { kind: Kind::Span, fields: span(leaf, moments) }),
                    Signal::Logs => out.push(Item { kind: Kind::Log, fields: log(leaf, moments) }),
                    Signal::Metrics => points(leaf, moments, &mut out),
                }
                for item in &mut out[start..] {
                    put(&mut item.fields, "resource", resource.clone());
                    put(&mut item.fields, "scope", scope.clone());
                }
            }
        }
    }
    Ok(out)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// Adds what says something.
fn put(fields: &mut Map<String, Value>, name: &str, value: Value) {
    let is_empty = match &value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if !is_empty {
        fields.insert(name.to_owned(), value);
    }
}

fn attributes(holder: &Value) -> Value {
    pairs(holder["attributes"].as_array())
}

fn pairs(list: Option<&Vec<Value>>) -> Value {
    let mut out = Map::new();
    for pair in list.into_iter().flatten() {
        out.insert(pair["key"].as_str().unwrap_or_default().to_owned(), any(&pair["value"]));
    }
    Value::Object(out)
}

/// An `AnyValue` without its type's name.
fn any(value: &Value) -> Value {
    let Some((kind, inside)) = value.as_object().and_then(|map| map.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "intValue" => integer(inside),
        "arrayValue" => list(inside, "values").map(any).collect(),
        "kvlistValue" => pairs(inside["values"].as_array()),
        _ => inside.clone(),
    }
}

/// A 64-bit number, which JSON has as text.
fn integer(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    text.parse::<i64>()
        .map(Value::from)
        .or_else(|_| text.parse::<u64>().map(Value::from))
        .unwrap_or_else(|_| text.into())
}

fn integers(value: &Value) -> Value {
    value.as_array().map_or(Value::Null, |list| list.iter().map(integer).collect())
}

fn named(names: &[&str], value: &Value) -> Value {
    let name = value.as_u64().and_then(|n| names.get(usize::try_from(n).ok()?));
    name.map_or_else(|| value.clone(), |name| (*name).into())
}

fn scope(in_scope: &Value) -> Value {
    let scope = &in_scope["scope"];
    let mut out = Map::new();
    put(&mut out, "name", scope["name"].clone());
    put(&mut out, "version", scope["version"].clone());
    put(&mut out, "attributes", attributes(scope));
    Value::Object(out)
}

fn span(span: &Value, moments: &Moments) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("span".to_owned(), span["name"].as_str().unwrap_or_default().into());
    for (name, key) in [("trace_id", "traceId"), ("span_id", "spanId"), ("parent_span_id", "parentSpanId")] {
        put(&mut out, name, span[key].clone());
    }
    put(&mut out, "trace_state", span["traceState"].clone());
    put(&mut out, "kind", named(&SPAN_KINDS, &span["kind"]));
    put(&mut out, "start", moments.of(&span["startTimeUnixNano"]));
    put(&mut out, "end", moments.of(&span["endTimeUnixNano"]));
    if let Some(status) = span["status"].as_object() {
        let mut fields = Map::new();
        put(&mut fields, "code", status.get("code").map_or(Value::Null, |code| named(&STATUSES, code)));
        put(&mut fields, "message", status.get("message").cloned().unwrap_or_default());
        put(&mut out, "status", Value::Object(fields));
    }
    put(&mut out, "attributes", attributes(span));
    let events = list(span, "events").map(|event| {
        let mut fields = Map::new();
        put(&mut fields, "event", event["name"].clone());
        put(&mut fields, "time", moments.of(&event["timeUnixNano"]));
        put(&mut fields, "attributes", attributes(event));
        Value::Object(fields)
    });
    put(&mut out, "events", events.collect());
    let links = list(span, "links").map(|link| {
        let mut fields = Map::new();
        put(&mut fields, "trace_id", link["traceId"].clone());
        put(&mut fields, "span_id", link["spanId"].clone());
        put(&mut fields, "attributes", attributes(link));
        Value::Object(fields)
    });
    put(&mut out, "links", links.collect());
    out
}

fn log(log: &Value, moments: &Moments) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "body", any(&log["body"]));
    put(&mut out, "time", moments.of(&log["timeUnixNano"]));
    put(&mut out, "observed", moments.of(&log["observedTimeUnixNano"]));
    put(&mut out, "severity_number", log["severityNumber"].clone());
    put(&mut out, "severity", log["severityText"].clone());
    put(&mut out, "event", log["eventName"].clone());
    put(&mut out, "trace_id", log["traceId"].clone());
    put(&mut out, "span_id", log["spanId"].clone());
    put(&mut out, "attributes", attributes(log));
    out
}

/// The kinds of data, and the keys they stand under.
const DATA: [(&str, &str); 5] = [
    ("gauge", "gauge"),
    ("sum", "sum"),
    ("histogram", "histogram"),
    ("exponentialHistogram", "exponential"),
    ("summary", "summary"),
];

fn points(metric: &Value, moments: &Moments, out: &mut Vec<Item>) {
    let mut about = Map::new();
    about.insert("metric".to_owned(), metric["name"].as_str().unwrap_or_default().into());
    put(&mut about, "unit", metric["unit"].clone());
    put(&mut about, "description", metric["description"].clone());
    let Some((data, kind)) = DATA.iter().find_map(|(key, kind)| Some((metric.get(key)?, *kind))) else { return };
    about.insert("type".to_owned(), kind.into());
    put(&mut about, "temporality", named(&TEMPORALITIES, &data["aggregationTemporality"]));
    put(&mut about, "monotonic", data["isMonotonic"].clone());
    for point in list(data, "dataPoints") {
        let mut fields = about.clone();
        put(&mut fields, "attributes", attributes(point));
        put(&mut fields, "time", moments.of(&point["timeUnixNano"]));
        put(&mut fields, "start", moments.of(&point["startTimeUnixNano"]));
        put(&mut fields, "value", value(point));
        put(&mut fields, "count", integer(&point["count"]));
        put(&mut fields, "sum", whole(&point["sum"]));
        put(&mut fields, "min", whole(&point["min"]));
        put(&mut fields, "max", whole(&point["max"]));
        put(&mut fields, "counts", integers(&point["bucketCounts"]));
        put(&mut fields, "bounds", point["explicitBounds"].clone());
        put(&mut fields, "scale", point["scale"].clone());
        put(&mut fields, "zero_count", integer(&point["zeroCount"]));
        for side in ["positive", "negative"] {
            let mut buckets = Map::new();
            put(&mut buckets, "offset", point[side]["offset"].clone());
            put(&mut buckets, "counts", integers(&point[side]["bucketCounts"]));
            put(&mut fields, side, Value::Object(buckets));
        }
        let quantiles = list(point, "quantileValues").map(|quantile| {
            let of = |key: &str| quantile.get(key).map_or(0.into(), whole);
            Value::Object(Map::from_iter([("quantile".to_owned(), of("quantile")), ("value".to_owned(), of("value"))]))
        });
        put(&mut fields, "quantiles", quantiles.collect());
        let exemplars = list(point, "exemplars").map(|exemplar| {
            let mut fields = Map::new();
            put(&mut fields, "value", value(exemplar));
            put(&mut fields, "time", moments.of(&exemplar["timeUnixNano"]));
            put(&mut fields, "trace_id", exemplar["traceId"].clone());
            put(&mut fields, "span_id", exemplar["spanId"].clone());
            put(&mut fields, "attributes", pairs(exemplar["filteredAttributes"].as_array()));
            Value::Object(fields)
        });
        put(&mut fields, "exemplars", exemplars.collect());
        // No recorded value.
        if point["flags"].as_u64().is_some_and(|flags| flags & 1 == 1) {
            fields.insert("value".to_owned(), "stale".into());
        }
        out.push(Item { kind: Kind::Point, fields });
    }
}

fn value(point: &Value) -> Value {
    match (point.get("asInt"), point.get("asDouble")) {
        (Some(int), _) => integer(int),
        (_, Some(double)) => whole(double),
        _ => Value::Null,
    }
}

/// A double that is whole as a whole number, so that it reads as it was written.
fn whole(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), super::number)
}
