//! What becomes of a batch, for a sender that has the data elsewhere (in a file) and moves on only when nothing of the
//! batch is on its way any more. The answer of [`Consumer::consume`](crate::Consumer::consume) may come earlier, from a
//! queue in memory, which ends with the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

/// How a fate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Everything was delivered, stored on disk, or dropped with a reason.
    Done,
    /// The process ends and something was not delivered. It is in no ledger: the sender has it.
    Missed,
}

/// Goes with a batch, its copies and its pieces, and tells the sender when the last of them is let go of.
pub struct Fate {
    missed: AtomicBool,
    is_last: bool,
    tell: Option<oneshot::Sender<Settled>>,
}

impl Fate {
    /// A fate, and where its end is told. `is_last` says that the sender sends nothing more before some of what it has
    /// sent is settled, so that nobody waits for more to send with it.
    pub fn new(is_last: bool) -> (Arc<Fate>, oneshot::Receiver<Settled>) {
        let (tell, told) = oneshot::channel();
        (Arc::new(Fate { missed: AtomicBool::new(false), is_last, tell: Some(tell) }), told)
    }

    /// Whether nothing follows before some of what was sent is settled.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Something of it will not be delivered by this process, and is in no ledger.
    pub fn miss(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        let settled = if *self.missed.get_mut() { Settled::Missed } else { Settled::Done };
        if let Some(tell) = self.tell.take() {
            // A sender that is gone has nothing to move on.
            let _ = tell.send(settled);
        }
    }
}

impl fmt::Debug for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fate").field("missed", &self.missed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::logs;

    #[test]
    fn the_last_copy_of_a_batch_tells_what_became_of_it() {
        for (missed, settled) in [(false, Settled::Done), (true, Settled::Missed)] {
            let (fate, mut told) = Fate::new(false);
            let batch = logs(["a"]).with_fate(fate);
            let copy = batch.clone();
            drop(batch);
            assert!(told.try_recv().is_err());
            let edited = copy.map_parts(|_| Ok::<_, ()>(None)).unwrap();
            if missed {
                edited.fate().unwrap().miss();
            }
            assert!(told.try_recv().is_err());
            drop(edited);
            assert_eq!(told.try_recv(), Ok(settled));
        }
    }
}
