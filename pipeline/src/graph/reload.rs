//! From the graph that runs to the one that should, without a batch lost or refused on the way.
//!
//! 1. **Built** is the new graph beside the old one (`build`): unchanged components are the same instances in both, with
//!    their state; what is new has opened nothing. A new chain of processors leads to the same deliveries, or to new ones
//!    over the same queues (`delivery::succession`).
//! 2. **Opened** is what is new at the far end: extensions, exporters, queues on disk. Traffic still goes its old way.
//! 3. **Receivers** that are changed or gone stop: what they have in flight is answered on the old way. Then the new ones
//!    start, on ports that may have been those of the old. A receiver that stays notices nothing of all this.
//! 4. **Turned** are the switches behind the receivers that stay and behind processors that hold data: from the next batch
//!    on they lead to the new graph. New deliveries take over the queues of those before them. This step cannot fail.
//! 5. **Retired** is what is in the old graph only (`retire`), in the background: calls that are on an old way end, processors
//!    hand on what they hold, deliveries of exporters that are gone drain within `shutdown_timeout`.
//!
//! What fails in the first step has touched nothing. What fails in the second or third is undone: what was opened is closed,
//! new receivers stop, and those that were stopped are built from their old config and started again. Whatever new
//! receivers have taken until then has gone to the old queues, or is delivered before the new ones close.
//!
//! When the process is to stop in the middle of a reload, its future is dropped: everything that is open is known to
//! `Running::stop` at every moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::open::{Opened, open, reopen};
use super::parts::{ExporterPart, Opens, Parts, ReceiverPart};
use super::retire::{Leaving, is_same, lock};
use super::supervise::{self, Waiting};
use super::{Failure, GOODBYE, Graph, MOST_FAILURES, Reloaded, Running};
use crate::component::{Ending, Receiver};
use crate::config::ComponentId;
use crate::plan::Plan;
use crate::telemetry::Kind;

/// How long a new receiver may take until it is ready.
const READY: Duration = Duration::from_secs(30);
/// How long the queue of an exporter that is gone is waited for by one of the same id that is new.
const FREE: Duration = Duration::from_secs(5);
/// How often it is said that a start waits for a receiver.
const STILL_WAITING: Duration = Duration::from_secs(10);
/// How often a receiver that was stopped for nothing is started again.
const TRIES: u32 = 5;

/// Parts that had to let go of something for their successors.
type Displaced = Vec<Arc<dyn Opens>>;

impl Running {
    /// Becomes what the plan says. What is unchanged goes on with its state: connections, ports, queues, offsets, caches. No
    /// batch is lost or refused. Returns when everything new works; what has been replaced ends in the background.
    ///
    /// The data directory stays what it is. To be dropped before its end only when a stop follows.
    ///
    /// # Errors
    /// Everything that could not be built, or else what could not be started. The graph is as it was then.
    pub async fn reload(&mut self, plan: &Plan) -> Result<Reloaded, Vec<Failure>> {
        let data_dir = self.data_dir.clone().unwrap_or_else(|| plan.data_dir.clone());
        let graph = Graph::build_beside(plan, &data_dir, &self.surroundings, &self.tasks, &self.parts)?;
        self.put_in_place(graph, Some(READY)).await
    }

    /// Opens, turns and retires. New receivers may take `patience` until they are ready.
    pub(super) async fn put_in_place(
        &mut self,
        graph: Graph,
        patience: Option<Duration>,
    ) -> Result<Reloaded, Vec<Failure>> {
        while self.retiring.try_join_next().is_some() {}
        let Graph { parts, turns, instances, shutdown_timeout, reloaded, pipelines, .. } = graph;
        let displaced = match self.open(&parts).await {
            Ok(displaced) => displaced,
            Err((displaced, failures)) => return Err(self.abandon(&parts, displaced, failures).await),
        };
        let reports = self.reports();
        let stopped = self.stop_receivers(&parts).await;
        let failures = self.start_receivers(&parts, instances, &reports, patience).await;
        if !failures.is_empty() {
            let failures = self.bring_back(stopped, failures, &reports).await;
            return Err(self.abandon(&parts, displaced, failures).await);
        }
        let before = std::mem::replace(&mut self.parts, parts);
        self.shutdown_timeout = shutdown_timeout;
        self.surroundings.health.describe(pipelines);
        let mut leaving = before.without(&self.parts);
        // From the far end, so that nothing is turned towards what is not ready.
        leaving.ways = turns.into_iter().filter_map(|(switch, next)| switch.turn(next)).collect();
        for part in before.receivers.values().filter(|part| !self.parts.runs(part)) {
            leaving.ways.extend(part.switches.iter().filter_map(|switch| switch.turn(None)));
        }
        for (key, part) in &self.parts.exporters {
            match before.exporters.get(key) {
                Some(old) if !Arc::ptr_eq(old, part) => part.delivery.take_over(&old.delivery, shutdown_timeout),
                _ => part.delivery.start(),
            }
        }
        {
            let mut live = lock(&self.live);
            live.held.retain(|held| !self.parts.held.iter().any(|other| is_same(held, other)));
            live.held.splice(0..0, leaving.held.iter().cloned());
        }
        self.retire(leaving);
        Ok(reloaded)
    }

