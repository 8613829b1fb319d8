//! The entries of a batch as they will stand in `logproto.PushRequest`s: ordered by tenant, stream and time, cut into
//! pushes. A line that is a record's body stays where it is, in the batch, until it is compressed.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use pipeline::buffers::Buffers;
use pipeline::net::compress::snappy::{BLOCK, Blocks};
use pipeline::otlp::wire::varint_len;
use pipeline::otlp::write::{Writer, field_len};

use super::newest;
use crate::requests::Cut;

/// `logproto.PushRequest` and `logproto.StreamAdapter`.
mod fields {
    pub const STREAMS: u32 = 1;
    pub const LABELS: u32 = 1;
    pub const ENTRIES: u32 = 2;
    /// `logproto.EntryAdapter`.
    pub const TIMESTAMP: u32 = 1;
    pub const LINE: u32 = 2;
    /// `google.protobuf.Timestamp`.
    pub const SECONDS: u32 = 1;
    pub const NANOS: u32 = 2;
}

/// Bytes that a stream takes in a push beside its labels and entries: keys and lengths.
const STREAM_OVERHEAD: usize = 16;
/// Room for what is about to be compressed: a block, and an entry of the usual size that goes beyond it.
const ROOM: usize = BLOCK + (16 << 10);

/// A stream of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(usize);

/// Entries by stream.
#[derive(Default)]
pub struct Streams<'a> {
    tenants: Vec<String>,
    streams: Vec<Stream>,
    known: HashMap<(usize, String), StreamId>,
    label_bytes: usize,
    entry_bytes: usize,
    /// What entries have beside bodies: structured metadata, and lines that were made.
    written: Writer,
    /// As they came.
    entries: Vec<Entry<'a>>,
    /// The places of all of them in that, once they are in order.
    order: Vec<u32>,
}

struct Stream {
    tenant: usize,
    key: u64,
    labels: String,
    /// The places of its entries, as they came.
    entries: Vec<u32>,
}

/// A place in what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

/// A place in what was written, of which there is not much more than `MOST_BYTES` of the conversion.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The text of an entry.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// Out of a record's body.
    Body(&'a str),
    /// Made of the record.
    Written(Span),
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    stream: u32,
    /// Nanoseconds since 1970.
    time: u64,
    line: Line<'a>,
    /// Fields of an `EntryAdapter`: the ids, and what else there is.
    metadata: [Span; 2],
    /// Bytes of the `EntryAdapter`.
    bytes: u32,
    /// Whether it is the first piece of a record.
    is_first: bool,
}

/// One request.
#[derive(Debug)]
pub struct Push {
    /// The serialized `PushRequest` as a snappy block.
    pub body: io::Result<Bytes>,
    /// How large it was before.
    pub bytes: usize,
    /// Whose entries these are; empty for the config's own tenant.
    pub tenant: String,
    /// Labels of its streams with the records in them.
    pub streams: Vec<(String, usize)>,
}

impl Span {
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
                Line::Written(Span { start: start + place(part.start), end: start + place(part.end) })
            }
        }
    }

    fn len(self) -> usize {
        match self {
            Line::Body(text) => text.len(),
            Line::Written(span) => span.len(),
        }
    }
}

