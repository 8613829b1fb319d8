//! The exporter's config: the collector's `prometheusremotewrite`, in its old and its present form.

use std::collections::BTreeMap;

use std::time::Duration;

use pipeline::config::{GoDuration, Problem, Settings};
use pipeline::net::config::{Compression, HttpClientConfig};
use pipeline::relabel::Rule;
use pipeline::relabel::config::{Config as RelabelConfig, compile};
use pipeline::relabel::labels::NameRule;
use serde::Deserialize;

use super::convert::Conversion;
use super::timeseries::{Message, Most};
use crate::translation;

/// `prometheus_remote_write`, without what delivery reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to write to, with the keys of an HTTP client.
    #[serde(rename = "~client")]
    pub client: HttpClientConfig,
    /// The same in a block of its own (0.16x).
    pub http: Option<HttpClientConfig>,
    /// How names and labels are translated.
    #[serde(rename = "~translation")]
    pub translation: translation::config::Config,
    /// Labels of every series that lacks them.
    pub external_labels: BTreeMap<String, String>,
    /// Rules that change labels and drop series, as the last thing before they are sent (Prometheus' name).
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// Send types, help texts and units too, in requests of their own; 2.0 has them in every series.
    pub send_metadata: bool,
    /// Send exponential histograms as native ones; otherwise they are dropped (ours).
    pub send_native_histograms: bool,
    /// Leave out `otel_scope_…` labels.
    pub disable_scope_info: bool,
    /// The older keys of the queue.
    pub remote_write_queue: RemoteWriteQueue,
    /// The most bytes of one request, before compression.
    pub max_batch_size_bytes: usize,
    /// The most samples of one request (ours; Prometheus' `max_samples_per_send`).
    pub max_samples_per_send: usize,
    /// Older samples are dropped; zero is no limit (Prometheus' name).
    pub sample_age_limit: GoDuration,
    /// An older name of `remote_write_queue.num_consumers`.
    pub max_batch_request_parallelism: Option<usize>,
    /// Refused by `check`: nothing of a client's request is sent on.
    pub include_metadata_keys: Vec<String>,
    /// The message, and with it the version of remote write.
    pub protobuf_message: ProtobufMessage,
    /// Histograms with bounds become native ones with custom buckets; only 2.0 has those.
    pub convert_explicit_histograms_to_nhcb: bool,
    /// Keep classic histograms beside those.
    pub keep_classic_histograms: bool,
}

/// `protobuf_message`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ProtobufMessage {
    /// Remote write 1.0.
    #[default]
    #[serde(rename = "prometheus.WriteRequest")]
    Version1,
    /// Remote write 2.0.
    #[serde(rename = "io.prometheus.write.v2.Request")]
    Version2,
}

/// `remote_write_queue`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RemoteWriteQueue {
    /// As `sending_queue.enabled`.
    pub enabled: Option<bool>,
    /// As `sending_queue.queue_size`.
    pub queue_size: Option<usize>,
    /// Requests at the same time; series are spread over them so that each stays in order.
    pub num_consumers: Option<usize>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            client: HttpClientConfig::default(),
            http: None,
            translation: translation::config::Config::default(),
            external_labels: BTreeMap::new(),
            write_relabel_configs: Vec::new(),
            send_metadata: false,
            send_native_histograms: true,
            disable_scope_info: false,
            remote_write_queue: RemoteWriteQueue::default(),
            max_batch_size_bytes: 3_000_000,
            max_samples_per_send: 2000,
            sample_age_limit: GoDuration::default(),
            max_batch_request_parallelism: None,
            include_metadata_keys: Vec::new(),
            protobuf_message: ProtobufMessage::default(),
            convert_explicit_histograms_to_nhcb: false,
            keep_classic_histograms: false,
        }
    }
}

/// Requests at the same time where the config says nothing.
pub(super) const LANES: usize = 5;
const MOST_LANES: usize = 100;

