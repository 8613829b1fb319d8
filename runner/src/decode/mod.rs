//! What went out through an exporter, as items that can be compared: each a small tree of named fields. A request is read
//! by its path and content type, whoever sent it.

mod exposition;
mod loki;
mod moment;
mod otlp;
mod remote_write;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use pipeline::Signal;
use pipeline::net::compress::{self, Coding};
use serde_json::{Map, Value};

pub use moment::{Moments, parse_rfc3339, rfc3339};
pub use otlp::service as otlp_service;

/// The most bytes that a compressed body may become.
const MOST_BYTES: usize = 256 << 20;

/// One thing that went out: a sample, a log line, a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its fields.
    pub fields: Map<String, Value>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A sample of a series.
    Sample,
    /// What a metric family is, where it is sent apart from samples.
    Metadata,
    /// A line of a log stream.
    Entry,
    /// A span.
    Span,
    /// A log record.
    Log,
    /// A data point.
    Point,
    /// A line of text.
    Line,
    /// A request that is none of the above.
    Request,
}

impl Kind {
    /// All kinds with their names in `count`.
    pub const ALL: [(Kind, &'static str); 8] = [
        (Kind::Sample, "samples"),
        (Kind::Metadata, "metadata"),
        (Kind::Entry, "entries"),
        (Kind::Span, "spans"),
        (Kind::Log, "logs"),
        (Kind::Point, "points"),
        (Kind::Line, "lines"),
        (Kind::Request, "requests"),
    ];

    /// The signal that it belongs to, where it does.
    pub fn signal(self) -> Option<Signal> {
        match self {
            Kind::Span => Some(Signal::Traces),
            Kind::Sample | Kind::Metadata | Kind::Point => Some(Signal::Metrics),
            Kind::Entry | Kind::Log => Some(Signal::Logs),
            Kind::Line | Kind::Request => None,
        }
    }

    /// The field that a text alone stands for.
    pub fn main_field(self) -> &'static str {
        match self {
            Kind::Sample | Kind::Point => "metric",
            Kind::Metadata => "metadata",
            Kind::Entry | Kind::Line => "line",
            Kind::Span => "span",
            Kind::Log => "body",
            Kind::Request => "url",
        }
    }

    /// The field that holds what tells series apart.
    pub fn labels_field(self) -> &'static str {
        if self == Kind::Point { "attributes" } else { "labels" }
    }
}

/// A request that an exporter sent.
pub struct Sent<'a> {
    /// Its method.
    pub method: &'a http::Method,
    /// Its path and query.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body as it came; of a gRPC call the message, decompressed.
    pub body: &'a Bytes,
}

/// What a request says, and how its sender wants to be answered.
#[derive(Debug)]
pub struct Decoded {
    /// Its items.
    pub items: Vec<Item>,
    /// In which language the answer is given.
    pub answer: Answer,
}

/// The language of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP in protobuf.
    OtlpProto,
    /// OTLP over HTTP in JSON.
    OtlpJson,
    /// Remote write 2.0, which wants to hear what was written.
    Written {
        /// Samples.
        samples: usize,
        /// Native histograms.
        histograms: usize,
        /// Exemplars.
        exemplars: usize,
    },
    /// A status is enough.
    Status,
}

