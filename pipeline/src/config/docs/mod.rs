//! The words about keys, which stand once, in the tables of READMEs, and are carried by the binary: what `slipring explain`,
//! `slipring schema` and the test of the tables read.
//!
//! A key is found by its component's README, or else by that of a type that reads it: see [`Shared`].

use super::shape::{Kind, Shape};
use crate::registry::{Described, Registry};

mod readme;

pub use readme::{Readme, Row, Table, plain};

/// Where the words about a type stand that several components read.
#[derive(Debug)]
pub struct Shared {
    /// The type, as serde knows it.
    pub name: &'static str,
    /// The README.
    pub readme: &'static str,
    /// The `##` section of its tables.
    pub section: &'static str,
    /// What stands before the type's keys there: `actions[]`; empty for a table of its own.
    pub under: &'static str,
}

/// One step of a way down from a component's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key, with the type that reads it.
    Key(&'static str, &'static str),
    /// Any element of a list.
    Element,
    /// The value behind any key of a map.
    Value,
    /// What a map with this `type` holds.
    Tag(&'static str),
}

/// A way as READMEs and people write it: `actions[].key`, `labels.*`.
pub fn written(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let (dot, name) = match step {
            Step::Key(name, _) | Step::Tag(name) => (".", *name),
            Step::Element => ("", "[]"),
            Step::Value => (".", "*"),
        };
        if !out.is_empty() {
            out.push_str(dot);
        }
        out.push_str(name);
    }
    out
}

/// All words that a binary has.
pub struct Book {
    shared: Vec<(&'static Shared, Readme)>,
}

/// The words of one component.
pub struct Chapter<'a> {
    book: &'a Book,
    /// Its README.
    pub readme: Readme,
    section: &'static str,
}

impl Book {
    /// The words about what is in a registry.
    pub fn of(registry: &Registry) -> Book {
        Book { shared: registry.shared_types().iter().map(|shared| (*shared, Readme::read(shared.readme))).collect() }
    }

    /// The words about one component.
    pub fn chapter(&self, described: &Described) -> Chapter<'_> {
        Chapter { book: self, readme: Readme::read(described.readme), section: described.section }
    }

    /// The words about what a type of the frame reads by itself, such as the section `service`.
    pub fn of_type(&self, name: &str) -> Option<Chapter<'_>> {
        let (shared, readme) = self.shared.iter().find(|(shared, _)| shared.name == name)?;
        Some(Chapter { book: self, readme: readme.clone(), section: shared.section })
    }

    /// Where the words about a type stand.
    pub fn shared(&self, name: &str) -> Option<&'static Shared> {
        self.shared.iter().find(|(shared, _)| shared.name == name).map(|(shared, _)| *shared)
    }
}

impl Chapter<'_> {
    /// What is said of the last step of a way.
    pub fn row(&self, steps: &[Step]) -> Option<&Row> {
        if let Some(row) = own(&self.readme, self.section, "", steps) {
            return Some(row);
        }
        (0..steps.len()).rev().find_map(|at| {
            let Step::Key(_, of) = steps[at] else { return None };
            let (shared, readme) = self.book.shared.iter().find(|(shared, _)| shared.name == of)?;
            own(readme, shared.section, shared.under, &steps[at..])
        })
    }

    /// The type through which the words about a way's last step are found elsewhere than in the component's README.
    pub fn elsewhere(&self, steps: &[Step]) -> Option<&'static Shared> {
        steps.iter().find_map(|step| match step {
            Step::Key(_, of) => self.book.shared(of).filter(|shared| shared.readme != self.readme.text),
            _ => None,
        })
    }
}

/// A README's row about a way; what all tags of a list have in common stands there without a tag.
fn own<'a>(readme: &'a Readme, section: &str, under: &str, steps: &[Step]) -> Option<&'a Row> {
    let join = |path: String| match (under, path.as_str()) {
        ("", _) => path,
        (under, path) => format!("{under}.{path}"),
    };
    let untagged: Vec<Step> = steps.iter().copied().filter(|s| !matches!(s, Step::Tag(_))).collect();
    readme.row(section, &join(written(steps))).or_else(|| readme.row(section, &join(written(&untagged))))
}

/// Every way down a shape, the ways to blocks, lists and maps before those into them.
pub fn ways(shape: &Shape) -> Vec<(Vec<Step>, &Shape)> {
    fn walk<'a>(shape: &'a Shape, way: &mut Vec<Step>, out: &mut Vec<(Vec<Step>, &'a Shape)>) {
        let mut below = |step: Step, shape: &'a Shape, out: &mut Vec<(Vec<Step>, &'a Shape)>| {
            way.push(step);
            out.push((way.clone(), shape));
            walk(shape, way, out);
            way.pop();
        };
        match &shape.kind {
            Kind::Block(block) => {
                block.keys.iter().for_each(|key| below(Step::Key(key.name, key.of), &key.shape, out));
            }
            Kind::List(element) => below(Step::Element, element, out),
            Kind::Map(value) => below(Step::Value, value, out),
            Kind::Tagged(tags) => tags.iter().for_each(|(tag, shape)| below(Step::Tag(tag), shape, out)),
            Kind::TextOr(inner) => walk(inner, way, out),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(shape, &mut Vec::new(), &mut out);
    out
}
