//! The memory queue: what waits for an exporter, bounded in the sizer's unit and in bytes. What is being exported counts
//! until it is answered. Before a queue on disk it holds what is on its way from there.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::QueueSettings;
use super::bounds::{Bounds, Load};
use super::disk::{IN_MEMORY, OnDisk};
use super::held::Held;
use super::lane::{Job, Lane, LaneKey, Shipment};
use crate::batch::Batch;
use crate::component::{Outcome, Refused};
use crate::telemetry::{ExporterCounts, Seldom, gauge};

/// The code of a refusal for want of room.
pub(super) const QUEUE_FULL: &str = "queue_full";
/// The code of what is dropped for want of room, where the config wants that.
pub(super) const OVERFLOW: &str = "overflow";

/// Bounded memory before one exporter. It outlives a reload that changes the exporter: the next delivery goes on with it.
pub(super) struct Queue {
    bounds: RwLock<Bounds>,
    counts: ExporterCounts,
    state: Mutex<State>,
    wake: Notify,
    refusals: Seldom,
    /// What is here is on the disk too, which counts it and bounds it.
    before_disk: AtomicBool,
}

#[derive(Default)]
struct State {
    /// What waits, by lane; only lanes in which something waits.
    lanes: HashMap<LaneKey, Lane>,
    /// What is in the queue or being exported.
    used: Load,
    /// The share of it of which something is being exported.
    exporting: Load,
    /// Callers that wait for room, in their order.
    blocked: VecDeque<Blocked>,
    next_number: u64,
    /// Somebody found no room: what waits to be merged goes out as it is.
    pressed: bool,
    closed: bool,
}

/// Something that waits, whole or in part.
pub(super) struct Entry {
    pub(super) batch: Batch,
    pub(super) held: Arc<Held>,
    pub(super) at: Instant,
    pub(super) number: u64,
}

struct Blocked {
    key: LaneKey,
    entries: SmallVec<[Entry; 1]>,
    load: Load,
    admitted: oneshot::Sender<Outcome>,
    number: u64,
}

/// What gave way to something newer.
pub(super) type Displaced = SmallVec<[Entry; 1]>;

impl State {
    /// Takes out the batch that waits longest of those of which nothing is being exported.
    fn take_oldest(&mut self) -> Option<Displaced> {
        let waiting = self.lanes.iter().filter_map(|(key, lane)| Some((lane.oldest()?.number, key)));
        let (number, key) = waiting.min_by_key(|(number, _)| *number).map(|(number, key)| (number, key.clone()))?;
        let lane = self.lanes.get_mut(&key)?;
        let displaced = lane.remove(number);
        if lane.is_empty() {
            self.lanes.remove(&key);
        }
        let held = &displaced.first()?.held;
        held.admitted.store(false, Ordering::Relaxed);
        self.used.sub(held.load);
        Some(displaced)
    }
}

/// Why there is nothing to do.
pub(super) enum Idle {
    /// Nothing before then, or before something comes.
    Until(Option<Instant>),
    /// Nothing ever again.
    Ended,
}

impl Queue {
    pub(super) fn new(settings: &QueueSettings, counts: ExporterCounts) -> Queue {
        let queue = Queue {
            bounds: RwLock::new(Bounds::new(settings)),
            counts,
            state: Mutex::default(),
            wake: Notify::new(),
            refusals: Seldom::default(),
            before_disk: AtomicBool::new(false),
        };
        queue.show_bounds(settings);
        queue
    }

    /// Goes on with other settings. Where another unit counts, what is held is bounded by its bytes alone until it is
    /// gone.
    pub(super) fn settle(&self, settings: &QueueSettings) {
        let bounds = Bounds::new(settings);
        let mut state = self.state();
        let before = std::mem::replace(&mut *self.bounds.write().unwrap_or_else(PoisonError::into_inner), bounds);
        if before.sizer != bounds.sizer {
            state.used.units = 0;
            state.exporting.units = 0;
        }
        self.show_bounds(settings);
        self.admit_blocked(&mut state);
        self.show(&state);
    }

    fn show_bounds(&self, settings: &QueueSettings) {
        self.counts.queue_capacity.set(gauge(settings.queue_size));
        self.counts.queue_bytes_capacity.set(gauge(settings.max_bytes.max(1)));
    }

