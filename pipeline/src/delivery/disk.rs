//! The queue on disk: a journal behind the memory queue. A batch is answered when the journal has it. As long as there is
//! memory for it, it goes on from there; else it waits on the disk, and a feeder reads it when there is room.
//!
//! After a restart or an outage what is fresh is sent first and the backlog beside it, so many batches at a time; or all
//! of it in order (`recovery: in_order`), for far sides that take a series only forwards.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::{self, Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bounds::Load;
use super::lane::LaneSettings;
use super::queue::{self, Queue};
use super::{Overflow, QueueSettings, Recovery, Sizer, give_way, note, overflow};
use crate::batch::{Batch, Signal};
use crate::component::{Outcome, Reason, Refused};
use crate::doors::Clock;
use crate::journal::{self, Journal, Record, Stored};
use crate::telemetry::{ExporterCounts, Seldom, gauge};

/// Bytes of stored batches that are in memory at once.
pub(super) const IN_MEMORY: usize = 32 << 20;
/// How long a stop waits for exports: what is not delivered stays on the disk.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// It takes what comes.
const STAYS: u8 = 0;
/// Another takes what comes; it ends when it is empty.
const LEAVES: u8 = 1;
/// It has ended.
const HAS_LEFT: u8 = 2;
/// How often age is looked at where nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// The fronts of a delivery, by which a stored batch finds the way it came.
pub(super) type Lanes = Arc<Mutex<Vec<Arc<LaneSettings>>>>;

