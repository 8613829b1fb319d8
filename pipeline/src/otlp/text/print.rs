//! Requests to text.

use std::fmt::Write;

use smallvec::SmallVec;

use super::super::fields::{any_value, key_value, metric, request, resource_group, scope_group, status};
use super::super::hex::write_hex;
use super::super::schema::{Cardinality, FieldType, Kind, Type};
use super::super::wire::{Field, Fields, Value, WireError, read_varint};
use super::names::{DATA, is_named, is_time, is_word, keyword, short};
use crate::batch::Signal;

/// The fields of a message that count, in the order of their numbers.
type Sorted<'a> = SmallVec<[Field<'a>; 16]>;

fn sorted(message: Type, bytes: &[u8]) -> Result<Sorted<'_>, WireError> {
    let mut out = Fields::new(bytes).collect::<Result<Sorted<'_>, _>>()?;
    let cardinality = |field: &Field<'_>| message.field(field.number).map(|known| known.cardinality);
    let one_of = out.iter().rfind(|field| cardinality(field) == Some(Cardinality::OneOf)).map(|field| field.number);
    out.retain(|field| cardinality(field) != Some(Cardinality::OneOf) || Some(field.number) == one_of);
    out.sort_by_key(|field| field.number);
    // Of what may be there once the last counts.
    for i in (1..out.len()).rev() {
        if out[i].number == out[i - 1].number && !matches!(cardinality(&out[i]), None | Some(Cardinality::Many)) {
            out.remove(i - 1);
        }
    }
    Ok(out)
}

pub(super) fn request(signal: Signal, bytes: &[u8]) -> Result<String, WireError> {
    let message = Type::request(signal);
    let mut out = String::new();
    let mut unknown = String::new();
    for field in sorted(message, bytes)? {
        if field.number == request::RESOURCES {
            let group_type = inner(message, request::RESOURCES);
            group(group_type, field.value.bytes()?, resource_group::SCOPES, 0, &mut out)?;
        } else {
            raw("?", &field, &mut unknown);
        }
    }
    if !unknown.is_empty() {
        out = format!("request{unknown}\n{out}");
    }
    Ok(out)
}

/// The message in a field.
fn inner(message: Type, number: u32) -> Type {
    match message.field(number).map(|field| field.kind) {
        Some(Kind::Message(inner)) => inner,
        _ => message,
    }
}

/// The line of a resource or scope with what else its group holds, and the lines of what is in the group.
fn group(group_type: Type, bytes: &[u8], children: u32, depth: usize, out: &mut String) -> Result<(), WireError> {
    let message = inner(group_type, resource_group::RESOURCE);
    let fields = sorted(group_type, bytes)?;
    let mut inside = None;
    let mut rest = String::new();
    for field in &fields {
        match group_type.field(field.number) {
            Some(known) if known.number == resource_group::RESOURCE => inside = Some(field.value.bytes()?),
            Some(known) if known.number == children => {}
            Some(known) => one(group_type, known, field, &mut rest)?,
            None => raw("group?", field, &mut rest),
        }
    }
    begin(keyword(group_type), depth, out);
    match inside {
        Some(inside) => parts(message, &sorted(message, inside)?, out)?,
        None => out.push_str(" none"),
    }
    out.push_str(&rest);
    out.push('\n');
    let child_type = inner(group_type, children);
    for child in fields.iter().filter(|field| field.number == children) {
        let child = child.value.bytes()?;
        if depth == 0 {
            group(child_type, child, scope_group::ITEMS, 1, out)?;
        } else {
            line(child_type, child, 2, out)?;
        }
    }
    Ok(())
}

fn begin(keyword: &str, depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
    out.push_str(keyword);
}

