//! What a receiver leaves to the one that takes its place.

use super::*;

const A_1: &str = "a{instance=\"a:1\",job=\"one\"}";
const B_1: &str = "a{instance=\"b:1\",job=\"two\"}";

fn jobs(jobs: &[(&str, &str, &str)]) -> String {
    let job = |(name, targets, more): &(&str, &str, &str)| {
        format!("  - {{job_name: {name}, scrape_interval: 10s, static_configs: [{{targets: [{targets}]}}]{more}}}\n")
    };
    format!("config:\n  scrape_configs:\n{}", jobs.iter().map(job).collect::<String>())
}

/// A receiver with the targets `a:1` and `b:1` in two jobs, after their first scrapes.
async fn two_jobs(more: &str) -> (Bench, Far, Far) {
    let world = World::new();
    let (one, two) = (far(&world, "a:1").await, far(&world, "b:1").await);
    let bench = start(world, &format!("{}{more}", jobs(&[("one", "'a:1'", ""), ("two", "'b:1'", "")])));
    sleep(Duration::from_secs(10)).await;
    assert_eq!((one.requests().len(), two.requests().len()), (1, 1));
    bench.sink.take();
    (bench, one, two)
}

/// What comes in the next so many seconds: the samples of the targets' own series, and which series are marked stale.
async fn within(bench: &Bench, seconds: u64) -> (Vec<Flat>, Vec<Flat>) {
    sleep(Duration::from_secs(seconds)).await;
    let flat: Vec<_> = bench.sink.take().iter().flat_map(|batch| flatten(&batch.to_bytes())).collect();
    flat.into_iter().partition(|flat| flat.value.is_some())
}

fn count(flat: &[Flat], series: &str) -> usize {
    flat.iter().filter(|flat| flat.series == series).count()
}

#[tokio::test(start_paused = true)]
async fn a_target_that_both_configs_have_goes_on_as_it_was() {
    let (bench, one, two) = two_jobs("").await;
    let (world, sink) = bench.end_as(Ending::Replaced).await;
    assert!(sink.take().is_empty(), "nothing is marked when the receiver is replaced");
    let bench = start(world, &jobs(&[("one", "'a:1'", ""), ("two", "'b:1'", ", metrics_path: /other")]));
    one.answer(text("b 2\n"));
    two.answer(text("a 3\n"));
    let (samples, stale) = within(&bench, 10).await;
    assert_eq!(series(&stale), [A_1], "only the series that is gone, since the memory of the target was handed over");
    assert_eq!((count(&samples, B_1), count(&samples, A_1)), (1, 0));
    let added = |job: &str| {
        let name = |flat: &&Flat| flat.series.starts_with("scrape_series_added") && flat.series.contains(job);
        samples.iter().find(name).unwrap().value
    };
    assert_eq!((added("one"), added("two")), (Some(1.0), Some(0.0)), "no series is new to a job that stays");
    let (_, stale) = within(&bench, 60).await;
    assert!(stale.is_empty(), "{stale:?}");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_the_new_config_does_not_have_is_marked_stale_once() {
    for (config, more) in [
        (jobs(&[("one", "'a:1'", "")]), ""),
        (jobs(&[("one", "'a:1'", ""), ("two", "'c:1'", "")]), "stale_on_shutdown: true\n"),
    ] {
        let (bench, _one, two) = two_jobs(more).await;
        let before = bench.targets.jobs()[1].active[0].last().unwrap().at;
        let (world, _) = bench.end_as(Ending::Replaced).await;
        let bench = start(world, &config);
        let (_, stale) = within(&bench, 20).await;
        assert!(stale.iter().all(|flat| flat.series.contains("c:1")), "it could come back: {stale:?}");
        let (samples, stale) = within(&bench, 2).await;
        assert_eq!(stale.len(), 6, "its series and the five of the target: {stale:?}");
        let missed = i64::try_from((before + Duration::from_secs(10)).as_millis()).unwrap();
        assert!(stale.iter().all(|flat| flat.series.contains("b:1") && flat.ms == missed));
        assert!(samples.iter().all(|flat| !flat.series.contains("b:1")));
        assert_eq!(two.requests().len(), 1);
        let (_, stale) = within(&bench, 60).await;
        assert!(stale.iter().all(|flat| flat.series.contains("c:1")), "{stale:?}");
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn other_rules_begin_anew_without_marks() {
    let (bench, ..) = two_jobs("").await;
    let (world, _) = bench.end_as(Ending::Replaced).await;
    let rule = ", metric_relabel_configs: [{target_label: zone, replacement: z}]";
    let bench = start(world, &jobs(&[("one", "'a:1'", rule), ("two", "'b:1'", "")]));
    let (samples, stale) = within(&bench, 60).await;
    assert!(stale.is_empty(), "{stale:?}");
    assert!(count(&samples, "a{instance=\"a:1\",job=\"one\",zone=\"z\"}") >= 5);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_the_new_config_does_not_have_marks_all_of_it() {
    let (bench, ..) = two_jobs("").await;
    let (_, sink) = bench.end_as(Ending::Removed).await;
    let flat: Vec<_> = sink.take().iter().flat_map(|batch| flatten(&batch.to_bytes())).collect();
    assert!(flat.len() == 12 && flat.iter().all(|flat| flat.value.is_none()), "{flat:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_left_is_left_on_when_one_reload_follows_another() {
    let (bench, ..) = two_jobs("").await;
    let (world, _) = bench.end_as(Ending::Replaced).await;
    let bench = start(world, &jobs(&[("one", "'a:1'", "")]));
    within(&bench, 5).await;
    let (world, sink) = bench.end_as(Ending::Replaced).await;
    assert!(sink.take().is_empty());
    let bench = start(world, &jobs(&[("one", "'a:1'", ""), ("two", "'b:1'", "")]));
    let (samples, stale) = within(&bench, 60).await;
    assert!(stale.is_empty() && count(&samples, B_1) >= 5, "{stale:?}");
    bench.end().await;
}
