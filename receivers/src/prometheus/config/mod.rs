//! The receiver's config: the collector's keys around Prometheus' own. What is recognised and not carried out is an
//! error that names what works.

mod discovery;
mod files;
mod http;
mod job;
mod oauth2;
mod proxy;
mod scrape;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use pipeline::config::{GoDuration, Problem, PromDuration, Settings, Text};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::labels::METRIC_NAME;

use self::discovery::is_pattern;
pub use self::discovery::{
    AttachMetadata, Discovery, DnsDiscovery, FileDiscovery, Group, HttpDiscovery, KubernetesDiscovery, Namespaces,
    RecordType, Role, Selector,
};
pub use self::http::{Authorization, BasicAuth, Credentials, HttpConfig};
pub use self::job::{Job, ScrapeProtocol};
pub use self::oauth2::OAuth2;
pub use self::proxy::ProxyConfig;
pub use self::scrape::ScrapeConfig;
pub use self::tls::TlsConfig;

/// The receiver's config.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What would stand in `prometheus.yml`.
    pub config: Prometheus,
    /// A `prometheus.yml` instead of `config`.
    pub config_file: String,
    /// Cut units and `_total` off metric names.
    pub trim_metric_suffixes: bool,
    /// Scrape each target once more when the receiver stops.
    pub scrape_on_shutdown: bool,
    /// Mark all series stale when the receiver stops (ours): nobody goes on with them.
    pub stale_on_shutdown: bool,
    /// Accepted and without effect: discovery always begins at start.
    pub discovery_reload_on_startup: bool,
    /// How much later than by itself the first scrape happens.
    pub initial_scrape_offset: GoDuration,
    /// Refused: mechanisms of discovery find targets.
    pub target_allocator: Option<IgnoredAny>,
    /// Prometheus' API; only off works.
    pub api_server: ApiServer,
}

/// `api_server`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ApiServer {
    /// Refused when true.
    pub enabled: bool,
    /// Without effect while it is off.
    pub server_config: Option<IgnoredAny>,
}

/// A Prometheus config.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Prometheus {
    /// What holds for every job that does not say otherwise.
    pub global: Global,
    /// The jobs.
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Files with further jobs; the last part of a path may hold `*`.
    pub scrape_config_files: Vec<String>,
    /// Without effect on scraping.
    pub otlp: Option<IgnoredAny>,
    /// Without effect on scraping.
    pub runtime: Option<IgnoredAny>,
    /// Without effect on scraping.
    pub storage: Option<IgnoredAny>,
    /// Without effect on scraping.
    pub tracing: Option<IgnoredAny>,
    /// Refused: a receiver has no alerts.
    pub alerting: Option<IgnoredAny>,
    /// Refused: a receiver has no rules.
    pub rule_files: Option<IgnoredAny>,
    /// Refused: a receiver answers no queries.
    pub remote_read: Option<IgnoredAny>,
    /// Refused: that is an exporter's work.
    pub remote_write: Option<IgnoredAny>,
}

/// `global`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Global {
    /// Default 1m.
    pub scrape_interval: Option<PromDuration>,
    /// Default 10s, at most the interval.
    pub scrape_timeout: Option<PromDuration>,
    /// Without effect: a receiver has no rules.
    pub evaluation_interval: Option<PromDuration>,
    /// Without effect: a receiver has no rules.
    pub rule_query_offset: Option<PromDuration>,
    /// Without effect: a receiver answers no queries.
    pub query_log_file: String,
    /// Labels that every scraped series gets, as the collector's receiver does it.
    pub external_labels: BTreeMap<String, Text>,
    /// What jobs may also say for themselves.
    #[serde(rename = "~shared")]
    pub shared: scrape::Shared,
}

impl Settings for Config {
    const REMOVED: &'static [(&'static str, &'static str)] = &[
        ("use_start_time_metric", "start times are not guessed from metrics; remove it"),
        ("start_time_metric_regex", "start times are not guessed from metrics; remove it"),
        ("report_extra_scrape_metrics", "set extra_scrape_metrics in config.global or in a scrape config"),
    ];

    fn check(&self) -> Vec<Problem> {
        self.jobs().1
    }
}