    /// Opens what is new at the far end.
    ///
    /// # Errors
    /// The extension, or else all exporters, that cannot be opened.
    async fn open(&mut self, parts: &Parts) -> Result<Displaced, (Displaced, Vec<Failure>)> {
        let new = parts.without(&self.parts);
        let mut displaced = Displaced::new();
        for extension in new.extensions {
            lock(&self.live).extensions.push(extension.clone());
            let old = self.parts.extensions.iter().find(|old| old.id == extension.id);
            match open(&*extension, old.map(|old| &**old as &dyn Opens)).await {
                Ok(Opened::Beside) => {}
                Ok(Opened::InPlace) => displaced.extend(old.map(|old| old.clone() as Arc<dyn Opens>)),
                Err(failure) => return Err((displaced, vec![failure])),
            }
        }
        lock(&self.live).exporters.extend(new.exporters.iter().cloned());
        let opening = new.exporters.iter().map(|exporter| async {
            let old = self.parts.exporters.get(&(exporter.id.clone(), exporter.signal));
            (open(&**exporter, old.map(|old| &**old as &dyn Opens)).await, old)
        });
        let mut failures = Vec::new();
        for (opened, old) in join_all(opening).await {
            match opened {
                Ok(Opened::Beside) => {}
                Ok(Opened::InPlace) => displaced.extend(old.map(|old| old.clone() as Arc<dyn Opens>)),
                Err(failure) => failures.push(failure),
            }
        }
        if !failures.is_empty() {
            return Err((displaced, failures));
        }
        let opening = parts.exporters.values().map(|exporter| self.open_queue(exporter));
        join_all(opening).await;
        for (key, exporter) in &parts.exporters {
            if !self.parts.exporters.contains_key(key) {
                exporter.delivery.start();
            }
        }
        parts.stages.values().for_each(|stage| stage.reporter.ok());
        // New processors may get data from now on.
        lock(&self.live).held.extend(new.held);
        Ok(displaced)
    }

    /// Opens the exporter's queue on disk, after one that had it and is on its way out.
    async fn open_queue(&self, exporter: &Arc<ExporterPart>) {
        let leaves = |other: &&Arc<ExporterPart>| {
            let is_same = other.id == exporter.id && other.signal == exporter.signal;
            is_same && !Arc::ptr_eq(other, exporter) && !self.parts.has_exporter(other)
        };
        let leaving: Vec<_> = lock(&self.live).exporters.iter().filter(leaves).cloned().collect();
        for other in leaving {
            if exporter.delivery.stores() && other.delivery.stores() {
                let _ = timeout(FREE, other.closed.cancelled()).await;
            }
        }
        exporter.delivery.open().await;
    }

    /// What receivers report to.
    fn reports(&mut self) -> mpsc::Sender<Failure> {
        if let Some(reports) = self.reports.as_ref().and_then(mpsc::WeakSender::upgrade) {
            return reports;
        }
        let (reports, failures) = mpsc::channel(MOST_FAILURES);
        self.failures = failures;
        self.reports = Some(reports.downgrade());
        reports
    }

    /// Stops the receivers that will not be there, or not the same, and answers which of them had not ended before.
    async fn stop_receivers(&mut self, parts: &Parts) -> Vec<Arc<ReceiverPart>> {
        let stays = |part: &Arc<ReceiverPart>| parts.runs(part);
        let until = Instant::now() + self.shutdown_timeout;
        let stopping: Vec<_> = self.receivers.iter_mut().filter(|task| !stays(&task.part)).collect();
        let stopped = stopping.iter().filter(|task| !task.is_over()).map(|task| task.part.clone()).collect();
        stopping.iter().for_each(|task| task.stop(parts.ending(&task.part)));
        let unfinished = join_all(stopping.into_iter().map(|task| task.join(until))).await;
        for what in unfinished.into_iter().flatten() {
            tracing::error!("did not end in time, so that a reload cut it off: {what}");
        }
        self.receivers.retain(|task| stays(&task.part));
        stopped
    }

    /// Starts the receivers that are new, and answers which do not work.
    async fn start_receivers(
        &mut self,
        parts: &Parts,
        mut instances: BTreeMap<ComponentId, Box<dyn Receiver>>,
        reports: &mpsc::Sender<Failure>,
        patience: Option<Duration>,
    ) -> Vec<Failure> {
        let new = parts.receivers.values().filter(|part| !self.parts.runs(part));
        let mut waiting = Vec::new();
        for part in new {
            let instance = instances.remove(&part.id);
            let (task, ready) = supervise::start(part, instance, self.stop.child_token(), reports.clone());
            self.receivers.push(task);
            waiting.push(started(ready, patience));
        }
        join_all(waiting).await.into_iter().flatten().collect()
    }

