//! Values in the text form.

use super::super::schema::{Cardinality, FieldType, Kind, Type};
use super::super::write::{Scalar, Writer};
use super::TextError;
use super::lex::Cursor;
use super::names::{field, is_time};
use super::parse::{Parts, joined, unknown};

/// How deep values may nest; protobuf ends at about that.
const MAX_DEPTH: usize = 48;

/// Reads the value or the values of a field: the field as it stands in a message, or nothing for a default.
pub(super) fn field_value(
    cursor: &mut Cursor<'_>,
    known: &FieldType,
    depth: usize,
) -> Result<Option<Vec<u8>>, TextError> {
    if known.cardinality == Cardinality::Many {
        return list(cursor, known, depth);
    }
    let mut w = Writer::new();
    single(cursor, known, depth, &mut w)?;
    Ok((!w.is_empty()).then(|| w.into_vec()))
}

/// Reads `[value value]`, or `{key=value}` for attributes.
pub(super) fn list(cursor: &mut Cursor<'_>, known: &FieldType, depth: usize) -> Result<Option<Vec<u8>>, TextError> {
    let (open, close) = if known.kind == Kind::Message(Type::KeyValue) { ("{", "}") } else { ("[", "]") };
    cursor.expect(open)?;
    let mut w = Writer::new();
    let packed = matches!(known.kind, Kind::Fixed64 | Kind::Double | Kind::Uint64).then(|| w.open(known.number));
    let start = w.len();
    while !cursor.eat(close) {
        match known.kind {
            Kind::Fixed64 => w.raw(&integer::<u64>(cursor)?.to_le_bytes()),
            Kind::Double => w.raw(&double(cursor)?.to_le_bytes()),
            Kind::Uint64 => w.raw_varint(integer(cursor)?),
            _ => single(cursor, known, depth, &mut w)?,
        }
        cursor.eat(",");
    }
    if w.len() == start {
        return Ok(None);
    }
    if let Some(packed) = packed {
        w.close(packed);
    }
    Ok(Some(w.into_vec()))
}

/// Reads one value and writes it with its key, unless it is a default.
fn single(cursor: &mut Cursor<'_>, known: &FieldType, depth: usize, w: &mut Writer) -> Result<(), TextError> {
    let FieldType { number, kind, cardinality, .. } = *known;
    let integral = |w: &mut Writer, value: u64| {
        if value != 0 || cardinality != Cardinality::One {
            match kind {
                Kind::Fixed32 => w.fixed32(number, u32::try_from(value).unwrap_or_default()),
                Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => w.fixed64(number, value),
                _ => w.varint(number, value),
            }
        }
    };
    match kind {
        Kind::Text => {
            let text = cursor.text()?;
            if !text.is_empty() || cardinality != Cardinality::One {
                w.text(number, &text);
            }
        }
        Kind::Bytes => {
            let bytes = bytes(cursor)?;
            w.bytes(number, &bytes);
        }
        Kind::TraceId => w.bytes(number, &id(cursor, 16)?),
        Kind::SpanId => w.bytes(number, &id(cursor, 8)?),
        Kind::Bool => match cursor.word_ahead() {
            "true" | "false" => {
                let value = u64::from(cursor.word()? == "true");
                integral(w, value);
            }
            _ => return Err(cursor.error("expected true or false")),
        },
        Kind::Enum(_, names) => {
            let word = cursor.word_ahead();
            let found = names.iter().position(|name| name.eq_ignore_ascii_case(word));
            match found {
                Some(value) => {
                    cursor.word()?;
                    integral(w, value as u64);
                }
                None if word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
                    integral(w, i64::from(integer::<i32>(cursor)?).cast_unsigned());
                }
                None => {
                    let names = names.join(", ").to_ascii_lowercase();
                    return Err(cursor.error(format!("{word} is not one of {names}, nor a number")));
                }
            }
        }
        Kind::Int32 => integral(w, i64::from(integer::<i32>(cursor)?).cast_unsigned()),
        Kind::Int64 | Kind::Sfixed64 => integral(w, integer::<i64>(cursor)?.cast_unsigned()),
        Kind::Uint32 | Kind::Fixed32 => integral(w, u64::from(integer::<u32>(cursor)?)),
        Kind::Uint64 => integral(w, integer(cursor)?),
        Kind::Sint32 => {
            let value = integer(cursor)?;
            if value != 0 {
                w.sint32(number, value);
            }
        }
        Kind::Fixed64 if is_time(known) => integral(w, time(cursor)?),
        Kind::Fixed64 => integral(w, integer(cursor)?),
        Kind::Double => integral(w, double(cursor)?.to_bits()),
        Kind::Message(Type::AnyValue) => w.bytes(number, &any_value(cursor, depth)?),
        Kind::Message(Type::KeyValue) => w.bytes(number, &key_value(cursor, depth)?),
        Kind::Message(Type::Status) if cursor.peek() != Some(b'(') => w.bytes(number, &status(cursor)?),
        Kind::Message(message) => w.bytes(number, &full(cursor, message, depth)?),
    }
    Ok(())
}

/// Reads `(field=value field=value)`: the inside of the message.
fn full(cursor: &mut Cursor<'_>, message: Type, depth: usize) -> Result<Vec<u8>, TextError> {
    let depth = deeper(cursor, depth)?;
    cursor.expect("(")?;
    let mut parts = Parts::new();
    while !cursor.eat(")") {
        if cursor.eat("?") {
            parts.push(unknown(cursor)?);
            continue;
        }
        let name = cursor.word_ahead();
        let known = field(message, name).ok_or_else(|| {
            let names: Vec<_> = message.fields().iter().map(|field| field.name).collect();
            cursor.error(format!("there is no field {name} here; there are {}", names.join(", ")))
        })?;
        cursor.word()?;
        cursor.expect("=")?;
        parts.extend(field_value(cursor, known, depth)?.map(|bytes| (known.number, bytes)));
    }
    Ok(joined(parts))
}

