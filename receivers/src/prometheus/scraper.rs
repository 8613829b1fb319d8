//! Scrapes one target until it is gone: when, what comes of it, and what is told when it goes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use pipeline::batch::{Batch, Signal};
use pipeline::buffers::Buffers;
use pipeline::component::{Consumer, Context, Ending, Life, Reason};
use pipeline::doors::Clock;
use pipeline::telemetry::Drops;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::cache::{Cache, Counts, Extra, Measures};
use super::config::Job;
use super::estate::missed_at;
use super::failures::Failures;
use super::fetch::{Failed, Fetcher};
use super::status::{LastScrape, TargetStatus};
use super::target::Target;

/// Scrape times this close behind their moment are moved onto it, so that times are evenly spaced.
const MOST_TOLERANCE: Duration = Duration::from_millis(2);
/// A mark at the time of a sample would be another value of it.
const JUST_AFTER: Duration = Duration::from_millis(1);

/// Own metrics and drops of one job.
#[derive(Clone)]
pub struct Ledger {
    scraped: prometheus::IntCounter,
    errored: prometheus::IntCounter,
    drops: Drops,
}

impl Ledger {
    /// The ledger of a job.
    pub fn new(job: &str, context: &Context) -> Ledger {
        let id = context.id.to_string();
        let counter = |what: &str, help: &str| {
            let labels = &[("receiver", id.as_str()), ("scraper", job)];
            context.meter.counter(&format!("otelcol_scraper_{what}_metric_points_total"), help, labels)
        };
        Ledger {
            scraped: counter("scraped", "Data points made of scrapes."),
            errored: counter("errored", "Samples of scrapes that failed."),
            drops: context.drops.clone(),
        }
    }

    /// Series of a target are missing from a scrape.
    fn missing(&self, target: &Target, items: usize, code: &'static str, message: impl Into<Cow<'static, str>>) {
        let labels =
            target.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(",");
        self.drops.record_source(Signal::Metrics, items, &labels, &Reason::new(code, message));
    }
}

/// What ends a scraper.
#[derive(Clone)]
pub struct Ends {
    /// The receiver stops.
    pub life: Life,
    /// The target is gone: its series are marked stale after a while.
    pub gone: CancellationToken,
    /// The target has come back and is scraped by another: nothing is to be marked stale.
    pub replaced: CancellationToken,
}

/// Why a scraper whose target is gone need not wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Stopped,
    Replaced,
}

/// Scrapes one target.
pub struct Scraper {
    /// The target, and where it is seen how it goes.
    pub status: Arc<TargetStatus>,
    /// Its job.
    pub job: Arc<Job>,
    /// How it is asked.
    pub fetcher: Arc<Fetcher>,
    /// What is remembered of it.
    pub cache: Cache,
    /// Where its samples go.
    pub next: Arc<dyn Consumer>,
    /// The wall clock.
    pub clock: Clock,
    /// What is counted.
    pub ledger: Ledger,
    /// Why every scrape of the job fails, if it does (`target_limit`).
    pub forced_error: watch::Receiver<Option<String>>,
    /// Where failures are written beside the own log.
    pub failures: Option<Failures>,
    /// For requests.
    pub buffers: Buffers,
}

impl Scraper {
    /// Goes on with what another scraper, which has stopped, remembers of the same series.
    pub fn go_on_from(&mut self, before: Scraper) {
        if let Some(last) = before.status.last() {
            self.status.set(last);
        }
        let is_alike = self.status.target.scheme == before.status.target.scheme
            && format!("{:?}", self.job.rules) == format!("{:?}", before.job.rules);
        // Where the rules have changed the series may have other labels: like Prometheus it begins anew.
        if is_alike {
            self.cache = before.cache;
        }
    }

