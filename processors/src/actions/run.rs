//! Compiled actions, and what they do to attributes.

use std::net::SocketAddr;

use pipeline::Metadata;
use pipeline::config::re2;
use pipeline::otlp::WireError;
use pipeline::otlp::edit::{Attributes, When};
use pipeline::otlp::hex::write_hex;
use pipeline::otlp::view::{AnyValue, View};
use pipeline::otlp::write::Writer;
use regex::Regex;
use ring::digest::{SHA256, digest};

use super::{Action, Verb};
use crate::text;

/// Compiled actions.
#[derive(Clone, Debug)]
pub struct Actions {
    ops: Vec<Op>,
}

#[derive(Clone, Debug)]
enum Op {
    /// `value` is the inside of an `AnyValue`.
    Value {
        key: Box<str>,
        value: Box<[u8]>,
        when: When,
    },
    Copy {
        key: Box<str>,
        from: Box<str>,
        when: When,
    },
    Context {
        key: Box<str>,
        from: Origin,
        when: When,
    },
    Delete(Keys),
    Hash(Keys),
    Extract {
        key: Box<str>,
        pattern: Regex,
        names: Vec<Box<str>>,
    },
    Convert {
        key: Box<str>,
        to: Type,
    },
}

/// One key, the keys that match, or both.
#[derive(Clone, Debug)]
struct Keys {
    key: Option<Box<str>>,
    pattern: Option<Regex>,
}

/// What a receiver knows about the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// A header, by its lower-case name.
    Header(Box<str>),
    /// The address without its port.
    Address,
    /// What an authenticator found out, by its name.
    Auth(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Int,
    Double,
    Text,
}

impl Actions {
    /// Compiles actions that were checked.
    ///
    /// # Errors
    /// What the check finds too.
    pub fn new(actions: &[Action]) -> Result<Actions, String> {
        actions.iter().map(Op::new).collect::<Result<_, _>>().map(|ops| Actions { ops })
    }

    /// The actions for one batch, whose sender is known.
    pub fn bind(&self, meta: Option<&Metadata>) -> Bound<'_> {
        let context = |op: &Op| match op {
            Op::Context { from, .. } => meta.and_then(|meta| from.read(meta)),
            _ => None,
        };
        let uses_context = self.ops.iter().any(|op| matches!(op, Op::Context { .. }));
        let context = if uses_context { self.ops.iter().map(context).collect() } else { Vec::new() };
        Bound { ops: &self.ops, context }
    }
}

impl Op {
    fn new(action: &Action) -> Result<Op, String> {
        let verb = Verb::of(action).ok_or("action is required")?;
        let key: Box<str> = action.key.as_str().into();
        let pattern = || re2::regex(&action.pattern);
        let keys = || -> Result<Keys, String> {
            Ok(Keys {
                key: Some(key.clone()).filter(|key| !key.is_empty()),
                pattern: (!action.pattern.is_empty()).then(pattern).transpose()?,
            })
        };
        let when = match verb {
            Verb::Insert => When::Absent,
            Verb::Update => When::Present,
            _ => When::Always,
        };
        Ok(match verb {
            Verb::Delete => Op::Delete(keys()?),
            Verb::Hash => Op::Hash(keys()?),
            Verb::Extract => {
                let pattern = pattern()?;
                let names = pattern.capture_names().skip(1).flatten().map(Into::into).collect();
                Op::Extract { key, pattern, names }
            }
            Verb::Convert => {
                let to = match action.converted_type.as_str() {
                    "int" => Type::Int,
                    "double" => Type::Double,
                    _ => Type::Text,
                };
                Op::Convert { key, to }
            }
            Verb::Insert | Verb::Update | Verb::Upsert if !action.value.is_null() => {
                let mut value = Writer::new();
                action.value.write(&mut value);
                Op::Value { key, value: value.into_vec().into(), when }
            }
            Verb::Insert | Verb::Update | Verb::Upsert if !action.from_attribute.is_empty() => {
                Op::Copy { key, from: action.from_attribute.as_str().into(), when }
            }
            Verb::Insert | Verb::Update | Verb::Upsert => {
                Op::Context { key, from: Origin::new(&action.from_context), when }
            }
        })
    }
}

impl Origin {
    fn new(name: &str) -> Origin {
        match name.split_once('.') {
            Some(("client", "address")) => Origin::Address,
            Some(("auth", name)) => Origin::Auth(name.into()),
            Some(("metadata", header)) => Origin::Header(header.to_ascii_lowercase().into()),
            _ => Origin::Header(name.to_ascii_lowercase().into()),
        }
    }

    fn read(&self, meta: &Metadata) -> Option<String> {
        match self {
            Origin::Address => meta.peer.as_ref().map(|peer| {
                peer.parse::<SocketAddr>().map_or_else(|_| peer.clone(), |address| address.ip().to_string())
            }),
            Origin::Auth(wanted) => {
                meta.identity.iter().find(|(name, _)| **name == **wanted).map(|(_, value)| value.clone())
            }
            Origin::Header(name) => {
                let values: Vec<_> =
                    meta.headers.iter().filter(|(n, _)| **n == **name).map(|(_, v)| v.as_str()).collect();
                (!values.is_empty()).then(|| values.join(";"))
            }
        }
    }
}

