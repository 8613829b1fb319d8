//! From the bytes of a line to a log record: decoding, trimming, the format's fields, the file's attributes.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline::component::Reason;
use pipeline::config::ByteSize;
use pipeline::otlp::fields::{log_record, resource};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::telemetry::Drops;
use tokio::time::Instant;

use super::config::{Format, IncludeFile, Lines};
use super::encoding::{Encoding, Text};
use super::facts::Facts;
use super::format::container::{self, Output};
use super::format::jsonl::Fields;
use super::format::record::{Group, Record, Requests};
use super::format::{payload, text, trace};
use super::operators::{
    Around, Entry, Gone, Held, Map, Out, Part, Rule, Steps, Trouble, Value, container_rule, has_expressions,
};
use super::progress::Position;

/// The attribute that says what is wrong with a record's line.
const ERROR: &str = "slipring.error";
/// The attribute that says which stream a container has written to.
const STREAM: &str = "log.iostream";

/// How lines become records. One for each receiver.
#[derive(Debug)]
pub struct Recorder {
    shape: Shape,
    encoding: Encoding,
    keep_leading: bool,
    keep_trailing: bool,
    record_number: bool,
    record_offset: bool,
    scope: &'static str,
    resource: Vec<(String, String)>,
    group: Arc<Group>,
}

#[derive(Debug)]
enum Shape {
    /// The line is the body.
    Plain,
    /// The line is the body, its JSON fields say more.
    Json(Fields),
    /// A container's runtime has wrapped the line, which is the body, and perhaps cut it into parts.
    Container(Rule),
    /// The line is a row of Dynamo's trace files, whose payload is masked or not.
    Trace { masks: bool },
    /// Operators say it.
    Steps(Steps),
}

/// A line, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes, without its end.
    pub bytes: &'a [u8],
    /// The same as text, where that is known: see [`Encoding::text_of`].
    pub text: Option<&'a str>,
    /// Where it begins.
    pub place: Position,
}

/// Where a line comes from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What is known of its file.
    pub facts: &'a Facts,
    /// When it was read, in nanoseconds since 1970.
    pub observed: u64,
    /// The same by the other clock.
    pub now: Instant,
}

/// What became of lines.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records that were written.
    pub written: usize,
    /// Lines that an operator was told to drop because it could not work on them.
    pub failed: usize,
    /// Lines that operators were told to drop.
    pub filtered: usize,
    /// The first of both.
    gone: Option<Box<Dropped>>,
}

/// The first lines that were dropped.
#[derive(Debug, Default)]
struct Dropped {
    failed: Vec<Box<str>>,
    filtered: Vec<Box<str>>,
}

/// Of each kind as many are kept in a tally.
const MOST_KEPT: usize = 64;

impl Tally {
    /// Counts what was dropped.
    pub fn count(&self, drops: &Drops) {
        let (failed, filtered) = self.gone.as_deref().map_or((&[][..], &[][..]), |gone| (&gone.failed, &gone.filtered));
        let reason = Reason::new("operator", "an operator was told to drop what it cannot work on");
        drops.record_lines(self.failed, failed, &reason);
        let reason = Reason::new("filtered", "the operators do not keep it");
        drops.clone().on_purpose().record_lines(self.filtered, filtered, &reason);
    }

    fn lose(&mut self, why: Gone, line: impl FnOnce() -> Box<str>) {
        match why {
            Gone::Error => self.failed += 1,
            Gone::Filtered => self.filtered += 1,
        }
        let gone = self.gone.get_or_insert_default();
        let kept = match why {
            Gone::Error => &mut gone.failed,
            Gone::Filtered => &mut gone.filtered,
        };
        if kept.len() < MOST_KEPT {
            kept.push(line());
        }
    }
}

/// Where records go, and what hears of troubles.
struct Writing<'w> {
    recorder: &'w Recorder,
    out: &'w mut Requests,
    tally: Tally,
    /// The line that is being read, if one is.
    line: &'w [u8],
    trouble: &'w mut dyn FnMut(Trouble<'_>),
}

