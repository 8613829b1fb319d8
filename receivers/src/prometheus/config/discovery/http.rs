//! `http_sd_configs`.

use std::time::Duration;

use pipeline::config::{Problem, PromDuration};
use pipeline::net::origin::parse_url;
use serde::Deserialize;

use super::check_refresh;
use crate::prometheus::config::http::HttpConfig;

/// An HTTP endpoint that lists groups of targets as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct HttpDiscovery {
    /// What is asked.
    pub url: String,
    /// How often, and how long an answer may take.
    pub refresh_interval: PromDuration,
    /// How.
    #[serde(rename = "~http")]
    pub http: HttpConfig,
}

impl Default for HttpDiscovery {
    fn default() -> HttpDiscovery {
        HttpDiscovery {
            url: String::new(),
            refresh_interval: PromDuration(Duration::from_secs(60)),
            http: HttpConfig::default(),
        }
    }
}

impl HttpDiscovery {
    /// Everything wrong with it.
    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if self.url.is_empty() {
            problems.push(Problem::at(path, "http_sd_configs needs a url"));
        } else if let Err(message) = parse_url(&self.url) {
            problems.push(Problem::at(format!("{path}.url"), message));
        }
        check_refresh(self.refresh_interval, path, problems);
        self.http.check(path, problems);
    }
}
