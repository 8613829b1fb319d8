//! Lets through the first few of a second and then every so manieth, as the collector's log does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const TICK: Duration = Duration::from_secs(1);

/// Counts in seconds, of which each begins with the first after the last one's end.
pub struct Sampler {
    initial: u64,
    thereafter: u64,
    second: Mutex<Option<(Instant, u64)>>,
}

impl Sampler {
    /// A sampler; `thereafter` 0 lets nothing through after the first.
    pub fn new(initial: u64, thereafter: u64) -> Sampler {
        Sampler { initial, thereafter, second: Mutex::new(None) }
    }

    /// Whether this one is let through.
    pub fn takes(&self) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, before) = second.filter(|(begun, _)| begun.elapsed() < TICK).unwrap_or((Instant::now(), 0));
        *second = Some((begun, before + 1));
        match before.checked_sub(self.initial) {
            None => true,
            Some(beyond) => self.thereafter > 0 && (beyond + 1).is_multiple_of(self.thereafter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(initial: u64, thereafter: u64, expected: &str) {
        let sampler = Sampler::new(initial, thereafter);
        for _ in 0..2 {
            let taken: String = (0..8).map(|_| if sampler.takes() { 'x' } else { '.' }).collect();
            assert_eq!(taken, expected);
            tokio::time::advance(TICK).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_second_are_taken_and_then_every_so_manieth() {
        check(2, 1, "xxxxxxxx").await;
        check(2, 3, "xx..x..x").await;
        check(0, 4, "...x...x").await;
        check(3, 0, "xxx.....").await;
    }
}
