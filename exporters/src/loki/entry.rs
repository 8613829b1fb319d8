//! One entry of a stream until it is written into a push. What it refers to stays where it is: its line and its ids in the
//! batch, what was made of the record in a buffer beside it.

use std::ops::Range;

use pipeline::otlp::wire::{LEN, VARINT, varint_len};
use pipeline::otlp::write::{Writer, field_len};

use super::ids::Ids;

/// `logproto.StreamAdapter`.
pub const ENTRIES: u32 = 2;
/// `logproto.EntryAdapter`.
const TIMESTAMP: u32 = 1;
const LINE: u32 = 2;
/// `google.protobuf.Timestamp`.
const SECONDS: u32 = 1;
const NANOS: u32 = 2;

/// An entry.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Nanoseconds since 1970.
    time: u64,
    line: Line<'a>,
    ids: Ids<'a>,
    metadata: Span,
    /// Bytes of the `EntryAdapter`.
    bytes: u32,
    /// Whether it is the first piece of a record.
    pub is_first: bool,
}

/// The text of an entry.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// Out of a record's body.
    Body(&'a [u8]),
    /// Made of the record.
    Written(Span),
}

/// A place in what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

/// A number of bytes; of what is written there is not much more than `MOST_BYTES` of the conversion.
fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Span {
    /// That place.
    pub fn new(place: Range<usize>) -> Span {
        Span { start: small(place.start), end: small(place.end) }
    }

    fn len(self) -> usize {
        self.range().len()
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<'a> Line<'a> {
    /// A part of it, as a place in its text.
    #[must_use]
    pub fn part(self, part: Range<usize>) -> Line<'a> {
        match self {
            Line::Body(text) => Line::Body(&text[part]),
            Line::Written(Span { start, .. }) => {
                Line::Written(Span { start: start + small(part.start), end: start + small(part.end) })
            }
        }
    }

    #[inline]
    fn len(self) -> usize {
        match self {
            Line::Body(text) => text.len(),
            Line::Written(span) => span.len(),
        }
    }
}

impl<'a> Entry<'a> {
    /// With a time in nanoseconds since 1970, and with structured metadata: ids, and behind them what was written there as
    /// fields of an `EntryAdapter`. Of a record that was cut, one piece is the first.
    #[inline]
    pub fn new(time: u64, line: Line<'a>, ids: Ids<'a>, metadata: Span, is_first: bool) -> Entry<'a> {
        let bytes = 2 + timestamp_len(time) + field_len(LINE, line.len()) + ids.len() + metadata.len();
        Entry { time, line, ids, metadata, bytes: small(bytes), is_first }
    }

    /// Nanoseconds since 1970.
    #[inline]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The same at another time.
    #[must_use]
    pub fn at(&self, time: u64) -> Entry<'a> {
        Entry::new(time, self.line, self.ids, self.metadata, self.is_first)
    }

    /// Bytes of it as a field of a stream.
    #[inline]
    pub fn field_len(&self) -> usize {
        field_len(ENTRIES, self.bytes as usize)
    }

    /// Writes it as a field of a stream. `written` is what was written beside the batch. Answers where its line begins.
    #[inline]
    pub fn write(&self, written: &[u8], out: &mut Writer) -> usize {
        let line = match self.line {
            Line::Body(text) => text,
            Line::Written(span) => &written[span.range()],
        };
        let (seconds, nanos) = timestamp(self.time);
        let (seconds, nanos) = (Number::new(SECONDS, VARINT, seconds), Number::new(NANOS, VARINT, nanos));
        let mut head = Head::default();
        head.push(Number::new(ENTRIES, LEN, u64::from(self.bytes)));
        head.push(Number::new(TIMESTAMP, LEN, (seconds.len + nanos.len) as u64));
        head.push(seconds);
        head.push(nanos);
        head.push(Number::new(LINE, LEN, line.len() as u64));
        let start = out.len();
        out.raw(&head.bytes);
        out.truncate(start + head.len);
        out.raw(line);
        self.ids.write(out);
        out.raw(&written[self.metadata.range()]);
        start + head.len
    }
}

