//! How far each stream has come: Loki refuses what is more than an hour behind the newest entry of its stream.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// The streams that are remembered; beyond, the half that has come least far is forgotten.
const MOST_STREAMS: usize = 1 << 16;
/// What is further ahead of the present Loki refuses, so it does not move a stream: ten minutes.
const GRACE: u64 = 600_000_000_000;

/// The time of the newest entry of each stream that Loki was sent.
#[derive(Default)]
pub struct Newest {
    times: Mutex<Times>,
}

/// The times at one moment, in nanoseconds since 1970 by [`key`]; clone is a reference count.
#[derive(Clone, Debug, Default)]
pub struct Times(Arc<HashMap<u64, u64>>);

/// The key of a stream.
pub fn key(tenant: &str, labels: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    (tenant, labels).hash(&mut hash);
    hash.finish()
}

impl Newest {
    /// The times now.
    pub fn times(&self) -> Times {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Moves streams on.
    pub fn sent(&self, streams: impl Iterator<Item = (u64, u64)>, now: u64) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = Arc::make_mut(&mut times.0);
        for (key, time) in streams.filter(|(_, time)| *time <= now.saturating_add(GRACE)) {
            let newest = times.entry(key).or_insert(time);
            *newest = time.max(*newest);
        }
        if times.len() > MOST_STREAMS {
            let mut all: Vec<u64> = times.values().copied().collect();
            let (_, median, _) = all.select_nth_unstable(MOST_STREAMS / 2);
            let median = *median;
            times.retain(|_, time| *time > median);
        }
    }
}

impl Times {
    /// How far a stream has come.
    pub fn of(&self, stream: u64) -> Option<u64> {
        self.0.get(&stream).copied()
    }
}

/// Whether an entry is further behind the newest of its stream than `window`, in nanoseconds.
pub fn is_behind(newest: Option<u64>, time: u64, window: u64) -> bool {
    newest.is_some_and(|newest| time.saturating_add(window) < newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Times {
        fn is_behind(&self, stream: u64, time: u64, window: u64) -> bool {
            is_behind(self.of(stream), time, window)
        }
    }

    #[test]
    fn what_is_further_behind_than_the_window_is_known() {
        let newest = Newest::default();
        let before = newest.times();
        newest.sent([(1, 100), (2, 50), (1, 90)].into_iter(), 100);
        assert!(!before.is_behind(1, 0, 10));
        let times = newest.times();
        assert!(times.is_behind(1, 89, 10) && !times.is_behind(1, 90, 10));
        assert!(!times.is_behind(2, 40, 10) && !times.is_behind(3, 0, 10));
    }

    #[test]
    fn a_time_that_loki_refuses_as_too_new_moves_nothing() {
        let newest = Newest::default();
        newest.sent([(1, GRACE + 1)].into_iter(), 0);
        assert!(!newest.times().is_behind(1, 0, 0));
        newest.sent([(1, GRACE)].into_iter(), 0);
        assert!(newest.times().is_behind(1, 0, 0));
    }

    #[test]
    fn the_streams_that_came_least_far_are_forgotten_first() {
        let newest = Newest::default();
        let most = MOST_STREAMS as u64;
        newest.sent((0..=most).map(|n| (n, n)), most);
        let times = newest.times();
        assert!(times.0.len() <= MOST_STREAMS / 2 + 1);
        assert!(times.is_behind(most, 0, 0) && !times.is_behind(1, 0, 0));
    }
}
