//! What a test expects of items, read from the tree of its file: partly or as a whole, with matchers for single fields.

use pipeline::Signal;
use pipeline::config::report::{Diagnostic, Report};
use pipeline::config::tree::{At, Map, Node, Value as Written};
use regex::Regex;
use serde_json::Value;

use crate::decode::Kind;
use crate::series;

/// What is expected of one exporter.
#[derive(Debug, Default)]
pub struct Expected {
    /// Only items of this signal are looked at.
    pub signal: Option<Signal>,
    /// Each of these is there, whatever else is.
    pub contains: Vec<Pattern>,
    /// These are there and nothing else, each as a whole.
    pub equals: Option<Vec<Pattern>>,
    /// These are there and nothing else; fields that are not named may be anything.
    pub only: Option<Vec<Pattern>>,
    /// None of these is there.
    pub absent: Vec<Pattern>,
    /// So many are there: of all kinds, or of one.
    pub count: Vec<(Option<Kind>, Number)>,
    /// The items of `contains`, `equals` and `only` come in the order in which they are written.
    pub ordered: bool,
    /// Where the key `equals` stands.
    pub equals_at: Option<At>,
}

/// A number, or bounds of one.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// Where it is written.
    pub at: At,
}

/// What is expected of one item.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Its fields.
    pub matcher: Matcher,
    /// Where it is written.
    pub at: At,
}

/// What is expected of a value.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// This value.
    Is(Value),
    /// A map with these fields.
    Fields(Vec<(String, Matcher)>),
    /// A list of these.
    List(Vec<Matcher>),
    /// Text that a regular expression matches as a whole.
    Regex(Regex),
    /// Text with this in it.
    Has(String),
    /// A number near this one.
    Approx {
        /// The number.
        value: f64,
        /// How far away it may be.
        within: f64,
    },
    /// One of these.
    OneOf(Vec<Matcher>),
    /// Anything that is there.
    Any,
    /// Nothing is there.
    Absent,
    /// A text alone in place of an item: what it stands for depends on the item.
    Short(String),
    /// A series in one line.
    Series {
        /// The line.
        text: String,
        /// Its name.
        name: String,
        /// Its labels.
        labels: Vec<(String, Matcher)>,
        /// Its value and time.
        rest: Vec<(String, Matcher)>,
    },
}

/// The words by which a map is a matcher.
const WORDS: [&str; 7] = ["regex", "has", "approx", "within", "one_of", "any", "absent"];

/// Reads what is expected of an exporter, of all that it sent and of single signals. A list alone is `contains`.
pub fn expected(at: At, node: &Node, report: &mut Report) -> Vec<Expected> {
    let mut all = Vec::new();
    let mut rest = node.clone();
    if let Written::Map(map) = &mut rest.value {
        map.entries_mut().retain(|entry| {
            let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.name() == entry.key) else { return true };
            all.push(Expected { signal: Some(signal), ..one(entry.at, &entry.value, report) });
            false
        });
    }
    let is_over = rest.as_map().is_some_and(Map::is_empty) && !all.is_empty();
    if !is_over {
        all.push(one(at, &rest, report));
    }
    all
}

fn one(at: At, node: &Node, report: &mut Report) -> Expected {
    let mut out = Expected::default();
    match &node.value {
        Written::List(_) => out.contains = patterns(node, report),
        Written::Map(map) => {
            for entry in map.entries() {
                match entry.key.as_str() {
                    "contains" => out.contains = patterns(&entry.value, report),
                    "equals" => {
                        out.equals = Some(patterns(&entry.value, report));
                        out.equals_at = Some(entry.at);
                    }
                    "only" => out.only = Some(patterns(&entry.value, report)),
                    "absent" => out.absent = patterns(&entry.value, report),
                    "count" => out.count = counts(&entry.value, report),
                    "ordered" => match entry.value.value {
                        Written::Bool(ordered) => out.ordered = ordered,
                        _ => report.push(Diagnostic::error(entry.value.at, "`ordered` takes true or false")),
                    },
                    other => report.push(Diagnostic::error(entry.at, format!("unknown expectation {other:?}")).help(
                        "there are: contains, equals, only, absent, count, ordered, and these by traces, metrics, logs",
                    )),
                }
            }
        }
        _ => report.push(
            Diagnostic::error(at, "takes a map with contains, equals, only, absent, count or ordered, or a list")
                .help("a list alone means: these are there, whatever else is"),
        ),
    }
    out
}

fn patterns(node: &Node, report: &mut Report) -> Vec<Pattern> {
    let pattern = |node: &Node, report: &mut Report| Pattern { matcher: item(node, report), at: node.at };
    match &node.value {
        Written::List(list) => list.iter().map(|node| pattern(node, report)).collect(),
        Written::Null => Vec::new(),
        _ => vec![pattern(node, report)],
    }
}

/// An item: a map of fields, or a line.
fn item(node: &Node, report: &mut Report) -> Matcher {
    match &node.value {
        Written::Map(map) => fields(map, report),
        Written::Text(text) => short(text),
        Written::List(_) | Written::Null => {
            report.push(Diagnostic::error(node.at, "an item is a map of its fields, or a line of text"));
            Matcher::Any
        }
        _ => Matcher::Is(value(node)),
    }
}

/// A line of text in place of an item.
pub fn short_form(text: &str) -> Matcher {
    short(text)
}

