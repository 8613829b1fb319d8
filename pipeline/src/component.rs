//! The traits that components implement, and the answer that every batch gets.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batch::{Batch, Signal};
use crate::config::ComponentId;
use crate::delivery::{BatchSettings, FileStorage};
use crate::doors::Doors;
use crate::extensions::Extensions;
use crate::net::auth::{ClientAuth, ServerAuth};
use crate::otlp::WireError;
use crate::shared::Shared;
use crate::telemetry::{Drops, Health, Kind, Meter, Pages, Reporter};

/// A boxed future, so that the traits below can be used through `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer to a batch: taken over, or refused.
pub type Outcome = Result<(), Refused>;

/// The answer to one export attempt: delivered, less what the far side said it dropped, or refused.
pub type Exported = Result<Receipt, Refused>;

/// An error that ends a component or keeps it from starting; the text names the thing and says what would work.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Why something was refused or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A short stable word for metrics and the drop ledger, such as `queue_full` or `http_400`.
    pub code: &'static str,
    /// What a person should read, such as the far side's own words.
    pub message: Cow<'static, str>,
}

impl Reason {
    /// A reason with its stable code and its text.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Reason {
        Reason { code, message: message.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// A refusal. Whoever gets it still owns the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The same batch may be accepted later, not before `after` where that is given.
    Retry {
        /// How long to wait at least, as the far side asked.
        after: Option<Duration>,
        /// Why.
        reason: Reason,
    },
    /// The same batch will never be accepted.
    Reject {
        /// Why.
        reason: Reason,
    },
}

impl Refused {
    /// Try again later.
    pub fn retry(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refused {
        Refused::Retry { after: None, reason: Reason::new(code, message) }
    }

    /// Never.
    pub fn reject(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refused {
        Refused::Reject { reason: Reason::new(code, message) }
    }

    /// The answer where two were given: a retry wins over a rejection, since a batch that comes again can still be
    /// rejected then; of two retries the later wins.
    #[must_use]
    pub fn worse(self, other: Refused) -> Refused {
        match (&self, &other) {
            (Refused::Retry { after: a, .. }, Refused::Retry { after: b, .. }) if a < b => other,
            (Refused::Reject { .. }, Refused::Retry { .. }) => other,
            _ => self,
        }
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        match self {
            Refused::Retry { reason, .. } | Refused::Reject { reason } => reason,
        }
    }
}

/// Bytes that are not the OTLP they should be: the same bytes will never be accepted.
impl From<WireError> for Refused {
    fn from(error: WireError) -> Refused {
        Refused::reject("malformed", error.to_string())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason().fmt(f)
    }
}

/// What a far side took of an export that it answered with success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Items of the batch that the far side, or the exporter itself, dropped, with the reason (OTLP partial success,
    /// a Loki 400 whose good entries are stored, a point that has no form in the far side's language).
    pub dropped: Vec<(Reason, usize)>,
}

/// Takes batches: a processor chain, a fan-out, a queue.
pub trait Consumer: Send + Sync {
    /// Takes over the batch, or refuses it.
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome>;

    /// Hands on what is held and stops; safe to call twice.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Whether its yes says no more than that the batch is in memory. Before such a consumer a processor that holds data may
    /// say yes itself as soon as it holds a batch, and then owes the batch; before any other it hands the answer on.
    fn answers_from_memory(&self) -> bool {
        false
    }

    /// Whether there is anything behind it now: a reload may give a receiver's edge its first pipeline, or take the last.
    fn leads_somewhere(&self) -> bool {
        true
    }

    /// The same consumer with its counts labelled by that transport, where it is an edge that counts.
    fn over(&self, transport: &'static str) -> Option<Arc<dyn Consumer>> {
        let _ = transport;
        None
    }
}

/// Where a receiver hands its batches, by signal; `None` where no pipeline takes the signal from it.
#[derive(Clone, Default)]
pub struct Outputs {
    by_signal: [Option<Arc<dyn Consumer>>; 3],
}

impl Outputs {
    /// No pipeline yet.
    pub fn none() -> Outputs {
        Outputs::default()
    }

    /// The same with `next` taking `signal`.
    #[must_use]
    pub fn with(mut self, signal: Signal, next: Arc<dyn Consumer>) -> Outputs {
        self.by_signal[signal.index()] = Some(next);
        self
    }

    /// The same with what the frame counts labelled by `transport` (`grpc`, `http`), for receivers with several.
    #[must_use]
    pub fn over(&self, transport: &'static str) -> Outputs {
        let label = |next: &Arc<dyn Consumer>| next.over(transport).unwrap_or_else(|| next.clone());
        Outputs { by_signal: self.by_signal.each_ref().map(|next| next.as_ref().map(label)) }
    }

    /// What takes `signal`, if any pipeline does now. A reload may change that: ask for each batch, where it can be.
    pub fn signal(&self, signal: Signal) -> Option<&Arc<dyn Consumer>> {
        self.by_signal[signal.index()].as_ref().filter(|next| next.leads_somewhere())
    }
}

/// Why a receiver stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The process ends.
    #[default]
    Shutdown,
    /// The config was loaded anew: another receiver of the same id is built in its place.
    Replaced,
    /// The config was loaded anew and does not have it any more.
    Removed,
}

/// A receiver's side of start and stop.
#[derive(Clone)]
pub struct Life {
    stop: CancellationToken,
    ready: Arc<tokio::sync::Notify>,
    ending: Arc<OnceLock<Ending>>,
}

impl Life {
    /// A life that ends when `stop` is cancelled; `ready` gets one permit from [`Life::ready`].
    pub fn new(stop: CancellationToken, ready: Arc<tokio::sync::Notify>) -> Life {
        Life { stop, ready, ending: Arc::default() }
    }

