//! One form for the ids of Dynamo's workers: its components' metrics write them in hexadecimal, everything else in decimal.

use memchr::memmem;
use pipeline::Signal;
use pipeline::batch::{Batch, Edited};
use pipeline::otlp::WireError;
use pipeline::otlp::edit::{self, Attributes, Level};
use pipeline::otlp::view::AnyValue;

use super::config::WorkerId;

/// Families whose worker ids are decimal.
const DECIMAL: [&str; 4] = ["dynamo_frontend_", "dynamo_router_", "dynamo_planner_", "planner:"];

/// Writes worker ids in one form.
///
/// # Errors
/// When the batch is malformed.
pub fn convert(to: WorkerId, keys: &[String], batch: Batch) -> Result<Batch, WireError> {
    let signal = batch.signal();
    // Spans and log records have decimal ids as they come.
    if to == WorkerId::Unchanged || (to == WorkerId::Decimal && signal != Signal::Metrics) {
        return Ok(batch);
    }
    batch.map_parts(|part| {
        if !keys.iter().any(|key| memmem::find(part, key.as_bytes()).is_some()) {
            return Ok(None);
        }
        let mut edit = |attributes: &mut Attributes<'_>| convert_one(to, keys, signal, attributes);
        Ok(edit::attributes(signal, part, Level::items(signal), &mut edit)?.map(Edited::from))
    })
}

fn convert_one(
    to: WorkerId,
    keys: &[String],
    signal: Signal,
    attributes: &mut Attributes<'_>,
) -> Result<(), WireError> {
    let name = attributes.place().metric.name;
    let is_hex = signal == Signal::Metrics && !DECIMAL.iter().any(|prefix| name.starts_with(prefix));
    for key in keys {
        let new = match attributes.find(key)? {
            Some(AnyValue::Text(text)) => converted(to, text, is_hex),
            Some(AnyValue::Int(number)) => converted(to, &number.to_string(), false),
            _ => None,
        };
        if let Some(new) = new {
            attributes.update(key, AnyValue::Text(&new))?;
        }
    }
    Ok(())
}

/// The id in the other form, unless it has the wanted one or is none.
pub fn converted(to: WorkerId, text: &str, is_hex: bool) -> Option<String> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_lower_hex = text.len() <= 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.is_empty() || !(is_digits || is_lower_hex) {
        return None;
    }
    // Only digits can be either; what has more than 16 is no hexadecimal number of 64 bits.
    let is_hex = !is_digits || (is_hex && is_lower_hex);
    match to {
        WorkerId::Decimal if is_hex => u64::from_str_radix(text, 16).ok().map(|id| id.to_string()),
        WorkerId::Hex if !is_hex => text.parse::<u64>().ok().map(|id| format!("{id:x}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_64_bits_goes_from_either_form_to_the_other() {
        let check = |to, text: &str, is_hex, expected: Option<&str>| {
            assert_eq!(converted(to, text, is_hex).as_deref(), expected, "{text} {is_hex}");
        };
        check(WorkerId::Decimal, "483ab2dd02794664", true, Some("5204668981679048292"));
        check(WorkerId::Decimal, "483ab2dd02794664", false, Some("5204668981679048292"));
        check(WorkerId::Hex, "5204668981679048292", false, Some("483ab2dd02794664"));
        check(WorkerId::Hex, "5204668981679048292", true, Some("483ab2dd02794664"));
        check(WorkerId::Hex, "11360150215887396147", false, Some("9da75c6ec50b9d33"));
        // Digits alone are read as the family writes them.
        check(WorkerId::Decimal, "10", true, Some("16"));
        check(WorkerId::Decimal, "10", false, None);
        check(WorkerId::Hex, "10", true, None);
        for text in ["", "x", "-1", "483AB2DD02794664", "18446744073709551616", "worker-1", "1483ab2dd02794664"] {
            check(WorkerId::Hex, text, false, None);
            check(WorkerId::Decimal, text, true, None);
        }
    }
}
