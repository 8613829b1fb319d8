//! Relabelling: rules that change, add and remove labels, and keep or drop what has them. All of Prometheus' actions.

pub mod config;
pub mod labels;
pub mod md5;

#[cfg(test)]
mod tests;

use regex::Regex;

use labels::{Labels, NameRule};

/// A rule, ready to be applied.
#[derive(Clone, Debug)]
pub struct Rule {
    source: Vec<String>,
    separator: String,
    names: NameRule,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Replace(Replace),
    Keep(Regex),
    Drop(Regex),
    KeepEqual(String),
    DropEqual(String),
    HashMod { target: String, modulus: u64 },
    LabelMap { regex: Regex, replacement: String },
    LabelDrop(Regex),
    LabelKeep(Regex),
    Lowercase(String),
    Uppercase(String),
}

#[derive(Clone, Debug)]
struct Replace {
    regex: Regex,
    target: String,
    replacement: String,
    /// Nothing is taken from the match and everything matches: the label is set as it is, even to nothing.
    plain: bool,
}

/// Applies the rules in order; `false` drops what has the labels.
pub fn apply(rules: &[Rule], labels: &mut Labels<'_>) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

impl Rule {
    fn apply(&self, labels: &mut Labels<'_>) -> bool {
        let values: Vec<&str> = self.source.iter().map(|name| labels.value(name)).collect();
        let value = values.join(&self.separator);
        match &self.action {
            Action::Keep(regex) => return regex.is_match(&value),
            Action::Drop(regex) => return !regex.is_match(&value),
            Action::KeepEqual(target) => return labels.value(target) == value,
            Action::DropEqual(target) => return labels.value(target) != value,
            Action::Replace(replace) => self.replace(replace, &value, labels),
            Action::HashMod { target, modulus } => {
                let digest = md5::digest(value.as_bytes());
                let last = digest[8..].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
                labels.set(target.clone(), (last % modulus).to_string());
            }
            Action::LabelMap { regex, replacement } => {
                let mapped: Vec<_> = labels
                    .iter()
                    .filter_map(|(name, value)| {
                        let captures = regex.captures(name)?;
                        let mut new = String::new();
                        captures.expand(replacement, &mut new);
                        Some((new, value.to_owned()))
                    })
                    .collect();
                mapped.into_iter().for_each(|(name, value)| labels.set(name, value));
            }
            Action::LabelDrop(regex) => labels.retain(|name, _| !regex.is_match(name)),
            Action::LabelKeep(regex) => labels.retain(|name, _| regex.is_match(name)),
            Action::Lowercase(target) => labels.set(target.clone(), value.to_lowercase()),
            Action::Uppercase(target) => labels.set(target.clone(), value.to_uppercase()),
        }
        true
    }

    fn replace(&self, replace: &Replace, value: &str, labels: &mut Labels<'_>) {
        if replace.plain && value.is_empty() {
            labels.set(replace.target.clone(), replace.replacement.clone());
            return;
        }
        let Some(captures) = replace.regex.captures(value) else { return };
        let (mut target, mut replacement) = (String::new(), String::new());
        captures.expand(&replace.target, &mut target);
        if self.names.label(&target) {
            captures.expand(&replace.replacement, &mut replacement);
            labels.set(target, replacement);
        }
    }
}
