//! What stands before every exporter: queue, batching, retry, timeout. It is the only place that answers a batch early.
//!
//! A batch takes this way: a [`Consumer`] made by [`Delivery::front`] puts it into the queue (or, without a queue, waits
//! for the delivery itself); one of `num_consumers` tasks takes it out, merged with others or in pieces as the batch
//! settings say; the courier brings it to the exporter, with retries. The answer is given when the queue has it, on disk
//! where it has a `storage`; or, with `wait_for_result` and without a queue, when the far side has it.
//!
//! With one consumer what a branch sends stays in its order, retries included.
//!
//! A queue outlives the exporter that it feeds: when a reload changes that, the next delivery goes on with the queue
//! (`succession`).

mod backoff;
mod bounds;
mod config;
mod courier;
mod cut;
mod disk;
mod forecast;
mod held;
mod lane;
mod note;
mod queue;
mod settings;
mod storage;
mod succession;

#[cfg(test)]
mod tests;

use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

pub use config::DeliveryConfig;
pub use disk::Storage;
pub use settings::{BatchSettings, Overflow, QueueSettings, Recovery, RetrySettings, Settings, Sizer};
pub use storage::{FileStorage, FileStorageFactory};

use self::courier::{Courier, End};
use self::disk::{Disk, Lanes, STOP_PATIENCE};
use self::forecast::Watch;
use self::lane::LaneSettings;
use self::queue::{Displaced, OVERFLOW, QUEUE_FULL, Queue};
use self::succession::{Follows, Leaving};
use crate::batch::{Batch, Signal};
use crate::component::{BoxFuture, Consumer, Exporter, Outcome, Reason, Refused};
use crate::config::ComponentId;
use crate::telemetry::{BatchCounts, ExporterCounts, Meter, Reporter, Seldom, gauge};

/// The delivery before one exporter, for one signal.
pub struct Delivery {
    settings: Settings,
    id: ComponentId,
    signal: Signal,
    meter: Meter,
    counts: ExporterCounts,
    courier: Arc<Courier>,
    queue: Arc<Queue>,
    workers: TaskTracker,
    /// Callers that wait for their delivery themselves.
    calls: TaskTracker,
    has_started: AtomicBool,
    fronts: Arc<AtomicUsize>,
    queued: Arc<AtomicUsize>,
    lanes: Lanes,
    /// Where its queue is to be on disk.
    storage: Mutex<Option<Storage>>,
    disk: Arc<OnceLock<Arc<Disk>>>,
    /// Queues on disk that are given up, as long as they hold something.
    leaving: Mutex<Vec<Leaving>>,
    /// Where it follows another: how its queue on disk is had.
    follows: Option<Follows>,
    /// Whether the queue is this delivery's, and not that of the one before it or after it.
    has_queue: AtomicBool,
    /// Sets the levels that are shown whenever own metrics are read.
    watch: Arc<Watch>,
}

/// What a delivery could not bring out before the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The exporter.
    pub exporter: ComponentId,
    /// Its signal.
    pub signal: Signal,
    /// How many items.
    pub items: u64,
}

impl Delivery {
    /// A delivery that is not started yet.
    pub fn new(
        settings: Settings,
        id: ComponentId,
        signal: Signal,
        exporter: Arc<dyn Exporter>,
        meter: &Meter,
    ) -> Self {
        let counts = ExporterCounts::new(meter, &id, signal);
        let courier = Courier {
            exporter,
            timeout: settings.timeout,
            retry: settings.retry.clone(),
            counts: counts.clone(),
            end: End::default(),
            lost: AtomicU64::new(0),
            trouble: Seldom::default(),
            reporter: OnceLock::new(),
            retrying: Mutex::default(),
        };
        let courier = Arc::new(courier);
        let queue = Arc::new(Queue::new(&settings.queue, counts.clone()));
        let disk = Arc::<OnceLock<Arc<Disk>>>::default();
        let watch = Arc::new(Watch::new(&settings, counts.clone(), queue.clone(), courier.clone(), disk.clone()));
        meter.look_before_reading(&watch);
        Delivery {
            queue,
            courier,
            meter: meter.clone(),
            workers: TaskTracker::new(),
            calls: TaskTracker::new(),
            has_started: AtomicBool::new(false),
            fronts: Arc::default(),
            queued: Arc::default(),
            lanes: Lanes::default(),
            storage: Mutex::default(),
            disk,
            leaving: Mutex::default(),
            follows: None,
            has_queue: AtomicBool::new(true),
            watch,
            settings,
            id,
            signal,
            counts,
        }
    }

