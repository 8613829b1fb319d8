//! Brings shipments to an exporter: one attempt after the other, a timeout around each, backoff between them, bisection
//! where the far side will never take the whole.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::IntGauge;
use smallvec::SmallVec;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::lane::{Owner, Shipment};
use super::{RetrySettings, Sizer, cut};
use crate::batch::{Batch, Parts};
use crate::component::{Exported, Exporter, Outcome, Reason, Receipt, Refused};
use crate::net::auth::on_behalf_of;
use crate::otlp::count;
use crate::telemetry::{ExporterCounts, Reporter, Seldom, gauge};

/// Brings shipments to one exporter.
pub(super) struct Courier {
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) timeout: Duration,
    pub(super) retry: RetrySettings,
    pub(super) counts: ExporterCounts,
    pub(super) end: End,
    /// Items dropped because the process ended.
    pub(super) lost: AtomicU64,
    /// Attempts that are to be repeated.
    pub(super) trouble: Seldom,
    /// Where it says how the far side is.
    pub(super) reporter: OnceLock<Reporter>,
    /// Since when what is tried again is, and whether it will be given up.
    pub(super) retrying: Mutex<Vec<(Instant, bool)>>,
}

/// The code of what is lost at the end of the process.
const SHUTDOWN: &str = "shutdown";

/// The end of a delivery: from when on nothing may last beyond which instant; or who goes on in its place.
#[derive(Default)]
pub(super) struct End {
    begun: CancellationToken,
    deadline: OnceLock<Instant>,
    /// Cancelled when another courier goes on: what is not being attempted is given back.
    pub(super) relieved: CancellationToken,
    /// Cancelled when that one waits no longer: what is being attempted is given back, too, and may come twice.
    pub(super) abandoned: CancellationToken,
    successor: OnceLock<Arc<Courier>>,
    /// Cancelled when the deadline is over: whatever is not delivered is lost.
    pub(super) over: CancellationToken,
}

impl End {
    pub(super) fn begin(&self, deadline: Instant) {
        let _ = self.deadline.set(deadline);
        self.begun.cancel();
    }

    /// From now on `successor` delivers.
    pub(super) fn relieve(&self, successor: Arc<Courier>) {
        let _ = self.successor.set(successor);
        self.relieved.cancel();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits until then. False when the end has begun and would come before.
    async fn wait(&self, until: Instant) -> bool {
        let Some(deadline) = self.deadline.get() else {
            tokio::select! {
                () = sleep_until(until) => return true,
                () = self.begun.cancelled() => {}
            }
            // One last attempt at once, rather than none.
            if self.deadline.get().is_some_and(|&deadline| until <= deadline) {
                sleep_until(until).await;
            }
            return true;
        };
        if until > *deadline {
            return false;
        }
        sleep_until(until).await;
        true
    }
}

/// What is given back needs no reason; it is not counted.
static RELIEVED: Reason = Reason { code: "relieved", message: Cow::Borrowed("the exporter is being replaced") };

/// Why a batch was not delivered.
enum Failure {
    /// The far side will never take it.
    Rejected(Reason),
    /// The far side would not take it, and it was not or is no longer to be tried again.
    GivenUp { last: Reason, why: Option<Reason> },
    /// Another courier goes on with it.
    GivenBack,
}

impl Failure {
    /// What the ledger says.
    fn reason(&self) -> &Reason {
        match self {
            Failure::Rejected(reason) | Failure::GivenUp { last: reason, why: None } => reason,
            Failure::GivenUp { why: Some(reason), .. } => reason,
            Failure::GivenBack => &RELIEVED,
        }
    }

