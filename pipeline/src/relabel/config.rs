//! `relabel_configs` and `metric_relabel_configs` as they are written, and what Prometheus says is wrong with them.

use regex::Regex;
use serde::Deserialize;

use super::labels::NameRule;
use super::{Action, Replace, Rule};
use crate::config::re2::anchored;
use crate::config::{Problem, Text};

const ACTIONS: [&str; 11] = [
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
];

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename = "RelabelRule")]
pub struct Config {
    /// Labels whose values are joined.
    pub source_labels: Option<Vec<Text>>,
    /// What they are joined with.
    pub separator: Text,
    /// What the joined value, or a label's name, must match as a whole.
    pub regex: Text,
    /// For `hashmod`.
    pub modulus: u64,
    /// The label to set or compare.
    pub target_label: Text,
    /// What it is set to; `$1` and `${1}` stand for groups of the match.
    pub replacement: Text,
    /// What to do.
    pub action: Text,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            source_labels: None,
            separator: ";".into(),
            regex: "(.*)".into(),
            modulus: 0,
            target_label: Text::default(),
            replacement: "$1".into(),
            action: "replace".into(),
        }
    }
}

/// Compiles rules; problems have `path` and the rule's place before them.
pub fn compile(configs: &[Config], names: NameRule, path: &str, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(configs.len());
    for (i, config) in configs.iter().enumerate() {
        let before = problems.len();
        let rule = config.compile(names, |key, message| {
            let dot = if key.is_empty() { "" } else { "." };
            problems.push(Problem::at(format!("{path}.{i}{dot}{key}"), message));
        });
        if problems.len() == before {
            rules.extend(rule);
        }
    }
    rules
}

impl Config {
    fn compile(&self, names: NameRule, mut problem: impl FnMut(&str, String)) -> Option<Rule> {
        let name = self.action.to_lowercase();
        if !ACTIONS.contains(&name.as_str()) {
            problem("action", format!("{:?} is not an action, there are {}", &*self.action, ACTIONS.join(", ")));
            return None;
        }
        let regex = match anchored(&self.regex) {
            Ok(regex) => Some(regex),
            Err(message) => {
                problem("regex", message);
                None
            }
        };
        self.check_fields(&name, names, &mut problem);
        let target = || self.target_label.to_string();
        Some(Rule {
            source: self.source_labels.iter().flatten().map(|name| name.0.clone()).collect(),
            separator: self.separator.to_string(),
            names,
            action: self.action(&name, regex?, target),
        })
    }

    fn action(&self, name: &str, regex: Regex, target: impl Fn() -> String) -> Action {
        match name {
            "keep" => Action::Keep(regex),
            "drop" => Action::Drop(regex),
            "keepequal" => Action::KeepEqual(target()),
            "dropequal" => Action::DropEqual(target()),
            "hashmod" => Action::HashMod { target: target(), modulus: self.modulus.max(1) },
            "labelmap" => Action::LabelMap { regex, replacement: self.replacement.to_string() },
            "labeldrop" => Action::LabelDrop(regex),
            "labelkeep" => Action::LabelKeep(regex),
            "lowercase" => Action::Lowercase(target()),
            "uppercase" => Action::Uppercase(target()),
            _ => Action::Replace(Replace {
                plain: *self.regex == *Config::default().regex
                    && !self.target_label.contains('$')
                    && !self.replacement.contains('$'),
                regex,
                target: target(),
                replacement: self.replacement.to_string(),
            }),
        }
    }

    /// Fields that an action needs, or that make no sense with it.
    fn check_fields(&self, action: &str, names: NameRule, problem: &mut impl FnMut(&str, String)) {
        let default = Config::default();
        let target = &*self.target_label;
        let mut needs_target = |template: bool| {
            if target.is_empty() {
                problem("", format!("action {action} needs a target_label"));
            } else if !(names.label(target) || template && is_legacy_template(target)) {
                problem("target_label", format!("{target:?} cannot be a label name"));
            }
        };
        match action {
            "replace" => needs_target(target.contains('$')),
            "hashmod" | "lowercase" | "uppercase" | "keepequal" | "dropequal" => needs_target(false),
            _ => {}
        }
        if action == "hashmod" && self.modulus == 0 {
            problem("", "action hashmod needs a modulus above 0".to_owned());
        }
        if action == "labelmap" && !names.label(&self.replacement) && !is_legacy_template(&self.replacement) {
            problem("replacement", format!("{:?} cannot be a label name", &*self.replacement));
        }
        let changed = [
            ("source_labels", self.source_labels.is_some()),
            ("target_label", self.target_label != default.target_label),
            ("regex", self.regex != default.regex),
            ("modulus", self.modulus != default.modulus),
            ("separator", self.separator != default.separator),
            ("replacement", self.replacement != default.replacement),
        ];
        let allowed: &[&str] = match action {
            "labeldrop" | "labelkeep" => &["regex"],
            "keepequal" | "dropequal" => &["source_labels", "target_label"],
            "lowercase" | "uppercase" => &["source_labels", "target_label", "regex", "modulus", "separator"],
            _ => return,
        };
        for (key, _) in changed.iter().filter(|(key, changed)| *changed && !allowed.contains(key)) {
            problem(key, format!("action {action} has no use for {key}, it takes only {}", allowed.join(" and ")));
        }
    }
}

/// A label name in which `$1`, `${1}` and `$name` may stand, by the rules of Prometheus 2.
fn is_legacy_template(text: &str) -> bool {
    let mut rest = text;
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '$' => {
                let (inside, after) = match rest.strip_prefix('{') {
                    Some(braced) => match braced.split_once('}') {
                        Some(parts) => parts,
                        None => return false,
                    },
                    None => rest.split_at(rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())),
                };
                if inside.is_empty() || !inside.chars().all(is_word) {
                    return false;
                }
                rest = after;
            }
            c if is_word(c) && !(first && c.is_ascii_digit()) => {}
            _ => return false,
        }
        first = false;
    }
    !text.is_empty()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
