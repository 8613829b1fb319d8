//! The shape of a line: what lines of the same origin have in common byte by byte, and the record that they make, with
//! places for what differs. A line that fits is not parsed: its values are checked and copied to where they belong.
//!
//! Lines are of one shape when they are as long, have their quotes at the same places and no backslash, and differ inside
//! of values alone. Which values those are shows with time: all but times and ids are taken to be the same until a line has
//! another. Whatever decides on the form of a record, such as a key, the level or `true`, never differs.

use pipeline::json::{Raw, Scanner, Str, is_number};
use pipeline::otlp::wire::varint_len;
use pipeline::otlp::write::{Scalar, Writer};
use smallvec::SmallVec;

use super::civil::Minute;
use super::jsonl::{Fields, Use, attribute, epoch, number_of};
use super::keys::{decides, field};
use super::record::{span_id, trace_flags, trace_id};
use crate::file_log::facts::Facts;

/// Lines with more values that may differ have no shape.
const MOST_VALUES: usize = 48;
/// Where the times of a record stand behind their tags, which are its first fields.
const TIME: usize = 1;
const OBSERVED: usize = TIME + 8 + 1;

/// What lines of one shape have in common.
#[derive(Debug)]
pub struct Shape {
    /// One of them, and its marks.
    line: Box<str>,
    marks: Box<[u64]>,
    /// The values that may differ, in the order they stand.
    values: Box<[Value]>,
    /// Those of them that do.
    differing: Vec<Value>,
    /// Times, severity and trace context of the last line's record.
    head: Box<[u8]>,
    /// The attributes that it has shown.
    shown: Box<[u8]>,
    decides: bool,
}

/// A value that may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    from: u16,
    to: u16,
    goes: Goes,
}

/// Where a value goes: places in `head` for times and ids, in `shown` for attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    /// Nowhere: it is part of the body only.
    Nowhere,
    /// The same, if it is a number.
    NumberNowhere,
    Time,
    /// A time as a number since 1970.
    Epoch,
    TraceId(u16),
    SpanId(u16),
    Flags(u16),
    Text(u16),
    /// A number that becomes text.
    NumberText(u16),
    /// One that does so because it is too large.
    LargeNumber(u16),
    /// A whole number that takes so many bytes.
    Int(u16, u8),
    Double(u16),
}

impl Shape {
    /// The shape of a line of which this is made, if it has one: what the record says but for its body and the attributes,
    /// and those.
    pub fn of(
        line: &str,
        marks: &[u64],
        fields: Fields,
        taken: &Facts,
        (head, shown): (&[u8], &[u8]),
    ) -> Option<Shape> {
        if line.contains('\\') {
            return None;
        }
        let mut learnt = Learnt { shown: Writer::new(), ..Learnt::default() };
        learnt.read(line, marks, fields, taken)?;
        learnt.place_ids(head.len())?;
        // It is not where a key stands twice or there are too many attributes.
        if learnt.shown.as_slice() != shown {
            return None;
        }
        let values: Box<[Value]> = learnt.values.as_slice().into();
        let mut shape = Shape {
            line: line.into(),
            marks: marks.into(),
            differing: values.to_vec(),
            values,
            head: head.into(),
            shown: shown.into(),
            decides: learnt.decides,
        };
        let observed = u64::from_le_bytes(*head.get(OBSERVED..)?.first_chunk()?);
        let is_right = shape.write(line, marks, observed, &mut Minute::default())
            && (&*shape.head, &*shape.shown) == (head, shown);
        shape.differing.retain(|value| value.goes.differs_mostly());
        is_right.then_some(shape)
    }

    /// Writes the record of a line, if that has this shape: its [`Shape::head`] and what is [`Shape::shown`].
    #[inline]
    pub fn write(&mut self, line: &str, marks: &[u64], observed: u64, minute: &mut Minute) -> bool {
        if line.len() != self.line.len() || *marks != *self.marks {
            return false;
        }
        self.write_values(line, minute)
            .is_some_and(|()| put(&mut self.head, OBSERVED, &observed.to_le_bytes()).is_some())
    }

    #[inline(always)]
    fn write_values(&mut self, line: &str, minute: &mut Minute) -> Option<()> {
        let Shape { line: known, differing, head, shown, .. } = self;
        let (bytes, known) = (line.as_bytes(), known.as_bytes());
        let mut at = 0;
        for Value { from, to, goes } in differing {
            let (from, to) = (usize::from(*from), usize::from(*to));
            if bytes.get(at..from)? != known.get(at..from)? {
                return None;
            }
            at = to;
            // Between two quotes, or between bytes that are those of a character each.
            let text = line.get(from..to)?;
            match *goes {
                Goes::Nowhere => {}
                Goes::Time => put(head, TIME, &minute.read(text.as_bytes())?.to_le_bytes())?,
                Goes::TraceId(place) => put(head, place.into(), &trace_id(text)?)?,
                Goes::SpanId(place) => put(head, place.into(), &span_id(text)?)?,
                Goes::Text(place) => put(shown, place.into(), text.as_bytes())?,
                _ => write_number(text, *goes, head, shown)?,
            }
        }
        (bytes.get(at..)? == known.get(at..)?).then_some(())
    }

