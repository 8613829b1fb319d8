//! JSON to protobuf: serde's events written straight out, by the schema.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::de::{
    DeserializeSeed, Deserializer, Error, Expected, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::super::schema::{Cardinality, FieldType, Kind, Type};
use super::super::write::Writer;
use super::JsonError;

pub(super) fn request(message: Type, text: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut out = Writer::with_capacity(text.len() / 2);
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = Object { message, name: "the request", out: &mut out };
    read.deserialize(&mut json).and_then(|_| json.end()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = error.to_string();
        let what = what.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&what).to_owned();
        JsonError { line, column, what }
    })?;
    Ok(out.into_vec())
}

/// Reads the inside of a message; answers false for `null`.
struct Object<'o> {
    message: Type,
    name: &'static str,
    out: &'o mut Writer,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object for {}", self.name)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let fields = self.message.fields();
        let mut seen = 0u32;
        while let Some(known) = map.next_key_seed(Name(fields))? {
            let Some(field) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = if field.cardinality == Cardinality::OneOf { 1 } else { 1 << field.number };
            let there = match (field.cardinality, field.kind) {
                (Cardinality::Many, _) => map.next_value_seed(Array { field, out: self.out })?,
                (_, Kind::Message(message)) => {
                    let before = self.out.len();
                    let open = self.out.open(field.number);
                    let there = map.next_value_seed(Object { message, name: field.name, out: self.out })?;
                    self.out.close(open);
                    if !there {
                        self.out.truncate(before);
                    }
                    there
                }
                _ => map.next_value_seed(Single { field, packed: false, out: self.out })?,
            };
            if there && seen & bit != 0 {
                return Err(A::Error::custom(match field.cardinality {
                    Cardinality::OneOf => format!("{} excludes what stands before it", field.name),
                    _ => format!("{} occurs twice", field.name),
                }));
            }
            seen |= bit * u32::from(there);
        }
        Ok(true)
    }
}

/// Reads a key: the field of that name, in camel or snake case.
struct Name(&'static [FieldType]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static FieldType>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static FieldType>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|field| field.name == key || is_camel_case_of(key, field.name)))
    }
}

fn is_camel_case_of(key: &str, snake: &str) -> bool {
    let mut words = snake.split('_');
    let mut rest = words.next().and_then(|first| key.strip_prefix(first));
    for word in words {
        rest = rest.and_then(|rest| {
            let (first, tail) = (rest.as_bytes().first()?, word.as_bytes().first()?);
            if first.to_ascii_lowercase() == *tail && first.is_ascii_uppercase() {
                rest[1..].strip_prefix(&word[1..])
            } else {
                None
            }
        });
    }
    rest == Some("")
}

/// Reads the elements of a field that may occur often.
struct Array<'o> {
    field: &'static FieldType,
    out: &'o mut Writer,
}

impl<'de> DeserializeSeed<'de> for Array<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for {}", self.field.name)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        let Array { field, out } = self;
        match field.kind {
            Kind::Message(message) => loop {
                let before = out.len();
                let open = out.open(field.number);
                if elements.next_element_seed(Object { message, name: field.name, out })?.is_none() {
                    out.truncate(before);
                    return Ok(true);
                }
                out.close(open);
            },
            Kind::Text => {
                while elements.next_element_seed(Single { field, packed: false, out })?.is_some() {}
                Ok(true)
            }
            _ => {
                let before = out.len();
                let open = out.open(field.number);
                let start = out.len();
                while elements.next_element_seed(Single { field, packed: true, out })?.is_some() {}
                if out.len() == start {
                    out.truncate(before);
                } else {
                    out.close(open);
                }
                Ok(true)
            }
        }
    }
}

/// Reads a number, text, or bytes, and writes it with its key, or packed without; answers false for `null`.
struct Single<'o> {
    field: &'static FieldType,
    packed: bool,
    out: &'o mut Writer,
}

impl<'de> DeserializeSeed<'de> for Single<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Says what a field wants.
struct Wanted(&'static FieldType);

impl Expected for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.0.kind {
            Kind::Text => "text",
            Kind::Bytes => "base64 text",
            Kind::TraceId | Kind::SpanId => "hexadecimal text",
            Kind::Bool => "true or false",
            Kind::Enum(..) => "a number or name",
            _ => "a number",
        };
        write!(f, "{what} for {}", self.0.name)
    }
}

