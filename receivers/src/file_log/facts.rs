//! What every record of one file shares: its attributes, and what its path says of its resource.

use std::borrow::Cow;
use std::sync::Arc;

use pipeline::otlp::fields::log_record;
use pipeline::otlp::write::Writer;

use super::format::record::Group;
use super::operators::{Map, Value};

/// Facts of a file: each attribute key once.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    attributes: Map<'static>,
    /// As fields of `LogRecord`.
    encoded: Vec<u8>,
    /// Their keys, each with what is in no key before it.
    keys: Arc<str>,
    /// The lengths of their keys, as bits.
    lengths: u64,
    /// Resource attributes that the path gives.
    of_path: Vec<(&'static str, String)>,
    /// The group of records with these in their resource.
    group: Option<Arc<Group>>,
}

impl Facts {
    /// These attributes; of a key that stands twice the later value counts.
    pub fn new(pairs: impl IntoIterator<Item = (Cow<'static, str>, String)>) -> Facts {
        let mut attributes = Map::default();
        for (key, value) in pairs {
            // The later one stands at its own place.
            _ = attributes.remove(&key);
            attributes.set(key, Value::text(value));
        }
        let mut facts = Facts { attributes, ..Facts::default() };
        facts.encode();
        facts
    }

    /// The same with resource attributes that the path gives, and the group of records that have them.
    #[must_use]
    pub fn with_path(self, of_path: Vec<(&'static str, String)>, group: Arc<Group>) -> Facts {
        Facts { of_path, group: Some(group), ..self }
    }

    /// Adds attributes.
    pub fn add(&mut self, more: Map<'static>) {
        self.attributes.merge(more);
        self.encode();
    }

    fn encode(&mut self) {
        let mut w = Writer::new();
        self.attributes.write(log_record::ATTRIBUTES, &mut w);
        self.encoded = w.into_vec();
        self.keys = self.attributes.iter().flat_map(|(key, _)| ["\0", key]).collect::<String>().into();
        self.lengths = self.attributes.iter().fold(0, |all, (key, _)| all | length(key));
    }

    /// Whether there is such an attribute. Most keys that are asked for have another length than these have.
    #[inline]
    pub fn has(&self, key: &str) -> bool {
        self.lengths & length(key) != 0 && self.attributes.get(key).is_some()
    }

    /// What tells apart which attributes there are, whatever their values.
    #[inline]
    pub fn keys(&self) -> &Arc<str> {
        &self.keys
    }

    /// The attributes.
    pub fn attributes(&self) -> &Map<'static> {
        &self.attributes
    }

    /// The attributes as fields of `LogRecord`.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Resource attributes that the path gives.
    pub fn of_path(&self) -> &[(&'static str, String)] {
        &self.of_path
    }

    /// The group of records with these in their resource.
    pub fn group(&self) -> Option<&Arc<Group>> {
        self.group.as_ref()
    }
}

/// A bit for the length of a key.
fn length(key: &str) -> u64 {
    1 << key.len().min(63)
}