    /// Takes it that the values differ in which a line does, if it differs in nothing else.
    pub fn loosen(&mut self, line: &str, marks: &[u64]) -> bool {
        if line.len() != self.line.len() || *marks != *self.marks {
            return false;
        }
        let (line, known) = (line.as_bytes(), self.line.as_bytes());
        let mut at = 0;
        for value in &self.values {
            if line[at..value.from.into()] != known[at..value.from.into()] {
                return false;
            }
            at = value.to.into();
        }
        if line[at..] != known[at..] {
            return false;
        }
        let (before, differing) = (self.differing.len(), &self.differing);
        let is_other = |value: &&Value| {
            let inside = usize::from(value.from)..usize::from(value.to);
            differing.contains(value) || line[inside.clone()] != known[inside]
        };
        self.differing = self.values.iter().filter(is_other).copied().collect();
        self.differing.len() > before
    }

    /// Times, severity and trace context of the line that was written last, as fields of `LogRecord`.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Its attributes, in the same way.
    pub fn shown(&self) -> &[u8] {
        &self.shown
    }

    /// Whether one of them says how the record is to be treated.
    pub fn decides(&self) -> bool {
        self.decides
    }

    /// The bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        let values = 2 * self.values.len() * size_of::<Value>();
        self.line.len() + size_of_val(&*self.marks) + self.head.len() + self.shown.len() + values
    }
}

/// Copies bytes to a place.
#[inline]
fn put(into: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    into.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
    Some(())
}

