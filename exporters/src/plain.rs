//! Attribute values in languages that have only text: as the OpenTelemetry specification writes them for non-OTLP
//! protocols, and as plain JSON (not OTLP's JSON).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, KeyValues};
use pipeline::otlp::wire::MAX_DEPTH;

/// Appends a value as text: strings as they are, numbers in decimal, bytes in base64, arrays and maps as JSON, nothing
/// for an empty value.
///
/// # Errors
/// When an array or a map is malformed or nested too deep.
pub fn write_text(out: &mut String, value: AnyValue<'_>) -> Result<(), WireError> {
    match value {
        AnyValue::Text(text) => out.push_str(text),
        AnyValue::Empty => {}
        AnyValue::Bytes(bytes) => STANDARD.encode_string(bytes, out),
        AnyValue::Double(number) => write_number(out, number, ""),
        AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Array(_) | AnyValue::Map(_) => return write_json(out, value),
    }
    Ok(())
}

/// Appends a value as JSON; bytes are base64 strings, infinite numbers and NaN are strings.
///
/// # Errors
/// When an array or a map is malformed or nested too deep.
pub fn write_json(out: &mut String, value: AnyValue<'_>) -> Result<(), WireError> {
    write_json_at(out, value, 0)
}

/// Appends a JSON string, quotes included.
pub fn write_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[clean..at]);
        clean = at + 1;
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}").unwrap_or_default();
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[clean..]);
    out.push('"');
}

fn write_json_at(out: &mut String, value: AnyValue<'_>, depth: usize) -> Result<(), WireError> {
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Text(text) => write_json_string(out, text),
        AnyValue::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        AnyValue::Int(number) => write!(out, "{number}").unwrap_or_default(),
        AnyValue::Double(number) => write_number(out, number, "\""),
        AnyValue::Bytes(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        AnyValue::Map(_) => return write_object_at(out, value.entries(), depth),
        AnyValue::Array(_) => {
            if depth >= MAX_DEPTH {
                return Err(WireError::Depth);
            }
            out.push('[');
            for (i, element) in value.elements().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json_at(out, element?, depth + 1)?;
            }
            out.push(']');
        }
    }
    Ok(())
}

fn write_object_at(out: &mut String, entries: KeyValues<'_>, depth: usize) -> Result<(), WireError> {
    if depth >= MAX_DEPTH {
        return Err(WireError::Depth);
    }
    out.push('{');
    for (i, entry) in entries.enumerate() {
        let entry = entry?;
        if i > 0 {
            out.push(',');
        }
        write_json_string(out, entry.key);
        out.push(':');
        write_json_at(out, entry.value, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// The shortest digits that read back, with an exponent where JavaScript writes one; names that are not numbers stand
/// in `quote`s.
fn write_number(out: &mut String, number: f64, quote: &str) {
    let size = number.abs();
    let written = if number.is_nan() {
        write!(out, "{quote}NaN{quote}")
    } else if number.is_infinite() {
        write!(out, "{quote}{}Infinity{quote}", if number < 0.0 { "-" } else { "" })
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write!(out, "{number:e}")
    } else {
        write!(out, "{number}")
    };
    written.unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::fields::any_value;
    use pipeline::otlp::view::View;
    use pipeline::otlp::write::{Scalar, Writer};

    use super::*;

    fn check(value: AnyValue<'_>, text: &str, json: &str) {
        let (mut as_text, mut as_json) = (String::new(), String::new());
        write_text(&mut as_text, value).unwrap();
        write_json(&mut as_json, value).unwrap();
        assert_eq!((as_text.as_str(), as_json.as_str()), (text, json));
    }

    #[test]
    fn scalars_have_the_specifications_text_form() {
        check(AnyValue::Empty, "", "null");
        check(AnyValue::Text("a \"b\"\\\n\u{1}"), "a \"b\"\\\n\u{1}", r#""a \"b\"\\\n\u0001""#);
        check(AnyValue::Bool(true), "true", "true");
        check(AnyValue::Int(i64::MIN), "-9223372036854775808", "-9223372036854775808");
        check(AnyValue::Double(0.1), "0.1", "0.1");
        check(AnyValue::Double(3.0), "3", "3");
        check(AnyValue::Double(1e21), "1e21", "1e21");
        check(AnyValue::Double(-1e-7), "-1e-7", "-1e-7");
        check(AnyValue::Double(f64::NAN), "NaN", r#""NaN""#);
        check(AnyValue::Double(f64::NEG_INFINITY), "-Infinity", r#""-Infinity""#);
        check(AnyValue::Bytes(b"\x00\xff"), "AP8=", r#""AP8=""#);
    }

    #[test]
    fn arrays_and_maps_are_json() {
        let mut w = Writer::new();
        w.message(any_value::KVLIST, |w| {
            w.attribute(any_value::VALUES, "k", Scalar::Int(1));
            w.message(any_value::VALUES, |w| {
                w.text(1, "list");
                w.message(2, |w| {
                    w.message(any_value::ARRAY, |w| {
                        w.any_value(any_value::VALUES, Scalar::Text("x"));
                        w.any_value(any_value::VALUES, Scalar::Bool(false));
                    });
                });
            });
        });
        let json = r#"{"k":1,"list":["x",false]}"#;
        check(AnyValue::view(w.as_slice()).unwrap(), json, json);
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_no_stack_overflow() {
        let mut value = Vec::new();
        for _ in 0..10_000 {
            let mut w = Writer::new();
            w.message(any_value::ARRAY, |w| w.bytes(any_value::VALUES, &value));
            value = w.into_vec();
        }
        let mut out = String::new();
        assert_eq!(write_text(&mut out, AnyValue::view(&value).unwrap()), Err(WireError::Depth));
    }
}
