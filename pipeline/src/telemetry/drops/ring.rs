//! The latest drops and refusals with what is known of them, bounded in bytes. Whoever drops much pushes out its own older
//! entries first, and is remembered in part only, so that a flood hides nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::evidence::Evidence;
use crate::batch::Signal;
use crate::telemetry::Kind;

/// Bytes that are kept in all.
pub(super) const RING_BYTES: usize = 4 << 20;
/// Bytes that are gathered of one drop at most.
const OF_ONE: usize = 32 << 10;
/// What an entry takes beside what is gathered.
const ENTRY: usize = 256;

/// What became of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// They are gone.
    Dropped,
    /// They were given back: whoever sent them still has them, and may have sent them again.
    Refused,
}

impl What {
    /// `dropped`, `refused`.
    pub const fn name(self) -> &'static str {
        match self {
            What::Dropped => "dropped",
            What::Refused => "refused",
        }
    }
}

/// Drops for one reason in one place. Bounded by the config and the code: reasons are constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) what: What,
    pub(super) kind: Option<Kind>,
    pub(super) component: Arc<str>,
    pub(super) signal: Signal,
    pub(super) code: &'static str,
}

/// One drop, or several of a flood, as the ledger remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What became of it.
    pub what: What,
    /// When, since 1970.
    pub at: Duration,
    /// When the last of several was; `at` for one.
    pub until: Duration,
    /// How many drops these are.
    pub times: usize,
    /// The component's kind, where the ledger was told.
    pub kind: Option<Kind>,
    /// The component's id.
    pub component: Arc<str>,
    /// What was dropped.
    pub signal: Signal,
    /// How much of it.
    pub items: usize,
    /// Of how many together, where nobody said which.
    pub of: Option<usize>,
    /// The reason's short stable word.
    pub code: &'static str,
    /// What a person should read, cut after [`MESSAGE_BYTES`](super::MESSAGE_BYTES).
    pub message: String,
    /// Whether the config asks for it.
    pub on_purpose: bool,
    /// What is known of it.
    pub evidence: Evidence,
}

impl Dropped {
    fn bytes(&self) -> usize {
        ENTRY + self.message.len() + self.evidence.bytes()
    }
}

/// The entries.
#[derive(Default)]
pub(super) struct Ring {
    lanes: HashMap<Key, Lane>,
    bytes: usize,
    /// Entries that were pushed out, and the latest time of one.
    lost: u64,
    lost_until: Option<Duration>,
}

/// What is kept of one key.
pub(super) struct Lane {
    entries: VecDeque<Dropped>,
    bytes: usize,
    allowance: Allowance,
    /// Items in all, also of what is kept no longer.
    pub(super) items: u64,
    pub(super) on_purpose: bool,
    logged: Option<Instant>,
    unlogged_items: usize,
}

/// How much may be gathered: a store that fills with time.
struct Allowance {
    bytes: f64,
    at: Instant,
    most: f64,
    per_second: f64,
}

impl Allowance {
    fn new(is_loss: bool, now: Instant) -> Allowance {
        let (most, per_second) = if is_loss { (256.0 * 1024.0, 16.0 * 1024.0) } else { (64.0 * 1024.0, 4.0 * 1024.0) };
        Allowance { bytes: most, at: now, most, per_second }
    }

    /// What may be gathered now; nothing where it would be next to nothing.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn now(&mut self, now: Instant) -> usize {
        self.bytes = (self.bytes + (now - self.at).as_secs_f64() * self.per_second).min(self.most);
        self.at = now;
        if self.bytes < 4.0 * ENTRY as f64 { 0 } else { (self.bytes as usize).min(OF_ONE) }
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = (self.bytes - bytes as f64).max(0.0);
    }
}

/// How often a component's drops for one reason are logged at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

impl Ring {
    /// Counts a drop. Answers the items to log where it is time for a line.
    pub(super) fn count(&mut self, key: &Key, items: usize, on_purpose: bool) -> Option<usize> {
        let now = Instant::now();
        let lane = self.lane(key, on_purpose, now);
        lane.items += items as u64;
        if key.what == What::Refused {
            return None;
        }
        lane.unlogged_items += items;
        if lane.logged.is_some_and(|logged| now - logged < LOG_EVERY) {
            return None;
        }
        lane.logged = Some(now);
        Some(std::mem::take(&mut lane.unlogged_items))
    }

    /// How many bytes may be gathered of a drop now.
    pub(super) fn allowance(&mut self, key: &Key, on_purpose: bool) -> usize {
        let now = Instant::now();
        self.lane(key, on_purpose, now).allowance.now(now)
    }

    /// In a flood: the drop is one more of those before it. False where there is none.
    pub(super) fn add_to_last(&mut self, key: &Key, items: usize, at: Duration) -> bool {
        let Some(last) = self.lanes.get_mut(key).and_then(|lane| lane.entries.back_mut()) else { return false };
        last.items += items;
        last.times += 1;
        last.until = at;
        last.evidence.left_out += items;
        true
    }

    /// Keeps a drop; what is oldest of whoever has most goes where there is too much.
    pub(super) fn push(&mut self, key: &Key, dropped: Dropped) {
        let bytes = dropped.bytes();
        let lane = self.lane(key, dropped.on_purpose, Instant::now());
        lane.allowance.spend(bytes);
        lane.bytes += bytes;
        lane.entries.push_back(dropped);
        self.bytes += bytes;
        while self.bytes > RING_BYTES {
            let Some(largest) = self.lanes.values_mut().max_by_key(|lane| lane.bytes) else { break };
            let Some(oldest) = largest.entries.pop_front() else { break };
            largest.bytes -= oldest.bytes();
            self.bytes -= oldest.bytes();
            self.lost += 1;
            self.lost_until = self.lost_until.max(Some(oldest.until));
        }
    }

    fn lane(&mut self, key: &Key, on_purpose: bool, now: Instant) -> &mut Lane {
        self.lanes.entry(key.clone()).or_insert_with(|| Lane {
            entries: VecDeque::new(),
            bytes: 0,
            allowance: Allowance::new(key.what == What::Dropped && !on_purpose, now),
            items: 0,
            on_purpose,
            logged: None,
            unlogged_items: 0,
        })
    }

    /// All entries, oldest first.
    pub(super) fn entries(&self) -> Vec<&Dropped> {
        let mut all: Vec<_> = self.lanes.values().flat_map(|lane| &lane.entries).collect();
        all.sort_by_key(|dropped| dropped.at);
        all
    }

    /// Everything that was counted, by key.
    pub(super) fn totals(&self) -> Vec<(&Key, &Lane)> {
        let mut all: Vec<_> = self.lanes.iter().collect();
        all.sort_by(|(a, _), (b, _)| {
            (a.what, a.kind, &a.component, a.signal, a.code).cmp(&(b.what, b.kind, &b.component, b.signal, b.code))
        });
        all
    }

    /// Bytes that are kept now.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries that were pushed out, and the time up to which some are missing.
    pub(super) fn lost(&self) -> (u64, Option<Duration>) {
        (self.lost, self.lost_until)
    }

    /// What was not logged yet, as its last entry and its items.
    pub(super) fn take_unlogged(&mut self) -> Vec<(Dropped, usize)> {
        let mut lines = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.unlogged_items > 0) {
            let items = std::mem::take(&mut lane.unlogged_items);
            lines.extend(lane.entries.back().map(|last| (last.clone(), items)));
        }
        lines
    }
}
