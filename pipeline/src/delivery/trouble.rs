//! Tells the operator that a far side does not take what it is sent, once a minute and not once an attempt, and when it
//! does again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::component::Reason;
use crate::telemetry::Drops;

/// How often the same trouble is told.
const EVERY: Duration = Duration::from_secs(60);

/// The state of one exporter's far side, as its attempts show it.
#[derive(Default)]
pub(super) struct Trouble {
    since: Mutex<Option<Since>>,
}

struct Since {
    first: Instant,
    told: Instant,
    attempts: u64,
}

impl Trouble {
    /// An attempt failed and will be made again after `wait`.
    pub(super) fn failed(&self, drops: &Drops, reason: &Reason, wait: Duration) {
        let now = Instant::now();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let known = since.is_some();
        let state = since.get_or_insert(Since { first: now, told: now, attempts: 0 });
        state.attempts += 1;
        if known && now - state.told < EVERY {
            return;
        }
        state.told = now;
        let (attempts, lasting) = (state.attempts, now - state.first);
        drop(since);
        tracing::warn!(component = %drops.component(), attempts, ?lasting, next_attempt = ?wait, "not delivered yet: {reason}");
    }

    /// An attempt was answered with success.
    pub(super) fn worked(&self, drops: &Drops) {
        let Some(state) = self.since.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let lasted = state.first.elapsed();
        tracing::info!(component = %drops.component(), failed_attempts = state.attempts, ?lasted, "delivering again");
    }
}
