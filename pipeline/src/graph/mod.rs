//! The pipelines as they run: built from a plan, started from the far end, stopped from the near end.
//!
//! A receiver's batch goes through one chain of calls, without tasks or channels in between: the edge that counts it, a
//! fan-out where several pipelines take it, the pipeline's processors, a fan-out where it has several exporters, and the
//! front of each exporter's delivery, which answers.
//!
//! Building opens nothing, so that a new graph can be built beside the one that runs. A reload does that, and then puts in
//! place what has changed (`reload`); what is the same stays in both.

mod build;
mod chain;
mod edge;
mod fan_out;
mod join;
mod open;
mod parts;
mod reload;
mod report;
mod retire;
mod supervise;
mod switch;
mod witness;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::report::{Reloaded, StopReport};
pub use self::witness::ConfigFiles;

use self::parts::Parts;
use self::retire::{Live, close_in_order};
use self::switch::Switch;
use crate::component::{Consumer, Receiver};
use crate::config::ComponentId;
use crate::doors::Doors;
use crate::plan::{Pipeline, Plan};
use crate::telemetry::{Health, Kind, Meter, Pages, Reporter};

/// Everything outside that a graph's components may use.
#[derive(Clone)]
pub struct Surroundings {
    /// Where bytes and time come in and go out.
    pub doors: Doors,
    /// Own metrics.
    pub meter: Meter,
    /// The pages of the own-metrics endpoint.
    pub pages: Pages,
    /// The state of each component.
    pub health: Health,
}

impl Surroundings {
    /// Those doors, and everything about ourselves fresh.
    pub fn new(doors: Doors) -> Surroundings {
        let (meter, health) = (Meter::with_clock(doors.clock), Health::new(doors.clock));
        Surroundings { doors, meter, pages: Pages::new(), health }
    }
}

/// What keeps a component from being built or started, or ends it.
#[derive(Debug)]
pub struct Failure {
    /// The component's kind.
    pub kind: Kind,
    /// Its id.
    pub id: ComponentId,
    /// What it says.
    pub message: String,
    /// What it read of the config beside the config itself: there it may be put right.
    pub read: Box<ConfigFiles>,
}

impl Failure {
    fn new(kind: Kind, id: &ComponentId, message: impl fmt::Display) -> Failure {
        Failure { kind, id: id.clone(), message: message.to_string(), read: Box::default() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.id, self.message)
    }
}

impl std::error::Error for Failure {}

/// A graph that is built and has opened nothing yet. Of a graph beside which it was built it has what is unchanged.
pub struct Graph {
    parts: Parts,
    turns: Vec<Turn>,
    instances: BTreeMap<ComponentId, Box<dyn Receiver>>,
    surroundings: Surroundings,
    tasks: TaskTracker,
    shutdown_timeout: Duration,
    reloaded: Reloaded,
    pipelines: Vec<Pipeline>,
}

/// A switch, and what it is to lead to.
type Turn = (Arc<Switch>, Option<Arc<dyn Consumer>>);

/// What exporters and tasks get for their goodbyes where the deadline is already over.
const GOODBYE: Duration = Duration::from_secs(1);
/// Failures of receivers that nobody has asked for yet.
const MOST_FAILURES: usize = 256;

impl Graph {
    /// Starts extensions, then from the far end exporters, deliveries and receivers; returns when every receiver works.
    ///
    /// # Errors
    /// The extension, or else all exporters, or else all receivers, that could not start; everything else is stopped
    /// again.
    pub async fn start(self) -> Result<Running, Vec<Failure>> {
        let (_, failures) = mpsc::channel(MOST_FAILURES);
        let mut running = Running {
            parts: Parts::default(),
            receivers: Vec::new(),
            live: Arc::default(),
            retiring: JoinSet::new(),
            emptied: None,
            tasks: self.tasks.clone(),
            surroundings: self.surroundings.clone(),
            shutdown_timeout: self.shutdown_timeout,
            data_dir: None,
            stop: CancellationToken::new(),
            failures,
            reports: None,
        };
        match running.put_in_place(self, None).await {
            Ok(_) => Ok(running),
            Err(failures) => {
                running.stop(Instant::now() + GOODBYE).await;
                Err(failures)
            }
        }
    }
}

