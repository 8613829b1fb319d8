//! A tree to typed config, strictly and with all problems at once.
//!
//! Types are decoded by ordinary `serde` derives. What is wrong with a value is noted with its place, the value is taken
//! out, and the decoding starts again, until what is left fits. Unknown keys are noted on the way. Rules beyond serde's:
//! - a field whose serde name starts with `~` is *squashed*: its struct reads its keys from the same map;
//! - `null` leaves a field at its default (an `Option` becomes `None`, a [`Block`](super::Block) is on);
//! - text for a list is split at commas;
//! - nothing is coerced between text, numbers and booleans; values from `${…}` keep their text for text targets.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};

use serde::de::DeserializeOwned;

use super::ComponentId;
use super::report::Diagnostic;
use super::tree::{At, Node};

mod access;
mod decoder;
mod failure;
mod path;

use decoder::{Decoder, Role, Slot};
use path::Path;

/// Decoding starts again at most so often for one body; each pass takes at least one value out.
const MOST_PASSES: usize = 2_000;
/// More problems than this in one body help nobody.
const MOST_PROBLEMS: usize = 100;

/// What a decoding leaves beside the value.
#[derive(Debug, Default)]
pub struct Notes {
    /// What is wrong, and what is odd.
    pub diagnostics: Vec<Diagnostic>,
    /// Ids of nodes that hold secrets.
    pub secrets: HashSet<u32>,
    /// Ids of nodes that were left out because something is wrong with them.
    pub bad: HashSet<u32>,
    /// The extensions that are referred to.
    pub references: Vec<Reference>,
}

/// A place where an extension is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where it stands.
    pub at: At,
    /// The path as messages show it.
    pub path: String,
    /// The extension.
    pub id: ComponentId,
}

/// The keys of one map that somebody reads.
#[derive(Debug, Default)]
struct Claims {
    keys: RefCell<Vec<&'static str>>,
    all: Cell<bool>,
}

impl Claims {
    fn add_one(&self, key: &'static str) {
        self.keys.borrow_mut().push(key);
    }

    fn add_all(&self) {
        self.all.set(true);
    }

    fn add(&self, keys: &'static [&'static str]) {
        let mut all = self.keys.borrow_mut();
        for key in keys.iter().filter(|k| !k.starts_with('~')) {
            if !all.contains(key) {
                all.push(key);
            }
        }
    }
}

/// One body on its way to a type: `'receivers::otlp'` and its node.
pub struct Body<'a> {
    /// Where it stands in the config, keys joined with `::`.
    pub path: &'a str,
    /// Where its key stands.
    pub at: At,
    /// What is written there; null is an empty map.
    pub node: &'a Node,
    /// Keys that used to exist, and what to do instead.
    pub removed: &'static [(&'static str, &'static str)],
}

/// Decodes a body. `None` when nothing usable is left; otherwise what could be decoded, which is complete only if no
/// error has been noted.
pub fn decode<T: DeserializeOwned>(body: &Body<'_>, notes: &mut Notes) -> Option<T> {
    let claims = Claims::default();
    let session = Session::new(body.removed);
    let value = session.run(body, &claims);
    session.unknown_keys(body.node, &Path::root(body.path), &claims);
    session.finish(notes);
    value
}

/// Decodes two types from one body, whose keys together are the valid ones.
pub fn decode_pair<A: DeserializeOwned, B: DeserializeOwned>(
    body: &Body<'_>,
    notes: &mut Notes,
) -> (Option<A>, Option<B>) {
    let claims = Claims::default();
    let session = Session::new(body.removed);
    let first = session.run(body, &claims);
    let second = session.run(body, &claims);
    session.unknown_keys(body.node, &Path::root(body.path), &claims);
    session.finish(notes);
    (first, second)
}

/// The keys of a map that are not among `known`, each as an error.
pub fn unknown_keys(node: &Node, path: &str, known: &'static [&'static str]) -> Vec<Diagnostic> {
    let entries = node.as_map().map_or(&[][..], |m| m.entries());
    let unknown = entries.iter().filter(|e| !known.contains(&e.key.as_str()));
    unknown.map(|entry| failure::unknown_key(entry, &Path::root(path), known, &[])).collect()
}

/// The state of one body's decoding, shared by all its decoders.
#[derive(Default)]
struct Session {
    diagnostics: RefCell<Vec<Diagnostic>>,
    /// Nodes taken out because something is wrong with them.
    bad: RefCell<HashSet<u32>>,
    /// Nodes taken out because they are null where null means "the default".
    absent: RefCell<HashSet<u32>>,
    secrets: RefCell<HashSet<u32>>,
    /// By the nodes that name extensions.
    references: RefCell<BTreeMap<u32, Reference>>,
    removed: &'static [(&'static str, &'static str)],
}

impl Session {
    fn new(removed: &'static [(&'static str, &'static str)]) -> Session {
        Session { removed, ..Session::default() }
    }

    fn run<T: DeserializeOwned>(&self, body: &Body<'_>, claims: &Claims) -> Option<T> {
        let (path, node) = (Path::root(body.path), body.node);
        let decoder = Decoder {
            session: self,
            node,
            id: node.id,
            at: body.at,
            path: &path,
            slot: Slot::Root,
            role: Role::Squash(claims),
        };
        for _ in 0..MOST_PASSES {
            let out = self.taken_out();
            match decoder.settle(T::deserialize(decoder)) {
                Ok(value) => return Some(value),
                Err(_) if self.taken_out() == out || self.is_out(node) => return None,
                Err(_) => {}
            }
        }
        self.note(Diagnostic::error(body.at, "too much is wrong here to read on"));
        None
    }

    fn taken_out(&self) -> usize {
        self.bad.borrow().len() + self.absent.borrow().len()
    }

    fn is_bad(&self, node: &Node) -> bool {
        node.broken || self.bad.borrow().contains(&node.id)
    }

    fn is_out(&self, node: &Node) -> bool {
        self.is_bad(node) || self.absent.borrow().contains(&node.id)
    }

    fn note(&self, diagnostic: Diagnostic) {
        let mut all = self.diagnostics.borrow_mut();
        if all.len() < MOST_PROBLEMS && !all.contains(&diagnostic) {
            all.push(diagnostic);
        }
    }

    fn unknown_keys(&self, node: &Node, path: &Path<'_>, claims: &Claims) {
        let Some(map) = node.as_map() else { return };
        if claims.all.get() {
            return;
        }
        let known = claims.keys.borrow();
        for entry in map.entries().iter().filter(|e| !known.contains(&e.key.as_str())) {
            self.note(failure::unknown_key(entry, path, &known, self.removed));
            self.bad.borrow_mut().insert(entry.value.id);
        }
    }

    fn finish(self, notes: &mut Notes) {
        notes.diagnostics.extend(self.diagnostics.into_inner());
        notes.secrets.extend(self.secrets.into_inner());
        notes.bad.extend(self.bad.into_inner());
        notes.references.extend(self.references.into_inner().into_values());
    }
}
