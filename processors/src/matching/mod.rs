//! `include` and `exclude` as the `attributes` and `filter` processors write them: which spans, log records and data
//! points are meant. This module holds the config and its checks; [`select`] evaluates it.

mod select;
#[cfg(test)]
mod tests;

use std::fmt;

use pipeline::Signal;
use pipeline::config::Problem;
use serde::Deserialize;

pub use select::{AttributeRule, Cursor, Selection, match_all};

use crate::patterns::{MatchType, Patterns, RegexpCache};
use crate::value::Value;

/// What is meant: items that match `include` and do not match `exclude`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MatchConfig {
    /// Only what matches this.
    pub include: Option<Properties>,
    /// Nothing that matches this.
    pub exclude: Option<Properties>,
}

/// Properties of an item; all that are given must match, each by one of its texts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Properties {
    /// How texts are meant; required.
    pub match_type: Option<MatchType>,
    /// Accepted, no effect.
    pub regexp: Option<RegexpCache>,
    /// The resource's `service.name`.
    pub services: Vec<String>,
    /// Names of spans.
    pub span_names: Vec<String>,
    /// Kinds of spans: `SPAN_KIND_SERVER` and so on.
    pub span_kinds: Vec<String>,
    /// Bodies of log records, as text.
    pub log_bodies: Vec<String>,
    /// Severity texts of log records.
    pub log_severity_texts: Vec<String>,
    /// The least severity number of log records.
    pub log_severity_number: Option<Severity>,
    /// Names of metrics.
    pub metric_names: Vec<String>,
    /// Attributes of spans, log records or data points, all of which must match.
    pub attributes: Vec<Attribute>,
    /// Attributes of the resource, all of which must match.
    pub resources: Vec<Attribute>,
    /// Instrumentation scopes, one of which must match.
    pub libraries: Vec<Library>,
}

/// One attribute to match; without a value its presence is enough.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Attribute {
    /// The attribute's key, always exact.
    pub key: String,
    /// Its value: of the same type and equal for `strict`, a text for `regexp` and `prefix`.
    pub value: Value,
}

/// One instrumentation scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its version; any when absent.
    pub version: Option<String>,
}

/// A least severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Severity {
    /// 1 (trace) to 24 (fatal4).
    pub min: i64,
    /// Whether records of unknown severity match.
    pub match_undefined: bool,
}

/// The kinds of spans by their number.
pub const SPAN_KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

impl MatchConfig {
    /// Everything wrong with it, below `path`.
    pub fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        for (name, properties) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(properties) = properties {
                properties.check(&join(path, name), problems);
            }
        }
    }
}

impl Properties {
    /// Everything wrong with it that does not depend on the signal, below `path`.
    pub fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if Signal::ALL.iter().all(|s| self.fields_for(*s).is_empty()) {
            problems.push(Problem::at(
                path,
                "matches nothing: give at least one of services, span_names, span_kinds, log_bodies, \
                 log_severity_texts, log_severity_number, metric_names, attributes, resources or libraries",
            ));
        }
        let Some(how) = check_match_type(self.match_type, path, problems) else { return };
        let texts = [
            ("services", &self.services),
            ("span_names", &self.span_names),
            ("span_kinds", &self.span_kinds),
            ("log_bodies", &self.log_bodies),
            ("log_severity_texts", &self.log_severity_texts),
            ("metric_names", &self.metric_names),
        ];
        for (name, texts) in texts {
            check_texts(how, texts, &join(path, name), problems);
        }
        for (i, library) in self.libraries.iter().enumerate() {
            let path = join(path, &format!("libraries.{i}"));
            check_text(how, &library.name, &join(&path, "name"), problems);
            if let Some(version) = &library.version {
                check_text(how, version, &join(&path, "version"), problems);
            }
        }
        check_attributes(how, &self.attributes, &join(path, "attributes"), problems);
        check_attributes(how, &self.resources, &join(path, "resources"), problems);
        if how == MatchType::Strict {
            for (i, kind) in self.span_kinds.iter().enumerate() {
                if !SPAN_KINDS[1..].contains(&kind.as_str()) {
                    let path = join(path, &format!("span_kinds.{i}"));
                    let known = SPAN_KINDS[1..].join(", ");
                    problems.push(Problem::at(path, format!("is {kind:?}, use one of {known}")));
                }
            }
        }
        if let Some(severity) = self.log_severity_number
            && !(0..=24).contains(&severity.min)
        {
            let path = join(path, "log_severity_number.min");
            problems.push(Problem::at(path, format!("is {}, severity numbers go from 1 to 24", severity.min)));
        }
    }

    /// The fields given that say something about a signal.
    fn fields_for(&self, signal: Signal) -> Vec<&'static str> {
        let all = [
            ("services", !self.services.is_empty(), None),
            ("resources", !self.resources.is_empty(), None),
            ("libraries", !self.libraries.is_empty(), None),
            ("attributes", !self.attributes.is_empty(), None),
            ("span_names", !self.span_names.is_empty(), Some(Signal::Traces)),
            ("span_kinds", !self.span_kinds.is_empty(), Some(Signal::Traces)),
            ("log_bodies", !self.log_bodies.is_empty(), Some(Signal::Logs)),
            ("log_severity_texts", !self.log_severity_texts.is_empty(), Some(Signal::Logs)),
            ("log_severity_number", self.log_severity_number.is_some(), Some(Signal::Logs)),
            ("metric_names", !self.metric_names.is_empty(), Some(Signal::Metrics)),
        ];
        all.into_iter().filter(|(_, given, of)| *given && of.is_none_or(|of| of == signal)).map(|f| f.0).collect()
    }
}

/// A match that cannot be built for the signal of its pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(String);

impl Unfit {
    /// A reason why it cannot.
    pub fn new(why: String) -> Unfit {
        Unfit(why)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// The match type, or the problem that there is none of use.
pub fn check_match_type(how: Option<MatchType>, path: &str, problems: &mut Vec<Problem>) -> Option<MatchType> {
    match how {
        Some(MatchType::Expr) => {
            let message = "is expr, which is not supported: use strict, regexp or prefix";
            problems.push(Problem::at(join(path, "match_type"), message));
            None
        }
        Some(how) => Some(how),
        None => {
            problems.push(Problem::at(path, "needs a match_type: strict, regexp or prefix"));
            None
        }
    }
}

/// Checks a list of texts to match.
pub fn check_texts(how: MatchType, texts: &[String], path: &str, problems: &mut Vec<Problem>) {
    for (i, text) in texts.iter().enumerate() {
        check_text(how, text, &format!("{path}.{i}"), problems);
    }
}

fn check_text(how: MatchType, text: &str, path: &str, problems: &mut Vec<Problem>) {
    if let Err((_, why)) = Patterns::new(how, &[text.to_owned()]) {
        problems.push(Problem::at(path, why));
    }
}

/// Checks a list of attributes to match.
pub fn check_attributes(how: MatchType, attributes: &[Attribute], path: &str, problems: &mut Vec<Problem>) {
    for (i, attribute) in attributes.iter().enumerate() {
        let path = format!("{path}.{i}");
        if attribute.key.is_empty() {
            problems.push(Problem::at(&path, "needs a key: the attribute to match"));
        }
        match &attribute.value {
            Value::Text(text) => check_text(how, text, &join(&path, "value"), problems),
            Value::Null => {}
            _ if how == MatchType::Strict => {}
            other => problems.push(Problem::at(
                join(&path, "value"),
                format!("is {}, regexp and prefix match text: put it in quotes or use match_type strict", other.kind()),
            )),
        }
    }
}

/// A path below another.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