    /// How the far side is, is said there.
    pub fn report_to(&self, reporter: Reporter) {
        let _ = self.courier.reporter.set(reporter);
    }

    /// Its queue is to be there, once it is opened.
    pub fn store_in(&self, storage: Storage) {
        *self.storage.lock().unwrap_or_else(PoisonError::into_inner) = Some(storage);
    }

    /// Opens the queue on disk, where there is to be one. Where the disk does not let it, that is said, and the queue is
    /// in memory.
    pub async fn open(&self) {
        if self.queued.load(Ordering::Relaxed) == 0 || self.disk.get().is_some() {
            return;
        }
        let Some(storage) = self.storage() else { return };
        let folder = storage.journal.folder.clone();
        let mut tries = if self.follows.is_some() { succession::TRIES } else { 1 };
        let error = loop {
            let (settings, queue) = (self.settings.queue.clone(), self.queue.clone());
            let (counts, lanes, signal) = (self.counts.clone(), self.lanes.clone(), self.signal);
            let storage = storage.clone();
            let opening =
                tokio::task::spawn_blocking(move || Disk::open(storage, &settings, &queue, counts, signal, lanes));
            match opening.await {
                Ok(Ok((disk, committer))) => {
                    disk.start(committer);
                    let _ = self.disk.set(disk);
                    return;
                }
                Ok(Err(error)) => {
                    tries -= 1;
                    if tries == 0 {
                        break error;
                    }
                    // A queue in the same folder may just be about to leave.
                    tokio::time::sleep(succession::APART).await;
                }
                Err(_) => return,
            }
        };
        let (component, signal, folder) = (self.counts.drops.component(), self.signal, folder.display());
        let message = format!("the queue is in memory only: {folder} cannot be used: {error}");
        tracing::error!(component, %signal, "{message}");
        self.courier.reporter.get().inspect(|reporter| reporter.recoverable(&message));
    }

    /// Where one pipeline hands its batches. `batch` is what a `batch` processor of that pipeline asks for, with its id:
    /// it holds where the exporter's own `sending_queue.batch` says nothing, and implies a queue.
    pub fn front(&self, batch: Option<(ComponentId, BatchSettings)>) -> Arc<dyn Consumer> {
        let own = self.settings.queue.batch.clone();
        if !self.settings.queue.enabled && batch.is_none() {
            return Arc::new(Direct { courier: self.courier.clone(), calls: self.calls.clone() });
        }
        let (batch, counts) = match (own.filter(|_| self.settings.queue.enabled), batch) {
            (Some(own), _) => (Some(own), None),
            (None, Some((processor, batch))) => (Some(batch), Some(BatchCounts::new(&self.meter, &processor))),
            (None, None) => (None, None),
        };
        let unit = batch.as_ref().map_or(Sizer::Items, |b| b.sizer(self.settings.queue.sizer));
        let number = self.fronts.fetch_add(1, Ordering::Relaxed);
        // Branches without batching, or with the exporter's own, share a lane and with it one order.
        let number = if counts.is_some() { number + 1 } else { 0 };
        self.queued.fetch_add(1, Ordering::Relaxed);
        let lane = Arc::new(LaneSettings { number, batch, unit, counts });
        {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.retain(|lane| Arc::strong_count(lane) > 1);
            lanes.push(lane.clone());
        }
        Arc::new(Queued {
            lane,
            disk: self.disk.clone(),
            queue: self.queue.clone(),
            counts: self.counts.clone(),
            stores: self.settings.queue.storage.is_some(),
            wait_for_result: self.settings.queue.wait_for_result,
            overflow: self.settings.queue.overflow,
        })
    }

    /// Starts the consumers, where any front queues; once.
    pub fn start(&self) {
        if self.queued.load(Ordering::Relaxed) == 0 || self.has_started.swap(true, Ordering::Relaxed) {
            return;
        }
        for _ in 0..self.settings.queue.num_consumers.max(1) {
            self.workers.spawn(work(self.queue.clone(), self.courier.clone()));
        }
    }

