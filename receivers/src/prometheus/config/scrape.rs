//! One entry of `scrape_configs` as it is written.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline::config::{PromDuration, Text};
use serde::Deserialize;

use super::discovery::Discovery;
use super::http::{HttpConfig, below};
use crate::prometheus::relabel::config::Config as RelabelConfig;

/// A job.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct ScrapeConfig {
    /// The value of the label `job`; each has its own.
    pub job_name: Text,
    /// How often; `global`'s by default.
    pub scrape_interval: Option<PromDuration>,
    /// From connecting to the last byte; `global`'s by default, at most the interval.
    pub scrape_timeout: Option<PromDuration>,
    /// Scraped labels win over the target's.
    pub honor_labels: bool,
    /// Timestamps in bodies count.
    pub honor_timestamps: bool,
    /// Series with timestamps of their own are marked stale, too.
    pub track_timestamps_staleness: bool,
    /// Query parameters.
    pub params: BTreeMap<String, Vec<Text>>,
    /// The path of the URL.
    pub metrics_path: Text,
    /// `http` or `https`.
    pub scheme: Text,
    /// Take bodies with gzip.
    pub enable_compression: bool,
    /// The format of bodies that do not say theirs; text 0.0.4 by default, as in the collector.
    pub fallback_scrape_protocol: Text,
    /// More buckets of a native histogram are merged until they fit; 0 for any number.
    pub native_histogram_bucket_limit: u64,
    /// Buckets of native histograms are merged until each is so much wider than the one before.
    pub native_histogram_min_bucket_factor: f64,
    /// Rules for targets.
    pub relabel_configs: Vec<RelabelConfig>,
    /// Rules for series.
    pub metric_relabel_configs: Vec<RelabelConfig>,
    /// What may also stand in `global`.
    #[serde(rename = "~shared")]
    pub shared: Shared,
    /// Where targets come from.
    #[serde(rename = "~discovery")]
    pub discovery: Discovery,
    /// How they are asked.
    #[serde(rename = "~http")]
    pub http: HttpConfig,
}

impl Default for ScrapeConfig {
    fn default() -> ScrapeConfig {
        ScrapeConfig {
            job_name: Text::default(),
            scrape_interval: None,
            scrape_timeout: None,
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            params: BTreeMap::new(),
            metrics_path: "/metrics".into(),
            scheme: "http".into(),
            enable_compression: true,
            fallback_scrape_protocol: "PrometheusText0.0.4".into(),
            native_histogram_bucket_limit: 0,
            native_histogram_min_bucket_factor: 0.0,
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            shared: Shared::default(),
            discovery: Discovery::default(),
            http: HttpConfig::default(),
        }
    }
}

impl ScrapeConfig {
    /// Takes relative paths of files as below `folder`.
    pub(super) fn below(&mut self, folder: &Path) {
        self.http.below(folder);
        below(&mut self.shared.scrape_failure_log_file, folder);
        self.discovery.below(folder);
    }
}

/// What may stand in `global` and in a scrape config, where it comes first.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename = "ScrapeLimits")]
pub struct Shared {
    /// The formats to ask for, best first.
    pub scrape_protocols: Option<Vec<Text>>,
    /// Ask for protobuf first and take native histograms.
    pub scrape_native_histograms: Option<bool>,
    /// Take the classic form of native histograms, too.
    pub always_scrape_classic_histograms: Option<bool>,
    /// Classic histograms become native ones with custom buckets.
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    /// A file to which failed scrapes are written, beside the own log.
    pub scrape_failure_log_file: String,
    /// Bodies of that many bytes or more, uncompressed, fail the scrape.
    pub body_size_limit: Text,
    /// More samples after relabelling fail the scrape.
    pub sample_limit: u64,
    /// More targets fail all scrapes of the job.
    pub target_limit: u64,
    /// More labels of a series fail the scrape.
    pub label_limit: u64,
    /// A longer name fails the scrape.
    pub label_name_length_limit: u64,
    /// A longer value fails the scrape.
    pub label_value_length_limit: u64,
    /// Dropped targets to remember for the status page; 0 is all.
    pub keep_dropped_targets: u64,
    /// `utf8` or `legacy`.
    pub metric_name_validation_scheme: Text,
    /// What targets are asked to do with names that are not legacy.
    pub metric_name_escaping_scheme: Text,
    /// Add `scrape_timeout_seconds`, `scrape_sample_limit`, `scrape_body_size_bytes`.
    pub extra_scrape_metrics: Option<bool>,
}
