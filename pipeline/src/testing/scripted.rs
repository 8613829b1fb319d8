//! An exporter that answers by script and remembers every attempt with its instant.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::batch::Batch;
use crate::component::{BoxFuture, Exported, Exporter, Reason, Receipt, Refused};

/// What a far side does with an attempt.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Takes it all.
    Deliver,
    /// Takes it but drops so many items.
    Partial(Reason, usize),
    /// Refuses it.
    Refuse(Refused),
    /// Never answers.
    Hang,
    /// Answers after that time.
    After(Duration, Box<Answer>),
    /// The exporter has a bug.
    Panic,
}

impl Answer {
    /// Refuses it for now.
    pub fn retry(code: &'static str) -> Answer {
        Answer::Refuse(Refused::retry(code, "try again"))
    }

    /// Refuses it and says when to come back.
    pub fn retry_after(code: &'static str, after: Duration) -> Answer {
        Answer::Refuse(Refused::Retry { after: Some(after), reason: Reason::new(code, "try again") })
    }

    /// Refuses it for good.
    pub fn reject(code: &'static str) -> Answer {
        Answer::Refuse(Refused::reject(code, "never"))
    }

    /// The same answer after that time.
    #[must_use]
    pub fn after(self, time: Duration) -> Answer {
        Answer::After(time, Box::new(self))
    }
}

/// One attempt as the exporter saw it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it began, since the exporter was made.
    pub at: Duration,
    /// What was to be sent.
    pub batch: Batch,
}

type Rule = Box<dyn FnMut(&Batch) -> Answer + Send>;

/// An exporter by script; clone is another handle on the same one.
#[derive(Clone)]
pub struct ScriptedExporter {
    made: Instant,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    rule: Option<Rule>,
    attempts: Vec<Attempt>,
    delivered: Vec<Batch>,
    running: usize,
    most_running: usize,
    closed: usize,
}

impl ScriptedExporter {
    /// An exporter that delivers everything at once.
    pub fn new() -> ScriptedExporter {
        ScriptedExporter { made: Instant::now(), shared: Arc::default() }
    }

    /// Answers one attempt so, after those that were said before; then again as always.
    pub fn then(&self, answer: Answer) -> &ScriptedExporter {
        self.state().script.push_back(answer);
        self
    }

    /// Answers every attempt so that the script says nothing about.
    pub fn always(&self, answer: Answer) -> &ScriptedExporter {
        self.rule(move |_| answer.clone())
    }

    /// Answers every attempt by that rule that the script says nothing about.
    pub fn rule(&self, rule: impl FnMut(&Batch) -> Answer + Send + 'static) -> &ScriptedExporter {
        self.state().rule = Some(Box::new(rule));
        self
    }

    /// The exporter for the frame.
    pub fn exporter(&self) -> Arc<dyn Exporter> {
        Arc::new(self.clone())
    }

    /// Every attempt so far, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.state().attempts.clone()
    }

    /// The instants of the attempts so far, in milliseconds since the exporter was made.
    pub fn attempt_millis(&self) -> Vec<u128> {
        self.state().attempts.iter().map(|a| a.at.as_millis()).collect()
    }

    /// What was delivered, in order of delivery.
    pub fn delivered(&self) -> Vec<Batch> {
        self.state().delivered.clone()
    }

    /// Items that were delivered, less those that the far side dropped.
    pub fn delivered_items(&self) -> usize {
        self.state().delivered.iter().map(Batch::items).sum()
    }

    /// The most attempts that ran at the same time.
    pub fn most_running(&self) -> usize {
        self.state().most_running
    }

    /// How often it was closed.
    pub fn closed(&self) -> usize {
        self.state().closed
    }

    /// Waits until so many attempts have begun.
    pub async fn wait_for_attempts(&self, attempts: usize) {
        self.wait_until(|s| s.attempts.len() >= attempts).await;
    }

    /// Waits until so many batches were delivered.
    pub async fn wait_for_delivered(&self, batches: usize) {
        self.wait_until(|s| s.delivered.len() >= batches).await;
    }

    async fn wait_until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            if holds(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, batch: &Batch) -> (Answer, Running<'_>) {
        let mut state = self.state();
        state.attempts.push(Attempt { at: self.made.elapsed(), batch: batch.clone().without_fate() });
        state.running += 1;
        state.most_running = state.most_running.max(state.running);
        let answer = match state.script.pop_front() {
            Some(answer) => answer,
            None => state.rule.as_mut().map_or(Answer::Deliver, |rule| rule(batch)),
        };
        self.shared.changed.notify_waiters();
        (answer, Running(self))
    }

    async fn answer(&self, answer: Answer, batch: &Batch) -> Exported {
        match answer {
            Answer::Deliver => {
                self.state().delivered.push(batch.clone().without_fate());
                Ok(Receipt::default())
            }
            Answer::Partial(reason, items) => {
                let kept = batch.items().saturating_sub(items);
                self.state().delivered.push(Batch::from_parts(batch.signal(), batch.parts().to_vec(), kept));
                Ok(Receipt { dropped: vec![(reason, items)] })
            }
            Answer::Refuse(refused) => Err(refused),
            Answer::Hang => std::future::pending().await,
            Answer::After(time, answer) => {
                tokio::time::sleep(time).await;
                Box::pin(self.answer(*answer, batch)).await
            }
            // Without the panic hook, so that test output stays readable.
            Answer::Panic => std::panic::resume_unwind(Box::new("the script says so")),
        }
    }
}

impl Default for ScriptedExporter {
    fn default() -> ScriptedExporter {
        ScriptedExporter::new()
    }
}

impl Exporter for ScriptedExporter {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(async move {
            let (answer, running) = self.begin(batch);
            let exported = self.answer(answer, batch).await;
            drop(running);
            self.shared.changed.notify_waiters();
            exported
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.state().closed += 1;
        Box::pin(async {})
    }
}

struct Running<'a>(&'a ScriptedExporter);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
    }
}
