//! YAML text to a tree with positions. Bounds what a hostile text can make of little: depth, nodes, bytes.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::report::{Diagnostic, Rule};
use super::scalar;
use super::syntax;
use super::tree::{At, Entry, Map, Node, Value, quoted};

/// The longest text that is read, in bytes.
pub const MOST_BYTES: usize = 8 << 20;
/// The deepest nesting of lists and maps.
pub const MOST_DEPTH: usize = 64;
/// A width beyond every line.
const REST_OF_LINE: usize = 1 << 20;
/// The most nodes of a tree, those that aliases repeat included.
const MOST_NODES: usize = 200_000;
/// The most bytes of scalars, those that aliases repeat included.
const MOST_TEXT: usize = 32 << 20;

/// Parses one document of text that stands as `source` in the report's sources.
///
/// # Errors
/// One diagnostic for each duplicate key, or the first syntax error or excess.
pub fn parse(text: &str, source: u32) -> Result<Node, Vec<Diagnostic>> {
    if text.len() > MOST_BYTES {
        let at = At { source, ..At::default() };
        return Err(vec![
            Diagnostic::error(at, format!("longer than {} MiB, the most for a config", MOST_BYTES >> 20))
                .rule(Rule::Syntax),
        ]);
    }
    let mut builder = Builder { source, ..Builder::default() };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let at = builder.at(*error.marker(), *error.marker());
                let above = builder.open.last().map(Open::at);
                let bracket = above.and_then(|at| syntax::character(text, at.line, at.column));
                let (message, help) = syntax::taught(error.info(), text, error.marker().line(), bracket);
                let mut diagnostic = Diagnostic::error(at, message);
                diagnostic.help.extend(help.map(str::to_owned));
                if matches!(bracket, Some('[' | '{')) {
                    diagnostic.also.extend(above.map(|at| (at, "it begins at".to_owned())));
                }
                Err(diagnostic)
            }
        };
        if let Err(fatal) = step {
            builder.problems.push(fatal);
            return Err(builder.faulty());
        }
    }
    if builder.problems.is_empty() { Ok(builder.root.unwrap_or_default()) } else { Err(builder.faulty()) }
}

#[derive(Default)]
struct Builder {
    source: u32,
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    documents: usize,
    nodes: usize,
    text: usize,
    problems: Vec<Diagnostic>,
}

/// A list or map whose end has not come.
enum Open {
    List { at: At, anchor: usize, items: Vec<Node> },
    Map { at: At, anchor: usize, map: Map, seen: HashMap<String, At>, merged: Vec<Node>, key: Option<Key> },
}

impl Open {
    fn at(&self) -> At {
        match self {
            Open::List { at, .. } | Open::Map { at, .. } => *at,
        }
    }
}

struct Key {
    text: String,
    at: At,
    merges: bool,
}

impl Builder {
    /// Everything that is wrong with the text.
    fn faulty(self) -> Vec<Diagnostic> {
        self.problems.into_iter().map(|d| d.rule(Rule::Syntax)).collect()
    }