/// Seconds and nanoseconds.
#[inline]
fn timestamp(time: u64) -> (u64, u64) {
    (time / 1_000_000_000, time % 1_000_000_000)
}

/// Bytes of a `Timestamp`.
#[inline]
fn timestamp_len(time: u64) -> usize {
    let (seconds, nanos) = timestamp(time);
    2 + varint_len(seconds) + varint_len(nanos)
}

/// A key and a number, which is a value or a length, in as many of these bytes, the first the lowest.
#[derive(Clone, Copy)]
struct Number {
    bytes: u64,
    len: usize,
}

impl Number {
    /// The number has at most 35 bits, as seconds have in the farthest future of 64 bits of nanoseconds.
    #[inline]
    fn new(field: u32, wire_type: u32, number: u64) -> Number {
        let (number, len) = match number {
            ..0x80 => (number, 1),
            0x80..0x4000 => (number & 0x7f | 0x80 | (number << 1 & 0x7f00), 2),
            _ => spread(number),
        };
        Number { bytes: number << 8 | u64::from(field << 3 | wire_type), len: 1 + len }
    }
}

/// A number of three to five groups of seven bits: each in a byte of its own, all but the last with the bit that says that it
/// goes on; and how many these are.
#[inline]
fn spread(number: u64) -> (u64, usize) {
    let len = varint_len(number).min(5);
    let pairs = number & 0x3fff | (number << 2 & 0x3fff << 16) | (number << 4 & 0x7f << 32);
    let groups = pairs & 0x7f_007f_007f | (pairs << 1 & 0x7f00_7f00);
    (groups | (0x80_8080_8080 & ((1 << (8 * (len - 1))) - 1)), len)
}

/// What stands before the line of an entry, put together before it is appended all at once.
#[derive(Default)]
struct Head {
    bytes: [u8; Head::ROOM],
    len: usize,
}

impl Head {
    /// For five numbers, one of them of a single byte; each is written with all that could be of it.
    const ROOM: usize = 32;

    #[inline]
    fn push(&mut self, number: Number) {
        if let Some(room) = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) {
            *room = number.bytes.to_le_bytes();
        }
        self.len += number.len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, written number by number.
    fn plain(time: u64, line: &str, metadata: &[u8]) -> Vec<u8> {
        let mut out = Writer::new();
        out.message(ENTRIES, |out| {
            out.message(TIMESTAMP, |out| {
                out.varint(SECONDS, time / 1_000_000_000);
                out.varint(NANOS, time % 1_000_000_000);
            });
            out.text(LINE, line);
            out.raw(metadata);
        });
        out.into_vec()
    }

    #[test]
    fn an_entry_is_written_like_any_message_whatever_its_numbers() {
        let seconds = (0..=34).flat_map(|bits| [(1 << bits) - 1, 1 << bits]).filter(|s| *s <= u64::MAX / 1_000_000_000);
        let lens = [0, 1, 127, 128, 16_383, 16_384, 1 << 21];
        let nanos = [0, 1, 127, 128, 1 << 14, 1 << 21, 1 << 28, 999_999_999];
        let times = seconds.flat_map(|s| nanos.map(|n| (s * 1_000_000_000).saturating_add(n)));
        for (i, time) in times.chain([u64::MAX]).enumerate() {
            let (line, metadata) = ("x".repeat(lens[i % lens.len()]), b"metadata");
            let written = [b"before", line.as_bytes(), metadata].concat();
            let at = 6 + line.len();
            let span = Span::new(at..at + metadata.len());
            for text in [Line::Body(line.as_bytes()), Line::Written(Span::new(6..at))] {
                let entry = Entry::new(0, text, Ids::default(), span, true).at(time);
                let mut out = Writer::new();
                entry.write(&written, &mut out);
                assert!(out.as_slice() == plain(time, &line, metadata), "{time}, {} bytes", line.len());
                assert_eq!(out.len(), entry.field_len());
            }
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry<'_>>() <= 56, "{}", size_of::<Entry<'_>>());
    }
}
