//! What a reload from one config to another would change, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use serde_json::Value;

use super::portrait::Portrait;

/// What differs between two configs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Components by name (`receiver otlp`), those that differ.
    pub components: Vec<(String, Change)>,
    /// How many components are the same.
    pub kept: usize,
    /// Pipelines by name, those that differ.
    pub pipelines: Vec<(String, Change)>,
    /// Other settings of the service: what a reload does about it.
    pub service: Vec<(Difference, Effect)>,
    /// Whether changed secrets would be seen: the key of the seals is known.
    pub sees_secrets: bool,
}

/// What becomes of something.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It differs in these places; in none where something that it refers to does.
    Changed(Vec<Difference>),
}

/// Two values at one place. What is secret is masked in both.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Keys and indices joined with `::`.
    pub path: String,
    /// What was there.
    pub before: Option<Value>,
    /// What is there.
    pub after: Option<Value>,
}

/// What a reload does about a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It takes effect.
    Applied,
    /// It stays what it was until the process starts anew.
    NeedsRestart,
}

/// The sections in which components stand, and what one is called.
const SECTIONS: [(&str, &str); 4] =
    [("extensions", "extension"), ("receivers", "receiver"), ("processors", "processor"), ("exporters", "exporter")];

impl Comparison {
    /// What has to be done to `before` so that it becomes `after`. Components that no pipeline uses do not count.
    pub fn between(before: &Portrait, after: &Portrait) -> Comparison {
        let sees_secrets = before.key == after.key;
        let eye = Eye { before, after, sees_secrets };
        let mut out = Comparison { sees_secrets, ..Comparison::default() };
        for (section, kind) in SECTIONS {
            let (old, new) = (used(&before.config, section), used(&after.config, section));
            for id in old.union(&new) {
                let name = format!("{kind} {id}");
                let change = match (old.contains(id), new.contains(id)) {
                    (false, _) => Some(Change::Added),
                    (_, false) => Some(Change::Removed),
                    _ => eye.component(section, id, &name),
                };
                match change {
                    Some(change) => out.components.push((name, change)),
                    None => out.kept += 1,
                }
            }
        }
        let (old, new) = (pipelines(&before.config), pipelines(&after.config));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let change = match (old.get(name), new.get(name)) {
                (Some(_), None) => Change::Removed,
                (None, _) => Change::Added,
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => Change::Changed(eye.differences("", Some(old), Some(new))),
            };
            out.pipelines.push((name.clone(), change));
        }
        for difference in eye.differences("service", before.config.get("service"), after.config.get("service")) {
            let parts: Vec<&str> = difference.path.split("::").collect();
            match parts.get(1) {
                // Shown as components and pipelines.
                Some(&("extensions" | "pipelines")) => {}
                // Compared below, where it is known also when the config does not say it.
                Some(&"data_dir") => {}
                _ => out.service.push((difference, Effect::Applied)),
            }
        }
        if before.data_dir != after.data_dir {
            let (old, new) = (Value::from(before.data_dir.clone()), Value::from(after.data_dir.clone()));
            let difference = Difference { path: "service::data_dir".to_owned(), before: Some(old), after: Some(new) };
            out.service.push((difference, Effect::NeedsRestart));
        }
        out
    }

    /// Whether a reload would leave everything as it is.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty() && self.pipelines.is_empty() && self.service.is_empty()
    }
}

/// Looks at two configs.
struct Eye<'a> {
    before: &'a Portrait,
    after: &'a Portrait,
    sees_secrets: bool,
}