/// A graph that runs.
pub struct Running {
    /// As it should be.
    parts: Parts,
    receivers: Vec<supervise::Task>,
    /// What is open, be it that it is about to go.
    live: Arc<Mutex<Live>>,
    /// What a reload has replaced or taken away, on its way out.
    retiring: JoinSet<()>,
    /// Cancelled when all of that has handed on what it held.
    emptied: Option<CancellationToken>,
    tasks: TaskTracker,
    surroundings: Surroundings,
    shutdown_timeout: Duration,
    /// Where it keeps its state, once it is known: it stays there until the end.
    data_dir: Option<PathBuf>,
    stop: CancellationToken,
    failures: mpsc::Receiver<Failure>,
    /// For further receivers, as long as there is one.
    reports: Option<mpsc::WeakSender<Failure>>,
}

impl Running {
    /// Builds and starts a graph.
    ///
    /// # Errors
    /// All components that could not be built; or, where all could, all exporters or receivers that could not start.
    pub async fn start(plan: &Plan, surroundings: &Surroundings) -> Result<Running, Vec<Failure>> {
        let mut running = Graph::build(plan, surroundings)?.start().await?;
        running.data_dir = Some(plan.data_dir.clone());
        Ok(running)
    }

    /// The files beside the config that its components read as parts of it.
    pub fn config_files(&self) -> ConfigFiles {
        let mut told = ConfigFiles::default();
        self.parts.origins().for_each(|origin| origin.witness.tell(&mut told));
        told
    }

    /// Ends when a receiver has ended with an error, which it has logged; the others go on. Or with `None`, when all
    /// receivers have ended: nothing more will come.
    pub async fn ended(&mut self) -> Option<Failure> {
        self.failures.recv().await
    }

    /// Stops from the near end: receivers take nothing new and answer what is in flight, processors hand on what they
    /// hold, deliveries drain, exporters and at last extensions close. Receivers get half of the time at most, processors
    /// half of the rest.
    pub async fn stop(mut self, deadline: Instant) -> StopReport {
        let mut unfinished = Vec::new();
        self.stop.cancel();
        let until = half_way(deadline);
        for mut receiver in std::mem::take(&mut self.receivers) {
            unfinished.extend(receiver.join(until).await);
        }
        let until = half_way(deadline);
        // What is on its way out goes first, as it hands on to what stays.
        let mut retiring = std::mem::take(&mut self.retiring);
        let _ = timeout_at(until, async { while retiring.join_next().await.is_some() {} }).await;
        retiring.abort_all();
        while retiring.join_next().await.is_some() {}
        let live = std::mem::take(&mut *retire::lock(&self.live));
        live.reporters().for_each(Reporter::stopping);
        unfinished.extend(close_in_order(&live.held, until).await);
        unfinished.extend(close_in_order(&self.parts.held, until).await);
        let lost = join_all(live.exporters.iter().map(|e| e.delivery.close(deadline))).await;
        let until = deadline.max(Instant::now() + GOODBYE);
        unfinished.extend(live.close_exporters(until).await);
        self.tasks.close();
        if timeout_at(until, self.tasks.wait()).await.is_err() {
            unfinished.push(format!("{} background tasks", self.tasks.len()));
        }
        unfinished.extend(live.close_extensions(until).await);
        live.reporters().chain(self.parts.stages.values().map(|stage| &stage.reporter)).for_each(Reporter::stopped);
        self.surroundings.meter.flush_drop_log();
        let report = StopReport::new(lost, unfinished);
        report.tell();
        report
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn half_way(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}
