//! Splits a request into complete requests of at most so many items or bytes. Items keep their order, and each part
//! repeats the envelopes (resource, scope, for data points the metric) that its items need. Envelopes without items are
//! left out, unless the request is small enough to stay as it is.

use bytes::Bytes;
use smallvec::SmallVec;

use super::count;
use super::fields::{metric, request, resource_group, scope_group};
use super::place::data_fields;
use super::wire::{Fields, LEN, WireError, write_varint};
use super::write::field_len;
use crate::batch::Signal;

/// Envelopes beyond this size are not repeated for less than a sixteenth of their size in items, even where the limit
/// asks for it, so that a small request cannot be blown up into gigabytes.
const LARGE_ENVELOPE: usize = 64 << 10;

/// Complete requests of at most `max` spans, data points or log records (at least 1), with the number of each.
/// A metric is split between its points where needed.
///
/// # Errors
/// When an envelope is malformed.
pub fn by_items(signal: Signal, request: &Bytes, max: usize) -> Result<Vec<(Bytes, usize)>, WireError> {
    split(signal, request, max.max(1), usize::MAX)
}

/// Complete requests of at most `max` bytes, with the number of items in each. A span, data point or log record that is
/// larger than that together with its envelopes goes alone.
///
/// # Errors
/// When an envelope is malformed.
pub fn by_bytes(signal: Signal, request: &Bytes, max: usize) -> Result<Vec<(Bytes, usize)>, WireError> {
    if request.len() <= max {
        return Ok(whole(request, count::items(signal, request)?));
    }
    split(signal, request, usize::MAX, max)
}

fn whole(request: &Bytes, items: usize) -> Vec<(Bytes, usize)> {
    if request.is_empty() { Vec::new() } else { vec![(request.clone(), items)] }
}

fn split(
    signal: Signal,
    request: &Bytes,
    max_items: usize,
    max_bytes: usize,
) -> Result<Vec<(Bytes, usize)>, WireError> {
    let mut splitter = Splitter {
        input: request,
        max_items,
        max_bytes,
        path: SmallVec::new(),
        pieces: Vec::new(),
        closed: 0,
        items: 0,
        items_bytes: 0,
        parts: Vec::new(),
    };
    for group in messages(request, request::RESOURCES) {
        let (_, group) = group?;
        splitter.open(request::RESOURCES, envelope([group], |n| n == resource_group::SCOPES)?);
        for scope in messages(group, resource_group::SCOPES) {
            let (_, scope) = scope?;
            splitter.open(resource_group::SCOPES, envelope([scope], |n| n == scope_group::ITEMS)?);
            for item in messages(scope, scope_group::ITEMS) {
                let (raw, item) = item?;
                if signal == Signal::Metrics {
                    splitter.metric(raw, item)?;
                } else {
                    splitter.add(raw, 1);
                }
            }
            splitter.close();
        }
        splitter.close();
    }
    if splitter.parts.is_empty() && max_bytes == usize::MAX {
        return Ok(whole(request, splitter.items));
    }
    splitter.finish_part();
    Ok(splitter.parts)
}

/// The occurrences of a message field: as fields, and what is inside.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = Result<(&[u8], &[u8]), WireError>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(field) if field.number != number => None,
        Ok(field) => Some(field.value.bytes().map(|inside| (field.raw, inside))),
        Err(error) => Some(Err(error)),
    })
}

/// The fields of a message (in all its occurrences) that are repeated with every part.
type Envelope<'a> = SmallVec<[&'a [u8]; 3]>;

fn envelope<'a>(
    occurrences: impl IntoIterator<Item = &'a [u8]>,
    is_child: impl Fn(u32) -> bool,
) -> Result<Envelope<'a>, WireError> {
    let mut out = Envelope::new();
    for message in occurrences {
        for field in Fields::new(message) {
            let field = field?;
            if !is_child(field.number) {
                out.push(field.raw);
            }
        }
    }
    Ok(out)
}

struct Splitter<'a> {
    input: &'a [u8],
    max_items: usize,
    max_bytes: usize,
    /// The envelopes around the current item, outermost first.
    path: SmallVec<[Level<'a>; 4]>,
    /// The current part, as far as it is known.
    pieces: Vec<Piece>,
    /// Its bytes in resources that are complete, its items and their bytes.
    closed: usize,
    items: usize,
    items_bytes: usize,
    parts: Vec<(Bytes, usize)>,
}

struct Level<'a> {
    number: u32,
    envelope: Envelope<'a>,
    envelope_len: usize,
    /// Its header among the pieces, once the current part has an item in it.
    header: Option<usize>,
    /// Bytes of what it holds in the current part.
    children: usize,
}