impl<'a> Streams<'a> {
    /// None, with a buffer to write into and room for so many entries.
    pub fn onto(buffer: Vec<u8>, entries: usize) -> Streams<'a> {
        Streams { written: Writer::onto(buffer), entries: Vec::with_capacity(entries), ..Streams::default() }
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.written.into_vec()
    }

    /// The stream of these labels and tenant.
    pub fn stream(&mut self, tenant: &str, labels: String) -> StreamId {
        let tenant = self.tenants.iter().position(|t| t == tenant).unwrap_or_else(|| {
            self.tenants.push(tenant.to_owned());
            self.tenants.len() - 1
        });
        *self.known.entry((tenant, labels)).or_insert_with_key(|(tenant, labels)| {
            // Once here and once in the table.
            self.label_bytes += labels.len() * 2;
            let key = newest::key(&self.tenants[*tenant], labels);
            self.streams.push(Stream { tenant: *tenant, key, labels: labels.clone(), entries: Vec::new() });
            StreamId(self.streams.len() - 1)
        })
    }

    /// What stream that is, for [`newest::Times`].
    pub fn key(&self, stream: StreamId) -> u64 {
        self.streams[stream.0].key
    }

    /// The newest entry of each stream, by its key, once they are in order.
    pub fn newest(&self) -> impl Iterator<Item = (u64, u64)> {
        let newest = |stream: &Stream| stream.entries.last().map(|at| (stream.key, self.entry(*at).time));
        self.streams.iter().filter_map(newest)
    }

    fn entry(&self, at: u32) -> &Entry<'a> {
        &self.entries[at as usize]
    }

    /// Bytes of all entries and labels as they will be sent.
    pub fn byte_len(&self) -> usize {
        self.entry_bytes + self.label_bytes
    }

    /// Keeps what `write` writes, to be referred to.
    pub fn write(&mut self, write: impl FnOnce(&mut Writer)) -> Span {
        let start = place(self.written.len());
        write(&mut self.written);
        Span { start, end: place(self.written.len()) }
    }

    /// Keeps a line that `write` writes.
    pub fn written(&mut self, write: impl FnOnce(&mut Writer)) -> Line<'a> {
        Line::Written(self.write(write))
    }

    /// Adds an entry with its encoded structured metadata; a record that was cut has several, of which one is the first.
    pub fn push(&mut self, stream: StreamId, time: u64, is_first: bool, line: Line<'a>, metadata: [Span; 2]) {
        self.entry_bytes += line.len() + metadata[0].len() + metadata[1].len();
        self.streams[stream.0].entries.push(place(self.entries.len()));
        self.entries.push(Entry { stream: place(stream.0), time, line, metadata, bytes: 0, is_first });
    }

    /// Orders what was pushed; moves entries of a stream with the same time apart if that is asked for.
    pub fn order(&mut self, unique_timestamps: bool) {
        for Stream { entries: places, .. } in &mut self.streams {
            let time = |at: &u32| self.entries[*at as usize].time;
            if !places.is_sorted_by_key(time) {
                places.sort_by_key(time);
            }
            let mut least = 0;
            for at in places {
                let entry = &mut self.entries[*at as usize];
                if unique_timestamps {
                    entry.time = entry.time.max(least);
                    least = entry.time.saturating_add(1);
                }
                entry.measure();
            }
        }
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_by_key(|stream| stream.tenant);
        self.order = streams.into_iter().flat_map(|stream| &stream.entries).copied().collect();
    }

    /// The next push of the entries from number `from` on: at most `most` entries and `most_bytes` bytes, of one tenant; at
    /// least one entry, however large it is.
    pub fn cut(&self, from: usize, most: usize, most_bytes: usize, buffers: &Buffers) -> Option<Cut<Push>> {
        let order = self.order.get(from..).filter(|rest| !rest.is_empty())?;
        let taken = self.fitting(order, most, most_bytes);
        let order = &order[..taken];
        let stream = |at: u32| &self.streams[self.entry(at).stream as usize];
        // Lengths stand ahead of what they are of, the one of everything at the very front.
        let runs: Vec<_> = order
            .chunk_by(|a, b| self.entry(*a).stream == self.entry(*b).stream)
            .map(|run| {
                let bytes =
                    run.iter().map(|at| field_len(fields::ENTRIES, self.entry(*at).bytes as usize)).sum::<usize>();
                let labels = stream(run[0]).labels.as_str();
                (run, labels, field_len(fields::LABELS, labels.len()) + bytes)
            })
            .collect();
        let bytes = runs.iter().map(|(_, _, bytes)| field_len(fields::STREAMS, *bytes)).sum();
        let mut out = Compressed { blocks: Blocks::new(bytes), open: Writer::onto(buffers.take(ROOM)) };
        for (run, labels, bytes) in &runs {
            out.open.header(fields::STREAMS, *bytes);
            out.open.text(fields::LABELS, labels);
            for at in *run {
                self.write_entry(&mut out.open, self.entry(*at));
                out.shift();
            }
        }
        let records = |run: &[u32]| run.iter().filter(|at| self.entry(**at).is_first).count();
        let streams: Vec<_> = runs.iter().map(|(run, labels, _)| ((*labels).to_owned(), records(run))).collect();
        let items = streams.iter().map(|(_, records)| records).sum();
        let tenant = self.tenants[stream(order[0]).tenant].clone();
        Some(Cut { request: Push { body: out.finish(buffers), bytes, tenant, streams }, entries: taken, items })
    }

    fn fitting(&self, order: &[u32], most: usize, most_bytes: usize) -> usize {
        let mut bytes = 0;
        let mut last = None;
        let tenant = |entry: &Entry<'_>| self.streams[entry.stream as usize].tenant;
        let fits = |at: &&u32| {
            let entry = self.entry(**at);
            bytes += entry.inside_len() + STREAM_OVERHEAD;
            if last.replace(entry.stream) != Some(entry.stream) {
                bytes += self.streams[entry.stream as usize].labels.len() + STREAM_OVERHEAD;
            }
            bytes <= most_bytes && tenant(entry) == tenant(self.entry(order[0]))
        };
        order.iter().take(most).take_while(fits).count().max(1)
    }

    fn write_entry(&self, out: &mut Writer, entry: &Entry<'_>) {
        let (seconds, nanos) = entry.timestamp();
        out.header(fields::ENTRIES, entry.bytes as usize);
        out.header(fields::TIMESTAMP, timestamp_len(seconds, nanos));
        out.varint(fields::SECONDS, seconds);
        out.varint(fields::NANOS, nanos);
        match entry.line {
            Line::Body(text) => out.text(fields::LINE, text),
            Line::Written(span) => out.bytes(fields::LINE, self.at(span)),
        }
        entry.metadata.iter().for_each(|span| out.raw(self.at(*span)));
    }

    fn at(&self, span: Span) -> &[u8] {
        &self.written.as_slice()[span.range()]
    }
}

