//! Finds the places of what components say about their own config.

use super::Settings;
use super::decode::{Body, Notes};
use super::report::{Diagnostic, Severity};
use super::tree::{At, Node, Value};

/// Runs the check of a decoded config and notes what it finds, each with its place. Where something of the body could
/// not be decoded, only what concerns keys that are written there is noted: the rest may be a mere consequence.
pub fn settings<C: Settings>(config: &C, body: &Body<'_>, notes: &mut Notes) {
    let broken = notes.diagnostics.iter().any(|d| d.severity == Severity::Error);
    for problem in config.check() {
        let (at, found) = locate(body, &problem.path);
        if broken && !found {
            continue;
        }
        let path = shown(body.path, &problem.path);
        notes.diagnostics.push(Diagnostic::error(at, format!("'{path}': {}", problem.message)));
    }
}

/// The place of a path of keys and indices joined with dots, or of the nearest thing above it; and whether all of it is
/// written there.
fn locate(body: &Body<'_>, path: &str) -> (At, bool) {
    let (mut node, mut at, mut rest) = (body.node, body.at, path);
    while !rest.is_empty() {
        match step(node, rest) {
            Some((below, key_at, after)) => (node, at, rest) = (below, key_at, after),
            None => return (at, false),
        }
    }
    let scalar = !matches!(node.value, Value::List(_) | Value::Map(_) | Value::Null);
    (if scalar { node.at } else { at }, true)
}

/// A path as messages show it: `receivers::otlp::rules[0]::key`.
fn shown(body: &str, path: &str) -> String {
    let mut out = body.to_owned();
    for step in path.split('.').filter(|s| !s.is_empty()) {
        match step.parse::<usize>() {
            Ok(index) => out.push_str(&format!("[{index}]")),
            Err(_) => out.push_str(&format!("::{step}")),
        }
    }
    out
}

/// The longest key at the start of a path (keys may hold dots themselves), where it stands, and the path behind it.
fn step<'a, 'p>(node: &'a Node, path: &'p str) -> Option<(&'a Node, At, &'p str)> {
    let behind = |key: &str| {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    match &node.value {
        Value::Map(map) => map
            .entries()
            .iter()
            .filter_map(|e| behind(&e.key).map(|rest| (&e.value, e.at, rest)))
            .min_by_key(|(_, _, rest)| rest.len()),
        Value::List(list) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            let element = list.get(index.parse::<usize>().ok()?)?;
            Some((element, element.at, rest))
        }
        _ => None,
    }
}
