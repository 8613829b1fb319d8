//! A config as a tree whose every node knows where it was written. Nothing here knows what the nodes mean.

use std::collections::HashSet;
use std::fmt;

/// A place in a source: an index into [`Sources`], line and column from 1, and the width to underline, all in
/// characters. Line 0 means the source as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// Which source.
    pub source: u32,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// How much of the line is meant.
    pub width: u32,
}

/// The texts that a config was read from, for positions in messages.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
}

impl Sources {
    /// Takes in a source and answers its index.
    pub fn add(&mut self, name: &str, text: &str) -> u32 {
        self.sources.push(Source { name: name.to_owned(), text: text.to_owned() });
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    /// The name of a source: a path, `env:NAME`, `--set`.
    pub fn name(&self, source: u32) -> &str {
        self.sources.get(source as usize).map_or("", |s| &s.name)
    }

    /// The text of a line, without its end; empty if there is none.
    pub fn line(&self, at: At) -> &str {
        let Some(source) = self.sources.get(at.source as usize) else { return "" };
        match at.line {
            0 => "",
            n => source.text.lines().nth(n as usize - 1).unwrap_or(""),
        }
    }
}

/// A value with its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub at: At,
    /// Unique in its tree once [`Node::number`] has run; clones keep it.
    pub id: u32,
    /// The text as written, for scalars and for whatever came whole from a `${…}`: text targets take it as it is.
    pub raw: Option<String>,
    /// Whether it came whole from a `${…}`, so that text targets take `raw` instead of the parsed value.
    pub expanded: bool,
    /// Whether its value is unknown because of an error that has been reported.
    pub broken: bool,
    /// Where it comes from, if from a `${…}` in its place.
    pub origin: Option<String>,
}

/// What a node holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, `~`, nothing.
    #[default]
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number between the least `i64` and the most `u64`.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written.
    Map(Map),
}

/// Keys and values in the order written; each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    entries: Vec<Entry>,
}

/// One key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub at: At,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// A node that stands nowhere in particular.
    pub fn new(value: Value, at: At) -> Node {
        Node { value, at, ..Node::default() }
    }

    /// Null, nowhere.
    pub const fn nothing() -> Node {
        let at = At { source: 0, line: 0, column: 0, width: 0 };
        Node { value: Value::Null, at, id: 0, raw: None, expanded: false, broken: false, origin: None }
    }

    /// The node of that id, here or below.
    pub fn find(&self, id: u32) -> Option<&Node> {
        if self.id == id {
            return Some(self);
        }
        match &self.value {
            Value::List(list) => list.iter().find_map(|node| node.find(id)),
            Value::Map(map) => map.entries.iter().find_map(|entry| entry.value.find(id)),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The text, if it is that.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Gives every node of the tree an id of its own.
    pub fn number(&mut self) {
        fn walk(node: &mut Node, next: &mut u32) {
            node.id = *next;
            *next += 1;
            match &mut node.value {
                Value::List(list) => list.iter_mut().for_each(|n| walk(n, next)),
                Value::Map(map) => map.entries.iter_mut().for_each(|e| walk(&mut e.value, next)),
                _ => {}
            }
        }
        walk(self, &mut 1);
    }

    /// The places of the nodes with these ids.
    pub fn places(&self, ids: &HashSet<u32>) -> Vec<At> {
        fn walk(node: &Node, ids: &HashSet<u32>, out: &mut Vec<At>) {
            if ids.contains(&node.id) {
                out.push(node.at);
            }
            match &node.value {
                Value::List(list) => list.iter().for_each(|n| walk(n, ids, out)),
                Value::Map(map) => map.entries.iter().for_each(|e| walk(&e.value, ids, out)),
                _ => {}
            }
        }
        let mut out = Vec::new();
        walk(self, ids, &mut out);
        out
    }

    /// Whether something holds for the node or for anything below.
    pub fn any(&self, holds: &impl Fn(&Node) -> bool) -> bool {
        holds(self)
            || match &self.value {
                Value::List(list) => list.iter().any(|n| n.any(holds)),
                Value::Map(map) => map.entries.iter().any(|e| e.value.any(holds)),
                _ => false,
            }
    }

    /// What it is, as a message would say it: `the text "4317"`, `the number 12`, `a list`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(b) => format!("the boolean {b}"),
            Value::Int(_) | Value::Float(_) => format!("the number {}", self.scalar_text()),
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// A scalar's text: as written where that is known. Empty for lists and maps.
    pub fn scalar_text(&self) -> String {
        match (&self.raw, &self.value) {
            (_, Value::Text(text)) => text.clone(),
            (_, Value::List(_) | Value::Map(_)) => String::new(),
            (Some(raw), _) => raw.clone(),
            (None, Value::Null) => String::new(),
            (None, Value::Bool(b)) => b.to_string(),
            (None, Value::Int(n)) => n.to_string(),
            (None, Value::Float(x)) => x.to_string(),
        }
    }
}

impl Map {
    /// A map without entries.
    pub const fn empty() -> Map {
        Map { entries: Vec::new() }
    }

    /// A map of these entries; of two with one key, the later counts.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Map {
        let mut map = Map::default();
        entries.into_iter().for_each(|e| map.put(e));
        map
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All entries, in order, to change.
    pub fn entries_mut(&mut self) -> &mut Vec<Entry> {
        &mut self.entries
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of that key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// The value of that key.
    pub fn value(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// Adds an entry, in place of one with the same key.
    pub fn put(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|e| e.key == entry.key) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
    }
}

/// Text in double quotes, shortened when it is long.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST {
        format!("{text:?}")
    } else {
        let start: String = text.chars().take(MOST).collect();
        format!("{start:?}…")
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
