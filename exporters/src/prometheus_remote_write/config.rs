//! The exporter's config: the collector's `prometheusremotewrite`, in its old and its present form.

use std::collections::BTreeMap;

use pipeline::config::{Problem, Settings};
use pipeline::net::config::{Compression, HttpClientConfig};
use serde::Deserialize;

use super::convert::{Conversion, ResourceLabels};
use super::names::{Namer, Strategy};
use super::timeseries::Most;

/// `prometheus_remote_write`, without what delivery reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to write to, with the keys of an HTTP client.
    #[serde(rename = "~client")]
    pub client: HttpClientConfig,
    /// The same in a block of its own (0.16x).
    pub http: Option<HttpClientConfig>,
    /// Put before every translated metric name.
    pub namespace: String,
    /// Labels of every series that lacks them.
    pub external_labels: BTreeMap<String, String>,
    /// How names are translated.
    pub translation_strategy: Option<Strategy>,
    /// `false` is the older way to ask for `UnderscoreEscapingWithoutSuffixes`.
    pub add_metric_suffixes: bool,
    /// Send types, help texts and units too.
    pub send_metadata: bool,
    /// Send exponential histograms as native ones; otherwise they are dropped (ours).
    pub send_native_histograms: bool,
    /// The older way to ask for all resource attributes as labels.
    pub resource_to_telemetry_conversion: ResourceToTelemetry,
    /// Which resource attributes become labels of every series.
    pub resource_constant_labels: ResourceConstantLabels,
    /// Whether resources become `target_info` series.
    pub target_info: TargetInfo,
    /// Leave out `otel_scope_…` labels.
    pub disable_scope_info: bool,
    /// The older keys of the queue.
    pub remote_write_queue: RemoteWriteQueue,
    /// The most bytes of one request, before compression.
    pub max_batch_size_bytes: usize,
    /// The most samples of one request (ours; Prometheus' `max_samples_per_send`).
    pub max_samples_per_send: usize,
    /// An older name of `remote_write_queue.num_consumers`.
    pub max_batch_request_parallelism: Option<usize>,
    /// Refused by `check`: nothing of a client's request is sent on.
    pub include_metadata_keys: Vec<String>,
    /// The message; only that of version 1.0.
    pub protobuf_message: String,
    /// Refused by `check`: version 1.0 has no custom buckets.
    pub convert_explicit_histograms_to_nhcb: bool,
    /// Accepted and without effect: classic histograms are always kept.
    pub keep_classic_histograms: bool,
}

/// `resource_to_telemetry_conversion`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceToTelemetry {
    /// Whether resource attributes become labels.
    pub enabled: bool,
    /// All but those that are in `job` and `instance` anyway.
    pub exclude_service_attributes: bool,
}

/// `resource_constant_labels`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceConstantLabels {
    /// Names of resource attributes; `*` stands for anything.
    pub included: Vec<String>,
    /// What to leave out of these.
    pub excluded: Vec<String>,
}

/// `target_info`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct TargetInfo {
    /// Whether there is one.
    pub enabled: bool,
}

impl Default for TargetInfo {
    fn default() -> TargetInfo {
        TargetInfo { enabled: true }
    }
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
            namespace: String::new(),
            external_labels: BTreeMap::new(),
            translation_strategy: None,
            add_metric_suffixes: true,
            send_metadata: false,
            send_native_histograms: true,
            resource_to_telemetry_conversion: ResourceToTelemetry::default(),
            resource_constant_labels: ResourceConstantLabels::default(),
            target_info: TargetInfo::default(),
            disable_scope_info: false,
            remote_write_queue: RemoteWriteQueue::default(),
            max_batch_size_bytes: 3_000_000,
            max_samples_per_send: 2000,
            max_batch_request_parallelism: None,
            include_metadata_keys: Vec::new(),
            protobuf_message: VERSION_1.to_owned(),
            convert_explicit_histograms_to_nhcb: false,
            keep_classic_histograms: false,
        }
    }
}

const VERSION_1: &str = "prometheus.WriteRequest";
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
        for (name, value) in &self.external_labels {
            if name.is_empty() || value.is_empty() {
                wrong(
                    "external_labels",
                    format!("the label {name:?} = {value:?} is empty, give it a name and a value"),
                );
            }
        }
        if self.protobuf_message != VERSION_1 {
            let message = format!("{:?} is not available, there is {VERSION_1}", self.protobuf_message);
            wrong("protobuf_message", message);
        }
        if self.convert_explicit_histograms_to_nhcb {
            wrong(
                "convert_explicit_histograms_to_nhcb",
                "custom buckets need remote write 2.0, which is not available".to_owned(),
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
        let strategy = match self.translation_strategy {
            Some(strategy) => strategy,
            None if self.add_metric_suffixes => Strategy::UnderscoreEscapingWithSuffixes,
            None => Strategy::UnderscoreEscapingWithoutSuffixes,
        };
        let namer = Namer::new(strategy, &self.namespace);
        let external = self.external_labels.iter().map(|(name, value)| {
            let mut legal = String::new();
            namer.write_label(&mut legal, name);
            (legal, value.clone())
        });
        Conversion {
            external_labels: external.collect(),
            resource_labels: self.resource_labels(),
            target_info: self.target_info.enabled,
            scope_labels: !self.disable_scope_info,
            metadata: self.send_metadata,
            native_histograms: self.send_native_histograms,
            lanes: self.remote_write_queue.num_consumers.or(self.max_batch_request_parallelism).unwrap_or(1),
            namer,
        }
    }

    /// What fits into a request.
    pub fn most(&self) -> Most {
        Most { samples: self.max_samples_per_send, bytes: self.max_batch_size_bytes }
    }

    fn resource_labels(&self) -> ResourceLabels {
        let ResourceConstantLabels { included, excluded } = self.resource_constant_labels.clone();
        let mut labels = ResourceLabels { included, excluded };
        let all = &self.resource_to_telemetry_conversion;
        if all.enabled && labels.included.is_empty() {
            labels.included.push("*".to_owned());
            if all.exclude_service_attributes {
                labels.excluded.extend(["service.name", "service.namespace", "service.instance.id"].map(str::to_owned));
            }
        }
        labels
    }
}
