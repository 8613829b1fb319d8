//! The end: drained until the deadline, what is lost is counted.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_held_is_delivered_before_the_end_and_nothing_waits_for_a_flush() {
    let bench = bench(|s| s.queue.batch = Some(BatchSettings { flush_timeout: secs(60), ..BatchSettings::default() }));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    let asked = Instant::now();
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!((asked.elapsed(), bench.delivered()), (Duration::ZERO, vec!["a".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_before_the_deadline_is_counted_as_lost() {
    let bench = bench(|_| {});
    bench.far.always(Answer::Deliver.after(secs(4)));
    for body in ["a", "b", "c", "d"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    let asked = Instant::now();
    assert_eq!(bench.close(secs(10)).await, 2);
    assert_eq!(asked.elapsed(), secs(10));
    assert_eq!(bench.delivered(), ["a", "b"]);
    assert_eq!(bench.dropped(), [("shutdown".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_becomes_one_last_attempt() {
    let bench = bench(|_| {});
    bench.far.always(Answer::retry_after("http_503", secs(60)));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(bench.send(["b"]).await, Ok(()));
    tokio::time::sleep(secs(30)).await;
    let asked = Instant::now();
    assert_eq!(bench.close(secs(10)).await, 2);
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(bench.attempts(), ["a", "a", "b"]);
    assert_eq!(bench.dropped(), [("shutdown".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_before_the_deadline_is_kept() {
    let bench = bench(|_| {});
    bench.far.then(Answer::retry_after("http_503", secs(8)));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    bench.settle().await;
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.far.attempt_millis(), [0, 8000]);
}

#[tokio::test(start_paused = true)]
async fn after_the_end_nothing_is_taken_and_callers_that_wait_are_sent_away() {
    let bench = bench(|s| {
        s.queue.queue_size = 1;
        s.queue.overflow = Overflow::Block;
    });
    bench.far.always(Answer::Deliver.after(secs(1)));
    assert_eq!(bench.send(["a"]).await, Ok(()));
    let waits = bench.sending(&["b"]);
    bench.settle().await;
    assert_eq!(bench.close(secs(10)).await, 0);
    let away = Err(Refused::retry("shutting_down", "the collector is shutting down"));
    assert_eq!(waits.await.unwrap(), away);
    assert_eq!(bench.send(["c"]).await, away);
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.delivered(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_the_result_is_told_at_the_end() {
    let bench = bench(|s| s.queue.wait_for_result = true);
    bench.far.always(Answer::Hang);
    let waits = bench.sending(&["a"]);
    bench.settle().await;
    assert_eq!(bench.close(secs(1)).await, 0);
    let refused = waits.await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::retry("shutdown", "not delivered before the shutdown deadline"));
}
