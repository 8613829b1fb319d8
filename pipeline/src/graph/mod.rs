//! The pipelines as they run: built from a plan, started from the far end, stopped from the near end.
//!
//! A receiver's batch goes through one chain of calls, without tasks or channels in between: the edge that counts it, a
//! fan-out where several pipelines take it, the pipeline's processors, a fan-out where it has several exporters, and the
//! front of each exporter's delivery, which answers.
//!
//! Building opens nothing, so that a new graph can be built beside the one that runs.

mod build;
mod chain;
mod edge;
mod fan_out;
mod supervise;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::supervise::{Supervised, Waiting};
use crate::batch::Signal;
use crate::component::{Consumer, Exporter, Extension};
use crate::config::ComponentId;
use crate::delivery::{Delivery, Lost};
use crate::doors::Doors;
use crate::plan::Plan;
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

/// What keeps a component from being built or started, or ends it.
#[derive(Debug)]
pub struct Failure {
    /// The component's kind.
    pub kind: Kind,
    /// Its id.
    pub id: ComponentId,
    /// What it says.
    pub message: String,
}

impl Failure {
    fn new(kind: Kind, id: &ComponentId, message: impl fmt::Display) -> Failure {
        Failure { kind, id: id.clone(), message: message.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.id, self.message)
    }
}

impl std::error::Error for Failure {}

/// A graph that is built and has opened nothing yet.
pub struct Graph {
    extensions: Vec<BuiltExtension>,
    receivers: Vec<Supervised>,
    holding: Vec<Held>,
    deliveries: Vec<Delivery>,
    exporters: Vec<BuiltExporter>,
    tasks: TaskTracker,
    meter: Meter,
}

/// The processors of one pipeline that hold data, in the order in which they are closed.
type Held = Vec<(ComponentId, Arc<dyn Consumer>)>;

struct BuiltExporter {
    id: ComponentId,
    signal: Signal,
    exporter: Arc<dyn Exporter>,
    reporter: Reporter,
}

struct BuiltExtension {
    id: ComponentId,
    extension: Arc<dyn Extension>,
    reporter: Reporter,
    /// Its own tasks: they may live longer than a graph.
    tasks: TaskTracker,
}

impl BuiltExtension {
    async fn start(&self) -> Result<(), Failure> {
        self.reporter.starting();
        match self.extension.start().await {
            Ok(()) => {
                self.reporter.ok();
                Ok(())
            }
            Err(error) => {
                self.reporter.fatal(&error.to_string());
                Err(Failure::new(Kind::Extension, &self.id, error))
            }
        }
    }

    /// Closes it; its name where it does not end until then.
    async fn close(&self, until: Instant) -> Option<String> {
        self.reporter.stopping();
        let closing = async {
            self.extension.close().await;
            self.tasks.close();
            self.tasks.wait().await;
        };
        let closed = timeout_at(until, closing).await;
        self.reporter.stopped();
        closed.err().map(|_| format!("{} {}", Kind::Extension, self.id))
    }
}

/// Closes extensions, the last first.
async fn close_extensions(extensions: &[BuiltExtension], until: Instant) -> Vec<String> {
    let mut unfinished = Vec::new();
    for extension in extensions.iter().rev() {
        unfinished.extend(extension.close(until).await);
    }
    unfinished
}

/// How often it is said that a start waits for a receiver.
const STILL_WAITING: Duration = Duration::from_secs(10);
/// What exporters and tasks get for their goodbyes where the deadline is already over.
const GOODBYE: Duration = Duration::from_secs(1);

impl Graph {
    /// Starts extensions, then from the far end exporters, deliveries and receivers; returns when every receiver works.
    ///
    /// # Errors
    /// The extension, or else all exporters, or else all receivers, that could not start; everything else is stopped
    /// again.
    pub async fn start(self) -> Result<Running, Vec<Failure>> {
        for (n, extension) in self.extensions.iter().enumerate() {
            if let Err(failure) = extension.start().await {
                close_extensions(&self.extensions[..n], Instant::now() + GOODBYE).await;
                return Err(vec![failure]);
            }
        }
        let starting = self.exporters.iter().map(|e| async move {
            let error = e.exporter.start().await.err()?;
            e.reporter.fatal(&error.to_string());
            Some(Failure::new(Kind::Exporter, &e.id, error))
        });
        let errors: Vec<_> = join_all(starting).await.into_iter().flatten().collect();
        if !errors.is_empty() {
            let closing = join_all(self.exporters.iter().map(|e| e.exporter.close()));
            let _ = timeout(GOODBYE, closing).await;
            self.tasks.close();
            let _ = timeout(GOODBYE, self.tasks.wait()).await;
            close_extensions(&self.extensions, Instant::now() + GOODBYE).await;
            return Err(errors);
        }
        join_all(self.deliveries.iter().map(Delivery::open)).await;
        self.deliveries.iter().for_each(Delivery::start);
        self.exporters.iter().for_each(|e| e.reporter.ok());
        let (report, failures) = mpsc::channel(self.receivers.len().max(1));
        let stop = CancellationToken::new();
        let (supervised, waiting): (Vec<_>, Vec<_>) =
            self.receivers.into_iter().map(|r| r.start(&stop, report.clone())).unzip();
        let running = Running {
            extensions: self.extensions,
            receivers: supervised,
            holding: self.holding,
            deliveries: self.deliveries,
            exporters: self.exporters,
            tasks: self.tasks,
            meter: self.meter,
            stop,
            failures,
        };
        let errors: Vec<_> = join_all(waiting.into_iter().map(started)).await.into_iter().flatten().collect();
        if errors.is_empty() {
            return Ok(running);
        }
        running.stop(Instant::now() + GOODBYE).await;
        Err(errors)
    }
}