    /// What a caller is told that still has the data.
    fn refused(&self) -> Refused {
        match self {
            Failure::Rejected(reason) => Refused::Reject { reason: reason.clone() },
            Failure::GivenUp { last, .. } => Refused::Retry { after: None, reason: last.clone() },
            Failure::GivenBack => Refused::Retry { after: None, reason: RELIEVED.clone() },
        }
    }
}

impl Courier {
    /// Delivers the shipment or gives it up, whole or in parts; every item of it is counted and every owner answered, but
    /// for what is given back because another courier goes on, the next of it last.
    pub(super) async fn deliver(&self, shipment: Shipment) -> SmallVec<[Shipment; 2]> {
        let mut pending = Pending { courier: self, stack: SmallVec::from_iter([shipment]) };
        while let Some(shipment) = pending.stack.last() {
            let result = self.send(&shipment.batch, self.limit(shipment)).await;
            if let Err(Failure::GivenBack) = result {
                return std::mem::take(&mut pending.stack);
            }
            let Some(shipment) = pending.stack.pop() else { break };
            match result {
                Ok(receipt) => self.delivered(&shipment.batch, receipt),
                Err(failure) => match bisect(shipment, &failure) {
                    Ok([first, second]) => pending.stack.extend([second, first]),
                    Err(shipment) => self.failed(&shipment, &failure),
                },
            }
        }
        SmallVec::new()
    }