    fn at(&self, start: Marker, end: Marker) -> At {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // What goes on in the next line is meant to the end of this one.
        let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { REST_OF_LINE };
        At {
            source: self.source,
            line: small(start.line()),
            column: small(start.col() + 1),
            width: small(width.max(1)),
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let at = self.at(span.start, span.end);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::error(at, "a second YAML document starts here")
                        .help("one file holds one config: give the others with a --config of their own"));
                }
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag.as_deref(), at),
            Event::SequenceStart(anchor, _) => self.open(Open::List { at, anchor, items: Vec::new() }, at),
            Event::MappingStart(anchor, _) => {
                let (map, seen, merged) = (Map::default(), HashMap::new(), Vec::new());
                self.open(Open::Map { at, anchor, map, seen, merged, key: None }, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Diagnostic::error(at, "this alias stands inside what it refers to"));
                };
                self.weigh(&node, at)?;
                self.place(node, at)
            }
        }
    }

    fn open(&mut self, open: Open, at: At) -> Result<(), Diagnostic> {
        if self.open.len() >= MOST_DEPTH {
            return Err(Diagnostic::error(at, format!("nested deeper than {MOST_DEPTH}, the most for a config")));
        }
        self.count(0, at)?;
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            return Err(Diagnostic::error(at, "a key must be text, not a list or a map"));
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        match self.open.pop() {
            Some(Open::List { at, anchor, items }) => self.finish(Node::new(Value::List(items), at), anchor),
            Some(Open::Map { at, anchor, mut map, merged, .. }) => {
                for from in merged {
                    merge_in(&mut map, from).map_err(|at| {
                        Diagnostic::error(at, "'<<' takes a map or a list of maps").help("such as `<<: *defaults`")
                    })?;
                }
                self.finish(Node::new(Value::Map(map), at), anchor)
            }
            None => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: At,
    ) -> Result<(), Diagnostic> {
        self.count(text.len(), at)?;
        let plain = style == ScalarStyle::Plain;
        if let Some(Open::Map { key: key @ None, .. }) = self.open.last_mut() {
            let merges = plain && text == "<<";
            if anchor > 0 {
                self.anchors.insert(anchor, Node::new(Value::Text(text.clone().into_owned()), at));
            }
            *key = Some(Key { text: text.into_owned(), at, merges });
            return Ok(());
        }
        let core = tag.filter(|t| t.is_yaml_core_schema()).map(|t| t.suffix.as_str());
        let value = match core {
            Some("str") => Value::Text(text.clone().into_owned()),
            Some("int" | "float" | "bool" | "null") => scalar::resolve(&text),
            _ if plain => scalar::resolve(&text),
            _ => Value::Text(text.clone().into_owned()),
        };
        let raw = (!matches!(value, Value::Text(_))).then(|| text.into_owned());
        self.finish(Node { raw, ..Node::new(value, at) }, anchor)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        let at = node.at;
        if anchor > 0 {
            self.weigh(&node, at)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node, at)
    }

    fn place(&mut self, node: Node, alias_at: At) -> Result<(), Diagnostic> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { map, seen, merged, key, .. }) => match key.take() {
                None => match &node.value {
                    Value::Text(text) => *key = Some(Key { text: text.clone(), at: alias_at, merges: false }),
                    _ => return Err(Diagnostic::error(alias_at, "a key must be text")),
                },
                Some(Key { merges: true, .. }) => merged.push(node),
                Some(Key { text, at, .. }) => {
                    if let Some(first) = seen.get(&text) {
                        self.problems.push(
                            Diagnostic::error(at, format!("the key {} is given twice in one map", quoted(&text)))
                                .also(*first, "first given at"),
                        );
                    } else {
                        seen.insert(text.clone(), at);
                        map.entries_mut().push(Entry { key: text, at, value: node });
                    }
                }
            },
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize, at: At) -> Result<(), Diagnostic> {
        self.nodes += 1;
        self.text += bytes;
        if self.nodes > MOST_NODES {
            return Err(Diagnostic::error(
                at,
                format!("more than {MOST_NODES} values, aliases counted as often as used"),
            ));
        }
        if self.text > MOST_TEXT {
            return Err(Diagnostic::error(at, "more than 32 MiB of values, aliases counted as often as used"));
        }
        Ok(())
    }

    /// Counts a whole subtree, and its depth below here.
    fn weigh(&mut self, node: &Node, at: At) -> Result<(), Diagnostic> {
        fn walk(builder: &mut Builder, node: &Node, depth: usize, at: At) -> Result<(), Diagnostic> {
            if depth > MOST_DEPTH {
                return Err(Diagnostic::error(at, format!("nested deeper than {MOST_DEPTH}, the most for a config")));
            }
            builder.count(node.as_text().map_or(0, str::len), at)?;
            match &node.value {
                Value::List(list) => list.iter().try_for_each(|n| walk(builder, n, depth + 1, at)),
                Value::Map(map) => map.entries().iter().try_for_each(|e| walk(builder, &e.value, depth + 1, at)),
                _ => Ok(()),
            }
        }
        let depth = self.open.len();
        walk(self, node, depth, at)
    }
}

/// Adds what `map` does not have yet; the error is where neither a map nor a list of maps stands.
fn merge_in(map: &mut Map, from: Node) -> Result<(), At> {
    match from.value {
        Value::Map(from) => {
            for entry in from.entries() {
                if map.entry(&entry.key).is_none() {
                    map.entries_mut().push(entry.clone());
                }
            }
            Ok(())
        }
        Value::List(list) => list.into_iter().try_for_each(|node| match node.value {
            Value::Map(_) => merge_in(map, node),
            _ => Err(node.at),
        }),
        Value::Null => Ok(()),
        _ => Err(from.at),
    }
}
