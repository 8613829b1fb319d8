//! The ordinary processors of a pipeline: plain calls, one after the other, then whatever comes next.

use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::batch::Batch;
use crate::component::{BoxFuture, Consumer, Outcome, Processor, Refused};
use crate::telemetry::ProcessorCounts;

/// Processors in a row.
pub(super) struct Chain {
    steps: Vec<Step>,
    next: Arc<dyn Consumer>,
}

/// One of them; the `batch` processor is only counted here, delivery does its work.
pub(super) struct Step {
    pub(super) counts: ProcessorCounts,
    pub(super) processor: Option<Arc<dyn Processor>>,
}

impl Chain {
    pub(super) fn new(steps: Vec<Step>, next: Arc<dyn Consumer>) -> Chain {
        Chain { steps, next }
    }

    fn process(&self, mut batch: Batch) -> Result<Batch, Refused> {
        for step in &self.steps {
            batch = step.process(batch)?;
            if batch.is_empty() {
                break;
            }
        }
        Ok(batch)
    }
}

impl Step {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        let items = batch.items();
        self.counts.incoming(items);
        let result = match &self.processor {
            None => Ok(batch),
            Some(processor) => catch_unwind(AssertUnwindSafe(|| processor.process(batch)))
                .unwrap_or_else(|_| Err(Refused::reject("panic", "a processor has a bug: it panicked"))),
        };
        match &result {
            Ok(batch) => self.counts.outgoing(batch.items()),
            Err(_) => self.counts.refused(items),
        }
        self.counts.gone(items);
        result
    }
}

impl Consumer for Chain {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        match self.process(batch) {
            Ok(batch) if batch.is_empty() => Box::pin(ready(Ok(()))),
            Ok(batch) => self.next.consume(batch),
            Err(refused) => Box::pin(ready(Err(refused))),
        }
    }

    fn answers_from_memory(&self) -> bool {
        self.next.answers_from_memory()
    }
}
