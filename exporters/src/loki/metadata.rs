//! Structured metadata of an entry: names made legal, each once, within Loki's limits, encoded as they come.

use std::fmt::Write;
use std::ops::Range;

use pipeline::otlp::WireError;
use pipeline::otlp::hex::write_hex;
use pipeline::otlp::view::{AnyValue, LogRecord};
use pipeline::otlp::write::{Writer, field_len};
use smallvec::SmallVec;

use super::ids::{Ids, SPAN_ID, TRACE_ID};
use super::labels::write_legal_name;
use super::line::Around;
use crate::plain;

/// Loki's limits for an entry.
const MOST_KEYS: usize = 128;
const MOST_BYTES: usize = 64 << 10;
/// Names that are remembered from entry to entry; more are made legal each time.
const MOST_REMEMBERED: usize = 32;

/// `logproto.EntryAdapter` and `logproto.LabelPairAdapter`.
const STRUCTURED_METADATA: u32 = 3;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// The structured metadata of one entry. What comes first stays where there is too much.
#[derive(Debug, Default)]
pub struct Metadata {
    /// The pairs as fields of an `EntryAdapter`.
    encoded: Writer,
    /// Where their names stand in it.
    names: SmallVec<[Range<usize>; 16]>,
    /// Bytes of names and values.
    bytes: usize,
    left_out: usize,
    /// Names of other entries with what they became.
    legal: Vec<(String, String)>,
    name: String,
    value: String,
}

impl Metadata {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.encoded.clear();
        self.names.clear();
        self.bytes = 0;
        self.left_out = 0;
    }

    /// Keys for which there was no room.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The pairs, as fields of an `EntryAdapter`.
    pub fn encoded(&self) -> &[u8] {
        self.encoded.as_slice()
    }

    /// Adds `trace_id` and `span_id`, as far as they are there.
    pub fn add_ids(&mut self, ids: Ids<'_>) {
        if let Some(id) = ids.trace {
            self.add_with(TRACE_ID, |out| write_hex(out, id));
        }
        if let Some(id) = ids.span {
            self.add_with(SPAN_ID, |out| write_hex(out, id));
        }
    }

    /// Adds what else the record says of itself, under the names that Loki's own OTLP endpoint uses.
    pub fn add_record(&mut self, record: &LogRecord<'_>) {
        if record.severity_number != 0 {
            self.add_with("severity_number", |out| write!(out, "{}", record.severity_number).unwrap_or_default());
        }
        self.add("severity_text", record.severity_text);
        self.add("event_name", record.event_name);
    }

    /// Adds attributes of record and resource, and the scope.
    ///
    /// # Errors
    /// When a value is malformed.
    pub fn add_around(&mut self, around: &Around<'_, '_>) -> Result<(), WireError> {
        for attribute in around.attributes {
            self.add_value(attribute.key, attribute.value)?;
        }
        self.add("scope_name", around.scope.0);
        self.add("scope_version", around.scope.1);
        for attribute in around.resource {
            self.add_value(attribute.key, attribute.value)?;
        }
        Ok(())
    }

    /// Adds a pair unless its value is empty or its name is there.
    pub fn add(&mut self, name: &str, value: &str) {
        self.name.clear();
        match self.legal.iter().find(|(known, _)| known == name) {
            Some((_, legal)) => self.name.push_str(legal),
            None => self.make_legal(name),
        }
        let is_known = |have: &Range<usize>| self.encoded.as_slice().get(have.clone()) == Some(self.name.as_bytes());
        if self.name.is_empty() || value.is_empty() || self.names.iter().any(is_known) {
            return;
        }
        let bytes = self.bytes + self.name.len() + value.len();
        if self.names.len() >= MOST_KEYS || bytes > MOST_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes = bytes;
        let pair = field_len(NAME, self.name.len()) + field_len(VALUE, value.len());
        self.encoded.header(STRUCTURED_METADATA, pair);
        self.encoded.text(NAME, &self.name);
        self.names.push(self.encoded.len() - self.name.len()..self.encoded.len());
        self.encoded.text(VALUE, value);
    }

    /// Writes a legal name, and remembers it for the next entry.
    fn make_legal(&mut self, name: &str) {
        write_legal_name(&mut self.name, name);
        if self.legal.len() < MOST_REMEMBERED {
            self.legal.push((name.to_owned(), self.name.clone()));
        }
    }

    fn add_value(&mut self, name: &str, value: AnyValue<'_>) -> Result<(), WireError> {
        if let AnyValue::Text(text) = value {
            self.add(name, text);
            return Ok(());
        }
        let mut written = Ok(());
        self.add_with(name, |out| written = plain::write_text(out, value));
        written
    }

    fn add_with(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        write(&mut value);
        self.add(name, &value);
        self.value = value;
    }
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::wire::Fields;

    use super::*;

    fn names(metadata: &Metadata) -> Vec<&str> {
        let name = |range: &Range<usize>| std::str::from_utf8(&metadata.encoded()[range.clone()]).unwrap();
        metadata.names.iter().map(name).collect()
    }

    #[test]
    fn names_become_legal_and_are_there_once() {
        let mut metadata = Metadata::default();
        for (name, value) in [("code.line", "7"), ("code_line", "8"), ("1st", "x"), ("empty", ""), ("", "y")] {
            metadata.add(name, value);
        }
        assert_eq!((names(&metadata), metadata.left_out()), (vec!["code_line", "key_1st"], 0));
        assert_eq!(Fields::new(metadata.encoded()).count(), 2);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let mut metadata = Metadata::default();
        (0..130).for_each(|i| metadata.add(&format!("key{i}"), "v"));
        assert_eq!((names(&metadata).len(), metadata.left_out()), (128, 2));
        metadata.clear();
        metadata.add("first", "kept");
        metadata.add("huge", &"x".repeat(64 << 10));
        metadata.add("last", "kept");
        assert_eq!((names(&metadata), metadata.left_out()), (vec!["first", "last"], 1));
    }
}
