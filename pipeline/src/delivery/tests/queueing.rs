//! The queue: its bounds, its order, who waits.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_answer_comes_when_the_queue_has_the_batch() {
    let bench = bench(|_| {});
    bench.far.always(Answer::Deliver.after(secs(2)));
    let asked = Instant::now();
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(bench.delivered(), [""; 0]);
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_then_takes_again() {
    let bench = bench(|s| s.queue.queue_size = 2);
    bench.far.always(Answer::Deliver.after(secs(1)));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(bench.send(["b"]).await, Ok(()));
    assert_eq!(bench.send(["c"]).await, queue_full("the sending queue is full: 2 of 2 requests"));
    tokio::time::sleep(secs(1) + Duration::from_millis(1)).await;
    assert_eq!(bench.send(["d"]).await, Ok(()));
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a", "b", "d"]);
    let failed = crate::testing::count(&bench.world.meter, "otelcol_exporter_enqueue_failed_log_records_total", &[]);
    assert_eq!(failed, 1);
}

#[tokio::test(start_paused = true)]
async fn items_are_counted_where_the_config_says_so() {
    let bench = bench(|s| (s.queue.queue_size, s.queue.sizer) = (5, Sizer::Items));
    bench.far.always(Answer::Hang);
    assert_eq!(bench.send(["a", "b", "c"]).await, Ok(()));
    assert_eq!(bench.send(["d", "e", "f"]).await, queue_full("the sending queue is full: 3 of 5 items"));
    assert_eq!(bench.send(["d", "e"]).await, Ok(()));
    bench.conserved(5);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_whatever_the_sizer_counts() {
    let most = 2 * logs(["a"]).byte_len();
    let bench = bench(|s| s.queue.max_bytes = most);
    bench.far.always(Answer::Hang);
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(bench.send(["b"]).await, Ok(()));
    let refused = bench.send(["c"]).await.unwrap_err();
    assert_eq!(refused.reason().message, format!("the sending queue is full: {most} of {most} bytes (max_bytes)"));
    assert_eq!(crate::testing::count(&bench.world.meter, "slipring_exporter_queue_bytes", &[]), most as u64);
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_queue_is_split_and_taken_once_the_queue_is_empty() {
    let bench = bench(|s| (s.queue.queue_size, s.queue.sizer) = (2, Sizer::Items));
    bench.far.always(Answer::Deliver.after(secs(1)));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(bench.send(1..=5).await, queue_full("the sending queue is full: 1 of 2 items"));
    tokio::time::sleep(secs(2)).await;
    assert_eq!(bench.send(1..=5).await, Ok(()));
    assert_eq!(bench.send(["b"]).await, queue_full("the sending queue is full: 5 of 2 items"));
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a", "1 2", "3 4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_queue_does_not_block_for_ever() {
    let bench = bench(|s| {
        (s.queue.queue_size, s.queue.sizer) = (2, Sizer::Items);
        s.queue.overflow = Overflow::Block;
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    let asked = Instant::now();
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(bench.send(1..=5).await, Ok(()));
    assert_eq!(asked.elapsed(), secs(1));
    assert_eq!(bench.send(["b"]).await, Ok(()));
    assert_eq!(asked.elapsed(), secs(4));
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a", "1 2", "3 4", "5", "b"]);
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_room_are_served_in_their_order() {
    let bench = bench(|s| {
        (s.queue.queue_size, s.queue.sizer) = (3, Sizer::Items);
        s.queue.overflow = Overflow::Block;
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    assert_eq!(bench.send(["a", "b"]).await, Ok(()));
    let large = bench.sending(&["c", "d", "e"]);
    bench.settle().await;
    // There is room for this one, but the other one was first.
    let small = bench.sending(&["f"]);
    bench.settle().await;
    assert!(!large.is_finished() && !small.is_finished());
    assert_eq!((large.await.unwrap(), small.await.unwrap()), (Ok(()), Ok(())));
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a b", "c d e", "f"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_while_it_waits_for_room_takes_its_batch_along() {
    let bench = bench(|s| {
        s.queue.queue_size = 1;
        s.queue.overflow = Overflow::Block;
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    let gone = bench.sending(&["b"]);
    let stays = bench.sending(&["c"]);
    bench.settle().await;
    gone.abort();
    assert_eq!(stays.await.unwrap(), Ok(()));
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn who_stood_behind_a_caller_that_goes_away_is_let_in() {
    let bench = bench(|s| {
        (s.queue.queue_size, s.queue.sizer) = (3, Sizer::Items);
        s.queue.overflow = Overflow::Block;
    });
    bench.far.always(Answer::Hang);
    assert_eq!(bench.send(["a", "b"]).await, Ok(()));
    let large = bench.sending(&["c", "d"]);
    bench.settle().await;
    let small = bench.sending(&["e"]);
    bench.settle().await;
    assert!(!small.is_finished());
    large.abort();
    assert_eq!(small.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn one_consumer_keeps_strict_order_retries_included() {
    let bench = bench(|_| {});
    bench.far.then(Answer::retry("http_503")).then(Answer::Deliver).then(Answer::retry("http_503"));
    for body in ["a", "b", "c"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!(bench.close(secs(60)).await, 0);
    assert_eq!(bench.attempts(), ["a", "a", "b", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn several_consumers_export_at_the_same_time() {
    let bench = bench(|s| s.queue.num_consumers = 3);
    bench.far.always(Answer::Deliver.after(secs(1)));
    for i in 0..5 {
        assert_eq!(bench.send([i]).await, Ok(()));
    }
    bench.far.wait_for_delivered(5).await;
    assert_eq!(bench.far.attempt_millis(), [0, 0, 0, 1000, 1000]);
    assert_eq!(bench.far.most_running(), 3);
    assert_eq!(bench.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_is_accepted_and_not_sent() {
    let bench = bench(|_| {});
    assert_eq!(bench.front.consume(Batch::empty(Signal::Logs)).await, Ok(()));
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.attempts(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn where_the_config_says_so_what_waits_longest_gives_way() {
    let bench = bench(|s| (s.queue.queue_size, s.queue.overflow) = (3, Overflow::DropOldest));
    bench.far.always(Answer::Deliver.after(secs(1)));
    for body in ["a", "b", "c", "d", "e"] {
        assert_eq!(bench.send([body]).await, Ok(()));
        bench.settle().await;
    }
    assert_eq!(bench.dropped(), [("overflow".to_owned(), 2)]);
    bench.conserved(3);
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a", "d", "e"], "a was being exported");
    let failed = crate::testing::count(&bench.world.meter, "otelcol_exporter_enqueue_failed_log_records_total", &[]);
    assert_eq!(failed, 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_gives_way_in_vain() {
    let bench = bench(|s| {
        (s.queue.queue_size, s.queue.sizer) = (4, Sizer::Items);
        s.queue.overflow = Overflow::DropOldest;
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    assert_eq!(bench.send(["a", "b", "c"]).await, Ok(()));
    bench.settle().await;
    assert_eq!(bench.send(["d"]).await, Ok(()));
    assert_eq!(bench.send(["e", "f"]).await, queue_full("the sending queue is full: 4 of 4 items"));
    assert_eq!(bench.dropped(), []);
    assert_eq!(bench.send(["g"]).await, Ok(()));
    assert_eq!(bench.dropped(), [("overflow".to_owned(), 1)]);
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a b c", "g"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_gives_way_as_a_whole() {
    let bench = bench(|s| {
        (s.queue.queue_size, s.queue.overflow) = (3, Overflow::DropOldest);
        s.queue.batch =
            Some(BatchSettings { min_size: 1, max_size: 2, sizer: Some(Sizer::Items), ..Default::default() });
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    for bodies in [vec!["a"], vec!["b", "c", "d", "e", "f"], vec!["g"], vec!["h"]] {
        assert_eq!(bench.send(bodies).await, Ok(()));
        bench.settle().await;
    }
    assert_eq!(bench.dropped(), [("overflow".to_owned(), 5)]);
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a", "g h"]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_for_the_result_hears_that_its_batch_gave_way() {
    let bench = bench(|s| {
        (s.queue.queue_size, s.queue.overflow, s.queue.wait_for_result) = (2, Overflow::DropOldest, true);
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    let mut sending = Vec::new();
    for body in ["a", "b", "c"] {
        sending.push(bench.sending(&[body]));
        bench.settle().await;
    }
    let mut outcomes = Vec::new();
    for sending in sending {
        outcomes.push(sending.await.unwrap().map_err(|refused| refused.reason().code));
    }
    assert_eq!(outcomes, [Ok(()), Err("overflow"), Ok(())]);
    assert_eq!(bench.dropped(), [], "its sender has it");
    bench.close(secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_config_says_so_what_comes_last_is_taken_and_dropped() {
    let bench = bench(|s| (s.queue.queue_size, s.queue.overflow) = (2, Overflow::DropNewest));
    bench.far.always(Answer::Deliver.after(secs(1)));
    for body in ["a", "b", "c"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!(bench.dropped(), [("overflow".to_owned(), 1)]);
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a", "b"]);
}

/// The only value of that metric.
fn level(bench: &Bench, name: &str) -> f64 {
    let series = crate::testing::series(&bench.world.meter, name);
    assert_eq!(series.len(), 1, "{name}");
    series[0].value
}

#[tokio::test(start_paused = true)]
async fn own_metrics_say_when_the_first_drop_comes() {
    const UNTIL: &str = "slipring_exporter_time_until_drop_seconds";
    let bench = bench(|s| (s.queue.queue_size, s.retry.max_elapsed_time) = (100, secs(600)));
    bench.far.always(Answer::retry("http_503"));
    assert_eq!(level(&bench, UNTIL), f64::INFINITY);
    tokio::time::sleep(secs(10)).await;
    for n in 0..10 {
        assert_eq!(bench.send([n]).await, Ok(()));
    }
    tokio::time::sleep(secs(10)).await;
    // Ten in twenty seconds, and room for ninety.
    assert_eq!(level(&bench, UNTIL), 180.0);
    tokio::time::sleep(secs(70)).await;
    // Nothing comes any more; the first is given up 600 seconds after its first attempt.
    assert_eq!(level(&bench, UNTIL), 520.0);
    assert_eq!(level(&bench, "slipring_exporter_queue_age_seconds"), 80.0);
    bench.far.always(Answer::Deliver);
    tokio::time::sleep(secs(60)).await;
    assert_eq!((level(&bench, UNTIL), level(&bench, "slipring_exporter_queue_age_seconds")), (f64::INFINITY, 0.0));
    bench.close(secs(1)).await;
}
