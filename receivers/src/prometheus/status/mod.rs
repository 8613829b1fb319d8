//! What can be asked about targets at any time: who is scraped, how the last scrape went, who was dropped.

mod board;
mod html;
mod json;
pub mod secrets;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::board::{Shown, show};
pub use self::json::time;
use super::discovery::LabelSet;
use super::target::Target;

/// What errors of single targets are listed under: relabelling has made of them what cannot be scraped.
pub const RELABELLING: &str = "relabel_configs";

/// One target that is scraped.
#[derive(Debug)]
pub struct TargetStatus {
    /// The target.
    pub target: Arc<Target>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    last: Option<LastScrape>,
    /// The target as it was found last: what it was before relabelling may have changed.
    found: Arc<Target>,
}

/// How a scrape went.
#[derive(Clone, Debug, PartialEq)]
pub struct LastScrape {
    /// When it began, since 1970.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// Why it failed.
    pub error: Option<String>,
    /// Samples that the target exposed.
    pub samples: usize,
    /// Series that it has.
    pub series: usize,
}

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It was not scraped yet.
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// It failed.
    Down,
}

impl Health {
    /// The health that the last scrape shows.
    pub fn of(last: Option<&LastScrape>) -> Health {
        match last {
            None => Health::Unknown,
            Some(last) if last.error.is_none() => Health::Up,
            Some(_) => Health::Down,
        }
    }

    /// Prometheus' word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

impl TargetStatus {
    /// A target that was not scraped yet.
    pub fn new(target: Arc<Target>) -> TargetStatus {
        let seen = Seen { last: None, found: target.clone() };
        TargetStatus { target, seen: Mutex::new(seen) }
    }

    /// The last scrape.
    pub fn last(&self) -> Option<LastScrape> {
        self.lock().last.clone()
    }

    /// Takes over a new scrape; answers the error of the one before.
    pub fn set(&self, scrape: LastScrape) -> Option<String> {
        self.lock().last.replace(scrape).and_then(|before| before.error)
    }

    /// The target as it was found last.
    pub fn found(&self) -> Arc<Target> {
        self.lock().found.clone()
    }

    /// It was found once more.
    pub fn set_found(&self, target: Arc<Target>) {
        self.lock().found = target;
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All targets of one job.
#[derive(Clone, Debug, Default)]
pub struct JobStatus {
    /// `job_name`.
    pub job: String,
    /// Those that are scraped.
    pub active: Vec<Arc<TargetStatus>>,
    /// Discovered labels of those that relabelling drops, at most `keep_dropped_targets`.
    pub dropped: Vec<Arc<LabelSet>>,
    /// How many relabelling drops.
    pub dropped_count: usize,
    /// Why targets are not found, or not scraped: what went wrong, and why.
    pub errors: Vec<(&'static str, String)>,
}

/// All targets of one receiver; clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    jobs: Arc<Mutex<Vec<JobStatus>>>,
}

impl Targets {
    /// What is known now.
    pub fn jobs(&self) -> Vec<JobStatus> {
        self.lock().clone()
    }

    /// Takes over what is known of a job.
    pub fn set(&self, status: JobStatus) {
        let mut jobs = self.lock();
        match jobs.iter_mut().find(|job| job.job == status.job) {
            Some(job) => *job = status,
            None => jobs.push(status),
        }
    }

    /// Takes over what goes wrong with finding the targets of a job, beside what is wrong with single targets.
    pub fn set_errors(&self, job: &str, errors: Vec<(&'static str, String)>) {
        if let Some(known) = self.lock().iter_mut().find(|known| known.job == job) {
            known.errors.retain(|(what, _)| *what == RELABELLING);
            known.errors.extend(errors);
        }
    }

    /// Whether both are handles on the same.
    pub fn is(&self, other: &Targets) -> bool {
        Arc::ptr_eq(&self.jobs, &other.jobs)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<JobStatus>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
