//! From the bytes of a line to a log record: decoding, trimming, the format's fields, the file's attributes.

use std::borrow::Cow;
use std::sync::Arc;

use pipeline::otlp::fields::{log_record, resource};
use pipeline::otlp::wire::utf8;
use pipeline::otlp::write::{Scalar, Writer};

use super::config::{Config, Encoding, Format};
use super::format::jsonl::{self, Fields};
use super::format::record::{Group, Record, Requests};
use super::format::text;
use super::operators::{Entry, Map, Steps, Trouble, Value};

/// The scope of every record.
pub const SCOPE: &str = "slipring/file_log";
/// The attribute that says what is wrong with a record's line.
const ERROR: &str = "slipring.error";

/// How lines become records. One for each receiver.
#[derive(Debug)]
pub struct Recorder {
    shape: Shape,
    encoding: Encoding,
    keep_leading: bool,
    keep_trailing: bool,
    record_number: bool,
    record_offset: bool,
    resource: Vec<(String, String)>,
    group: Arc<Group>,
}

#[derive(Debug)]
enum Shape {
    /// The line is the body.
    Plain,
    /// The line is the body, its JSON fields say more.
    Json(Fields),
    /// Operators say it.
    Steps(Steps),
}

/// A line, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes, without its end.
    pub bytes: &'a [u8],
    /// Its number among the records of its file, from 1.
    pub number: u64,
    /// Its first byte in the file.
    pub offset: u64,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The attributes of its file.
    pub attributes: &'a Attributes,
    /// When it was read, in nanoseconds since 1970.
    pub observed: u64,
}

/// Attributes of every record of one file: each key once.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    pairs: Vec<(Cow<'static, str>, String)>,
    /// As fields of `LogRecord`.
    encoded: Vec<u8>,
}

