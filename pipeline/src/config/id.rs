//! Component and pipeline ids as the config writes them: `type`, `type/name`, `signal/name`.

use std::fmt;
use std::ops::Deref;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::block::newtype;

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

    /// Reads an id; blanks around the slash do not count.
    ///
    /// # Errors
    /// What is wrong and what works.
    pub fn parse(text: &str) -> Result<ComponentId, String> {
        const MOST_KIND: usize = 63;
        const MOST_NAME: usize = 1024;
        let (kind, name) = match text.split_once('/') {
            None => (text.trim(), None),
            Some((kind, name)) => (kind.trim(), Some(name.trim())),
        };
        if text.trim().is_empty() {
            return Err("id must not be empty".to_owned());
        }
        if kind.is_empty() {
            return Err(format!("in {text:?} id: the part before / should not be empty"));
        }
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !kind.starts_with(|c: char| c.is_ascii_alphabetic()) || !kind.chars().all(letters) || kind.len() > MOST_KIND
        {
            let works = format!("it has letters, digits and _, a letter first, and at most {MOST_KIND} of them");
            return Err(format!("invalid character(s) in type {kind:?}: {works}"));
        }
        let Some(name) = name else { return Ok(ComponentId::new(kind, "")) };
        if name.is_empty() {
            return Err(format!("in {text:?} id: the part after / should not be empty"));
        }
        let symbol = |c: char| c.is_whitespace() || c.is_control() || "$+<=>^`|~".contains(c);
        if name.contains(symbol) || name.chars().count() > MOST_NAME {
            return Err(format!(
                "invalid character(s) in name {name:?}: it has no blanks and no symbols such as + or $"
            ));
        }
        Ok(ComponentId::new(kind, name))
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

/// The name by which the decoder knows an [`ExtensionId`].
pub(super) const EXTENSION: &str = "~extension";

/// The id of an extension that a component wants the help of. The frame checks that the extension is configured and
/// started, and shows the place where it is not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtensionId(pub ComponentId);

impl Deref for ExtensionId {
    type Target = ComponentId;

    fn deref(&self) -> &ComponentId {
        &self.0
    }
}

impl fmt::Display for ExtensionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ExtensionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExtensionId, D::Error> {
        let id: String = newtype(EXTENSION, "the id of an extension", deserializer)?;
        ComponentId::parse(&id).map(ExtensionId).map_err(D::Error::custom)
    }
}
