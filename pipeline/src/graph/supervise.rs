//! Receivers as tasks: waited for until they are ready, restarted when they panic, reported when they fail.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Failure;
use crate::component::{Context, Error, Life, Outputs, Receiver};
use crate::config::ComponentId;
use crate::plan::BuildReceiver;
use crate::telemetry::{Kind, Meter, Reporter};

/// The wait before a receiver that panicked is started again, at first; it doubles.
const FIRST_RESTART: Duration = Duration::from_secs(1);
/// It doubles up to this, and starts anew once the receiver has run for so long.
const LAST_RESTART: Duration = Duration::from_secs(60);

/// A receiver that is built, and what builds it anew.
pub(super) type Instance = (Box<dyn Receiver>, BuildReceiver, Context);

/// A receiver joined to its pipelines, not started yet.
pub(super) struct Supervised {
    id: ComponentId,
    instance: Instance,
    outputs: Outputs,
    panics: IntCounter,
}

/// A start that is not over.
pub(super) struct Waiting {
    pub(super) id: ComponentId,
    /// The receiver is ready, or why it will not be.
    pub(super) started: oneshot::Receiver<Result<(), Failure>>,
}

/// A receiver's task.
pub(super) struct Running {
    id: ComponentId,
    task: JoinHandle<()>,
}

impl Supervised {
    pub(super) fn new(id: ComponentId, instance: Instance, outputs: Outputs, meter: &Meter) -> Supervised {
        let panics = meter.counter(
            "slipring_component_panics_total",
            "Bugs that ended a component, which was then started again.",
            &[("kind", Kind::Receiver.name()), ("component", &id.to_string())],
        );
        Supervised { id, instance, outputs, panics }
    }

    pub(super) fn start(self, stop: &CancellationToken, failures: mpsc::Sender<Failure>) -> (Running, Waiting) {
        let (start, started) = oneshot::channel();
        let id = self.id.clone();
        // A tracker of its own: the frame's waits for the components' tasks, after the receivers.
        let task = TaskTracker::new().spawn(self.supervise(stop.clone(), start, failures));
        (Running { id: id.clone(), task }, Waiting { id, started })
    }

    async fn supervise(
        self,
        stop: CancellationToken,
        start: oneshot::Sender<Result<(), Failure>>,
        failures: mpsc::Sender<Failure>,
    ) {
        let Supervised { id, instance: (receiver, build, context), outputs, panics } = self;
        let mut start = Some(start);
        let mut receiver = Some(receiver);
        let mut wait = FIRST_RESTART;
        let reporter = context.reporter.clone();
        loop {
            reporter.starting();
            let begun = Instant::now();
            let built = match receiver.take() {
                Some(first) => Ok(first),
                None => build(context.clone()),
            };
            let end = match built {
                Ok(receiver) => run(receiver, &outputs, &stop, &mut start, &reporter).await,
                Err(error) => End::Failed(error),
            };
            let failure = match end {
                End::Done => {
                    if !stop.is_cancelled() {
                        tracing::info!(component = %id, "the receiver has ended: it has nothing more to bring");
                    }
                    reporter.stopped();
                    return;
                }
                End::Failed(error) => Failure::new(Kind::Receiver, &id, error),
                End::Panicked(words) => {
                    panics.inc();
                    let failure = Failure::new(Kind::Receiver, &id, format!("it has a bug: it panicked: {words}"));
                    if start.is_none() && !stop.is_cancelled() {
                        wait = if begun.elapsed() >= LAST_RESTART { FIRST_RESTART } else { wait };
                        tracing::error!(restart_in = ?wait, "{failure}");
                        reporter.recoverable(&failure.message);
                        tokio::select! {
                            () = tokio::time::sleep(wait) => {}
                            () = stop.cancelled() => return,
                        }
                        wait = (wait * 2).min(LAST_RESTART);
                        continue;
                    }
                    failure
                }
            };
            reporter.fatal(&failure.message);
            match start.take() {
                Some(start) => {
                    let _ = start.send(Err(failure));
                }
                None => {
                    tracing::error!("{failure}");
                    let _ = failures.try_send(failure);
                }
            }
            return;
        }
    }
}

impl Running {
    /// Waits for its end until then; answers its name when it had to be cut off.
    pub(super) async fn join(mut self, until: Instant) -> Option<String> {
        if timeout_at(until, &mut self.task).await.is_ok() {
            return None;
        }
        self.task.abort();
        let _ = self.task.await;
        Some(format!("{} {}", Kind::Receiver, self.id))
    }
}

enum End {
    Done,
    Failed(Error),
    Panicked(String),
}

/// Runs a receiver to its end, and says on the way that it is ready.
async fn run(
    receiver: Box<dyn Receiver>,
    outputs: &Outputs,
    stop: &CancellationToken,
    start: &mut Option<oneshot::Sender<Result<(), Failure>>>,
    reporter: &Reporter,
) -> End {
    let ready = Arc::new(Notify::new());
    let life = Life::new(stop.clone(), ready.clone());
    let (outputs, running_life) = (outputs.clone(), life.clone());
    let running = AssertUnwindSafe(async move { receiver.run(outputs, running_life).await }).catch_unwind();
    tokio::pin!(running);
    let mut is_ready = false;
    let result = loop {
        tokio::select! {
            biased;
            () = ready.notified(), if !is_ready => {
                is_ready = true;
                reporter.ok();
                start.take().map(|start| start.send(Ok(())));
            }
            result = &mut running => break result,
        }
    };
    match result {
        Ok(Ok(())) => {
            start.take().map(|start| start.send(Ok(())));
            End::Done
        }
        Ok(Err(error)) => End::Failed(error),
        Err(panic) => End::Panicked(words(&*panic)),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
