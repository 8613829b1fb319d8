//! The edges where batches are counted: behind a receiver, before and behind a processor that holds data.

use std::sync::{Arc, OnceLock};

use super::switch::Switch;
use crate::batch::{Batch, Signal};
use crate::component::{BoxFuture, Consumer, Outcome, Refused};
use crate::config::ComponentId;
use crate::telemetry::{Meter, ProcessorCounts, ReceiverCounts};

/// Counts what a receiver hands on, and the answers. What comes behind it can be turned.
pub(super) struct ReceiverEdge {
    meter: Meter,
    id: ComponentId,
    signal: Signal,
    transport: &'static str,
    /// Made when something is behind it for the first time, so that own metrics show what can happen.
    counts: OnceLock<ReceiverCounts>,
    next: Arc<Switch>,
}

impl ReceiverEdge {
    pub(super) fn new(meter: &Meter, id: &ComponentId, signal: Signal, next: Arc<Switch>) -> ReceiverEdge {
        ReceiverEdge::labelled(meter, id, signal, "", next)
    }

    fn labelled(
        meter: &Meter,
        id: &ComponentId,
        signal: Signal,
        transport: &'static str,
        next: Arc<Switch>,
    ) -> ReceiverEdge {
        let counts = OnceLock::new();
        let edge = ReceiverEdge { meter: meter.clone(), id: id.clone(), signal, transport, counts, next };
        if edge.next.leads_somewhere() {
            edge.counts();
        }
        edge
    }

    fn counts(&self) -> &ReceiverCounts {
        self.counts.get_or_init(|| ReceiverCounts::new(&self.meter, &self.id, self.transport, self.signal))
    }
}

impl Consumer for ReceiverEdge {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(());
            }
            let mut asking = Asking::new(self.counts(), batch.items());
            let Some(way) = self.next.way() else { return Err(leads_nowhere()) };
            let outcome = way.next.consume(batch).await;
            if outcome.is_ok() {
                asking.accepted();
            }
            outcome
        })
    }

    fn over(&self, transport: &'static str) -> Option<Arc<dyn Consumer>> {
        let ReceiverEdge { meter, id, signal, next, .. } = self;
        Some(Arc::new(ReceiverEdge::labelled(meter, id, *signal, transport, next.clone())))
    }

    fn leads_somewhere(&self) -> bool {
        self.next.leads_somewhere()
    }
}

/// A reload has taken the last pipeline away between the receiver's look and its call.
fn leads_nowhere() -> Refused {
    Refused::retry("no_pipeline", "no pipeline takes this any longer")
}

/// A batch whose answer is awaited. Where the receiver goes away before, it was refused: it is still its sender's.
struct Asking<'a> {
    counts: &'a ReceiverCounts,
    items: usize,
    accepted: bool,
}

impl<'a> Asking<'a> {
    fn new(counts: &'a ReceiverCounts, items: usize) -> Asking<'a> {
        counts.asked(items);
        Asking { counts, items, accepted: false }
    }

    fn accepted(&mut self) {
        self.accepted = true;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.accepted {
            self.counts.accepted(self.items);
        } else {
            self.counts.refused(self.items);
        }
    }
}

/// Counts what goes into a processor that holds data. It is in flight there until it comes out or is dropped.
pub(super) struct Entrance {
    counts: ProcessorCounts,
    processor: Arc<dyn Consumer>,
}

impl Entrance {
    pub(super) fn new(counts: ProcessorCounts, processor: Arc<dyn Consumer>) -> Entrance {
        Entrance { counts, processor }
    }
}

impl Consumer for Entrance {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let mut entering = Entering { counts: &self.counts, items: batch.items() };
            self.counts.incoming(entering.items);
            self.processor.consume(batch).await?;
            entering.items = 0;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.processor.close()
    }

    fn answers_from_memory(&self) -> bool {
        self.processor.answers_from_memory()
    }
}

/// Items that are given back, be it that the caller went away.
struct Entering<'a> {
    counts: &'a ProcessorCounts,
    items: usize,
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        self.counts.refused(self.items);
        self.counts.gone(self.items);
    }
}

/// Counts what comes out of a processor that holds data. Closing ends here: the graph closes each stage itself, once. What
/// comes behind it can be turned.
pub(super) struct Exit {
    counts: ProcessorCounts,
    next: Arc<Switch>,
}

impl Exit {
    pub(super) fn new(counts: ProcessorCounts, next: Arc<Switch>) -> Exit {
        Exit { counts, next }
    }
}

impl Consumer for Exit {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let items = batch.items();
            if items == 0 {
                return Ok(());
            }
            let Some(way) = self.next.way() else { return Err(leads_nowhere()) };
            way.next.consume(batch).await?;
            self.counts.outgoing(items);
            self.counts.gone(items);
            Ok(())
        })
    }

    fn answers_from_memory(&self) -> bool {
        self.next.way().is_some_and(|way| way.next.answers_from_memory())
    }
}
