//! Exponential backoff with jitter, as the collector computes it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::RetrySettings;

/// The least wait between two attempts, so that an interval of zero does not spin.
const LEAST: Duration = Duration::from_millis(1);

/// The waits between the attempts of one batch.
pub(super) struct Backoff<'a> {
    settings: &'a RetrySettings,
    interval: Duration,
}

impl<'a> Backoff<'a> {
    pub(super) fn new(settings: &'a RetrySettings) -> Backoff<'a> {
        Backoff { settings, interval: settings.initial_interval }
    }

    /// The next wait: the interval ± its random share; the interval then grows.
    pub(super) fn next(&mut self) -> Duration {
        let most = if self.settings.max_interval.is_zero() { Duration::MAX } else { self.settings.max_interval };
        let interval = self.interval.min(most);
        self.interval = scaled(interval, self.settings.multiplier).min(most);
        let jitter = self.settings.randomization_factor;
        let share = if jitter == 0.0 { 1.0 } else { 1.0 - jitter + 2.0 * jitter * random() };
        scaled(interval, share).max(LEAST)
    }
}

fn scaled(interval: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(interval.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// A number in [0, 1), good enough to keep many collectors from coming back at the same instant.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(settings: &RetrySettings, waits: usize) -> Vec<u128> {
        let mut backoff = Backoff::new(settings);
        (0..waits).map(|_| backoff.next().as_millis()).collect()
    }

    #[test]
    fn intervals_grow_to_the_most() {
        let settings = RetrySettings { randomization_factor: 0.0, ..RetrySettings::default() };
        assert_eq!(millis(&settings, 7), [5000, 7500, 11_250, 16_875, 25_312, 30_000, 30_000]);
    }

    #[test]
    fn waits_are_drawn_from_around_the_interval_and_differ() {
        let settings = RetrySettings { multiplier: 1.0, ..RetrySettings::default() };
        let waits = millis(&settings, 200);
        assert!(waits.iter().all(|w| (2500..=7500).contains(w)), "{waits:?}");
        assert!(waits.iter().any(|&w| w < 4000) && waits.iter().any(|&w| w > 6000), "{waits:?}");
    }

    #[test]
    fn an_interval_of_zero_does_not_spin() {
        let settings = RetrySettings { initial_interval: Duration::ZERO, ..RetrySettings::default() };
        assert_eq!(millis(&settings, 3), [1, 1, 1]);
    }
}
