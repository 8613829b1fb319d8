//! Structured metadata of an entry: names made legal, each once, within Loki's limits.

use std::fmt::Write;
use std::ops::Range;

use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, LogRecord};
use pipeline::otlp::write::Writer;

use super::labels::write_legal_name;
use super::line::{Around, write_hex};
use crate::plain;

/// Loki's limits for an entry.
const MOST_KEYS: usize = 128;
const MOST_BYTES: usize = 64 << 10;

/// `logproto.EntryAdapter` and `logproto.LabelPairAdapter`.
const STRUCTURED_METADATA: u32 = 3;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// The structured metadata of one entry. What comes first stays where there is too much.
#[derive(Debug, Default)]
pub struct Metadata {
    text: String,
    pairs: Vec<(Range<usize>, Range<usize>)>,
    left_out: usize,
}

impl Metadata {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
        self.left_out = 0;
    }

    /// Keys for which there was no room.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Adds `trace_id` and `span_id`, as far as the record has them.
    ///
    /// # Errors
    /// When they are of a wrong length.
    pub fn add_ids(&mut self, record: &LogRecord<'_>) -> Result<(), WireError> {
        if let Some(id) = record.trace_id()? {
            self.add_with("trace_id", |out| write_hex(out, &id));
        }
        if let Some(id) = record.span_id()? {
            self.add_with("span_id", |out| write_hex(out, &id));
        }
        Ok(())
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
        self.add_with(name, |out| out.push_str(value));
    }

    /// Writes the pairs into an `EntryAdapter`.
    pub fn write(&self, out: &mut Writer) {
        for (name, value) in &self.pairs {
            out.message(STRUCTURED_METADATA, |out| {
                out.text(NAME, &self.text[name.clone()]);
                out.text(VALUE, &self.text[value.clone()]);
            });
        }
    }

    fn add_value(&mut self, name: &str, value: AnyValue<'_>) -> Result<(), WireError> {
        let mut written = Ok(());
        self.add_with(name, |out| written = plain::write_text(out, value));
        written
    }

    fn add_with(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write_legal_name(&mut self.text, name);
        let middle = self.text.len();
        write(&mut self.text);
        let end = self.text.len();
        let new = &self.text[start..middle];
        let is_known = self.pairs.iter().any(|(have, _)| self.text[have.clone()] == *new);
        let is_wanted = middle > start && end > middle && !is_known;
        let has_room = self.pairs.len() < MOST_KEYS && end <= MOST_BYTES;
        if is_wanted && has_room {
            self.pairs.push((start..middle, middle..end));
        } else {
            self.left_out += usize::from(is_wanted);
            self.text.truncate(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(metadata: &Metadata) -> Vec<&str> {
        metadata.pairs.iter().map(|(name, _)| &metadata.text[name.clone()]).collect()
    }

    #[test]
    fn names_become_legal_and_are_there_once() {
        let mut metadata = Metadata::default();
        for (name, value) in [("code.line", "7"), ("code_line", "8"), ("1st", "x"), ("empty", ""), ("", "y")] {
            metadata.add(name, value);
        }
        assert_eq!((names(&metadata), metadata.left_out()), (vec!["code_line", "key_1st"], 0));
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
