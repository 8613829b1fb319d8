//! The exporter's config: the collector's.

use http::Uri;
use pipeline::Signal;
use pipeline::config::{Problem, Settings};
use pipeline::net::config::HttpClientConfig;
use pipeline::net::origin::parse_url;
use serde::Deserialize;

/// The exporter's body, without what delivery reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to and how; `/v1/<signal>` is added to the endpoint.
    #[serde(rename = "~client")]
    pub client: HttpClientConfig,
    /// The whole URL for traces.
    pub traces_endpoint: String,
    /// The whole URL for metrics.
    pub metrics_endpoint: String,
    /// The whole URL for logs.
    pub logs_endpoint: String,
    /// Accepted and without effect: there are no profiles to send.
    pub profiles_endpoint: String,
    /// How messages are encoded.
    pub encoding: Encoding,
}

/// `encoding:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Protobuf: the batch's own bytes.
    #[default]
    Proto,
    /// OTLP's JSON.
    Json,
}

impl Config {
    /// The URL for a signal.
    ///
    /// # Errors
    /// There is none, or it is not a URL.
    pub fn url(&self, signal: Signal) -> Result<Uri, String> {
        let own = self.own_endpoint(signal);
        if !own.is_empty() {
            return parse_url(own);
        }
        if self.client.endpoint.is_empty() {
            return Err(format!("an endpoint is needed for {signal}: set endpoint or {signal}_endpoint"));
        }
        parse_url(&format!("{}/v1/{signal}", self.client.endpoint.trim_end_matches('/')))
    }

    fn own_endpoint(&self, signal: Signal) -> &str {
        match signal {
            Signal::Traces => &self.traces_endpoint,
            Signal::Metrics => &self.metrics_endpoint,
            Signal::Logs => &self.logs_endpoint,
        }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = self.client.check("");
        for signal in Signal::ALL {
            let own = self.own_endpoint(signal);
            if !own.is_empty()
                && let Err(message) = parse_url(own)
            {
                problems.push(Problem::at(format!("{signal}_endpoint"), message));
            }
        }
        if self.client.endpoint.is_empty() && Signal::ALL.into_iter().all(|s| self.own_endpoint(s).is_empty()) {
            problems.push(Problem::at("", "an endpoint is needed, such as endpoint: http://localhost:4318"));
        }
        problems
    }
}
