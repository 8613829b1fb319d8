//! The config of `filter`, in the collector's shape, and its checks.

use pipeline::config::{Problem, Settings, Text};
use serde::Deserialize;

use crate::matching::{
    Attribute, MatchConfig, Properties, Severity, check_attributes, check_match_type, check_texts, join,
};
use crate::patterns::{MatchType, RegexpCache};
use crate::value::Value;

/// The config of `filter`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What happens when a condition fails; matches cannot fail.
    pub error_mode: ErrorMode,
    /// Which spans go on.
    pub spans: MatchConfig,
    /// Which metrics go on.
    pub metrics: Metrics,
    /// Which log records go on.
    pub logs: Logs,
    /// OTTL, which is not taken yet; likewise below.
    pub traces: Conditions,
    /// See above.
    pub profiles: Value,
    /// See above.
    pub trace_conditions: Vec<Value>,
    /// See above.
    pub metric_conditions: Vec<Value>,
    /// See above.
    pub log_conditions: Vec<Value>,
    /// See above.
    pub profile_conditions: Vec<Value>,
}

/// What happens when a condition fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorMode {
    /// The next condition decides.
    #[default]
    Ignore,
    /// The same, and no log line.
    Silent,
    /// The batch is refused.
    Propagate,
}

/// OTTL conditions of traces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each field is the collector's of that name")]
pub struct Conditions {
    pub resource: Vec<String>,
    pub span: Vec<String>,
    pub spanevent: Vec<String>,
}

/// Which metrics go on: those that `include` matches, less those that `exclude` matches.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Only what matches this.
    pub include: Option<MetricMatch>,
    /// Nothing that matches this.
    pub exclude: Option<MetricMatch>,
    /// Accepted, no effect.
    pub regexp: Option<RegexpCache>,
    /// Whether names are those of samples in Prometheus' text format (`x_bucket`, `x_sum`, `x_count`, `x_total`) instead of
    /// metrics, as in Dynamo's own filter (ours).
    pub per_sample: bool,
    /// OTTL, which is not taken yet; likewise below.
    pub resource: Vec<String>,
    /// See above.
    pub metric: Vec<String>,
    /// See above.
    pub datapoint: Vec<String>,
}

/// Matches metrics.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MetricMatch {
    /// How texts are meant; required with names or attributes.
    pub match_type: Option<MatchType>,
    /// Accepted, no effect.
    pub regexp: Option<RegexpCache>,
    /// Names, one of which must match; any name when empty.
    pub metric_names: Vec<String>,
    /// Expressions of the collector's `expr` language, which are not taken.
    pub expressions: Vec<String>,
    /// Attributes of the resource, all of which must match; in `exclude` they exclude by themselves, as in the collector.
    pub resource_attributes: Vec<Attribute>,
}

/// Which log records go on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Logs {
    /// Only what matches this.
    pub include: Option<LogMatch>,
    /// Nothing that matches this.
    pub exclude: Option<LogMatch>,
    /// OTTL, which is not taken yet; likewise below.
    pub resource: Vec<String>,
    /// See above.
    pub log_record: Vec<String>,
}

/// Matches log records; all that is given must match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LogMatch {
    /// How texts are meant; required with texts or attributes.
    pub match_type: Option<MatchType>,
    /// Attributes of the resource, all of which must match.
    pub resource_attributes: Vec<Attribute>,
    /// Attributes of the record, all of which must match.
    pub record_attributes: Vec<Attribute>,
    /// Severity texts, one of which must match.
    pub severity_texts: Vec<String>,
    /// The least severity.
    pub severity_number: Option<LogSeverity>,
    /// Bodies as text, one of which must match.
    pub bodies: Vec<String>,
}

/// A least severity by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LogSeverity {
    /// `TRACE`, `DEBUG2`, … `FATAL4`, in any letter case, or a number from 1 to 24.
    pub min: Text,
    /// Whether records of unknown severity match.
    pub match_undefined: bool,
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_ottl(&mut problems);
        self.spans.check("spans", &mut problems);
        for (name, rule) in [("include", &self.metrics.include), ("exclude", &self.metrics.exclude)] {
            if let Some(rule) = rule {
                rule.check(&format!("metrics.{name}"), &mut problems);
            }
        }
        for (name, rule) in [("include", &self.logs.include), ("exclude", &self.logs.exclude)] {
            if let Some(rule) = rule {
                rule.check(&format!("logs.{name}"), &mut problems);
            }
        }
        problems
    }
}

