//! Small batches are merged, large ones split.

use std::sync::Arc;

use super::*;
use crate::batch::Metadata;

fn batch(min_size: usize, max_size: usize) -> BatchSettings {
    BatchSettings { min_size, max_size, ..BatchSettings::default() }
}

fn batching(min_size: usize, max_size: usize) -> Bench {
    bench(|s| s.queue.batch = Some(batch(min_size, max_size)))
}

/// Sends batches of these sizes, with the items numbered, and answers the exports that come of them in a second.
async fn exports(bench: Bench, sizes: &[usize]) -> Vec<String> {
    let mut next = 1;
    for size in sizes {
        assert_eq!(bench.send(next..next + size).await, Ok(()));
        next += size;
    }
    tokio::time::sleep(secs(1)).await;
    assert_eq!(bench.close(secs(1)).await, 0);
    bench.attempts()
}

#[tokio::test(start_paused = true)]
async fn small_batches_go_out_together_once_there_is_enough() {
    let bench = batching(4, 0);
    assert_eq!(bench.send(1..=3).await, Ok(()));
    bench.settle().await;
    assert_eq!(bench.attempts(), [""; 0]);
    assert_eq!(bench.send(4..=6).await, Ok(()));
    bench.far.wait_for_delivered(1).await;
    assert_eq!((bench.attempts(), bench.far.attempt_millis()), (vec!["1 2 3 4 5 6".to_owned()], vec![0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_enough_goes_out_after_the_flush_timeout() {
    let bench = batching(100, 0);
    assert_eq!(bench.send(["a"]).await, Ok(()));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(bench.send(["b"]).await, Ok(()));
    tokio::time::sleep(secs(1)).await;
    assert_eq!(bench.send(["c"]).await, Ok(()));
    tokio::time::sleep(secs(1)).await;
    assert_eq!((bench.attempts(), bench.far.attempt_millis()), (vec!["a b".into(), "c".into()], vec![200, 1350]));
}

#[tokio::test(start_paused = true)]
async fn a_large_batch_is_split() {
    assert_eq!(exports(batching(2, 3), &[8]).await, ["1 2 3", "4 5 6", "7 8"]);
}

#[tokio::test(start_paused = true)]
async fn the_pieces_of_a_large_batch_go_out_at_the_same_time() {
    let bench = bench(|s| {
        s.queue.num_consumers = 3;
        s.queue.batch = Some(batch(2, 2));
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    assert_eq!(bench.send(1..=6).await, Ok(()));
    bench.far.wait_for_delivered(3).await;
    assert_eq!(bench.far.attempt_millis(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn batches_of_odd_sizes_fill_up_exports_of_one_size() {
    assert_eq!(exports(batching(4, 4), &[3, 3, 3]).await, ["1 2 3 4", "5 6 7 8", "9"]);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_does_not_become_one_giant_export() {
    assert_eq!(exports(batching(2, 0), &[2, 1, 1, 3]).await, ["1 2", "3 4", "5 6 7"]);
}

#[tokio::test(start_paused = true)]
async fn sizes_may_count_bytes() {
    let one = logs(["1"]).byte_len();
    let bytes = BatchSettings { sizer: Some(Sizer::Bytes), ..batch(2 * one, 2 * one) };
    let bench = bench(|s| s.queue.batch = Some(bytes));
    assert_eq!(exports(bench, &[1, 1, 1]).await, ["1 2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn the_batch_processor_is_answered_at_once_and_batches_in_delivery() {
    let bench = bench_behind(Some(batch(4, 0)), |_| {});
    let asked = Instant::now();
    for body in 1..=5 {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.attempts(), ["1 2 3 4", "5"]);
    let count = |name| crate::testing::count(&bench.world.meter, name, &[("processor", "batch")]);
    assert_eq!(count("otelcol_processor_batch_batch_send_size"), 2);
    assert_eq!(count("otelcol_processor_batch_batch_size_trigger_send_total"), 1);
    assert_eq!(count("otelcol_processor_batch_timeout_trigger_send_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_exporters_own_batch_settings_win_over_the_processors() {
    let bench = bench_behind(Some(batch(100, 0)), |s| s.queue.batch = Some(batch(2, 0)));
    assert_eq!(exports(bench, &[1, 1, 1]).await, ["1 2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn the_batch_processor_implies_a_queue_where_the_exporter_has_none() {
    let bench = bench_behind(Some(batch(2, 0)), |s| s.queue.enabled = false);
    assert_eq!(exports(bench, &[1, 1, 1]).await, ["1 2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn pipelines_with_different_batch_processors_are_not_mixed() {
    let bench = bench_behind(Some(batch(2, 0)), |_| {});
    let other = bench.delivery.front(Some((ComponentId::new("batch", "other"), batch(3, 0))));
    let plain = bench.delivery.front(None);
    assert_eq!(bench.send(["a1"]).await, Ok(()));
    assert_eq!(other.consume(logs(["b1", "b2"])).await, Ok(()));
    assert_eq!(plain.consume(logs(["c1"])).await, Ok(()));
    assert_eq!(bench.send(["a2"]).await, Ok(()));
    assert_eq!(other.consume(logs(["b3"])).await, Ok(()));
    assert_eq!(bench.close(secs(1)).await, 0);
    let mut attempts = bench.attempts();
    attempts.sort();
    assert_eq!(attempts, ["a1 a2", "b1 b2 b3", "c1"]);
}

#[tokio::test(start_paused = true)]
async fn batches_of_different_tenants_are_not_merged() {
    let keys = BatchSettings { metadata_keys: vec!["x-tenant".to_owned()], ..batch(2, 0) };
    let bench = bench(|s| s.queue.batch = Some(keys));
    let from = |tenant: &str, peer: &str, body: &str| {
        let headers = vec![("x-tenant".to_owned(), tenant.to_owned()), ("x-request-id".to_owned(), body.to_owned())];
        logs([body]).with_meta(Arc::new(Metadata { headers, peer: Some(peer.to_owned()), ..Metadata::default() }))
    };
    for batch in [from("a", "1", "a1"), from("b", "2", "b1"), from("a", "3", "a2"), from("b", "4", "b2")] {
        assert_eq!(bench.front.consume(batch).await, Ok(()));
    }
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.attempts(), ["a1 a2", "b1 b2"]);
    let meta = bench.far.attempts()[0].batch.meta().cloned().unwrap();
    assert_eq!((&meta.headers, &meta.peer), (&vec![("x-tenant".to_owned(), "a".to_owned())], &None));
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_flush_while_other_consumers_are_busy() {
    let bench = bench(|s| {
        s.queue.num_consumers = 2;
        s.queue.batch = Some(batch(2, 0));
    });
    bench.far.then(Answer::Deliver.after(secs(5)));
    assert_eq!(bench.send(["a", "b"]).await, Ok(()));
    assert_eq!(bench.send(["c"]).await, Ok(()));
    bench.far.wait_for_attempts(2).await;
    assert_eq!(bench.far.attempt_millis(), [0, 200]);
}

#[tokio::test(start_paused = true)]
async fn small_requests_before_a_batch_processor_count_as_what_is_made_of_them() {
    let bench = bench_behind(Some(batch(10, 0)), |s| s.queue.queue_size = 2);
    bench.far.always(Answer::Hang);
    for body in 0..20 {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!(bench.send(["no room"]).await, queue_full("the sending queue is full: 2 of 2 requests"));
    assert_eq!(crate::testing::count(&bench.world.meter, "otelcol_exporter_queue_size", &[]), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_does_not_wait_for_more() {
    let patient = BatchSettings { flush_timeout: secs(60), ..batch(100, 0) };
    let bench = bench(|s| (s.queue.queue_size, s.queue.batch) = (2, Some(patient)));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(bench.send(["b"]).await, Ok(()));
    bench.settle().await;
    assert_eq!(bench.attempts(), [""; 0]);
    assert_eq!(bench.send(["c"]).await, queue_full("the sending queue is full: 2 of 2 requests"));
    bench.settle().await;
    assert_eq!(bench.attempts(), ["a b"]);
    assert_eq!(bench.send(["c"]).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_room_do_not_wait_for_a_flush() {
    let patient = BatchSettings { flush_timeout: secs(60), ..batch(100, 0) };
    let bench = bench(|s| {
        (s.queue.queue_size, s.queue.batch) = (1, Some(patient));
        s.queue.overflow = Overflow::Block;
    });
    let asked = Instant::now();
    for body in ["a", "b", "c"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!((asked.elapsed(), bench.attempts()), (Duration::ZERO, vec!["a".to_owned(), "b".to_owned()]));
}
