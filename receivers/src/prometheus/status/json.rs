//! `/api/v1/targets` in the shape of Prometheus' API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

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
    let (days, seconds) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    // Days to a date: years begin on 1 March, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", time.subsec_nanos())
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
