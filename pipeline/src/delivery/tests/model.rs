//! Random scripts of batches, answers and pauses against the invariants: every item is accounted for exactly once, nothing
//! is lost silently, one consumer keeps the order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    SendAndGoAway(usize),
    Pause(u64),
}

#[derive(Clone, Debug)]
struct Script {
    steps: Vec<Step>,
    answers: Vec<Answer>,
    settings: Settings,
    /// What a `batch` processor before it asks for.
    behind: Option<BatchSettings>,
    close_within: u64,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..8).prop_map(Step::Send),
        1 => (1usize..8).prop_map(Step::SendAndGoAway),
        2 => (0u64..20_000).prop_map(Step::Pause),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Deliver),
        2 => (1u64..8000).prop_map(|ms| Answer::Deliver.after(Duration::from_millis(ms))),
        2 => Just(Answer::retry("http_503")),
        1 => (0u64..40).prop_map(|s| Answer::retry_after("http_429", secs(s))),
        2 => Just(Answer::reject("http_400")),
        1 => Just(Answer::reject("http_413")),
        1 => (0usize..3).prop_map(|n| Answer::Partial(Reason::new("partial_success", "some"), n)),
        1 => Just(Answer::Hang),
        1 => Just(Answer::Panic),
    ]
}

fn batch_settings() -> impl Strategy<Value = Option<BatchSettings>> {
    let sizes = (1usize..10, 0usize..3, any::<bool>()).prop_map(|(min_size, more, bounded)| BatchSettings {
        min_size,
        max_size: if bounded { min_size + more } else { 0 },
        sizer: Some(Sizer::Items),
        ..BatchSettings::default()
    });
    prop::option::of(sizes)
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let queue = (any::<bool>(), 1usize..4, 10usize..30, prop::sample::select(vec![Sizer::Requests, Sizer::Items]));
    let overflows = vec![Overflow::Refuse, Overflow::Block, Overflow::DropNewest, Overflow::DropOldest];
    let flags = (any::<bool>(), prop::sample::select(overflows), any::<bool>(), 1usize..2000);
    (queue, flags, batch_settings(), 0u64..60).prop_map(|(queue, flags, batch, elapsed)| {
        let mut settings = settings();
        (settings.queue.enabled, settings.queue.num_consumers, settings.queue.queue_size, settings.queue.sizer) = queue;
        (settings.queue.wait_for_result, settings.queue.overflow, settings.retry.enabled, _) = flags;
        if settings.queue.overflow == Overflow::DropNewest {
            settings.queue.wait_for_result = false;
        }
        settings.queue.max_bytes = flags.3;
        settings.queue.batch = batch;
        settings.retry.max_elapsed_time = secs(if elapsed < 30 { 0 } else { elapsed });
        settings
    })
}

fn script() -> impl Strategy<Value = Script> {
    let steps = prop::collection::vec(step(), 1..25);
    let answers = prop::collection::vec(answer(), 0..25);
    (steps, answers, any_settings(), batch_settings(), 0u64..60).prop_map(
        |(steps, answers, settings, behind, close_within)| Script { steps, answers, settings, behind, close_within },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_item_is_accounted_for_exactly_once(script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(script));
    }
}

async fn play(script: Script) {
    let queued = script.settings.queue.enabled || script.behind.is_some();
    let one_consumer = queued && script.settings.queue.num_consumers == 1;
    let bench = bench_behind(script.behind, |s| *s = script.settings);
    script.answers.into_iter().for_each(|answer| {
        bench.far.then(answer);
    });
    let mut sent = 0;
    let mut running = Vec::new();
    for step in script.steps {
        match step {
            Step::Send(items) | Step::SendAndGoAway(items) => {
                let bodies: Vec<_> = (sent..sent + items).map(|n| n.to_string()).collect();
                let sending = bench.sending(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
                bench.settle().await;
                sent += items;
                if matches!(step, Step::SendAndGoAway(_)) {
                    sending.abort();
                } else {
                    running.push((items, sending));
                }
            }
            Step::Pause(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
        crate::testing::assert_conserved(&bench.world.meter);
    }
    let lost = bench.close(secs(script.close_within)).await;
    bench.far.always(Answer::reject("http_400"));
    let mut refused = 0;
    for (items, sending) in running {
        let outcome = sending.await.unwrap();
        refused += if outcome.is_err() { items } else { 0 };
    }
    bench.conserved(0);
    let count = |name| crate::testing::count(&bench.world.meter, name, &[]);
    assert_eq!(count("slipring_received_items_total"), sent as u64);
    assert!(count("slipring_dropped_items_total") >= lost);
    assert_eq!(count("otelcol_exporter_sent_log_records_total"), bench.far.delivered_items() as u64);
    assert_eq!(count("otelcol_exporter_queue_size") + count("slipring_exporter_queue_bytes"), 0);
    assert_eq!(count("otelcol_exporter_in_flight_requests"), 0);
    // Nobody is told that something was taken over which was not: what is neither delivered nor dropped was refused,
    // or its sender went away.
    assert!(count("slipring_refused_items_total") <= (refused + sent) as u64);
    let delivered: Vec<usize> =
        bench.far.delivered().iter().flat_map(names).map(|name| name.parse().unwrap()).collect();
    let mut once = delivered.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), delivered.len(), "nothing is delivered twice");
    if one_consumer {
        assert_eq!(once, delivered, "in order");
    }
}
