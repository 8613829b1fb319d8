//! One batch to several takers: at least once for each.
//!
//! All are asked, and the worst answer wins: a retry over a rejection. When the sender of a batch that was answered with
//! "retry" sends it again, those that took it the first time get it twice. When the answer is a rejection, those that took
//! the batch keep it.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::batch::Batch;
use crate::component::{BoxFuture, Consumer, Outcome};

/// What hands each batch to all of them; the one itself where there is one.
pub(super) fn fan_out(mut branches: Vec<Arc<dyn Consumer>>) -> Arc<dyn Consumer> {
    if branches.len() == 1
        && let Some(only) = branches.pop()
    {
        return only;
    }
    Arc::new(FanOut { branches })
}

struct FanOut {
    branches: Vec<Arc<dyn Consumer>>,
}

impl Consumer for FanOut {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let answers = join_all(self.branches.iter().map(|branch| branch.consume(batch.clone()))).await;
            answers.into_iter().reduce(worse).unwrap_or(Ok(()))
        })
    }

    fn answers_from_memory(&self) -> bool {
        self.branches.iter().all(|branch| branch.answers_from_memory())
    }
}

fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Err(one), Err(other)) => Err(one.worse(other)),
        (Err(refused), Ok(())) | (Ok(()), Err(refused)) => Err(refused),
        (Ok(()), Ok(())) => Ok(()),
    }
}