/// Actions with what they take from the sender of a batch.
#[derive(Debug)]
pub struct Bound<'s> {
    ops: &'s [Op],
    /// For each operation, or empty.
    context: Vec<Option<String>>,
}

impl Bound<'_> {
    /// Does what the actions say, in their order.
    ///
    /// # Errors
    /// When an attribute is malformed.
    pub fn apply(&self, attributes: &mut Attributes<'_>) -> Result<(), WireError> {
        for (i, op) in self.ops.iter().enumerate() {
            match op {
                Op::Value { key, value, when } => {
                    attributes.write(*when, key, AnyValue::view(value)?)?;
                }
                Op::Copy { key, from, when } => {
                    attributes.copy(from, key, *when)?;
                }
                Op::Context { key, when, .. } => {
                    if let Some(Some(value)) = self.context.get(i) {
                        attributes.write(*when, key, AnyValue::Text(value))?;
                    }
                }
                Op::Delete(keys) => {
                    if let Some(key) = &keys.key {
                        attributes.delete(key)?;
                    }
                    if let Some(pattern) = &keys.pattern {
                        attributes.retain(|attribute| !pattern.is_match(attribute.key))?;
                    }
                }
                Op::Hash(keys) => {
                    if let Some(key) = &keys.key {
                        hash(attributes, key)?;
                    }
                    if let Some(pattern) = &keys.pattern {
                        for key in keys_matching(attributes, pattern)? {
                            hash(attributes, &key)?;
                        }
                    }
                }
                Op::Extract { key, pattern, names } => extract(attributes, key, pattern, names)?,
                Op::Convert { key, to } => convert(attributes, key, *to)?,
            }
        }
        Ok(())
    }
}

fn keys_matching(attributes: &mut Attributes<'_>, pattern: &Regex) -> Result<Vec<String>, WireError> {
    let mut keys = Vec::new();
    for attribute in attributes.iter()? {
        let key = attribute?.key;
        if pattern.is_match(key) && !keys.iter().any(|k| k == key) {
            keys.push(key.to_owned());
        }
    }
    Ok(keys)
}

/// Puts the SHA-256 of a value in its place, in hexadecimal. Numbers are hashed as 8 bytes, little endian, booleans as
/// one byte; an empty text, bytes, lists and maps become an empty text.
fn hash(attributes: &mut Attributes<'_>, key: &str) -> Result<(), WireError> {
    let digest = match attributes.find(key)? {
        None => return Ok(()),
        Some(AnyValue::Text("")) => String::new(),
        Some(AnyValue::Text(v)) => sha256(v.as_bytes()),
        Some(AnyValue::Bool(v)) => sha256(&[u8::from(v)]),
        Some(AnyValue::Int(v)) => sha256(&v.to_le_bytes()),
        Some(AnyValue::Double(v)) => sha256(&v.to_bits().to_le_bytes()),
        Some(AnyValue::Empty | AnyValue::Array(_) | AnyValue::Map(_) | AnyValue::Bytes(_)) => String::new(),
    };
    attributes.update(key, AnyValue::Text(&digest)).map(drop)
}

fn sha256(bytes: &[u8]) -> String {
    let mut digits = String::new();
    write_hex(&mut digits, digest(&SHA256, bytes).as_ref());
    digits
}

/// Writes what the named groups match; a group that takes no part becomes an empty text.
fn extract(attributes: &mut Attributes<'_>, key: &str, pattern: &Regex, names: &[Box<str>]) -> Result<(), WireError> {
    let Some(AnyValue::Text(text)) = attributes.find(key)? else { return Ok(()) };
    let Some(groups) = pattern.captures(text) else { return Ok(()) };
    let group = |i| groups.get(i).map_or("", |m| m.as_str()).to_owned();
    let values: Vec<_> = (1..=names.len()).map(group).collect();
    for (name, value) in names.iter().zip(&values) {
        attributes.upsert(name, AnyValue::Text(value))?;
    }
    Ok(())
}

/// Writes the value in the type asked for; what has no such form stays.
fn convert(attributes: &mut Attributes<'_>, key: &str, to: Type) -> Result<(), WireError> {
    let Some(value) = attributes.find(key)? else { return Ok(()) };
    let converted = match to {
        Type::Text => match value {
            AnyValue::Text(_) => return Ok(()),
            value => {
                let text = text::of(value)?.into_owned();
                return attributes.update(key, AnyValue::Text(&text)).map(drop);
            }
        },
        Type::Int => to_int(value).map(AnyValue::Int),
        Type::Double => to_double(value).map(AnyValue::Double),
    };
    match converted {
        Some(converted) => attributes.update(key, converted).map(drop),
        None => Ok(()),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a fraction is cut off, as the collector does")]
fn to_int(value: AnyValue<'_>) -> Option<i64> {
    match value {
        AnyValue::Double(v) => Some(v as i64),
        AnyValue::Bool(v) => Some(i64::from(v)),
        AnyValue::Text(text) => text.parse().ok(),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "as the collector does")]
fn to_double(value: AnyValue<'_>) -> Option<f64> {
    match value {
        AnyValue::Int(v) => Some(v as f64),
        AnyValue::Bool(v) => Some(f64::from(u8::from(v))),
        AnyValue::Text(text) => {
            text.parse().ok().filter(|v: &f64| v.is_finite() || !text.contains(|c: char| c.is_ascii_digit()))
        }
        _ => None,
    }
}
