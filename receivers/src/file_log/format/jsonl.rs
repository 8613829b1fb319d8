//! The presets for JSON lines: `dynamo_jsonl` for NVIDIA Dynamo's log lines, `json` for any program's. Each line is read
//! once, its fields go straight into the record, and the body is the whole line, because dashboards search the line's
//! text for trace ids.

use std::sync::LazyLock;

use pipeline::json::{JsonError, Raw, Scanner, Str};
use pipeline::otlp::fields::log_record;
use pipeline::otlp::write::{SHORT_TEXT, Scalar, Writer};
use smallvec::SmallVec;

use super::civil::Minute;
use super::keys::{Found, Key, Keys, MOST_KEYS, START, decides, field};
use super::record::{Record, span_id, trace_flags, trace_id};
use super::severity::Severity;
use super::shapes::Shapes;
use crate::file_log::facts::Facts;

/// What a top-level field of a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// When it happened.
    Time,
    /// How bad it is.
    Level,
    /// Whose trace it belongs to.
    TraceId,
    /// The span in it.
    SpanId,
    /// W3C trace flags.
    TraceFlags,
    /// An attribute of the record, its value typed as the line has it.
    Attribute,
    /// An attribute whose value is an id, which some lines write as a number and others as text: always text.
    Id,
    /// Part of the body only.
    BodyOnly,
}

/// Which fields of a line are taken, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// Dynamo's names and a chosen set of attributes.
    Dynamo,
    /// The usual names for time, level and trace context; every other field without inner structure is an attribute.
    Usual,
    /// The usual names for time, level and trace context, and Dynamo's attributes.
    Container,
}

impl Fields {
    /// What a key's member is for.
    pub fn of(self, key: &str) -> Use {
        match self {
            Fields::Dynamo => DYNAMO.of(key).unwrap_or(Use::BodyOnly),
            Fields::Usual => USUAL.of(key).unwrap_or(Use::Attribute),
            Fields::Container => USUAL.of(key).or_else(|| DYNAMO.of(key)).unwrap_or(Use::BodyOnly),
        }
    }
}

/// Fields of `dynamo_jsonl`, with as attributes what requests, workers and models are found by. Everything else stays in the
/// line.
static DYNAMO: LazyLock<Names> = LazyLock::new(|| {
    Names::new(&[
        (Use::Time, &["time"]),
        (Use::Level, &["level"]),
        (Use::TraceId, &["trace_id"]),
        (Use::SpanId, &["span_id"]),
        (Use::TraceFlags, &["trace_flags"]),
        (Use::Attribute, &["target", "message", "span_name", "x_request_id", "request_id", "method", "uri", "status"]),
        (Use::Attribute, &["model", "namespace", "component", "endpoint", "phase", "error", "error_type"]),
        (Use::Attribute, &["request.outcome", "input_tokens", "output_tokens", "ttft_ms", "avg_itl_ms"]),
        (Use::Attribute, &["time.duration_us", "dynamo.component", "dynamo.request.id", "dynamo.session.id"]),
        (Use::Id, &["worker_id", "prefill_worker_id", "decode_worker_id", "instance_id", "dp_rank"]),
    ])
});

/// The usual names for time, level and trace context.
static USUAL: LazyLock<Names> = LazyLock::new(|| {
    Names::new(&[
        (Use::Time, &["time", "timestamp", "@timestamp", "ts"]),
        (Use::Level, &["level", "severity", "lvl", "levelname", "log.level"]),
        (Use::TraceId, &["trace_id", "traceId", "traceid", "trace.id"]),
        (Use::SpanId, &["span_id", "spanId", "spanid", "span.id"]),
        (Use::TraceFlags, &["trace_flags", "traceFlags"]),
    ])
});