/// Reads a request.
///
/// # Errors
/// What is wrong with it: nobody would take it.
pub fn request(sent: &Sent<'_>, moments: &Moments) -> Result<Decoded, String> {
    let path = sent.url.split('?').next().unwrap_or_default();
    let kind = header(sent.headers, CONTENT_TYPE.as_str()).to_ascii_lowercase();
    if let Some(signal) = otlp::service_signal(path) {
        let items = otlp::items(signal, sent.body, moments)?;
        return Ok(Decoded { items, answer: Answer::Grpc });
    }
    if kind.starts_with("application/grpc") {
        return Err(format!("{path} is not a service that takes OTLP"));
    }
    let coding = header(sent.headers, CONTENT_ENCODING.as_str());
    if kind.starts_with("application/x-protobuf") && path.ends_with("/loki/api/v1/push") {
        let items = loki::proto(&plain(sent.body, Some(Coding::Snappy))?, moments)?;
        return Ok(Decoded { items, answer: Answer::Status });
    }
    let coding = if coding.is_empty() { None } else { Coding::from_name(coding).map_err(|e| e.to_string())? };
    let body = plain(sent.body, coding)?;
    if path.ends_with("/loki/api/v1/push") {
        return Ok(Decoded { items: loki::json(&body, moments)?, answer: Answer::Status });
    }
    if let Some(signal) = otlp::path_signal(path) {
        return if kind.starts_with("application/json") {
            let request = pipeline::otlp::json::to_proto(signal, &body).map_err(|error| error.to_string())?;
            let items = otlp::items(signal, &Bytes::from(request), moments)?;
            Ok(Decoded { items, answer: Answer::OtlpJson })
        } else {
            Ok(Decoded { items: otlp::items(signal, &body, moments)?, answer: Answer::OtlpProto })
        };
    }
    if kind.contains("io.prometheus.write.v2.request") {
        return remote_write::version_2(&body, moments);
    }
    if kind.starts_with("application/x-protobuf") && coding == Some(Coding::Snappy) {
        let items = remote_write::version_1(&body, moments)?;
        return Ok(Decoded { items, answer: Answer::Status });
    }
    let mut fields = Map::new();
    fields.insert("url".to_owned(), sent.url.into());
    fields.insert("method".to_owned(), sent.method.as_str().into());
    fields.insert("body".to_owned(), String::from_utf8_lossy(&body).into());
    Ok(Decoded { items: vec![Item { kind: Kind::Request, fields }], answer: Answer::Status })
}

/// The signal of an OTLP request to that path, over gRPC or HTTP.
pub fn otlp_signal(path: &str) -> Option<Signal> {
    otlp::service_signal(path).or_else(|| otlp::path_signal(path))
}

/// What an exporter has written to a file: lines of OTLP JSON, or other lines.
pub fn file(contents: &[u8], moments: &Moments) -> Vec<Item> {
    let text = String::from_utf8_lossy(contents);
    let mut items = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match otlp_line(line, moments) {
            Some(more) => items.extend(more),
            None => {
                items.push(Item { kind: Kind::Line, fields: Map::from_iter([("line".to_owned(), Value::from(line))]) });
            }
        }
    }
    items
}

fn otlp_line(line: &str, moments: &Moments) -> Option<Vec<Item>> {
    let signal = json_signal(line)?;
    let request = pipeline::otlp::json::to_proto(signal, line.as_bytes()).ok()?;
    otlp::items(signal, &Bytes::from(request), moments).ok()
}

/// The signal of an OTLP request in JSON, by its first key.
pub fn json_signal(text: &str) -> Option<Signal> {
    let head = text.trim_start().strip_prefix('{')?.trim_start().strip_prefix('"')?;
    match head.split('"').next()? {
        "resourceSpans" | "resource_spans" => Some(Signal::Traces),
        "resourceMetrics" | "resource_metrics" => Some(Signal::Metrics),
        "resourceLogs" | "resource_logs" => Some(Signal::Logs),
        _ => None,
    }
}

/// What a page for scrapers shows.
///
/// # Errors
/// The line that cannot be read.
pub fn scraped(text: &str, moments: &Moments) -> Result<Vec<Item>, String> {
    exposition::items(text, moments)
}

fn plain(body: &Bytes, coding: Option<Coding>) -> Result<Bytes, String> {
    match coding {
        None => Ok(body.clone()),
        Some(coding) => {
            compress::decompress(coding, body, MOST_BYTES).map(Bytes::from).map_err(|error| error.to_string())
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A number as JSON has it; what JSON has not is text.
fn number(value: f64) -> Value {
    const STALE: u64 = 0x7ff0_0000_0000_0002;
    if value.to_bits() == STALE {
        return "stale".into();
    }
    #[allow(clippy::cast_possible_truncation, reason = "whole and small enough to be exact")]
    if value.fract() == 0.0 && value.abs() < 9e15 && value.to_bits() != (-0.0_f64).to_bits() {
        return (value as i64).into();
    }
    serde_json::Number::from_f64(value).map_or_else(
        || if value.is_nan() { "NaN" } else { ["+Inf", "-Inf"][usize::from(value < 0.0)] }.into(),
        Value::Number,
    )
}
