//! What is marked stale, when, and what timestamps of their own do.

use super::*;

#[test]
fn a_series_that_is_gone_is_marked_stale_once() {
    let mut target = Target::new();
    target.check("a 1\nb 2\n", &["a 1", "b 2"]);
    target.check("a 1\n", &["a 1", "b stale"]);
    target.check("a 1\n", &["a 1"]);
    target.check("a 1\nb 3\n", &["a 1", "b 3"]);
    target.check("", &["a stale", "b stale"]);
}

#[test]
fn a_failed_scrape_marks_everything_stale() {
    let mut target = Target::new();
    target.check("a 1\nb 2\n", &["a 1", "b 2"]);
    for body in [None, Some("a 1\nb rubbish\n")] {
        assert_eq!(target.read(body, true).samples(), ["a stale", "b stale"]);
        assert_eq!(target.read(body, true).samples(), [""; 0], "only once");
        let scraped = target.scrape("a 1\nb 2\n");
        assert_eq!(scraped.samples(), ["a 1", "b 2"]);
        assert_eq!(scraped.counts.added, 0, "what was there before a failure is not new");
    }
}

#[test]
fn series_count_as_added_when_the_last_good_body_did_not_have_them() {
    let mut target = Target::new();
    assert_eq!(target.scrape("a 1\nb 1\n").counts.added, 2);
    assert_eq!(target.scrape("a 1\nc 1\n").counts.added, 1);
    assert_eq!(target.scrape("a 1\nb 1\nc 1\n").counts.added, 1);
}

#[test]
fn marks_that_were_not_taken_over_are_made_again() {
    let mut target = Target::new();
    target.check("a 1\nb 2\n", &["a 1", "b 2"]);
    assert_eq!(target.read(Some("a 1\n"), false).samples(), ["a 1", "b stale"]);
    target.check("a 1\n", &["a 1", "b stale"]);
    target.check("a 1\n", &["a 1"]);
}

const HISTOGRAM: &str =
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";

#[test]
fn a_histogram_that_is_gone_is_one_stale_point() {
    let mut target = Target::new();
    target.scrape(HISTOGRAM);
    let scraped = target.scrape("a 1\n");
    assert_eq!(
        scraped.samples(),
        [
            "a 1",
            "h_bucket{le=\"+Inf\"} stale",
            "h_bucket{le=\"1.0\"} stale",
            "h_bucket{le=\"2.0\"} stale",
            "h_count stale",
            "h_sum stale"
        ]
    );
    let items = pipeline::otlp::count::items(pipeline::Signal::Metrics, &scraped.request).unwrap();
    assert_eq!(items, 5 + 1 + 1);
}

#[test]
fn a_bucket_that_is_gone_is_marked_alone() {
    let mut target = Target::new();
    target.scrape(HISTOGRAM);
    target.check(
        &HISTOGRAM.replace("h_bucket{le=\"1\"} 1\n", ""),
        &["h_bucket{le=\"+Inf\"} 1", "h_bucket{le=\"1.0\"} stale", "h_bucket{le=\"2.0\"} 1", "h_count 1", "h_sum 1"],
    );
}

#[test]
fn series_with_timestamps_of_their_own_do_not_go_stale_unless_tracked() {
    for (track, expected) in [(false, vec!["b 1"]), (true, vec!["a stale", "b 1"])] {
        let rules = Rules { honor_timestamps: true, track_timestamps_staleness: track, ..Rules::default() };
        let mut target = Target::with(rules);
        target.check("a 1 1700000005000\nb 1\n", &["a 1 @5", "b 1"]);
        target.check("b 1\n", &expected);
    }
}

#[test]
fn timestamps_are_ignored_when_not_honoured() {
    let mut target = Target::with(Rules { honor_timestamps: false, ..Rules::default() });
    target.check("a 1 1700000005000\n", &["a 1"]);
    target.check("b 1\n", &["a stale", "b 1"]);
}

#[test]
fn only_newer_timestamps_are_handed_on() {
    let mut target = Target::new();
    target.check("a 1 1700000005000\n", &["a 1 @5"]);
    target.check("a 1 1700000005000\n", &[]);
    let scraped = target.scrape("a 2 1700000005000\n");
    assert_eq!((scraped.samples().len(), scraped.counts.duplicates), (0, 1));
    let scraped = target.scrape("a 2 1700000004000\n");
    assert_eq!((scraped.samples().len(), scraped.counts.out_of_order), (0, 1));
    target.check("a 2 1700000006000\n", &["a 2 @6"]);
    let far = START_MS + 3_600_000;
    let scraped = target.scrape(&format!("a 2 {far}\n"));
    assert_eq!((scraped.samples().len(), scraped.counts.out_of_bounds), (0, 1));
}

#[test]
fn several_timestamps_of_one_series_are_all_handed_on() {
    let mut target = Target::new();
    let body = "# TYPE a counter\na 1 1700000001000\na 2 1700000002000\na 3 1700000003000\na 9 1700000002000\n";
    let scraped = target.scrape(body);
    assert_eq!(scraped.samples(), ["a 1 @1", "a 2 @2", "a 3 @3"]);
    assert_eq!(scraped.counts.out_of_order, 1);
    target.check("# TYPE a counter\na 3 1700000003000\na 4 1700000004000\n", &["a 4 @4"]);
}

#[test]
fn pieces_of_a_histogram_with_different_timestamps_go_as_gauges() {
    let mut target = Target::new();
    let body = HISTOGRAM.replace("h_sum 1", "h_sum 1 1700000005000");
    target.check(
        &body,
        &["h_bucket{le=\"+Inf\"} 1", "h_bucket{le=\"1.0\"} 1", "h_bucket{le=\"2.0\"} 1", "h_count 1", "h_sum 1 @5"],
    );
}

#[test]
fn a_target_that_is_gone_has_its_own_series_marked_too() {
    let mut target = Target::new();
    target.scrape("a 1\n");
    target.cache.miss(START_MS + 60_000);
    let (request, items) = target.cache.write(&Measures::Gone { extra: false });
    let flat = flatten(&request);
    assert_eq!(items, 6);
    assert!(flat.iter().all(|f| f.value.is_none() && f.ms == START_MS + 60_000));
    assert_eq!(flat[0].series, "a{instance=\"worker:8081\",job=\"dynamo\"}");
}
