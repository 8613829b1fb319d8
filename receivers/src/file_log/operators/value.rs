//! Values of an entry: borrowed from the line where they can be, written as OTLP values at the end.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use pipeline::json::{JsonError, Raw, Scanner};
use pipeline::otlp::fields::{any_value, key_value};
use pipeline::otlp::write::{Scalar, Writer};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes that are no text.
    Bytes(Cow<'a, [u8]>),
    /// A list.
    List(Vec<Value<'a>>),
    /// A map.
    Map(Map<'a>),
}

impl<'a> Value<'a> {
    /// Borrowed or owned text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Value<'a> {
        Value::Text(text.into())
    }

    /// The value with everything borrowed copied.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(v),
            Value::Int(v) => Value::Int(v),
            Value::Double(v) => Value::Double(v),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Value::List(list) => Value::List(list.into_iter().map(Value::into_owned).collect()),
            Value::Map(Map(entries)) => {
                let own = |(k, v): (Cow<'_, str>, Value<'_>)| (Cow::Owned(k.into_owned()), v.into_owned());
                Value::Map(Map(entries.into_iter().map(own).collect()))
            }
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a whole number",
            Value::Double(_) => "a number",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// Writes the inside of an `AnyValue`.
    pub fn write(&self, out: &mut Writer) {
        match self {
            Value::Null => {}
            Value::Bool(v) => out.scalar(Scalar::Bool(*v)),
            Value::Int(v) => out.scalar(Scalar::Int(*v)),
            Value::Double(v) => out.scalar(Scalar::Double(*v)),
            Value::Text(v) => out.scalar(Scalar::Text(v)),
            Value::Bytes(v) => out.scalar(Scalar::Bytes(v)),
            Value::List(list) => out.message(any_value::ARRAY, |w| {
                list.iter().for_each(|v| w.message(any_value::VALUES, |w| v.write(w)));
            }),
            Value::Map(map) => out.message(any_value::KVLIST, |w| map.write(any_value::VALUES, w)),
        }
    }
}

/// A value that a config leaves open, with the type that YAML gave it.
impl<'de> Deserialize<'de> for Value<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value<'static>, D::Error> {
        deserializer.deserialize_any(Open)
    }
}

struct Open;

impl<'de> Visitor<'de> for Open {
    type Value = Value<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<'static>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value<'static>, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value<'static>, E> {
        Ok(Value::Int(v))
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value<'static>, E> {
        i64::try_from(v).map(Value::Int).map_err(|_| E::custom("is more than an OTLP number holds; put it in quotes"))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value<'static>, E> {
        Ok(Value::Double(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value<'static>, E> {
        Ok(Value::text(v.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'static>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Value<'static>, A::Error> {
        let mut map = Map::default();
        while let Some((key, value)) = entries.next_entry::<String, Value<'static>>()? {
            map.set(key, value);
        }
        Ok(Value::Map(map))
    }
}

/// A map in the order its keys came; each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// Above so many members, a JSON object is searched for duplicate keys with a table.
const FEW: usize = 32;

impl<'a> Map<'a> {
    /// No keys.
    pub const EMPTY: Map<'a> = Map(Vec::new());

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value<'a>> {
        self.0.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Sets the value of a key.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: Value<'a>) {
        let key = key.into();
        match self.get_mut(&key) {
            Some(old) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    /// Sets all keys of another map.
    pub fn merge(&mut self, other: Map<'a>) {
        if self.0.is_empty() {
            self.0 = other.0;
        } else {
            other.0.into_iter().for_each(|(k, v)| self.set(k, v));
        }
    }

    /// Its keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), v))
    }

    /// The same, with texts borrowed from this one.
    pub fn borrowed(&'a self) -> Map<'a> {
        let text = |value: &'a Value<'a>| value.as_text().map_or_else(|| value.clone(), Value::text);
        Map(self.0.iter().map(|(k, v)| (Cow::Borrowed(&**k), text(v))).collect())
    }

    /// Writes each entry as a `KeyValue` in field `number`.
    pub fn write(&self, number: u32, out: &mut Writer) {
        for (key, value) in &self.0 {
            out.message(number, |w| {
                w.text(key_value::KEY, key);
                w.message(key_value::VALUE, |w| value.write(w));
            });
        }
    }
}

/// How deep JSON may be nested: an OTLP reader gives up at 100 messages, and a level here is up to three of them.
const MOST_DEPTH: usize = 24;

/// Reads a whole JSON text. Without `ints`, all numbers are doubles, as the collector's `json_parser` makes them.
///
/// # Errors
/// Where the text is no JSON, or is nested too deep.
pub fn from_json(text: &str, ints: bool) -> Result<Value<'_>, JsonError> {
    let mut scanner = Scanner::new(text);
    let value = read(&mut scanner, ints, MOST_DEPTH)?;
    scanner.end()?;
    Ok(value)
}

/// Reads a whole text that is a JSON array. What has an inner structure stays text.
///
/// # Errors
/// Where the text is none.
pub fn elements(text: &str) -> Result<Vec<Value<'static>>, JsonError> {
    let mut scanner = Scanner::new(text);
    scanner.expect(b'[', "an array should start here")?;
    let mut list = Vec::new();
    if !scanner.take(b']') {
        loop {
            let value = match scanner.value()? {
                Raw::Str(text) => Value::Text(text.text()),
                Raw::Number(number) => self::number(number, true),
                Raw::Bool(value) => Value::Bool(value),
                Raw::Null => Value::Null,
                Raw::Nested(text) => Value::text(text),
            };
            list.push(value.into_owned());
            if !scanner.take(b',') {
                scanner.expect(b']', "a `,` or `]` should stand here")?;
                break;
            }
        }
    }
    scanner.end()?;
    Ok(list)
}

fn read<'a>(scanner: &mut Scanner<'a>, ints: bool, depth: usize) -> Result<Value<'a>, JsonError> {
    if depth == 0 {
        return Err(scanner.error("JSON is nested deeper than 24 levels"));
    }
    if scanner.take(b'{') {
        return read_map(scanner, ints, depth).map(Value::Map);
    }
    if scanner.take(b'[') {
        let mut list = Vec::new();
        if !scanner.take(b']') {
            loop {
                list.push(read(scanner, ints, depth - 1)?);
                if !scanner.take(b',') {
                    scanner.expect(b']', "a `,` or `]` should stand here")?;
                    break;
                }
            }
        }
        return Ok(Value::List(list));
    }
    Ok(match scanner.value()? {
        Raw::Str(text) => Value::Text(text.text()),
        Raw::Number(number) => self::number(number, ints),
        Raw::Bool(value) => Value::Bool(value),
        Raw::Null | Raw::Nested(_) => Value::Null,
    })
}

