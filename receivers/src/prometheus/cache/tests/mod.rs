//! What a target's memory makes of bodies: series, their points, staleness, limits.

mod families;
pub(in crate::prometheus) mod flatten;
mod golden;
mod histograms;
mod layout;
mod model;
mod protobuf;
mod staleness;

use std::sync::Arc;

use super::*;
use crate::prometheus::exposition::{Entry, Parser};
use crate::prometheus::labels::{Labels, METRIC_NAME};
use flatten::{Flat, flatten, series};

/// The time of the first scrape; each one is 10 s after the one before.
const START_MS: i64 = 1_700_000_000_000;

/// A target whose bodies are read one after the other.
struct Target {
    cache: Cache,
    at_ms: i64,
    format: Format,
}

/// What came of one scrape.
struct Scraped {
    request: Vec<u8>,
    counts: Counts,
    error: Option<String>,
}

impl Target {
    fn with(rules: Rules) -> Target {
        let labels = [("instance", "worker:8081"), ("job", "dynamo")];
        let labels = labels.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        Target { cache: Cache::new(Arc::new(rules), labels, "http"), at_ms: START_MS, format: Format::Text }
    }

    fn new() -> Target {
        Target::with(Rules { honor_timestamps: true, ..Rules::default() })
    }

    /// Reads a body and hands its request on; `delivered` is the answer.
    fn read(&mut self, body: Option<&str>, delivered: bool) -> Scraped {
        self.read_bytes(body.map(str::as_bytes), delivered)
    }

    fn read_bytes(&mut self, body: Option<&[u8]>, delivered: bool) -> Scraped {
        let mut counts = Counts::default();
        self.at_ms += 10_000;
        let error = match body {
            Some(body) => self.cache.read(body, self.format, self.at_ms, &mut counts).err(),
            None => {
                self.cache.miss(self.at_ms);
                Some("no body".to_owned())
            }
        };
        let measures = Measures::Scrape { up: error.is_none(), seconds: 0.5, counts: counts.clone(), extra: None };
        let (request, items) = self.cache.write(&measures);
        let counted = pipeline::otlp::count::items(pipeline::Signal::Metrics, &request).unwrap();
        assert_eq!(counted, items);
        self.cache.commit(delivered);
        Scraped { request, counts, error }
    }

    /// Reads a good body.
    fn scrape(&mut self, body: &str) -> Scraped {
        let scraped = self.read(Some(body), true);
        assert_eq!(scraped.error, None);
        scraped
    }

    /// The samples of a good body, as [`Scraped::samples`].
    #[track_caller]
    fn check(&mut self, body: &str, expected: &[&str]) {
        assert_eq!(self.scrape(body).samples(), expected);
    }
}

impl Scraped {
    fn flat(&self) -> Vec<Flat> {
        flatten(&self.request)
    }

    /// The samples without those of the target itself, as `name{…} value`, job and instance of the target left out.
    fn samples(&self) -> Vec<String> {
        let report = ["up{", "scrape_"];
        self.flat()
            .into_iter()
            .filter(|flat| !report.iter().any(|name| flat.series.starts_with(name)))
            .map(|flat| {
                let series = flat.series.replace("instance=\"worker:8081\",job=\"dynamo\"", "");
                let series = series.replace(",}", "}").replace("{,", "{").replace(",,", ",").replace("{}", "");
                let value = flat.value.map_or("stale".to_owned(), |value| value.to_string());
                let at = (flat.ms - START_MS) / 1000;
                if at % 10 == 0 { format!("{series} {value}") } else { format!("{series} {value} @{at}") }
            })
            .collect()
    }
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../tests/data/{name}.prom", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const FIXTURES: [(&str, usize); 12] = [
    ("expositions/etcd-3.4.23", 1245),
    ("expositions/kvbm", 13),
    ("expositions/llm-backend", 7),
    ("expositions/node-exporter-1.5.0", 507),
    ("expositions/operator", 795),
    ("expositions/planner", 121),
    ("dynamo-1.6.1/frontend.idle", 497),
    ("dynamo-1.6.1/frontend.loaded", 803),
    ("dynamo-1.6.1/worker1.idle", 103),
    ("dynamo-1.6.1/worker1.loaded", 179),
    ("dynamo-1.6.1/worker1.om", 179),
    ("dynamo-1.6.1/worker2.loaded", 180),
];