/// Names of fields with their use, found by a few of their bytes instead of one comparison after the other.
struct Names {
    slots: [Option<(&'static str, Use)>; Names::SLOTS],
}

impl Names {
    const SLOTS: usize = 256;

    fn new(uses: &[(Use, &[&'static str])]) -> Names {
        let mut slots = [None; Names::SLOTS];
        for (purpose, names) in uses {
            for name in *names {
                let mut slot = Names::slot(name);
                while slots[slot].is_some() {
                    slot = (slot + 1) % Names::SLOTS;
                }
                slots[slot] = Some((*name, *purpose));
            }
        }
        Names { slots }
    }

    #[inline]
    fn of(&self, name: &str) -> Option<Use> {
        let mut slot = Names::slot(name);
        while let Some((known, purpose)) = self.slots[slot] {
            if known == name {
                return Some(purpose);
            }
            slot = (slot + 1) % Names::SLOTS;
        }
        None
    }

    #[inline]
    fn slot(name: &str) -> usize {
        let byte = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or(0));
        let bytes = name.as_bytes();
        (name.len() * 37 + byte(bytes.first()) * 5 + byte(bytes.last()) * 11) % Names::SLOTS
    }
}

/// The most attributes that one line gives; the rest stays in the body and is counted as dropped.
const MOST_ATTRIBUTES: usize = 128;

/// What is remembered from line to line.
#[derive(Debug)]
pub struct Reader {
    keys: Keys,
    minute: Minute,
    /// What the line before has shown, as attributes of a `LogRecord`.
    shown: Writer,
    shapes: Shapes,
}

impl Reader {
    /// Of lines whose fields are taken in this way.
    pub fn new(fields: Fields) -> Reader {
        Reader { keys: Keys::new(fields), minute: Minute::default(), shown: Writer::new(), shapes: Shapes::default() }
    }

    /// How fields are taken.
    pub fn fields(&self) -> Fields {
        self.keys.fields()
    }

    /// Writes what a line's fields say into the record: times, severity, trace context. Not the body, and not the attributes,
    /// which are [`Reader::shown`]; no one whose key is `taken`. The time is the line's own, else the `known` one. Of a field
    /// that stands twice the first counts: Dynamo writes its own fields before those of the event.
    ///
    /// # Errors
    /// Where the line is no JSON object; what was written until then is of no use.
    pub fn write(
        &mut self,
        line: &str,
        taken: &Facts,
        (known, observed): (Option<u64>, u64),
        record: &mut Record<'_>,
    ) -> Result<(), JsonError> {
        self.shown.clear();
        if let Some(shape) = self.shapes.fitting(line, taken, observed, &mut self.minute) {
            record.writer().raw(shape.head());
            self.shown.raw(shape.shown());
            if shape.decides() {
                record.mixes();
            }
            return Ok(());
        }
        let before = record.writer().len();
        self.write_any(line, taken, (known, observed), record)?;
        if self.shapes.wants_more() {
            let head = &record.writer().as_slice()[before..];
            self.shapes.learn(line, self.keys.fields(), taken, head, self.shown.as_slice());
        }
        Ok(())
    }

    /// The same for a line of any shape, whose marks are known.
    fn write_any(
        &mut self,
        line: &str,
        taken: &Facts,
        (known, observed): (Option<u64>, u64),
        record: &mut Record<'_>,
    ) -> Result<(), JsonError> {
        let mut said = Said::default();
        let mut text = Scanner::with_marks(line, self.shapes.marks());
        let (mut joint, mut before) = (b'{', START);
        loop {
            let key = match self.keys.guess(&mut text, joint, before) {
                Some(number) => Found::Known(number),
                None if goes_on(&mut text, joint)? => self.keys.read(&mut text, before)?,
                None => break,
            };
            joint = b',';
            match key {
                Found::Known(number) => {
                    before = number;
                    let Key { raw, purpose, field, short, decides, .. } = self.keys.get(number);
                    if *purpose == Use::BodyOnly {
                        text.skip_value()?;
                        continue;
                    }
                    let value = text.value()?;
                    if said.takes(*purpose, value, self.fields(), &mut self.minute)
                        && !said.seen.has(number)
                        && !taken.has(raw)
                        && said.has_room()
                    {
                        said.seen.add(number);
                        said.decides |= decides[usize::from(matches!(value, Raw::Str(_)))];
                        match (short, short_text(line, text.at(), value)) {
                            (Some(key), Some((text, len))) => {
                                self.shown.short_attribute(log_record::ATTRIBUTES, key, text, len);
                            }
                            _ => attribute(field, value, *purpose == Use::Id, &mut self.shown),
                        }
                    }
                }
                Found::Other(key) => {
                    let value = text.value()?;
                    let purpose = self.fields().of(key.raw);
                    if said.takes(purpose, value, self.fields(), &mut self.minute)
                        && !said.others.contains(&key.raw)
                        && !taken.has(key.raw)
                        && said.has_room()
                    {
                        said.others.push(key.raw);
                        let key = key.text();
                        said.decides |= decides(&key, matches!(value, Raw::Str(_)));
                        attribute(&field(&key), value, purpose == Use::Id, &mut self.shown);
                    }
                }
            }
        }
        text.end()?;
        record.times(said.time.or(known), observed);
        if let Some(level) = said.level {
            let level = level.text();
            record.severity(Severity::from_word(&level).unwrap_or_default(), &level);
        }
        record.trace(said.trace, said.span, said.flags);
        record.dropped_attributes(said.dropped);
        if said.decides {
            record.mixes();
        }
        Ok(())
    }

    /// The attributes of the line that was read last, as fields of `LogRecord`. They belong behind the body, which shows them:
    /// see [`Known::shown_last`](pipeline::Known::shown_last).
    pub fn shown(&self) -> &[u8] {
        self.shown.as_slice()
    }
}

/// Whether another member stands behind the brace that opens the object, or behind a member. What stands in between is
/// taken.
#[inline(never)]
fn goes_on(text: &mut Scanner<'_>, joint: u8) -> Result<bool, JsonError> {
    if joint == b'{' {
        text.expect(b'{', "a JSON object should start here")?;
        return Ok(!text.take(b'}'));
    }
    if text.take(b',') {
        return Ok(true);
    }
    text.expect(b'}', "a `,` or `}` should stand here").map(|()| false)
}

/// What a line has said by now.
#[derive(Default)]
struct Said<'a> {
    time: Option<u64>,
    level: Option<Str<'a>>,
    trace: Option<[u8; 16]>,
    span: Option<[u8; 8]>,
    flags: Option<u8>,
    attributes: usize,
    dropped: u64,
    /// Whether one of the attributes [`decides`].
    decides: bool,
    /// The keys that are attributes by now, and those of them that have no number.
    seen: Seen,
    others: SmallVec<[&'a str; 4]>,
}

impl<'a> Said<'a> {
    /// Takes a member in, unless it is an attribute, of which the answer tells.
    #[inline]
    fn takes(&mut self, purpose: Use, value: Raw<'a>, fields: Fields, minute: &mut Minute) -> bool {
        match purpose {
            Use::BodyOnly => false,
            Use::Attribute | Use::Id => !matches!(value, Raw::Null | Raw::Nested(_)),
            _ => self.takes_other(purpose, value, fields, minute),
        }
    }

    #[inline(never)]
    fn takes_other(&mut self, purpose: Use, value: Raw<'a>, fields: Fields, minute: &mut Minute) -> bool {
        match (purpose, value) {
            (Use::Time, _) => self.time = self.time.or_else(|| read_time(value, minute)),
            (Use::Level, Raw::Str(text)) => self.level = self.level.or(Some(text)),
            (Use::TraceId, Raw::Str(text)) => self.trace = self.trace.or_else(|| trace_id(text.raw)),
            (Use::SpanId, Raw::Str(text)) => self.span = self.span.or_else(|| span_id(text.raw)),
            (Use::TraceFlags, Raw::Str(text)) => self.flags = self.flags.or_else(|| trace_flags(text.raw)),
            (_, Raw::Null | Raw::Nested(_)) => {}
            (Use::BodyOnly | Use::Attribute | Use::Id, _) => {}
            (Use::Level | Use::TraceId | Use::SpanId | Use::TraceFlags, _) => return fields == Fields::Usual,
        }
        false
    }

    /// Whether one more attribute is not too much. It is counted in either case.
    fn has_room(&mut self) -> bool {
        let has_room = self.attributes < MOST_ATTRIBUTES;
        if has_room {
            self.attributes += 1;
        } else {
            self.dropped += 1;
        }
        has_room
    }
}

/// Numbers of keys, as bits.
#[derive(Default)]
struct Seen([u64; MOST_KEYS / 64]);

impl Seen {
    fn has(&self, number: usize) -> bool {
        self.0[number / 64] & 1 << (number % 64) != 0
    }

    fn add(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }
}

/// A text that was read up to `at`, with its length and what stands behind it, where that is enough to be copied as one.
#[inline]
fn short_text<'a>(line: &'a str, at: usize, value: Raw<'_>) -> Option<(&'a [u8; SHORT_TEXT], usize)> {
    let Raw::Str(Str { raw, escaped: false }) = value else { return None };
    let len = raw.len();
    // Its end is the quote that was read last.
    let text = line.as_bytes().get(at.checked_sub(1 + len)?..)?.first_chunk()?;
    (len <= SHORT_TEXT).then_some((text, len))
}

/// Writes an attribute of a `LogRecord`, whose key is written by now; a number is text where that is wanted.
#[inline]
pub fn attribute(key: &[u8], value: Raw<'_>, as_text: bool, out: &mut Writer) {
    match value {
        Raw::Str(Str { raw, escaped: false }) => out.attribute_of(log_record::ATTRIBUTES, key, Scalar::Text(raw)),
        _ => unusual_attribute(key, value, as_text, out),
    }
}

#[inline(never)]
fn unusual_attribute(key: &[u8], value: Raw<'_>, as_text: bool, out: &mut Writer) {
    match value {
        Raw::Str(text) => out.attribute_of(log_record::ATTRIBUTES, key, Scalar::Text(&text.text())),
        Raw::Number(number) if as_text => out.attribute_of(log_record::ATTRIBUTES, key, Scalar::Text(number)),
        Raw::Number(number) => out.attribute_of(log_record::ATTRIBUTES, key, number_of(number)),
        Raw::Bool(value) => out.attribute_of(log_record::ATTRIBUTES, key, Scalar::Bool(value)),
        Raw::Null | Raw::Nested(_) => {}
    }
}

/// A number as OTLP has it. A whole number beyond 64 signed bits stays text: as a double it would be another number.
pub fn number_of(number: &str) -> Scalar<'_> {
    if let Ok(int) = number.parse() {
        return Scalar::Int(int);
    }
    match number.parse() {
        Ok(double) if number.contains(['.', 'e', 'E']) => Scalar::Double(double),
        _ => Scalar::Text(number),
    }
}

fn read_time(value: Raw<'_>, minute: &mut Minute) -> Option<u64> {
    match value {
        Raw::Str(text) => minute.read(text.raw.as_bytes()),
        Raw::Number(number) => epoch(number),
        _ => None,
    }
}

/// A number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size: each reading
/// covers the years from 1973 to 5138 of its own unit before the next begins.
pub fn epoch(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let unit: u64 = match whole {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (billionths, _) = super::civil::fraction(fraction.as_bytes());
    whole.checked_mul(unit)?.checked_add(u64::from(billionths) * unit / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_since_1970_are_told_apart_by_their_size() {
        for (number, want) in [
            ("1795188686", Some(1_795_188_686_000_000_000)),
            ("1795188686.681620", Some(1_795_188_686_681_620_000)),
            ("1795188686681", Some(1_795_188_686_681_000_000)),
            ("1795188686681.5", Some(1_795_188_686_681_500_000)),
            ("1795188686681620", Some(1_795_188_686_681_620_000)),
            ("1795188686681620123", Some(1_795_188_686_681_620_123)),
            ("-1", None),
            ("1.7e9", None),
        ] {
            assert_eq!(epoch(number), want, "{number}");
        }
    }

    #[test]
    fn whole_numbers_too_large_for_otlp_stay_text() {
        assert_eq!(number_of("-42"), Scalar::Int(-42));
        assert_eq!(number_of("31.375"), Scalar::Double(31.375));
        assert_eq!(number_of("1e3"), Scalar::Double(1000.0));
        assert_eq!(number_of("11360150215887396147"), Scalar::Text("11360150215887396147"));
    }
}
