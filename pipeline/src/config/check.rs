//! Finds the places of what components say about their own config.

use super::decode::{self, Body, Notes};
use super::report::{Diagnostic, Severity};
use super::tree::{At, Node, Value};
use super::{Problem, Settings};

/// Decodes a body and checks what came out.
pub fn decoded<C: Settings>(body: &Body<'_>, notes: &mut Notes) -> Option<C> {
    let body = Body { removed: C::REMOVED, ..*body };
    let config = decode::decode::<C>(&body, notes)?;
    problems(config.check(), &body, notes);
    Some(config)
}

/// Notes what a config says about itself, each problem with its place. Where something of the body could not be decoded,
/// only what concerns keys that are written there is noted: the rest may be a mere consequence.
pub fn problems(problems: Vec<Problem>, body: &Body<'_>, notes: &mut Notes) {
    let broken = body.node.has_broken() || notes.diagnostics.iter().any(|d| d.severity == Severity::Error);
    for problem in problems {
        match locate(body, &problem.path) {
            Place::Missing(_) if broken => {}
            Place::Broken => {}
            Place::Written(at) | Place::Missing(at) => {
                let path = shown(body.path, &problem.path);
                notes.diagnostics.push(Diagnostic::error(at, format!("'{path}': {}", problem.message)));
            }
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

impl Place {
    /// The place, as well as it is known.
    pub(super) fn at(&self) -> At {
        match self {
            Place::Written(at) | Place::Missing(at) => *at,
            Place::Broken => At::default(),
        }
    }
}

/// Finds a path of keys and indices joined with dots.
pub(super) fn locate(body: &Body<'_>, path: &str) -> Place {
    let (mut node, mut at, mut rest) = (body.node, body.at, path);
    while !rest.is_empty() {
        match step(node, rest) {
            Some((below, key_at, after)) => (node, at, rest) = (below, key_at, after),
            None => return Place::Missing(at),
        }
    }
    match node.value {
        _ if node.broken => Place::Broken,
        Value::List(_) | Value::Map(_) | Value::Null => Place::Written(at),
        _ => Place::Written(node.at),
    }
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
