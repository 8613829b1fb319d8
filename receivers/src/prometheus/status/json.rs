//! `/api/v1/targets` in the shape of Prometheus' API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::calendar::utc;
use serde::Serialize;

use super::board::Asked;
use super::{Health, JobStatus, TargetStatus, secrets};
use crate::prometheus::config::duration;

#[derive(Serialize)]
struct Answer<'a> {
    status: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    active_targets: Vec<Active<'a>>,
    dropped_targets: Vec<Dropped<'a>>,
    dropped_target_counts: Option<BTreeMap<&'a str, usize>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Active<'a> {
    discovered_labels: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    scrape_pool: &'a str,
    scrape_url: Cow<'a, str>,
    global_url: Cow<'a, str>,
    last_error: String,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dropped<'a> {
    discovered_labels: BTreeMap<String, String>,
    scrape_pool: &'a str,
}

/// The document.
pub fn document(jobs: &[(String, JobStatus)], asked: &Asked) -> String {
    let jobs: Vec<&JobStatus> = jobs.iter().map(|(_, job)| job).filter(|job| asked.wants(&job.job)).collect();
    let active =
        jobs.iter().filter(|_| asked.active).flat_map(|job| job.active.iter().map(|target| active(job, target)));
    let dropped = jobs.iter().filter(|_| asked.dropped).flat_map(|job| {
        let all = job.dropped.iter();
        all.map(|labels| Dropped { discovered_labels: shown(labels), scrape_pool: &job.job })
    });
    let mut counts = BTreeMap::new();
    for job in &jobs {
        *counts.entry(job.job.as_str()).or_default() += job.dropped_count;
    }
    let data = Data {
        active_targets: active.collect(),
        dropped_targets: dropped.collect(),
        dropped_target_counts: asked.dropped.then_some(counts),
    };
    serde_json::to_string(&Answer { status: "success", data }).unwrap_or_default()
}

fn active<'a>(job: &'a JobStatus, status: &'a TargetStatus) -> Active<'a> {
    let target = &status.target;
    let last = status.last();
    let url = target.shown_url();
    Active {
        discovered_labels: shown(&status.found().discovered),
        labels: shown(&target.labels),
        scrape_pool: &job.job,
        global_url: url.clone(),
        scrape_url: url,
        last_error: last.as_ref().and_then(|last| last.error.clone()).unwrap_or_default(),
        last_scrape: time(last.as_ref().map(|last| last.at)),
        last_scrape_duration: last.as_ref().map_or(0.0, |last| last.took.as_secs_f64()),
        health: Health::of(last.as_ref()).name(),
        scrape_interval: duration(target.interval),
        scrape_timeout: duration(target.timeout),
    }
}

fn shown(labels: &[(String, String)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.clone(), secrets::label(name, value).into_owned())).collect()
}

/// A time in RFC 3339; what has never been is Go's zero time, as Prometheus writes it.
pub fn time(since_1970: Option<Duration>) -> String {
    let Some(time) = since_1970 else { return "0001-01-01T00:00:00Z".to_owned() };
    format!("{:.9}", utc(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_reads_them() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999000000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000000000Z"),
            (1_767_225_600_500, "2026-01-01T00:00:00.500000000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000000000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(time(Some(Duration::from_millis(millis))), expected);
        }
        assert_eq!(time(None), "0001-01-01T00:00:00Z");
    }
}
