//! Who gets which answer when the answer is the delivery's, and what one bad request costs the others.

use super::*;

fn wait_for_result(s: &mut Settings) {
    s.queue.wait_for_result = true;
}

fn rejecting(bad: &'static str, code: &'static str) -> impl FnMut(&Batch) -> Answer {
    move |batch| if names(batch).iter().any(|n| n == bad) { Answer::reject(code) } else { Answer::Deliver }
}

#[tokio::test(start_paused = true)]
async fn with_wait_for_result_the_answer_is_the_far_sides() {
    let bench = bench(wait_for_result);
    bench.far.then(Answer::retry("http_503")).then(Answer::Deliver).then(Answer::reject("http_400"));
    let asked = Instant::now();
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(asked.elapsed(), secs(5));
    assert_eq!(bench.send(["b"]).await, Err(Refused::reject("http_400", "never")));
    assert_eq!(bench.close(secs(1)).await, 0);
    // What was given back is still its sender's, not dropped.
    assert_eq!(bench.dropped(), []);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_is_told_to_retry_when_retries_are_exhausted() {
    let bench = bench(wait_for_result);
    bench.far.always(Answer::retry("http_503"));
    assert_eq!(bench.send(["a"]).await, Err(Refused::retry("http_503", "try again")));
    assert_eq!(bench.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_no_longer_waits_for_is_dropped_when_it_fails() {
    let bench = bench(wait_for_result);
    bench.far.always(Answer::reject("http_400").after(secs(1)));
    let gone = bench.sending(&["a"]);
    bench.settle().await;
    gone.abort();
    assert_eq!(bench.close(secs(10)).await, 0);
    assert_eq!(bench.dropped(), [("http_400".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_the_caller_waits_for_the_delivery_retries_included() {
    let bench = bench(|s| s.queue.enabled = false);
    bench.far.then(Answer::retry("http_503"));
    let asked = Instant::now();
    assert_eq!(bench.send(["a"]).await, Ok(()));
    assert_eq!(asked.elapsed(), secs(5));
    bench.far.then(Answer::reject("http_400"));
    assert_eq!(bench.send(["b"]).await, Err(Refused::reject("http_400", "never")));
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.dropped(), []);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_caller_that_goes_away_keeps_its_batch() {
    let bench = bench(|s| s.queue.enabled = false);
    bench.far.always(Answer::Hang);
    let gone = bench.sending(&["a"]);
    bench.settle().await;
    bench.conserved(1);
    gone.abort();
    bench.settle().await;
    bench.conserved(0);
    assert_eq!(bench.dropped(), []);
}

#[tokio::test(start_paused = true)]
async fn one_bad_request_does_not_cost_the_others() {
    let bench = bench(|s| s.queue.batch = Some(BatchSettings { min_size: 5, ..BatchSettings::default() }));
    bench.far.rule(rejecting("d", "http_400"));
    for body in ["a", "b", "c", "d", "e"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.attempts(), ["a b c d e", "a b", "c d e", "c", "d e", "d", "e"]);
    assert_eq!(bench.delivered(), ["a b", "c", "e"]);
    assert_eq!(bench.dropped(), [("http_400".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn each_of_several_callers_in_one_export_gets_its_own_answer() {
    let bench = bench(|s| {
        s.queue.wait_for_result = true;
        s.queue.batch = Some(BatchSettings { min_size: 3, ..BatchSettings::default() });
    });
    bench.far.rule(rejecting("b", "http_400"));
    let [a, b, c] = [["a"], ["b"], ["c"]].map(|bodies| bench.sending(&bodies));
    assert_eq!(a.await.unwrap(), Ok(()));
    assert_eq!(b.await.unwrap(), Err(Refused::reject("http_400", "never")));
    assert_eq!(c.await.unwrap(), Ok(()));
    assert_eq!(bench.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_split_batch_has_one_answer_the_worst_of_its_pieces() {
    let bench = bench(|s| {
        s.queue.wait_for_result = true;
        s.queue.batch = Some(BatchSettings { min_size: 2, max_size: 2, ..BatchSettings::default() });
    });
    bench.far.rule(rejecting("c", "http_400"));
    assert_eq!(bench.send(["a", "b", "c", "d", "e"]).await, Err(Refused::reject("http_400", "never")));
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.delivered(), ["a b", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_that_has_nothing_to_do_with_the_data_is_not_bisected() {
    let bench = bench(|s| s.queue.batch = Some(BatchSettings { min_size: 3, ..BatchSettings::default() }));
    bench.far.always(Answer::reject("http_401"));
    for body in ["a", "b", "c"] {
        assert_eq!(bench.send([body]).await, Ok(()));
    }
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.attempts(), ["a b c"]);
    assert_eq!(bench.dropped(), [("http_401".to_owned(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_is_halved_until_it_fits() {
    let bench = bench(|_| {});
    bench.far.rule(|batch| if batch.items() > 2 { Answer::reject("http_413") } else { Answer::Deliver });
    assert_eq!(bench.send(1..=7).await, Ok(()));
    assert_eq!(bench.close(secs(1)).await, 0);
    assert_eq!(bench.delivered(), ["1 2", "3 4", "5 6", "7"]);
    assert_eq!(bench.dropped(), []);
}