impl Settings for Config {
    const REMOVED: &'static [(&'static str, &'static str)] = &[
        ("export_created_metric", "remove it, created timestamps are not sent as series any more"),
        ("created_metric", "remove it, created timestamps are not sent as series any more"),
        ("wal", "remove it, a durable queue is sending_queue with storage"),
    ];

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, message: String| problems.push(Problem::at(path, message));
        let (path, client) = match &self.http {
            Some(http) => ("http", http),
            None => ("", &self.client),
        };
        let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if client.endpoint.is_empty() {
            wrong(&join("endpoint"), "an endpoint is needed, such as http://localhost:9090/api/v1/write".to_owned());
        }
        if self.http.is_some() && !self.client.endpoint.is_empty() {
            wrong("endpoint", "endpoint stands here and in http, leave one".to_owned());
        }
        if !matches!(client.compression, None | Some(Compression::Snappy)) {
            wrong(&join("compression"), "remote write is always compressed with snappy, remove compression".to_owned());
        }
        if self.convert_explicit_histograms_to_nhcb && self.protobuf_message == ProtobufMessage::Version1 {
            wrong(
                "convert_explicit_histograms_to_nhcb",
                "custom buckets need remote write 2.0, set protobuf_message: io.prometheus.write.v2.Request".to_owned(),
            );
        }
        if !self.include_metadata_keys.is_empty() {
            wrong("include_metadata_keys", "headers of clients are not sent on, remove it".to_owned());
        }
        for (key, value) in
            [("max_batch_size_bytes", self.max_batch_size_bytes), ("max_samples_per_send", self.max_samples_per_send)]
        {
            if value == 0 {
                wrong(key, format!("{key} is 0, the least is 1"));
            }
        }
        for (key, value) in [
            ("remote_write_queue.num_consumers", self.remote_write_queue.num_consumers),
            ("max_batch_request_parallelism", self.max_batch_request_parallelism),
        ] {
            if value.is_some_and(|n| !(1..=MOST_LANES).contains(&n)) {
                wrong(key, format!("{key} must be from 1 to {MOST_LANES}"));
            }
        }
        if self.remote_write_queue.queue_size == Some(0) {
            wrong("remote_write_queue.queue_size", "queue_size is 0, the least is 1".to_owned());
        }
        problems.extend(client.check(path));
        translation::config::check_labels("external_labels", &self.external_labels, &mut problems);
        self.rules(&mut problems);
        problems
    }
}

impl Config {
    /// Where to write to.
    pub fn http_client(&self) -> &HttpClientConfig {
        self.http.as_ref().unwrap_or(&self.client)
    }

    /// How metrics become series.
    pub fn conversion(&self) -> Conversion {
        Conversion {
            translation: self.translation.translation(&self.external_labels, !self.disable_scope_info),
            rules: self.rules(&mut Vec::new()),
            metadata: self.send_metadata,
            native_histograms: self.send_native_histograms,
            custom_buckets: self.convert_explicit_histograms_to_nhcb,
            keep_classic: self.keep_classic_histograms,
            lanes: self.lanes(),
            samples: self.max_samples_per_send,
        }
    }

    /// The message to begin with.
    pub fn message(&self) -> Message {
        match self.protobuf_message {
            ProtobufMessage::Version1 => Message::V1,
            ProtobufMessage::Version2 => Message::V2,
        }
    }

    /// How old a sample may be, where there is a limit.
    pub fn age_limit(&self) -> Option<Duration> {
        Some(self.sample_age_limit.get()).filter(|limit| !limit.is_zero())
    }

    /// Requests at the same time, where the config says it.
    pub fn asked_lanes(&self) -> Option<usize> {
        self.remote_write_queue.num_consumers.or(self.max_batch_request_parallelism)
    }

    /// Requests at the same time, at most.
    pub fn lanes(&self) -> usize {
        self.asked_lanes().unwrap_or(LANES)
    }

    fn rules(&self, problems: &mut Vec<Problem>) -> Vec<Rule> {
        compile(&self.write_relabel_configs, NameRule::Utf8, "write_relabel_configs", problems)
    }

    /// What fits into a request.
    pub fn most(&self) -> Most {
        Most { samples: self.max_samples_per_send, bytes: self.max_batch_size_bytes }
    }
}
