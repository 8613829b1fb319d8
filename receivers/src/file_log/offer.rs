//! Hands a batch to the pipeline until it is answered for good.

use std::sync::Arc;
use std::time::Duration;

use pipeline::Batch;
use pipeline::component::{Consumer, Life, Reason, Refused};
use pipeline::telemetry::Drops;
use tokio::time::{Instant, timeout};

use super::config::Retry;

/// How batches are offered.
#[derive(Clone)]
pub struct Offer {
    /// Who takes them.
    pub next: Arc<dyn Consumer>,
    /// What is done about a refusal.
    pub retry: Retry,
    /// Ends the waiting between two offers.
    pub life: Life,
    /// Where what is dropped is counted.
    pub drops: Drops,
}

impl Offer {
    /// Offers a batch again and again until it is taken, or dropped with a reason. False when the receiver stops before:
    /// the batch is missed.
    pub async fn make(self, batch: Batch) -> bool {
        let started = Instant::now();
        let mut wait = self.retry.initial_interval.get();
        loop {
            let (after, reason) = match self.next.consume(batch.clone()).await {
                Ok(()) => return true,
                Err(Refused::Reject { reason }) => return self.give_up(&batch, &reason),
                Err(Refused::Retry { after, reason }) => (after, reason),
            };
            let most = self.retry.max_elapsed_time.get();
            if !self.retry.enabled || (!most.is_zero() && started.elapsed() >= most) {
                return self.give_up(&batch, &reason);
            }
            let pause = wait.max(after.unwrap_or_default());
            tracing::debug!(?pause, "the pipeline refused: {reason}");
            if timeout(pause, self.life.stopped()).await.is_ok() {
                batch.fate().inspect(|fate| fate.miss());
                return false;
            }
            wait = longer(wait, self.retry.max_interval.get());
        }
    }

    fn give_up(&self, batch: &Batch, reason: &Reason) -> bool {
        self.drops.record_batch(batch, batch.items(), reason);
        true
    }
}

/// Half as long again, up to the longest.
fn longer(wait: Duration, longest: Duration) -> Duration {
    (wait + wait / 2).min(longest.max(wait))
}
