//! The collector's config language. Only this module knows YAML; components see typed structs.
//!
//! [`load`] goes from the command line's configs to a [`Plan`](crate::plan::Plan): `source` reads and `merge` joins trees
//! with positions, `expand` fills in `${…}`, [`decode`] makes typed config of each body, `pipelines` checks how they are
//! wired. Whatever is wrong goes into one [`report`], and the next step works on with what is left.
//!
//! A component writes `#[derive(Deserialize)] #[serde(default)]` structs and may use: [`GoDuration`], [`PromDuration`],
//! [`ByteSize`], [`Opaque`] and [`Headers`] for secrets, [`ExtensionId`]
//! for the helper it wants, [`Block`] for what can be off, [`Tagged`] for lists of maps with a
//! `type`, [`StringList`], [`Text`]. A shared struct is squashed into another by a field whose serde name starts with `~`:
//!
//! ```
//! # use serde::Deserialize;
//! # #[derive(Default, Deserialize)]
//! # struct HttpClient {}
//! #[derive(Default, Deserialize)]
//! #[serde(default)]
//! struct Config {
//!     traces_endpoint: Option<String>,
//!     #[serde(rename = "~client")]
//!     client: HttpClient, // reads its keys from the same map
//! }
//! ```

use serde::Deserialize;

mod block;
pub mod check;
mod compare;
mod data_dir;
pub mod decode;
pub mod docs;
mod document;
mod duration;
mod expand;
mod hints;
mod id;
mod load;
mod merge;
mod nearest;
mod parse;
mod pipelines;
mod portrait;
mod print;
mod prints;
pub mod re2;
pub mod report;
pub mod retired;
mod scalar;
mod secret;
mod service;
pub mod shape;
mod source;
mod syntax;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
pub mod tree;

pub use block::{Block, Tagged};
pub use compare::{Change, Comparison, Difference, Effect};
pub(crate) use document::read_body;
pub use document::{Document, read_document, read_settings, read_whole, yaml_value};
pub use duration::{GoDuration, PromDuration};
pub use id::{ComponentId, ExtensionId};
pub use load::{Loaded, load, of_tree};
pub use nearest::nearest;
pub use portrait::{Portrait, SealingKey};
pub use print::{Format, Redact, print, print_with_origins};
pub use secret::{Headers, Opaque, REDACTED, without_userinfo};
pub use source::{Inputs, Surroundings};
pub use text::{ByteSize, StringList, Text, TextOr, Written};

#[cfg(test)]
mod tests;

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
pub trait Settings: serde::de::DeserializeOwned + std::fmt::Debug + Clone + Send + Sync + 'static {
    /// Keys of the body that used to exist, each with what to do instead: shown where the key is used.
    const REMOVED: &'static [(&'static str, &'static str)] = &[];

    /// Checks what types cannot: everything wrong, not only the first. The frame shows each with file, line and column.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// What is accepted and has no effect here, or not the one a user of the collector expects: shown as warnings.
    fn warnings(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// The config of a component that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NoSettings {}

impl Settings for NoSettings {}
