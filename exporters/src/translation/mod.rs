//! OTLP metrics in Prometheus' language, for every exporter that speaks it: names, labels, `job` and `instance`,
//! `target_info` (OpenTelemetry compatibility specification). What our own scraper brought in keeps its names.

pub mod config;
pub mod exemplars;
mod family;
pub mod labels;
pub mod names;
pub mod native;
mod walk;

pub use family::{Family, Type};
pub use walk::{Around, Metrics, walk};

use names::Namer;

/// How metrics are translated; from the config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// Makes names legal.
    pub namer: Namer,
    /// Labels of every series that lacks them.
    pub external_labels: Vec<(String, String)>,
    /// Which resource attributes become labels.
    pub resource_labels: ResourceLabels,
    /// Whether resources become `target_info`.
    pub target_info: bool,
    /// Whether series say which scope they are from.
    pub scope_labels: bool,
}

/// Which resource attributes become labels of every series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceLabels {
    /// Names, or patterns with `*`.
    pub included: Vec<String>,
    /// What is left out of these.
    pub excluded: Vec<String>,
}

impl ResourceLabels {
    fn takes(&self, key: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|p| matches(p, key));
        any(&self.included) && !any(&self.excluded)
    }
}

/// Whether a pattern, in which `*` stands for anything, matches.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
}
