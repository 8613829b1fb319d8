//! What can be asked about targets at any time: who is scraped, how the last scrape went, who was dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::target::Target;

/// One target that is scraped.
#[derive(Debug)]
pub struct TargetStatus {
    /// The target.
    pub target: Target,
    last: Mutex<Option<LastScrape>>,
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

impl TargetStatus {
    /// A target that was not scraped yet.
    pub fn new(target: Target) -> TargetStatus {
        TargetStatus { target, last: Mutex::default() }
    }

    /// The last scrape.
    pub fn last(&self) -> Option<LastScrape> {
        self.lock().clone()
    }

    /// Takes over a new scrape; answers the error of the one before.
    pub fn set(&self, scrape: LastScrape) -> Option<String> {
        self.lock().replace(scrape).and_then(|before| before.error)
    }

    fn lock(&self) -> MutexGuard<'_, Option<LastScrape>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub dropped: Vec<Vec<(String, String)>>,
    /// How many relabelling drops.
    pub dropped_count: usize,
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

    fn lock(&self) -> MutexGuard<'_, Vec<JobStatus>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
