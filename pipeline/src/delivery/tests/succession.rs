//! A delivery goes on where another ends: nothing is lost, refused, or out of order.

use std::path::Path;

use super::*;
use crate::delivery::{FileStorage, Recovery};
use crate::testing::VirtualFiles;

impl Bench {
    /// A delivery to another far side, over this one's queue.
    fn successor(&self, change: impl FnOnce(&mut Settings)) -> Bench {
        let mut settings = settings();
        change(&mut settings);
        let far = ScriptedExporter::new();
        let id = ComponentId::new("far", "");
        let delivery = Delivery::new(settings, id, Signal::Logs, far.exporter(), &self.world.meter);
        let delivery = delivery.after(&self.delivery);
        let front = delivery.front(None);
        Bench { world: self.world.clone(), far, delivery, front }
    }

    fn take_over(&self, before: &Bench) {
        self.delivery.take_over(&before.delivery, secs(10));
    }
}

fn stored(files: &VirtualFiles, folder: &str, world: &World) -> Storage {
    let storage = FileStorage::default();
    let journal = storage.journal(Path::new(folder), &ComponentId::new("far", ""), Signal::Logs);
    let max_bytes = storage.most_bytes();
    Storage { files: Arc::new(files.clone()), clock: world.doors.clock, journal, max_bytes }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_delivered_by_the_successor_in_its_order() {
    let old = bench(|_| {});
    old.far.always(Answer::retry("http_503"));
    for body in ["a", "b", "c"] {
        assert_eq!(old.send([body]).await, Ok(()));
    }
    old.settle().await;
    let new = old.successor(|_| {});
    new.take_over(&old);
    assert_eq!(new.send(["d"]).await, Ok(()));
    assert_eq!(old.send(["e"]).await, Ok(()), "whoever still has the old front is not refused");
    new.settle().await;
    assert_eq!(new.delivered(), ["a", "b", "c", "d", "e"]);
    assert_eq!(old.close(secs(10)).await, 0);
    assert_eq!(new.close(secs(10)).await, 0);
    assert_eq!(old.attempts(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_runs_is_waited_for_where_order_counts_and_not_sent_again() {
    let old = bench(|_| {});
    old.far.then(Answer::Deliver.after(secs(3)));
    assert_eq!(old.send(["a"]).await, Ok(()));
    assert_eq!(old.send(["b"]).await, Ok(()));
    old.settle().await;
    let new = old.successor(|s| s.queue.num_consumers = 4);
    new.take_over(&old);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(new.delivered(), [] as [String; 0]);
    tokio::time::sleep(secs(2)).await;
    assert_eq!((old.delivered(), new.delivered()), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(new.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_begun_anew_by_the_successor_when_patience_is_over() {
    let old = bench(|s| s.timeout = Duration::ZERO);
    old.far.always(Answer::Hang);
    assert_eq!(old.send(["a"]).await, Ok(()));
    old.settle().await;
    let new = old.successor(|_| {});
    let begun = Instant::now();
    new.take_over(&old);
    while new.delivered().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((begun.elapsed().as_secs(), new.delivered()), (10, vec!["a".to_owned()]));
    assert_eq!(old.close(secs(1)).await, 0);
    assert_eq!(new.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn where_order_does_not_count_the_successor_does_not_wait() {
    let old = bench(|s| s.queue.num_consumers = 2);
    old.far.always(Answer::Deliver.after(secs(4)));
    for body in ["a", "b", "c"] {
        assert_eq!(old.send([body]).await, Ok(()));
    }
    old.settle().await;
    let new = old.successor(|s| s.queue.num_consumers = 2);
    new.take_over(&old);
    new.settle().await;
    assert_eq!(new.delivered(), ["c"]);
    assert_eq!(new.close(secs(9)).await, 0);
    assert_eq!(old.delivered(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_their_delivery_get_the_successors_answer() {
    let old = bench(|s| s.queue.enabled = false);
    old.far.always(Answer::retry("http_503"));
    let direct = old.sending(&["a"]);
    let waiting = bench(|s| s.queue.wait_for_result = true);
    waiting.far.always(Answer::retry("http_503"));
    let queued = waiting.sending(&["b"]);
    old.settle().await;
    let (new, next) = (old.successor(|s| s.queue.enabled = false), waiting.successor(|_| {}));
    new.take_over(&old);
    next.take_over(&waiting);
    assert_eq!((direct.await.unwrap(), queued.await.unwrap()), (Ok(()), Ok(())));
    assert_eq!((new.delivered(), next.delivered()), (vec!["a".to_owned()], vec!["b".to_owned()]));
    for (new, old) in [(new, old), (next, waiting)] {
        assert_eq!(old.close(secs(1)).await + new.close(secs(1)).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_takes_the_bounds_of_the_successor_whatever_they_count() {
    let old = bench(|s| s.queue.queue_size = 2);
    old.far.always(Answer::retry("http_503"));
    assert_eq!(old.send(["a"]).await, Ok(()));
    assert_eq!(old.send(["b"]).await, Ok(()));
    assert_eq!(old.send(["c"]).await, queue_full("the sending queue is full: 2 of 2 requests"));
    let new = old.successor(|s| {
        s.queue.sizer = Sizer::Items;
        s.queue.queue_size = 3;
    });
    new.far.always(Answer::retry("http_503"));
    assert_eq!(
        old.send(["c"]).await,
        queue_full("the sending queue is full: 2 of 2 requests"),
        "not before it takes over"
    );
    new.take_over(&old);
    assert_eq!(new.send(["c", "d", "e"]).await, Ok(()));
    assert_eq!(new.send(["f"]).await, queue_full("the sending queue is full: 3 of 3 items"));
    new.settle().await;
    new.far.always(Answer::Deliver);
    tokio::time::sleep(secs(60)).await;
    assert_eq!(new.delivered(), ["a", "b", "c d e"]);
    assert_eq!(new.send(["g", "h", "i"]).await, Ok(()));
    assert_eq!(new.close(secs(1)).await + old.close(secs(1)).await, 0);
    new.conserved(0);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_never_takes_over_changes_nothing() {
    let old = bench(|_| {});
    drop(old.successor(|s| s.queue.queue_size = 1));
    for body in ["a", "b", "c"] {
        assert_eq!(old.send([body]).await, Ok(()));
    }
    old.settle().await;
    assert_eq!(old.delivered(), ["a", "b", "c"]);
    assert_eq!(old.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_on_disk_stays_open_where_the_folder_stays() {
    let world = World::new();
    let old = bench(|s| s.queue.num_consumers = 2);
    let files = world.files.clone();
    old.delivery.store_in(stored(&files, "/data", &world));
    old.delivery.open().await;
    old.far.always(Answer::retry("http_503"));
    for body in ["a", "b", "c", "d"] {
        assert_eq!(old.send([body]).await, Ok(()));
    }
    let new = old.successor(|s| {
        s.queue.num_consumers = 1;
        s.queue.recovery = Recovery::InOrder;
    });
    // `after` looks at both places.
    let new = Bench {
        delivery: {
            new.delivery.store_in(stored(&files, "/data", &world));
            new.delivery.after(&old.delivery)
        },
        ..new
    };
    let front = new.delivery.front(None);
    new.delivery.open().await;
    new.take_over(&old);
    assert_eq!(front.consume(logs(["e"])).await, Ok(()));
    tokio::time::sleep(secs(5)).await;
    let mut delivered = new.delivered();
    delivered.sort();
    assert_eq!(delivered, ["a", "b", "c", "d", "e"]);
    assert_eq!(old.close(secs(1)).await + new.close(secs(1)).await, 0);
    new.conserved(0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_on_disk_that_is_given_up_is_emptied_by_the_successor() {
    for folder in [None, Some("/other")] {
        let world = World::new();
        let files = world.files.clone();
        let old = bench(|s| s.queue.num_consumers = 2);
        old.delivery.store_in(stored(&files, "/data", &world));
        old.delivery.open().await;
        old.far.always(Answer::retry("http_503"));
        let sent: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        for body in &sent {
            assert_eq!(old.send([body]).await, Ok(()));
        }
        let new = old.successor(|_| {});
        if let Some(folder) = folder {
            new.delivery.store_in(stored(&files, folder, &world));
        }
        new.delivery.open().await;
        new.take_over(&old);
        assert_eq!(new.send(["new"]).await, Ok(()));
        assert_eq!(old.send(["late"]).await, Ok(()));
        tokio::time::sleep(secs(10)).await;
        let mut delivered = new.delivered();
        delivered.sort_by_key(|body| body.parse().unwrap_or(99));
        assert_eq!(delivered, [sent, vec!["new".to_owned(), "late".to_owned()]].concat());
        // The folder is free again: another successor may have it.
        let again = new.successor(|_| {});
        again.delivery.store_in(stored(&files, "/data", &world));
        again.delivery.open().await;
        assert!(again.delivery.disk.get().is_some(), "nobody has the folder any more");
        again.take_over(&new);
        assert_eq!(old.close(secs(1)).await + new.close(secs(1)).await + again.close(secs(1)).await, 0);
    }
}