/// A later member wins over an earlier one with the same key.
fn read_map<'a>(scanner: &mut Scanner<'a>, ints: bool, depth: usize) -> Result<Map<'a>, JsonError> {
    let mut map = Map::default();
    let mut table: HashMap<Cow<'a, str>, usize> = HashMap::new();
    if scanner.take(b'}') {
        return Ok(map);
    }
    loop {
        let key = scanner.string()?.text();
        scanner.expect(b':', "a `:` should stand here")?;
        let value = read(scanner, ints, depth - 1)?;
        if map.0.len() < FEW {
            map.set(key, value);
        } else {
            if table.is_empty() {
                table.extend(map.0.iter().enumerate().map(|(i, (k, _))| (k.clone(), i)));
            }
            match table.get(&key) {
                Some(&at) => map.0[at].1 = value,
                None => {
                    table.insert(key.clone(), map.0.len());
                    map.0.push((key, value));
                }
            }
        }
        if !scanner.take(b',') {
            scanner.expect(b'}', "a `,` or `}` should stand here")?;
            return Ok(map);
        }
    }
}

fn number(text: &str, ints: bool) -> Value<'_> {
    match text.parse() {
        Ok(int) if ints => Value::Int(int),
        _ => text.parse().map_or(Value::text(text), Value::Double),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ints: bool, want: &str) {
        assert_eq!(format!("{:?}", from_json(text, ints).unwrap()), want, "{text}");
    }

    #[test]
    fn json_becomes_values_with_doubles_unless_ints_are_asked_for() {
        check("3", false, "Double(3.0)");
        check("3", true, "Int(3)");
        check("11360150215887396147", true, "Double(1.1360150215887397e19)");
        check(r#"{"a":[1,{"b":null}],"c":"\n","a":true}"#, true, r#"Map(Map([("a", Bool(true)), ("c", Text("\n"))]))"#);
        check("[]", true, "List([])");
    }

    #[test]
    fn duplicate_keys_of_large_objects_are_found_in_linear_time() {
        let members: Vec<_> = (0..100_000).map(|i| format!("\"k{}\":{i}", i % 50_000)).collect();
        let text = format!("{{{}}}", members.join(","));
        let Ok(Value::Map(map)) = from_json(&text, true) else { panic!("no map") };
        assert_eq!((map.0.len(), map.get("k7")), (50_000, Some(&Value::Int(50_007))));
    }

    #[test]
    fn broken_or_deep_json_is_an_error() {
        for text in ["", "{", "[1,]", "{\"a\":1]", "1 2", "{\"a\":{\"b\":}}"] {
            assert!(from_json(text, true).is_err(), "{text}");
        }
        let deep = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(from_json(&deep(23), true).is_ok());
        let error = from_json(&deep(24), true).unwrap_err();
        assert_eq!(error.what, "JSON is nested deeper than 24 levels");
    }
}
