//! What the series of a batch are put together of in 1.0: the labels of points, serialized, and those that series have
//! beside them. Each stands here once, however many series have it.

use std::ops::Range;

use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;

use super::encoded::write_label;

/// No label.
pub(super) const NONE: u32 = u32::MAX;

/// Labels that several series have, in their order, with room for a name and for one label more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    start: u32,
    len: u32,
    name_at: u32,
    extra_at: u32,
}

impl Set {
    /// Bytes of its labels.
    #[inline]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Where the name belongs, from its start on.
    #[inline]
    pub fn name_at(self) -> usize {
        self.name_at as usize
    }

    /// Where the label more belongs, from its start on; not before the name.
    #[inline]
    pub fn extra_at(self) -> usize {
        self.extra_at as usize
    }
}

/// All of them.
#[derive(Default)]
pub struct Pieces {
    bytes: Writer,
    sets: Vec<Set>,
    own: Vec<Range<u32>>,
}

impl Pieces {
    /// Forgets everything but the allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sets.clear();
        self.own.clear();
    }

    /// Bytes of everything.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was written from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Where labels are written.
    #[inline]
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.bytes
    }

    /// Makes a set of the labels that were written from `start` on, from where the other places count; answers its
    /// number.
    #[inline]
    pub fn add_set(&mut self, start: usize, name_at: usize, extra_at: usize) -> u32 {
        let (len, extra_at) = (place(self.bytes.len() - start), place(extra_at.max(name_at)));
        self.sets.push(Set { start: place(start), len, name_at: place(name_at), extra_at });
        place(self.sets.len() - 1)
    }

    /// The set of that number.
    #[inline]
    pub fn set(&self, number: u32) -> Set {
        self.sets[number as usize]
    }

    /// A set's labels.
    #[inline]
    pub fn labels(&self, set: Set) -> &[u8] {
        &self.bytes.as_slice()[set.start as usize..][..set.len as usize]
    }

    /// Everything from there on.
    pub fn from(&self, start: usize) -> &[u8] {
        &self.bytes.as_slice()[start..]
    }

    /// Where a set's labels begin.
    #[inline]
    pub fn start(set: Set) -> usize {
        set.start as usize
    }

    /// Adds a label that series have of their own; answers its number.
    pub fn add_own(&mut self, name: &str, value: &str) -> u32 {
        let start = place(self.bytes.len());
        write_label(&mut self.bytes, name, value);
        self.own.push(start..place(self.bytes.len()));
        place(self.own.len() - 1)
    }

    /// Such a label; nothing for [`NONE`].
    #[inline]
    pub fn own(&self, number: u32) -> &[u8] {
        match self.own.get(number as usize) {
            Some(range) => &self.bytes.as_slice()[range.start as usize..range.end as usize],
            None => &[],
        }
    }
}

/// The length of the label that begins here, its key included; all that is left where none does.
#[inline]
pub(super) fn label_len(labels: &[u8]) -> usize {
    match labels {
        [_, len @ 0..0x80, ..] => (2 + usize::from(*len)).min(labels.len()),
        _ => Fields::new(labels).next().and_then(Result::ok).map_or(labels.len(), |field| field.raw.len()),
    }
}

/// Places in what a batch became, which is less than 4 GiB.
pub(super) fn place(at: usize) -> u32 {
    u32::try_from(at).expect("a batch is bounded far below 4 GiB")
}

/// How many bytes are equal at the start.
#[inline]
pub(super) fn common_start(a: &[u8], b: &[u8]) -> usize {
    let (words, others) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (number, (word, other)) in words.iter().zip(others).enumerate() {
        let differs = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differs != 0 {
            return number * 8 + differs.trailing_zeros() as usize / 8;
        }
    }
    let start = words.len().min(others.len()) * 8;
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

/// How many bytes are equal at the end.
#[inline]
pub(super) fn common_end(a: &[u8], b: &[u8]) -> usize {
    let (words, others) = (a.as_rchunks::<8>().1, b.as_rchunks::<8>().1);
    for (number, (word, other)) in words.iter().rev().zip(others.iter().rev()).enumerate() {
        let differs = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differs != 0 {
            return number * 8 + differs.leading_zeros() as usize / 8;
        }
    }
    let end = words.len().min(others.len()) * 8;
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    end + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}
