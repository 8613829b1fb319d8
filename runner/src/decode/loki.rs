//! Pushes to Loki, in protobuf and JSON: line by line.

use pipeline::otlp::WireError;
use pipeline::otlp::wire::Fields;
use serde_json::{Map, Value};

use super::{Item, Kind, Moments};
use crate::series;

pub(super) fn proto(body: &[u8], moments: &Moments) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for stream in messages(body, 1).map_err(wrong)? {
        let mut labels = "";
        for field in Fields::new(stream) {
            let field = field.map_err(wrong)?;
            if field.number == 1 {
                labels = field.value.text().map_err(wrong)?;
            }
        }
        let labels = of_stream(labels)?;
        for bytes in messages(stream, 2).map_err(wrong)? {
            items.push(entry(bytes, &labels, moments).map_err(wrong)?);
        }
    }
    Ok(items)
}

fn wrong(error: WireError) -> String {
    format!("no push to Loki: {error}")
}

/// `{a="b", c="d"}`
fn of_stream(text: &str) -> Result<Map<String, Value>, String> {
    let parsed = series::parse(text).map_err(|error| format!("the labels {text} are not Loki's: {error}"))?;
    Ok(parsed.labels.into_iter().map(|label| (label.name, label.value.into())).collect())
}

fn messages(bytes: &[u8], number: u32) -> Result<Vec<&[u8]>, WireError> {
    let mut out = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number == number {
            out.push(field.value.bytes()?);
        }
    }
    Ok(out)
}

fn entry(bytes: &[u8], labels: &Map<String, Value>, moments: &Moments) -> Result<Item, WireError> {
    let (mut time, mut line, mut metadata) = (0_u64, "", Map::new());
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => {
                for field in Fields::new(field.value.bytes()?) {
                    let field = field?;
                    let unit = if field.number == 1 { 1_000_000_000 } else { 1 };
                    time = time.saturating_add(field.value.varint()?.saturating_mul(unit));
                }
            }
            2 => line = field.value.text()?,
            3 => {
                let (mut name, mut value) = ("", "");
                for field in Fields::new(field.value.bytes()?) {
                    let field = field?;
                    match field.number {
                        1 => name = field.value.text()?,
                        2 => value = field.value.text()?,
                        _ => {}
                    }
                }
                metadata.insert(name.to_owned(), value.into());
            }
            _ => {}
        }
    }
    Ok(item(labels, moments.nanos(time), line, metadata))
}

fn item(labels: &Map<String, Value>, time: Value, line: &str, metadata: Map<String, Value>) -> Item {
    let mut fields = Map::new();
    fields.insert("labels".to_owned(), Value::Object(labels.clone()));
    fields.insert("time".to_owned(), time);
    fields.insert("line".to_owned(), line.into());
    if !metadata.is_empty() {
        fields.insert("metadata".to_owned(), Value::Object(metadata));
    }
    Item { kind: Kind::Entry, fields }
}

pub(super) fn json(body: &[u8], moments: &Moments) -> Result<Vec<Item>, String> {
    let push: Value = serde_json::from_slice(body).map_err(|error| format!("no push to Loki: {error}"))?;
    let streams = push["streams"].as_array().ok_or("a push to Loki without streams")?;
    let mut items = Vec::new();
    for stream in streams {
        let labels = stream["stream"].as_object().cloned().unwrap_or_default();
        for entry in stream["values"].as_array().into_iter().flatten() {
            let line = entry[1].as_str().ok_or("a line that is not text")?;
            let metadata = entry[2].as_object().cloned().unwrap_or_default();
            items.push(item(&labels, moments.of(&entry[0]), line, metadata));
        }
    }
    Ok(items)
}
