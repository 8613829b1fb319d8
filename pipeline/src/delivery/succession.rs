//! One delivery goes on where another ends: a reload has changed the exporter or its settings. The queue stays what it is,
//! with everything in it, and takes batches all the time; only who empties it changes.
//!
//! 1. The successor is made over the queue of the delivery before it, and over its queue on disk where that is to be in the
//!    same folder. Nothing else has changed so far, and the successor may be let go of again.
//! 2. It takes over: the queue's settings are the new ones, the consumers before it end. What one of them is sending is
//!    waited for; what waits for its next attempt goes back into the queue, in its place, and callers that wait for their
//!    delivery themselves go on with the new exporter.
//! 3. The new consumers begin; where one of both sides has a single consumer, for the sake of the order, only after those
//!    before have ended.
//!
//! A queue on disk that is not the successor's feeds the same queue until it is empty. What it still holds when the process
//! ends stays there, for a config that names that folder again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::disk::Disk;
use super::forecast::Watch;
use super::{Delivery, Storage, work};
use crate::journal;

/// A queue on disk that takes nothing new.
#[derive(Clone)]
pub(super) struct Leaving {
    pub(super) disk: Arc<Disk>,
    journal: journal::Settings,
}

/// How a delivery that follows another has its queue on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// It opens its own, if it has one.
    Afresh,
    /// It is that of the other.
    WithDisk,
    /// The other had given it up already.
    WithDiskThatWasLeaving,
}

/// How often, and how far apart, a folder is tried that another may just be letting go of.
pub(super) const TRIES: u32 = 40;
pub(super) const APART: Duration = Duration::from_millis(50);

impl Delivery {
    /// The same over the queue of `before`; without any effect there until it takes over.
    #[must_use]
    pub fn after(mut self, before: &Delivery) -> Delivery {
        self.queue = before.queue.clone();
        self.lanes = before.lanes.clone();
        self.fronts = before.fronts.clone();
        self.queued = before.queued.clone();
        self.has_queue.store(false, Ordering::Release);
        let mut follows = Follows::Afresh;
        if let Some(Storage { journal, .. }) = self.storage() {
            let stays = |storage: &Storage| storage.journal == journal;
            if before.disk.get().is_some() && before.storage().is_some_and(|s| stays(&s)) {
                self.disk = before.disk.clone();
                follows = Follows::WithDisk;
            } else if let Some(left) =
                before.leaving().iter().find(|left| left.journal == journal && left.disk.comes_back())
            {
                let _ = self.disk.set(left.disk.clone());
                follows = Follows::WithDiskThatWasLeaving;
            }
        }
        self.follows = Some(follows);
        let (counts, queue, disk) = (self.counts.clone(), self.queue.clone(), self.disk.clone());
        self.watch = Arc::new(Watch::new(&self.settings, counts, queue, self.courier.clone(), disk));
        self.meter.look_before_reading(&self.watch);
        self
    }

    /// Goes on in place of `before`, over whose queue it was made. An export that `before` has begun is waited for no longer
    /// than `patience`; then it is begun anew and may arrive twice.
    pub fn take_over(&self, before: &Delivery, patience: Duration) {
        self.queue.settle(&self.settings.queue);
        let mut left: Vec<_> = before.leaving().drain(..).collect();
        left.extend(before.leave());
        left.retain(|left| self.disk.get().is_none_or(|disk| !Arc::ptr_eq(disk, &left.disk)));
        left.iter().for_each(|left| left.disk.leave());
        match (self.disk.get(), self.storage()) {
            (Some(disk), Some(storage)) => disk.settle(&self.settings.queue, storage.max_bytes),
            _ => self.queue.stand_before_disk(false),
        }
        self.leaving().extend(left);
        before.has_queue.store(false, Ordering::Release);
        self.has_queue.store(true, Ordering::Release);
        before.courier.end.relieve(self.courier.clone());
        before.workers.close();
        let in_order = self.settings.queue.num_consumers.min(before.settings.queue.num_consumers) <= 1;
        if self.queued.load(Ordering::Relaxed) == 0 || self.has_started.swap(true, Ordering::Relaxed) {
            return;
        }
        let (queue, courier) = (self.queue.clone(), self.courier.clone());
        let (workers, consumers) = (self.workers.clone(), self.settings.queue.num_consumers.max(1));
        let (theirs, end) = (before.workers.clone(), before.courier.clone());
        self.workers.spawn(async move {
            let ended = async {
                tokio::select! {
                    ended = timeout(patience, theirs.wait()) => ended.is_ok(),
                    () = courier.end.over.cancelled() => false,
                }
            };
            let begin = || (0..consumers).for_each(|_| drop(workers.spawn(work(queue.clone(), courier.clone()))));
            if !in_order {
                begin();
            }
            if !ended.await {
                end.end.abandoned.cancel();
                theirs.wait().await;
            }
            if in_order {
                begin();
            }
        });
    }

    /// Takes back what a successor that did not take over has on a disk of its own.
    pub fn take_back(&self, successor: &Delivery) {
        let ours = self.disk.get();
        let theirs = successor.leave().filter(|left| ours.is_none_or(|disk| !Arc::ptr_eq(disk, &left.disk)));
        let Some(left) = theirs else { return };
        left.disk.leave();
        self.queue.stand_before_disk(ours.is_some());
        let mut leaving = self.leaving();
        leaving.retain(|other| !Arc::ptr_eq(&other.disk, &left.disk));
        leaving.push(left);
    }

    /// A successor that is let go of without having taken over leaves everything as it was.
    pub(super) fn give_back(&self) {
        let took_over = self.courier.end.relieved.is_cancelled();
        if !took_over && let (Some(Follows::WithDiskThatWasLeaving), Some(disk)) = (self.follows, self.disk.get()) {
            disk.leave();
        }
    }

    /// Whether its queue is to be on disk.
    pub fn stores(&self) -> bool {
        self.storage().is_some()
    }

    fn leave(&self) -> Option<Leaving> {
        Some(Leaving { disk: self.disk.get()?.clone(), journal: self.storage()?.journal })
    }
}