    /// Delivers the batch of a caller that waits for it and gets the answer itself, be it by the courier that goes on.
    pub(super) async fn deliver_for_caller(&self, batch: Batch) -> Outcome {
        let items = batch.items();
        self.counts.flow.in_flight.add(gauge(items));
        let mut returned = Returned { courier: self, items };
        let mut stack = SmallVec::<[Shipment; 4]>::from_iter([Shipment::whole(batch, None)]);
        let mut worst: Option<Refused> = None;
        let mut courier = self;
        while let Some(shipment) = stack.pop() {
            match courier.send(&shipment.batch, courier.retry.max_elapsed_time).await {
                Err(Failure::GivenBack) => {
                    // Nobody is relieved without a successor.
                    courier = courier.end.successor.get().map_or(courier, |successor| &**successor);
                    stack.push(shipment);
                }
                Ok(receipt) => {
                    returned.items -= shipment.batch.items();
                    self.delivered(&shipment.batch, receipt);
                }
                Err(failure) => match bisect(shipment, &failure) {
                    Ok([first, second]) => stack.extend([second, first]),
                    Err(shipment) => {
                        let refused = failure.refused();
                        self.counts.drops.refused(&shipment.batch, refused.reason());
                        worst = Some(worst.map_or(refused.clone(), |worst| worst.worse(refused)));
                    }
                },
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// Counts a shipment as lost at the end of the process.
    pub(super) fn lose(&self, shipment: &Shipment) {
        let reason = Reason::new(SHUTDOWN, "not delivered before the shutdown deadline");
        self.failed(shipment, &Failure::GivenUp { last: reason.clone(), why: Some(reason) });
    }

    /// After which time it is given up; zero is never. What one of its senders has still need not be lost.
    fn limit(&self, shipment: &Shipment) -> Duration {
        let is_kept = shipment.owners.iter().any(|owner| owner.held.as_ref().is_some_and(|held| held.is_kept()));
        if is_kept { self.retry.max_elapsed_of_kept } else { self.retry.max_elapsed_time }
    }

    /// Attempts until the far side has taken it, will never take it, or time is over: `limit`, unless that is zero.
    async fn send(&self, batch: &Batch, limit: Duration) -> Result<Receipt, Failure> {
        let started = Instant::now();
        let mut backoff = Backoff::new(&self.retry);
        let mut retrying = None;
        self.counts.exporting(batch);
        loop {
            let attempt = tokio::select! {
                biased;
                answer = self.attempt(batch) => answer,
                () = self.end.abandoned.cancelled() => return Err(Failure::GivenBack),
            };
            let (after, last) = match attempt {
                Ok(receipt) => {
                    self.reporter.get().inspect(|reporter| reporter.ok());
                    if self.trouble.is_over() {
                        let (component, signal) = (self.counts.drops.component(), batch.signal());
                        tracing::info!(component, %signal, "delivering again");
                    }
                    return Ok(receipt);
                }
                Err(Refused::Reject { reason }) => {
                    if let Some(reporter) = self.reporter.get().filter(|_| WHATEVER_IS_SENT.contains(&reason.code)) {
                        reporter.permanent(&reason.to_string());
                    }
                    return Err(Failure::Rejected(reason));
                }
                Err(Refused::Retry { after, reason }) => (after, reason),
            };
            self.reporter.get().inspect(|reporter| reporter.recoverable(&last.to_string()));
            if !self.retry.enabled {
                return Err(Failure::GivenUp { last, why: None });
            }
            let wait = after.filter(|after| !after.is_zero()).unwrap_or_else(|| backoff.next());
            if !limit.is_zero() && started.elapsed() + wait > limit {
                let why = Reason::new("retry_exhausted", format!("given up after {limit:?}: {last}"));
                return Err(Failure::GivenUp { last, why: Some(why) });
            }
            retrying.get_or_insert_with(|| Retrying::new(self, started, !limit.is_zero()));
            if let Some(times) = self.trouble.again() {
                let (component, signal) = (self.counts.drops.component(), batch.signal());
                tracing::warn!(component, %signal, times, next_attempt = ?wait, "not delivered yet: {last}");
            }
            let in_time = tokio::select! {
                biased;
                () = self.end.relieved.cancelled() => return Err(Failure::GivenBack),
                in_time = self.end.wait(Instant::now() + wait) => in_time,
            };
            if !in_time {
                let why = Reason::new(SHUTDOWN, format!("not delivered before the shutdown deadline: {last}"));
                return Err(Failure::GivenUp { last, why: Some(why) });
            }
        }
    }

    /// Since when the first of what is tried again is.
    pub(super) fn retries_since(&self) -> Option<Instant> {
        self.retrying().iter().map(|(since, _)| *since).min()
    }

    /// The same of what will be given up.
    pub(super) fn limited_retries_since(&self) -> Option<Instant> {
        self.retrying().iter().filter(|(_, is_limited)| *is_limited).map(|(since, _)| *since).min()
    }

    fn retrying(&self) -> MutexGuard<'_, Vec<(Instant, bool)>> {
        self.retrying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, batch: &Batch) -> Exported {
        let _running = Running::new(&self.counts.in_flight_requests);
        let export = on_behalf_of(batch.meta(), async { self.exporter.export(batch).await });
        let export = AssertUnwindSafe(export).catch_unwind();
        let result = if self.timeout.is_zero() {
            export.await
        } else {
            match timeout(self.timeout, export).await {
                Ok(result) => result,
                Err(_) => return Err(Refused::retry("timeout", format!("no answer within {:?}", self.timeout))),
            }
        };
        result.unwrap_or_else(|_| Err(Refused::reject("panic", "the exporter has a bug: it panicked")))
    }

    fn delivered(&self, batch: &Batch, receipt: Receipt) {
        let items = batch.items();
        let mut left = items;
        for (reason, dropped) in receipt.dropped {
            let dropped = dropped.min(left);
            left -= dropped;
            self.counts.dropped_by_far_side(batch, dropped, &reason);
        }
        self.counts.sent(left);
        self.counts.flow.in_flight.sub(gauge(items));
    }

    fn failed(&self, shipment: &Shipment, failure: &Failure) {
        let refused = failure.refused();
        let reason = failure.reason();
        let (mut nobodys, mut stay, mut returned) = (0, 0, false);
        for Owner { held, items, .. } in &shipment.owners {
            if reason.code == SHUTDOWN && held.as_ref().is_some_and(|held| held.stays()) {
                stay += items;
            } else if held.as_ref().is_some_and(|held| held.refuse(&refused)) {
                self.counts.returned(*items);
                returned = true;
            } else {
                nobodys += items;
            }
        }
        if reason.code == SHUTDOWN {
            self.lost.fetch_add(nobodys as u64, Ordering::Relaxed);
        }
        if returned {
            self.counts.drops.refused(&shipment.batch, refused.reason());
        }
        self.counts.dropped(&shipment.batch, nobodys, reason);
        self.counts.flow.in_flight.sub(gauge(shipment.batch.items() - stay));
    }
}

/// Shipments that are lost when their delivery is abandoned; the last is the next.
struct Pending<'a> {
    courier: &'a Courier,
    stack: SmallVec<[Shipment; 2]>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.stack.iter().for_each(|shipment| self.courier.lose(shipment));
    }
}

/// Items that a caller still has when its call ends, be it that it went away.
struct Returned<'a> {
    courier: &'a Courier,
    items: usize,
}

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        self.courier.counts.returned(self.items);
        self.courier.counts.flow.in_flight.sub(gauge(self.items));
    }
}

