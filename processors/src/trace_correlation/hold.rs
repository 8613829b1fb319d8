//! The processor's place in a pipeline: it looks at each batch, holds it while it lacks something that may still come, and
//! hands it on with what is known by then.
//!
//! A held batch is answered when it was handed on. Only where everything behind answers from memory, so that a yes means no
//! more than that, the batch is answered when it is held: a sender that waits for each answer would otherwise be slowed down
//! to one batch a wait. Then it is offered until it is taken.

use std::sync::Arc;
use std::time::Duration;

use pipeline::Signal;
use pipeline::batch::Batch;
use pipeline::component::{BoxFuture, Consumer, Context, Outcome, Reason, Refused};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Choice;
use super::memory::{Held, Memory};
use super::observations::Given;
use super::ticket::Ticket;
use super::{logs, spans, worker};

/// Stands in one pipeline.
pub struct Correlation {
    inner: Arc<Inner>,
    context: Context,
    is_early: bool,
    /// Batches that were answered and not handed on yet.
    owed: TaskTracker,
}

struct Inner {
    choice: Choice,
    memory: Arc<Memory>,
    next: Arc<dyn Consumer>,
    /// Nothing is held any more.
    closing: CancellationToken,
    /// Nothing is offered any more.
    over: CancellationToken,
}

/// What was found out about a batch when it came.
enum Looked {
    Logs(logs::Looked),
    Spans(spans::Looked),
    /// Metrics do not wait.
    Metrics,
}

/// What to remember of a batch once it was handed on: one that is refused may come again.
enum After {
    Errors(logs::Errors),
    Measured(Vec<spans::Measured>),
    Given(Vec<Given>),
}

/// A held batch's wait.
struct Wait {
    /// `None` where it lasts until its end in any case.
    ticket: Option<Arc<Ticket>>,
    until: Instant,
    _room: Held,
}

/// Errors that are remembered before their batch was handed on. They are forgotten where it never is: it may come again.
struct Told {
    memory: Arc<Memory>,
    errors: logs::Errors,
}

impl Told {
    fn keep(mut self) {
        self.errors = logs::Errors::default();
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.errors.forget(&self.memory);
    }
}

/// The code of what nobody took before the end of the process.
const SHUTDOWN: &str = "shutdown";
/// How long to wait before a batch is offered again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Correlation {
    /// The stage before `next`.
    pub fn new(choice: Choice, memory: Arc<Memory>, next: Arc<dyn Consumer>, context: Context) -> Correlation {
        let is_early = next.answers_from_memory();
        let (closing, over) = (CancellationToken::new(), CancellationToken::new());
        let inner = Arc::new(Inner { choice, memory, next, closing, over });
        Correlation { inner, context, is_early, owed: TaskTracker::new() }
    }
}

impl Consumer for Correlation {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let mut looked = self.inner.look(&batch)?;
            let Some(wait) = self.inner.wait(&looked, &batch) else { return self.inner.hand_on(&looked, batch).await };
            let told = self.inner.tell(&mut looked);
            if !self.is_early {
                wait.over(&self.inner.closing).await;
                let answer = self.inner.hand_on(&looked, batch).await;
                if answer.is_ok() {
                    told.keep();
                }
                return answer;
            }
            told.keep();
            let (inner, drops, owed) = (self.inner.clone(), self.context.drops.clone(), self.owed.token());
            self.context.spawn(async move {
                let _owed = owed;
                wait.over(&inner.closing).await;
                let held = batch.clone();
                match (inner.offer(&looked, batch).await, held.fate()) {
                    (Ok(()), _) => {}
                    // Its sender has it still.
                    (Err(reason), Some(fate)) if reason.code == SHUTDOWN => fate.miss(),
                    (Err(reason), _) => drops.record_batch(&held, held.items(), &reason),
                }
            });
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.inner.closing.cancel();
            // When whoever closes waits no more, nothing is offered any more.
            let _over = self.inner.over.clone().drop_guard();
            self.owed.close();
            self.owed.wait().await;
        })
    }

    fn answers_from_memory(&self) -> bool {
        self.is_early
    }
}

