//! Runs one job: keeps a scraper for each target that its mechanisms find, however these come and go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use pipeline::buffers::Buffers;
use pipeline::component::{Consumer, Context, Life};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::config::Job;
use super::discovery::{Finds, Found, Mechanisms, Source};
use super::estate::Estate;
use super::failures::Failures;
use super::fetch::Fetcher;
use super::scraper::{Ends, Ledger, Scraper};
use super::status::{JobStatus, RELABELLING, TargetStatus, Targets};
use super::target::{Resolved, Target, resolve};

/// What is found is looked at so often, at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often the status tells of mechanisms that fail, at least.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A job with everything its scrapers need.
pub struct Runner {
    job: Arc<Job>,
    fetcher: Arc<Fetcher>,
    context: Context,
    next: Arc<dyn Consumer>,
    ledger: Ledger,
    targets: Targets,
    buffers: Buffers,
    /// What the receiver before this one has left.
    estate: Estate,
    /// Scrapers that stopped and that another receiver is to go on with.
    left: Vec<Scraper>,
    finds: Finds,
    resolved: HashMap<Source, (Arc<Found>, Arc<[Resolved]>)>,
    running: HashMap<u64, Running>,
    /// Scrapers of targets that are gone, which may still have to mark series stale, by the identity of these.
    ending: HashMap<u64, CancellationToken>,
    scrapers: JoinSet<(u64, Option<Box<Scraper>>)>,
    forced_error: watch::Sender<Option<String>>,
    failures: Option<Failures>,
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
        (buffers, estate): (Buffers, Estate),
    ) -> Runner {
        Runner {
            ledger: Ledger::new(&job.name, &context),
            failures: job.failure_log.as_deref().map(|path| Failures::open(path, &context)),
            job,
            fetcher,
            context,
            next,
            targets,
            buffers,
            estate,
            left: Vec::new(),
            finds: Finds::default(),
            resolved: HashMap::new(),
            running: HashMap::new(),
            ending: HashMap::new(),
            scrapers: JoinSet::new(),
            forced_error: watch::Sender::new(None),
        }
    }

    /// Runs until the receiver stops; returns when all scrapers have, with those that another receiver is to go on with.
    pub async fn run(mut self, mechanisms: Mechanisms, life: Life) -> Vec<Scraper> {
        let looking = mechanisms.start(&self.job.name, &self.context, &self.finds);
        self.sync(&life);
        let mut sync_at = Instant::now();
        let mut tell_at = Instant::now() + TELL_EVERY;
        let mut is_new = false;
        let finds = self.finds.clone();
        loop {
            tokio::select! {
                () = life.stopped() => break,
                () = finds.changed(), if !is_new => is_new = true,
                () = sleep_until(sync_at), if is_new => {
                    self.sync(&life);
                    is_new = false;
                    sync_at = Instant::now() + SYNC_EVERY;
                }
                () = sleep_until(tell_at), if !looking.is_empty() => {
                    self.targets.set_errors(&self.job.name, finds.errors());
                    tell_at = Instant::now() + TELL_EVERY;
                }
                Some(ended) = self.scrapers.join_next() => self.ended(ended),
            }
        }
        drop(looking);
        while let Some(ended) = self.scrapers.join_next().await {
            self.ended(ended);
        }
        self.left
    }

    fn ended(&mut self, ended: Result<(u64, Option<Box<Scraper>>), JoinError>) {
        match ended {
            Ok((identity, left)) => {
                self.ending.remove(&identity);
                self.left.extend(left.map(|scraper| *scraper));
            }
            Err(error) => tracing::error!(job = self.job.name.as_str(), "a scraper ended by itself: {error}"),
        }
    }

    /// Starts and ends scrapers until there is one for each target.
    fn sync(&mut self, life: &Life) {
        let errors = self.finds.errors();
        let mut status = JobStatus { job: self.job.name.clone(), errors, ..JobStatus::default() };
        let (mut seen, mut targets) = (HashSet::new(), Vec::new());
        for all in self.resolve() {
            for one in all.iter() {
                match one {
                    Resolved::Target(target) => {
                        if seen.insert(target.hash()) {
                            targets.push(target.clone());
                        }
                    }
                    Resolved::Dropped(labels) => {
                        status.dropped_count += 1;
                        if self.job.keep_dropped_targets == 0 || status.dropped.len() < self.job.keep_dropped_targets {
                            status.dropped.push(labels.clone());
                        }
                    }
                    Resolved::Invalid(reason) => status.errors.push((RELABELLING, reason.clone())),
                }
            }
        }
        let gone: Vec<u64> = self.running.keys().copied().filter(|hash| !seen.contains(hash)).collect();
        for hash in gone {
            if let Some(running) = self.running.remove(&hash) {
                running.gone.cancel();
                self.ending.insert(running.status.target.identity(), running.replaced);
            }
        }
        status.active = targets.into_iter().map(|target| self.keep(target, life)).collect();
        let (count, limit) = (self.running.len(), self.job.target_limit);
        let error = (limit > 0 && count > limit)
            .then(|| format!("job {} has {count} targets, target_limit is {limit}", self.job.name));
        self.forced_error.send_replace(error);
        self.targets.set(status);
    }

    /// What becomes of everything that is found; what has not changed is not worked out again.
    fn resolve(&mut self) -> Vec<Arc<[Resolved]>> {
        let mut before = std::mem::take(&mut self.resolved);
        let mut all = Vec::new();
        for (source, found) in self.finds.all() {
            let known = before.remove(&source).filter(|(of, _)| Arc::ptr_eq(of, &found));
            let resolved = known.map(|(_, resolved)| resolved).unwrap_or_else(|| self.resolve_found(&found));
            all.push(resolved.clone());
            self.resolved.insert(source, (found, resolved));
        }
        all
    }

    fn resolve_found(&self, found: &Found) -> Arc<[Resolved]> {
        let resolved = resolve(&self.job, found);
        for one in &resolved {
            if let Resolved::Invalid(reason) = one {
                tracing::error!("not scraped: {reason}");
            }
        }
        resolved.into()
    }

    /// The scraper of a target: the one that runs, or a new one.
    fn keep(&mut self, target: Arc<Target>, life: &Life) -> Arc<TargetStatus> {
        let hash = target.hash();
        if let Some(running) = self.running.get(&hash) {
            running.status.set_found(target);
            return running.status.clone();
        }
        let identity = target.identity();
        if let Some(replaced) = self.ending.remove(&identity) {
            replaced.cancel();
        }
        let cache = Cache::new(self.job.rules.clone(), target.labels.clone(), &target.scheme);
        let status = Arc::new(TargetStatus::new(target));
        let (gone, replaced) = (CancellationToken::new(), CancellationToken::new());
        let ends = Ends { life: life.clone(), gone, replaced };
        let running = Running { status: status.clone(), gone: ends.gone.clone(), replaced: ends.replaced.clone() };
        let mut scraper = Scraper {
            status: status.clone(),
            job: self.job.clone(),
            fetcher: self.fetcher.clone(),
            cache,
            next: self.next.clone(),
            clock: self.context.doors.clock,
            ledger: self.ledger.clone(),
            forced_error: self.forced_error.subscribe(),
            failures: self.failures.clone(),
            buffers: self.buffers.clone(),
        };
        if let Some(before) = self.estate.claim(identity) {
            scraper.go_on_from(before);
        }
        self.scrapers.spawn(async move { (identity, scraper.run(ends).await.map(Box::new)) });
        self.running.insert(hash, running);
        status
    }
}
