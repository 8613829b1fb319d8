//! hyper's view of our runtime: tasks go to the frame's tracker, time is tokio's.

use std::future::Future;

use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use tokio_util::task::TaskTracker;

/// Starts hyper's tasks where the frame joins them.
#[derive(Clone, Debug)]
pub struct Spawner(pub TaskTracker);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// hyper's timer on tokio's clock.
pub fn timer() -> TokioTimer {
    TokioTimer::new()
}
