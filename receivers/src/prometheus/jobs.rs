//! Runs one job: finds its targets, keeps a scraper for each, and follows what `file_sd_configs` say.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use pipeline::component::{Consumer, Context};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::config::Job;
use super::fetch::Fetcher;
use super::scraper::{Ends, Ledger, Scraper};
use super::status::{JobStatus, TargetStatus, Targets};
use super::target::{Resolved, Target, resolve};
use super::watched::Watched;

/// How often files of targets are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A job with everything its scrapers need.
pub struct Runner {
    job: Arc<Job>,
    fetcher: Arc<Fetcher>,
    context: Context,
    next: Arc<dyn Consumer>,
    ledger: Ledger,
    targets: Targets,
    running: HashMap<u64, Running>,
    /// Scrapers of targets that are gone, which may still have to mark series stale.
    ending: HashMap<u64, CancellationToken>,
    scrapers: JoinSet<u64>,
    forced_error: watch::Sender<Option<String>>,
    files: Vec<Watched>,
}

struct Running {
    status: Arc<TargetStatus>,
    gone: CancellationToken,
    replaced: CancellationToken,
}

impl Runner {
    /// A job that runs nothing yet.
    pub fn new(
        job: Arc<Job>,
        fetcher: Arc<Fetcher>,
        context: Context,
        next: Arc<dyn Consumer>,
        targets: Targets,
    ) -> Runner {
        Runner {
            ledger: Ledger::new(&job.name, &context),
            files: job.files.iter().cloned().map(Watched::new).collect(),
            job,
            fetcher,
            context,
            next,
            targets,
            running: HashMap::new(),
            ending: HashMap::new(),
            scrapers: JoinSet::new(),
            forced_error: watch::Sender::new(None),
        }
    }

    /// Runs until `stop`; returns when all scrapers have.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut first = true;
        loop {
            let mut changed = first;
            for watched in &mut self.files {
                changed |= watched.look(self.context.doors.files.clone(), self.job.name.clone()).await;
            }
            if changed {
                self.sync(&stop);
            }
            first = false;
            let look_at = Instant::now() + LOOK_EVERY;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return self.finish().await,
                    () = sleep_until(look_at), if !self.files.is_empty() => break,
                    Some(ended) = self.scrapers.join_next() => self.ended(ended),
                }
            }
        }
    }

    async fn finish(mut self) {
        while let Some(ended) = self.scrapers.join_next().await {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<u64, tokio::task::JoinError>) {
        match ended {
            Ok(hash) => {
                self.ending.remove(&hash);
            }
            Err(error) => tracing::error!(job = self.job.name.as_str(), "a scraper ended by itself: {error}"),
        }
    }

    /// Starts and ends scrapers until there is one for each target.
    fn sync(&mut self, stop: &CancellationToken) {
        let mut status = JobStatus { job: self.job.name.clone(), ..JobStatus::default() };
        let mut seen = HashSet::new();
        for resolved in self.resolve() {
            match resolved {
                Resolved::Target(target) => {
                    if seen.insert(target.hash()) {
                        status.active.push(self.keep(*target, stop));
                    }
                }
                Resolved::Dropped(labels) => {
                    status.dropped_count += 1;
                    if self.job.keep_dropped_targets == 0 || status.dropped.len() < self.job.keep_dropped_targets {
                        status.dropped.push(labels);
                    }
                }
                Resolved::Invalid(reason) => tracing::error!("not scraped: {reason}"),
            }
        }
        let gone: Vec<u64> = self.running.keys().copied().filter(|hash| !seen.contains(hash)).collect();
        for hash in gone {
            if let Some(running) = self.running.remove(&hash) {
                running.gone.cancel();
                self.ending.insert(hash, running.replaced);
            }
        }
        let (count, limit) = (self.running.len(), self.job.target_limit);
        let error = (limit > 0 && count > limit)
            .then(|| format!("job {} has {count} targets, target_limit is {limit}", self.job.name));
        self.forced_error.send_replace(error);
        self.targets.set(status);
    }

    fn resolve(&self) -> Vec<Resolved> {
        let fixed = self.job.groups.iter().flat_map(|group| resolve(&self.job, group, &[]));
        let from_files = self.files.iter().flat_map(|watched| {
            watched.groups().flat_map(|(path, group)| {
                let path = path.to_string_lossy();
                resolve(&self.job, group, &[("__meta_filepath", &*path)])
            })
        });
        fixed.chain(from_files).collect()
    }

    /// The scraper of a target: the one that runs, or a new one.
    fn keep(&mut self, target: Target, stop: &CancellationToken) -> Arc<TargetStatus> {
        let hash = target.hash();
        if let Some(running) = self.running.get(&hash) {
            return running.status.clone();
        }
        if let Some(replaced) = self.ending.remove(&hash) {
            replaced.cancel();
        }
        let cache = Cache::new(self.job.rules.clone(), target.labels.clone(), &target.scheme);
        let status = Arc::new(TargetStatus::new(target));
        let ends = Ends { stop: stop.clone(), ..Ends::default() };
        let running = Running { status: status.clone(), gone: ends.gone.clone(), replaced: ends.replaced.clone() };
        let scraper = Scraper {
            status: status.clone(),
            job: self.job.clone(),
            fetcher: self.fetcher.clone(),
            cache,
            next: self.next.clone(),
            clock: self.context.doors.clock,
            ledger: self.ledger.clone(),
            forced_error: self.forced_error.subscribe(),
        };
        self.scrapers.spawn(async move {
            scraper.run(ends).await;
            hash
        });
        self.running.insert(hash, running);
        status
    }
}
