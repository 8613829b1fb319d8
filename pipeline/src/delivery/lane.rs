//! What waits and may be merged: batches of one pipeline branch with the same metadata. Small ones are merged, large
//! ones were cut when they came in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::held::Held;
use super::queue::Entry;
use super::{BatchSettings, Sizer, cut};
use crate::batch::{Batch, Known, Metadata, Parts};
use crate::telemetry::BatchCounts;

/// How the batches of one branch are merged.
pub(super) struct LaneSettings {
    /// Tells the branches of one delivery apart.
    pub(super) number: usize,
    /// `None` hands them on as they came.
    pub(super) batch: Option<BatchSettings>,
    /// What the sizes in `batch` count.
    pub(super) unit: Sizer,
    /// Where the batches that are made are counted as a `batch` processor's.
    pub(super) counts: Option<BatchCounts>,
}

impl LaneSettings {
    /// No batching.
    pub(super) fn plain() -> LaneSettings {
        LaneSettings { number: 0, batch: None, unit: Sizer::Items, counts: None }
    }

    /// The lane for batches with that metadata.
    pub(super) fn key(self: &Arc<LaneSettings>, meta: Option<&Arc<Metadata>>) -> LaneKey {
        let keys = self.batch.as_ref().map_or(&[][..], |b| &b.metadata_keys);
        let partition = if keys.is_empty() {
            None
        } else {
            let headers = meta.map_or(&[][..], |m| &m.headers);
            let kept = headers.iter().filter(|(name, _)| keys.contains(name)).cloned().collect();
            Some(Arc::new(Metadata { headers: kept, ..Metadata::default() }))
        };
        LaneKey { settings: self.clone(), partition }
    }

    /// What a batch counts in a queue of requests, where a whole request counts `whole`.
    pub(super) fn share(&self, batch: &Batch, whole: usize) -> usize {
        let made = match (&self.counts, &self.batch) {
            (Some(_), Some(settings)) => settings.min_size,
            _ => return whole,
        };
        match cut::size(batch, self.unit) {
            size if size >= made => whole,
            size => (size * (whole / made)).max(1),
        }
    }

    /// The pieces in which a batch is queued: none larger than `max_size`.
    pub(super) fn cut(&self, pieces: SmallVec<[Batch; 1]>) -> SmallVec<[Batch; 1]> {
        match self.batch.as_ref().map_or(0, |b| b.max_size) {
            0 => pieces,
            most => pieces.into_iter().flat_map(|p| cut::pieces(p, self.unit, most)).collect(),
        }
    }
}

/// Which batches may be merged with each other.
#[derive(Clone)]
pub(super) struct LaneKey {
    pub(super) settings: Arc<LaneSettings>,
    partition: Option<Arc<Metadata>>,
}

impl PartialEq for LaneKey {
    fn eq(&self, other: &LaneKey) -> bool {
        self.settings.number == other.settings.number && self.partition == other.partition
    }
}

impl Eq for LaneKey {}

impl std::hash::Hash for LaneKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.settings.number.hash(state);
        if let Some(partition) = &self.partition {
            partition.headers.hash(state);
        }
    }
}

/// Batches that wait, in order.
pub(super) struct Lane {
    entries: VecDeque<Entry>,
    /// The sum of their sizes in the batch settings' unit.
    size: usize,
    /// Those whose senders send nothing more before: there is no use in waiting.
    last: usize,
    unit: Sizer,
    min_size: usize,
    max_size: usize,
    flush_timeout: Duration,
}

impl Lane {
    pub(super) fn new(key: &LaneKey) -> Lane {
        let (min_size, max_size, flush_timeout) =
            key.settings.batch.as_ref().map_or((0, 0, Duration::ZERO), |b| (b.min_size, b.max_size, b.flush_timeout));
        let unit = key.settings.unit;
        Lane { entries: VecDeque::new(), size: 0, last: 0, unit, min_size, max_size, flush_timeout }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.count(&entry);
        self.entries.push_back(entry);
    }

    pub(super) fn put_back(&mut self, entry: Entry) {
        self.count(&entry);
        self.entries.push_front(entry);
    }

