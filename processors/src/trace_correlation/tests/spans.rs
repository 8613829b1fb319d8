//! Spans: the errors of their log records.

use std::time::Duration;

use pipeline::Signal;
use tokio::time::Instant;

use super::*;

fn two() -> Batch {
    spans("f", [span("root", 1, (1, 0), vec![]), span("inner", 1, (2, 1), attributes("{a: 1}"))])
}

#[tokio::test(start_paused = true)]
async fn a_span_shows_the_errors_of_its_records_and_a_root_those_of_the_trace() {
    let setup = Setup::new("{wait: 0s}");
    let records = [error("first", trace(1), 2, 5), error("last", trace(1), 2, 9), error("between", trace(1), 3, 7)];
    setup.send(logs(records)).await.unwrap();
    setup.send(logs([record("no error", trace(1), "{}"), error("other", trace(2), 2, 9)])).await.unwrap();
    setup.send(two()).await.unwrap();
    assert_eq!(
        setup.spans(),
        ["root [log.error_count=3 log.last_error=\"last\"]", "inner [a=1 log.error_count=2 log.last_error=\"last\"]"]
    );
    assert_eq!((setup.lookups(Signal::Traces), setup.count("late")), ((2, 0), 4));
}

#[tokio::test(start_paused = true)]
async fn the_message_of_a_structured_record_is_its_field() {
    let setup = Setup::new("{wait: 0s, span_attributes: {said: last_error}}");
    setup.send(logs([error(r#"{"level":"ERROR","message":"it broke"}"#, trace(1), 2, 5)])).await.unwrap();
    setup.send(two()).await.unwrap();
    assert_eq!(setup.spans(), ["root [said=\"it broke\"]", "inner [a=1 said=\"it broke\"]"]);
    let setup = Setup::new("{wait: 0s, span_attributes: {said: last_error}}");
    setup.send(logs([error(&"ü".repeat(200), trace(1), 2, 5)])).await.unwrap();
    setup.send(two()).await.unwrap();
    assert_eq!(setup.spans()[0], format!("root [said=\"{}\"]", "ü".repeat(128)));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_span_that_has_gone_on_is_late() {
    let setup = Setup::new("{wait: 0s, log_attributes: {}}");
    setup.send(spans("f", [span("inner", 1, (2, 1), vec![])])).await.unwrap();
    setup.send(logs([error("e", trace(1), 3, 5)])).await.unwrap();
    assert_eq!(setup.count("late"), 0, "another span's");
    setup.send(logs([error("e", trace(1), 2, 5)])).await.unwrap();
    assert_eq!(setup.count("late"), 1);
    setup.send(spans("f", [span("root", 1, (1, 0), vec![])])).await.unwrap();
    setup.send(logs([error("e", trace(1), 3, 5)])).await.unwrap();
    assert_eq!(setup.count("late"), 2, "the root shows all");
    assert_eq!(setup.lookups(Signal::Traces), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn spans_can_wait_for_their_records() {
    let setup = Setup::new("{wait: 1s, hold: [traces]}");
    let start = Instant::now();
    let telling = async {
        tokio::time::advance(Duration::from_millis(999)).await;
        setup.send(logs([error("e", trace(1), 2, 5)])).await.unwrap();
    };
    assert_eq!(tokio::join!(setup.send(two()), telling).0, Ok(()));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(setup.spans()[1], "inner [a=1 log.error_count=1 log.last_error=\"e\"]");
    assert_eq!(setup.count("late"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_refused_and_comes_again_counts_once() {
    let setup = Setup::new("{wait: 0s}");
    setup.sink(Signal::Logs).then(Err(pipeline::Refused::retry("queue_full", "full")));
    for is_ok in [false, true] {
        assert_eq!(setup.send(logs([error("e", trace(1), 2, 5)])).await.is_ok(), is_ok);
    }
    setup.send(two()).await.unwrap();
    assert_eq!(setup.spans()[0], "root [log.error_count=1 log.last_error=\"e\"]");
}

#[tokio::test(start_paused = true)]
async fn a_span_shows_the_error_of_a_record_that_is_held_for_it() {
    for setup in [Setup::new("{}"), Setup::from_memory("{}")] {
        let sent = async { tokio::join!(setup.send(logs([error("e", trace(1), 2, 5)])), setup.send(two())) };
        assert_eq!(sent.await, (Ok(()), Ok(())));
        let shown = "log.error_count=1 log.last_error=\"e\"]";
        assert_eq!(setup.spans(), [format!("root [{shown}"), format!("inner [a=1 {shown}")]);
        setup.sink(Signal::Logs).wait_for(1).await;
        assert_eq!(setup.count("late"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_held_record_that_is_refused_or_given_up_and_comes_again_counts_once() {
    let setup = Setup::new("{wait: 1s}");
    setup.sink(Signal::Logs).then(Err(pipeline::Refused::retry("queue_full", "full")));
    let send = || setup.send(logs([error("e", trace(1), 2, 5)]));
    assert!(send().await.is_err());
    assert!(tokio::time::timeout(Duration::from_millis(500), send()).await.is_err());
    send().await.unwrap();
    setup.send(two()).await.unwrap();
    assert_eq!(setup.spans()[0], "root [log.error_count=1 log.last_error=\"e\"]");
}
