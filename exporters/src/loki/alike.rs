//! Records that are like one before them: as a program writes them, with the same severity and attributes in the same places,
//! and ids or none. What is the same is compared as a whole instead of being read again, and what became of the record before
//! becomes of them. Only for batches of which it is known what stands behind the body.

use pipeline::otlp::fields::{any_value, log_record};
use pipeline::otlp::wire::{FIXED64, Fields, LEN, delimited};
use smallvec::SmallVec;

use super::entry::Span;
use super::ids::Ids;
use super::place::is_same;
use super::streams::StreamId;

/// So many kinds of records are remembered.
const MOST: usize = 4;

/// The kinds of records of a scope that came last.
#[derive(Default)]
pub struct Kinds<'a> {
    kinds: SmallVec<[(Shape<'a>, Goes); MOST]>,
    /// The one that is forgotten next.
    oldest: usize,
}

/// Where records of a kind go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goes {
    /// Their stream.
    pub stream: StreamId,
    /// How far that has come.
    pub newest: Option<u64>,
    /// Their structured metadata behind the ids.
    pub metadata: Span,
}

/// What records of a kind do not have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own<'a> {
    /// When it was, or else when it was seen: nanoseconds since 1970, 0 when neither is known.
    pub time: u64,
    /// Its ids.
    pub ids: Ids<'a>,
    /// Its body, a text that nobody has looked at.
    pub body: &'a [u8],
}

impl<'a> Kinds<'a> {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.kinds.clear();
        self.oldest = 0;
    }

    /// What a record has of its own and where it goes, if it is of a kind that is remembered.
    #[inline]
    pub fn find(&self, record: &'a [u8]) -> Option<(Own<'a>, Goes)> {
        if self.kinds.is_empty() {
            return None;
        }
        let mut rest = record;
        let time = take_time(&mut rest);
        self.kinds.iter().find_map(|(shape, goes)| {
            let (ids, body) = shape.read(rest)?;
            Some((Own { time, ids, body }, *goes))
        })
    }

    /// Remembers a record, unless it is written in another order than most. `which` are the ids that it has.
    pub fn remember(&mut self, record: &'a [u8], which: (bool, bool), goes: Goes) {
        let Some(shape) = Shape::of(record).filter(|shape| shape.which == which) else { return };
        if self.kinds.len() < MOST {
            self.kinds.push((shape, goes));
        } else {
            self.kinds[self.oldest] = (shape, goes);
            self.oldest = (self.oldest + 1) % MOST;
        }
    }
}

/// The bytes that records of a kind have in common. They stand so: the times, the first of these, the ids, the second of
/// these, the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape<'a> {
    before_ids: &'a [u8],
    which: (bool, bool),
    behind_ids: &'a [u8],
}

impl<'a> Shape<'a> {
    /// That of a record in this order.
    fn of(record: &'a [u8]) -> Option<Shape<'a>> {
        let mut rest = record;
        take_time(&mut rest);
        let before_ids = take_common(&mut rest)?;
        let trace = take_id::<16>(&mut rest, log_record::TRACE_ID);
        let span = take_id::<8>(&mut rest, log_record::SPAN_ID);
        let behind_ids = take_common(&mut rest)?;
        take_body(rest).map(|_| Shape { before_ids, which: (trace.is_some(), span.is_some()), behind_ids })
    }

    /// Ids and body of a record of this kind, of which the times have been taken.
    #[inline]
    fn read(&self, mut rest: &'a [u8]) -> Option<(Ids<'a>, &'a [u8])> {
        take_same(&mut rest, self.before_ids)?;
        let mut ids = Ids::default();
        if self.which.0 {
            ids.trace = Some(take_id(&mut rest, log_record::TRACE_ID)?);
        }
        if self.which.1 {
            ids.span = Some(take_id(&mut rest, log_record::SPAN_ID)?);
        }
        take_same(&mut rest, self.behind_ids)?;
        take_body(rest).map(|body| (ids, body))
    }
}

/// The first byte of a field.
#[allow(clippy::cast_possible_truncation, reason = "those that are asked for are below 128")]
const fn key(number: u32, wire_type: u32) -> u8 {
    (number << 3 | wire_type) as u8
}

/// Takes the time and the observed time, as far as they are there. Answers the first that is not 0.
#[inline]
fn take_time(rest: &mut &[u8]) -> u64 {
    let time = take_fixed64(rest, log_record::TIME);
    let observed = take_fixed64(rest, log_record::OBSERVED_TIME);
    if time == 0 { observed } else { time }
}

#[inline]
fn take_fixed64(rest: &mut &[u8], number: u32) -> u64 {
    match rest.split_first_chunk::<9>() {
        Some(([first, value @ ..], behind)) if *first == key(number, FIXED64) => {
            *rest = behind;
            u64::from_le_bytes(*value)
        }
        _ => 0,
    }
}

/// Takes the fields of which a record can have those of another.
fn take_common<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = *rest;
    let mut fields = Fields::new(start);
    loop {
        let before = fields.rest();
        let is_own = match fields.next().transpose().ok()? {
            Some(field) => matches!(
                field.number,
                log_record::TIME
                    | log_record::OBSERVED_TIME
                    | log_record::TRACE_ID
                    | log_record::SPAN_ID
                    | log_record::BODY
            ),
            None => true,
        };
        if is_own {
            *rest = before;
            return start.get(..start.len() - before.len());
        }
    }
}

#[inline]
fn take_same(rest: &mut &[u8], known: &[u8]) -> Option<()> {
    let (same, behind) = rest.split_at_checked(known.len())?;
    *rest = behind;
    is_same(same, known).then_some(())
}

/// Takes an id; one of zeros is none.
#[inline]
fn take_id<'a, const N: usize>(rest: &mut &'a [u8], number: u32) -> Option<&'a [u8; N]> {
    let (head, behind) = rest.split_first_chunk()?;
    let (id, behind) = behind.split_first_chunk()?;
    if *head != [key(number, LEN), u8::try_from(N).unwrap_or_default()] || *id == [0; N] {
        return None;
    }
    *rest = behind;
    Some(id)
}

/// The text of a body that is one and stands next.
#[inline]
fn take_body(rest: &[u8]) -> Option<&[u8]> {
    let value = take_delimited(rest, log_record::BODY)?.0;
    take_delimited(value, any_value::STRING).filter(|(_, behind)| behind.is_empty()).map(|(text, _)| text)
}

/// The inside of the next field, and what is behind it.
#[inline]
fn take_delimited(field: &[u8], number: u32) -> Option<(&[u8], &[u8])> {
    let (first, mut rest) = field.split_first()?;
    if *first != key(number, LEN) {
        return None;
    }
    let inside = delimited(&mut rest).ok()?;
    Some((inside, rest))
}
