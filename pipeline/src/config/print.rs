//! A tree as YAML or JSON text, with its secrets masked.

use std::borrow::Cow;
use std::collections::HashSet;

use super::scalar;
use super::secret::{REDACTED, without_userinfo};
use super::tree::{Map, Node, Value};

/// The language to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// YAML.
    #[default]
    Yaml,
    /// JSON, indented.
    Json,
}

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug)]
pub enum Redact<'a> {
    /// The nodes of these ids are masked.
    Secrets(&'a HashSet<u32>),
    /// Everything is shown.
    Nothing,
}

impl Redact<'_> {
    fn hides(self, node: &Node) -> bool {
        matches!(self, Redact::Secrets(ids) if ids.contains(&node.id))
    }

    /// Text as it is shown: URLs without users and passwords.
    fn text(self, text: &str) -> Cow<'_, str> {
        match self {
            Redact::Secrets(_) => without_userinfo(text),
            Redact::Nothing => Cow::Borrowed(text),
        }
    }
}

/// The text of a tree, ending with a line end.
pub fn print(tree: &Node, format: Format, redact: Redact<'_>) -> String {
    match format {
        Format::Json => {
            let mut text = serde_json::to_string_pretty(&json(tree, redact)).unwrap_or_default();
            text.push('\n');
            text
        }
        Format::Yaml => {
            let mut out = String::new();
            yaml(&mut out, tree, redact, 0);
            out.trim_start_matches(['\n', ' ']).to_owned() + "\n"
        }
    }
}

pub(super) fn json(node: &Node, redact: Redact<'_>) -> serde_json::Value {
    if redact.hides(node) {
        return REDACTED.into();
    }
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => match (i64::try_from(*n), u64::try_from(*n)) {
            (Ok(n), _) => n.into(),
            (_, Ok(n)) => n.into(),
            _ => n.to_string().into(),
        },
        Value::Float(x) if x.is_finite() => (*x).into(),
        Value::Float(_) => node.scalar_text().into(),
        Value::Text(text) => redact.text(text).into(),
        Value::List(list) => list.iter().map(|n| json(n, redact)).collect(),
        Value::Map(map) => map
            .entries()
            .iter()
            .map(|e| (e.key.clone(), json(&e.value, redact)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// Appends a value behind `key:` or `-`: a scalar on the same line, a list or map on the next ones.
fn yaml(out: &mut String, node: &Node, redact: Redact<'_>, depth: usize) {
    if redact.hides(node) {
        out.push_str(&format!(" '{REDACTED}'"));
        return;
    }
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            for entry in map.entries() {
                new_line(out, depth);
                pair(out, entry.key.as_str(), &entry.value, redact, depth);
            }
        }
        Value::List(list) if !list.is_empty() => {
            for element in list {
                new_line(out, depth);
                out.push('-');
                match &element.value {
                    Value::Map(map) if !map.is_empty() && !redact.hides(element) => {
                        first_on_line(out, map, redact, depth);
                    }
                    _ => yaml(out, element, redact, depth + 1),
                }
            }
        }
        Value::Map(_) => out.push_str(" {}"),
        Value::List(_) => out.push_str(" []"),
        _ => {
            out.push(' ');
            out.push_str(&scalar_text(node, redact));
        }
    }
}

/// A map in a list: its first entry stands behind the dash.
fn first_on_line(out: &mut String, map: &Map, redact: Redact<'_>, depth: usize) {
    for (n, entry) in map.entries().iter().enumerate() {
        if n == 0 {
            out.push(' ');
        } else {
            new_line(out, depth + 1);
        }
        pair(out, &entry.key, &entry.value, redact, depth + 1);
    }
}

fn pair(out: &mut String, key: &str, value: &Node, redact: Redact<'_>, depth: usize) {
    out.push_str(&text(key));
    out.push(':');
    yaml(out, value, redact, depth + 1);
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

fn scalar_text(node: &Node, redact: Redact<'_>) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Text(plain) => text(&redact.text(plain)),
        Value::Int(n) => n.to_string(),
        _ => node.scalar_text(),
    }
}

/// Text in quotes wherever it could be read as anything else.
fn text(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_alphanumeric() || "_-./@%+=,^()$ :~;<>\\".contains(c))
        && text.starts_with(|c: char| c.is_alphanumeric() || "_/.$(".contains(c))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && matches!(scalar::resolve(text), Value::Text(_))
        && !["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    match plain {
        true => text.to_owned(),
        false => serde_json::to_string(text).unwrap_or_default(),
    }
}