fn deeper(cursor: &Cursor<'_>, depth: usize) -> Result<usize, TextError> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(cursor.error("values are nested too deep, the most is 48 levels"))
    }
}

/// Reads a value of any type: the inside of an `AnyValue`.
pub(super) fn any_value(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<u8>, TextError> {
    let mut w = Writer::new();
    let word = cursor.word_ahead();
    match cursor.peek() {
        Some(b'(') => return full(cursor, Type::AnyValue, depth),
        Some(b'"') => w.scalar(Scalar::Text(&cursor.text()?)),
        Some(mark @ (b'[' | b'{')) => {
            let depth = deeper(cursor, depth)?;
            let (inner, number) = if mark == b'[' { (Type::ArrayValue, 5) } else { (Type::KeyValueList, 6) };
            let inside = match inner.field(1) {
                Some(values) => list(cursor, values, depth)?,
                None => None,
            };
            w.bytes(number, &inside.unwrap_or_default());
        }
        Some(b'x') if cursor.rest().starts_with("x\"") => w.scalar(Scalar::Bytes(&bytes(cursor)?)),
        _ => match word {
            "none" => {
                cursor.word()?;
            }
            "true" | "false" => {
                w.scalar(Scalar::Bool(word == "true"));
                cursor.word()?;
            }
            "" => return Err(cursor.error("expected a value")),
            _ if word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
                w.scalar(Scalar::Int(integer(cursor)?));
            }
            _ => w.scalar(Scalar::Double(double(cursor)?)),
        },
    }
    Ok(w.into_vec())
}

/// Reads `key=value` or `key`: the inside of a `KeyValue`.
fn key_value(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<u8>, TextError> {
    if cursor.peek() == Some(b'(') {
        return full(cursor, Type::KeyValue, depth);
    }
    let mut w = Writer::new();
    w.text_unless_empty(1, &cursor.name()?);
    if cursor.eat("=") {
        w.bytes(2, &any_value(cursor, depth)?);
    }
    Ok(w.into_vec())
}

/// Reads `unset`, `ok`, `error` or `error("message")`: the inside of a `Status`.
fn status(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, TextError> {
    let mut w = Writer::new();
    let code = match cursor.word_ahead() {
        "unset" => 0,
        "ok" => 1,
        "error" => 2,
        _ => return Err(cursor.error("expected ok, error, error(\"message\"), unset or (fields)")),
    };
    cursor.word()?;
    if code == 2 && cursor.eat("(") {
        w.text_unless_empty(2, &cursor.text()?);
        cursor.expect(")")?;
    }
    if code > 0 {
        w.varint(3, code);
    }
    Ok(w.into_vec())
}

fn integer<T: std::str::FromStr>(cursor: &mut Cursor<'_>) -> Result<T, TextError> {
    let value = cursor.word_ahead().parse();
    let value = value.map_err(|_| cursor.error("expected an integer that fits the field"))?;
    cursor.word()?;
    Ok(value)
}

fn double(cursor: &mut Cursor<'_>) -> Result<f64, TextError> {
    let wrong = cursor.error("expected a number");
    let word = cursor.word_ahead();
    if word == "nan" {
        cursor.word()?;
        if !cursor.eat("(") {
            return Ok(f64::NAN);
        }
        let bits = u64::from_str_radix(cursor.word()?, 16).map_err(|_| wrong)?;
        cursor.expect(")")?;
        return Ok(f64::from_bits(bits));
    }
    let value = match word {
        "inf" => f64::INFINITY,
        "-inf" => f64::NEG_INFINITY,
        _ if word.contains(|c: char| c.is_ascii_digit()) => word.parse().map_err(|_| wrong)?,
        _ => return Err(wrong),
    };
    cursor.word()?;
    Ok(value)
}

fn time(cursor: &mut Cursor<'_>) -> Result<u64, TextError> {
    let word = cursor.word_ahead();
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &word[digits.len()..] {
        "s" => Some(1_000_000_000),
        "ms" => Some(1_000_000),
        "us" => Some(1_000),
        "" | "ns" => Some(1),
        _ => None,
    };
    let value = digits.parse().ok().zip(unit).and_then(|(value, unit): (u64, u64)| value.checked_mul(unit));
    let value = value.ok_or_else(|| cursor.error("expected nanoseconds, or an integer with s, ms or us"))?;
    cursor.word()?;
    Ok(value)
}

fn bytes(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, TextError> {
    cursor.expect("x\"")?;
    let bytes = cursor.hex()?;
    cursor.expect("\"")?;
    Ok(bytes)
}

/// Reads an id, which may leave out zeros in front.
fn id(cursor: &mut Cursor<'_>, len: usize) -> Result<Vec<u8>, TextError> {
    let word = cursor.word_ahead();
    let value = u128::from_str_radix(word, 16).ok().filter(|_| (1..=2 * len).contains(&word.len()));
    let value = value.ok_or_else(|| cursor.error(format!("expected up to {} hexadecimal digits", 2 * len)))?;
    cursor.word()?;
    Ok(value.to_be_bytes()[16 - len..].to_vec())
}
