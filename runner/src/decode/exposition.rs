//! A page for scrapers, text by text line: for the `prometheus` exporter's side. Comments are left out.

use serde_json::{Map, Value};

use super::{Item, Kind, Moments, number};
use crate::series;

pub(super) fn items(text: &str, moments: &Moments) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (line, exemplar) = line.split_once(" # ").map_or((line, None), |(line, rest)| (line, Some(rest)));
        let wrong = |error: String| format!("{line:?}: {error}");
        let behind = line.rfind('}').map_or(0, |end| end + 1);
        let mut words = line[behind..].split_whitespace();
        let name_end = if behind == 0 { line.find(' ').unwrap_or(line.len()) } else { behind };
        let parsed = series::parse(&line[..name_end]).map_err(wrong)?;
        if behind == 0 {
            words.next();
        }
        let value = words.next().and_then(parse).ok_or_else(|| wrong("there is no value".to_owned()))?;
        let mut fields = Map::new();
        fields.insert("metric".to_owned(), parsed.name.into());
        if !parsed.labels.is_empty() {
            fields.insert("labels".to_owned(), labels(parsed.labels));
        }
        fields.insert("value".to_owned(), number(value));
        if let Some(time) = words.next().and_then(parse) {
            fields.insert("time".to_owned(), time_of(time, moments));
        }
        if let Some(exemplar) = exemplar {
            fields.insert("exemplars".to_owned(), vec![of_exemplar(exemplar, moments).map_err(wrong)?].into());
        }
        items.push(Item { kind: Kind::Sample, fields });
    }
    Ok(items)
}

fn labels(labels: Vec<series::Label>) -> Value {
    Value::Object(labels.into_iter().map(|label| (label.name, label.value.into())).collect())
}

/// `{trace_id="…"} 0.5 1767225600.5`
fn of_exemplar(text: &str, moments: &Moments) -> Result<Value, String> {
    let end = text.rfind('}').map_or(0, |end| end + 1);
    let mut fields = Map::new();
    fields.insert("labels".to_owned(), labels(series::parse(&text[..end])?.labels));
    let mut words = text[end..].split_whitespace();
    fields.insert("value".to_owned(), words.next().and_then(parse).map_or(Value::Null, number));
    if let Some(time) = words.next().and_then(parse) {
        fields.insert("time".to_owned(), time_of(time, moments));
    }
    Ok(Value::Object(fields))
}

/// Seconds in OpenMetrics, milliseconds in the older text.
#[allow(clippy::cast_possible_truncation, reason = "times of a test")]
fn time_of(time: f64, moments: &Moments) -> Value {
    let millis = if time > 1e11 { time } else { time * 1e3 };
    moments.millis(millis.round() as i64)
}

fn parse(word: &str) -> Option<f64> {
    match word {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        word => word.parse().ok(),
    }
}