    /// Runs until an end. Answers itself, where another is to go on.
    pub async fn run(mut self, ends: Ends) -> Option<Scraper> {
        let interval = self.status.target.interval;
        let wait = self.job.initial_offset + self.status.target.offset(self.clock.now());
        let mut last_ticks = None;
        if ends.before(sleep(wait)).await.is_some() {
            let ticks = last_ticks.insert(every(interval));
            let mut moment = Moment { interval, next: self.clock.now() };
            while ends.before(ticks.tick()).await.is_some() {
                let at = moment.align(self.clock.now());
                self.scrape(at, ends.life.token()).await;
            }
        }
        if ends.life.is_stopped() {
            if self.job.scrape_on_shutdown && ends.life.ending() == Ending::Shutdown {
                self.scrape(self.clock.now(), &CancellationToken::new()).await;
            }
            return self.finish(ends.life.ending()).await;
        }
        self.status.last()?;
        match self.mark_stale(last_ticks.unwrap_or_else(|| every(interval)), &ends).await {
            Some(Ended::Stopped) => self.finish(ends.life.ending()).await,
            Some(Ended::Replaced) | None => None,
        }
    }

    /// The receiver stops. When the process ends its series just stop, unless the config asks for more: whoever runs next
    /// goes on with them. Answers itself, where a receiver with another config is that.
    pub async fn finish(mut self, ending: Ending) -> Option<Scraper> {
        let last = self.status.last()?;
        match ending {
            Ending::Replaced => return Some(self),
            Ending::Shutdown if !self.job.stale_on_shutdown => {}
            Ending::Shutdown | Ending::Removed => self.end(self.clock.now().max(last.at + JUST_AFTER)).await,
        }
        None
    }

    /// The config was loaded anew, and does not have its target any more.
    pub async fn end_gone(&mut self) {
        if let Some(last) = self.status.last() {
            self.end(missed_at(last.at, self.status.target.interval, self.clock.now())).await;
        }
    }

    /// One scrape with the timestamp `at`. When `stop` comes before the target has answered, it has not happened.
    async fn scrape(&mut self, at: Duration, stop: &CancellationToken) {
        let start = Instant::now();
        let at_ms = millis(at);
        let mut counts = Counts::default();
        let mut body_bytes = Some(0);
        let forced = self.forced_error.borrow().clone();
        let fetched = match forced {
            Some(error) => Err(Failed::Reason(error)),
            None => tokio::select! {
                fetched = self.fetcher.fetch(&self.status.target.url, self.status.target.timeout) => fetched,
                () = stop.cancelled() => return,
            },
        };
        let error = match fetched {
            Ok(body) => {
                body_bytes = Some(body.bytes.len());
                self.cache.read(&body.bytes, body.format, at_ms, &mut counts).err()
            }
            Err(failed) => {
                body_bytes = body_bytes.filter(|_| !matches!(failed, Failed::TooLarge(_)));
                self.cache.miss(at_ms);
                Some(failed.to_string())
            }
        };
        let took = start.elapsed();
        let extra = self.job.extra.then(|| Extra {
            timeout_seconds: self.status.target.timeout.as_secs_f64(),
            sample_limit: self.job.rules.limits.samples,
            body_bytes,
        });
        self.count(&counts, error.is_none());
        let up = error.is_none();
        if let Some(error) = &error {
            let message = format!("{}: {error}", self.status.target.shown_url());
            self.ledger.missing(&self.status.target, counts.scraped, "scrape_failed", message);
        }
        let samples = counts.scraped;
        self.hand_on(&Measures::Scrape { up, seconds: took.as_secs_f64(), counts, extra }).await;
        self.show(LastScrape { at, took, error, samples, series: self.cache.series() });
    }