/// Numbers and what is rare.
#[inline(never)]
fn write_number(text: &str, goes: Goes, head: &mut [u8], shown: &mut [u8]) -> Option<()> {
    if let Goes::Flags(place) = goes {
        return put(head, place.into(), &u32::from(trace_flags(text)?).to_le_bytes());
    }
    if !is_number(text) {
        return None;
    }
    if goes == Goes::NumberNowhere {
        return Some(());
    }
    match (goes, number_of(text)) {
        (Goes::Epoch, _) => put(head, TIME, &epoch(text)?.to_le_bytes()),
        (Goes::NumberText(place), _) | (Goes::LargeNumber(place), Scalar::Text(_)) => {
            put(shown, place.into(), text.as_bytes())
        }
        (Goes::Double(place), Scalar::Double(value)) => put(shown, place.into(), &value.to_le_bytes()),
        (Goes::Int(place, len), Scalar::Int(value)) if varint_len(value.cast_unsigned()) == usize::from(len) => {
            put_varint(shown, place.into(), len.into(), value.cast_unsigned())
        }
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn put_varint(into: &mut [u8], at: usize, len: usize, value: u64) -> Option<()> {
    let mut rest = value;
    for byte in into.get_mut(at..at + len)? {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    into[at + len - 1] &= 0x7f;
    Some(())
}

impl Goes {
    /// Whether nearly every line has another.
    fn differs_mostly(self) -> bool {
        matches!(self, Goes::Time | Goes::Epoch | Goes::TraceId(_) | Goes::SpanId(_))
    }
}

/// What is learnt of a line.
#[derive(Default)]
struct Learnt {
    values: SmallVec<[Value; MOST_VALUES]>,
    /// What each of its members is for that is there for one thing only.
    uses: SmallVec<[Use; 5]>,
    shown: Writer,
    decides: bool,
    has_time: bool,
    trace: Id,
    span: Id,
    flags: Id,
}

/// Whether a line has an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Id {
    /// No; and none of as many digits.
    #[default]
    None,
    /// What should be one and is none, in this line at least.
    Wrong,
    /// Yes.
    Right,
}

impl Id {
    fn of(is_right: bool, text: &str, digits: usize) -> Id {
        match (is_right, text.len() == digits) {
            (true, _) => Id::Right,
            (false, true) => Id::Wrong,
            (false, false) => Id::None,
        }
    }
}

impl Learnt {
    fn read(&mut self, line: &str, marks: &[u64], fields: Fields, taken: &Facts) -> Option<()> {
        let mut text = Scanner::with_marks(line, marks);
        text.expect(b'{', "").ok()?;
        loop {
            let key = text.string().ok()?.raw;
            text.expect(b':', "").ok()?;
            let value = text.value().ok()?;
            if self.values.len() == MOST_VALUES {
                return None;
            }
            self.member(key, value, text.at(), fields, taken)?;
            if !text.take(b',') {
                return self.has_time.then_some(());
            }
        }
    }

    /// Takes in a member that ends at a place.
    fn member(&mut self, key: &str, value: Raw<'_>, end: usize, fields: Fields, taken: &Facts) -> Option<()> {
        let purpose = fields.of(key);
        if matches!(purpose, Use::Time | Use::Level | Use::TraceId | Use::SpanId | Use::TraceFlags) {
            if self.uses.contains(&purpose) {
                return None;
            }
            self.uses.push(purpose);
        }
        match (purpose, value) {
            (_, Raw::Nested(_)) => None,
            (Use::Time, Raw::Str(text)) => {
                self.has_time = Minute::default().read(text.raw.as_bytes()).is_some();
                self.value(text.raw, end - 1, Goes::Time)
            }
            (Use::Time, Raw::Number(number)) => {
                self.has_time = epoch(number).is_some();
                self.value(number, end, Goes::Epoch)
            }
            (Use::TraceId, Raw::Str(text)) => {
                self.trace = Id::of(trace_id(text.raw).is_some(), text.raw, 32);
                self.value(text.raw, end - 1, Goes::TraceId(0))
            }
            (Use::SpanId, Raw::Str(text)) => {
                self.span = Id::of(span_id(text.raw).is_some(), text.raw, 16);
                self.value(text.raw, end - 1, Goes::SpanId(0))
            }
            (Use::TraceFlags, Raw::Str(text)) => {
                self.flags = Id::of(trace_flags(text.raw).is_some(), text.raw, 2);
                self.value(text.raw, end - 1, Goes::Flags(0))
            }
            (Use::Time, _) | (Use::Level, Raw::Str(_)) | (_, Raw::Null) => Some(()),
            (Use::Level | Use::TraceId | Use::SpanId | Use::TraceFlags, _) if fields != Fields::Usual => Some(()),
            (Use::BodyOnly, _) => self.body_only(value, end),
            _ if taken.has(key) => self.body_only(value, end),
            _ => {
                self.decides |= decides(key, matches!(value, Raw::Str(_)));
                self.attribute(key, value, end, purpose == Use::Id)
            }
        }
    }

    fn body_only(&mut self, value: Raw<'_>, end: usize) -> Option<()> {
        match value {
            Raw::Str(text) => self.value(text.raw, end - 1, Goes::Nowhere),
            Raw::Number(number) => self.value(number, end, Goes::NumberNowhere),
            Raw::Bool(_) | Raw::Null => Some(()),
            Raw::Nested(_) => None,
        }
    }

    fn attribute(&mut self, key: &str, value: Raw<'_>, end: usize, as_text: bool) -> Option<()> {
        attribute(&field(key), value, as_text, &mut self.shown);
        // The value is the last of it.
        let place = |len: usize| u16::try_from(self.shown.len().checked_sub(len)?).ok();
        match value {
            Raw::Str(Str { raw, .. }) => {
                let goes = Goes::Text(place(raw.len())?);
                self.value(raw, end - 1, goes)
            }
            Raw::Number(number) => {
                let goes = match number_of(number) {
                    _ if as_text => Goes::NumberText(place(number.len())?),
                    Scalar::Int(value) => {
                        let len = varint_len(value.cast_unsigned());
                        Goes::Int(place(len)?, u8::try_from(len).ok()?)
                    }
                    Scalar::Double(_) => Goes::Double(place(8)?),
                    _ => Goes::LargeNumber(place(number.len())?),
                };
                self.value(number, end, goes)
            }
            Raw::Bool(_) | Raw::Null => Some(()),
            Raw::Nested(_) => None,
        }
    }

    fn value(&mut self, text: &str, end: usize, goes: Goes) -> Option<()> {
        let from = u16::try_from(end.checked_sub(text.len())?).ok()?;
        self.values.push(Value { from, to: u16::try_from(end).ok()?, goes });
        Some(())
    }

    /// Finds where the ids stand, which are the last of a head of that length. Without a trace the others say nothing.
    fn place_ids(&mut self, head: usize) -> Option<()> {
        let has_trace = self.trace == Id::Right;
        if self.trace == Id::Wrong || (has_trace && (self.span == Id::Wrong || self.flags == Id::Wrong)) {
            return None;
        }
        let mut end = head;
        let mut place = |id: Id, tag: usize, len: usize| {
            if !has_trace || id != Id::Right {
                return Some(None);
            }
            let at = end.checked_sub(len)?;
            end = at.checked_sub(tag)?;
            Some(Some(u16::try_from(at).ok()?))
        };
        let (flags, span, trace) = (place(self.flags, 1, 4)?, place(self.span, 2, 8)?, place(self.trace, 2, 16)?);
        for value in &mut self.values {
            value.goes = match value.goes {
                Goes::TraceId(_) => trace.map_or(Goes::Nowhere, Goes::TraceId),
                Goes::SpanId(_) => span.map_or(Goes::Nowhere, Goes::SpanId),
                Goes::Flags(_) => flags.map_or(Goes::Nowhere, Goes::Flags),
                goes => goes,
            };
        }
        Some(())
    }
}