impl Eye<'_> {
    fn component(&self, section: &str, id: &str, name: &str) -> Option<Change> {
        let body = |portrait: &'_ Portrait| portrait.config.get(section).and_then(|s| s.get(id)).cloned();
        let path = format!("{section}::{id}");
        let found = self.differences(&path, body(self.before).as_ref(), body(self.after).as_ref());
        let below = |difference: Difference| {
            let path =
                difference.path.strip_prefix(&path).unwrap_or(&difference.path).trim_start_matches("::").to_owned();
            Difference { path, ..difference }
        };
        let same = match self.sees_secrets {
            true => self.before.components.get(name) == self.after.components.get(name),
            false => found.is_empty(),
        };
        (!same).then(|| Change::Changed(found.into_iter().map(below).collect()))
    }

    fn differences(&self, path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
        let mut out = Vec::new();
        self.look(path, before, after, &mut out);
        out
    }

    fn look(&self, path: &str, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<Difference>) {
        // A component without settings may be written as nothing.
        let before = before.filter(|value| !value.is_null());
        let after = after.filter(|value| !value.is_null());
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}::{key}") };
        match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                keys.into_iter().for_each(|key| self.look(&below(key), old.get(key), new.get(key), out));
            }
            (Some(Value::Object(only)), None) => {
                only.iter().for_each(|(key, value)| self.look(&below(key), Some(value), None, out));
            }
            (None, Some(Value::Object(only))) => {
                only.iter().for_each(|(key, value)| self.look(&below(key), None, Some(value), out));
            }
            (Some(Value::Array(old)), Some(Value::Array(new)))
                if old.len() == new.len() && !old.iter().all(is_scalar) =>
            {
                let pairs = old.iter().zip(new).enumerate();
                pairs.for_each(|(n, (old, new))| self.look(&below(&n.to_string()), Some(old), Some(new), out));
            }
            _ => {
                let same_secret = !self.sees_secrets || self.before.secrets.get(path) == self.after.secrets.get(path);
                if before != after || !same_secret {
                    let (before, after) = (before.cloned(), after.cloned());
                    out.push(Difference { path: path.to_owned(), before, after });
                }
            }
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn pipelines(config: &Value) -> BTreeMap<String, Value> {
    let map = config.get("service").and_then(|s| s.get("pipelines")).and_then(Value::as_object);
    map.into_iter().flatten().map(|(name, pipeline)| (name.clone(), pipeline.clone())).collect()
}

/// The ids of a section that a pipeline, or the service, uses.
fn used(config: &Value, section: &str) -> BTreeSet<String> {
    let ids = |value: Option<&Value>| -> Vec<String> {
        match value {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            // Text for a list is split at commas.
            Some(Value::String(text)) => text.split(',').map(|id| id.trim().to_owned()).collect(),
            _ => Vec::new(),
        }
    };
    if section == "extensions" {
        return ids(config.get("service").and_then(|s| s.get("extensions"))).into_iter().collect();
    }
    pipelines(config).values().flat_map(|pipeline| ids(pipeline.get(section))).collect()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            writeln!(f, "No changes: a reload would leave everything as it is.")?;
        }
        for (name, change) in &self.components {
            entry(f, name, change)?;
        }
        for (name, change) in &self.pipelines {
            entry(f, &format!("pipeline {name}"), change)?;
        }
        for (difference, effect) in &self.service {
            let mark = if *effect == Effect::Applied { '~' } else { '!' };
            write!(f, "{mark} {difference}")?;
            writeln!(f, "{}", if *effect == Effect::Applied { "" } else { " (needs a restart)" })?;
        }
        let count = |is: fn(&Change) -> bool| self.components.iter().filter(|(_, change)| is(change)).count();
        let added = count(|change| *change == Change::Added);
        let removed = count(|change| *change == Change::Removed);
        let changed = self.components.len() - added - removed;
        if !self.is_empty() {
            let kept = self.kept;
            writeln!(f, "\nComponents: {added} added, {changed} changed, {removed} removed, {kept} kept.")?;
        }
        if !self.sees_secrets {
            writeln!(f, "Whether secrets have changed cannot be seen: plan.key in the data directory is not theirs.")?;
        }
        Ok(())
    }
}

fn entry(f: &mut fmt::Formatter<'_>, name: &str, change: &Change) -> fmt::Result {
    match change {
        Change::Added => writeln!(f, "+ {name}"),
        Change::Removed => writeln!(f, "- {name}"),
        Change::Changed(differences) => {
            writeln!(f, "~ {name}")?;
            if differences.is_empty() {
                writeln!(f, "    an extension that it refers to")?;
            }
            differences.iter().try_for_each(|difference| writeln!(f, "    {difference}"))
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { path, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) if before == after => write!(f, "{path}: another secret"),
            (Some(before), Some(after)) => write!(f, "{path}: {} -> {}", Short(before), Short(after)),
            (Some(before), None) => write!(f, "{path}: {} is removed", Short(before)),
            (None, Some(after)) => write!(f, "{path}: {} is added", Short(after)),
            (None, None) => f.write_str(path),
        }
    }
}

/// A value on one line, not too long.
struct Short<'a>(&'a Value);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 120;
        let text = match self.0 {
            Value::String(text) => text.escape_debug().to_string(),
            other => other.to_string(),
        };
        let mut characters = text.chars();
        characters.by_ref().take(MOST).try_for_each(|c| f.write_char(c))?;
        if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}
