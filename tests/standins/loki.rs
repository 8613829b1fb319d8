//! A stand-in for Loki's push endpoint and its OTLP endpoint, as strict as Loki 3.7 with its default limits. What it refuses it refuses as
//! Loki does: a 400 whose other entries are stored.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;

const MOST_LABELS: usize = 15;
const MOST_LINE: usize = 256 << 10;
const MOST_METADATA: (usize, usize) = (128, 64 << 10);
const MOST_BODY: usize = 4 << 20;
const HOUR: i128 = 3_600_000_000_000;

/// `logproto.PushRequest`.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamAdapter {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    structured_metadata: Vec<LabelPair>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Nanoseconds since 1970.
    pub time: i128,
    /// The line.
    pub line: String,
    /// Structured metadata.
    pub metadata: BTreeMap<String, String>,
}

/// What was stored and refused.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Entries by their stream's labels.
    pub streams: BTreeMap<BTreeMap<String, String>, Vec<Entry>>,
    /// Why entries were refused.
    pub refused: Vec<String>,
    /// Pushes answered.
    pub pushes: usize,
}

impl Stored {
    /// All entries of all streams.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.streams.values().flatten()
    }
}

/// A running stand-in.
pub struct Loki {
    /// `host:port`.
    pub address: String,
    stored: Arc<Mutex<Stored>>,
    _runtime: tokio::runtime::Runtime,
}

impl Loki {
    /// Starts one on a free port.
    pub fn start() -> Loki {
        let stored = Arc::new(Mutex::new(Stored::default()));
        let runtime = super::super::support::runtime();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has free ports");
        let address = listener.local_addr().expect("it listens").to_string();
        let state = stored.clone();
        runtime.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                let service = service_fn(move |request| push(state.clone(), request));
                connections
                    .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Loki { address, stored, _runtime: runtime }
    }

    /// What was stored so far.
    pub fn stored(&self) -> Stored {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where Loki takes OTLP.
const OTLP: &str = "/otlp/v1/logs";

async fn push(state: Arc<Mutex<Stored>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path_and_method = (request.uri().path().to_owned(), request.method().clone());
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let (content_type, encoding) = (header("content-type"), header("content-encoding"));
    #[allow(clippy::disallowed_methods, reason = "the body is limited")]
    let body = Limited::new(request.into_body(), 64 << 20).collect().await;
    let (status, text) = match body {
        Err(_) => (413, "body too large".to_owned()),
        Ok(body) if path_and_method == (OTLP.to_owned(), hyper::Method::POST) => {
            match (content_type.as_str(), encoding.as_str()) {
                ("application/x-protobuf", "" | "gzip") => otlp::take(&state, &body.to_bytes(), encoding == "gzip"),
                _ => (415, format!("{content_type} in {encoding} is not taken")),
            }
        }
        Ok(_) if path_and_method.0 != "/loki/api/v1/push" => (404, "404 page not found".to_owned()),
        Ok(_) if path_and_method.1 != hyper::Method::POST => (405, String::new()),
        Ok(_) if content_type != "application/x-protobuf" => (400, format!("unexpected content type {content_type:?}")),
        Ok(body) => take(&state, &body.to_bytes()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    Ok(response)
}

#[allow(clippy::disallowed_methods, reason = "the clock is Loki's own")]
fn now() -> i128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_nanos().cast_signed()
}

#[allow(clippy::disallowed_methods, reason = "the length is looked at first")]
fn take(state: &Mutex<Stored>, body: &[u8]) -> (u16, String) {
    let plain = match snap::raw::decompress_len(body) {
        Ok(length) if length > MOST_BODY => return (500, "rpc error: message larger than max (4194304)".to_owned()),
        Ok(_) => snap::raw::Decoder::new().decompress_vec(body),
        Err(error) => Err(error),
    };
    let Ok(plain) = plain else { return (400, "snappy: corrupt input".to_owned()) };
    let Ok(request) = PushRequest::decode(plain.as_slice()) else { return (400, "proto: illegal wireType".to_owned()) };
    let now = now();
    let mut stored = state.lock().unwrap_or_else(PoisonError::into_inner);
    stored.pushes += 1;
    let mut refused = Vec::new();
    for stream in request.streams {
        match parse_labels(&stream.labels) {
            Err(why) => refused.push(format!("{}: {why}", stream.labels)),
            Ok(labels) => {
                let entries = stored.streams.entry(labels).or_default();
                for entry in stream.entries {
                    match check(&entry, entries, now) {
                        Ok(entry) => entries.push(entry),
                        Err(why) => refused.push(format!("{}: {why}", stream.labels)),
                    }
                }
            }
        }
    }
    if refused.is_empty() {
        return (204, String::new());
    }
    let text = refused.join("\n");
    stored.refused.append(&mut refused);
    (400, text)
}

fn check(entry: &EntryAdapter, stream: &[Entry], now: i128) -> Result<Entry, String> {
    let time = entry.timestamp.as_ref().ok_or("no timestamp")?;
    let time = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let newest = stream.iter().map(|e| e.time).max().unwrap_or(time);
    let bytes: usize = entry.structured_metadata.iter().map(|p| p.name.len() + p.value.len()).sum();
    if entry.line.len() > MOST_LINE {
        return Err("max entry size exceeded".to_owned());
    }
    if entry.structured_metadata.len() > MOST_METADATA.0 || bytes > MOST_METADATA.1 {
        return Err("structured metadata too large".to_owned());
    }
    if time < now - 7 * 24 * HOUR {
        return Err("entry has timestamp too old".to_owned());
    }
    if time > now + HOUR / 6 {
        return Err("timestamp too new".to_owned());
    }
    if time < newest - HOUR {
        return Err("entry too far behind".to_owned());
    }
    let metadata = entry.structured_metadata.iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    Ok(Entry { time, line: entry.line.clone(), metadata })
}

/// `{a="b", c="d"}` with Go-quoted values.
fn parse_labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut rest = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or("labels without braces")?;
    let mut labels = BTreeMap::new();
    let mut last = String::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or("a label without a value")?;
        let legal = |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
        if name.is_empty() || name.len() > 1024 || !name.char_indices().all(legal) {
            return Err(format!("illegal label name {name:?}"));
        }
        let (value, after) = quoted(after)?;
        if value.len() > 2048 {
            return Err("label value too long".to_owned());
        }
        if *name <= *last.as_str() && !last.is_empty() {
            return Err(format!("labels are not sorted and unique at {name:?}"));
        }
        last = name.to_owned();
        labels.insert(name.to_owned(), value);
        rest = after.strip_prefix(',').map_or(after, str::trim_start);
    }
    if labels.is_empty() || labels.len() > MOST_LABELS {
        return Err(format!("{} labels, the most is {MOST_LABELS} and the least 1", labels.len()));
    }
    Ok(labels)
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let inside = text.strip_prefix('"').ok_or("a value without quotes")?;
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &inside[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                other => return Err(format!("unknown escape {other:?}")),
            },
            '\n' => return Err("a newline in a quoted value".to_owned()),
            _ => value.push(character),
        }
    }
    Err("a value without an end".to_owned())
}

