//! The form of a record on disk, all numbers little-endian: magic, CRC-32 of everything behind it, and then length,
//! kind, number, time in milliseconds, items before it, its items, the note's length; then the note and the body.

use std::time::Duration;

use bytes::Bytes;
use crc32fast::Hasher;

use super::Record;
use crate::batch::Parts;

/// What every record begins with; the last byte is the version of this form.
pub(super) const MAGIC: [u8; 4] = *b"SLJ\x01";
/// Bytes before a record's note.
pub(super) const HEADER: usize = 48;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Data.
    Data = 1,
    /// Its body names ranges of numbers that are done with; it has itself no number.
    Done = 2,
}

/// What stands before a record's note and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    crc: u32,
    /// Bytes of note and body.
    pub(super) len: u32,
    pub(super) kind: Kind,
    pub(super) number: u64,
    at_millis: u64,
    /// The items of all records before it.
    pub(super) items_before: u64,
    pub(super) items: u32,
    note_len: u32,
}

impl Header {
    /// The header of a record that is to be written.
    pub(super) fn of(kind: Kind, number: u64, items_before: u64, record: &Record) -> Option<Header> {
        let body: usize = record.body.iter().map(Bytes::len).sum();
        let mut header = Header {
            crc: 0,
            len: u32::try_from(record.note.len() + body).ok()?,
            kind,
            number,
            at_millis: u64::try_from(record.at.as_millis()).unwrap_or(u64::MAX),
            items_before,
            items: u32::try_from(record.items).ok()?,
            note_len: u32::try_from(record.note.len()).ok()?,
        };
        let mut crc = Hasher::new();
        crc.update(&header.bytes()[8..]);
        crc.update(&record.note);
        record.body.iter().for_each(|part| crc.update(part));
        header.crc = crc.finalize();
        Some(header)
    }

    /// Reads a header; `None` where none can be.
    pub(super) fn parse(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        let kind = match four(12) {
            1 => Kind::Data,
            2 => Kind::Done,
            _ => return None,
        };
        let header = Header {
            crc: four(4),
            len: four(8),
            kind,
            number: eight(16),
            at_millis: eight(24),
            items_before: eight(32),
            items: four(40),
            note_len: four(44),
        };
        (bytes[..4] == MAGIC && header.note_len <= header.len).then_some(header)
    }

    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.crc.to_le_bytes());
        out[8..12].copy_from_slice(&self.len.to_le_bytes());
        out[12..16].copy_from_slice(&(self.kind as u32).to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.at_millis.to_le_bytes());
        out[32..40].copy_from_slice(&self.items_before.to_le_bytes());
        out[40..44].copy_from_slice(&self.items.to_le_bytes());
        out[44..48].copy_from_slice(&self.note_len.to_le_bytes());
        out
    }

    /// Bytes of the whole record.
    pub(super) fn record_len(&self) -> u64 {
        HEADER as u64 + u64::from(self.len)
    }

    /// When the record was made.
    pub(super) fn at(&self) -> Duration {
        Duration::from_millis(self.at_millis)
    }

    /// The record with that note and body behind it; `None` when they are not what was written.
    pub(super) fn record(&self, content: &Bytes) -> Option<Record> {
        let mut crc = Hasher::new();
        crc.update(&self.bytes()[8..]);
        crc.update(content);
        if content.len() != self.len as usize || crc.finalize() != self.crc {
            return None;
        }
        let note = content.slice(..self.note_len as usize);
        let body = Parts::from_iter([content.slice(self.note_len as usize..)]);
        Some(Record { at: self.at(), items: self.items as usize, note, body })
    }
}

/// The body that says that these are done with.
pub(super) fn done(ranges: &[(u64, u64)]) -> Record {
    let bytes: Vec<u8> = ranges.iter().flat_map(|(a, b)| [a.to_le_bytes(), b.to_le_bytes()]).flatten().collect();
    Record { body: Parts::from_iter([Bytes::from(bytes)]), ..Record::default() }
}

/// What such a body says.
pub(super) fn ranges(record: &Record) -> impl Iterator<Item = (u64, u64)> {
    let eight = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let body = record.body.first().cloned().unwrap_or_default();
    (0..body.len() / 16).map(move |i| (eight(&body[16 * i..16 * i + 8]), eight(&body[16 * i + 8..16 * i + 16])))
}
