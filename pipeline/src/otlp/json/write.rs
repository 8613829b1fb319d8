//! Protobuf to JSON, by the schema.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;

use super::super::hex::digits;
use super::super::schema::{Cardinality, FieldType, Kind, Type};
use super::super::wire::{Field, Fields, Value, WireError, read_varint};

/// Writes a checked and canonical message as an object, its fields in the order of the schema.
pub(super) fn object(message: Type, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let known = message.fields();
    let mut fields = SmallVec::<[(usize, Field<'_>); 24]>::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if let Some(at) = known.iter().position(|known| known.number == field.number) {
            fields.push((at, field));
        }
    }
    let one_of = fields.iter().rev().find(|(at, _)| known[*at].cardinality == Cardinality::OneOf).map(|(at, _)| *at);
    fields.sort_by_key(|(at, _)| *at);

    out.push(b'{');
    let mut is_first = true;
    for same in fields.chunk_by(|a, b| a.0 == b.0) {
        let (Some((at, _)), Some((_, last))) = (same.first(), same.last()) else { continue };
        let field = &known[*at];
        let start = out.len();
        if !is_first {
            out.push(b',');
        }
        name(field.name, out);
        let is_written = match field.cardinality {
            Cardinality::Many => {
                array(field, same, out)?;
                true
            }
            Cardinality::OneOf if one_of != Some(*at) => false,
            Cardinality::One if is_default(last.value) && !matches!(field.kind, Kind::Message(_)) => false,
            _ => {
                single(field.kind, last.value, out)?;
                true
            }
        };
        if is_written {
            is_first = false;
        } else {
            out.truncate(start);
        }
    }
    out.push(b'}');
    Ok(())
}

fn is_default(value: Value<'_>) -> bool {
    matches!(value, Value::Varint(0) | Value::Fixed64(0) | Value::Fixed32(0) | Value::Len([]))
}

fn array(field: &FieldType, occurrences: &[(usize, Field<'_>)], out: &mut Vec<u8>) -> Result<(), WireError> {
    out.push(b'[');
    let start = out.len();
    let mut element = |value| {
        if out.len() > start {
            out.push(b',');
        }
        single(field.kind, value, out)
    };
    for (_, occurrence) in occurrences {
        match (field.kind, occurrence.value) {
            (Kind::Uint64, Value::Len(packed)) => {
                let mut at = 0;
                while at < packed.len() {
                    element(Value::Varint(read_varint(packed, &mut at)?))?;
                }
            }
            (Kind::Fixed64 | Kind::Double, Value::Len(packed)) => {
                for bits in packed.as_chunks().0 {
                    element(Value::Fixed64(u64::from_le_bytes(*bits)))?;
                }
            }
            (_, value) => element(value)?,
        }
    }
    out.push(b']');
    Ok(())
}

fn single(kind: Kind, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
    match kind {
        Kind::Message(message) => object(message, value.bytes()?, out)?,
        Kind::Text => text(value.text()?, out),
        Kind::Bytes => text(&STANDARD.encode(value.bytes()?), out),
        Kind::TraceId | Kind::SpanId => hex(value.bytes()?, out),
        Kind::Bool => out.extend_from_slice(if value.varint()? == 0 { b"false" } else { b"true" }),
        Kind::Int32 | Kind::Enum(..) => number(value.uint32()?.cast_signed(), out),
        Kind::Uint32 => number(value.uint32()?, out),
        Kind::Sint32 => number(value.sint32()?, out),
        Kind::Fixed32 => number(value.fixed32()?, out),
        Kind::Int64 => quoted(value.int64()?, out),
        Kind::Uint64 => quoted(value.varint()?, out),
        Kind::Fixed64 => quoted(value.fixed64()?, out),
        Kind::Sfixed64 => quoted(value.fixed64()?.cast_signed(), out),
        Kind::Double => double(value.double()?, out),
    }
    Ok(())
}

/// `"lowerCamelCase":`
fn name(snake: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut upper = false;
    for byte in snake.bytes() {
        match byte {
            b'_' => upper = true,
            _ => {
                out.push(if upper { byte.to_ascii_uppercase() } else { byte });
                upper = false;
            }
        }
    }
    out.extend_from_slice(b"\":");
}

fn text(value: &str, out: &mut Vec<u8>) {
    // Writing text to memory does not fail.
    serde_json::to_writer(out, value).unwrap_or_default();
}

fn number(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    let mut digits = String::new();
    write!(digits, "{value}").unwrap_or_default();
    out.extend_from_slice(digits.as_bytes());
}

fn quoted(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    out.push(b'"');
    number(value, out);
    out.push(b'"');
}

fn double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        serde_json::to_writer(out, &value).unwrap_or_default();
    } else {
        let name = if value.is_nan() { "NaN" } else { ["Infinity", "-Infinity"][usize::from(value < 0.0)] };
        text(name, out);
    }
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend(digits(bytes));
    out.push(b'"');
}
