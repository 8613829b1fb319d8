//! The edges where batches are counted: behind a receiver, before and behind a processor that holds data.

use std::sync::Arc;

use crate::batch::{Batch, Signal};
use crate::component::{BoxFuture, Consumer, Outcome};
use crate::config::ComponentId;
use crate::telemetry::{Meter, ProcessorCounts, ReceiverCounts, gauge};

/// Counts what a receiver hands on, and the answers.
pub(super) struct ReceiverEdge {
    meter: Meter,
    id: ComponentId,
    signal: Signal,
    counts: ReceiverCounts,
    next: Arc<dyn Consumer>,
}

impl ReceiverEdge {
    pub(super) fn new(meter: &Meter, id: &ComponentId, signal: Signal, next: Arc<dyn Consumer>) -> ReceiverEdge {
        ReceiverEdge::labelled(meter, id, signal, "", next)
    }

    fn labelled(
        meter: &Meter,
        id: &ComponentId,
        signal: Signal,
        transport: &str,
        next: Arc<dyn Consumer>,
    ) -> ReceiverEdge {
        let counts = ReceiverCounts::new(meter, id, transport, signal);
        ReceiverEdge { meter: meter.clone(), id: id.clone(), signal, counts, next }
    }
}

impl Consumer for ReceiverEdge {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(());
            }
            let mut asking = Asking::new(&self.counts, batch.items());
            let outcome = self.next.consume(batch).await;
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
            self.counts.flow.in_flight.add(gauge(entering.items));
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
        self.counts.flow.in_flight.sub(gauge(self.items));
    }
}

/// Counts what comes out of a processor that holds data. Closing ends here: the graph closes each stage itself, once.
pub(super) struct Exit {
    counts: ProcessorCounts,
    next: Arc<dyn Consumer>,
}

impl Exit {
    pub(super) fn new(counts: ProcessorCounts, next: Arc<dyn Consumer>) -> Exit {
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
            self.next.consume(batch).await?;
            self.counts.outgoing(items);
            self.counts.flow.in_flight.sub(gauge(items));
            Ok(())
        })
    }

    fn answers_from_memory(&self) -> bool {
        self.next.answers_from_memory()
    }
}
