//! A tree as YAML or JSON text, with its secrets masked.

use std::borrow::Cow;
use std::collections::HashSet;

use super::report::Report;
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
            let mut printer = Printer { out: String::new(), redact, report: None };
            printer.yaml(tree, 0);
            printer.out.trim_start_matches(['\n', ' ']).to_owned() + "\n"
        }
    }
}

/// The text of a tree as YAML; behind each value stands where it was written, and by what it came there.
pub fn print_with_origins(tree: &Node, redact: Redact<'_>, report: &Report) -> String {
    const MOST: usize = 56;
    let mut printer = Printer { out: String::new(), redact, report: Some(report) };
    printer.yaml(tree, 0);
    let lines: Vec<&str> = printer.out.trim_start_matches(['\n', ' ']).lines().collect();
    let width = |line: &&str| line.split_once(MARK).map(|(value, _)| value.chars().count()).filter(|n| *n <= MOST);
    let column = lines.iter().filter_map(width).max().unwrap_or_default();
    let mut out = String::new();
    for line in lines {
        match line.split_once(MARK) {
            Some((value, origin)) => out.push_str(&format!("{value:<column$}  # {origin}\n")),
            None => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

/// Stands between a value and its origin until all lines are there.
const MARK: char = '\u{1}';

/// A tree as JSON, everything shown.
pub(super) fn plain_json(node: &Node) -> serde_json::Value {
    json(node, Redact::Nothing)
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

/// Writes YAML.
struct Printer<'a> {
    out: String,
    redact: Redact<'a>,
    /// Where the texts are, for the origins.
    report: Option<&'a Report>,
}

impl Printer<'_> {
    /// Appends a value behind `key:` or `-`: a scalar on the same line, a list or map on the next ones.
    fn yaml(&mut self, node: &Node, depth: usize) {
        if self.redact.hides(node) {
            self.scalar(node, &format!("'{REDACTED}'"));
            return;
        }
        match &node.value {
            Value::Map(map) if !map.is_empty() => {
                for entry in map.entries() {
                    new_line(&mut self.out, depth);
                    self.pair(entry.key.as_str(), &entry.value, depth);
                }
            }
            Value::List(list) if !list.is_empty() => {
                for element in list {
                    new_line(&mut self.out, depth);
                    self.out.push('-');
                    match &element.value {
                        Value::Map(map) if !map.is_empty() && !self.redact.hides(element) => {
                            self.first_on_line(map, depth);
                        }
                        _ => self.yaml(element, depth + 1),
                    }
                }
            }
            Value::Map(_) => self.scalar(node, "{}"),
            Value::List(_) => self.scalar(node, "[]"),
            _ => self.scalar(node, &scalar_text(node, self.redact)),
        }
    }

    fn scalar(&mut self, node: &Node, text: &str) {
        self.out.push(' ');
        self.out.push_str(text);
        let Some(report) = self.report else { return };
        self.out.push(MARK);
        let name = report.sources.name(node.at.source);
        let place = if name == "--set" { name.to_owned() } else { report.place(node.at) };
        self.out.push_str(if place.is_empty() { "nowhere" } else { &place });
        if let Some(origin) = &node.origin {
            self.out.push_str(", ");
            self.out.push_str(origin);
        }
    }

    /// A map in a list: its first entry stands behind the dash.
    fn first_on_line(&mut self, map: &Map, depth: usize) {
        for (n, entry) in map.entries().iter().enumerate() {
            if n == 0 {
                self.out.push(' ');
            } else {
                new_line(&mut self.out, depth + 1);
            }
            self.pair(&entry.key, &entry.value, depth + 1);
        }
    }

    fn pair(&mut self, key: &str, value: &Node, depth: usize) {
        self.out.push_str(&text(key));
        self.out.push(':');
        self.yaml(value, depth + 1);
    }
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
