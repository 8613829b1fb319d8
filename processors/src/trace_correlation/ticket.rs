//! What a held batch waits for.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A held batch's wait: it is over once everything it misses has come.
#[derive(Debug, Default)]
pub struct Ticket {
    missing: AtomicUsize,
    ready: Notify,
}

impl Ticket {
    /// One thing more is missing.
    pub fn misses(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }

    /// One of the missing things is there.
    pub fn came(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ready.notify_one();
        }
    }

    /// Ends when nothing is missing any more.
    pub async fn complete(&self) {
        self.ready.notified().await;
    }
}
