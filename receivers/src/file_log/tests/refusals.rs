//! What happens when the pipeline does not take a batch.

use pipeline::component::Refused;
use tokio::time::Instant;

use super::*;

fn full() -> pipeline::Outcome {
    Err(Refused::retry("queue_full", "the queue is full"))
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_offered_again_until_it_is_taken_and_nothing_is_read_of_its_file_meanwhile() {
    let rig = Rig::new("");
    rig.sink.then(full()).then(full());
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    rig.files.append("/logs/a.log", numbered(3, 3));
    let start = Instant::now();
    let taken = rig.sink.wait_for(1).await;
    assert_eq!(start.elapsed(), Duration::from_millis(1000 + 1500));
    assert_eq!(bodies(&taken[..1]), lines(1, 2));
    let refused = rig.sink.refused();
    assert_eq!((bodies(&refused[..1]), bodies(&refused[1..])), (lines(1, 2), lines(1, 2)));
    assert_eq!(rig.lines_after(1).await, lines(1, 3));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_as_long_as_was_asked_for_and_grows_to_its_limit() {
    let rig = Rig::new("retry_on_failure: { initial_interval: 10s, max_interval: 20s }");
    rig.sink.then(Err(Refused::Retry {
        after: Some(Duration::from_secs(60)),
        reason: pipeline::Reason::new("busy", "come back later"),
    }));
    rig.sink.then(full()).then(full()).then(full());
    rig.files.put("/logs/a.log", numbered(1, 1));
    let start = Instant::now();
    let running = rig.start().await;
    rig.sink.wait_for(1).await;
    assert_eq!(start.elapsed(), Duration::from_secs(60 + 15 + 20 + 20));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_is_dropped_with_its_reason_and_reading_goes_on() {
    let rig = Rig::new("");
    rig.sink.then(Err(Refused::reject("bad_data", "not this")));
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    sleep(A_POLL).await;
    rig.files.append("/logs/a.log", numbered(3, 3));
    assert_eq!(rig.lines_after(1).await, lines(3, 3));
    running.stop().await;
    assert_eq!(rig.world.dropped("file_log"), [("logs".to_owned(), "bad_data".to_owned(), 2)]);
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, [""; 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_given_up_where_retrying_is_off_or_took_too_long() {
    for (settings, after) in [
        ("{ enabled: false }", Duration::ZERO),
        ("{ initial_interval: 5s, max_interval: 5s, max_elapsed_time: 8s }", Duration::from_secs(10)),
    ] {
        let rig = Rig::new(&format!("retry_on_failure: {settings}"));
        rig.sink.always(full());
        rig.files.put("/logs/a.log", numbered(1, 2));
        let running = rig.start().await;
        sleep(after + Duration::from_millis(1)).await;
        assert_eq!(rig.world.dropped("file_log"), [("logs".to_owned(), "queue_full".to_owned(), 2)]);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_wait_ends_it_and_the_lines_come_again_after_the_next_start() {
    let rig = Rig::new("");
    rig.sink.then(full());
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    let start = Instant::now();
    sleep(Duration::from_millis(100)).await;
    running.stop().await;
    assert!(start.elapsed() < Duration::from_millis(200));
    assert_eq!(rig.lines(), [""; 0]);
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_answers_to_what_is_on_its_way() {
    let rig = Rig::new("");
    rig.sink.hold();
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    sleep(A_POLL).await;
    assert_eq!(rig.sink.waiting(), 1);
    let releasing = async {
        sleep(Duration::from_secs(3)).await;
        rig.sink.release();
    };
    tokio::join!(running.stop(), releasing);
    assert_eq!(rig.lines(), lines(1, 2));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, [""; 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_answered_a_bounded_number_of_batches_is_on_its_way_and_one_of_each_file() {
    let rig = Rig::new("");
    rig.sink.hold();
    let text = numbered(1, 20_000);
    for i in 0..10 {
        rig.files.put(format!("/logs/{i}.log"), &text);
    }
    let running = rig.start().await;
    sleep(A_POLL * 4).await;
    assert_eq!(rig.sink.waiting(), 4);
    rig.sink.release();
    let batches = rig.sink.wait_for_items(200_000).await;
    let mut next = std::collections::HashMap::new();
    for_each_record(&batches, |_, record| {
        let next = next.entry(attributes(record).join("")).or_insert(0);
        *next += 1;
        assert_eq!(record.body.as_text(), Some(&*format!("line {next}")));
    });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_operators_are_told_to_drop_are_counted() {
    let rig = Rig::new("operators: [{ type: json_parser, on_error: drop }]");
    rig.files.put("/logs/a.log", "{\"a\":1}\nplain\n{\"a\":2}\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["{\"a\":1}", "{\"a\":2}"]);
    running.stop().await;
    assert_eq!(rig.world.dropped("file_log"), [("logs".to_owned(), "operator".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn lines_that_operators_drop_are_found_in_the_ledger_by_their_text() {
    let rig = Rig::new(
        "operators: [{ type: filter, expr: 'body startsWith \"#\"' }, { type: json_parser, on_error: drop_quiet }]",
    );
    rig.files.put("/logs/a.log", "{\"a\":1}\nplain text\n# a remark\n# another\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["{\"a\":1}"]);
    running.stop().await;
    let recent = rig.world.meter.recent_drops();
    let known: Vec<_> = recent.iter().map(|d| (d.code, d.items, d.on_purpose, format!("{:?}", d.evidence))).collect();
    assert_eq!(known.len(), 2, "{known:?}");
    for (code, items, on_purpose, lines) in
        [("operator", 1, false, &["plain text"][..]), ("filtered", 2, true, &["# a remark", "# another"])]
    {
        let found = known.iter().find(|k| k.0 == code).unwrap();
        assert_eq!((found.1, found.2), (items, on_purpose), "{known:?}");
        assert!(lines.iter().all(|line| found.3.contains(line)), "{known:?}");
    }
}