/// What Prometheus would store of a body.
fn stored(body: &str) -> Vec<(String, u64)> {
    let mut parser = Parser::new(body.as_bytes(), Format::Text);
    let mut out = Vec::new();
    while let Some(entry) = parser.next(b"") {
        if let Entry::Sample(sample) = entry.unwrap() {
            let name = parser.name();
            let labels: Vec<_> = parser.labels().collect();
            let own = [("job", "dynamo"), ("instance", "worker:8081"), ("__name__", &*name)];
            out.push((series(labels.iter().map(|(n, v)| (&**n, &**v)).chain(own)), sample.value.to_bits()));
        }
    }
    out.sort();
    out
}

fn compare(body: &str, flat: Vec<Flat>) {
    let is_report = |flat: &Flat| flat.series.starts_with("up{") || flat.series.starts_with("scrape_");
    let got: Vec<_> = flat
        .into_iter()
        .filter(|f| !is_report(f))
        .map(|f| (f.series, f.value.expect("nothing is stale").to_bits()))
        .collect();
    let expected = stored(body);
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got, expected);
    }
    assert_eq!(got.len(), expected.len());
}

#[test]
fn every_recorded_body_arrives_as_prometheus_would_store_it() {
    for (name, samples) in FIXTURES {
        let body = fixture(name);
        let mut target = Target::new();
        for round in 0..3 {
            let scraped = target.scrape(&body);
            let added = if round == 0 { samples } else { 0 };
            let counts = Counts { scraped: samples, kept: samples, added, ..Counts::default() };
            assert_eq!(scraped.counts, counts, "{name}");
            compare(&body, scraped.flat());
        }
    }
}

#[test]
fn from_one_recorded_body_to_the_next_only_what_is_gone_is_stale() {
    let mut target = Target::new();
    for names in [["frontend.idle", "frontend.loaded"], ["worker1.idle", "worker2.loaded"]] {
        for (from, to) in [(names[0], names[1]), (names[1], names[0])] {
            let [from, to] = [from, to].map(|name| fixture(&format!("dynamo-1.6.1/{name}")));
            target.scrape(&from);
            let (gone, kept): (Vec<_>, Vec<_>) = target.scrape(&to).flat().into_iter().partition(|f| f.value.is_none());
            compare(&to, kept);
            let new: std::collections::BTreeSet<_> = stored(&to).into_iter().map(|(series, _)| series).collect();
            let old: std::collections::BTreeSet<_> = stored(&from).into_iter().map(|(series, _)| series).collect();
            let expected: Vec<_> = old.difference(&new).cloned().collect();
            assert_eq!(gone.into_iter().map(|f| f.series).collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn much_churn_is_cleared_out_and_nothing_is_confused_by_it() {
    let mut target = Target::new();
    for round in 0..20 {
        let body: String = (0..700)
            .map(|i| {
                format!("# TYPE m{i}_{round} counter\nm{i}_{round}{{a=\"{i}\"}} {i}\nalways{{i=\"{i}\"}} {round}\n")
            })
            .collect();
        let flat = target.scrape(&body).flat();
        let stale = flat.iter().filter(|f| f.value.is_none()).count();
        assert_eq!(stale, if round == 0 { 0 } else { 700 });
        compare(&body, flat.into_iter().filter(|f| f.value.is_some()).collect());
    }
    assert_eq!(target.cache.series(), 1400);
    assert!(target.cache.store.series.len() < 4000, "{} series are kept", target.cache.store.series.len());
    assert!(target.cache.families.len() < 3000, "{} families are kept", target.cache.families.len());
    assert!(target.cache.texts.len().0 < 4000, "{:?} texts are kept", target.cache.texts.len());
}

#[test]
fn bodies_that_fail_again_and_again_do_not_pile_up() {
    let mut target = Target::new();
    target.scrape("a 1\n");
    for round in 0..20 {
        let body: String = (0..900).map(|i| format!("m{i}_{round} {i}\n")).collect();
        let scraped = target.read(Some(&(body + "rubbish")), true);
        assert!(scraped.error.is_some());
        assert_eq!(scraped.counts.scraped, 900);
    }
    assert!(target.cache.store.series.len() < 2000);
    assert!(target.cache.texts.len().0 < 2000);
    target.check("a 2\n", &["a 2"]);
}