impl Config {
    fn check_ottl(&self, problems: &mut Vec<Problem>) {
        let conditions = [
            ("traces.resource", self.traces.resource.is_empty(), "spans"),
            ("traces.span", self.traces.span.is_empty(), "spans"),
            ("traces.spanevent", self.traces.spanevent.is_empty(), "spans"),
            ("metrics.resource", self.metrics.resource.is_empty(), "metrics"),
            ("metrics.metric", self.metrics.metric.is_empty(), "metrics"),
            ("metrics.datapoint", self.metrics.datapoint.is_empty(), "metrics"),
            ("logs.resource", self.logs.resource.is_empty(), "logs"),
            ("logs.log_record", self.logs.log_record.is_empty(), "logs"),
            ("trace_conditions", self.trace_conditions.is_empty(), "spans"),
            ("metric_conditions", self.metric_conditions.is_empty(), "metrics"),
            ("log_conditions", self.log_conditions.is_empty(), "logs"),
        ];
        for (path, is_empty, key) in conditions {
            if !is_empty {
                let message = format!(
                    "has conditions in OTTL, which are not supported: use {key}.include and {key}.exclude with match_type \
                     strict, regexp or prefix"
                );
                problems.push(Problem::at(path, message));
            }
        }
        for (path, is_empty) in
            [("profiles", self.profiles.is_null()), ("profile_conditions", self.profile_conditions.is_empty())]
        {
            if !is_empty {
                problems.push(Problem::at(path, "is for profiles, which are not supported: leave it out"));
            }
        }
    }
}

impl MetricMatch {
    fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if !self.expressions.is_empty() {
            let message = "has expr expressions, which are not supported: use metric_names or resource_attributes";
            problems.push(Problem::at(join(path, "expressions"), message));
        }
        let is_used = !self.metric_names.is_empty() || !self.resource_attributes.is_empty();
        if is_used || self.match_type.is_some() {
            let Some(how) = check_match_type(self.match_type, path, problems) else { return };
            check_texts(how, &self.metric_names, &join(path, "metric_names"), problems);
            check_attributes(how, &self.resource_attributes, &join(path, "resource_attributes"), problems);
        }
    }
}

impl LogMatch {
    fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if let Some(severity) = &self.severity_number
            && severity.number().is_none()
        {
            let message = format!("is {:?}, use TRACE, DEBUG, INFO, WARN, ERROR, FATAL or 1 to 24", severity.min.0);
            problems.push(Problem::at(join(path, "severity_number.min"), message));
        }
        let uses_texts = !self.severity_texts.is_empty() || !self.bodies.is_empty();
        if uses_texts || !self.record_attributes.is_empty() || !self.resource_attributes.is_empty() {
            let Some(how) = check_match_type(self.match_type, path, problems) else { return };
            check_texts(how, &self.severity_texts, &join(path, "severity_texts"), problems);
            check_texts(how, &self.bodies, &join(path, "bodies"), problems);
            check_attributes(how, &self.record_attributes, &join(path, "record_attributes"), problems);
            check_attributes(how, &self.resource_attributes, &join(path, "resource_attributes"), problems);
        }
    }

    /// The same in the shape that `attributes` uses; `None` when nothing is given.
    fn properties(&self) -> Option<Properties> {
        let severity = self.severity_number.as_ref();
        let properties = Properties {
            match_type: self.match_type,
            resources: self.resource_attributes.clone(),
            attributes: self.record_attributes.clone(),
            log_severity_texts: self.severity_texts.clone(),
            log_severity_number: severity.map(|severity| Severity {
                min: severity.number().unwrap_or_default(),
                match_undefined: severity.match_undefined,
            }),
            log_bodies: self.bodies.clone(),
            ..Properties::default()
        };
        let is_empty = Properties { match_type: self.match_type, ..Properties::default() } == properties;
        (!is_empty).then_some(properties)
    }
}

impl LogSeverity {
    /// The severity number; 0 when none is given.
    fn number(&self) -> Option<i64> {
        const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        let text = self.min.0.to_ascii_uppercase();
        if text.is_empty() {
            return Some(0);
        }
        if let Ok(number) = text.parse::<i64>() {
            return (1..=24).contains(&number).then_some(number);
        }
        let (name, step) = match text.strip_suffix(['2', '3', '4']) {
            Some(name) => (name, i64::from(text.as_bytes()[text.len() - 1] - b'1')),
            None => (text.as_str(), 0),
        };
        NAMES.iter().position(|n| *n == name).and_then(|at| i64::try_from(at).ok()).map(|at| at * 4 + 1 + step)
    }
}

impl Logs {
    /// The same in the shape that `attributes` uses.
    pub(super) fn matching(&self) -> MatchConfig {
        let properties = |rule: &Option<LogMatch>| rule.as_ref().and_then(LogMatch::properties);
        MatchConfig { include: properties(&self.include), exclude: properties(&self.exclude) }
    }
}
