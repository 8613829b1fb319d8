//! How much a queue may hold and what counts in it: requests, items or bytes, and bytes in any case.

use smallvec::SmallVec;

use super::lane::LaneSettings;
use super::queue::QUEUE_FULL;
use super::{QueueSettings, Sizer, cut};
use crate::batch::Batch;
use crate::component::Refused;

/// Parts of a request that a load can be: where a `batch` processor merges requests, each counts as its share of what is
/// made of them, as if it had been merged before the queue.
const SHARES: usize = 1 << 20;

/// What something takes of a queue: bytes, and the sizer's units times the queue's scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) units: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) fn add(&mut self, more: Load) {
        self.units += more.units;
        self.bytes += more.bytes;
    }

    pub(super) fn sub(&mut self, less: Load) {
        // Units of another kind than the present ones are not in the sum.
        self.units = self.units.saturating_sub(less.units);
        self.bytes -= less.bytes;
    }
}

/// How much there may be, and what counts.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) capacity: Load,
    pub(super) sizer: Sizer,
    /// What one unit of the sizer is in a [`Load`].
    scale: usize,
}

impl Bounds {
    /// As the settings say.
    pub(super) fn new(settings: &QueueSettings) -> Bounds {
        let scale = if settings.sizer == Sizer::Requests { SHARES } else { 1 };
        let units = settings.queue_size.max(1).saturating_mul(scale);
        Bounds { capacity: Load { units, bytes: settings.max_bytes.max(1) }, sizer: settings.sizer, scale }
    }

    /// What so many stored batches take, in units.
    pub(super) fn units_of(&self, batches: usize, items: u64, bytes: u64) -> usize {
        let Bounds { sizer, scale, .. } = *self;
        match sizer {
            Sizer::Requests => batches.saturating_mul(scale),
            Sizer::Items => usize::try_from(items).unwrap_or(usize::MAX),
            Sizer::Bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    /// What a batch takes in that lane.
    pub(super) fn load(&self, batch: &Batch, lane: &LaneSettings) -> Load {
        let Bounds { sizer, scale, .. } = *self;
        let units = match sizer {
            Sizer::Requests => lane.share(batch, scale),
            unit => cut::size(batch, unit),
        };
        Load { units, bytes: batch.byte_len() }
    }

    /// The batch in pieces of which none is larger than the whole queue.
    pub(super) fn fitting(&self, batch: Batch) -> SmallVec<[Batch; 1]> {
        let Bounds { capacity, sizer, scale } = *self;
        let pieces = cut::pieces(batch, sizer, capacity.units / scale);
        pieces.into_iter().flat_map(|piece| cut::pieces(piece, Sizer::Bytes, capacity.bytes)).collect()
    }

    /// Whether more fits beside what is used.
    pub(super) fn fit(&self, used: Load, more: Load) -> bool {
        // What is larger than the whole queue gets it for itself.
        used.bytes == 0 && used.units == 0
            || used.units + more.units <= self.capacity.units && used.bytes + more.bytes <= self.capacity.bytes
    }

    /// The refusal of a queue that has so much of so much.
    pub(super) fn full_by(&self, used: Load, capacity: Load) -> Refused {
        let message = if used.units >= capacity.units || used.bytes < capacity.bytes / 2 {
            let (used, capacity) = (self.shown(used.units), self.shown(capacity.units));
            format!("the sending queue is full: {used} of {capacity} {}", self.sizer.name())
        } else {
            format!("the sending queue is full: {} of {} bytes (max_bytes)", used.bytes, capacity.bytes)
        };
        Refused::retry(QUEUE_FULL, message)
    }

    /// Whole units.
    pub(super) fn shown(&self, units: usize) -> usize {
        units.div_ceil(self.scale)
    }
}