async fn started(mut waiting: Waiting) -> Option<Failure> {
    loop {
        match timeout(STILL_WAITING, &mut waiting.started).await {
            Ok(Ok(result)) => return result.err(),
            Ok(Err(_)) => return Some(Failure::new(Kind::Receiver, &waiting.id, "it was stopped before it was ready")),
            Err(_) => tracing::warn!(component = %waiting.id, "still waiting for the receiver to be ready"),
        }
    }
}

/// A graph that runs.
pub struct Running {
    extensions: Vec<BuiltExtension>,
    receivers: Vec<supervise::Running>,
    holding: Vec<Held>,
    deliveries: Vec<Delivery>,
    exporters: Vec<BuiltExporter>,
    tasks: TaskTracker,
    meter: Meter,
    stop: CancellationToken,
    failures: mpsc::Receiver<Failure>,
}

/// What a stop left behind.
#[derive(Debug, Default)]
pub struct StopReport {
    /// Deliveries that could not bring everything out before the deadline.
    pub lost: Vec<Lost>,
    /// Components that had not ended at the deadline.
    pub unfinished: Vec<String>,
}

impl StopReport {
    /// Whether nothing is lost and everything ended in time.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.unfinished.is_empty()
    }

    /// Items that were accepted and could not be delivered.
    pub fn lost_items(&self) -> u64 {
        self.lost.iter().map(|lost| lost.items).sum()
    }
}

impl Running {
    /// Builds and starts a graph.
    ///
    /// # Errors
    /// All components that could not be built; or, where all could, all exporters or receivers that could not start.
    pub async fn start(plan: &Plan, surroundings: &Surroundings) -> Result<Running, Vec<Failure>> {
        Graph::build(plan, surroundings)?.start().await
    }

    /// Ends when a receiver has ended with an error, which it has logged; the others go on. Or with `None`, when all
    /// receivers have ended: nothing more will come.
    pub async fn ended(&mut self) -> Option<Failure> {
        self.failures.recv().await
    }

    /// Stops from the near end: receivers take nothing new and answer what is in flight, processors hand on what they
    /// hold, deliveries drain, exporters and at last extensions close. Receivers get half of the time at most, processors half of the rest.
    pub async fn stop(mut self, deadline: Instant) -> StopReport {
        let mut unfinished = Vec::new();
        self.stop.cancel();
        let until = half_way(deadline);
        for receiver in std::mem::take(&mut self.receivers) {
            unfinished.extend(receiver.join(until).await);
        }
        let until = half_way(deadline);
        let closing = self.holding.iter().map(|held| close_in_order(held, until));
        unfinished.extend(join_all(closing).await.into_iter().flatten());
        let lost = join_all(self.deliveries.iter().map(|d| d.close(deadline))).await;
        let until = deadline.max(Instant::now() + GOODBYE);
        let closing = self.exporters.iter().map(|e| async move {
            e.reporter.stopping();
            let closed = timeout_at(until, e.exporter.close()).await;
            e.reporter.stopped();
            closed.err().map(|_| format!("{} {} ({})", Kind::Exporter, e.id, e.signal))
        });
        unfinished.extend(join_all(closing).await.into_iter().flatten());
        self.tasks.close();
        if timeout_at(until, self.tasks.wait()).await.is_err() {
            unfinished.push(format!("{} background tasks", self.tasks.len()));
        }
        unfinished.extend(close_extensions(&self.extensions, until).await);
        self.meter.flush_drop_log();
        let report = StopReport { lost: lost.into_iter().filter(|lost| lost.items > 0).collect(), unfinished };
        for Lost { exporter, signal, items } in &report.lost {
            tracing::error!(component = %exporter, %signal, items, "lost: not delivered before the shutdown deadline");
        }
        for what in &report.unfinished {
            tracing::error!("did not end before the shutdown deadline: {what}");
        }
        report
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn close_in_order(held: &Held, until: Instant) -> Vec<String> {
    let mut unfinished = Vec::new();
    for (id, consumer) in held {
        if timeout_at(until, consumer.close()).await.is_err() {
            unfinished.push(format!("{} {id}", Kind::Processor));
        }
    }
    unfinished
}

fn half_way(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}