    /// Takes nothing new, delivers what is held until the deadline, and counts what is not delivered then as dropped for
    /// the reason `shutdown`. The exporter is closed afterwards by whoever made it. One that was relieved has nothing left
    /// but calls that began before.
    pub async fn close(&self, deadline: Instant) -> Lost {
        let disk = self.disk.get().filter(|_| self.has_queue());
        // What is on the disk is not lost: there is no need to wait long for a far side that does not answer.
        let deadline = if disk.is_some() { deadline.min(Instant::now() + STOP_PATIENCE) } else { deadline };
        self.courier.end.begin(deadline);
        if self.has_queue() {
            disk.inspect(|disk| disk.stop());
            self.queue.close();
        }
        self.workers.close();
        self.calls.close();
        if timeout_at(deadline, async { tokio::join!(self.workers.wait(), self.calls.wait()) }).await.is_err() {
            if self.courier.end.relieved.is_cancelled() {
                // What is still being sent is sent by the successor, calls included.
                self.courier.end.abandoned.cancel();
                self.workers.wait().await;
            } else {
                self.courier.end.over.cancel();
                // Nothing waits any more: this counts what is left.
                tokio::join!(self.workers.wait(), self.calls.wait());
            }
        }
        if let Some(disk) = disk {
            disk.close().await;
        }
        let leaving: Vec<_> = self.leaving().drain(..).collect();
        for Leaving { disk, .. } in leaving {
            disk.close().await;
        }
        let items = self.courier.lost.load(Ordering::Relaxed);
        Lost { exporter: self.id.clone(), signal: self.signal, items }
    }

    fn has_queue(&self) -> bool {
        self.has_queue.load(Ordering::Acquire)
    }

    fn storage(&self) -> Option<Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Leaving>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.has_queue() {
            self.give_back();
            return;
        }
        self.courier.end.begin(Instant::now());
        self.courier.end.over.cancel();
        self.queue.close();
        if let Some(disk) = self.disk.get() {
            disk.abandon();
        }
        self.leaving().iter().for_each(|leaving| leaving.disk.abandon());
    }
}

/// One consumer: takes what is ready and brings it to the exporter.
async fn work(queue: Arc<Queue>, courier: Arc<Courier>) {
    loop {
        let next = tokio::select! {
            biased;
            () = courier.end.relieved.cancelled() => return,
            next = queue.next() => next,
        };
        let Some(job) = next else { return };
        let lane = job.key();
        let (shipment, rest) = job.load();
        if let Some((key, entry)) = rest {
            queue.put_back(&key, entry);
        }
        let over = &courier.end.over;
        if over.is_cancelled() {
            courier.lose(&shipment);
            continue;
        }
        tokio::select! {
            // Polled first, so that it has the shipment before it can be abandoned.
            biased;
            left = courier.deliver(shipment) => queue.put_back_shipments(&lane, left),
            () = over.cancelled() => {}
        }
    }
}

/// The front of a delivery without a queue: the caller waits for the delivery itself.
struct Direct {
    courier: Arc<Courier>,
    calls: TaskTracker,
}

impl Consumer for Direct {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(());
            }
            let Courier { counts, end, .. } = &*self.courier;
            counts.received(batch.items());
            let _call = self.calls.token();
            if end.has_begun() {
                counts.not_queued(batch.items());
                return Err(queue::shutting_down());
            }
            tokio::select! {
                biased;
                outcome = self.courier.deliver_for_caller(batch) => outcome,
                () = end.over.cancelled() => Err(queue::shutting_down()),
            }
        })
    }
}

/// The front of a delivery with a queue.
struct Queued {
    lane: Arc<LaneSettings>,
    disk: Arc<OnceLock<Arc<Disk>>>,
    queue: Arc<Queue>,
    counts: ExporterCounts,
    stores: bool,
    wait_for_result: bool,
    overflow: Overflow,
}

impl Consumer for Queued {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        if batch.is_empty() {
            return Box::pin(ready(Ok(())));
        }
        if let Some(disk) = self.disk.get().filter(|disk| !disk.is_given_up()) {
            return Box::pin(disk.take(self.lane.clone(), batch, self.overflow));
        }
        let offered = match self.overflow {
            Overflow::Refuse => self.offer(batch),
            Overflow::Block => return Box::pin(self.offer_blocking(batch)),
            Overflow::DropNewest => self.offer_or_drop(batch),
            Overflow::DropOldest => self.offer_displacing(batch),
        };
        match offered {
            Ok(None) => Box::pin(ready(Ok(()))),
            Ok(Some(result)) => Box::pin(answer(result)),
            Err(refused) => {
                self.queue.tell(&refused);
                Box::pin(ready(Err(refused)))
            }
        }
    }

    fn answers_from_memory(&self) -> bool {
        !self.wait_for_result && !self.stores
    }
}

