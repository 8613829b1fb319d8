//! Attempts: timeout, backoff, giving up.

use super::*;

/// The instants of the attempts in milliseconds and what was dropped, when one batch is sent and an hour goes by.
async fn attempts(script: &[Answer], change: impl FnOnce(&mut Settings)) -> (Vec<u128>, Vec<(String, u64)>) {
    let bench = bench(change);
    script.iter().for_each(|answer| {
        bench.far.then(answer.clone());
    });
    assert_eq!(bench.send(["a", "b"]).await, Ok(()));
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(bench.close(secs(1)).await, 0);
    (bench.far.attempt_millis(), bench.dropped())
}

fn reason(code: &str, items: u64) -> Vec<(String, u64)> {
    vec![(code.to_owned(), items)]
}

#[tokio::test(start_paused = true)]
async fn waits_grow_from_attempt_to_attempt_until_it_is_delivered() {
    let script = vec![Answer::retry("http_503"); 4];
    assert_eq!(attempts(&script, |_| {}).await, (vec![0, 5000, 12_500, 23_750, 40_625], vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_the_far_side_asks_for_overrides_the_backoff() {
    let after = |s| Answer::retry_after("http_429", secs(s));
    let script = [after(1), after(60), Answer::retry("http_503"), after(0)];
    assert_eq!(attempts(&script, |_| {}).await, (vec![0, 1000, 61_000, 66_000, 73_500], vec![]));
}

#[tokio::test(start_paused = true)]
async fn after_max_elapsed_time_the_batch_is_dropped() {
    let script = vec![Answer::retry("http_503"); 100];
    let (millis, dropped) = attempts(&script, |s| s.retry.max_elapsed_time = secs(30)).await;
    assert_eq!((millis, dropped), (vec![0, 5000, 12_500, 23_750], reason("retry_exhausted", 2)));
}

#[tokio::test(start_paused = true)]
async fn max_elapsed_time_zero_never_gives_up() {
    let script = vec![Answer::retry("http_503"); 100];
    let (millis, dropped) = attempts(&script, |s| s.retry.max_elapsed_time = Duration::ZERO).await;
    assert_eq!((millis.len(), dropped), (101, vec![]));
}

#[tokio::test(start_paused = true)]
async fn without_retry_a_refused_batch_is_dropped_for_the_reason_of_the_refusal() {
    let off = |s: &mut Settings| s.retry.enabled = false;
    assert_eq!(attempts(&[Answer::retry("http_503")], off).await, (vec![0], reason("http_503", 2)));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_is_dropped_at_once() {
    assert_eq!(attempts(&[Answer::reject("http_400")], |_| {}).await, (vec![0], reason("http_400", 2)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_ends_after_the_timeout_and_is_repeated() {
    assert_eq!(attempts(&[Answer::Hang, Answer::Hang], |_| {}).await, (vec![0, 10_000, 22_500], vec![]));
}

#[tokio::test(start_paused = true)]
async fn timeout_zero_waits_as_long_as_it_takes() {
    let slow = [Answer::Deliver.after(secs(3000))];
    assert_eq!(attempts(&slow, |s| s.timeout = Duration::ZERO).await, (vec![0], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_exporter_costs_its_batch_and_nothing_else() {
    let bench = bench(|_| {});
    bench.far.then(Answer::Panic);
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(bench.send(["b"]).await, Ok(()));
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!((bench.delivered(), bench.dropped()), (vec!["b".to_owned()], reason("panic", 1)));
}

#[tokio::test(start_paused = true)]
async fn what_the_far_side_drops_is_counted_with_its_words() {
    let bench = bench(|_| {});
    bench.far.then(Answer::Partial(Reason::new("partial_success", "no room for b"), 1));
    assert_eq!(bench.send(["a", "b"]).await, Ok(()));
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.dropped(), reason("partial_success", 1));
    assert_eq!(bench.world.meter.recent_drops()[0].message, "no room for b");
    assert_eq!(crate::testing::count(&bench.world.meter, "otelcol_exporter_sent_log_records_total", &[]), 1);
}