impl Inner {
    fn look(&self, batch: &Batch) -> Result<Looked, Refused> {
        Ok(match batch.signal() {
            Signal::Logs => Looked::Logs(logs::Looked::new(&self.choice, &self.memory, batch)?),
            Signal::Traces => Looked::Spans(spans::Looked::new(&self.choice, &self.memory, batch)?),
            Signal::Metrics => Looked::Metrics,
        })
    }

    /// The wait of a batch that lacks something, if there is room for it.
    fn wait(&self, looked: &Looked, batch: &Batch) -> Option<Wait> {
        if self.choice.wait.is_zero() || self.closing.is_cancelled() {
            return None;
        }
        let until = Instant::now() + self.choice.wait;
        let bytes = match looked {
            Looked::Logs(looked) if looked.lacks_something() => looked.bytes(),
            Looked::Spans(looked) => looked.bytes(),
            Looked::Logs(_) | Looked::Metrics => return None,
        };
        let _room = self.memory.hold(bytes + batch.byte_len())?;
        let ticket = match looked {
            Looked::Logs(looked) => Some(looked.ticket(&self.choice, &self.memory)),
            Looked::Spans(_) | Looked::Metrics => None,
        };
        Some(Wait { ticket, until, _room })
    }

    /// Remembers the errors of a batch that is held, because their spans may come and go while it is.
    fn tell(&self, looked: &mut Looked) -> Told {
        let errors = match looked {
            Looked::Logs(looked) => looked.take_known_errors(&self.memory),
            Looked::Spans(_) | Looked::Metrics => logs::Errors::default(),
        };
        errors.remember(&self.memory);
        Told { memory: self.memory.clone(), errors }
    }

    /// Hands a batch on, whose answer is the answer.
    async fn hand_on(&self, looked: &Looked, batch: Batch) -> Outcome {
        let (batch, after) = self.finish(looked, batch)?;
        self.next.consume(batch).await?;
        self.remember(after);
        Ok(())
    }

    /// The batch with what is known now, and what to remember of it once it was handed on.
    fn finish(&self, looked: &Looked, batch: Batch) -> Result<(Batch, After), Refused> {
        let Inner { choice, memory, .. } = self;
        let (batch, after) = match looked {
            Looked::Logs(looked) => {
                let (batch, errors) = looked.edit(choice, memory, batch)?;
                (batch, After::Errors(errors))
            }
            Looked::Spans(looked) => {
                let measured = spans::measured(choice, &batch)?;
                (looked.edit(choice, memory, batch)?, After::Measured(measured))
            }
            Looked::Metrics => {
                let (batch, given) = choice.rules.add(memory, batch)?;
                (batch, After::Given(given))
            }
        };
        Ok((worker::convert(choice.worker_id, &choice.worker_id_keys, batch)?, after))
    }

    fn remember(&self, after: After) {
        match after {
            After::Errors(errors) => errors.remember(&self.memory),
            After::Measured(measured) if !measured.is_empty() => self.memory.with(|state| {
                let now = state.now();
                measured.into_iter().for_each(|(ids, end, values)| state.observations.add(now, ids, end, values));
            }),
            After::Given(given) if !given.is_empty() => self.memory.with(|state| state.observations.give(&given)),
            After::Measured(_) | After::Given(_) => {}
        }
    }

    /// Offers a batch that was answered until it is taken.
    async fn offer(&self, looked: &Looked, batch: Batch) -> Result<(), Reason> {
        let (batch, after) = self.finish(looked, batch).map_err(|refused| refused.reason().clone())?;
        let mut pause = RETRY.0;
        loop {
            match self.next.consume(batch.clone()).await {
                Ok(()) => break,
                Err(Refused::Reject { reason }) => return Err(reason),
                Err(Refused::Retry { after, reason }) => {
                    tokio::select! {
                        () = self.over.cancelled() => return Err(Reason::new(SHUTDOWN, reason.message)),
                        () = sleep(after.unwrap_or(pause).min(RETRY.1)) => pause = (pause * 2).min(RETRY.1),
                    }
                }
            }
        }
        self.remember(after);
        Ok(())
    }
}

impl Wait {
    async fn over(&self, closing: &CancellationToken) {
        let complete = async {
            match &self.ticket {
                Some(ticket) => ticket.complete().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = complete => {}
            () = sleep_until(self.until) => {}
            () = closing.cancelled() => {}
        }
    }
}
