//! Values that a config leaves open (`value: any` in the collector's schemas): kept with the type that YAML gave them,
//! written as OTLP values, compared with OTLP values.

use std::fmt;

use pipeline::otlp::WireError;
use pipeline::otlp::fields::{any_value, key_value};
use pipeline::otlp::view::AnyValue;
use pipeline::otlp::write::{Scalar, Writer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value of any type.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, which counts as absent.
    #[default]
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map, in the order written.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Whether the config gives no value.
    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a whole number",
            Value::Double(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Writes the inside of an `AnyValue`.
    pub fn write(&self, out: &mut Writer) {
        match self {
            Value::Null => {}
            Value::Bool(v) => out.scalar(Scalar::Bool(*v)),
            Value::Int(v) => out.scalar(Scalar::Int(*v)),
            Value::Double(v) => out.scalar(Scalar::Double(*v)),
            Value::Text(v) => out.scalar(Scalar::Text(v)),
            Value::List(list) => out.message(any_value::ARRAY, |w| {
                list.iter().for_each(|v| w.message(any_value::VALUES, |w| v.write(w)));
            }),
            Value::Map(entries) => out.message(any_value::KVLIST, |w| {
                for (key, value) in entries {
                    w.message(any_value::VALUES, |w| {
                        w.text(key_value::KEY, key);
                        w.message(key_value::VALUE, |w| value.write(w));
                    });
                }
            }),
        }
    }

    /// Whether an OTLP value is of the same type and equal; maps compare without order.
    ///
    /// # Errors
    /// When a nested value is malformed.
    pub fn equals(&self, other: AnyValue<'_>) -> Result<bool, WireError> {
        Ok(match (self, other) {
            (Value::Null, AnyValue::Empty) => true,
            (Value::Bool(a), AnyValue::Bool(b)) => *a == b,
            (Value::Int(a), AnyValue::Int(b)) => *a == b,
            #[allow(clippy::float_cmp, reason = "equal means equal here")]
            (Value::Double(a), AnyValue::Double(b)) => *a == b,
            (Value::Text(a), AnyValue::Text(b)) => a == b,
            (Value::List(list), AnyValue::Array(_)) => {
                let mut wanted = list.iter();
                for element in other.elements() {
                    let element = element?;
                    match wanted.next() {
                        Some(value) if value.equals(element)? => {}
                        _ => return Ok(false),
                    }
                }
                wanted.next().is_none()
            }
            (Value::Map(entries), AnyValue::Map(_)) => {
                let mut found = 0;
                for entry in other.entries() {
                    let entry = entry?;
                    match entries.iter().find(|(key, _)| key == entry.key) {
                        Some((_, value)) if value.equals(entry.value)? => found += 1,
                        _ => return Ok(false),
                    }
                }
                found == entries.len()
            }
            _ => false,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Int(v.cast_signed()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Double(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