/// A text alone: a series where it looks like one. What it is otherwise the item decides.
fn short(text: &str) -> Matcher {
    let looks = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || "_:{".contains(c));
    let parsed = if looks { series::parse(text).ok() } else { None };
    let Some(parsed) = parsed.filter(|s| s.value.as_deref().is_none_or(is_value)) else {
        return Matcher::Short(text.to_owned());
    };
    let labels = parsed.labels.into_iter().filter_map(|label| {
        let matcher = if label.is_pattern {
            Matcher::Regex(whole(&label.value).ok()?)
        } else if label.value.is_empty() {
            Matcher::Absent
        } else {
            Matcher::Is(label.value.into())
        };
        Some((label.name, matcher))
    });
    let labels = labels.collect();
    let mut rest = Vec::new();
    if let Some(value) = &parsed.value {
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        let matcher = number.map_or_else(|| Matcher::Is(value.clone().into()), |n| Matcher::Is(n.into()));
        rest.push(("value".to_owned(), matcher));
    }
    if let Some(time) = parsed.time {
        rest.push(("time".to_owned(), Matcher::Is(time.into())));
    }
    Matcher::Series { text: text.to_owned(), name: parsed.name, labels, rest }
}

fn is_value(text: &str) -> bool {
    text == "stale" || text.parse::<f64>().is_ok()
}

fn fields(map: &Map, report: &mut Report) -> Matcher {
    let fields = map.entries().iter().map(|entry| (entry.key.clone(), matcher(&entry.value, report)));
    Matcher::Fields(fields.collect())
}

fn matcher(node: &Node, report: &mut Report) -> Matcher {
    match &node.value {
        Written::Map(map) => match word(map) {
            Some(word) => special(word, map, report),
            None => fields(map, report),
        },
        Written::List(list) => Matcher::List(list.iter().map(|node| matcher(node, report)).collect()),
        _ => Matcher::Is(value(node)),
    }
}

/// The word of a map that consists of matchers' words alone.
fn word(map: &Map) -> Option<&'static str> {
    let known = |key: &str| WORDS.iter().find(|word| **word == key).copied();
    let first = known(&map.entries().first()?.key)?;
    map.entries().iter().all(|entry| known(&entry.key).is_some()).then_some(first)
}

fn special(word: &str, map: &Map, report: &mut Report) -> Matcher {
    let Some(entry) = map.entries().first() else { return Matcher::Any };
    let node = &entry.value;
    let text = || node.scalar_text();
    match word {
        "regex" => match whole(&text()) {
            Ok(regex) => Matcher::Regex(regex),
            Err(error) => {
                report.push(Diagnostic::error(node.at, format!("this is no regular expression: {error}")));
                Matcher::Any
            }
        },
        "has" => Matcher::Has(text()),
        "approx" | "within" => {
            let number = |key: &str| map.value(key).and_then(|node| value(node).as_f64());
            let Some(value) = number("approx") else {
                report.push(Diagnostic::error(node.at, "`approx` takes a number").help("{approx: 1.5, within: 0.1}"));
                return Matcher::Any;
            };
            // A millionth part by itself.
            Matcher::Approx { value, within: number("within").unwrap_or(value.abs() * 1e-6) }
        }
        "one_of" => Matcher::OneOf(node.as_list().unwrap_or_default().iter().map(|n| matcher(n, report)).collect()),
        "absent" => Matcher::Absent,
        _ => Matcher::Any,
    }
}

/// A pattern for the whole of a text, line breaks included.
fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?s:{pattern})$"))
}

/// A node as JSON.
pub fn value(node: &Node) -> Value {
    match &node.value {
        Written::Null => Value::Null,
        Written::Bool(bool) => (*bool).into(),
        Written::Int(int) => i64::try_from(*int).map_or_else(|_| node.scalar_text().into(), Value::from),
        Written::Float(float) => serde_json::Number::from_f64(*float)
            .map_or_else(|| node.scalar_text().trim_start_matches('.').into(), Value::Number),
        Written::Text(text) => text.clone().into(),
        Written::List(list) => list.iter().map(value).collect(),
        Written::Map(map) => Value::Object(map.entries().iter().map(|e| (e.key.clone(), value(&e.value))).collect()),
    }
}

fn counts(node: &Node, report: &mut Report) -> Vec<(Option<Kind>, Number)> {
    let Some(map) = node.as_map().filter(|map| map.entries().iter().all(|e| !["least", "most"].contains(&&*e.key)))
    else {
        return vec![(None, number(node, report))];
    };
    let mut out = Vec::new();
    for entry in map.entries() {
        match Kind::ALL.iter().find(|(_, name)| *name == entry.key) {
            Some((kind, _)) => out.push((Some(*kind), number(&entry.value, report))),
            None => {
                let names: Vec<_> = Kind::ALL.iter().map(|(_, name)| *name).collect();
                let message = format!("there are no {:?} to count", entry.key);
                report.push(Diagnostic::error(entry.at, message).help(format!("there are: {}", names.join(", "))));
            }
        }
    }
    out
}

/// A number, or a map with `least` and `most`.
pub fn number(node: &Node, report: &mut Report) -> Number {
    let whole = |node: &Node| match node.value {
        Written::Int(number) => u64::try_from(number).ok(),
        _ => None,
    };
    let bounds = match &node.value {
        Written::Map(map) => {
            let bound = |key: &str, default: u64| map.value(key).map_or(Some(default), whole);
            bound("least", 0).zip(bound("most", u64::MAX))
        }
        _ => whole(node).map(|number| (number, number)),
    };
    let Some((least, most)) = bounds else {
        report.push(Diagnostic::error(node.at, "takes a whole number, or {least: 1, most: 10}"));
        return Number { least: 0, most: u64::MAX, at: node.at };
    };
    Number { least, most, at: node.at }
}