    /// Stops receivers that came too early, and starts those again that were stopped for them.
    async fn bring_back(
        &mut self,
        stopped: Vec<Arc<ReceiverPart>>,
        mut failures: Vec<Failure>,
        reports: &mpsc::Sender<Failure>,
    ) -> Vec<Failure> {
        let here = self.parts.clone();
        let until = Instant::now() + self.shutdown_timeout.max(GOODBYE);
        let came: Vec<_> = self.receivers.iter_mut().filter(|task| !here.runs(&task.part)).collect();
        came.iter().for_each(|task| task.stop(here.ending(&task.part)));
        join_all(came.into_iter().map(|task| task.join(until))).await;
        self.receivers.retain(|task| here.runs(&task.part));
        for part in stopped {
            for n in 1..=TRIES {
                let (task, ready) = supervise::start(&part, None, self.stop.child_token(), reports.clone());
                self.receivers.push(task);
                let Some(failure) = started(ready, Some(READY)).await else { break };
                self.receivers.retain(|task| !Arc::ptr_eq(&task.part, &part));
                if n < TRIES {
                    tokio::time::sleep(Duration::from_millis(100) * 2_u32.pow(n)).await;
                    continue;
                }
                tracing::error!("cannot be started again: {failure}");
                let message = format!("it cannot be started again as it was: {}", failure.message);
                failures.push(Failure { message, ..failure });
                let _ = reports.try_send(Failure::new(Kind::Receiver, &part.id, "it was lost in a reload that failed"));
            }
        }
        failures
    }

    /// Lets go of a graph that cannot be put in place, and answers what is wrong.
    async fn abandon(&mut self, parts: &Parts, displaced: Displaced, mut failures: Vec<Failure>) -> Vec<Failure> {
        let leaving = parts.without(&self.parts);
        for (key, old) in &self.parts.exporters {
            if let Some(new) = parts.exporters.get(key).filter(|new| !Arc::ptr_eq(new, old)) {
                old.delivery.take_back(&new.delivery);
            }
            old.delivery.start();
        }
        // What let go of a port gets it back: first its successor has to close.
        let is_displaced = |part: &dyn Opens| displaced.iter().any(|old| old.is_before(part));
        for exporter in leaving.exporters.iter().filter(|part| is_displaced(&***part)) {
            exporter.shut(Instant::now() + GOODBYE).await;
        }
        for extension in leaving.extensions.iter().filter(|part| is_displaced(&***part)) {
            extension.shut(Instant::now() + GOODBYE).await;
        }
        for old in displaced {
            failures.extend(reopen(&*old).await.err());
        }
        self.retire(leaving);
        failures
    }

    fn retire(&mut self, mut leaving: Leaving) {
        leaving.before = self.emptied.replace(leaving.emptied.clone());
        let deadline = Instant::now() + self.shutdown_timeout;
        self.retiring.spawn(leaving.go(self.live.clone(), deadline));
    }
}

impl Parts {
    /// Whether it is this very receiver that runs here.
    fn runs(&self, part: &Arc<ReceiverPart>) -> bool {
        self.receivers.get(&part.id).is_some_and(|here| Arc::ptr_eq(here, part))
    }

    /// What becomes of a receiver that is not this one here.
    fn ending(&self, part: &ReceiverPart) -> Ending {
        if self.receivers.contains_key(&part.id) { Ending::Replaced } else { Ending::Removed }
    }

    fn has_exporter(&self, part: &Arc<ExporterPart>) -> bool {
        let key = (part.id.clone(), part.signal);
        self.exporters.get(&key).is_some_and(|here| Arc::ptr_eq(here, part))
    }
}

/// Waits until a receiver is ready, and answers why it is not.
async fn started(mut waiting: Waiting, patience: Option<Duration>) -> Option<Failure> {
    let begun = Instant::now();
    loop {
        let left =
            patience.map_or(STILL_WAITING, |patience| patience.saturating_sub(begun.elapsed()).min(STILL_WAITING));
        match timeout(left, &mut waiting.started).await {
            Ok(Ok(result)) => return result.err(),
            Ok(Err(_)) => return Some(Failure::new(Kind::Receiver, &waiting.id, "it was stopped before it was ready")),
            Err(_) if patience.is_some_and(|patience| begun.elapsed() >= patience) => {
                let message = format!("it was not ready within {:?}", patience.unwrap_or_default());
                return Some(Failure::new(Kind::Receiver, &waiting.id, message));
            }
            Err(_) => tracing::warn!(component = %waiting.id, "still waiting for the receiver to be ready"),
        }
    }
}
