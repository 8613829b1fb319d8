//! What goes wrong at the far side of an exporter, and for how long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Something that goes wrong for a while.
#[derive(Debug)]
pub struct Fault {
    /// From then on, since the start.
    pub from: Duration,
    /// Until then.
    pub until: Duration,
    /// For at most so many requests.
    pub left: AtomicUsize,
    /// What.
    pub effect: Effect,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The far side answers so.
    Answer {
        /// The HTTP status; what it is in gRPC follows from it.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What it says.
        body: String,
    },
    /// The far side takes the request and says nothing until the fault is over.
    Hang,
    /// The connection breaks while the request is written.
    Reset,
    /// Nobody listens.
    Refuse,
    /// The far side takes its time.
    Delay(Duration),
    /// The far side takes all but so many items.
    Partial {
        /// How many it drops.
        rejected: u64,
        /// What it says.
        message: String,
    },
}

impl Fault {
    /// Whether it is on at that time since the start.
    pub(super) fn is_on(&self, since: Duration) -> bool {
        (self.from..self.until).contains(&since) && self.left.load(Ordering::Relaxed) > 0
    }

    pub(super) fn take(&self) -> bool {
        let less = |left: usize| if left == usize::MAX { Some(left) } else { left.checked_sub(1) };
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}