/// The line of an item and the lines of what it holds.
fn line(message: Type, bytes: &[u8], depth: usize, out: &mut String) -> Result<(), WireError> {
    let fields = sorted(message, bytes)?;
    begin(keyword(message), depth, out);
    parts(message, &fields, out)?;
    let data = fields.iter().find(|field| message == Type::Metric && metric::is_data(field.number));
    let Some(data) = data else {
        out.push('\n');
        return lines(message, &fields, depth, out);
    };
    let word = DATA.iter().find(|(.., number)| *number == data.number).map_or("", |(word, ..)| word);
    write!(out, " {word}").unwrap_or_default();
    let data_type = inner(message, data.number);
    let fields = sorted(data_type, data.value.bytes()?)?;
    parts(data_type, &fields, out)?;
    out.push('\n');
    lines(data_type, &fields, depth, out)
}

/// The lines of what a message holds.
fn lines(message: Type, fields: &[Field<'_>], depth: usize, out: &mut String) -> Result<(), WireError> {
    for field in fields {
        if message.field(field.number).is_some_and(|known| has_line(message, known)) {
            line(inner(message, field.number), field.value.bytes()?, depth + 1, out)?;
        }
    }
    Ok(())
}

/// Whether a field's messages have lines of their own.
fn has_line(message: Type, field: &FieldType) -> bool {
    match field.kind {
        Kind::Message(Type::Event | Type::Link | Type::Exemplar) => true,
        Kind::Message(_) => is_data(message) && field.number == metric::POINTS,
        _ => false,
    }
}

fn is_data(message: Type) -> bool {
    DATA.iter().any(|(_, data, _)| *data == message)
}

/// What stands on the line of a message: name, fields, attributes.
fn parts(message: Type, fields: &[Field<'_>], out: &mut String) -> Result<(), WireError> {
    let (mut name, mut rest, mut last) = ("", String::new(), String::new());
    for same in fields.chunk_by(|a, b| a.number == b.number) {
        let field = &same[0];
        let Some(known) = message.field(field.number) else {
            let mark = if is_data(message) { "data?" } else { "?" };
            same.iter().for_each(|field| raw(mark, field, &mut rest));
            continue;
        };
        match (known.name, field.value) {
            ("name", value) if is_named(message) => name = value.text()?,
            ("attributes" | "filtered_attributes", _) => {
                last.push_str(" {");
                list(known, same, &mut last)?;
                last.push('}');
            }
            _ if has_line(message, known) || message == Type::Metric && metric::is_data(known.number) => {}
            ("as_int", value) => write!(rest, " {}", value.fixed64()?.cast_signed()).unwrap_or_default(),
            ("as_double", value) => {
                rest.push(' ');
                double(value.double()?, &mut rest);
            }
            ("body", Value::Len(body)) if matches!(sugar(body)?, Some(Field { number: any_value::STRING, .. })) => {
                rest.push(' ');
                any_value(body, &mut rest)?;
            }
            ("aggregation_temporality", Value::Varint(1)) => rest.push_str(" delta"),
            ("aggregation_temporality", Value::Varint(2)) => rest.push_str(" cumulative"),
            ("is_monotonic", Value::Varint(1..)) => rest.push_str(" monotonic"),
            _ => named(message, known, same, &mut rest)?,
        }
    }
    if is_named(message) && (!name.is_empty() || message == Type::Metric) {
        out.push(' ');
        word(name, out);
    }
    out.push_str(&rest);
    out.push_str(&last);
    Ok(())
}

/// ` field=value` or ` field=[value value]` for all occurrences of a field.
fn named(message: Type, known: &FieldType, same: &[Field<'_>], out: &mut String) -> Result<(), WireError> {
    if known.cardinality != Cardinality::Many {
        return one(message, known, &same[0], out);
    }
    let (open, close) = if known.kind == Kind::Message(Type::KeyValue) { ('{', '}') } else { ('[', ']') };
    let start = out.len();
    write!(out, " {}={open}", short(message, known)).unwrap_or_default();
    if list(known, same, out)? {
        out.push(close);
    } else {
        out.truncate(start);
    }
    Ok(())
}

/// ` field=value`, unless it is a default.
fn one(message: Type, known: &FieldType, field: &Field<'_>, out: &mut String) -> Result<(), WireError> {
    let is_default = matches!(field.value, Value::Varint(0) | Value::Fixed64(0) | Value::Fixed32(0) | Value::Len([]));
    if is_default && known.cardinality == Cardinality::One && !matches!(known.kind, Kind::Message(_)) {
        return Ok(());
    }
    write!(out, " {}=", short(message, known)).unwrap_or_default();
    value(known, field.value, out)
}

/// All values of a field with spaces between; answers whether there are any.
fn list(known: &FieldType, same: &[Field<'_>], out: &mut String) -> Result<bool, WireError> {
    let start = out.len();
    let mut each = |element: Value<'_>| {
        if out.len() > start {
            out.push(' ');
        }
        value(known, element, out)
    };
    for field in same {
        match (known.kind, field.value) {
            (Kind::Uint64, Value::Len(packed)) => {
                let mut at = 0;
                while at < packed.len() {
                    each(Value::Varint(read_varint(packed, &mut at)?))?;
                }
            }
            (Kind::Fixed64 | Kind::Double, Value::Len(packed)) => {
                for bits in packed.as_chunks().0 {
                    each(Value::Fixed64(u64::from_le_bytes(*bits)))?;
                }
            }
            (_, element) => each(element)?,
        }
    }
    Ok(out.len() > start)
}

fn value(known: &FieldType, value: Value<'_>, out: &mut String) -> Result<(), WireError> {
    match known.kind {
        Kind::Text => text(value.text()?, out),
        Kind::Bytes => {
            out.push('x');
            out.push('"');
            write_hex(out, value.bytes()?);
            out.push('"');
        }
        Kind::TraceId | Kind::SpanId => id(value.bytes()?, out),
        Kind::Bool => out.push_str(if value.varint()? == 0 { "false" } else { "true" }),
        Kind::Enum(_, names) => match names.get(value.uint32()? as usize) {
            Some(name) => out.push_str(&name.to_ascii_lowercase()),
            None => show(value.uint32()?.cast_signed(), out),
        },
        Kind::Int32 => show(value.uint32()?.cast_signed(), out),
        Kind::Uint32 => show(value.uint32()?, out),
        Kind::Sint32 => show(value.sint32()?, out),
        Kind::Fixed32 => show(value.fixed32()?, out),
        Kind::Int64 => show(value.int64()?, out),
        Kind::Uint64 => show(value.varint()?, out),
        Kind::Fixed64 if is_time(known) => time(value.fixed64()?, out),
        Kind::Fixed64 => show(value.fixed64()?, out),
        Kind::Sfixed64 => show(value.fixed64()?.cast_signed(), out),
        Kind::Double => double(value.double()?, out),
        Kind::Message(Type::AnyValue) => any_value(value.bytes()?, out)?,
        Kind::Message(Type::KeyValue) => key_value(value.bytes()?, out)?,
        Kind::Message(Type::Status) => status(value.bytes()?, out)?,
        Kind::Message(message) => full(message, value.bytes()?, out)?,
    }
    Ok(())
}

/// `(field=value field=value)`
fn full(message: Type, bytes: &[u8], out: &mut String) -> Result<(), WireError> {
    let mut inside = String::new();
    for same in sorted(message, bytes)?.chunk_by(|a, b| a.number == b.number) {
        match message.field(same[0].number) {
            Some(known) => named(message, known, same, &mut inside)?,
            None => same.iter().for_each(|field| raw("?", field, &mut inside)),
        }
    }
    write!(out, "({})", inside.trim_start()).unwrap_or_default();
    Ok(())
}

/// The one field of an `AnyValue` that has a short form.
fn sugar(bytes: &[u8]) -> Result<Option<Field<'_>>, WireError> {
    let fields = sorted(Type::AnyValue, bytes)?;
    let [field] = fields.as_slice() else { return Ok(None) };
    let is_list = |inside: &[u8]| Fields::new(inside).all(|f| f.is_ok_and(|f| f.number == any_value::VALUES));
    Ok(match (field.number, field.value) {
        (any_value::STRING..=any_value::DOUBLE | any_value::BYTES, _) => Some(*field),
        (any_value::ARRAY | any_value::KVLIST, Value::Len(inside)) if is_list(inside) => Some(*field),
        _ => None,
    })
}

fn any_value(bytes: &[u8], out: &mut String) -> Result<(), WireError> {
    if bytes.is_empty() {
        out.push_str("none");
        return Ok(());
    }
    let Some((field, known)) = sugar(bytes)?.and_then(|field| Some((field, Type::AnyValue.field(field.number)?)))
    else {
        return full(Type::AnyValue, bytes, out);
    };
    let Kind::Message(inner) = known.kind else { return value(known, field.value, out) };
    let (open, close) = if inner == Type::KeyValueList { ('{', '}') } else { ('[', ']') };
    out.push(open);
    if let Some(values) = inner.field(any_value::VALUES) {
        list(values, &sorted(inner, field.value.bytes()?)?, out)?;
    }
    out.push(close);
    Ok(())
}

fn key_value(bytes: &[u8], out: &mut String) -> Result<(), WireError> {
    let (mut key, mut value) = ("", None);
    for field in sorted(Type::KeyValue, bytes)? {
        match field.number {
            key_value::KEY => key = field.value.text()?,
            key_value::VALUE => value = Some(field.value.bytes()?),
            _ => return full(Type::KeyValue, bytes, out),
        }
    }
    word(key, out);
    if let Some(value) = value {
        out.push('=');
        any_value(value, out)?;
    }
    Ok(())
}

fn status(bytes: &[u8], out: &mut String) -> Result<(), WireError> {
    let (mut message, mut code) = ("", 0);
    for field in sorted(Type::Status, bytes)? {
        match field.number {
            status::MESSAGE => message = field.value.text()?,
            status::CODE => code = field.value.uint32()?,
            _ => return full(Type::Status, bytes, out),
        }
    }
    match (code, message) {
        (0, "") => out.push_str("unset"),
        (1, "") => out.push_str("ok"),
        (2, "") => out.push_str("error"),
        (2, message) => {
            out.push_str("error(");
            text(message, out);
            out.push(')');
        }
        _ => full(Type::Status, bytes, out)?,
    }
    Ok(())
}

fn word(value: &str, out: &mut String) {
    if is_word(value) && value != "none" { out.push_str(value) } else { text(value, out) }
}

fn text(value: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}

fn show(value: impl std::fmt::Display, out: &mut String) {
    write!(out, "{value}").unwrap_or_default();
}

fn time(nanoseconds: u64, out: &mut String) {
    for (unit, suffix) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "")] {
        if nanoseconds.is_multiple_of(unit) {
            write!(out, "{}{suffix}", nanoseconds / unit).unwrap_or_default();
            return;
        }
    }
}

fn double(value: f64, out: &mut String) {
    if value.is_nan() && value.to_bits() != f64::NAN.to_bits() {
        write!(out, "nan({:x})", value.to_bits()).unwrap_or_default();
    } else if value.is_nan() {
        out.push_str("nan");
    } else {
        write!(out, "{value:?}").unwrap_or_default();
    }
}

/// An id, without the zeros in front if they are more than half of it.
fn id(bytes: &[u8], out: &mut String) {
    let mut digits = String::new();
    write_hex(&mut digits, bytes);
    let short = digits.trim_start_matches('0');
    out.push_str(match short.len() {
        0 => "0",
        len if len <= digits.len() / 2 => short,
        _ => &digits,
    });
}

/// ` ?hex`
fn raw(mark: &str, field: &Field<'_>, out: &mut String) {
    write!(out, " {mark}").unwrap_or_default();
    write_hex(out, field.raw);
}
