//! The totals of all streams, within bounds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use tokio::time::Instant;

use super::Lost;
use super::accumulate::{Point, Total};
use super::identity::{Key, Seeds};

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without points for so long a stream is forgotten.
    pub stale: Option<Duration>,
    /// Streams.
    pub streams: usize,
    /// Bytes of totals, roughly.
    pub bytes: usize,
}

/// Streams are looked through for stale ones so many times in the time after which they are.
const SWEEPS: u32 = 10;

/// The totals.
pub struct Streams {
    limits: Limits,
    seeds: std::sync::Arc<Seeds>,
    totals: HashMap<Key, (Total, Instant)>,
    bytes: usize,
    swept: Instant,
}

impl Streams {
    /// None yet.
    pub fn new(limits: Limits) -> Streams {
        Streams { limits, seeds: std::sync::Arc::default(), totals: HashMap::new(), bytes: 0, swept: Instant::now() }
    }

    /// The seeds of their keys.
    pub fn seeds(&self) -> std::sync::Arc<Seeds> {
        self.seeds.clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.totals.len()
    }

    /// Adds a point to its stream, and answers the total. A point that comes again is not added again.
    pub fn add(&mut self, key: Key, point: &Point<'_>) -> Result<&Total, Lost> {
        let now = Instant::now();
        let room = self.totals.len() < self.limits.streams && self.bytes < self.limits.bytes;
        let (total, seen) = match self.totals.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if !room => return Err(Lost::TooMany),
            Entry::Vacant(entry) => {
                self.bytes += Total::FIXED_BYTES;
                entry.insert((Total::new(point), now))
            }
        };
        *seen = now;
        let before = total.bytes();
        total.add(point)?;
        self.bytes = (self.bytes + total.bytes()).saturating_sub(before);
        Ok(total)
    }

    /// Forgets stale streams, now and then.
    pub fn sweep(&mut self) {
        let Some(stale) = self.limits.stale else { return };
        let now = Instant::now();
        if now - self.swept < stale / SWEEPS {
            return;
        }
        self.swept = now;
        self.totals.retain(|_, (_, seen)| now - *seen < stale);
        self.bytes = self.totals.values().map(|(total, _)| Total::FIXED_BYTES + total.bytes()).sum();
    }
}
