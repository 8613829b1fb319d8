//! What each component is configured as, in short, so that two plans can be compared. The order of keys does not count, nor
//! how a text is quoted; what an extension that a component refers to is configured as counts as the component's own.

use std::collections::{BTreeMap, BTreeSet};

use super::ComponentId;
use super::decode::Reference;
use super::tree::{Map, Node, Value};
use crate::plan::Print;
use crate::telemetry::Kind;

/// The sections of a config, and what is in them.
const SECTIONS: [(&str, Kind); 4] = [
    ("receivers", Kind::Receiver),
    ("processors", Kind::Processor),
    ("exporters", Kind::Exporter),
    ("extensions", Kind::Extension),
];

/// The prints of all components in a tree. `refers` are the extensions that a component refers to.
pub(super) fn prints<'a>(
    tree: &Node,
    refers: impl Fn(Kind, &ComponentId) -> &'a [Reference],
) -> BTreeMap<(Kind, ComponentId), Print> {
    let bodies: BTreeMap<(Kind, ComponentId), &Node> = SECTIONS
        .iter()
        .flat_map(|(section, kind)| {
            let entries =
                tree.as_map().and_then(|m| m.value(section)).and_then(Node::as_map).map_or(&[][..], Map::entries);
            entries.iter().filter_map(|e| Some(((*kind, ComponentId::parse(&e.key).ok()?), &e.value)))
        })
        .collect();
    let print = |key: &(Kind, ComponentId)| {
        // The component itself, and every extension that can be reached from it.
        let mut reached = BTreeSet::from([key.clone()]);
        let mut ahead = vec![key.clone()];
        while let Some((kind, id)) = ahead.pop() {
            for reference in refers(kind, &id) {
                let extension = (Kind::Extension, reference.id.clone());
                if reached.insert(extension.clone()) {
                    ahead.push(extension);
                }
            }
        }
        let mut out = Vec::new();
        for (kind, id) in std::iter::once(key).chain(reached.iter().filter(|other| *other != key)) {
            text(&mut out, kind.name());
            text(&mut out, &id.to_string());
            match bodies.get(&(*kind, id.clone())) {
                Some(body) if !body.is_null() => canonical(&mut out, body),
                // Nothing is an empty map.
                _ => canonical(&mut out, &Node { value: Value::Map(Map::empty()), ..Node::default() }),
            }
        }
        Print::of(&out)
    };
    bodies.keys().map(|key| (key.clone(), print(key))).collect()
}

/// Appends a node so that different values have different texts.
pub(super) fn canonical(out: &mut Vec<u8>, node: &Node) {
    match &node.value {
        Value::Null => out.push(b'-'),
        Value::Bool(b) => out.push(if *b { b't' } else { b'f' }),
        Value::List(list) => {
            out.push(b'[');
            list.iter().for_each(|element| canonical(out, element));
            out.push(b']');
        }
        Value::Map(map) => {
            let mut entries: Vec<_> = map.entries().iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            out.push(b'{');
            for entry in entries {
                text(out, &entry.key);
                canonical(out, &entry.value);
            }
            out.push(b'}');
        }
        // As written, as a text target would take it.
        Value::Int(_) | Value::Float(_) => {
            out.push(b'#');
            text(out, &node.scalar_text());
        }
        Value::Text(words) => text(out, words),
    }
}

fn text(out: &mut Vec<u8>, words: &str) {
    out.push(b'"');
    out.extend_from_slice(&words.len().to_le_bytes());
    out.extend_from_slice(words.as_bytes());
}
