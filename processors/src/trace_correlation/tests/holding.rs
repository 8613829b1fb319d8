//! Held batches: who answers when, bounds, shutdown.

use std::time::Duration;

use pipeline::fate::{Fate, Settled};
use pipeline::{Refused, Signal};
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;

fn asks(number: u8) -> Batch {
    logs([record("a", trace(number), "{}")])
}

#[tokio::test(start_paused = true)]
async fn before_a_delivery_that_answers_from_memory_a_held_batch_is_answered_at_once() {
    let setup = Setup::from_memory("{}");
    let start = Instant::now();
    assert_eq!(setup.send(asks(1)).await, Ok(()));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(setup.held("batches") > 0);
    setup.sink(Signal::Logs).wait_for(1).await;
    assert_eq!((start.elapsed(), setup.held("batches")), (Duration::from_secs(2), 0));
}

#[tokio::test(start_paused = true)]
async fn before_any_other_the_answer_is_that_of_what_comes_next() {
    let setup = Setup::new("{}");
    let refused = Refused::reject("http_400", "bad");
    setup.sink(Signal::Logs).then(Err(refused.clone()));
    assert_eq!(setup.send(asks(1)).await, Err(refused));
    // Where the sender goes away, the batch is still its own and takes no room.
    let asked = timeout(Duration::from_secs(1), setup.send(asks(1))).await;
    assert!(asked.is_err() && setup.held("batches") == 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_offered_until_it_is_taken() {
    let setup = Setup::from_memory("{}");
    let full = || Err(Refused::retry("queue_full", "full"));
    setup.sink(Signal::Logs).then(full()).then(full());
    setup.send(asks(1)).await.unwrap();
    let start = Instant::now();
    setup.sink(Signal::Logs).wait_for(1).await;
    assert_eq!(start.elapsed(), Duration::from_millis(2300));
    setup.sink(Signal::Logs).then(Err(Refused::reject("http_400", "bad")));
    setup.send(asks(1)).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let dropped = setup.world.dropped("trace_correlation");
    assert_eq!(dropped, [("logs".to_owned(), "http_400".to_owned(), 1)]);
    assert_eq!((setup.sink(Signal::Logs).items(), setup.held("batches")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn closing_hands_on_what_is_held_with_what_is_known() {
    let setup = Setup::from_memory("{log_attributes: {of: [service.name]}}");
    let start = Instant::now();
    setup.send(logs([record("a", trace(1), "{}"), record("b", trace(2), "{}")])).await.unwrap();
    setup.send(root(1, "{}")).await.unwrap();
    setup.stages[Signal::Logs.index()].close().await;
    assert_eq!(setup.logs(), ["\"a\" 1 - [of=\"frontend\"]", "\"b\" 2 - []"]);
    setup.send(asks(3)).await.unwrap();
    assert_eq!((setup.logs().len(), start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_before_the_end_is_in_the_ledger() {
    let setup = Setup::from_memory("{}");
    setup.sink(Signal::Logs).always(Err(Refused::retry("shutting_down", "closed")));
    setup.send(asks(1)).await.unwrap();
    let closing = timeout(Duration::from_secs(5), setup.stages[Signal::Logs.index()].close()).await;
    assert!(closing.is_err());
    setup.world.tasks.close();
    setup.world.tasks.wait().await;
    assert_eq!(setup.world.dropped("trace_correlation"), [("logs".to_owned(), "shutdown".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_before_the_end_is_its_senders_where_he_has_it_still() {
    let setup = Setup::from_memory("{}");
    setup.sink(Signal::Logs).always(Err(Refused::retry("shutting_down", "closed")));
    let (fate, told) = Fate::new(false);
    setup.send(asks(1).with_fate(fate)).await.unwrap();
    let closing = timeout(Duration::from_secs(5), setup.stages[Signal::Logs.index()].close()).await;
    assert!(closing.is_err());
    assert_eq!(told.await, Ok(Settled::Missed));
    assert_eq!(setup.world.dropped("trace_correlation"), []);
}

#[tokio::test(start_paused = true)]
async fn batches_for_which_there_is_no_room_go_on_at_once() {
    let setup = Setup::from_memory("{max_bytes: 64KiB}");
    let large = || logs([record(&"x".repeat(20 << 10), trace(1), "{}")]);
    setup.send(large()).await.unwrap();
    assert_eq!(setup.sink(Signal::Logs).items(), 0);
    setup.send(large()).await.unwrap();
    assert_eq!(setup.sink(Signal::Logs).items(), 1);
    assert!(setup.held("batches") <= 32 << 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_stays_within_its_bytes_and_the_longest_untouched_goes_first() {
    let setup = Setup::new("{wait: 0s, max_bytes: 64KiB}");
    for number in 0..2000u32 {
        let mut id = trace(7);
        id[..4].copy_from_slice(&number.to_be_bytes());
        let request = format!("{{request_id: r{number}, x_request_id: c{number}}}");
        let batch = logs([error("e", id.clone(), 1, 1), record("a", id, &request), record("first", trace(1), "{}")]);
        setup.send(batch).await.unwrap();
        advance(Duration::from_millis(1)).await;
        assert!(setup.held("index") <= 64 << 10);
        if number == 0 {
            setup.send(root(1, "{model: m}")).await.unwrap();
        }
    }
    assert!(setup.held("index") > 32 << 10);
    assert!(setup.count("evicted") > 1000, "{}", setup.count("evicted"));
    assert!(setup.logs().last().unwrap().contains("trace.model=\"m\""), "it was touched all the time");
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_forgotten_when_nothing_of_it_has_come_for_long_enough() {
    let setup = Setup::new("{wait: 0s, keep: 60s, log_attributes: {model: [model]}}");
    setup.send(root(1, "{model: m, request_id: r}")).await.unwrap();
    let knows = async |at: u64| {
        advance(Duration::from_secs(at)).await;
        setup.send(logs([record("a", trace(1), "{}"), record("b", vec![], "{request_id: r}")])).await.unwrap();
        setup.logs().iter().filter(|line| line.contains("model=\"m\"")).count()
    };
    assert_eq!(knows(59).await, 2);
    assert_eq!(knows(59).await, 2, "it was touched");
    assert_eq!(knows(60).await, 0);
    advance(Duration::from_secs(60)).await;
    setup.send(asks(2)).await.unwrap();
    advance(Duration::from_secs(60)).await;
    setup.send(logs([record("none", vec![], "{}")])).await.unwrap();
    setup.send(pipeline::testing::batch(Signal::Traces, ["x"])).await.unwrap();
    assert_eq!(setup.count("evicted"), 0);
    assert!(setup.held("index") < 1000, "{}", setup.held("index"));
}