/// A batch that is tried again.
struct Retrying<'a> {
    courier: &'a Courier,
    entry: (Instant, bool),
}

impl Retrying<'_> {
    fn new(courier: &Courier, since: Instant, is_limited: bool) -> Retrying<'_> {
        let entry = (since, is_limited);
        courier.retrying().push(entry);
        Retrying { courier, entry }
    }
}

impl Drop for Retrying<'_> {
    fn drop(&mut self) {
        let mut retrying = self.courier.retrying();
        if let Some(at) = retrying.iter().position(|entry| *entry == self.entry) {
            retrying.swap_remove(at);
        }
    }
}

struct Running<'a>(&'a IntGauge);

impl Running<'_> {
    fn new(gauge: &IntGauge) -> Running<'_> {
        gauge.inc();
        Running(gauge)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Codes of rejections that have nothing to do with what was sent, so that a part of it would fare no better.
const WHATEVER_IS_SENT: [&str; 10] = [
    "panic",
    "http_401",
    "http_403",
    "http_404",
    "http_405",
    "http_407",
    "http_415",
    "grpc_unauthenticated",
    "grpc_permission_denied",
    "grpc_unimplemented",
];
/// Codes of rejections for size, where half of a single request may still be taken.
const FOR_SIZE: [&str; 2] = ["too_large", "http_413"];

/// The two halves of a rejected shipment, along request boundaries, so that one bad request does not cost the others.
fn bisect(shipment: Shipment, failure: &Failure) -> Result<[Shipment; 2], Shipment> {
    let Failure::Rejected(reason) = failure else { return Err(shipment) };
    if WHATEVER_IS_SENT.contains(&reason.code) {
        return Err(shipment);
    }
    match shipment.batch.parts().len() {
        0 => Err(shipment),
        1 if FOR_SIZE.contains(&reason.code) => halve(shipment),
        1 => Err(shipment),
        parts => Ok(split_at(&shipment, parts / 2)),
    }
}

/// The halves of a single request.
fn halve(shipment: Shipment) -> Result<[Shipment; 2], Shipment> {
    let items = shipment.batch.items();
    let (true, [owner]) = (items > 1, shipment.owners.as_slice()) else { return Err(shipment) };
    let pieces = cut::pieces(shipment.batch.clone(), Sizer::Items, items.div_ceil(2));
    let of_owner = |batch: Batch| Shipment::whole(batch, owner.held.clone());
    match <[Batch; 2]>::try_from(pieces.into_vec()) {
        Ok([first, second]) => Ok([of_owner(first), of_owner(second)]),
        Err(_) => Err(shipment),
    }
}

/// The first `at` parts and the others.
fn split_at(shipment: &Shipment, at: usize) -> [Shipment; 2] {
    let mut halves = [(Parts::new(), SmallVec::new(), 0), (Parts::new(), SmallVec::new(), 0)];
    let mut start = 0;
    for owner in &shipment.owners {
        let all = start..start + owner.parts;
        for (half, range) in [all.start..all.end.min(at), all.start.max(at)..all.end].into_iter().enumerate() {
            if range.is_empty() {
                continue;
            }
            let parts = &shipment.batch.parts()[range.clone()];
            let items = if range == all { owner.items } else { items(&shipment.batch, parts) };
            let (all_parts, owners, all_items) = &mut halves[half];
            all_parts.extend(parts.iter().cloned());
            owners.push(Owner { held: owner.held.clone(), parts: parts.len(), items });
            *all_items += items;
        }
        start = all.end;
    }
    halves.map(|(parts, owners, items)| {
        let batch = Batch::from_parts(shipment.batch.signal(), parts, items);
        let batch = match shipment.batch.meta() {
            Some(meta) => batch.with_meta(meta.clone()),
            None => batch,
        };
        Shipment { batch, owners }
    })
}

fn items(batch: &Batch, parts: &[bytes::Bytes]) -> usize {
    parts.iter().map(|part| count::items(batch.signal(), part).unwrap_or(0)).sum()
}