impl Entry<'_> {
    /// Seconds and nanoseconds.
    fn timestamp(&self) -> (u64, u64) {
        (self.time / 1_000_000_000, self.time % 1_000_000_000)
    }

    /// Bytes of the line and what stands behind it in the `EntryAdapter`.
    fn inside_len(&self) -> usize {
        field_len(fields::LINE, self.line.len()) + self.metadata[0].len() + self.metadata[1].len()
    }

    /// Fills in its bytes.
    fn measure(&mut self) {
        let (seconds, nanos) = self.timestamp();
        self.bytes = place(field_len(fields::TIMESTAMP, timestamp_len(seconds, nanos)) + self.inside_len());
    }
}

/// Bytes of a `Timestamp`.
fn timestamp_len(seconds: u64, nanos: u64) -> usize {
    2 + varint_len(seconds) + varint_len(nanos)
}

/// A body on its way through the compressor.
struct Compressed {
    blocks: io::Result<Blocks>,
    /// What is too little for a block.
    open: Writer,
}

impl Compressed {
    /// Compresses what is enough by now.
    fn shift(&mut self) {
        if self.open.len() < BLOCK {
            return;
        }
        let mut bytes = std::mem::take(&mut self.open).into_vec();
        if let Ok(blocks) = &mut self.blocks
            && let Err(error) = blocks.take(&mut bytes)
        {
            self.blocks = Err(error);
        }
        self.open = Writer::onto(bytes);
    }

    fn finish(self, buffers: &Buffers) -> io::Result<Bytes> {
        let body = self.blocks.and_then(|blocks| blocks.finish(self.open.as_slice()));
        buffers.keep(self.open.into_vec());
        Ok(Bytes::from(body?))
    }
}
