//! Queues on disk, in paused time on a disk in memory: what was answered is delivered, by this process or the next.

use std::path::Path;

use super::*;
use crate::delivery::{FileStorage, Overflow, Recovery};
use crate::doors::Files;
use crate::testing::VirtualFiles;

/// A delivery whose queue is on that disk.
async fn on(files: &VirtualFiles, far: &ScriptedExporter, change: impl FnOnce(&mut Settings)) -> Bench {
    on_with(files, far, Duration::ZERO, change).await
}

/// The same where the wall clock shows so much later.
async fn on_with(
    files: &VirtualFiles,
    far: &ScriptedExporter,
    later: Duration,
    change: impl FnOnce(&mut Settings),
) -> Bench {
    let mut settings = settings();
    settings.queue.num_consumers = 2;
    change(&mut settings);
    assert_eq!(settings.check(), []);
    let world = World::new();
    let id = ComponentId::new("far", "");
    let storage = FileStorage::default();
    let journal = storage.journal(Path::new("/data"), &id, Signal::Logs);
    let delivery = Delivery::new(settings, id, Signal::Logs, far.exporter(), &world.meter);
    let max_bytes = storage.most_bytes();
    let clock = crate::doors::Clock::starting_at(world.doors.clock.now() + later);
    let files = Arc::new(files.clone());
    delivery.store_in(Storage { files, clock, journal, max_bytes });
    let front = delivery.front(None);
    delivery.open().await;
    delivery.start();
    Bench { world, far: far.clone(), delivery, front }
}

fn disk() -> VirtualFiles {
    VirtualFiles::new(crate::doors::Clock::system())
}

