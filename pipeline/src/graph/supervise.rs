//! Receivers as tasks: waited for until they are ready, restarted when they panic, reported when they fail.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Failure;
use super::parts::ReceiverPart;
use crate::component::{Ending, Error, Life, Outputs, Receiver};
use crate::config::ComponentId;
use crate::telemetry::{Kind, Meter, Reporter};

/// The wait before a receiver that panicked is started again, at first; it doubles.
const FIRST_RESTART: Duration = Duration::from_secs(1);
/// It doubles up to this, and starts anew once the receiver has run for so long.
const LAST_RESTART: Duration = Duration::from_secs(60);

/// A start that is not over.
pub(super) struct Waiting {
    pub(super) id: ComponentId,
    /// The receiver is ready, or why it will not be.
    pub(super) started: oneshot::Receiver<Result<(), Failure>>,
}

/// A receiver's task.
pub(super) struct Task {
    pub(super) part: Arc<ReceiverPart>,
    stop: CancellationToken,
    ending: Arc<OnceLock<Ending>>,
    /// Until it is joined.
    task: Option<JoinHandle<()>>,
}

/// How often the receiver `id` had a bug.
pub(super) fn panics(meter: &Meter, id: &ComponentId) -> IntCounter {
    meter.counter(
        "slipring_component_panics_total",
        "Bugs that ended a component, which was then started again.",
        &[("kind", Kind::Receiver.name()), ("component", &id.to_string())],
    )
}

/// Starts a receiver: that instance, or where there is none a new one.
pub(super) fn start(
    part: &Arc<ReceiverPart>,
    instance: Option<Box<dyn Receiver>>,
    stop: CancellationToken,
    failures: mpsc::Sender<Failure>,
) -> (Task, Waiting) {
    let (start, started) = oneshot::channel();
    let ending = Arc::<OnceLock<Ending>>::default();
    let running = part.clone().supervise(instance, (stop.clone(), ending.clone()), start, failures);
    // A tracker of its own: the frame's waits for the components' tasks, after the receivers.
    let task = Some(TaskTracker::new().spawn(running));
    (Task { part: part.clone(), stop, ending, task }, Waiting { id: part.id.clone(), started })
}

impl ReceiverPart {
    async fn supervise(
        self: Arc<Self>,
        mut receiver: Option<Box<dyn Receiver>>,
        (stop, ending): (CancellationToken, Arc<OnceLock<Ending>>),
        start: oneshot::Sender<Result<(), Failure>>,
        failures: mpsc::Sender<Failure>,
    ) {
        let ReceiverPart { id, build, context, outputs, panics, .. } = &*self;
        let mut start = Some(start);
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
                Ok(receiver) => run(receiver, outputs, (&stop, &ending), &mut start, &reporter).await,
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
                End::Failed(error) => Failure::new(Kind::Receiver, id, error),
                End::Panicked(words) => {
                    panics.inc();
                    let failure = Failure::new(Kind::Receiver, id, format!("it has a bug: it panicked: {words}"));
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

impl Task {
    /// Tells it to take nothing new and to end, and why.
    pub(super) fn stop(&self, ending: Ending) {
        let _ = self.ending.set(ending);
        self.stop.cancel();
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its end until then; answers its name when it had to be cut off.
    pub(super) async fn join(&mut self, until: Instant) -> Option<String> {
        let task = self.task.as_mut()?;
        let ended = timeout_at(until, &mut *task).await.is_ok();
        if !ended {
            task.abort();
            let _ = task.await;
        }
        self.task = None;
        (!ended).then(|| format!("{} {}", Kind::Receiver, self.part.id))
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
    (stop, ending): (&CancellationToken, &Arc<OnceLock<Ending>>),
    start: &mut Option<oneshot::Sender<Result<(), Failure>>>,
    reporter: &Reporter,
) -> End {
    let ready = Arc::new(Notify::new());
    let life = Life::new(stop.clone(), ready.clone()).with_ending(ending.clone());
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