impl Recorder {
    /// For these settings, which are known to be right, and operators; `scope` names the receiver.
    pub fn new(config: &Lines, include: IncludeFile, steps: Steps, scope: &'static str) -> Recorder {
        let plain = |value: &str| !has_expressions(value);
        let resource = config.resource.iter().filter(|(_, v)| plain(v));
        let resource: Vec<_> = resource.map(|(k, v)| (k.clone(), v.0.clone())).collect();
        let message = Group::resource_of(resource.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        Recorder {
            shape: match config.format {
                Some(Format::DynamoJsonl) => Shape::Json(Fields::Dynamo),
                Some(Format::Json) => Shape::Json(Fields::Usual),
                Some(Format::Container) => Shape::Container(container_rule(ByteSize(0))),
                Some(Format::DynamoTrace) => Shape::Trace { masks: config.masks_payloads() },
                None if steps.is_empty() => Shape::Plain,
                None => Shape::Steps(steps),
            },
            encoding: Encoding::from_name(&config.encoding).unwrap_or(Encoding::Utf8),
            keep_leading: config.preserve_leading_whitespaces.unwrap_or(config.format.is_some()),
            keep_trailing: config.preserve_trailing_whitespaces.unwrap_or(config.format.is_some()),
            record_number: include.include_file_record_number,
            record_offset: include.include_file_record_offset,
            scope,
            group: Arc::new(Group::new(&message, scope)),
            resource,
        }
    }

    /// The same facts, with what the path says of its resource, where that is asked for.
    pub fn facts_of_path(&self, facts: Facts, path: &Path, resolved: impl FnOnce() -> Option<PathBuf>) -> Facts {
        let wanted = match &self.shape {
            Shape::Container(_) => true,
            Shape::Steps(steps) => steps.want_path(),
            _ => false,
        };
        let of_path = wanted.then(|| container::of_path(path).or_else(|| container::of_path(&resolved()?))).flatten();
        let Some(of_path) = of_path else { return facts };
        let own = self.resource.iter().filter(|(k, _)| of_path.iter().all(|(p, _)| p != k));
        let own = own.map(|(k, v)| (k.as_str(), v.as_str()));
        let message = Group::resource_of(own.chain(of_path.iter().map(|(k, v)| (*k, v.as_str()))));
        let group = Arc::new(Group::new(&message, self.scope));
        facts.with_path(of_path.into(), group)
    }

    /// Writes the record of a line, or holds it until what belongs to it has come. Answers what became of it and of what
    /// it ended; `None` when it is empty. `trouble` hears of operators that could not work on it.
    pub fn write(
        &self,
        line: Line<'_>,
        source: Source<'_>,
        held: &mut Held,
        out: &mut Requests,
        trouble: &mut dyn FnMut(Trouble<'_>),
    ) -> Option<Tally> {
        let decoded = match line.text {
            Some(text) if line.place.offset > 0 => Text::Text { text: Cow::Borrowed(text), replaced: false },
            _ => self.encoding.decode(line.bytes, line.place.offset == 0),
        };
        let decoded = self.trim(decoded);
        if decoded.is_empty() {
            return None;
        }
        let mut writing = Writing { recorder: self, out, tally: Tally::default(), line: line.bytes, trouble };
        match (&self.shape, &decoded) {
            (Shape::Steps(steps), _) => {
                let entry = self.entry(line, decoded, source);
                let of_path = source.facts.of_path();
                let mut around = Around { held, place: line.place, now: source.now, of_path };
                steps.run(entry, &mut around, &mut writing);
            }
            (Shape::Container(rule), Text::Text { text, .. }) => match container::any(text) {
                Some(output) => self.container(output, line, source, rule, held, &mut writing),
                None => {
                    self.json(Fields::Container, line, &decoded, None, source, writing.out);
                    writing.tally.written += 1;
                }
            },
            (shape, text) => {
                match shape {
                    Shape::Json(fields) => self.json(*fields, line, text, None, source, writing.out),
                    Shape::Trace { masks } => self.trace(line, text, *masks, source, writing.out),
                    _ => {
                        let mut record = writing.out.record(self.group_of(source));
                        record.times(None, source.observed);
                        self.finish(record, line, text, b"", source);
                    }
                }
                writing.tally.written += 1;
            }
        }
        Some(writing.tally)
    }

    /// Writes the records of what has waited for long enough, or, without a time, of everything that waits.
    pub fn release(
        &self,
        now: Option<Instant>,
        source: Source<'_>,
        held: &mut Held,
        out: &mut Requests,
        trouble: &mut dyn FnMut(Trouble<'_>),
    ) -> Tally {
        let mut writing = Writing { recorder: self, out, tally: Tally::default(), line: b"", trouble };
        match &self.shape {
            Shape::Steps(steps) => {
                let (place, of_path) = (Position::START, source.facts.of_path());
                let mut around = Around { held, place, now: source.now, of_path };
                steps.release(now, &mut around, &mut writing);
            }
            _ => {
                for group in held.take_due(now) {
                    let place = group.first;
                    self.whole(group.into_parts(), place, source, &mut writing);
                }
            }
        }
        writing.tally
    }

    fn trim<'a>(&self, text: Text<'a>) -> Text<'a> {
        let cut = |text: &str| {
            let start = if self.keep_leading { 0 } else { text.len() - text.trim_ascii_start().len() };
            let end = if self.keep_trailing { text.len() } else { text.trim_ascii_end().len() };
            start..end.max(start)
        };
        match text {
            Text::Text { text: Cow::Borrowed(text), replaced } => {
                Text::Text { text: Cow::Borrowed(&text[cut(text)]), replaced }
            }
            Text::Text { text: Cow::Owned(text), replaced } => {
                let range = cut(&text);
                Text::Text { text: Cow::Owned(text[range].to_owned()), replaced }
            }
            bytes @ Text::Bytes(_) if self.encoding == Encoding::Nop => bytes,
            Text::Bytes(mut bytes) => {
                if !self.keep_leading {
                    bytes = bytes.trim_ascii_start();
                }
                Text::Bytes(if self.keep_trailing { bytes } else { bytes.trim_ascii_end() })
            }
        }
    }

    fn group_of<'s>(&'s self, source: Source<'s>) -> &'s Arc<Group> {
        source.facts.group().unwrap_or(&self.group)
    }

    /// A line that is no JSON is a record too: Dynamo's processes share their stderr with engines and libraries.
    fn json(
        &self,
        fields: Fields,
        line: Line<'_>,
        whole: &Text<'_>,
        output: Option<(Option<u64>, &str)>,
        source: Source<'_>,
        out: &mut Requests,
    ) {
        let (time, stream) = output.unwrap_or((None, ""));
        let Text::Text { text, replaced } = whole else {
            let mut record = out.record(self.group_of(source));
            record.times(time, source.observed);
            return self.finish(record, line, whole, b"", source);
        };
        let mut reader = out.reader(fields);
        let mut record = out.record(self.group_of(source));
        let read = reader.write(text, source.facts, (time, source.observed), &mut record);
        let is_json = read.is_ok();
        if let Err(error) = read {
            drop(record);
            record = out.record(self.group_of(source));
            text::write(text, (time, source.observed), &mut record);
            if fields == Fields::Usual && !replaced {
                record.attribute(ERROR, Scalar::Text(&format!("not JSON: {error}")));
            }
        }
        if !stream.is_empty() && !source.facts.has(STREAM) {
            record.attribute(STREAM, Scalar::Text(stream));
        }
        self.finish(record, line, whole, if is_json { reader.shown() } else { b"" }, source);
        out.keep(reader);
    }

    fn trace(&self, line: Line<'_>, whole: &Text<'_>, masks: bool, source: Source<'_>, out: &mut Requests) {
        let Text::Text { text, replaced } = whole else {
            return self.json(Fields::Dynamo, line, whole, None, source, out);
        };
        if masks && let Some(masked) = payload::masked(text) {
            let whole = Text::Text { text: Cow::Owned(masked), replaced: *replaced };
            return self.trace(line, &whole, false, source, out);
        }
        let mut record = out.record(self.group_of(source));
        if trace::write(text, source.facts, source.observed, &mut record).is_some() {
            record.mixes();
            return self.finish(record, line, whole, b"", source);
        }
        drop(record);
        self.json(Fields::Dynamo, line, whole, None, source, out);
    }

    /// A piece of a container's output: a line, or a part of one.
    fn container(
        &self,
        output: Output<'_>,
        line: Line<'_>,
        source: Source<'_>,
        rule: &Rule,
        held: &mut Held,
        writing: &mut Writing<'_>,
    ) {
        let time = output.unix_nanos();
        if !output.partial && !held.has(0, &output.stream) {
            let whole = Text::Text { text: output.text, replaced: false };
            if whole.is_empty() {
                return;
            }
            self.json(Fields::Container, line, &whole, Some((time, &output.stream)), source, writing.out);
            writing.tally.written += 1;
            return;
        }
        let (stream, text) = (output.stream.into_owned(), output.text.into_owned());
        let mut attributes = Map::default();
        attributes.set(STREAM, Value::text(stream.clone()));
        let mut entry = Entry::new(Value::Null, attributes, Map::default(), source.observed);
        entry.time = time;
        let part = Part { source: stream, text, first: false, last: !output.partial };
        if let Some(group) = held.add(0, part, entry, rule, line.place, source.now) {
            let place = group.first;
            self.whole(group.into_parts(), place, source, writing);
        }
    }

    /// A container's line whose parts are together.
    fn whole(&self, parts: (Entry<'static>, String), place: Position, source: Source<'_>, writing: &mut Writing<'_>) {
        let (entry, text) = parts;
        let source = Source { observed: entry.observed, ..source };
        let text = Text::Text { text: Cow::Owned(text), replaced: false };
        let stream = entry.attributes().get(STREAM).and_then(Value::as_text).unwrap_or_default();
        let output = Some((entry.time, stream));
        self.json(Fields::Container, Line { bytes: b"", text: None, place }, &text, output, source, writing.out);
        writing.tally.written += 1;
    }

    /// The attributes of the file and of the line, the body, and the attributes that this shows.
    fn finish(&self, mut record: Record<'_>, line: Line<'_>, text: &Text<'_>, shown: &[u8], source: Source<'_>) {
        record.writer().raw(source.facts.encoded());
        for (key, value) in self.of_line(line) {
            record.attribute(key, Scalar::Int(value));
        }
        match text {
            Text::Text { text, replaced } => {
                if *replaced {
                    record.attribute(ERROR, Scalar::Text(self.replaced()));
                }
                record.body(Scalar::Text(text));
            }
            Text::Bytes(bytes) => record.body(Scalar::Bytes(bytes)),
        }
        record.writer().raw(shown);
        record.end();
    }

    fn replaced(&self) -> &'static str {
        match self.encoding {
            Encoding::Utf8 => "invalid UTF-8 was replaced",
            _ => "what is no text in the file's encoding was replaced",
        }
    }

    fn of_line(&self, line: Line<'_>) -> impl Iterator<Item = (&'static str, i64)> {
        let number = self.record_number.then_some(("log.file.record_number", line.place.records + 1));
        let offset = self.record_offset.then_some(("log.file.record_offset", line.place.offset));
        number.into_iter().chain(offset).map(|(key, value)| (key, i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn entry<'a>(&'a self, line: Line<'a>, text: Text<'a>, source: Source<'a>) -> Entry<'a> {
        let mut map = source.facts.attributes().borrowed();
        self.of_line(line).for_each(|(k, v)| map.set(k, Value::Int(v)));
        let body = match text {
            Text::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Text::Text { text, replaced } => {
                if replaced {
                    map.set(ERROR, Value::text(self.replaced()));
                }
                Value::Text(text)
            }
        };
        let mut resource = Map::default();
        self.resource.iter().for_each(|(k, v)| resource.set(k.as_str(), Value::text(v.as_str())));
        Entry::new(body, map, resource, source.observed)
    }
}

impl Out for Writing<'_> {
    fn entry(&mut self, entry: &Entry<'_>) {
        let scope = entry.scope_name.as_deref().unwrap_or(self.recorder.scope);
        let own = entry.resource_changed || entry.scope_name.is_some();
        let own_group = own.then(|| {
            let mut message = Writer::new();
            entry.resource().write(resource::ATTRIBUTES, &mut message);
            Arc::new(Group::new(message.as_slice(), scope))
        });
        let mut record = self.out.record(own_group.as_ref().unwrap_or(&self.recorder.group));
        record.mixes();
        record.times(entry.time, entry.observed);
        record.severity(entry.severity, &entry.severity_text);
        record.trace(entry.trace_id, entry.span_id, entry.trace_flags);
        entry.attributes().write(log_record::ATTRIBUTES, record.writer());
        record.writer().message(log_record::BODY, |w| entry.body().write(w));
        record.end();
        self.tally.written += 1;
    }

    fn gone(&mut self, why: Gone, entry: &Entry<'_>) {
        let line = self.line;
        self.tally.lose(why, || match entry.body().as_text() {
            Some(text) => Drops::beginning(text),
            None => Drops::beginning(&String::from_utf8_lossy(line)),
        });
    }

    fn trouble(&mut self, trouble: Trouble<'_>) {
        (self.trouble)(trouble);
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.written += other.written;
        self.failed += other.failed;
        self.filtered += other.filtered;
        let Some(more) = other.gone else { return };
        let Some(gone) = &mut self.gone else {
            self.gone = Some(more);
            return;
        };
        for (kept, more) in [(&mut gone.failed, more.failed), (&mut gone.filtered, more.filtered)] {
            let room = MOST_KEPT.saturating_sub(kept.len());
            kept.extend(more.into_iter().take(room));
        }
    }
}
