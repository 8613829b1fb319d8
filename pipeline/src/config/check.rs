//! Finds the places of what components say about their own config.

use std::collections::HashSet;

use super::decode::{self, Body, Notes};
use super::report::Diagnostic;
use super::tree::{At, Node, Value};
use super::{Problem, Settings};

/// Decodes a body and checks what came out.
pub fn decoded<C: Settings>(body: &Body<'_>, notes: &mut Notes) -> Option<C> {
    let body = Body { removed: C::REMOVED, ..*body };
    let config = decode::decode::<C>(&body, notes)?;
    problems(config.check(), &body, notes);
    warnings(config.warnings(), &body, notes);
    Some(config)
}

/// Notes what a config says about itself that is no error.
pub fn warnings(warnings: Vec<Problem>, body: &Body<'_>, notes: &mut Notes) {
    for warning in warnings {
        let found = locate(body, &warning.path, notes);
        let message = format!("'{}': {}", found.path, warning.message);
        notes.diagnostics.push(Diagnostic::warning(found.at(), message));
    }
}

/// Notes what a config says about itself, each problem with its place. What concerns a value or a map of which a part
/// could not be decoded is left out: it may be a mere consequence.
pub fn problems(problems: Vec<Problem>, body: &Body<'_>, notes: &mut Notes) {
    for problem in problems {
        let found = locate(body, &problem.path, notes);
        if !found.node.any(&|node| node.broken || notes.bad.contains(&node.id)) {
            let message = format!("'{}': {}", found.path, problem.message);
            notes.diagnostics.push(Diagnostic::error(found.at(), message));
        }
    }
}

/// Where a path leads.
pub(super) enum Place {
    /// It is written here.
    Written(At),
    /// It is not written; this is the nearest thing above it.
    Missing(At),
    /// Its value is unknown because of an error that has been reported.
    Broken,
}

/// What a path leads to.
pub(super) struct Found<'a> {
    /// It, or the nearest thing above it.
    node: &'a Node,
    /// Where that is.
    pub(super) place: Place,
    /// The path as messages show it: `receivers::otlp::rules[0]::key`.
    pub(super) path: String,
}

impl Found<'_> {
    /// The place, as well as it is known.
    pub(super) fn at(&self) -> At {
        match self.place {
            Place::Written(at) | Place::Missing(at) => at,
            Place::Broken => At::default(),
        }
    }
}

/// Finds a path of keys and indices joined with dots. Indices count what was decoded: elements left out are skipped.
pub(super) fn locate<'a>(body: &Body<'a>, path: &str, notes: &Notes) -> Found<'a> {
    let (mut node, mut at, mut rest) = (body.node, body.at, path);
    let mut shown = body.path.to_owned();
    while !rest.is_empty() {
        match step(node, rest, &notes.bad) {
            Some((below, key_at, after, name)) => {
                (node, at, rest) = (below, key_at, after);
                shown.push_str(&name);
            }
            None => {
                rest.split('.').for_each(|key| shown.push_str(&format!("::{key}")));
                return Found { node, place: Place::Missing(at), path: shown };
            }
        }
    }
    let place = match node.value {
        _ if node.broken => Place::Broken,
        Value::List(_) | Value::Map(_) | Value::Null => Place::Written(at),
        _ => Place::Written(node.at),
    };
    Found { node, place, path: shown }
}

/// The longest key at the start of a path (keys may hold dots themselves) or its element: the node, where its key stands,
/// the path behind it, and the step as it is shown.
fn step<'a, 'p>(node: &'a Node, path: &'p str, bad: &HashSet<u32>) -> Option<(&'a Node, At, &'p str, String)> {
    let behind = |key: &str| {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    match &node.value {
        Value::Map(map) => map
            .entries()
            .iter()
            .filter_map(|e| behind(&e.key).map(|rest| (&e.value, e.at, rest, format!("::{}", e.key))))
            .min_by_key(|(_, _, rest, _)| rest.len()),
        Value::List(list) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            let decoded = list.iter().enumerate().filter(|(_, n)| !n.broken && !bad.contains(&n.id));
            let (written, element) = decoded.into_iter().nth(index.parse().ok()?)?;
            Some((element, element.at, rest, format!("[{written}]")))
        }
        _ => None,
    }
}
