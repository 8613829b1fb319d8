//! The `service` section: pipelines, own telemetry, and what is ours: `shutdown_timeout`, `data_dir`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::decode::{Body, Notes};
use super::report::{Diagnostic, Rule};
use super::{Block, GoDuration, Problem, Settings, check};
use crate::plan::{LogEncoding, LogLevel, TelemetryPlan};

/// The section as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Ids of extensions.
    pub extensions: Vec<String>,
    /// By pipeline id.
    pub pipelines: BTreeMap<String, PipelineConfig>,
    /// About ourselves.
    pub telemetry: Telemetry,
    /// How long a stop may take.
    pub shutdown_timeout: GoDuration,
    /// Where state is kept.
    pub data_dir: Option<PathBuf>,
}

impl Default for Service {
    fn default() -> Service {
        Service {
            extensions: Vec::new(),
            pipelines: BTreeMap::new(),
            telemetry: Telemetry::default(),
            shutdown_timeout: GoDuration::from_secs(10),
            data_dir: None,
        }
    }
}

/// One pipeline: ids of components.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the kinds of components")]
pub struct PipelineConfig {
    pub receivers: Vec<String>,
    pub processors: Vec<String>,
    pub exporters: Vec<String>,
}

/// `service.telemetry`, in both forms that the collector accepts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    logs: Logs,
    metrics: Metrics,
    traces: Traces,
    resource: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "some settings of the collector's logger are accepted without effect")]
struct Logs {
    level: Level,
    development: bool,
    encoding: Encoding,
    disable_caller: bool,
    disable_stacktrace: bool,
    disable_zap_resource: bool,
    sampling: Block<BTreeMap<String, Value>>,
    output_paths: Vec<String>,
    error_output_paths: Vec<String>,
    initial_fields: BTreeMap<String, Value>,
    processors: Vec<Value>,
}

impl Default for Logs {
    fn default() -> Logs {
        Logs {
            level: Level::Info,
            development: false,
            encoding: Encoding::Console,
            disable_caller: false,
            disable_stacktrace: false,
            disable_zap_resource: false,
            sampling: Block::off(),
            output_paths: vec!["stderr".to_owned()],
            error_output_paths: vec!["stderr".to_owned()],
            initial_fields: BTreeMap::new(),
            processors: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    #[serde(alias = "DEBUG")]
    Debug,
    #[serde(alias = "INFO")]
    Info,
    #[serde(alias = "WARN")]
    Warn,
    #[serde(alias = "ERROR", alias = "dpanic", alias = "panic", alias = "fatal")]
    Error,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    Console,
    Json,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Metrics {
    level: MetricsLevel,
    readers: Option<Vec<Reader>>,
    views: Vec<Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum MetricsLevel {
    None,
    Basic,
    #[default]
    Normal,
    Detailed,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Reader {
    pull: Option<Pull>,
    periodic: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Pull {
    exporter: PullExporter,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PullExporter {
    prometheus: Prometheus,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "how names are written is the same always: as dashboards know them")]
struct Prometheus {
    host: String,
    port: u16,
    without_scope_info: Option<bool>,
    without_units: Option<bool>,
    without_type_suffix: Option<bool>,
    without_target_info: Option<bool>,
    with_resource_constant_labels: Option<Value>,
    translation_strategy: Option<String>,
}

impl Default for Prometheus {
    fn default() -> Prometheus {
        Prometheus {
            host: "localhost".to_owned(),
            port: 8888,
            without_scope_info: None,
            without_units: None,
            without_type_suffix: None,
            without_target_info: None,
            with_resource_constant_labels: None,
            translation_strategy: None,
        }
    }
}

impl Prometheus {
    fn address(&self) -> String {
        match self.host.contains(':') && !self.host.starts_with('[') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "there are no own traces to sample or propagate")]
struct Traces {
    level: Option<String>,
    propagators: Vec<String>,
    processors: Vec<Value>,
    sampler: Option<Value>,
}

impl Settings for Service {
    const REMOVED: &'static [(&'static str, &'static str)] =
        &[("address", "write readers: [{pull: {exporter: {prometheus: {host: localhost, port: 8888}}}}]")];

    fn check(&self) -> Vec<Problem> {
        let metrics = &self.telemetry.metrics;
        let mut problems = Vec::new();
        if metrics.level != MetricsLevel::None && metrics.readers.as_ref().is_some_and(Vec::is_empty) {
            let message = "is empty while level is not none: leave it out, or write level: none";
            problems.push(Problem::at("telemetry.metrics.readers", message));
        }
        problems
    }
}

impl Service {
    /// Notes what is accepted here but has no effect.
    pub fn note_what_has_no_effect(&self, body: &Body<'_>, notes: &mut Notes) {
        let Telemetry { logs, metrics, traces, .. } = &self.telemetry;
        let mut warn = |path: &str, message: &str| {
            let found = check::locate(body, path, notes);
            if let check::Place::Written(at) = found.place {
                let message = format!("'{}' {message}", found.path);
                notes.diagnostics.push(Diagnostic::warning(at, message).rule(Rule::NoEffect));
            }
        };
        if logs.output_paths.iter().chain(&logs.error_output_paths).any(|p| p != "stderr") {
            warn("telemetry.logs.output_paths", "has no effect: own logs go to stderr");
        }
        if !logs.processors.is_empty() {
            warn("telemetry.logs.processors", "has no effect: own logs go to stderr");
        }
        if !traces.processors.is_empty() {
            warn("telemetry.traces.processors", "has no effect: no own traces are made");
        }
        if !metrics.views.is_empty() {
            warn("telemetry.metrics.views", "has no effect");
        }
        for (n, reader) in metrics.readers.iter().flatten().enumerate() {
            if reader.periodic.is_some() {
                let path = format!("telemetry.metrics.readers.{n}.periodic");
                warn(&path, "has no effect: own metrics are offered to be pulled, not sent");
            }
        }
        for (n, _) in metrics.readers.iter().flatten().enumerate().filter(|(_, r)| r.pull.is_some()).skip(1) {
            warn(&format!("telemetry.metrics.readers.{n}.pull"), "has no effect: the first pull reader is the one");
        }
    }

    /// Own telemetry, defaults filled in.
    pub fn telemetry(&self) -> TelemetryPlan {
        let Telemetry { logs, metrics, resource, .. } = &self.telemetry;
        let metrics_address = match (metrics.level, &metrics.readers) {
            (MetricsLevel::None, _) => None,
            (_, None) => Some(Prometheus::default().address()),
            (_, Some(readers)) => readers.iter().find_map(|r| r.pull.as_ref()).map(|p| p.exporter.prometheus.address()),
        };
        TelemetryPlan {
            metrics_address,
            log_level: match logs.level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            },
            log_encoding: match logs.encoding {
                Encoding::Console => LogEncoding::Console,
                Encoding::Json => LogEncoding::Json,
            },
            resource: resource_attributes(resource),
        }
    }
}

/// `attributes: [{name, value}]`, or the attributes themselves; null takes one away.
fn resource_attributes(resource: &BTreeMap<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    match resource.get("attributes") {
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|entry| Some((entry.get("name")?.as_str()?.to_owned(), text(entry.get("value")?)?)))
            .collect(),
        _ => {
            let inline = resource.iter().filter(|(key, _)| *key != "schema_url" && !key.starts_with("detection"));
            inline.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
        }
    }
}
