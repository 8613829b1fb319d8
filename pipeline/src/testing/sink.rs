//! A consumer that collects what it is given and answers by script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::batch::{Batch, Signal};
use crate::component::{BoxFuture, Consumer, Outcome, Outputs};

/// Collects batches; clone is another handle on the same sink.
#[derive(Clone, Default)]
pub struct Sink {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    accepted: Vec<Batch>,
    refused: Vec<Batch>,
    script: VecDeque<Outcome>,
    always: Option<Outcome>,
    held: bool,
    waiting: usize,
    closed: usize,
}

impl Sink {
    /// A sink that accepts everything.
    pub fn new() -> Sink {
        Sink::default()
    }

    /// The sink as what comes next.
    pub fn consumer(&self) -> Arc<dyn Consumer> {
        Arc::new(self.clone())
    }

    /// The sink as a receiver's outputs, for all signals.
    pub fn outputs(&self) -> Outputs {
        Signal::ALL.into_iter().fold(Outputs::none(), |outputs, signal| outputs.with(signal, self.consumer()))
    }

    /// Answers one batch so, after those that were said before; then again what it always answers.
    pub fn then(&self, outcome: Outcome) -> &Sink {
        self.state().script.push_back(outcome);
        self
    }

    /// Answers every batch so that the script says nothing about.
    pub fn always(&self, outcome: Outcome) -> &Sink {
        self.state().always = Some(outcome);
        self
    }

    /// Lets every batch wait for its answer until [`Sink::release`].
    pub fn hold(&self) {
        self.state().held = true;
    }

    /// Answers what waits and holds no more.
    pub fn release(&self) {
        self.state().held = false;
        self.shared.changed.notify_waiters();
    }

    /// The batches that were accepted.
    pub fn batches(&self) -> Vec<Batch> {
        self.state().accepted.clone()
    }

    /// The batches that were accepted since the last `take`.
    pub fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut self.state().accepted)
    }

    /// The batches that were refused.
    pub fn refused(&self) -> Vec<Batch> {
        self.state().refused.clone()
    }

    /// Items in the batches that were accepted.
    pub fn items(&self) -> usize {
        self.state().accepted.iter().map(Batch::items).sum()
    }

    /// Batches that wait for their answer now.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// How often it was closed.
    pub fn closed(&self) -> usize {
        self.state().closed
    }

    /// Waits until `holds` of the accepted batches, and answers these.
    pub async fn wait_until(&self, mut holds: impl FnMut(&[Batch]) -> bool) -> Vec<Batch> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let state = self.state();
                if holds(&state.accepted) {
                    return state.accepted.clone();
                }
            }
            changed.await;
        }
    }

    /// Waits until so many batches were accepted.
    pub async fn wait_for(&self, batches: usize) -> Vec<Batch> {
        self.wait_until(|accepted| accepted.len() >= batches).await
    }

    /// Waits until so many items were accepted.
    pub async fn wait_for_items(&self, items: usize) -> Vec<Batch> {
        self.wait_until(|accepted| accepted.iter().map(Batch::items).sum::<usize>() >= items).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn released(&self) {
        let _waiting = Waiting::new(self);
        loop {
            let changed = self.shared.changed.notified();
            if !self.state().held {
                return;
            }
            changed.await;
        }
    }
}

impl Consumer for Sink {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            self.released().await;
            let outcome = {
                let mut state = self.state();
                let outcome = state.script.pop_front().or_else(|| state.always.clone()).unwrap_or(Ok(()));
                match outcome {
                    Ok(()) => state.accepted.push(batch.without_fate()),
                    Err(_) => state.refused.push(batch.without_fate()),
                }
                outcome
            };
            self.shared.changed.notify_waiters();
            outcome
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.state().closed += 1;
        Box::pin(async {})
    }
}

struct Waiting<'a>(&'a Sink);

impl Waiting<'_> {
    fn new(sink: &Sink) -> Waiting<'_> {
        sink.state().waiting += 1;
        Waiting(sink)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::component::Refused;

    fn batch(items: usize) -> Batch {
        Batch::counted(Signal::Logs, Bytes::from_static(&[10, 0]), items)
    }

    #[tokio::test]
    async fn a_sink_answers_by_its_script_and_keeps_what_it_accepted() {
        let sink = Sink::new();
        let full = Err(Refused::retry("queue_full", "full"));
        sink.then(full.clone()).then(Ok(()));
        assert_eq!(sink.consume(batch(1)).await, full);
        assert_eq!(sink.consume(batch(2)).await, Ok(()));
        assert_eq!(sink.consume(batch(3)).await, Ok(()));
        assert_eq!((sink.items(), sink.refused().len()), (5, 1));
        assert_eq!(sink.wait_for_items(5).await.len(), 2);
    }

    #[tokio::test]
    async fn a_held_sink_answers_once_it_is_released() {
        let sink = Sink::new();
        sink.hold();
        let consumer = sink.consumer();
        let asking = consumer.consume(batch(1));
        let releasing = async {
            tokio::task::yield_now().await;
            assert_eq!((sink.waiting(), sink.items()), (1, 0));
            sink.release();
        };
        let (outcome, ()) = tokio::join!(asking, releasing);
        assert_eq!(outcome, Ok(()));
        assert_eq!((sink.waiting(), sink.items()), (0, 1));
    }
}
