//! What both protocols share: room for a request while it is worked on, the check, and the pipeline's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use pipeline::net::grpc::{Code, Status};
use pipeline::otlp::{WireError, canonical, check};
use pipeline::telemetry::Drops;
use pipeline::{Batch, Context, Metadata, Outputs, Reason, Refused, Signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Validation;

/// How long a request waits for room before it is refused for now.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);
/// How long a message may come, holding its room, while others wait for room.
const SLOW: Duration = Duration::from_secs(10);
/// How often it is looked whether others wait, while a slow message comes.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// What a client is asked to wait where the pipeline does not say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Takes requests in; both protocols share its room.
#[derive(Clone)]
pub(super) struct Intake {
    outputs: Outputs,
    validation: Validation,
    drops: Drops,
    component: String,
    room: Arc<Semaphore>,
    room_bytes: usize,
    /// Requests that wait for room.
    waiting: Arc<AtomicUsize>,
    unrouted: Arc<[AtomicBool; 3]>,
}

/// Room for a request's bytes, given back when it is dropped.
#[derive(Default)]
pub(super) struct Room {
    permits: Option<OwnedSemaphorePermit>,
}

impl Intake {
    pub(super) fn new(context: &Context, validation: Validation, room_bytes: usize) -> Intake {
        let room_bytes = room_bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Intake {
            outputs: Outputs::none(),
            validation,
            drops: context.drops.clone(),
            component: context.id.to_string(),
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            waiting: Arc::default(),
            unrouted: Arc::default(),
        }
    }

    /// The same with its own pipelines.
    pub(super) fn hands_on_to(&self, outputs: Outputs) -> Arc<Intake> {
        Arc::new(Intake { outputs, ..self.clone() })
    }

    /// Waits for room for a request of `bytes`; a larger one than the whole room takes all of it.
    ///
    /// # Errors
    /// There is no room soon enough.
    pub(super) async fn room(&self, bytes: usize) -> Result<Room, Status> {
        if let Ok(permits) = Arc::clone(&self.room).try_acquire_many_owned(self.permits(bytes)) {
            return Ok(Room { permits: Some(permits) });
        }
        let _waiting = Waiting::new(&self.waiting);
        let permits = Arc::clone(&self.room).acquire_many_owned(self.permits(bytes));
        match tokio::time::timeout(ROOM_PATIENCE, permits).await {
            Ok(Ok(permits)) => Ok(Room { permits: Some(permits) }),
            Ok(Err(_)) | Err(_) => Err(self.no_room()),
        }
    }

    /// Ends when a message that is still coming then is too slow to be waited for: others wait for the room it holds.
    pub(super) async fn others_wait(&self) {
        tokio::time::sleep(SLOW).await;
        while self.waiting.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Makes the room of a request fit what it has become.
    ///
    /// # Errors
    /// It has become larger and there is no room at once.
    pub(super) fn fit(&self, room: &mut Room, bytes: usize) -> Result<(), Status> {
        let wanted = self.permits(bytes) as usize;
        let held = room.permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if wanted > held {
            let more = u32::try_from(wanted - held).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.room).try_acquire_many_owned(more).map_err(|_| self.no_room())?;
            match &mut room.permits {
                Some(permits) => permits.merge(more),
                None => room.permits = Some(more),
            }
        } else if let Some(permits) = &mut room.permits {
            drop(permits.split(held - wanted));
        }
        Ok(())
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.room_bytes)).unwrap_or(u32::MAX)
    }

    fn no_room(&self) -> Status {
        let message = format!("{} bytes of requests are being worked on, which is the most", self.room_bytes);
        Status::new(Code::Unavailable, message).with_retry_after(Some(RETRY_AFTER))
    }

    /// Checks a request and hands it on.
    ///
    /// # Errors
    /// It is malformed, or the pipeline does not take it.
    pub(super) async fn take(&self, signal: Signal, request: Bytes, meta: Metadata) -> Result<(), Status> {
        let (joined, items) = self.check(signal, &request).map_err(|error| {
            let message = format!("the request is not OTLP {signal}: {error}");
            // As far as it can be read; nobody knows how many items it was to be.
            let batch = Batch::counted(signal, request.clone(), 0);
            self.drops.refused(&batch, &Reason::new("malformed", message.clone()));
            Status::new(Code::InvalidArgument, message)
        })?;
        let request = joined.unwrap_or(request);
        if items == 0 {
            return Ok(());
        }
        let Some(next) = self.outputs.signal(signal) else {
            self.no_pipeline(&Batch::counted(signal, request, items));
            return Ok(());
        };
        let batch = Batch::counted(signal, request, items).with_meta(Arc::new(meta));
        next.consume(batch).await.map_err(|refused| status(&refused))
    }

    /// What is one message but came in pieces is joined, so that nobody behind this door meets it.
    fn check(&self, signal: Signal, request: &Bytes) -> Result<(Option<Bytes>, usize), WireError> {
        let checked = match self.validation {
            Validation::Full => check::full(signal, request)?,
            Validation::Envelope => check::envelope(signal, request)?,
        };
        let joined = if checked.needs_joining { canonical(signal, request)? } else { None };
        Ok((joined, checked.items))
    }

    /// SDKs send all their signals to one address: an error for the one that nobody wants would only fill their logs.
    fn no_pipeline(&self, batch: &Batch) {
        let signal = batch.signal();
        let message = format!("no pipeline takes {signal} from this receiver");
        if !self.unrouted[signal.index()].swap(true, Ordering::Relaxed) {
            tracing::warn!(component = self.component, "{message}; they are accepted and dropped");
        }
        self.drops.record_batch(batch, batch.items(), &Reason::new("no_pipeline", message));
    }
}

/// A request that waits for room.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn new(waiting: &AtomicUsize) -> Waiting<'_> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The refusal of a message that holds room others wait for.
pub(super) fn too_slow() -> Status {
    Status::new(Code::DeadlineExceeded, "the message comes slowly, and others wait for the room it takes")
}

/// A refusal in gRPC's words, which OTLP/HTTP uses too. Too fast a sender is told so (429); anything else that time heals
/// is unavailability.
fn status(refused: &Refused) -> Status {
    let message = refused.reason().to_string();
    match refused {
        Refused::Retry { after, reason } => {
            let code = if reason.code.starts_with("rate") { Code::ResourceExhausted } else { Code::Unavailable };
            Status::new(code, message).with_retry_after(Some(after.unwrap_or(RETRY_AFTER)))
        }
        Refused::Reject { .. } => Status::new(Code::InvalidArgument, message),
    }
}
