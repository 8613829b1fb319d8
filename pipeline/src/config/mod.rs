//! The collector's config language. Only this module knows YAML; components see typed structs.

use std::fmt;

use serde::Deserialize;

mod block;
pub mod check;
pub mod decode;
mod duration;
mod nearest;
pub mod parse;
pub mod report;
mod scalar;
mod secret;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
pub mod tree;

pub use block::{Block, Tagged};
pub use duration::{GoDuration, PromDuration};
pub use nearest::nearest;
pub use secret::{Headers, Opaque, REDACTED};
pub use text::{ByteSize, StringList, Text};

#[cfg(test)]
mod tests;

/// `type` or `type/name`, as the config writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    /// The component's type, such as `otlp`.
    pub kind: String,
    /// The part after the slash, or empty.
    pub name: String,
}

impl ComponentId {
    /// The id `kind` or `kind/name`; no check of the characters.
    pub fn new(kind: &str, name: &str) -> ComponentId {
        ComponentId { kind: kind.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        Ok(())
    }
}

/// A problem that a component finds in its own decoded config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, below the component's body, keys and list indices joined with dots: `protocols.grpc.endpoint`,
    /// `actions.0.key`; empty for the body itself.
    pub path: String,
    /// What is wrong and what would work.
    pub message: String,
}

impl Problem {
    /// A problem at a path below the component's body.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { path: path.into(), message: message.into() }
    }
}

/// What a component's config type gives the frame beside its fields.
pub trait Settings: serde::de::DeserializeOwned + Clone + Send + Sync + 'static {
    /// Keys of the body that used to exist, each with what to do instead: shown where the key is used.
    const REMOVED: &'static [(&'static str, &'static str)] = &[];

    /// Checks what types cannot: everything wrong, not only the first. The frame shows each with file, line and column.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// The config of a component that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NoSettings {}

impl Settings for NoSettings {}
