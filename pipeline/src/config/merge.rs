//! Several trees to one: maps merge deeply, everything else of the later one replaces the earlier.

use super::parse::MOST_DEPTH;
use super::report::{Diagnostic, Rule};
use super::tree::{Entry, Map, Node, Value, quoted};

/// Between the keys of a path in a top-level key: `service::telemetry: …`.
const DELIMITER: &str = "::";

/// Lays `over` on `base`. Nodes keep their places; null replaces what it meets.
pub fn merge(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Map(into), Value::Map(mut from)) => {
            for entry in std::mem::take(from.entries_mut()) {
                match into.entries_mut().iter_mut().find(|e| e.key == entry.key) {
                    Some(old) => {
                        old.at = entry.at;
                        merge(&mut old.value, entry.value);
                    }
                    None => into.entries_mut().push(entry),
                }
            }
        }
        (_, value) => *base = Node { value, ..over },
    }
}

/// Makes nested maps of top-level keys that are paths, such as `service::telemetry::logs`.
///
/// # Errors
/// Where a path leads through something that is no map, or has an empty step.
pub fn unfold(root: Node) -> Result<Node, Diagnostic> {
    let Value::Map(map) = &root.value else { return Ok(root) };
    if !map.entries().iter().any(|e| e.key.contains(DELIMITER)) {
        return Ok(root);
    }
    let mut out = Node::new(Value::Map(Map::default()), root.at);
    for entry in map.entries() {
        let steps: Vec<&str> = entry.key.split(DELIMITER).collect();
        out = insert(out, &steps, entry)?;
    }
    Ok(out)
}

fn insert(mut into: Node, steps: &[&str], entry: &Entry) -> Result<Node, Diagnostic> {
    if steps.len() > MOST_DEPTH {
        return Err(
            Diagnostic::error(entry.at, format!("a key path of more than {MOST_DEPTH} steps")).rule(Rule::Source)
        );
    }
    if steps.iter().any(|s| s.is_empty()) {
        return Err(Diagnostic::error(entry.at, format!("the key path {} has an empty step", quoted(&entry.key)))
            .rule(Rule::Source));
    }
    merge(&mut into, nested(steps, entry));
    Ok(into)
}

/// A tree of one path.
fn nested(steps: &[&str], entry: &Entry) -> Node {
    let Some((first, rest)) = steps.split_first() else { return entry.value.clone() };
    let value = nested(rest, entry);
    let one = Entry { key: (*first).to_owned(), at: entry.at, value };
    Node::new(Value::Map(Map::from_entries([one])), entry.at)
}
