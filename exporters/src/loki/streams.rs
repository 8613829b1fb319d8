//! The entries of a batch as they will stand in `logproto.PushRequest`s: ordered by tenant, stream and time, cut into
//! pushes. A line that is a record's body stays where it is, in the batch, until it is compressed.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use pipeline::buffers::Buffers;
use pipeline::net::compress::snappy::records::{ROOM, Records};
use pipeline::otlp::write::{Writer, field_len};

use super::entry::{Entry, Line, Span};
use super::newest;
use crate::requests::Cut;

/// `logproto.PushRequest` and `logproto.StreamAdapter`.
mod fields {
    pub const STREAMS: u32 = 1;
    pub const LABELS: u32 = 1;
}

/// The most bytes that a stream takes in a push beside its labels and entries: keys and lengths.
const STREAM_OVERHEAD: usize = 16;

/// A stream of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(usize);

/// Entries by stream.
#[derive(Default)]
pub struct Streams<'a> {
    tenants: Vec<String>,
    streams: Vec<Stream<'a>>,
    known: HashMap<(usize, String), StreamId>,
    /// Entries for which the first stream has room.
    room: usize,
    label_bytes: usize,
    entry_bytes: usize,
    /// What entries have beside bodies and ids: structured metadata, and lines that were made.
    written: Writer,
    /// The streams with entries by tenant, once they are in order, each with the number of its first entry among all.
    order: Vec<(StreamId, usize)>,
}

struct Stream<'a> {
    tenant: usize,
    key: u64,
    labels: String,
    entries: Vec<Entry<'a>>,
    /// The time of the last entry, while each is at or behind the one before.
    sorted_until: Option<u64>,
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

impl<'a> Streams<'a> {
    /// None, with a buffer to write into and room for so many entries.
    pub fn onto(buffer: Vec<u8>, room: usize) -> Streams<'a> {
        Streams { written: Writer::onto(buffer), room, ..Streams::default() }
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
            let entries = Vec::with_capacity(std::mem::take(&mut self.room));
            self.streams.push(Stream { tenant: *tenant, key, labels: labels.clone(), entries, sorted_until: Some(0) });
            StreamId(self.streams.len() - 1)
        })
    }

    /// What stream that is, for [`newest::Times`].
    pub fn key(&self, stream: StreamId) -> u64 {
        self.streams[stream.0].key
    }

    /// The newest entry of each stream, by its key, once they are in order.
    pub fn newest(&self) -> impl Iterator<Item = (u64, u64)> {
        self.streams.iter().filter_map(|stream| stream.entries.last().map(|entry| (stream.key, entry.time())))
    }

    /// Bytes of all entries and labels as they will be sent.
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.entry_bytes + self.label_bytes
    }

    /// Keeps what `write` writes, to be referred to.
    pub fn write(&mut self, write: impl FnOnce(&mut Writer)) -> Span {
        let start = self.written.len();
        write(&mut self.written);
        Span::new(start..self.written.len())
    }

    /// Keeps a line that `write` writes.
    pub fn written(&mut self, write: impl FnOnce(&mut Writer)) -> Line<'a> {
        Line::Written(self.write(write))
    }

    /// Adds an entry.
    #[inline]
    pub fn push(&mut self, stream: StreamId, entry: Entry<'a>) {
        self.entry_bytes += entry.field_len();
        let stream = &mut self.streams[stream.0];
        stream.sorted_until = stream.sorted_until.filter(|last| *last <= entry.time()).map(|_| entry.time());
        stream.entries.push(entry);
    }

    /// Orders what was pushed; moves entries of a stream with the same time apart if that is asked for.
    pub fn order(&mut self, unique_timestamps: bool) {
        self.streams.iter_mut().for_each(|stream| stream.order(unique_timestamps));
        let with_entries = self.streams.iter().enumerate().filter(|(_, stream)| !stream.entries.is_empty());
        self.order = with_entries.map(|(number, _)| (StreamId(number), 0)).collect();
        self.order.sort_by_key(|(id, _)| self.streams[id.0].tenant);
        let mut before = 0;
        for (id, first) in &mut self.order {
            *first = before;
            before += self.streams[id.0].entries.len();
        }
    }

    /// The next push of the entries from number `from` on: at most `most` entries and `most_bytes` bytes, of one tenant; at
    /// least one entry, however large it is.
    pub fn cut(&self, from: usize, most: usize, most_bytes: usize, buffers: &Buffers) -> Option<Cut<Push>> {
        let runs = self.runs(from, most, most_bytes);
        let tenant = self.tenants[runs.first()?.stream.tenant].clone();
        // Lengths stand ahead of what they are of, the one of everything at the very front.
        let bytes = runs.iter().map(|run| field_len(fields::STREAMS, run.bytes)).sum();
        let mut out = Records::new(bytes, buffers.take(ROOM));
        for run in &runs {
            let w = out.writer();
            w.header(fields::STREAMS, run.bytes);
            w.text(fields::LABELS, &run.stream.labels);
            for entry in run.entries {
                let line = entry.write(self.written.as_slice(), out.writer());
                out.end(line);
            }
        }
        let (body, buffer) = out.finish();
        buffers.keep(buffer);
        let entries = runs.iter().map(|run| run.entries.len()).sum();
        let items = runs.iter().map(|run| run.records).sum();
        let streams = runs.iter().map(|run| (run.stream.labels.clone(), run.records)).collect();
        Some(Cut { request: Push { body: body.map(Bytes::from), bytes, tenant, streams }, entries, items })
    }

    /// What a push from entry number `from` on has of each stream.
    fn runs(&self, from: usize, most: usize, most_bytes: usize) -> Vec<Run<'_, 'a>> {
        let mut runs: Vec<Run<'_, 'a>> = Vec::new();
        let (mut taken, mut bytes) = (0, 0);
        let at = self.order.partition_point(|(_, first)| *first <= from).saturating_sub(1);
        for (id, first) in self.order.iter().skip(at) {
            let stream = &self.streams[id.0];
            let entries = stream.entries.get(from.saturating_sub(*first)..).unwrap_or_default();
            if runs.first().is_some_and(|run| run.stream.tenant != stream.tenant) {
                break;
            }
            bytes += stream.labels.len() + STREAM_OVERHEAD;
            let mut run =
                Run { stream, entries: &[], bytes: field_len(fields::LABELS, stream.labels.len()), records: 0 };
            let mut len = 0;
            for entry in entries {
                let entry_bytes = entry.field_len();
                if taken > 0 && (taken >= most || bytes + entry_bytes > most_bytes) {
                    break;
                }
                (taken, len) = (taken + 1, len + 1);
                bytes += entry_bytes;
                run.bytes += entry_bytes;
                run.records += usize::from(entry.is_first);
            }
            run.entries = &entries[..len];
            if len > 0 {
                runs.push(run);
            }
            if len < entries.len() {
                break;
            }
        }
        runs
    }
}

impl Stream<'_> {
    fn order(&mut self, unique_timestamps: bool) {
        if self.sorted_until.is_none() {
            self.entries.sort_by_key(Entry::time);
        }
        if unique_timestamps {
            let mut least = 0;
            for entry in &mut self.entries {
                if entry.time() < least {
                    *entry = entry.at(least);
                }
                least = entry.time().saturating_add(1);
            }
        }
    }
}

/// Consecutive entries of a stream that go into one push.
struct Run<'s, 'a> {
    stream: &'s Stream<'a>,
    entries: &'s [Entry<'a>],
    /// Bytes of the `StreamAdapter`.
    bytes: usize,
    /// Those that begin in it.
    records: usize,
}
