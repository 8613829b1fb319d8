//! References to a value of an entry: `body`, `body.a["b.c"]`, `attributes.x`, `resource.x`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use super::value::Value;

/// What a field starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The record's body.
    Body,
    /// The record's attributes.
    Attributes,
    /// The attributes of its resource.
    Resource,
}

/// A place in an entry: a root and the keys below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it starts.
    pub root: Root,
    /// The keys to follow.
    pub keys: Vec<String>,
}

impl Field {
    /// A root itself.
    pub const fn root(root: Root) -> Field {
        Field { root, keys: Vec::new() }
    }

    /// The place of a key below this one.
    #[must_use]
    pub fn below(&self, key: &str) -> Field {
        let mut keys = self.keys.clone();
        keys.push(key.to_owned());
        Field { root: self.root, keys }
    }
}

impl Field {
    /// Whether a value may stand there: all attributes and the whole resource are maps.
    pub fn takes(&self, value: &Value<'_>) -> bool {
        !self.keys.is_empty() || self.root == Root::Body || matches!(value, Value::Map(_))
    }

    /// Whether it is that place or inside of it.
    pub fn is_within(&self, other: &Field) -> bool {
        self.root == other.root && self.keys.starts_with(&other.keys)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.root {
            Root::Body => "body",
            Root::Attributes => "attributes",
            Root::Resource => "resource",
        })?;
        for key in &self.keys {
            if key.is_empty() || key.contains(['.', '[', ']', '"', '\'']) {
                write!(f, "[{key:?}]")?;
            } else {
                write!(f, ".{key}")?;
            }
        }
        Ok(())
    }
}

/// Why a text is no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError(String);

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "is {:?}, which is no field; fields look like body, attributes.time, resource[\"k8s.pod.name\"]",
            self.0
        )
    }
}

impl FromStr for Field {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Field, FieldError> {
        parse(text).ok_or_else(|| FieldError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Field> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let root = match &text[..end] {
        "body" | "$" | "$body" => Root::Body,
        "attributes" | "$attributes" => Root::Attributes,
        "resource" | "$resource" => Root::Resource,
        _ => return None,
    };
    let mut keys = Vec::new();
    let mut rest = &text[end..];
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return None;
            }
            keys.push(after[..end].to_owned());
            rest = &after[end..];
        } else {
            let after = rest.strip_prefix('[')?;
            let quote = after.chars().next().filter(|q| matches!(q, '"' | '\''))?;
            let end = after[1..].find(quote)? + 1;
            keys.push(after[1..end].to_owned());
            rest = after[end + 1..].strip_prefix(']')?;
        }
    }
    Some(Field { root, keys })
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_printed() {
        for (text, root, keys) in [
            ("body", Root::Body, &[][..]),
            ("attributes.time", Root::Attributes, &["time"]),
            ("body.a[\"b.c\"].d", Root::Body, &["a", "b.c", "d"]),
            ("resource[\"k8s.pod.name\"]", Root::Resource, &["k8s.pod.name"]),
        ] {
            let field: Field = text.parse().unwrap();
            assert_eq!((field.root, field.keys.iter().map(String::as_str).collect::<Vec<_>>()), (root, keys.to_vec()));
            assert_eq!(field.to_string(), text);
        }
        assert_eq!("attributes['a.b']".parse::<Field>().unwrap().keys, ["a.b"]);
    }

    #[test]
    fn what_is_no_field_says_what_would_be() {
        for bad in ["", "message", "body.", "body..a", "body[a]", "body[\"a]", "attributes\"x\"", "body[\"a\"]b"] {
            let error = bad.parse::<Field>().unwrap_err().to_string();
            assert!(error.contains("attributes.time"), "{bad}: {error}");
        }
    }
}
