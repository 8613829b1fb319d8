//! Where a decoder is, as messages show it.

use std::fmt;

/// Where a decoder is, as a list that ends at the body.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(super) fn root(name: &'a str) -> Path<'a> {
        Path { parent: None, step: Step::Key(name) }
    }

    pub(super) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Key(key) }
    }

    pub(super) fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.parent, self.step) {
            (None, Step::Key(key)) => f.write_str(key),
            (Some(parent), Step::Key(key)) => write!(f, "{parent}::{key}"),
            (Some(parent), Step::Index(index)) => write!(f, "{parent}[{index}]"),
            (None, Step::Index(index)) => write!(f, "[{index}]"),
        }
    }
}
