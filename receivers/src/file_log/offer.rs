//! Hands a batch to the pipeline until it is answered for good.

use std::sync::Arc;
use std::time::Duration;

use pipeline::Batch;
use pipeline::component::{Consumer, Life, Reason, Refused};
use pipeline::telemetry::Drops;
use tokio::time::{Instant, timeout};

use super::config::Retry;
use super::read::Filled;
use super::reader::Answer;

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
    /// Offers a batch again and again until it is taken, or dropped with a reason. `None` when the receiver stops before:
    /// its lines are read again after the next start.
    pub async fn make(self, filled: Filled) -> Option<Answer> {
        let Filled { batch, number, parts } = filled;
        let answer = Answer { batch: number, parts, bytes: batch.byte_len() };
        let started = Instant::now();
        let mut wait = self.retry.initial_interval.get();
        loop {
            let (after, reason) = match self.next.consume(batch.clone()).await {
                Ok(()) => return Some(answer),
                Err(Refused::Reject { reason }) => return self.give_up(answer, &batch, &reason),
                Err(Refused::Retry { after, reason }) => (after, reason),
            };
            let most = self.retry.max_elapsed_time.get();
            if !self.retry.enabled || (!most.is_zero() && started.elapsed() >= most) {
                return self.give_up(answer, &batch, &reason);
            }
            let pause = wait.max(after.unwrap_or_default());
            tracing::debug!(batch = answer.batch, ?pause, "the pipeline refused: {reason}");
            if timeout(pause, self.life.stopped()).await.is_ok() {
                return None;
            }
            wait = longer(wait, self.retry.max_interval.get());
        }
    }

    fn give_up(&self, answer: Answer, batch: &Batch, reason: &Reason) -> Option<Answer> {
        self.drops.record_batch(batch, batch.items(), reason);
        Some(answer)
    }
}

/// Half as long again, up to the longest.
fn longer(wait: Duration, longest: Duration) -> Duration {
    (wait + wait / 2).min(longest.max(wait))
}
