//! The stage itself: admits a batch or refuses it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipeline::component::{BoxFuture, Consumer, Context, Outcome, Reason, Refused};
use pipeline::config::ComponentId;
use pipeline::telemetry::Drops;
use pipeline::{Batch, Signal};
use prometheus::IntCounter;
use tokio::time::Instant;

use super::LEAST_WAIT;

/// Reads the bytes of memory that the process uses.
pub type Resident = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// The limits in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Above this, batches are refused.
    pub soft: u64,
    /// What must not be exceeded; only named in logs, for there is nothing else to be done.
    pub hard: u64,
    /// A reading older than this is taken anew.
    pub max_age: Duration,
}

/// After so many admitted bytes, memory is read again before its reading is too old: what can come in between two
/// readings is bounded, however fast it comes.
const READ_AGAIN_AFTER: u64 = 4 << 20;

/// Stands before the rest of a pipeline.
pub struct Limiter {
    limits: Limits,
    resident: Resident,
    next: Arc<dyn Consumer>,
    id: ComponentId,
    drops: Drops,
    in_flight: AtomicU64,
    refusing: AtomicBool,
    reading: Mutex<Reading>,
    accepted: IntCounter,
    refused: IntCounter,
}

/// The memory as it was read last.
struct Reading {
    at: Option<Instant>,
    bytes: Option<u64>,
    admitted_since: u64,
}

impl Limiter {
    /// The stage before `next`.
    pub fn new(limits: Limits, resident: Resident, next: Arc<dyn Consumer>, context: &Context) -> Limiter {
        let items = context.signal.map_or("items", Signal::items);
        let id = context.id.to_string();
        let counter = |what: &str| {
            let name = format!("otelcol_processor_memory_limiter_{what}_{items}_total");
            context.meter.counter(&name, "Items by the memory limiter's answer.", &[("processor", &id)])
        };
        Limiter {
            limits,
            resident,
            next,
            id: context.id.clone(),
            drops: context.drops.clone(),
            in_flight: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
            reading: Mutex::new(Reading { at: None, bytes: None, admitted_since: 0 }),
            accepted: counter("accepted"),
            refused: counter("refused"),
        }
    }

    /// Takes the batch's bytes into account until its answer, or refuses it.
    fn admit(&self, bytes: u64) -> Result<InFlight<'_>, Refused> {
        let soft = self.limits.soft;
        if bytes > soft {
            return Err(Refused::reject(
                "memory_limit",
                format!(
                    "a batch of {bytes} bytes can never fit into a memory limit of {soft} bytes, send smaller ones"
                ),
            ));
        }
        let batch = InFlight { limiter: self, bytes };
        let in_flight = self.in_flight.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let used = self.used(bytes);
        let over = in_flight > soft || used.is_some_and(|used| used > soft);
        self.report(over, used, in_flight);
        if !over {
            return Ok(batch);
        }
        let reason = Reason::new("memory_limit", "the memory limit is reached, send it again later");
        Err(Refused::Retry { after: Some(self.limits.max_age.max(LEAST_WAIT)), reason })
    }

    /// The memory used, at most `max_age` and [`READ_AGAIN_AFTER`] bytes behind the truth.
    fn used(&self, bytes: u64) -> Option<u64> {
        let now = Instant::now();
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = reading.at.is_none_or(|at| now - at >= self.limits.max_age);
        let is_over = reading.bytes.is_some_and(|used| used > self.limits.soft);
        if is_old || (!is_over && reading.admitted_since >= READ_AGAIN_AFTER) {
            *reading = Reading { at: Some(now), bytes: (self.resident)(), admitted_since: 0 };
        }
        reading.admitted_since += bytes;
        reading.bytes
    }

    /// Says once when refusing begins and when it ends.
    fn report(&self, over: bool, used: Option<u64>, in_flight: u64) {
        if self.refusing.swap(over, Ordering::Relaxed) == over {
            return;
        }
        let Limits { soft, hard, .. } = self.limits;
        let used = used.unwrap_or(0);
        if over {
            tracing::warn!(
                component = %self.id, used, in_flight, soft, hard,
                "memory is above the soft limit: data are refused until it is below again"
            );
        } else {
            tracing::info!(component = %self.id, used, in_flight, soft, "memory is below the soft limit again");
        }
    }
}

impl Consumer for Limiter {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let items = batch.items() as u64;
            let _in_flight = self.admit(batch.byte_len() as u64).inspect_err(|refused| {
                self.refused.inc_by(items);
                self.drops.refused(&batch, refused.reason());
            })?;
            self.accepted.inc_by(items);
            self.next.consume(batch).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.next.close()
    }

    fn answers_from_memory(&self) -> bool {
        self.next.answers_from_memory()
    }
}

/// Bytes of a batch that has no answer yet; given back on drop, also when the caller gives up.
struct InFlight<'a> {
    limiter: &'a Limiter,
    bytes: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.limiter.in_flight.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
