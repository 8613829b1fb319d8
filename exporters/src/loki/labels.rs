//! The labels of a stream: made legal, each name once, at most so many, and written as Loki writes them.

use std::fmt::Write;

/// Loki's limits on a label's name and value, in bytes.
const MOST_NAME: usize = 1024;
const MOST_VALUE: usize = 2048;

/// The label of streams for entries that are too old for others.
const BACKFILL: &str = "backfill";

/// What a stream without any label is called, by Loki itself too.
const NO_LABELS: &str = "{service_name=\"unknown_service\"}";

/// Labels in the order of their importance.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    list: Vec<(String, String)>,
}

/// Whether a label was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there, or one of that name was there before.
    Yes,
    /// There are too many, or it is too long.
    No,
}

impl Labels {
    /// Adds a label unless its value is empty; `most` is how many there may be.
    pub fn add(&mut self, name: &str, value: &str, most: usize) -> Added {
        let name = legal_name(name);
        if value.is_empty() || name.is_empty() || self.list.iter().any(|(have, _)| *have == name) {
            return Added::Yes;
        }
        if self.list.len() >= most || name.len() > MOST_NAME || value.len() > MOST_VALUE {
            return Added::No;
        }
        self.list.push((name, value.to_owned()));
        Added::Yes
    }

    /// Adds the label of a stream for entries that are too old for its other one, in any case: where there are as many as
    /// may be, the least important goes, and is answered.
    pub fn add_backfill(&mut self, most: usize) -> Option<(String, String)> {
        let known = self.list.iter().position(|(name, _)| name == BACKFILL);
        let gone = match known {
            Some(at) => {
                self.list.remove(at);
                None
            }
            None if self.list.len() >= most => self.list.pop(),
            None => None,
        };
        self.list.push((BACKFILL.to_owned(), "true".to_owned()));
        gone
    }

    /// `{a="b", c="d"}`, sorted by name.
    pub fn into_text(mut self) -> String {
        if self.list.is_empty() {
            return NO_LABELS.to_owned();
        }
        self.list.sort();
        let mut out = String::from("{");
        for (i, (name, value)) in self.list.iter().enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            out.push_str(name);
            out.push('=');
            write_quoted(&mut out, value);
        }
        out.push('}');
        out
    }
}

/// A name of letters, digits and `_`, no digit first: every other character becomes `_`.
pub fn legal_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    write_legal_name(&mut out, name);
    out
}

/// Appends a legal name; see [`legal_name`].
pub fn write_legal_name(out: &mut String, name: &str) {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push_str("key_");
    }
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.bytes().all(is_legal) {
        out.push_str(name);
        return;
    }
    if name.is_ascii() {
        out.extend(name.bytes().map(|b| if is_legal(b) { char::from(b) } else { '_' }));
        return;
    }
    for (i, piece) in name.split(|c: char| !c.is_ascii_alphanumeric()).enumerate() {
        if i > 0 {
            out.push('_');
        }
        out.push_str(piece);
    }
}

/// Appends text in quotes, as Go quotes it.
fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(labels: &[(&str, &str)]) -> String {
        let mut out = Labels::default();
        labels.iter().for_each(|(name, value)| assert_eq!(out.add(name, value, 15), Added::Yes));
        out.into_text()
    }

    #[test]
    fn labels_are_legal_sorted_and_unique() {
        let labels = [("service.name", "a"), ("Z", "b"), ("1st", "c"), ("service_name", "later"), ("empty", "")];
        assert_eq!(text(&labels), r#"{Z="b", key_1st="c", service_name="a"}"#);
        assert_eq!(text(&[]), r#"{service_name="unknown_service"}"#);
    }

    #[test]
    fn values_are_quoted_as_go_does() {
        assert_eq!(text(&[("a", "x\"y\\z\n\t\r\u{1b}ü")]), r#"{a="x\"y\\z\n\t\r\u001bü"}"#);
    }

    #[test]
    fn what_loki_would_refuse_is_not_taken() {
        let mut labels = Labels::default();
        assert_eq!(labels.add("a", "1", 2), Added::Yes);
        assert_eq!(labels.add("b", &"x".repeat(2049), 2), Added::No);
        assert_eq!(labels.add(&"n".repeat(1025), "1", 2), Added::No);
        assert_eq!(labels.add("b", &"x".repeat(2048), 2), Added::Yes);
        assert_eq!(labels.add("c", "1", 2), Added::No);
        assert_eq!(labels.add("a", "2", 2), Added::Yes);
        assert!(labels.into_text().starts_with(r#"{a="1", b="xxx"#));
    }
}
