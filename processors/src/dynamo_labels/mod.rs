//! `dynamo_labels`: adds the labels that Dynamo's own workers inject, with Dynamo's own rules: a label that is there
//! already goes before an automatic one, and an automatic one before one from `labels`. Values from files follow the
//! files. On metrics the labels stand on every data point; on traces and logs on the resource.

mod labels;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pipeline::Signal;
use pipeline::batch::{Batch, Edited};
use pipeline::component::{Context, Error, Processor, Refused, Stage};
use pipeline::config::{GoDuration, Problem, Settings, TextOr};
use pipeline::otlp::edit::{self, Level};
use pipeline::registry::ProcessorFactory;
use serde::Deserialize;

use labels::{Current, Sources};

/// The config of `dynamo_labels`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The Dynamo namespace: label `dynamo_namespace`. Automatic labels are added only with namespace and component.
    pub namespace: Label,
    /// The Dynamo component: label `dynamo_component`.
    pub component: Label,
    /// The Dynamo endpoint: label `dynamo_endpoint`.
    pub endpoint: Label,
    /// The worker's instance id, as it is: label `worker_id`.
    pub worker_id: Label,
    /// The served model: labels `model` and `model_name`.
    pub model: Label,
    /// Further labels.
    pub labels: BTreeMap<String, Label>,
    /// How often files are looked at for new values, as long as data come.
    pub file_check_interval: GoDuration,
}

/// A label's value: text, or `from_file:` and a path. Empty is no value.
pub type Label = TextOr<FromFile>;

/// A value that stands in a file, such as one of Kubernetes' downward API; white space around it does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FromFile {
    /// The file, at most 64 KiB.
    pub from_file: PathBuf,
}

impl Default for Config {
    fn default() -> Config {
        let none = || TextOr::Text(String::new());
        Config {
            namespace: none(),
            component: none(),
            endpoint: TextOr::Text("generate".to_owned()),
            worker_id: none(),
            model: none(),
            labels: BTreeMap::new(),
            file_check_interval: GoDuration::from_secs(10),
        }
    }
}

/// Labels that mean something else in Prometheus' text format.
const RESERVED: [&str; 2] = ["le", "quantile"];

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, value) in &self.labels {
            let path = format!("labels.{key}");
            if key.is_empty() {
                problems.push(Problem::at("labels", "has a label without a name"));
            } else if RESERVED.contains(&key.as_str()) {
                let message = "is reserved for buckets and quantiles and cannot be injected: choose another name";
                problems.push(Problem::at(&path, message));
            }
            check_file(value, &path, &mut problems);
        }
        let keys = [
            ("namespace", &self.namespace),
            ("component", &self.component),
            ("endpoint", &self.endpoint),
            ("worker_id", &self.worker_id),
            ("model", &self.model),
        ];
        for (path, value) in keys {
            check_file(value, path, &mut problems);
        }
        let is_empty = |label: &Label| matches!(label, TextOr::Text(text) if text.is_empty());
        let given = keys.iter().any(|(_, value)| !is_empty(value) && **value != Config::default().endpoint);
        if !given && self.labels.is_empty() {
            problems.push(Problem::at("", "adds nothing: give namespace and component, or labels"));
        }
        if self.file_check_interval.get().is_zero() {
            problems.push(Problem::at("file_check_interval", "must be greater than zero, 10s is a good choice"));
        }
        problems
    }
}

fn check_file(value: &Label, path: &str, problems: &mut Vec<Problem>) {
    if let TextOr::Map(FromFile { from_file }) = value
        && from_file.as_os_str().is_empty()
    {
        problems.push(Problem::at(path, "needs text, or from_file and a path"));
    }
}

/// Makes the processor.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["dynamo_labels"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Adds the labels that Dynamo injects, with Dynamo's own rules.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Stage, Error> {
        let mut sources = Sources::new(&config, context.doors.files.clone());
        sources.read().map_err(|e| format!("cannot read {e}"))?;
        for warning in sources.said_in_vain() {
            tracing::warn!(component = %context.id, "{warning}");
        }
        let current = Current::new(sources, config.file_check_interval.get(), context);
        Ok(Stage::Plain(Box::new(DynamoLabels { current })))
    }
}

/// The processor.
pub struct DynamoLabels {
    current: Arc<Current>,
}

impl Processor for DynamoLabels {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        let labels = self.current.labels();
        if labels.is_empty() {
            return Ok(batch);
        }
        let signal = batch.signal();
        let level = if signal == Signal::Metrics { Level::Point } else { Level::Resource };
        batch.map_parts(|part| {
            let edited = edit::attributes(signal, part, level, &mut |attributes| attributes.insert_all(labels.iter()));
            Ok(edited?.map(Edited::from))
        })
    }
}