    /// The same, where `ending` is said before `stop` is cancelled.
    #[must_use]
    pub fn with_ending(self, ending: Arc<OnceLock<Ending>>) -> Life {
        Life { ending, ..self }
    }

    /// Why it must stop, once it must.
    pub fn ending(&self) -> Ending {
        self.ending.get().copied().unwrap_or_default()
    }

    /// Says that the receiver works (its socket listens, its directory was read). The graph waits for this.
    pub fn ready(&self) {
        self.ready.notify_one();
    }

    /// Ends when the receiver must take nothing new and return once what is in flight is answered.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether it must stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The token itself, for loops that want to select on it or hand it on.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }
}

/// Brings telemetry in: one task from start to end.
pub trait Receiver: Send {
    /// Runs until `life` is stopped; calls `life.ready()` when it works; returns after its batches in flight are
    /// answered. Every batch goes to `next` and its answer is said in the receiver's protocol.
    ///
    /// # Errors
    /// Only when it cannot work at all (a port that is taken); bad input is never an error here.
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>>;
}

/// Changes batches: synchronous, no I/O, no waiting.
pub trait Processor: Send + Sync {
    /// The batch as it goes on; an empty batch means that nothing does. What is dropped on purpose is counted through
    /// [`Context::drops`].
    ///
    /// # Errors
    /// A refusal goes back to the receiver.
    fn process(&self, batch: Batch) -> Result<Batch, Refused>;
}

/// Makes a processor that holds data, given what comes after it.
pub type BuildHolding = Box<dyn FnOnce(Arc<dyn Consumer>) -> Arc<dyn Consumer> + Send>;

/// What a processor's factory builds.
pub enum Stage {
    /// The ordinary processor.
    Plain(Box<dyn Processor>),
    /// A processor that holds data and hands it on later: it is given what comes after it.
    Holding(BuildHolding),
    /// The `batch` processor: nothing at its place, but the delivery of its pipeline's exporters batches like this.
    Batching(BatchSettings),
}

/// Sends telemetry out: one attempt a call, nothing else. Delivery queues, batches, retries and times out around it.
pub trait Exporter: Send + Sync {
    /// Opens what it needs before anything reaches it, such as a port to listen on; called once. What is reached by
    /// connecting is connected to by the first export.
    ///
    /// # Errors
    /// What keeps the process from starting.
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// One attempt.
    ///
    /// # Errors
    /// `Retry` when the same batch may be taken later, `Reject` when never.
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported>;

    /// Flushes and lets go of what it holds; called once, after the last export.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Serves other components, or whoever operates the process: authenticates, stores, shows. Extensions are started before
/// everything else, in the order of `service.extensions`, and closed after everything else, in the opposite order.
pub trait Extension: Send + Sync {
    /// Opens what it needs, such as a port to listen on; called once.
    ///
    /// # Errors
    /// What keeps the process from starting.
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// Lets go of what it holds; safe to call twice.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Itself as what tells who sends a request to a server, if it can.
    fn server_auth(self: Arc<Self>) -> Option<Arc<dyn ServerAuth>> {
        None
    }

    /// Itself as what shows a far side who we are, if it can.
    fn client_auth(self: Arc<Self>) -> Option<Arc<dyn ClientAuth>> {
        None
    }

    /// Where queues and offsets are stored, if it stores them.
    fn storage(&self) -> Option<&FileStorage> {
        None
    }
}

/// What the frame gives a component when it is built.
#[derive(Clone)]
pub struct Context {
    /// The component's id as the config writes it.
    pub id: ComponentId,
    /// The pipeline it is built for, for processors; empty for others.
    pub pipeline: Arc<str>,
    /// Its signal, for processors and exporters (built once for each); `None` for receivers.
    pub signal: Option<Signal>,
    /// Own metrics.
    pub meter: Meter,
    /// The drop ledger, already labelled with this component.
    pub drops: Drops,
    /// Where bytes and time come in and go out.
    pub doors: Doors,
    /// Pages beside the own metrics, such as `/targets`.
    pub pages: Pages,
    /// What the instances of this processor in several pipelines, or of this exporter for several signals, share.
    pub shared: Shared,
    /// A directory for this process' state (file offsets, queues).
    pub data_dir: PathBuf,
    /// The extensions that help it.
    pub extensions: Extensions,
    /// The state of all components.
    pub health: Health,
    /// Where it says how it is itself, beyond what the frame sees.
    pub reporter: Reporter,
    /// Tasks that the frame joins at shutdown.
    pub tasks: TaskTracker,
}

impl Context {
    /// The context of what no graph builds, such as a client that sends to one.
    pub fn alone(id: ComponentId, doors: Doors) -> Context {
        let (meter, health) = (Meter::with_clock(doors.clock), Health::new(doors.clock));
        Context {
            drops: Drops::new(&meter, &id),
            reporter: health.reporter(Kind::Receiver, &id, None),
            extensions: Extensions::default(),
            health,
            id,
            pipeline: Arc::from(""),
            signal: None,
            meter,
            doors,
            pages: Pages::new(),
            shared: Shared::default(),
            data_dir: PathBuf::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Starts a task that the frame joins at shutdown; it must end by itself once its component is closed.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}
