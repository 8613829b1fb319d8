//! Measures batches and cuts them to a size, along request boundaries where that is enough.

use bytes::Bytes;
use smallvec::SmallVec;

use super::Sizer;
use crate::batch::{Batch, Parts};
use crate::otlp::{WireError, count, split};

/// What a batch counts in that unit.
pub(super) fn size(batch: &Batch, unit: Sizer) -> usize {
    match unit {
        Sizer::Requests => 1,
        Sizer::Items => batch.items(),
        Sizer::Bytes => batch.byte_len(),
    }
}

/// The batch in pieces of at most `most` (at least 1) of that unit; a single item that is larger goes alone, and so does
/// a request that cannot be read. What is known of the sender is kept.
pub(super) fn pieces(batch: Batch, unit: Sizer, most: usize) -> SmallVec<[Batch; 1]> {
    let most = most.max(1);
    if size(&batch, unit) <= most || unit == Sizer::Requests {
        return SmallVec::from_iter([batch]);
    }
    let mut cutter = Cutter { like: &batch, unit, most, done: SmallVec::new(), parts: Parts::new(), items: 0, size: 0 };
    if let [part] = batch.parts() {
        cutter.part(part, batch.items());
    } else {
        for part in batch.parts() {
            cutter.part(part, count::items(batch.signal(), part).unwrap_or(0));
        }
    }
    cutter.flush();
    cutter.done
}

struct Cutter<'a> {
    like: &'a Batch,
    unit: Sizer,
    most: usize,
    done: SmallVec<[Batch; 1]>,
    parts: Parts,
    items: usize,
    size: usize,
}

impl Cutter<'_> {
    fn part(&mut self, part: &Bytes, items: usize) {
        match self.split(part, items) {
            Ok(pieces) => pieces.into_iter().for_each(|(piece, items)| self.add(piece, items)),
            Err(_) => self.add(part.clone(), items),
        }
    }

    fn split(&self, part: &Bytes, items: usize) -> Result<Vec<(Bytes, usize)>, WireError> {
        match self.unit {
            Sizer::Items if items > self.most => split::by_items(self.like.signal(), part, self.most),
            Sizer::Bytes if part.len() > self.most => split::by_bytes(self.like.signal(), part, self.most),
            _ => Ok(vec![(part.clone(), items)]),
        }
    }

    fn add(&mut self, part: Bytes, items: usize) {
        let size = if self.unit == Sizer::Items { items } else { part.len() };
        if self.size + size > self.most {
            self.flush();
        }
        self.parts.push(part);
        self.items += items;
        self.size += size;
    }

    fn flush(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        let batch = Batch::from_parts(self.like.signal(), std::mem::take(&mut self.parts), self.items);
        self.done.push(batch.of(self.like));
        (self.items, self.size) = (0, 0);
    }
}
