//! What a receiver leaves to the one that takes its place when the config is loaded anew: what it remembers of its targets.
//! A target that both have goes on as if nothing had been; of one that is gone the series are marked stale.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipeline::component::{Consumer, Ending};
use pipeline::telemetry::Pages;
use tokio::time::sleep;

use super::scraper::Scraper;

/// What receivers have left that nobody has taken over yet, by their id.
#[derive(Default)]
struct Estates {
    by_receiver: Mutex<HashMap<String, Vec<Scraper>>>,
}

/// Leaves scrapers that have stopped to the next receiver of that id.
pub fn leave(pages: &Pages, id: &str, left: Vec<Scraper>) {
    lock(&pages.common::<Estates>().by_receiver).insert(id.to_owned(), left);
}

/// What the receiver before has left, by the identity of the targets. Clone is another handle on the same.
#[derive(Clone, Default)]
pub struct Estate {
    left: Arc<Mutex<HashMap<u64, Scraper>>>,
}

impl Estate {
    /// What was left to the receiver of that id.
    pub fn of(pages: &Pages, id: &str) -> Estate {
        let left = lock(&pages.common::<Estates>().by_receiver).remove(id).unwrap_or_default();
        let left = left.into_iter().map(|scraper| (scraper.status.target.identity(), scraper));
        Estate { left: Arc::new(Mutex::new(left.collect())) }
    }

    /// The scraper of a target that is there again.
    pub fn claim(&self, identity: u64) -> Option<Scraper> {
        lock(&self.left).remove(&identity)
    }

    /// Waits as long as targets may still be found again, then marks the series of the others stale.
    pub async fn settle(&self, next: &Arc<dyn Consumer>) {
        // As long as after a target is gone from a job that goes on.
        let patience = |scraper: &Scraper| scraper.status.target.interval * 21 / 10;
        let Some(patience) = lock(&self.left).values().map(patience).max() else { return };
        sleep(patience).await;
        for mut scraper in self.take() {
            scraper.next = next.clone();
            scraper.end_gone().await;
        }
    }

    /// The receiver stops before that. Answers what is to be left to the next one.
    pub async fn finish(&self, ending: Ending, next: &Arc<dyn Consumer>) -> Vec<Scraper> {
        let mut left = Vec::new();
        for mut scraper in self.take() {
            scraper.next = next.clone();
            left.extend(scraper.finish(ending).await);
        }
        left
    }

    fn take(&self) -> Vec<Scraper> {
        lock(&self.left).drain().map(|(_, scraper)| scraper).collect()
    }
}

/// When a target that is gone was missed first: an interval after it was there last.
pub fn missed_at(last: Duration, interval: Duration, now: Duration) -> Duration {
    (last + interval).min(now)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
