//! What may stand in a config, learned from the types that read it: keys, kinds of values, words of enums. The types stay
//! the one list of keys; nothing is written twice.

use std::fmt;

use serde::de::DeserializeOwned;

mod probe;

/// What may stand at a place of a config.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The kind of value.
    pub kind: Kind,
    /// Whether the code tells "not there" from every value, so that the default is not one of them.
    pub optional: bool,
}

/// A kind of value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number in these bounds.
    Integer(i128, i128),
    /// Any number.
    Number,
    /// Text.
    Text,
    /// Text, or another scalar as it is written.
    Scalar,
    /// Text that is never shown.
    Secret,
    /// A duration in Go's syntax.
    Duration,
    /// A duration in Prometheus' syntax.
    PromDuration,
    /// A size in bytes.
    Size,
    /// Names and secrets, as a map or a list of `{name, value}`.
    Headers,
    /// One of these words.
    Words(Vec<&'static str>),
    /// A list.
    List(Box<Shape>),
    /// A map with keys of the user's choice.
    Map(Box<Shape>),
    /// A map with these keys.
    Block(Block),
    /// A map whose key `type` says which of these it is.
    Tagged(Vec<(&'static str, Shape)>),
    /// Text (or another scalar), or this.
    TextOr(Box<Shape>),
    /// What its reader says of it.
    Other(String),
}

/// A map with known keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The type that reads it.
    pub name: &'static str,
    /// Its keys, each once.
    pub keys: Vec<Key>,
    /// Whether it may have further ones.
    pub open: bool,
    /// Whether it can be off: absent, or with `enabled: false` in it.
    pub can_be_off: bool,
}

/// A key of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// The type that reads it, another than the block's where several read one map.
    pub of: &'static str,
    /// What it takes.
    pub shape: Shape,
}

/// The shape of what a type reads.
pub fn shape<T: DeserializeOwned>() -> Shape {
    probe::shape::<T>()
}

/// The shape of the section `service`.
pub fn service() -> Shape {
    shape::<super::service::Service>()
}

impl Shape {
    /// A kind of value that has no "not there".
    pub fn of(kind: Kind) -> Shape {
        Shape { kind, optional: false }
    }

    /// The block, where it is one.
    pub fn block(&self) -> Option<&Block> {
        match &self.kind {
            Kind::Block(block) => Some(block),
            Kind::TextOr(inner) => inner.block(),
            _ => None,
        }
    }

    /// The shape below: a key's, an element's (`[]`), the value's behind any key (`*`), a tag's.
    pub fn step(&self, step: &str) -> Option<&Shape> {
        match (&self.kind, step) {
            (Kind::List(element), "[]") => Some(element),
            (Kind::Map(value), "*") => Some(value),
            (Kind::Tagged(tags), tag) => tags.iter().find(|(name, _)| *name == tag).map(|(_, shape)| shape),
            _ => self.block()?.keys.iter().find(|k| k.name == step).map(|k| &k.shape),
        }
    }

    /// The shape that a path of keys leads to, lists and maps of free keys stepped over where the path does not name them.
    pub fn at(&self, path: &[&str]) -> Option<&Shape> {
        let Some((step, rest)) = path.split_first() else { return Some(self) };
        match (&self.kind, self.step(step)) {
            (_, Some(below)) => below.at(rest),
            (Kind::List(inner), None) => inner.at(path),
            (Kind::Map(inner), None) => inner.at(rest).or_else(|| inner.at(path)),
            (_, None) => None,
        }
    }

    /// Both blocks' keys in one, as where two types read one body.
    #[must_use]
    pub fn and(self, other: Shape) -> Shape {
        match (self.kind, other.kind) {
            (Kind::Block(mut one), Kind::Block(two)) => {
                for key in two.keys {
                    if !one.keys.iter().any(|k| k.name == key.name) {
                        one.keys.push(key);
                    }
                }
                one.open |= two.open;
                Shape::of(Kind::Block(one))
            }
            (one, _) => Shape::of(one),
        }
    }
}

/// As a table says it: `duration`, `list of text`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Bool => f.write_str("true or false"),
            Kind::Integer(..) => f.write_str("whole number"),
            Kind::Number => f.write_str("number"),
            Kind::Text | Kind::Scalar => f.write_str("text"),
            Kind::Secret => f.write_str("secret text"),
            Kind::Duration | Kind::PromDuration => f.write_str("duration"),
            Kind::Size => f.write_str("size in bytes"),
            Kind::Headers => f.write_str("map of secret texts"),
            Kind::Words(_) => f.write_str("word"),
            Kind::List(inner) => match inner.kind {
                Kind::Block(_) | Kind::Tagged(_) => f.write_str("list of maps"),
                Kind::Other(_) => f.write_str("list"),
                Kind::List(_) | Kind::Map(_) => f.write_str("list of lists"),
                _ => write!(f, "list of {inner}s"),
            },
            Kind::Map(inner) => match inner.kind {
                Kind::Block(_) | Kind::Tagged(_) => f.write_str("map of maps"),
                Kind::Other(_) => f.write_str("map"),
                Kind::List(_) | Kind::TextOr(_) => write!(f, "map of {inner}"),
                _ => write!(f, "map of {inner}s"),
            },
            Kind::Block(_) | Kind::Tagged(_) => f.write_str("map"),
            Kind::TextOr(inner) => write!(f, "text or {inner}"),
            Kind::Other(_) => f.write_str("any"),
        }
    }
}

#[cfg(test)]
mod tests;