    /// Hands on what the scrape, or the lack of one, has given. A scraper cannot wait for better times: what is refused
    /// is dropped.
    async fn hand_on(&mut self, measures: &Measures) {
        let (request, items) = self.cache.write_into(measures, &self.buffers);
        let batch = Batch::counted(Signal::Metrics, self.buffers.lend(request), items);
        let outcome = self.next.consume(batch.clone()).await;
        if let Err(refused) = &outcome {
            let message = format!("{} was not taken: {refused}", self.status.target.shown_url());
            self.ledger.drops.record_batch(&batch, items, &Reason::new("scrape_refused", message));
        }
        if matches!(measures, Measures::Scrape { up: true, .. }) {
            self.ledger.scraped.inc_by(items as u64);
        }
        self.cache.commit(outcome.is_ok());
    }

    fn count(&self, counts: &Counts, is_good: bool) {
        if !is_good {
            self.ledger.errored.inc_by(counts.scraped as u64);
            return;
        }
        for (items, code, what) in [
            (counts.duplicates, "duplicate_sample", "series that are exposed twice"),
            (counts.out_of_order, "out_of_order_sample", "samples that are older than ones before"),
            (counts.out_of_bounds, "out_of_bounds_sample", "samples that are too far ahead"),
        ] {
            if items > 0 {
                let target = &self.status.target;
                self.ledger.missing(target, items, code, format!("{} exposes {what}", target.shown_url()));
            }
        }
    }

    /// Shows how it went, and logs when that changes.
    fn show(&self, scrape: LastScrape) {
        let (at, now) = (scrape.at, scrape.error.clone());
        let before = self.status.set(scrape);
        let (job, url) = (self.job.name.as_str(), &*self.status.target.shown_url());
        if let (Some(failures), Some(error)) = (&self.failures, &now) {
            failures.tell(at, job, url, error);
        }
        match (&before, &now) {
            (Some(before), Some(now)) if before == now => tracing::debug!(job, url, "scrape failed again: {now}"),
            (_, Some(now)) => tracing::warn!(job, url, "scrape failed: {now}"),
            (Some(_), None) => tracing::info!(job, url, "scrape succeeded again"),
            (None, None) => {}
        }
    }

    /// The target is gone. If it does not come back within two intervals, its series end at the first scrape that it
    /// missed. Answers what came before that.
    async fn mark_stale(&mut self, mut ticks: Interval, ends: &Ends) -> Option<Ended> {
        let interval = self.status.target.interval;
        let mut missed_at = None;
        for _ in 0..2 {
            tokio::select! {
                _ = ticks.tick() => {}
                ended = ends.replaced_or_stopped() => return Some(ended),
            }
            missed_at.get_or_insert(self.clock.now());
        }
        tokio::select! {
            () = sleep(interval / 10) => {}
            ended = ends.replaced_or_stopped() => return Some(ended),
        }
        self.end(missed_at.unwrap_or_default()).await;
        None
    }

    /// Marks everything stale that there is.
    async fn end(&mut self, at: Duration) {
        self.cache.miss(millis(at));
        self.hand_on(&Measures::Gone { extra: self.job.extra }).await;
    }
}

impl Ends {
    /// What `other` gives, unless the scraper must end before.
    async fn before<T>(&self, other: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.life.stopped() => None,
            () = self.gone.cancelled() => None,
            value = other => Some(value),
        }
    }

    async fn replaced_or_stopped(&self) -> Ended {
        tokio::select! {
            () = self.life.stopped() => Ended::Stopped,
            () = self.replaced.cancelled() => Ended::Replaced,
        }
    }
}

/// The moments at which a target should be scraped.
struct Moment {
    interval: Duration,
    next: Duration,
}

impl Moment {
    /// The timestamp of a scrape that begins now: its moment, if that has just passed.
    fn align(&mut self, now: Duration) -> Duration {
        while now.saturating_sub(self.next) >= self.interval {
            self.next += self.interval;
        }
        let tolerance = MOST_TOLERANCE.min(self.interval / 100);
        if now >= self.next && now - self.next <= tolerance { self.next } else { now }
    }
}

/// Ticks now and then every interval; those that pass during a slow scrape are one.
fn every(interval: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now(), interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn millis(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}