enum Piece {
    /// Key and length of a message.
    Header { number: u32, len: usize },
    /// Bytes of the input.
    Run { at: usize, end: usize },
}

impl<'a> Splitter<'a> {
    fn open(&mut self, number: u32, envelope: Envelope<'a>) {
        let envelope_len = envelope.iter().map(|run| run.len()).sum();
        self.path.push(Level { number, envelope, envelope_len, header: None, children: 0 });
    }

    fn close(&mut self) {
        if let Some(level) = self.path.pop()
            && let Some(header) = level.header
        {
            let len = level.envelope_len + level.children;
            self.pieces[header] = Piece::Header { number: level.number, len };
            let outer = self.path.last_mut().map_or(&mut self.closed, |outer| &mut outer.children);
            *outer += field_len(level.number, len);
        }
    }

    /// Adds a metric, whole if it fits, and else point by point.
    fn metric(&mut self, raw: &'a [u8], inside: &'a [u8]) -> Result<(), WireError> {
        let points = count::points(inside)?;
        if points <= 1 || self.fits(raw.len(), points) {
            self.add(raw, points);
            return Ok(());
        }
        let data = data_fields(inside)?;
        self.open(scope_group::ITEMS, envelope([inside], metric::is_data)?);
        if let Some(first) = data.first() {
            let occurrences = data.iter().filter_map(|d| d.value.bytes().ok());
            self.open(first.number, envelope(occurrences.clone(), |n| n == metric::POINTS)?);
            for points in occurrences {
                for point in messages(points, metric::POINTS) {
                    self.add(point?.0, 1);
                }
            }
            self.close();
        }
        self.close();
        Ok(())
    }

    /// Adds `items` items that stand together in one field.
    fn add(&mut self, field: &'a [u8], items: usize) {
        if self.items_bytes > 0 && !self.fits(field.len(), items) {
            self.finish_part();
        }
        for i in 0..self.path.len() {
            if self.path[i].header.is_none() {
                self.path[i].header = Some(self.pieces.len());
                self.pieces.push(Piece::Header { number: self.path[i].number, len: 0 });
                for j in 0..self.path[i].envelope.len() {
                    self.run(self.path[i].envelope[j]);
                }
            }
        }
        self.run(field);
        if let Some(level) = self.path.last_mut() {
            level.children += field.len();
        }
        self.items += items;
        self.items_bytes += field.len();
    }

    fn run(&mut self, bytes: &'a [u8]) {
        let from = bytes.as_ptr().addr() - self.input.as_ptr().addr();
        match self.pieces.last_mut() {
            Some(Piece::Run { end, .. }) if *end == from => *end += bytes.len(),
            _ => self.pieces.push(Piece::Run { at: from, end: from + bytes.len() }),
        }
    }

    /// Whether the current part may take so many more bytes and items at this place.
    fn fits(&self, bytes: usize, items: usize) -> bool {
        if self.items + items <= self.max_items && self.len_with(bytes) <= self.max_bytes {
            return true;
        }
        let envelopes: usize = self.path.iter().map(|level| level.envelope_len).sum();
        envelopes > LARGE_ENVELOPE && self.items_bytes < envelopes / 16
    }

    /// The length of the current part with so many more bytes at this place.
    fn len_with(&self, bytes: usize) -> usize {
        let inside = |inside, level: &Level<'_>| field_len(level.number, level.envelope_len + level.children + inside);
        self.closed + self.path.iter().rev().fold(bytes, inside)
    }

    /// Writes the current part and begins the next at the same place.
    fn finish_part(&mut self) {
        let mut inner = 0;
        for level in self.path.iter_mut().rev() {
            level.children += inner;
            inner = 0;
            if let Some(header) = level.header.take() {
                let len = level.envelope_len + level.children;
                self.pieces[header] = Piece::Header { number: level.number, len };
                inner = field_len(level.number, len);
            }
            level.children = 0;
        }
        let mut out = Vec::with_capacity(self.closed + inner);
        for piece in self.pieces.drain(..) {
            match piece {
                Piece::Header { number, len } => {
                    write_varint(&mut out, u64::from(number << 3 | LEN));
                    write_varint(&mut out, len as u64);
                }
                Piece::Run { at, end } => out.extend_from_slice(&self.input[at..end]),
            }
        }
        if !out.is_empty() {
            self.parts.push((Bytes::from(out), self.items));
        }
        (self.closed, self.items, self.items_bytes) = (0, 0, 0);
    }
}