impl Visitor<'_> for Single<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Expected::fmt(&Wanted(self.field), f)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        // An element that is not there is a default one.
        match (self.field.cardinality, self.field.kind) {
            (Cardinality::Many, Kind::Text) => self.out.text(self.field.number, ""),
            (Cardinality::Many, _) => self.number(0)?,
            _ => {}
        }
        Ok(false)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        match self.field.kind {
            Kind::Bool => self.integer(u64::from(value)),
            _ => return Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
        Ok(true)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.number(value.into()).map(|()| true)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.number(value.into()).map(|()| true)
    }

    #[allow(clippy::cast_possible_truncation, reason = "whole numbers of that size fit")]
    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        match self.field.kind {
            Kind::Double => self.double(value),
            _ if value.fract() == 0.0 && value.abs() < 1e20 => self.number(value as i128)?,
            _ => return Err(E::invalid_value(Unexpected::Float(value), &self)),
        }
        Ok(true)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        let field = self.field;
        let wrong = || E::invalid_value(Unexpected::Str(value), &Wanted(field));
        match self.field.kind {
            Kind::Text => {
                if !value.is_empty() || self.field.cardinality != Cardinality::One {
                    self.out.text(self.field.number, value);
                }
            }
            Kind::Bytes => {
                let digits = value.trim_end_matches('=');
                let bytes = STANDARD_NO_PAD.decode(digits).or_else(|_| URL_SAFE_NO_PAD.decode(digits));
                self.out.bytes(self.field.number, &bytes.map_err(|_| wrong())?);
            }
            Kind::TraceId => self.id(value, 16)?,
            Kind::SpanId => self.id(value, 8)?,
            Kind::Double => self.double(match value {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                number => number.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(wrong)?,
            }),
            Kind::Enum(prefix, names) => {
                let rest = value.strip_prefix(prefix);
                let number = rest.and_then(|rest| names.iter().position(|name| *name == rest));
                self.integer(number.ok_or_else(wrong)? as u64);
            }
            Kind::Bool | Kind::Message(_) => return Err(E::invalid_type(Unexpected::Str(value), &self)),
            _ => self.number(value.parse::<i128>().map_err(|_| wrong())?)?,
        }
        Ok(true)
    }
}

impl Single<'_> {
    fn id<E: Error>(self, digits: &str, len: usize) -> Result<(), E> {
        let name = self.field.name;
        if digits.is_empty() {
            return Ok(());
        }
        let id = hex(digits).filter(|id| id.len() == len);
        let id = id.ok_or_else(|| E::custom(format!("{name} must have {} hexadecimal digits or none", 2 * len)))?;
        self.out.bytes(self.field.number, &id);
        Ok(())
    }

    fn number<E: Error>(self, value: i128) -> Result<(), E> {
        let name = self.field.name;
        let range = match self.field.kind {
            Kind::Double => {
                #[allow(clippy::cast_precision_loss, reason = "that is what a number for a double means")]
                self.double(value as f64);
                return Ok(());
            }
            Kind::Int32 | Kind::Sint32 | Kind::Enum(..) => i128::from(i32::MIN)..=i128::from(i32::MAX),
            Kind::Int64 | Kind::Sfixed64 => i128::from(i64::MIN)..=i128::from(i64::MAX),
            Kind::Uint32 | Kind::Fixed32 => 0..=i128::from(u32::MAX),
            Kind::Uint64 | Kind::Fixed64 => 0..=i128::from(u64::MAX),
            _ => return Err(E::invalid_type(Unexpected::Other("a number"), &self)),
        };
        if !range.contains(&value) {
            let (least, most) = (range.start(), range.end());
            return Err(E::custom(format!("{name} is {value}, it must be from {least} to {most}")));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
        self.integer(value as u64);
        Ok(())
    }

    /// Writes a number that is in range.
    #[allow(clippy::cast_possible_truncation, reason = "it is in range")]
    fn integer(self, bits: u64) {
        let FieldType { number, kind, .. } = *self.field;
        if self.packed {
            match kind {
                Kind::Uint64 => self.out.raw_varint(bits),
                _ => self.out.raw(&bits.to_le_bytes()),
            }
        } else if bits != 0 || self.field.cardinality != Cardinality::One {
            match kind {
                Kind::Sint32 => self.out.sint32(number, bits as i32),
                Kind::Fixed32 => self.out.fixed32(number, bits as u32),
                Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => self.out.fixed64(number, bits),
                _ => self.out.varint(number, bits),
            }
        }
    }

    fn double(self, value: f64) {
        self.integer(value.to_bits());
    }
}

/// Bytes out of hexadecimal digits of any case.
fn hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    #[allow(clippy::cast_possible_truncation, reason = "two digits make a byte")]
    let byte = |pair: &[u8; 2]| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