    fn count(&mut self, entry: &Entry) {
        self.size += cut::size(&entry.batch, self.unit);
        self.last += usize::from(entry.held.is_last());
    }

    fn discount(&mut self, entry: &Entry) {
        self.size -= cut::size(&entry.batch, self.unit);
        self.last -= usize::from(entry.held.is_last());
    }

    /// Whether there is enough, or it has waited long enough.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        let waited = || self.due().is_some_and(|due| due <= now);
        !self.entries.is_empty() && (self.size >= self.min_size || self.last > 0 || waited())
    }

    /// When the first of it has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.entries.front().map(|e| e.at + self.flush_timeout)
    }

    /// Since when the first of it waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.entries.front().map(|e| e.at)
    }

    /// The first of which nothing is being exported.
    pub(super) fn oldest(&self) -> Option<&Entry> {
        self.entries.iter().find(|e| e.held.is_whole())
    }

    /// Takes out the pieces of one batch.
    pub(super) fn remove(&mut self, number: u64) -> SmallVec<[Entry; 1]> {
        let Some(first) = self.entries.iter().position(|e| e.number == number) else { return SmallVec::new() };
        let pieces = self.entries.iter().skip(first).take_while(|e| e.number == number).count();
        let removed: SmallVec<[Entry; 1]> = self.entries.drain(first..first + pieces).collect();
        removed.iter().for_each(|entry| self.discount(entry));
        removed
    }

    /// The order in which lanes that are ready are served.
    pub(super) fn first_number(&self) -> u64 {
        self.entries.front().map_or(u64::MAX, |e| e.number)
    }

    /// The next job: without batching one batch; else from the front as much as goes into one.
    pub(super) fn take(&mut self, key: &LaneKey) -> Job {
        let full = self.size >= self.min_size;
        let mut job = Job { key: key.clone(), entries: SmallVec::new(), overhang: None, full };
        let Some(batch) = &key.settings.batch else {
            job.entries.extend(self.pop());
            return job;
        };
        let most = if batch.max_size == 0 { usize::MAX } else { batch.max_size };
        let mut size = 0;
        while let Some(next) = self.entries.front() {
            let more = cut::size(&next.batch, self.unit);
            if size > 0 && size + more > most {
                if let Some(room) = self.overhang(size, most) {
                    job.overhang = self.pop().map(|entry| ((room, self.unit), entry));
                }
                break;
            }
            size += more;
            job.entries.extend(self.pop());
            // Without a limit a job ends where there is enough, so that a backlog does not become one giant export.
            if self.max_size == 0 && size >= self.min_size {
                break;
            }
        }
        job
    }

    /// How much of the next batch is to fill up a job of `size`; none where the rest would be crumbs.
    fn overhang(&self, size: usize, most: usize) -> Option<usize> {
        let room = most - size;
        (size < self.min_size && room >= most / 4).then_some(room)
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.discount(&entry);
        Some(entry)
    }
}

/// What is to be exported together.
pub(super) struct Job {
    key: LaneKey,
    entries: SmallVec<[Entry; 1]>,
    /// One more batch, of which only so much fits, in that unit.
    overhang: Option<((usize, Sizer), Entry)>,
    /// Whether there was enough, rather than waited long enough.
    full: bool,
}

/// A batch to export, and whose it is.
pub(super) struct Shipment {
    pub(super) batch: Batch,
    /// In the order of the batch's parts.
    pub(super) owners: SmallVec<[Owner; 1]>,
}

/// Whose some consecutive parts of a shipment are.
#[derive(Clone)]
pub(super) struct Owner {
    /// Nobody's share of a queue where the caller waits itself.
    pub(super) held: Option<Arc<Held>>,
    pub(super) parts: usize,
    pub(super) items: usize,
}

impl Job {
    /// Whose it is.
    pub(super) fn held(&self) -> impl Iterator<Item = &Held> {
        let overhang = self.overhang.iter().map(|(_, entry)| entry);
        self.entries.iter().chain(overhang).map(|entry| &*entry.held)
    }