impl Config {
    /// The jobs, and everything that is wrong. Only without problems are the jobs complete.
    pub fn jobs(&self) -> (Vec<Job>, Vec<Problem>) {
        let mut problems = self.refused();
        let global = &self.config.global;
        let (interval, timeout) = global.times(&mut problems);
        let mut names = HashSet::new();
        let mut jobs = Vec::new();
        for (i, scrape) in self.config.scrape_configs.iter().enumerate() {
            let path = format!("config.scrape_configs.{i}");
            if scrape.job_name.is_empty() {
                problems.push(Problem::at(&path, "a scrape config needs a job_name"));
            } else if !names.insert(&*scrape.job_name.0) {
                let message = format!("there are several scrape configs with the job_name {:?}", &*scrape.job_name);
                problems.push(Problem::at(format!("{path}.job_name"), message));
            }
            let defaults = job::Defaults { config: self, interval, timeout };
            jobs.extend(scrape.job(&defaults, &path, &mut problems));
        }
        (jobs, problems)
    }

    fn refused(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let of = &self.config;
        for (key, value, message) in [
            ("config.alerting", &of.alerting, "a receiver sends no alerts; remove alerting"),
            ("config.rule_files", &of.rule_files, "a receiver evaluates no rules; remove rule_files"),
            ("config.remote_read", &of.remote_read, "a receiver answers no queries; remove remote_read"),
            (
                "config.remote_write",
                &of.remote_write,
                "use the prometheus_remote_write exporter instead of remote_write",
            ),
            (
                "target_allocator",
                &self.target_allocator,
                "a target allocator is not available; let kubernetes_sd_configs or http_sd_configs find the targets",
            ),
        ] {
            if value.is_some() {
                problems.push(Problem::at(key, message));
            }
        }
        if self.api_server.enabled {
            problems.push(Problem::at(
                "api_server.enabled",
                "of Prometheus' API there is /api/v1/targets at the own metrics' address; set it to false",
            ));
        }
        let is_inline = !of.scrape_configs.is_empty() || !of.scrape_config_files.is_empty();
        if is_inline && !self.config_file.is_empty() {
            problems.push(Problem::at("config_file", "give config or config_file, not both"));
        }
        if !is_inline && self.config_file.is_empty() && problems.is_empty() {
            problems.push(Problem::at("config", "there is nothing to scrape; config.scrape_configs needs a job"));
        }
        for (i, pattern) in of.scrape_config_files.iter().enumerate().filter(|(_, pattern)| !is_pattern(pattern)) {
            let message = format!("{pattern:?} must end in .json, .yml or .yaml, and only its last part may hold *");
            problems.push(Problem::at(format!("config.scrape_config_files.{i}"), message));
        }
        for (name, _) in of.global.external_labels.iter().filter(|(name, _)| name.is_empty()) {
            problems.push(Problem::at("config.global.external_labels", format!("{name:?} cannot be a label name")));
        }
        if of.global.external_labels.contains_key(METRIC_NAME) {
            let message = "__name__ is what a metric is called, it cannot be the same for all; remove it";
            problems.push(Problem::at(format!("config.global.external_labels.{METRIC_NAME}"), message));
        }
        problems
    }
}

impl Global {
    /// Interval and timeout of jobs that say nothing.
    fn times(&self, problems: &mut Vec<Problem>) -> (Duration, Duration) {
        let set = |value: Option<PromDuration>| value.map(PromDuration::get).filter(|time| !time.is_zero());
        let interval = set(self.scrape_interval).unwrap_or(Duration::from_secs(60));
        let timeout = set(self.scrape_timeout);
        if timeout.is_some_and(|timeout| timeout > interval) {
            problems.push(Problem::at(
                "config.global.scrape_timeout",
                format!(
                    "the timeout {} is longer than the interval {}",
                    duration(timeout.unwrap_or_default()),
                    duration(interval)
                ),
            ));
        }
        (interval, timeout.unwrap_or(Duration::from_secs(10)).min(interval))
    }
}

/// A duration as Prometheus writes it: `1m30s`.
pub fn duration(time: Duration) -> String {
    const UNITS: [(&str, u128); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let mut rest = time.as_millis();
    let mut out = String::new();
    for (unit, millis) in UNITS {
        // Years and weeks only where nothing is left: 10d are not 1w3d.
        if rest >= millis && (!matches!(unit, "y" | "w") || rest.is_multiple_of(millis)) {
            out.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}