/// What comes once a batch is delivered.
type Waiting = oneshot::Receiver<Outcome>;

impl Queued {
    /// Into the queue, or back; and what to wait for then.
    fn offer(&self, batch: Batch) -> Result<Option<Waiting>, Refused> {
        let items = batch.items();
        self.try_offer(batch).inspect_err(|_| self.counts.not_taken(items))
    }

    fn try_offer(&self, batch: Batch) -> Result<Option<Waiting>, Refused> {
        let load = self.queue.bounds().load(&batch, &self.lane);
        self.queue.has_room(load).inspect_err(|refused| self.look_at(&batch, refused))?;
        let key = self.lane.key(batch.meta());
        let pieces = self.lane.cut(self.queue.bounds().fitting(batch));
        let (waiter, result) = self.waiter();
        self.queue.offer(&key, pieces, load, waiter)?;
        Ok(result)
    }

    /// Remembers what is given back, where it is not dropped at once.
    fn look_at(&self, batch: &Batch, refused: &Refused) {
        if self.overflow != Overflow::DropNewest {
            self.counts.drops.refused(batch, refused.reason());
        }
    }

    /// Into the queue, or away.
    fn offer_or_drop(&self, batch: Batch) -> Result<Option<Waiting>, Refused> {
        let dropped = batch.clone();
        self.try_offer(batch).or_else(|refused| {
            if refused.reason().code != QUEUE_FULL {
                self.counts.not_taken(dropped.items());
                return Err(refused);
            }
            self.counts.received(dropped.items());
            self.counts.overflowed(&dropped, &overflow(&refused));
            Ok(None)
        })
    }

    /// Into the queue, whatever has to give way there.
    fn offer_displacing(&self, batch: Batch) -> Result<Option<Waiting>, Refused> {
        let given = batch.clone();
        let load = self.queue.bounds().load(&batch, &self.lane);
        let key = self.lane.key(batch.meta());
        let pieces = self.lane.cut(self.queue.bounds().fitting(batch));
        let (waiter, result) = self.waiter();
        let (outcome, displaced) = self.queue.offer_displacing(&key, pieces, load, waiter);
        give_way(&self.counts, displaced);
        outcome.inspect_err(|refused| {
            self.counts.not_taken(given.items());
            self.counts.drops.refused(&given, refused.reason());
        })?;
        Ok(result)
    }

    async fn offer_blocking(&self, batch: Batch) -> Outcome {
        let mut refused = NotQueued { counts: &self.counts, items: batch.items() };
        let load = self.queue.bounds().load(&batch, &self.lane);
        let key = self.lane.key(batch.meta());
        let pieces = self.lane.cut(self.queue.bounds().fitting(batch));
        let (waiter, result) = self.waiter();
        self.queue.offer_blocking(key, pieces, load, waiter).await?;
        refused.items = 0;
        drop(refused);
        match result {
            Some(result) => answer(result).await,
            None => Ok(()),
        }
    }

    fn waiter(&self) -> (Option<oneshot::Sender<Outcome>>, Option<Waiting>) {
        if self.wait_for_result {
            let (sender, receiver) = oneshot::channel();
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        }
    }
}

/// Accounts for what something newer took the place of. Senders that wait for their result still have it.
fn give_way(counts: &ExporterCounts, displaced: Displaced) {
    if displaced.is_empty() {
        return;
    }
    let reason = Reason::new(OVERFLOW, "the sending queue is full, and this waited longest");
    let refused = Refused::Retry { after: None, reason: reason.clone() };
    for entry in displaced {
        let items = entry.batch.items();
        if entry.held.refuse(&refused) {
            counts.not_queued(items);
        } else {
            counts.overflowed(&entry.batch, &reason);
        }
        counts.flow.in_flight.sub(gauge(items));
    }
}

/// Why a batch is dropped that was refused for want of room.
fn overflow(refused: &Refused) -> Reason {
    Reason::new(OVERFLOW, refused.reason().message.clone())
}

async fn answer(result: Waiting) -> Outcome {
    result.await.unwrap_or_else(|_| Err(queue::shutting_down()))
}

/// Counts a batch that was given back, be it that the caller went away while it waited for room.
struct NotQueued<'a> {
    counts: &'a ExporterCounts,
    items: usize,
}

impl Drop for NotQueued<'_> {
    fn drop(&mut self) {
        self.counts.not_taken(self.items);
    }
}
