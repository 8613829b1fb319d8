//! The entries of a batch as they will stand in `logproto.PushRequest`s: encoded once, ordered by tenant, stream and time,
//! cut into pushes.

use std::collections::HashMap;

use bytes::Bytes;
use pipeline::buffers::Buffers;
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

/// A stream of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(usize);

/// Encoded entries by stream.
#[derive(Default)]
pub struct Streams {
    tenants: Vec<String>,
    streams: Vec<Stream>,
    known: HashMap<(usize, String), StreamId>,
    label_bytes: usize,
    bytes: Writer,
    entries: Vec<Entry>,
}

struct Stream {
    tenant: usize,
    key: u64,
    labels: String,
}

#[derive(Clone, Copy)]
struct Entry {
    tenant: usize,
    stream: usize,
    /// Nanoseconds since 1970.
    time: u64,
    /// The line and what stands behind it in the `EntryAdapter`.
    start: usize,
    end: usize,
    /// 1 for the first piece of a record, else 0.
    items: usize,
}

/// One request.
#[derive(Debug)]
pub struct Push {
    /// The serialized `PushRequest`.
    pub body: Bytes,
    /// Whose entries these are; empty for the config's own tenant.
    pub tenant: String,
    /// Labels of its streams with the records in them.
    pub streams: Vec<(String, usize)>,
}

impl Streams {
    /// None, to be written into a buffer, with room for so many entries.
    pub fn onto(buffer: Vec<u8>, entries: usize) -> Streams {
        Streams { bytes: Writer::onto(buffer), entries: Vec::with_capacity(entries), ..Streams::default() }
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes.into_vec()
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
            self.streams.push(Stream { tenant: *tenant, key, labels: labels.clone() });
            StreamId(self.streams.len() - 1)
        })
    }

    /// What stream that is, for [`newest::Times`].
    pub fn key(&self, stream: StreamId) -> u64 {
        self.streams[stream.0].key
    }

    /// The newest entry of each stream, by its key.
    pub fn newest(&self) -> impl Iterator<Item = (u64, u64)> {
        self.entries.iter().map(|entry| (self.streams[entry.stream].key, entry.time))
    }

    /// Bytes of all entries and labels.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.label_bytes
    }

    /// Adds an entry with its encoded structured metadata; `items` is 1 for the first entry of a record.
    pub fn push(&mut self, stream: StreamId, time: u64, items: usize, line: &str, metadata: &[u8]) {
        let start = self.bytes.len();
        self.bytes.text(fields::LINE, line);
        self.bytes.raw(metadata);
        let (tenant, end) = (self.streams[stream.0].tenant, self.bytes.len());
        self.entries.push(Entry { tenant, stream: stream.0, time, start, end, items });
    }

    /// Orders what was pushed; moves entries of a stream with the same time apart if that is asked for.
    pub fn order(&mut self, unique_timestamps: bool) {
        let key = |e: &Entry| (e.tenant, e.stream, e.time);
        if !self.entries.is_sorted_by_key(key) {
            self.entries.sort_by_key(key);
        }
        if unique_timestamps {
            for i in 1..self.entries.len() {
                let before = self.entries[i - 1];
                let entry = &mut self.entries[i];
                if entry.stream == before.stream && entry.time <= before.time {
                    entry.time = before.time + 1;
                }
            }
        }
    }

    /// The next push of the entries from number `from` on: at most `most` entries and `most_bytes` bytes, of one tenant; at
    /// least one entry, however large it is.
    pub fn cut(&self, from: usize, most: usize, most_bytes: usize, buffers: &Buffers) -> Option<Cut<Push>> {
        let entries = self.entries.get(from..).filter(|rest| !rest.is_empty())?;
        let taken = self.fitting(entries, most, most_bytes);
        let entries = &entries[..taken];
        let bytes = entries.iter().map(|e| e.end - e.start + STREAM_OVERHEAD).sum();
        let mut out = Writer::onto(buffers.take(bytes));
        let mut streams = Vec::new();
        for run in entries.chunk_by(|a, b| a.stream == b.stream) {
            let labels = &self.streams[run[0].stream].labels;
            streams.push((labels.clone(), run.iter().map(|e| e.items).sum()));
            // Written with its length ahead, so that nothing has to be moved.
            let entries = run.iter().map(|entry| field_len(fields::ENTRIES, entry.len())).sum::<usize>();
            out.header(fields::STREAMS, field_len(fields::LABELS, labels.len()) + entries);
            out.text(fields::LABELS, labels);
            run.iter().for_each(|entry| self.write_entry(&mut out, entry));
        }
        let items = entries.iter().map(|e| e.items).sum();
        let tenant = self.tenants[entries[0].tenant].clone();
        Some(Cut { request: Push { body: buffers.lend(out.into_vec()), tenant, streams }, entries: taken, items })
    }

    fn fitting(&self, entries: &[Entry], most: usize, most_bytes: usize) -> usize {
        let mut bytes = 0;
        let mut stream = None;
        let fits = |entry: &&Entry| {
            bytes += entry.end - entry.start + STREAM_OVERHEAD;
            if stream.replace(entry.stream) != Some(entry.stream) {
                bytes += self.streams[entry.stream].labels.len() + STREAM_OVERHEAD;
            }
            bytes <= most_bytes && entry.tenant == entries[0].tenant
        };
        entries.iter().take(most).take_while(fits).count().max(1)
    }

    fn write_entry(&self, out: &mut Writer, entry: &Entry) {
        let (seconds, nanos) = entry.timestamp();
        out.header(fields::ENTRIES, entry.len());
        out.header(fields::TIMESTAMP, timestamp_len(seconds, nanos));
        out.varint(fields::SECONDS, seconds);
        out.varint(fields::NANOS, nanos);
        out.raw(&self.bytes.as_slice()[entry.start..entry.end]);
    }
}

impl Entry {
    /// Seconds and nanoseconds.
    fn timestamp(&self) -> (u64, u64) {
        (self.time / 1_000_000_000, self.time % 1_000_000_000)
    }

    /// Bytes of the `EntryAdapter`.
    fn len(&self) -> usize {
        let (seconds, nanos) = self.timestamp();
        field_len(fields::TIMESTAMP, timestamp_len(seconds, nanos)) + self.end - self.start
    }
}

/// Bytes of a `Timestamp`.
fn timestamp_len(seconds: u64, nanos: u64) -> usize {
    2 + varint_len(seconds) + varint_len(nanos)
}
