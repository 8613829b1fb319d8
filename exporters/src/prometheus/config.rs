//! The exporter's config: the collector's `prometheus`.

use std::collections::BTreeMap;

use pipeline::config::{GoDuration, Problem, Settings};
use pipeline::net::config::HttpServerConfig;
use serde::Deserialize;

use super::store::Limits;
use crate::translation::{self, Translation};

/// `prometheus`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to listen, with the keys of an HTTP server.
    #[serde(rename = "~server")]
    pub server: HttpServerConfig,
    /// How names and labels are translated.
    #[serde(rename = "~translation")]
    pub translation: translation::config::Config,
    /// Labels of every series that lacks them.
    pub const_labels: BTreeMap<String, String>,
    /// Show when each point was measured; without that a scraper takes its own time.
    pub send_timestamps: bool,
    /// A series without points for so long goes.
    pub metric_expiration: GoDuration,
    /// Also speak OpenMetrics, with exemplars, to those who ask for it.
    pub enable_open_metrics: bool,
    /// Leave out `otel_scope_…` labels.
    pub without_scope_info: bool,
    /// The most bytes of all series, roughly; points of further ones are dropped (ours).
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server: HttpServerConfig::default(),
            translation: translation::config::Config::default(),
            const_labels: BTreeMap::new(),
            send_timestamps: false,
            metric_expiration: GoDuration::from_secs(300),
            enable_open_metrics: false,
            without_scope_info: false,
            max_bytes: 256 << 20,
        }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.server.endpoint.is_empty() {
            problems.push(Problem::at("endpoint", "an endpoint is needed, such as localhost:8889"));
        }
        if self.metric_expiration.is_zero() {
            problems.push(Problem::at("metric_expiration", "metric_expiration is 0, give a time such as 5m"));
        }
        if self.max_bytes == 0 {
            problems.push(Problem::at("max_bytes", "max_bytes is 0, the least is 1"));
        }
        translation::config::check_labels("const_labels", &self.const_labels, &mut problems);
        problems.extend(self.server.check(""));
        problems
    }

    fn warnings(&self) -> Vec<Problem> {
        self.translation.label_warnings("const_labels", &self.const_labels)
    }
}

impl Config {
    /// How names and labels are translated.
    pub fn translation(&self) -> Translation {
        self.translation.translation(&self.const_labels, !self.without_scope_info)
    }

    /// What is kept, and how long.
    pub fn limits(&self) -> Limits {
        Limits { expiration: self.metric_expiration.get(), bytes: self.max_bytes }
    }
}