    /// What it may hold.
    pub(super) fn bounds(&self) -> Bounds {
        *self.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there is a queue on disk behind this one, or there is none.
    pub(super) fn stand_before_disk(&self, is_there: bool) {
        self.before_disk.store(is_there, Ordering::Relaxed);
    }

    /// Whether so many more stored bytes may be in memory; at least one batch always may.
    pub(super) fn has_memory(&self, bytes: usize) -> bool {
        let used = self.state().used.bytes;
        used == 0 || used + bytes < IN_MEMORY
    }

    /// Takes the pieces of a batch that is on the disk.
    pub(super) fn offer_stored(
        self: &Arc<Queue>,
        key: &LaneKey,
        pieces: SmallVec<[Batch; 1]>,
        load: Load,
        on_disk: OnDisk,
    ) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            on_disk.stays();
            return;
        }
        let entries = self.entries(&mut state, pieces, load, None, Some(on_disk));
        self.admit(&mut state, key, entries, load);
    }

    /// Says in the log, from time to time, that batches are refused.
    pub(super) fn tell(&self, refused: &Refused) {
        if let Some(times) = self.refusals.again() {
            tracing::warn!(component = self.counts.drops.component(), times, "refuses data: {refused}");
        }
    }

    /// Whether a batch of that load would be taken now.
    pub(super) fn has_room(&self, load: Load) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(shutting_down());
        }
        if state.blocked.is_empty() && self.fits(&state, load) { Ok(()) } else { Err(self.full(&mut state)) }
    }

    /// Takes the pieces of one batch, all or nothing.
    pub(super) fn offer(
        self: &Arc<Queue>,
        key: &LaneKey,
        pieces: SmallVec<[Batch; 1]>,
        load: Load,
        waiter: Option<oneshot::Sender<Outcome>>,
    ) -> Outcome {
        let mut state = self.state();
        if state.closed {
            return Err(shutting_down());
        }
        if !state.blocked.is_empty() || !self.fits(&state, load) {
            return Err(self.full(&mut state));
        }
        let entries = self.entries(&mut state, pieces, load, waiter, None);
        self.admit(&mut state, key, entries, load);
        Ok(())
    }

    /// Takes the pieces of one batch, once there is room; whoever asked first is served first.
    pub(super) async fn offer_blocking(
        self: &Arc<Queue>,
        key: LaneKey,
        pieces: SmallVec<[Batch; 1]>,
        load: Load,
        waiter: Option<oneshot::Sender<Outcome>>,
    ) -> Outcome {
        let (admitted, room) = oneshot::channel();
        let number = {
            let mut state = self.state();
            if state.closed {
                return Err(shutting_down());
            }
            let entries = self.entries(&mut state, pieces, load, waiter, None);
            if state.blocked.is_empty() && self.fits(&state, load) {
                self.admit(&mut state, &key, entries, load);
                return Ok(());
            }
            let number = state.next_number;
            state.next_number += 1;
            state.blocked.push_back(Blocked { key, entries, load, admitted, number });
            self.press(&mut state);
            number
        };
        let _withdrawn_when_dropped = Withdrawal { queue: self, number };
        room.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    /// Takes the pieces of one batch, all or nothing; what waits longest gives way, where that makes room. Answers with
    /// what did, too: it is the caller's to account for.
    pub(super) fn offer_displacing(
        self: &Arc<Queue>,
        key: &LaneKey,
        pieces: SmallVec<[Batch; 1]>,
        load: Load,
        waiter: Option<oneshot::Sender<Outcome>>,
    ) -> (Outcome, Displaced) {
        let mut state = self.state();
        let mut displaced = Displaced::new();
        if state.closed {
            return (Err(shutting_down()), displaced);
        }
        // What is being exported stays: where it leaves no room, nothing is to give way in vain.
        if !self.fits(&state, load) && !self.bounds().fit(state.exporting, load) {
            return (Err(self.full(&mut state)), displaced);
        }
        while !self.fits(&state, load) {
            match state.take_oldest() {
                Some(entries) => displaced.extend(entries),
                None => return (Err(self.full(&mut state)), displaced),
            }
        }
        let entries = self.entries(&mut state, pieces, load, waiter, None);
        self.admit(&mut state, key, entries, load);
        (Ok(()), displaced)
    }

    /// The record of the batch on disk that waits longest here.
    pub(super) fn oldest_stored(&self) -> Option<u64> {
        let state = self.state();
        state.lanes.values().filter_map(|lane| lane.oldest()?.held.on_disk.as_ref().map(OnDisk::number)).min()
    }

    /// Takes out what waits longest.
    pub(super) fn displace(&self) -> Option<Displaced> {
        let mut state = self.state();
        let displaced = state.take_oldest()?;
        self.show(&state);
        Some(displaced)
    }

    /// Since when the first of what waits does so.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.state().lanes.values().filter_map(Lane::since).min()
    }

    /// What it holds.
    pub(super) fn used(&self) -> Load {
        self.state().used
    }

    /// What is to be done now.
    pub(super) fn take(&self, now: Instant) -> Result<Job, Idle> {
        let mut state = self.state();
        let closed = state.closed;
        let at_once = closed || std::mem::take(&mut state.pressed) || !state.blocked.is_empty();
        let ready = state.lanes.iter().filter(|(_, lane)| at_once || lane.is_ready(now));
        let Some(key) = ready.min_by_key(|(_, lane)| lane.first_number()).map(|(key, _)| key.clone()) else {
            let until = state.lanes.values().filter_map(Lane::due).min();
            return Err(if closed { Idle::Ended } else { Idle::Until(until) });
        };
        let Some(lane) = state.lanes.get_mut(&key) else { return Err(Idle::Until(None)) };
        let job = lane.take(&key);
        for held in job.held() {
            if !held.exporting.swap(true, Ordering::Relaxed) {
                state.exporting.add(held.load);
            }
        }
        let Some(lane) = state.lanes.get(&key) else { return Ok(job) };
        if lane.is_empty() {
            state.lanes.remove(&key);
        }
        // Whoever took this watched for the others too.
        if !state.lanes.is_empty() {
            self.wake.notify_one();
        }
        Ok(job)
    }

    /// The next thing to do, waited for; `None` when the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Job> {
        loop {
            let woken = self.wake.notified();
            match self.take(Instant::now()) {
                Ok(job) => return Some(job),
                Err(Idle::Ended) => return None,
                Err(Idle::Until(None)) => woken.await,
                Err(Idle::Until(Some(due))) => {
                    let _ = tokio::time::timeout_at(due, woken).await;
                }
            }
        }
    }

    /// Puts back what a job left over, before everything else in its lane.
    pub(super) fn put_back(&self, key: &LaneKey, entry: Entry) {
        self.state().lanes.entry(key.clone()).or_insert_with(|| Lane::new(key)).put_back(entry);
        self.wake.notify_one();
    }

    /// Puts back shipments that were not delivered, the last to be the next, before everything else in their lane.
    pub(super) fn put_back_shipments(&self, key: &LaneKey, shipments: impl IntoIterator<Item = Shipment>) {
        let mut state = self.state();
        for shipment in shipments {
            let lane = state.lanes.entry(key.clone()).or_insert_with(|| Lane::new(key));
            shipment.into_entries(key).into_iter().rev().for_each(|entry| lane.put_back(entry));
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Takes nothing new; what is there is ready at once.
    pub(super) fn close(&self) {
        let blocked = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.blocked)
        };
        for waiting in blocked {
            let _ = waiting.admitted.send(Err(shutting_down()));
        }
        self.wake.notify_waiters();
    }

    fn fits(&self, state: &State, load: Load) -> bool {
        self.bounds().fit(state.used, load)
    }

    /// There is no room: nothing waits to be merged any longer.
    fn press(&self, state: &mut State) {
        state.pressed = true;
        self.wake.notify_one();
    }

    fn full(&self, state: &mut State) -> Refused {
        self.press(state);
        let bounds = self.bounds();
        bounds.full_by(state.used, bounds.capacity)
    }

    fn entries(
        self: &Arc<Queue>,
        state: &mut State,
        pieces: SmallVec<[Batch; 1]>,
        load: Load,
        waiter: Option<oneshot::Sender<Outcome>>,
        on_disk: Option<OnDisk>,
    ) -> SmallVec<[Entry; 1]> {
        let held = Held::new(self, &pieces, load, waiter, on_disk);
        let number = state.next_number;
        state.next_number += 1;
        let at = Instant::now();
        pieces.into_iter().map(|batch| Entry { batch, held: held.clone(), at, number }).collect()
    }

    fn admit(&self, state: &mut State, key: &LaneKey, entries: SmallVec<[Entry; 1]>, load: Load) {
        state.used.add(load);
        self.show(state);
        let now = Instant::now();
        let lane = state.lanes.entry(key.clone()).or_insert_with(|| Lane::new(key));
        let was_watched = lane.due().is_some();
        for mut entry in entries {
            entry.held.admitted.store(true, Ordering::Relaxed);
            entry.at = now;
            if entry.held.on_disk.is_none() {
                self.counts.received(entry.batch.items());
                self.counts.flow.in_flight.add(gauge(entry.batch.items()));
            }
            lane.push(entry);
        }
        if !was_watched || lane.is_ready(now) {
            self.wake.notify_one();
        }
    }

    /// Lets in who waits for room, in order, as long as the first fits.
    fn admit_blocked(&self, state: &mut State) {
        while let Some(first) = state.blocked.front() {
            if !self.fits(state, first.load) {
                break;
            }
            let Some(Blocked { key, entries, load, admitted, .. }) = state.blocked.pop_front() else { break };
            if admitted.send(Ok(())).is_ok() {
                self.admit(state, &key, entries, load);
            }
        }
    }

    pub(super) fn release(&self, load: Load, was_exporting: bool) {
        let mut state = self.state();
        state.used.sub(load);
        if was_exporting {
            state.exporting.sub(load);
        }
        if state.used.bytes == 0 {
            state.used.units = 0;
        }
        self.admit_blocked(&mut state);
        self.show(&state);
    }

    fn show(&self, state: &State) {
        if self.before_disk.load(Ordering::Relaxed) {
            return;
        }
        self.counts.queue_size.set(gauge(self.bounds().shown(state.used.units)));
        self.counts.queue_bytes.set(gauge(state.used.bytes));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a caller that went away out of those that wait for room.
struct Withdrawal<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        let withdrawn = {
            let mut state = self.queue.state();
            let at = state.blocked.iter().position(|b| b.number == self.number);
            let withdrawn = at.and_then(|i| state.blocked.remove(i));
            // Whoever stood behind may fit.
            self.queue.admit_blocked(&mut state);
            withdrawn
        };
        drop(withdrawn);
    }
}

pub(super) fn shutting_down() -> Refused {
    Refused::retry("shutting_down", "the collector is shutting down")
}