    /// Where it is from.
    pub(super) fn key(&self) -> LaneKey {
        self.key.clone()
    }

    /// The batch to export, and what is to be put back.
    pub(super) fn load(mut self) -> (Shipment, Option<(LaneKey, Entry)>) {
        let mut rest = None;
        if let Some(((room, unit), entry)) = self.overhang.take() {
            let Entry { batch, held, at, number } = entry;
            let mut pieces = cut::pieces(batch, unit, room).into_iter();
            let first = pieces.next();
            let left = pieces.reduce(|mut left, piece| {
                left.append(piece);
                left
            });
            match (first, left) {
                (Some(first), Some(left)) if cut::size(&first, unit) <= room => {
                    self.entries.push(Entry { batch: first, held: held.clone(), at, number });
                    rest = Some(Entry { batch: left, held, at, number });
                }
                (Some(first), left) => {
                    let mut batch = first;
                    left.into_iter().for_each(|left| batch.append(left));
                    rest = Some(Entry { batch, held, at, number });
                }
                (None, _) => {}
            }
        }
        let shipment = self.shipment();
        if let Some(counts) = &self.key.settings.counts {
            counts.made(&shipment.batch, self.full);
        }
        (shipment, rest.map(|entry| (self.key, entry)))
    }

    fn shipment(&mut self) -> Shipment {
        if self.entries.len() == 1
            && let Some(Entry { batch, held, .. }) = self.entries.pop()
        {
            return Shipment::whole(batch, Some(held));
        }
        let meta = self.merged_meta();
        let mut signal = None;
        let (mut parts, mut items) = (Parts::new(), 0);
        let mut owners = SmallVec::new();
        let known = self.entries.iter().map(|entry| entry.batch.known()).reduce(Known::and).unwrap_or_default();
        for Entry { batch, held, .. } in self.entries.drain(..) {
            signal = Some(batch.signal());
            owners.push(Owner { held: Some(held), parts: batch.parts().len(), items: batch.items() });
            items += batch.items();
            parts.extend(batch.parts().iter().cloned());
        }
        let batch = Batch::from_parts(signal.unwrap_or(crate::Signal::Traces), parts, items).with_known(known);
        let batch = match meta {
            Some(meta) => batch.with_meta(meta),
            None => batch,
        };
        Shipment { batch, owners }
    }

    /// What is known about the senders of merged batches: what makes their lane, or what all of them have.
    fn merged_meta(&self) -> Option<Arc<Metadata>> {
        if self.key.partition.is_some() {
            return self.key.partition.clone();
        }
        let first = self.entries.first()?.batch.meta()?;
        self.entries.iter().all(|e| e.batch.meta() == Some(first)).then(|| first.clone())
    }
}

impl Shipment {
    /// One batch of one owner.
    pub(super) fn whole(batch: Batch, held: Option<Arc<Held>>) -> Shipment {
        let owner = Owner { held, parts: batch.parts().len(), items: batch.items() };
        Shipment { batch, owners: SmallVec::from_iter([owner]) }
    }

    /// What it was made of, to wait again: as long as it has to, it has waited.
    pub(super) fn into_entries(self, key: &LaneKey) -> SmallVec<[Entry; 1]> {
        let Shipment { batch, owners } = self;
        let now = Instant::now();
        let waited = key.settings.batch.as_ref().map_or(Duration::ZERO, |batch| batch.flush_timeout);
        let at = now.checked_sub(waited).unwrap_or(now);
        let alone = owners.len() == 1;
        let mut parts = batch.parts().iter();
        let mut entries = SmallVec::new();
        for Owner { held, parts: count, items } in owners {
            let theirs: Parts = parts.by_ref().take(count).cloned().collect();
            let Some(held) = held else { continue };
            let its = match batch.meta() {
                _ if alone => batch.clone(),
                Some(meta) => Batch::from_parts(batch.signal(), theirs, items).with_meta(meta.clone()),
                None => Batch::from_parts(batch.signal(), theirs, items),
            };
            entries.push(Entry { batch: its, held, at, number: 0 });
        }
        entries
    }
}
