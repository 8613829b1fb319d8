//! The exporter's config: that of the collector's former `loki` exporter, and ours.

use std::collections::BTreeMap;

use pipeline::config::{GoDuration, Problem, Settings};
use pipeline::net::config::{Compression, HttpClientConfig};
use serde::Deserialize;

use super::preset::Preset;

/// `loki`, without what delivery reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The push URL, with the keys of an HTTP client.
    #[serde(rename = "~client")]
    pub client: HttpClientConfig,
    /// What a known source needs (ours).
    pub preset: Option<Preset>,
    /// Labels of every stream that lacks them (ours).
    pub labels: BTreeMap<String, String>,
    /// Resource attributes that are stream labels (ours; older: the attribute `loki.resource.labels`).
    pub resource_labels: Vec<String>,
    /// Record attributes that are stream labels (ours; older: the attribute `loki.attribute.labels`).
    pub attribute_labels: Vec<String>,
    /// Labels that a stream has by itself.
    pub default_labels_enabled: DefaultLabels,
    /// What the line is (ours; older: the attribute `loki.format`).
    pub format: Format,
    /// What goes into structured metadata (ours).
    pub structured_metadata: StructuredMetadata,
    /// The most labels of a stream; further ones go into structured metadata (ours).
    pub max_labels: usize,
    /// The most bytes of a line (ours).
    pub max_line_bytes: usize,
    /// What becomes of longer ones (ours).
    pub long_lines: LongLines,
    /// Move entries of a stream with the same time a nanosecond apart (ours).
    pub unique_timestamps: bool,
    /// How far an entry may be behind the newest of its stream; older ones go to a stream with `backfill="true"`. 0 for
    /// no such streams (ours).
    pub backfill_window: GoDuration,
    /// The most bytes of a push, before compression (ours).
    pub max_batch_size_bytes: usize,
}

/// `default_labels_enabled`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct DefaultLabels {
    /// `exporter="OTLP"`.
    pub exporter: bool,
    /// `job`: `service.namespace/service.name`.
    pub job: bool,
    /// `instance`: `service.instance.id`.
    pub instance: bool,
    /// `level`: the record's attribute of that name, or its severity.
    pub level: bool,
}

impl Default for DefaultLabels {
    fn default() -> DefaultLabels {
        DefaultLabels { exporter: true, job: true, instance: true, level: true }
    }
}

/// `format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The body: text as it is, anything else as JSON.
    #[default]
    Raw,
    /// The whole record as a JSON object.
    Json,
    /// The whole record as `key=value` pairs.
    Logfmt,
}

impl Format {
    /// The format of that name, as the hint `loki.format` says it.
    pub fn from_name(name: &str) -> Option<Format> {
        match name {
            "raw" => Some(Format::Raw),
            "json" => Some(Format::Json),
            "logfmt" => Some(Format::Logfmt),
            _ => None,
        }
    }
}

/// `structured_metadata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredMetadata {
    /// Ids, severity, and the attributes that are neither labels nor shown by the line.
    #[default]
    NotInLine,
    /// The same with those that the line shows.
    All,
    /// `trace_id` and `span_id`.
    Ids,
    /// Nothing, for a Loki that does not allow it.
    None,
}

/// `long_lines`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongLines {
    /// They become several entries, a nanosecond apart.
    #[default]
    Split,
    /// Their rest is lost.
    Cut,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            client: HttpClientConfig::default(),
            preset: None,
            labels: BTreeMap::new(),
            resource_labels: Vec::new(),
            attribute_labels: Vec::new(),
            default_labels_enabled: DefaultLabels::default(),
            format: Format::default(),
            structured_metadata: StructuredMetadata::default(),
            max_labels: 15,
            max_line_bytes: 256 << 10,
            long_lines: LongLines::default(),
            unique_timestamps: false,
            backfill_window: GoDuration::from_secs(3600),
            max_batch_size_bytes: 1 << 20,
        }
    }
}

impl Settings for Config {
    const REMOVED: &'static [(&'static str, &'static str)] =
        &[("tenant", "set the header X-Scope-OrgID in headers, or name the tenant's attribute in loki.tenant")];

    fn check(&self) -> Vec<Problem> {
        let mut problems = self.client.check("");
        let mut wrong = |path: &str, message: String| problems.push(Problem::at(path, message));
        if self.client.endpoint.is_empty() {
            wrong("endpoint", "an endpoint is needed, such as http://localhost:3100/loki/api/v1/push".to_owned());
        }
        if !matches!(self.client.compression, None | Some(Compression::Snappy)) {
            wrong("compression", "pushes are always compressed with snappy, remove compression".to_owned());
        }
        for name in self.labels.keys() {
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal) {
                let message = format!("{name:?} cannot be a label, use letters, digits and _, no digit first");
                wrong("labels", message);
            }
        }
        for (key, value) in [
            ("max_labels", self.max_labels),
            ("max_line_bytes", self.max_line_bytes),
            ("max_batch_size_bytes", self.max_batch_size_bytes),
        ] {
            if value == 0 {
                wrong(key, format!("{key} is 0, the least is 1"));
            }
        }
        problems
    }
}
