//! A pipeline that takes batches over and delivers them later, as one with a queue in memory does: places in files move when
//! lines have arrived, and only so much is read before.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use pipeline::Signal;
use pipeline::component::{BoxFuture, Consumer, Outcome};

use super::*;

/// A queue in memory.
#[derive(Clone, Default)]
struct Queue(Arc<Mutex<VecDeque<Batch>>>);

impl Consumer for Queue {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        self.waiting(|queue| queue.push_back(batch));
        Box::pin(async { Ok(()) })
    }
}

impl Queue {
    fn outputs(&self) -> Outputs {
        Outputs::none().with(Signal::Logs, Arc::new(self.clone()))
    }

    fn waiting<T>(&self, what: impl FnOnce(&mut VecDeque<Batch>) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What waits arrives at the far side.
    fn deliver(&self) -> Vec<String> {
        bodies(&self.waiting(std::mem::take).into_iter().map(Batch::without_fate).collect::<Vec<_>>())
    }

    /// The process ends before what waits was delivered.
    fn end(&self) {
        self.waiting(std::mem::take).iter().for_each(|batch| batch.fate().unwrap().miss());
    }

    fn bytes(&self) -> usize {
        self.waiting(|queue| queue.iter().map(Batch::byte_len).sum())
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_over_and_has_not_arrived_when_the_process_dies_comes_again() {
    let (rig, queue) = (Rig::new(""), Queue::default());
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start_into(queue.outputs()).await;
    sleep(A_POLL).await;
    assert_eq!(queue.deliver(), lines(1, 2));
    rig.files.append("/logs/a.log", numbered(3, 4));
    sleep(A_POLL * 2).await;
    running.kill().await;
    queue.waiting(VecDeque::clear);
    let running = rig.start_into(queue.outputs()).await;
    sleep(A_POLL).await;
    assert_eq!(queue.deliver(), lines(3, 4));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_arrives_after_the_receiver_has_stopped_does_not_come_again() {
    let (rig, queue) = (Rig::new(""), Queue::default());
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start_into(queue.outputs()).await;
    sleep(A_POLL).await;
    running.stop().await;
    assert_eq!(queue.deliver(), lines(1, 2));
    // The frame waits for what the receiver has still to do.
    rig.world.tasks.close();
    rig.world.tasks.wait().await;
    rig.world.tasks.reopen();
    let running = rig.start_into(queue.outputs()).await;
    sleep(A_POLL).await;
    assert_eq!(queue.deliver(), [""; 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_end_of_the_process_leaves_undelivered_comes_again() {
    let (rig, queue) = (Rig::new(""), Queue::default());
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start_into(queue.outputs()).await;
    sleep(A_POLL).await;
    assert_eq!(queue.deliver(), lines(1, 2));
    rig.files.append("/logs/a.log", numbered(3, 4));
    sleep(A_POLL).await;
    running.stop().await;
    queue.end();
    rig.world.tasks.close();
    rig.world.tasks.wait().await;
    rig.world.tasks.reopen();
    let running = rig.start_into(queue.outputs()).await;
    sleep(A_POLL).await;
    assert_eq!(queue.deliver(), lines(3, 4));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_leaves_the_offsets_of_the_one_behind_it_alone() {
    let (rig, before, now) = (Rig::new(""), Queue::default(), Queue::default());
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start_into(before.outputs()).await;
    sleep(A_POLL).await;
    running.stop().await;
    let running = rig.start_into(now.outputs()).await;
    rig.files.append("/logs/a.log", numbered(3, 4));
    sleep(A_POLL).await;
    assert_eq!(now.deliver(), lines(1, 4));
    sleep(A_POLL).await;
    let offsets = || ["json", "journal"].map(|kind| rig.files.contents(format!("/data/file_log.offsets.{kind}")));
    let kept = offsets();
    assert_eq!(before.deliver(), lines(1, 2));
    sleep(A_POLL).await;
    assert_eq!(offsets(), kept);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_than_a_bounded_number_of_bytes_ahead_of_the_far_side() {
    let (rig, queue) = (Rig::new(""), Queue::default());
    let line = format!("{}\n", "x".repeat(999));
    for name in ["a", "b"] {
        rig.files.put(format!("/logs/{name}.log"), line.repeat(8000));
    }
    let running = rig.start_into(queue.outputs()).await;
    sleep(A_POLL * 4).await;
    let (out, batches) = (queue.bytes(), queue.waiting(|queue| queue.len()));
    assert!((3 << 20..5 << 20).contains(&out) && batches >= 6, "{out} bytes in {batches} batches");
    // The pipeline knows which batch is the last before the receiver waits, and need not wait for more.
    let last: Vec<_> = queue.waiting(|queue| queue.iter().map(|b| b.fate().unwrap().is_last()).collect());
    assert!(!last[0] && last[batches - 1], "{last:?}");
    let mut arrived = 0;
    while arrived < 16_000 {
        let delivered = queue.deliver().len();
        assert!(delivered > 0, "nothing comes after {arrived} lines");
        arrived += delivered;
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(arrived, 16_000);
    running.stop().await;
}