/// A queue on disk.
pub(super) struct Disk {
    journal: Journal,
    queue: Arc<Queue>,
    counts: ExporterCounts,
    signal: Signal,
    clock: Clock,
    rules: RwLock<Rules>,
    used: Mutex<Used>,
    lanes: Lanes,
    /// There may be something to read.
    feed: Notify,
    /// There may be room.
    freed: Notify,
    /// Whoever reads the journal has this: it is read by one at a time.
    reader: sync::Mutex<()>,
    unreadable: Seldom,
    /// One of the phases.
    phase: AtomicU8,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// What a reload may change of it.
#[derive(Clone)]
struct Rules {
    recovery: Recovery,
    /// Bytes of the backlog in each second at most, where there is a limit.
    rate: Option<f64>,
    max_age: Duration,
    capacity: Load,
    sizer: Sizer,
    turns: Arc<Semaphore>,
}

impl Rules {
    fn new(settings: &QueueSettings, max_bytes: usize, queue: &Queue) -> Rules {
        let turns = match settings.recovery {
            Recovery::FreshFirst => (settings.num_consumers / 2).max(1),
            Recovery::InOrder => settings.num_consumers.max(1) * 2,
        };
        Rules {
            recovery: settings.recovery,
            rate: (settings.recovery_rate > 0).then_some(settings.recovery_rate as f64),
            max_age: settings.max_age,
            capacity: Load { bytes: max_bytes.max(1), ..queue.bounds().capacity },
            sizer: settings.sizer,
            turns: Arc::new(Semaphore::new(turns)),
        }
    }
}

#[derive(Default)]
struct Used {
    load: Load,
    records: usize,
}

/// Where a delivery finds its queue on disk.
#[derive(Clone)]
pub struct Storage {
    /// The files.
    pub files: Arc<dyn crate::doors::Files>,
    /// Dates what is stored.
    pub clock: Clock,
    /// The journal's place.
    pub journal: journal::Settings,
    /// The most that it may hold, in bytes of serialized OTLP.
    pub max_bytes: usize,
}

/// A batch's place on the disk: given back when it is answered, unless it is to stay for the next process.
pub(super) struct OnDisk {
    disk: Arc<Disk>,
    number: u64,
    load: Load,
    stays: OnceLock<()>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl OnDisk {
    /// Its record.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// It is not done with: it stays on the disk for the next process.
    pub(super) fn stays(&self) {
        let _ = self.stays.set(());
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        if self.stays.get().is_none() {
            self.disk.journal.done(self.number);
            self.disk.release(self.load);
        }
        if self.disk.journal.waiting() > 0 || self.disk.is_given_up() {
            self.disk.feed.notify_one();
        }
    }
}

impl Disk {
    /// Opens the journal and counts what is in it. It blocks.
    ///
    /// # Errors
    /// The journal cannot be opened; there is no queue on disk then.
    pub(super) fn open(
        storage: Storage,
        settings: &QueueSettings,
        queue: &Arc<Queue>,
        counts: ExporterCounts,
        signal: Signal,
        lanes: Lanes,
    ) -> std::io::Result<(Arc<Disk>, journal::Committer)> {
        let Storage { files, clock, journal, max_bytes } = storage;
        let folder = journal.folder.display().to_string();
        let journal::Opened { journal, committer, found } = journal::open(files, journal)?;
        let rules = Rules::new(settings, max_bytes, queue);
        let units = queue.bounds().units_of(found.records, found.items, found.bytes);
        let bytes = usize::try_from(found.bytes).unwrap_or(usize::MAX);
        let used = Used { load: Load { units, bytes }, records: found.records };
        counts.queue_bytes_capacity.set(gauge(rules.capacity.bytes));
        let items = usize::try_from(found.items).unwrap_or(usize::MAX);
        let lost = usize::try_from(found.lost_items).unwrap_or(usize::MAX);
        counts.received(items.saturating_add(lost));
        counts.flow.in_flight.add(gauge(items));
        if found.records > 0 {
            let component = counts.drops.component();
            tracing::info!(component, %signal, batches = found.records, items, "goes on with what {folder} has from before");
        }
        if lost > 0 || found.skipped_bytes > 0 {
            let (component, skipped) = (counts.drops.component(), found.skipped_bytes);
            tracing::warn!(component, %signal, items = lost, "{folder} is damaged: {skipped} bytes in it are no records");
            counts.lost(lost, &damaged());
        }
        queue.stand_before_disk(true);
        let disk = Arc::new(Disk {
            journal,
            queue: queue.clone(),
            counts,
            signal,
            clock,
            rules: RwLock::new(rules),
            used: Mutex::new(used),
            lanes,
            feed: Notify::new(),
            freed: Notify::new(),
            reader: sync::Mutex::new(()),
            unreadable: Seldom::default(),
            phase: AtomicU8::new(STAYS),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        disk.show();
        Ok((disk, committer))
    }

    /// Goes on with other settings, after its queue did.
    pub(super) fn settle(&self, settings: &QueueSettings, max_bytes: usize) {
        let rules = Rules::new(settings, max_bytes, &self.queue);
        self.counts.queue_bytes_capacity.set(gauge(rules.capacity.bytes));
        let sizer = rules.sizer;
        let before = std::mem::replace(&mut *self.rules.write().unwrap_or_else(PoisonError::into_inner), rules);
        if before.sizer != sizer {
            // What is there is bounded by its bytes alone until it is gone.
            self.used().load.units = 0;
        }
        self.queue.stand_before_disk(true);
        self.show();
        self.freed.notify_waiters();
        self.feed.notify_one();
    }

    /// Delivers what it has and ends then: another queue takes what comes.
    pub(super) fn leave(&self) {
        if self.phase.compare_exchange(STAYS, LEAVES, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.feed.notify_one();
        }
    }

    /// Does not leave after all. False where it has.
    pub(super) fn comes_back(&self) -> bool {
        self.phase.compare_exchange(LEAVES, STAYS, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether another queue takes what comes.
    pub(super) fn is_given_up(&self) -> bool {
        self.phase.load(Ordering::Acquire) != STAYS
    }

    /// Leaves for good where it is to leave and is empty.
    fn has_left(&self) -> bool {
        self.is_given_up()
            && self.used().records == 0
            && self.phase.compare_exchange(LEAVES, HAS_LEFT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn rules(&self) -> Rules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts what writes and what reads.
    pub(super) fn start(self: &Arc<Disk>, committer: journal::Committer) {
        self.tasks.spawn(committer.run());
        self.tasks.spawn(feed(self.clone()));
    }

    /// Takes a batch, and answers when the disk has it.
    pub(super) async fn take(
        self: &Arc<Disk>,
        lane: Arc<LaneSettings>,
        batch: Batch,
        at_overflow: Overflow,
    ) -> Outcome {
        let load = self.queue.bounds().load(&batch, &lane);
        while let Err(refused) = self.reserve(load) {
            let stops = self.stopping.is_cancelled();
            match at_overflow {
                Overflow::Block if !stops => {
                    tokio::select! {
                        () = self.freed.notified() => {}
                        () = tokio::time::sleep(TICK) => {}
                    }
                }
                Overflow::DropOldest if !stops && self.drop_oldest().await => {}
                Overflow::DropNewest if !stops => {
                    self.counts.received(batch.items());
                    self.counts.overflowed(&batch, &overflow(&refused));
                    return Ok(());
                }
                _ => {
                    self.counts.not_taken(batch.items());
                    self.counts.drops.refused(&batch, refused.reason());
                    self.queue.tell(&refused);
                    return Err(refused);
                }
            }
        }
        // In a task of its own: a caller that goes away changes nothing any more.
        let (answer, kept) = oneshot::channel();
        let disk = self.clone();
        self.tasks.spawn(async move {
            let _ = answer.send(disk.keep(lane, batch, load).await);
        });
        kept.await.unwrap_or_else(|_| Err(queue::shutting_down()))
    }

    async fn keep(self: Arc<Disk>, lane: Arc<LaneSettings>, batch: Batch, load: Load) -> Outcome {
        let items = batch.items();
        self.counts.received(items);
        self.counts.flow.in_flight.add(gauge(items));
        let note = note::write(lane.number, batch.meta());
        let record = Record { at: self.clock.now(), items, note, body: batch.parts().iter().cloned().collect() };
        let number = match self.journal.append(record).await {
            Ok(number) => number,
            Err(error) => {
                self.release(load);
                self.counts.flow.in_flight.sub(gauge(items));
                self.counts.not_queued(items);
                let refused = Refused::retry("storage", format!("the queue's disk does not take it: {error}"));
                self.queue.tell(&refused);
                return Err(refused);
            }
        };
        if self.rules().recovery == Recovery::InOrder || !self.queue.has_memory(load.bytes) {
            self.journal.put_back(number);
            self.feed.notify_one();
        } else {
            self.hand_on(&lane, batch.without_fate(), load, number, None);
        }
        Ok(())
    }

    fn hand_on(
        self: &Arc<Disk>,
        lane: &Arc<LaneSettings>,
        batch: Batch,
        load: Load,
        number: u64,
        turn: Option<OwnedSemaphorePermit>,
    ) {
        let on_disk = OnDisk { disk: self.clone(), number, load, stays: OnceLock::new(), _turn: turn };
        let key = lane.key(batch.meta());
        let pieces = lane.cut(SmallVec::from_iter([batch]));
        self.queue.offer_stored(&key, pieces, load, on_disk);
    }

    /// The next batch of those that are on the disk only. It is read with its turn to go on from there.
    async fn read(&self) -> Option<Read> {
        let _reader = self.reader.lock().await;
        let journal = self.journal.clone();
        let next = match tokio::task::spawn_blocking(move || journal.next()).await {
            Ok(Ok(next)) => next,
            Ok(Err(error)) => {
                if let Some(times) = self.unreadable.again() {
                    let component = self.counts.drops.component();
                    tracing::error!(component, signal = %self.signal, times, "cannot read the queue on disk: {error}");
                }
                return None;
            }
            Err(_) => return None,
        };
        if next.lost_items > 0 {
            let lost = usize::try_from(next.lost_items).unwrap_or(usize::MAX);
            self.counts.flow.in_flight.sub(gauge(lost));
            self.counts.lost(lost, &damaged());
        }
        let Stored { number, record } = next.stored?;
        let (number_of_lane, meta) = note::read(record.note);
        let lane = self.lane(number_of_lane);
        let batch = Batch::from_parts(self.signal, record.body, record.items);
        let batch = match meta {
            Some(meta) => batch.with_meta(meta),
            None => batch,
        };
        let load = self.queue.bounds().load(&batch, &lane);
        Some(Read { number, at: record.at, lane, batch, load })
    }

    /// Takes the next batch from the disk into memory. Answers with its bytes, or `None` where there is none.
    async fn read_one(self: &Arc<Disk>, turn: OwnedSemaphorePermit) -> Option<usize> {
        let read = self.read().await?;
        let age = self.clock.now().saturating_sub(read.at);
        let max_age = self.rules().max_age;
        if !max_age.is_zero() && age > max_age {
            let reason = Reason::new("too_old", format!("waited {} s, longer than max_age", age.as_secs()));
            self.drop_stored(&read, |batch| self.counts.dropped(batch, batch.items(), &reason));
            return Some(0);
        }
        let Read { number, lane, batch, load, .. } = read;
        self.hand_on(&lane, batch, load, number, Some(turn));
        Some(load.bytes)
    }

    /// Drops the batch that waits longest, on the disk or in memory. False where all that is there is being exported.
    async fn drop_oldest(self: &Arc<Disk>) -> bool {
        match (self.queue.oldest_stored(), self.journal.first_waiting()) {
            (None, None) => false,
            (Some(here), there) if there.is_none_or(|there| here < there) => {
                give_way(&self.counts, self.queue.displace().unwrap_or_default());
                true
            }
            _ => {
                let Some(read) = self.read().await else { return false };
                let reason = Reason::new(queue::OVERFLOW, "the queue on disk is full, and this waited longest");
                self.drop_stored(&read, |batch| self.counts.overflowed(batch, &reason));
                true
            }
        }
    }

    /// Is done with a batch that was read.
    fn drop_stored(&self, read: &Read, count: impl FnOnce(&Batch)) {
        self.counts.flow.in_flight.sub(gauge(read.batch.items()));
        count(&read.batch);
        self.journal.done(read.number);
        self.release(read.load);
    }

    /// The front that has that number now, or the first.
    fn lane(&self, number: usize) -> Arc<LaneSettings> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let found = lanes.iter().find(|lane| lane.number == number).or(lanes.first()).cloned();
        found.unwrap_or_else(|| Arc::new(LaneSettings::plain()))
    }

    /// Stops reading and taking; the journal is closed by [`Disk::close`].
    pub(super) fn stop(&self) {
        self.stopping.cancel();
        self.freed.notify_waiters();
    }

    /// Lets everything end without waiting for it.
    pub(super) fn abandon(&self) {
        self.stop();
        self.journal.close();
    }

    /// Writes what is still to be written.
    pub(super) async fn close(&self) {
        self.stop();
        self.journal.close();
        self.tasks.close();
        self.tasks.wait().await;
        let left = self.used().records;
        if left > 0 {
            let component = self.counts.drops.component();
            tracing::info!(component, signal = %self.signal, batches = left, "stays on the disk until the next start");
        }
    }

    /// Batches that are on the disk only.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.journal.waiting()
    }

    fn reserve(&self, load: Load) -> Result<(), Refused> {
        if self.stopping.is_cancelled() {
            return Err(queue::shutting_down());
        }
        let capacity = self.rules().capacity;
        let mut used = self.used();
        let Load { units, bytes } = used.load;
        let fits = units + load.units <= capacity.units && bytes + load.bytes <= capacity.bytes;
        // What is larger than the whole queue gets it for itself.
        if !fits && used.records > 0 {
            return Err(self.queue.bounds().full_by(used.load, capacity));
        }
        used.load = Load { units: units + load.units, bytes: bytes + load.bytes };
        used.records += 1;
        drop(used);
        self.show();
        Ok(())
    }

    fn release(&self, load: Load) {
        let mut used = self.used();
        used.records = used.records.saturating_sub(1);
        used.load.units = used.load.units.saturating_sub(load.units);
        used.load.bytes = used.load.bytes.saturating_sub(load.bytes);
        if used.records == 0 {
            used.load = Load::default();
        }
        drop(used);
        self.show();
        self.freed.notify_waiters();
    }

    fn show(&self) {
        if self.is_given_up() {
            return;
        }
        let load = self.used().load;
        self.counts.queue_size.set(gauge(self.queue.bounds().shown(load.units)));
        self.counts.queue_bytes.set(gauge(load.bytes));
    }

    /// What it holds, and of how much.
    pub(super) fn level(&self) -> (Load, Load) {
        (self.used().load, self.rules().capacity)
    }

    /// How long the oldest batch waits.
    pub(super) fn age(&self) -> Duration {
        self.journal.oldest().map_or(Duration::ZERO, |at| self.clock.now().saturating_sub(at))
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch that was read from the disk.
struct Read {
    number: u64,
    at: Duration,
    lane: Arc<LaneSettings>,
    batch: Batch,
    load: Load,
}

fn damaged() -> Reason {
    Reason::new("queue_damaged", "the queue's file on disk is damaged")
}

/// Reads from the disk what waits there, as long as there is memory, it is its turn, and it is not too fast.
async fn feed(disk: Arc<Disk>) {
    let mut not_before = Instant::now();
    while !disk.stopping.is_cancelled() {
        let woken = disk.feed.notified();
        if disk.has_left() {
            let component = disk.counts.drops.component();
            tracing::info!(component, signal = %disk.signal, "everything in the queue on disk that is given up is delivered");
            return disk.abandon();
        }
        if disk.journal.waiting() > 0
            && disk.queue.has_memory(0)
            && not_before <= Instant::now()
            && let Ok(turn) = disk.rules().turns.try_acquire_owned()
            && let Some(bytes) = disk.read_one(turn).await
        {
            if let Some(rate) = disk.rules().rate {
                not_before = not_before.max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / rate);
            }
            continue;
        }
        let now = Instant::now();
        tokio::select! {
            () = tokio::time::sleep_until(not_before), if not_before > now => {}
            _ = timeout(TICK, woken) => {}
            () = disk.stopping.cancelled() => {}
        }
    }
}