/// Until that many batches are delivered.
async fn delivered(bench: &Bench, batches: usize) -> Vec<String> {
    for _ in 0..2000 {
        if bench.delivered().len() >= batches {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.delivered()
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_when_the_disk_has_it_and_gone_from_there_when_delivered() {
    let (files, far) = (disk(), ScriptedExporter::new());
    let bench = on(&files, &far, |_| {}).await;
    assert_eq!(bench.send(["a", "b"]).await, Ok(()));
    assert_eq!(delivered(&bench, 1).await, ["a b"]);
    assert_eq!(bench.close(secs(5)).await, 0);
    let next = on(&files.crashed(), &far, |_| {}).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(next.delivered(), ["a b"], "it does not come again");
    next.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_has_the_data_still_need_not_keep_them_when_the_disk_has_them() {
    let (files, far) = (disk(), ScriptedExporter::new());
    let bench = on(&files, &far, |_| {}).await;
    far.always(Answer::Hang);
    let (fate, told) = crate::fate::Fate::new(false);
    assert_eq!(bench.front.consume(logs(["a"]).with_fate(fate)).await, Ok(()));
    assert_eq!(told.await, Ok(crate::fate::Settled::Done));
    bench.delivery.close(Instant::now() + secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_had_answered_is_delivered_by_the_next() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |_| {}).await;
    for body in ["a", "b", "c"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    // Killed: nothing is closed.
    let left = files.crashed();
    let far = ScriptedExporter::new();
    let next = on(&left, &far, |_| {}).await;
    let mut got = delivered(&next, 3).await;
    got.sort();
    assert_eq!(got, ["a", "b", "c"]);
    next.close(secs(5)).await;
    bench.conserved(3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_on_the_disk_what_the_far_side_does_not_take() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |_| {}).await;
    for body in ["a", "b", "c", "d"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    let begun = Instant::now();
    let lost = bench.delivery.close(Instant::now() + secs(60)).await.items;
    assert_eq!((lost, bench.dropped()), (0, vec![]));
    assert!(begun.elapsed() <= secs(3), "{:?}: what is on the disk need not be waited for", begun.elapsed());
    bench.conserved(4);
    let far = ScriptedExporter::new();
    let next = on(&files.crashed(), &far, |_| {}).await;
    assert_eq!(delivered(&next, 4).await.len(), 4);
    next.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_what_is_fresh_goes_first_or_everything_in_order() {
    for (recovery, expected) in
        [(Recovery::FreshFirst, "fresh before the last of the backlog"), (Recovery::InOrder, "in order")]
    {
        let (files, far) = (disk(), ScriptedExporter::new());
        far.always(Answer::retry("busy"));
        let bench = on(&files, &far, |_| {}).await;
        for n in 0..20 {
            assert_eq!(bench.send([format!("old{n:02}")]).await, Ok(()));
        }
        let left = files.crashed();
        drop(bench);
        let far = ScriptedExporter::new();
        far.always(Answer::Deliver.after(secs(1)));
        let next = on(&left, &far, |s| s.queue.recovery = recovery).await;
        assert_eq!(next.send(["fresh"]).await, Ok(()));
        let got = delivered(&next, 21).await;
        let at = got.iter().position(|body| body == "fresh").unwrap();
        match recovery {
            Recovery::FreshFirst => assert!(at <= 4, "{expected}: {got:?}"),
            Recovery::InOrder => assert_eq!((at, got.len()), (20, 21), "{expected}: {got:?}"),
        }
        let old: Vec<_> = got.iter().filter(|body| *body != "fresh").collect();
        assert!(old.is_sorted(), "the backlog keeps its order: {old:?}");
        next.close(secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_memory_holds_waits_on_the_disk() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |_| {}).await;
    let body = "x".repeat(4 << 20);
    for _ in 0..20 {
        assert_eq!(bench.send([&body]).await, Ok(()));
    }
    assert!(bench.delivery.disk.get().unwrap().waiting() >= 10, "80 MiB are not all in memory");
    assert_eq!(crate::testing::count(&bench.world.meter, "otelcol_exporter_queue_size", &[]), 20);
    far.always(Answer::Deliver);
    assert_eq!(delivered(&bench, 20).await.len(), 20);
    bench.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_and_a_full_disk_refuse_and_take_again() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |s| s.queue.queue_size = 2).await;
    assert_eq!((bench.send(["a"]).await, bench.send(["b"]).await), (Ok(()), Ok(())));
    assert_eq!(bench.send(["c"]).await, queue_full("the sending queue is full: 2 of 2 requests"));
    far.always(Answer::Deliver);
    delivered(&bench, 2).await;
    files.leave_space(Some(20));
    let refused = bench.send(["d"]).await.unwrap_err();
    assert_eq!(refused.reason().code, "storage");
    assert!(refused.to_string().contains("the queue's disk does not take it"), "{refused}");
    files.leave_space(None);
    assert_eq!(bench.send(["e"]).await, Ok(()));
    assert_eq!(delivered(&bench, 3).await.last().unwrap(), "e");
    bench.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn what_waited_too_long_is_dropped_by_name() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |_| {}).await;
    assert_eq!(bench.send(["a"]).await, Ok(()));
    let left = files.crashed();
    drop(bench);
    let far = ScriptedExporter::new();
    let next = on_with(&left, &far, secs(3600), |s| s.queue.max_age = secs(60)).await;
    tokio::time::sleep(secs(5)).await;
    assert_eq!((next.delivered(), next.dropped()), (vec![], vec![("too_old".to_owned(), 1)]));
    next.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_disk_cannot_be_used_the_queue_is_in_memory() {
    let (files, far) = (disk(), ScriptedExporter::new());
    files.fail("/data/file_storage/exporter_far_logs", std::io::ErrorKind::ReadOnlyFilesystem);
    let bench = on(&files, &far, |_| {}).await;
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(delivered(&bench, 1).await, ["a"]);
    bench.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn damage_costs_what_is_damaged_and_is_in_the_ledger() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |_| {}).await;
    for body in ["first", "second", "third"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    let left = files.crashed();
    drop(bench);
    let folder = Path::new("/data/file_storage/exporter_far_logs");
    let segment = left.list(folder).unwrap().into_iter().find(|p| p.extension().is_some()).unwrap();
    let mut bytes = left.contents(&segment);
    let at = bytes.windows(6).position(|w| w == b"second").unwrap();
    bytes[at] ^= 0xff;
    left.put(&segment, bytes);
    let far = ScriptedExporter::new();
    let next = on(&left, &far, |_| {}).await;
    let mut got = delivered(&next, 2).await;
    tokio::time::sleep(secs(2)).await;
    got.sort();
    assert_eq!((got, next.dropped()), (vec!["first".into(), "third".into()], vec![("queue_damaged".to_owned(), 1)]));
    next.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_queue_what_waits_longest_gives_way_in_memory_and_on_the_disk() {
    for recovery in [Recovery::FreshFirst, Recovery::InOrder] {
        let (files, far) = (disk(), ScriptedExporter::new());
        far.always(Answer::retry("busy"));
        let bench = on(&files, &far, |s| {
            (s.queue.queue_size, s.queue.overflow, s.queue.recovery) = (6, Overflow::DropOldest, recovery);
        })
        .await;
        for n in 0..12 {
            assert_eq!(bench.send([format!("b{n:02}")]).await, Ok(()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(bench.dropped(), [("overflow".to_owned(), 6)]);
        bench.conserved(6);
        let left = files.crashed();
        drop(bench);
        let far = ScriptedExporter::new();
        let next = on(&left, &far, |_| {}).await;
        let mut got = delivered(&next, 6).await;
        tokio::time::sleep(secs(5)).await;
        assert_eq!(next.delivered().len(), 6);
        got.sort();
        assert_eq!(got, ["b00", "b01", "b08", "b09", "b10", "b11"], "the first two were being exported");
        next.close(secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_queue_what_comes_last_is_taken_and_dropped_where_the_config_says_so() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |s| (s.queue.queue_size, s.queue.overflow) = (2, Overflow::DropNewest)).await;
    for body in ["a", "b", "c"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!(bench.dropped(), [("overflow".to_owned(), 1)]);
    far.always(Answer::Deliver);
    let mut got = delivered(&bench, 2).await;
    got.sort();
    assert_eq!(got, ["a", "b"]);
    bench.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn the_backlog_goes_beside_what_is_fresh_at_a_bounded_rate() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |_| {}).await;
    for n in 0..20 {
        assert_eq!(bench.send([format!("old{n:02}")]).await, Ok(()));
    }
    let left = files.crashed();
    drop(bench);
    let far = ScriptedExporter::new();
    let each = logs(["old00"]).byte_len();
    // Two of the backlog in each second.
    let next = on(&left, &far, |s| s.queue.recovery_rate = 2 * each).await;
    let begun = Instant::now();
    for n in 0..5 {
        tokio::time::sleep(secs(1)).await;
        assert_eq!(next.send([format!("fresh{n}")]).await, Ok(()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let got = next.delivered();
        assert!(got.contains(&format!("fresh{n}")), "what is fresh does not wait: {got:?}");
        let old = got.iter().filter(|body| body.starts_with("old")).count();
        assert!((2 * n + 1..=2 * n + 4).contains(&old), "{old} of the backlog after {:?}", begun.elapsed());
    }
    assert_eq!(delivered(&next, 25).await.len(), 25);
    assert!(begun.elapsed() >= secs(9), "{:?}", begun.elapsed());
    next.close(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn own_metrics_say_when_the_oldest_on_the_disk_is_too_old() {
    let (files, far) = (disk(), ScriptedExporter::new());
    far.always(Answer::retry("busy"));
    let bench = on(&files, &far, |s| {
        (s.queue.max_age, s.queue.queue_size, s.retry.max_elapsed_time) = (secs(3600), 100_000, Duration::ZERO);
    })
    .await;
    assert_eq!(bench.send(["a"]).await, Ok(()));
    let until = || {
        let series = crate::testing::series(&bench.world.meter, "slipring_exporter_time_until_drop_seconds");
        series.iter().map(|s| s.value).sum::<f64>()
    };
    until();
    tokio::time::sleep(secs(100)).await;
    assert!((until() - 3500.0).abs() < 2.0, "{}", until());
    bench.delivery.close(Instant::now()).await;
}