/// The OTLP endpoint: some attributes of the resource are labels, everything else is structured metadata.
mod otlp {
    use std::io::Read;

    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::logs::v1::LogRecord;

    use super::{
        BTreeMap, EntryAdapter, LabelPair, MOST_BODY, Message, Mutex, PoisonError, Stored, Timestamp, check, now,
    };

    /// Attributes that are labels by Loki's defaults, as far as Dynamo has them.
    const LABELS: [&str; 4] = ["service.name", "service.namespace", "service.instance.id", "k8s.namespace.name"];

    pub fn take(state: &Mutex<Stored>, body: &[u8], is_gzip: bool) -> (u16, String) {
        let mut plain = body.to_vec();
        if is_gzip {
            plain.clear();
            let mut reader = flate2::read::GzDecoder::new(body).take(MOST_BODY as u64 + 1);
            if let Err(error) = reader.read_to_end(&mut plain) {
                return (400, error.to_string());
            }
        }
        if plain.len() > MOST_BODY {
            return (413, "request body too large".to_owned());
        }
        let Ok(request) = ExportLogsServiceRequest::decode(plain.as_slice()) else { return (400, "proto".to_owned()) };
        let mut stored = state.lock().unwrap_or_else(PoisonError::into_inner);
        stored.pushes += 1;
        let mut refused = Vec::new();
        for group in request.resource_logs {
            let attributes = group.resource.unwrap_or_default().attributes;
            let (labels, others): (Vec<_>, Vec<_>) = pairs(attributes).partition(|(key, _)| LABELS.contains(&&**key));
            let mut labels: BTreeMap<_, _> =
                labels.into_iter().map(|(key, value)| (key.replace('.', "_"), value)).collect();
            labels.entry("service_name".to_owned()).or_insert_with(|| "unknown_service".to_owned());
            let entries = stored.streams.entry(labels).or_default();
            for record in group.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                match check(&entry(record, &others), entries, now()) {
                    Ok(entry) => entries.push(entry),
                    Err(why) => refused.push(why),
                }
            }
        }
        let answer = refused.join("\n");
        stored.refused.append(&mut refused);
        (if answer.is_empty() { 204 } else { 400 }, answer)
    }

    fn entry(record: LogRecord, resource: &[(String, String)]) -> EntryAdapter {
        let time = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|time| *time > 0);
        let time = time.map_or(now(), i128::from);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut metadata =
            vec![("trace_id".to_owned(), hex(&record.trace_id)), ("span_id".to_owned(), hex(&record.span_id))];
        metadata.push(("severity_text".to_owned(), record.severity_text));
        metadata.extend(pairs(record.attributes));
        metadata.extend(resource.iter().cloned());
        metadata.retain(|(_, value)| !value.is_empty());
        let pair = |(name, value): (String, String)| LabelPair { name: name.replace(['.', '/', '-'], "_"), value };
        EntryAdapter {
            timestamp: Some(Timestamp {
                seconds: i64::try_from(time / 1_000_000_000).expect("a time"),
                nanos: i32::try_from(time % 1_000_000_000).expect("below a second"),
            }),
            line: record.body.map(text).unwrap_or_default(),
            structured_metadata: metadata.into_iter().map(pair).collect(),
        }
    }

    fn pairs(attributes: Vec<KeyValue>) -> impl Iterator<Item = (String, String)> {
        attributes.into_iter().map(|attribute| (attribute.key, attribute.value.map(text).unwrap_or_default()))
    }

    fn text(value: AnyValue) -> String {
        match value.value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::BoolValue(value)) => value.to_string(),
            Some(Value::DoubleValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        }
    }
}
