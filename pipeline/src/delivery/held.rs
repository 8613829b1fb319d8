//! What a batch holds of a queue until the last piece of it is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::bounds::Load;
use super::disk::OnDisk;
use super::queue::Queue;
use crate::batch::Batch;
use crate::component::{Outcome, Refused};
use crate::fate::Fate;

/// One batch's share of the queue, given back when the last piece of it is answered; then its caller, if it waits for
/// the result, gets the worst answer.
pub(super) struct Held {
    queue: Arc<Queue>,
    pub(super) load: Load,
    /// It is counted in the queue.
    pub(super) admitted: AtomicBool,
    /// Something of it was taken out to be exported.
    pub(super) exporting: AtomicBool,
    answer: Mutex<Answer>,
    /// Where it is on the disk; given back after the answer.
    pub(super) on_disk: Option<OnDisk>,
    /// Tells its sender what becomes of it.
    fate: Option<Arc<Fate>>,
}

struct Answer {
    waiter: Option<oneshot::Sender<Outcome>>,
    worst: Option<Refused>,
}

impl Held {
    /// Of the batch in these pieces, that is not counted yet.
    pub(super) fn new(
        queue: &Arc<Queue>,
        pieces: &[Batch],
        load: Load,
        waiter: Option<oneshot::Sender<Outcome>>,
        on_disk: Option<OnDisk>,
    ) -> Arc<Held> {
        Arc::new(Held {
            queue: queue.clone(),
            load,
            admitted: AtomicBool::new(false),
            exporting: AtomicBool::new(false),
            answer: Mutex::new(Answer { waiter, worst: None }),
            on_disk,
            fate: pieces.first().and_then(Batch::fate).cloned(),
        })
    }

    /// Whether nothing of it was taken out to be exported.
    pub(super) fn is_whole(&self) -> bool {
        !self.exporting.load(Ordering::Relaxed)
    }

    /// Leaves it to the next process, if it is on the disk or its sender has it still.
    pub(super) fn stays(&self) -> bool {
        let on_disk = self.on_disk.as_ref().map(OnDisk::stays);
        on_disk.or_else(|| self.fate.as_deref().map(Fate::miss)).is_some()
    }

    /// Whether its sender has it still.
    pub(super) fn is_kept(&self) -> bool {
        self.fate.is_some() && self.on_disk.is_none()
    }

    /// Whether its sender sends nothing more before it is delivered.
    pub(super) fn is_last(&self) -> bool {
        self.fate.as_ref().is_some_and(|fate| fate.is_last())
    }

    /// Remembers a refusal for the caller; false when there is no caller that waits, so that nobody owns the data.
    pub(super) fn refuse(&self, refused: &Refused) -> bool {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.waiter.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return false;
        }
        answer.worst = Some(match answer.worst.take() {
            Some(worst) => worst.worse(refused.clone()),
            None => refused.clone(),
        });
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if *self.admitted.get_mut() {
            self.queue.release(self.load, *self.exporting.get_mut());
        }
        let answer = self.answer.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiter) = answer.waiter.take() {
            let _ = waiter.send(answer.worst.take().map_or(Ok(()), Err));
        }
    }
}
