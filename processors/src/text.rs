//! OTLP values as text, in the collector's spelling: numbers as in JSON, maps and lists as JSON with sorted keys, bytes
//! as base64.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pipeline::otlp::WireError;
use pipeline::otlp::view::AnyValue;

/// How deep maps and lists are followed; deeper ones are written as `null`.
const MAX_DEPTH: usize = 64;

/// Any value as text.
///
/// # Errors
/// When a nested value is malformed.
pub fn of(value: AnyValue<'_>) -> Result<Cow<'_, str>, WireError> {
    Ok(match value {
        AnyValue::Empty => Cow::Borrowed(""),
        AnyValue::Text(text) => Cow::Borrowed(text),
        AnyValue::Bool(true) => Cow::Borrowed("true"),
        AnyValue::Bool(false) => Cow::Borrowed("false"),
        AnyValue::Int(v) => Cow::Owned(v.to_string()),
        AnyValue::Double(v) => Cow::Owned(double(v)),
        AnyValue::Bytes(bytes) => Cow::Owned(BASE64.encode(bytes)),
        AnyValue::Array(_) | AnyValue::Map(_) => {
            let mut out = String::new();
            json(&mut out, value, MAX_DEPTH)?;
            Cow::Owned(out)
        }
    })
}

/// A text, boolean or number as patterns see it; `None` for the others.
pub fn of_scalar(value: AnyValue<'_>) -> Option<Cow<'_, str>> {
    match value {
        AnyValue::Text(text) => Some(Cow::Borrowed(text)),
        AnyValue::Bool(v) => Some(Cow::Borrowed(if v { "true" } else { "false" })),
        AnyValue::Int(v) => Some(Cow::Owned(v.to_string())),
        AnyValue::Double(v) if v.is_finite() => Some(Cow::Owned(v.to_string())),
        AnyValue::Double(v) => Some(Cow::Owned(double(v))),
        AnyValue::Empty | AnyValue::Array(_) | AnyValue::Map(_) | AnyValue::Bytes(_) => None,
    }
}

/// A number as JavaScript writes it (an exponent below 1e-6 and from 1e21 on); `NaN`, `+Inf`, `-Inf`.
fn double(v: f64) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if v != 0.0 && (v.abs() < 1e-6 || v.abs() >= 1e21) {
        let text = format!("{v:e}");
        return if text.contains("e-") { text } else { text.replace('e', "e+") };
    }
    v.to_string()
}

fn json(out: &mut String, value: AnyValue<'_>, depth: usize) -> Result<(), WireError> {
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Text(text) => json_text(out, text),
        AnyValue::Bytes(bytes) => json_text(out, &BASE64.encode(bytes)),
        AnyValue::Double(v) if !v.is_finite() => out.push_str("null"),
        AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Double(_) => out.push_str(&of(value)?),
        AnyValue::Array(_) | AnyValue::Map(_) if depth == 0 => out.push_str("null"),
        AnyValue::Array(_) => {
            out.push('[');
            for (i, element) in value.elements().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json(out, element?, depth - 1)?;
            }
            out.push(']');
        }
        AnyValue::Map(_) => {
            let mut entries = value.entries().map(|e| e.map(|e| (e.key, e.value))).collect::<Result<Vec<_>, _>>()?;
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json_text(out, key);
                out.push(':');
                json(out, value, depth - 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::otlp::fields::{any_value, key_value};
    use pipeline::otlp::view::View;
    use pipeline::otlp::write::{Scalar, Writer};

    #[test]
    fn numbers_read_like_json() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(of(AnyValue::Double(value)).unwrap(), text);
        }
        assert_eq!(of(AnyValue::Bytes(b"hello")).unwrap(), "aGVsbG8=");
        assert_eq!(of(AnyValue::Bytes(b"he")).unwrap(), "aGU=");
        assert_eq!(of(AnyValue::Bytes(b"hel")).unwrap(), "aGVs");
    }

    #[test]
    fn maps_become_json_with_sorted_keys() {
        let mut w = Writer::new();
        w.message(any_value::KVLIST, |w| {
            w.attribute(any_value::VALUES, "b", Scalar::Text("q\"\n"));
            w.message(any_value::VALUES, |w| {
                w.text(key_value::KEY, "a");
                w.message(key_value::VALUE, |w| {
                    w.message(any_value::ARRAY, |w| {
                        w.any_value(any_value::VALUES, Scalar::Int(1));
                        w.any_value(any_value::VALUES, Scalar::Bool(true));
                    });
                });
            });
        });
        let bytes = w.into_bytes();
        assert_eq!(of(AnyValue::view(&bytes).unwrap()).unwrap(), r#"{"a":[1,true],"b":"q\"\n"}"#);
    }

    #[test]
    fn deep_nesting_ends_in_null_instead_of_a_full_stack() {
        let mut inner = Vec::new();
        for _ in 0..1_000 {
            let mut array = Writer::new();
            array.bytes(any_value::VALUES, &inner);
            let mut w = Writer::new();
            w.bytes(any_value::ARRAY, array.as_slice());
            inner = w.into_vec();
        }
        let text = of(AnyValue::view(&inner).unwrap()).unwrap().into_owned();
        assert!(text.contains("null"));
    }
}
