//! What goes wrong while decoding, in words for the person who wrote the config.

use std::fmt;

use serde::de;

use super::path::Path;
use crate::config::nearest::nearest;
use crate::config::report::{Diagnostic, Rule, SECRET_WORDS};
use crate::config::tree::{Entry, Node, Value, quoted};

/// Why a value could not be decoded.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It has been noted with its place, or needs no note; its value is taken out.
    Noted,
    /// Said by a type, without a place yet.
    Said(String),
    /// A key that must be there.
    Missing(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Noted => f.write_str("noted"),
            Failure::Said(text) => f.write_str(text),
            Failure::Missing(key) => write!(f, "needs {key:?}"),
        }
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Failure {
        Failure::Said(message.to_string())
    }

    fn invalid_type(_: de::Unexpected<'_>, works: &dyn de::Expected) -> Failure {
        Failure::Said(format!("takes {works}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, works: &dyn de::Expected) -> Failure {
        Failure::Said(format!("takes {works}"))
    }

    fn invalid_length(length: usize, works: &dyn de::Expected) -> Failure {
        Failure::Said(format!("has {length} elements, takes {works}"))
    }

    fn missing_field(key: &'static str) -> Failure {
        Failure::Missing(key)
    }

    fn duplicate_field(key: &'static str) -> Failure {
        Failure::Said(format!("has {key:?} under two of its names; keep one"))
    }
}

/// A key that nobody reads.
pub(super) fn unknown_key(
    entry: &Entry,
    path: &Path<'_>,
    known: &[&'static str],
    removed: &'static [(&'static str, &'static str)],
) -> Diagnostic {
    const FEW: usize = 16;
    let key = &entry.key;
    let mut diagnostic =
        Diagnostic::error(entry.at, format!("'{path}' has invalid keys: {key}")).rule(Rule::UnknownKey);
    // A misspelt password is still one.
    diagnostic.hidden = nearest(key, SECRET_WORDS).map(|_| Box::new(entry.value.at));
    if let Some((_, advice)) = removed.iter().find(|(name, _)| name == key) {
        return diagnostic.help(*advice);
    }
    let diagnostic = match nearest(key, known.iter().copied()) {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
        None => Diagnostic { unknown: Some(key.as_str().into()), ..diagnostic },
    };
    match known.len() {
        0 => diagnostic.help("it has no settings"),
        1..=FEW => diagnostic.help(format!("valid keys: {}", known.join(", "))),
        _ => diagnostic,
    }
}

/// A value of the wrong kind; `works` as in "takes a whole number".
pub(super) fn wrong_kind(node: &Node, works: &str, secret: bool) -> String {
    if secret {
        return match &node.value {
            Value::List(_) | Value::Map(_) => format!("takes {works}, not {}", node.describe()),
            _ => format!("takes {works}; write it in quotes"),
        };
    }
    let hint = match (&node.value, works) {
        (Value::Text(text), NUMBER | FLOAT) if text.parse::<f64>().is_ok() => format!("; write {text} without quotes"),
        (Value::Text(text), BOOLEAN) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => "; write true".to_owned(),
            "false" | "no" | "off" | "0" => "; write false".to_owned(),
            _ => "; write true or false".to_owned(),
        },
        (Value::Bool(_) | Value::Int(_) | Value::Float(_), TEXT) => {
            format!("; write {} in quotes", quoted(&node.scalar_text()))
        }
        _ => String::new(),
    };
    format!("takes {works}, not {}{hint}", node.describe())
}

/// A text that is none of the words of an enum.
pub(super) fn unknown_word(word: &str, words: &'static [&'static str]) -> String {
    let list = one_of(words);
    match nearest(word, words.iter().copied()) {
        Some(name) => format!("is {}; did you mean `{name}`? (valid values: {list})", quoted(word)),
        None => format!("is {} (valid values: {list})", quoted(word)),
    }
}

/// The words of an enum, as a list.
pub(super) fn one_of(words: &'static [&'static str]) -> String {
    // Of two spellings, the lower-case one is enough.
    let other_case = |w: &str| words.contains(&w.to_ascii_lowercase().as_str()) && w.to_ascii_lowercase() != w;
    words.iter().filter(|w| !other_case(w)).map(|w| format!("{w:?}")).collect::<Vec<_>>().join(", ")
}

/// As in "takes text".
pub(super) const TEXT: &str = "text";
/// As in "takes true or false".
pub(super) const BOOLEAN: &str = "true or false";
/// As in "takes a whole number".
pub(super) const NUMBER: &str = "a whole number";
/// As in "takes a number".
pub(super) const FLOAT: &str = "a number";
/// As in "takes a list".
pub(super) const LIST: &str = "a list";
/// As in "takes a map".
pub(super) const MAP: &str = "a map";
