//! The config keys that the exporters in Prometheus' language share.

use std::collections::BTreeMap;

use pipeline::config::Problem;
use serde::Deserialize;

use super::labels::METRIC_NAME;
use super::names::{Namer, Strategy};
use super::{ResourceLabels, Translation};

/// What is said about names and labels.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, rename = "Translation")]
pub struct Config {
    /// Put before every translated metric name.
    pub namespace: String,
    /// How names are translated.
    pub translation_strategy: Option<Strategy>,
    /// `false` is the older way to ask for `UnderscoreEscapingWithoutSuffixes`.
    pub add_metric_suffixes: bool,
    /// The older way to ask for all resource attributes as labels.
    pub resource_to_telemetry_conversion: ResourceToTelemetry,
    /// Which resource attributes become labels of every series.
    pub resource_constant_labels: ResourceConstantLabels,
    /// Whether resources become `target_info` series.
    pub target_info: TargetInfo,
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

impl Default for Config {
    fn default() -> Config {
        Config {
            namespace: String::new(),
            translation_strategy: None,
            add_metric_suffixes: true,
            resource_to_telemetry_conversion: ResourceToTelemetry::default(),
            resource_constant_labels: ResourceConstantLabels::default(),
            target_info: TargetInfo::default(),
        }
    }
}

impl Config {
    /// The translation that these keys ask for, with labels for all series that lack them.
    pub fn translation(&self, external_labels: &BTreeMap<String, String>, scope_labels: bool) -> Translation {
        let strategy = match self.translation_strategy {
            Some(strategy) => strategy,
            None if self.add_metric_suffixes => Strategy::UnderscoreEscapingWithSuffixes,
            None => Strategy::UnderscoreEscapingWithoutSuffixes,
        };
        let namer = Namer::new(strategy, &self.namespace);
        let external = external_labels.iter().map(|(name, value)| {
            let mut legal = String::new();
            namer.write_label(&mut legal, name);
            (legal, value.clone())
        });
        Translation {
            external_labels: external.collect(),
            resource_labels: self.resource_labels(),
            target_info: self.target_info.enabled,
            scope_labels,
            namer,
        }
    }

    /// Labels for all series, under the key `path`, that get other names than they have there.
    pub fn label_warnings(&self, path: &str, labels: &BTreeMap<String, String>) -> Vec<Problem> {
        let translation = self.translation(labels, false);
        let renamed = labels.keys().zip(&translation.external_labels).filter(|(name, (legal, _))| *name != legal);
        let warn = |(name, (legal, _)): (&String, &(String, String))| {
            Problem::at(format!("{path}.{name}"), format!("the label {name:?} becomes {legal}; write it so"))
        };
        renamed.map(warn).collect()
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

/// What is wrong with labels that are set on every series, under the key `path`.
pub fn check_labels(path: &str, labels: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    for (name, value) in labels.iter().filter(|(name, value)| name.is_empty() || value.is_empty()) {
        let message = format!("the label {name:?} = {value:?} is empty, give it a name and a value");
        problems.push(Problem::at(path, message));
    }
    if labels.contains_key(METRIC_NAME) {
        let message = "__name__ is what a metric is called, it cannot be the same for all; remove it";
        problems.push(Problem::at(format!("{path}.{METRIC_NAME}"), message));
    }
}