impl Attributes {
    /// These attributes; of a key that stands twice the later value counts.
    pub fn new(pairs: impl IntoIterator<Item = (Cow<'static, str>, String)>) -> Attributes {
        let mut all: Vec<(Cow<'static, str>, String)> = Vec::new();
        for (key, value) in pairs {
            all.retain(|(k, _)| *k != key);
            all.push((key, value));
        }
        let mut w = Writer::new();
        for (key, value) in &all {
            w.attribute(log_record::ATTRIBUTES, key, Scalar::Text(value));
        }
        Attributes { pairs: all, encoded: w.into_vec() }
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(k, _)| k == key)
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A record.
    Record,
    /// Nothing: it is empty.
    Nothing,
    /// Nothing: an operator was told to drop it.
    Dropped,
}

enum Text<'a> {
    Text { text: Cow<'a, str>, replaced: bool },
    Bytes(&'a [u8]),
}

impl Recorder {
    /// For these settings, which are known to be right, and operators.
    pub fn new(config: &Config, steps: Steps) -> Recorder {
        let resource: Vec<_> = config.resource.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        let message = Group::resource_of(resource.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        Recorder {
            shape: match config.format {
                Some(Format::DynamoJsonl) => Shape::Json(Fields::Dynamo),
                Some(Format::Json) => Shape::Json(Fields::Usual),
                None if config.operators.is_empty() => Shape::Plain,
                None => Shape::Steps(steps),
            },
            encoding: Encoding::from_name(&config.encoding).unwrap_or(Encoding::Utf8),
            keep_leading: config.preserve_leading_whitespaces.unwrap_or(config.format.is_some()),
            keep_trailing: config.preserve_trailing_whitespaces.unwrap_or(config.format.is_some()),
            record_number: config.include_file.include_file_record_number,
            record_offset: config.include_file.include_file_record_offset,
            group: Arc::new(Group::new(&message, SCOPE)),
            resource,
        }
    }

    /// Writes the record of a line. `trouble` hears of operators that could not work on it.
    pub fn write(
        &self,
        line: Line<'_>,
        source: Source<'_>,
        out: &mut Requests,
        trouble: impl FnMut(Trouble<'_>),
    ) -> Written {
        let line = Line { bytes: self.trim(line), ..line };
        if line.bytes.is_empty() {
            return Written::Nothing;
        }
        match (&self.shape, self.decode(line.bytes)) {
            (Shape::Steps(steps), text) => return self.run(steps, line, text, source, out, trouble),
            (Shape::Json(fields), Text::Text { text, replaced }) => {
                let text = Text::Text { text: Cow::Borrowed(&*text), replaced };
                self.json(*fields, line, &text, source, out);
            }
            (_, text) => {
                let mut record = out.record(&self.group);
                record.times(None, source.observed);
                self.finish(record, line, &text, source);
            }
        }
        Written::Record
    }

    fn trim<'a>(&self, line: Line<'a>) -> &'a [u8] {
        let mut bytes = line.bytes;
        if self.encoding == Encoding::Nop {
            return bytes;
        }
        if line.offset == 0 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        if !self.keep_leading {
            bytes = bytes.trim_ascii_start();
        }
        if !self.keep_trailing { bytes.trim_ascii_end() } else { bytes }
    }

    fn decode<'a>(&self, bytes: &'a [u8]) -> Text<'a> {
        if self.encoding == Encoding::Nop {
            return Text::Bytes(bytes);
        }
        match utf8(bytes) {
            Ok(text) => Text::Text { text: Cow::Borrowed(text), replaced: false },
            Err(_) if self.encoding == Encoding::Utf8Raw => Text::Bytes(bytes),
            Err(_) => Text::Text { text: String::from_utf8_lossy(bytes), replaced: true },
        }
    }

    /// A line that is no JSON is a record too: Dynamo's processes share their stderr with engines and libraries.
    fn json(&self, fields: Fields, line: Line<'_>, whole: &Text<'_>, source: Source<'_>, out: &mut Requests) {
        let Text::Text { text, replaced } = whole else { return };
        let mut record = out.record(&self.group);
        let Err(error) = jsonl::write(fields, text, source.attributes, source.observed, &mut record) else {
            return self.finish(record, line, whole, source);
        };
        drop(record);
        let mut record = out.record(&self.group);
        text::write(text, source.observed, &mut record);
        if fields == Fields::Usual && !replaced {
            record.attribute(ERROR, Scalar::Text(&format!("not JSON: {error}")));
        }
        self.finish(record, line, whole, source);
    }

    /// The body, and the attributes of the file and of the line.
    fn finish(&self, mut record: Record<'_>, line: Line<'_>, text: &Text<'_>, source: Source<'_>) {
        record.writer().raw(&source.attributes.encoded);
        for (key, value) in self.of_line(line) {
            record.attribute(key, Scalar::Int(value));
        }
        match text {
            Text::Text { text, replaced } => {
                if *replaced {
                    record.attribute(ERROR, Scalar::Text(REPLACED));
                }
                record.body(Scalar::Text(text));
            }
            Text::Bytes(bytes) => record.body(Scalar::Bytes(bytes)),
        }
        record.end();
    }

    fn of_line(&self, line: Line<'_>) -> impl Iterator<Item = (&'static str, i64)> {
        let number = self.record_number.then_some(("log.file.record_number", line.number));
        let offset = self.record_offset.then_some(("log.file.record_offset", line.offset));
        number.into_iter().chain(offset).map(|(key, value)| (key, i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn run<'a>(
        &'a self,
        steps: &'a Steps,
        line: Line<'a>,
        text: Text<'a>,
        source: Source<'a>,
        out: &mut Requests,
        trouble: impl FnMut(Trouble<'a>),
    ) -> Written {
        let mut map = Map::default();
        source.attributes.pairs.iter().for_each(|(k, v)| map.set(k.as_ref(), Value::text(v.as_str())));
        self.of_line(line).for_each(|(k, v)| map.set(k, Value::Int(v)));
        let body = match text {
            Text::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Text::Text { text, replaced } => {
                if replaced {
                    map.set(ERROR, Value::text(REPLACED));
                }
                Value::Text(text)
            }
        };
        let mut resource = Map::default();
        self.resource.iter().for_each(|(k, v)| resource.set(k.as_str(), Value::text(v.as_str())));
        let mut entry = Entry::new(body, map, resource);
        if !steps.run(&mut entry, source.observed, trouble) {
            return Written::Dropped;
        }
        self.write_entry(&entry, source.observed, out);
        Written::Record
    }

    fn write_entry(&self, entry: &Entry<'_>, observed: u64, out: &mut Requests) {
        let own_group = entry.resource_changed.then(|| {
            let mut message = Writer::new();
            entry.resource().write(resource::ATTRIBUTES, &mut message);
            Arc::new(Group::new(message.as_slice(), SCOPE))
        });
        let mut record = out.record(own_group.as_ref().unwrap_or(&self.group));
        record.times(entry.time, observed);
        record.severity(entry.severity, &entry.severity_text);
        record.trace(entry.trace_id, entry.span_id, entry.trace_flags);
        entry.attributes().write(log_record::ATTRIBUTES, record.writer());
        record.writer().message(log_record::BODY, |w| entry.body().write(w));
        record.end();
    }
}

const REPLACED: &str = "invalid UTF-8 was replaced";
