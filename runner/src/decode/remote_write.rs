//! Remote write, 1.0 and 2.0: series by series, from the wire.

use pipeline::otlp::WireError;
use pipeline::otlp::wire::{Field, Fields, Value as Wire, read_varint};
use serde_json::{Map, Value, json};

use super::{Answer, Decoded, Item, Kind, Moments, number};

const TYPES: [&str; 8] = ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

pub(super) fn version_1(body: &[u8], moments: &Moments) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let read = |items: &mut Vec<Item>| -> Result<(), WireError> {
        for field in Fields::new(body) {
            let field = field?;
            match field.number {
                1 => series(field.value.bytes()?, &First, moments, items)?,
                3 => items.push(metadata(field.value.bytes()?)?),
                _ => {}
            }
        }
        Ok(())
    };
    read(&mut items).map_err(|error| format!("no remote write 1.0 request: {error}"))?;
    check(&items)?;
    Ok(items)
}

pub(super) fn version_2(body: &[u8], moments: &Moments) -> Result<Decoded, String> {
    let mut items = Vec::new();
    let read = |items: &mut Vec<Item>| -> Result<(), WireError> {
        let mut symbols = Vec::new();
        for field in Fields::new(body) {
            let field = field?;
            if field.number == 4 {
                symbols.push(field.value.text()?);
            }
        }
        let second = Second { symbols };
        for field in Fields::new(body) {
            let field = field?;
            if field.number == 5 {
                series(field.value.bytes()?, &second, moments, items)?;
            }
        }
        Ok(())
    };
    read(&mut items).map_err(|error| format!("no remote write 2.0 request: {error}"))?;
    check(&items)?;
    let has = |item: &&Item, name: &str| item.fields.contains_key(name);
    let exemplars = items.iter().filter_map(|item| item.fields.get("exemplars")?.as_array()).map(Vec::len).sum();
    let histograms = items.iter().filter(|item| has(item, "histogram")).count();
    let samples = items.iter().filter(|item| has(item, "value")).count();
    Ok(Decoded { items, answer: Answer::Written { samples, histograms, exemplars } })
}

/// What Prometheus would refuse.
fn check(items: &[Item]) -> Result<(), String> {
    match items.iter().find(|item| item.kind == Kind::Sample && !item.fields.contains_key("metric")) {
        None => Ok(()),
        Some(item) => Err(format!("a series without a name: {}", Value::Object(item.fields.clone()))),
    }
}

/// What differs between the versions.
trait Version {
    const SAMPLES: u32 = 2;
    const HISTOGRAMS: u32;
    const EXEMPLARS: u32;
    /// A field of a series or exemplar that holds labels.
    fn labels(&self, field: &Field<'_>, out: &mut Vec<(String, String)>) -> Result<(), WireError>;
    /// What a series says of its family.
    fn family(&self, field: &Field<'_>, out: &mut Map<String, Value>) -> Result<(), WireError>;
}

struct First;

impl Version for First {
    const HISTOGRAMS: u32 = 4;
    const EXEMPLARS: u32 = 3;

    fn labels(&self, field: &Field<'_>, out: &mut Vec<(String, String)>) -> Result<(), WireError> {
        if field.number == 1 {
            let (mut name, mut value) = ("", "");
            for field in Fields::new(field.value.bytes()?) {
                let field = field?;
                match field.number {
                    1 => name = field.value.text()?,
                    2 => value = field.value.text()?,
                    _ => {}
                }
            }
            out.push((name.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    fn family(&self, _: &Field<'_>, _: &mut Map<String, Value>) -> Result<(), WireError> {
        Ok(())
    }
}

struct Second<'a> {
    symbols: Vec<&'a str>,
}

impl Second<'_> {
    fn symbol(&self, place: u64) -> Result<&str, WireError> {
        let place = usize::try_from(place).map_err(|_| WireError::Truncated)?;
        self.symbols.get(place).copied().ok_or(WireError::Truncated)
    }
}

impl Version for Second<'_> {
    const HISTOGRAMS: u32 = 3;
    const EXEMPLARS: u32 = 4;

    fn labels(&self, field: &Field<'_>, out: &mut Vec<(String, String)>) -> Result<(), WireError> {
        if field.number == 1 {
            let refs = varints(field.value)?;
            for pair in refs.chunks(2) {
                let [name, value] = pair else { return Err(WireError::Truncated) };
                out.push((self.symbol(*name)?.to_owned(), self.symbol(*value)?.to_owned()));
            }
        }
        Ok(())
    }

    fn family(&self, field: &Field<'_>, out: &mut Map<String, Value>) -> Result<(), WireError> {
        if field.number == 5 {
            for field in Fields::new(field.value.bytes()?) {
                let field = field?;
                let place = field.value.varint()?;
                match field.number {
                    1 => _ = out.insert("type".to_owned(), type_name(place)),
                    3 if place > 0 => _ = out.insert("help".to_owned(), self.symbol(place)?.into()),
                    4 if place > 0 => _ = out.insert("unit".to_owned(), self.symbol(place)?.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn series<V: Version>(bytes: &[u8], version: &V, moments: &Moments, items: &mut Vec<Item>) -> Result<(), WireError> {
    let (mut labels, mut family) = (Vec::new(), Map::new());
    let (mut samples, mut exemplars) = (Vec::new(), Vec::new());
    for field in Fields::new(bytes) {
        let field = field?;
        let number_of = field.number;
        if number_of == V::SAMPLES {
            samples.push(sample(field.value.bytes()?, moments)?);
        } else if number_of == V::HISTOGRAMS {
            samples.push(histogram(field.value.bytes()?, moments)?);
        } else if number_of == V::EXEMPLARS {
            exemplars.push(exemplar(field.value.bytes()?, version, moments)?);
        } else {
            version.labels(&field, &mut labels)?;
            version.family(&field, &mut family)?;
        }
    }
    let mut name = None;
    let mut others = Map::new();
    for (label, value) in labels {
        if label == "__name__" { name = Some(value) } else { _ = others.insert(label, value.into()) }
    }
    let last = samples.len().saturating_sub(1);
    for (i, mut fields) in samples.into_iter().enumerate() {
        if let Some(name) = &name {
            fields.insert("metric".to_owned(), name.clone().into());
        }
        if !others.is_empty() {
            fields.insert("labels".to_owned(), Value::Object(others.clone()));
        }
        fields.extend(family.clone());
        if i == last && !exemplars.is_empty() {
            fields.insert("exemplars".to_owned(), std::mem::take(&mut exemplars).into());
        }
        items.push(Item { kind: Kind::Sample, fields });
    }
    Ok(())
}

fn sample(bytes: &[u8], moments: &Moments) -> Result<Map<String, Value>, WireError> {
    let (mut value, mut time, mut start) = (0.0, 0, 0);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => value = field.value.double()?,
            2 => time = field.value.int64()?,
            3 => start = field.value.int64()?,
            _ => {}
        }
    }
    let mut fields = Map::from_iter([("value".to_owned(), number(value)), ("time".to_owned(), moments.millis(time))]);
    if start != 0 {
        fields.insert("start".to_owned(), moments.millis(start));
    }
    Ok(fields)
}

fn exemplar<V: Version>(bytes: &[u8], version: &V, moments: &Moments) -> Result<Value, WireError> {
    let (mut labels, mut value, mut time) = (Vec::new(), 0.0, 0);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            2 => value = field.value.double()?,
            3 => time = field.value.int64()?,
            _ => version.labels(&field, &mut labels)?,
        }
    }
    let labels: Map<String, Value> = labels.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(json!({"labels": labels, "value": number(value), "time": moments.millis(time)}))
}

#[derive(Default)]
struct Side {
    spans: Vec<(i32, u32)>,
    counts: Vec<f64>,
}

impl Side {
    /// Index and count of each bucket.
    fn buckets(&self) -> Map<String, Value> {
        let (mut index, mut counts) = (0_i64, self.counts.iter());
        let mut out = Map::new();
        for (offset, length) in &self.spans {
            index += i64::from(*offset);
            for _ in 0..*length {
                let Some(count) = counts.next() else { return out };
                out.insert(index.to_string(), number(*count));
                index += 1;
            }
        }
        out
    }
}

fn histogram(bytes: &[u8], moments: &Moments) -> Result<Map<String, Value>, WireError> {
    let mut out = Map::new();
    let (mut positive, mut negative, mut time) = (Side::default(), Side::default(), Value::Null);
    #[allow(clippy::cast_precision_loss, reason = "counts of a test")]
    for field in Fields::new(bytes) {
        let field = field?;
        let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
        match field.number {
            1 => _ = put("count", number(field.value.varint()? as f64)),
            2 => _ = put("count", number(field.value.double()?)),
            3 => _ = put("sum", number(field.value.double()?)),
            4 => _ = put("schema", field.value.sint32()?.into()),
            5 => _ = put("zero_threshold", number(field.value.double()?)),
            6 => _ = put("zero_count", number(field.value.varint()? as f64)),
            7 => _ = put("zero_count", number(field.value.double()?)),
            8 => negative.spans.push(span(field.value.bytes()?)?),
            9 => negative.counts = deltas(field.value)?,
            10 => negative.counts = doubles(field.value)?,
            11 => positive.spans.push(span(field.value.bytes()?)?),
            12 => positive.counts = deltas(field.value)?,
            13 => positive.counts = doubles(field.value)?,
            15 => time = moments.millis(field.value.int64()?),
            16 => _ = put("bounds", doubles(field.value)?.into_iter().map(number).collect()),
            _ => {}
        }
    }
    for (name, side) in [("positive", positive), ("negative", negative)] {
        if !side.spans.is_empty() {
            out.insert(name.to_owned(), Value::Object(side.buckets()));
        }
    }
    Ok(Map::from_iter([("histogram".to_owned(), Value::Object(out)), ("time".to_owned(), time)]))
}

fn span(bytes: &[u8]) -> Result<(i32, u32), WireError> {
    let (mut offset, mut length) = (0, 0);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => offset = field.value.sint32()?,
            2 => length = field.value.uint32()?,
            _ => {}
        }
    }
    Ok((offset, length))
}

fn varints(value: Wire<'_>) -> Result<Vec<u64>, WireError> {
    let Wire::Len(packed) = value else { return Ok(vec![value.varint()?]) };
    let (mut at, mut out) = (0, Vec::new());
    while at < packed.len() {
        out.push(read_varint(packed, &mut at)?);
    }
    Ok(out)
}

/// Counts from their differences.
#[allow(clippy::cast_precision_loss, reason = "counts of a test")]
fn deltas(value: Wire<'_>) -> Result<Vec<f64>, WireError> {
    let mut count = 0_i64;
    let add = |delta: u64| {
        count += (delta >> 1).cast_signed() ^ -((delta & 1).cast_signed());
        count as f64
    };
    Ok(varints(value)?.into_iter().map(add).collect())
}

fn doubles(value: Wire<'_>) -> Result<Vec<f64>, WireError> {
    match value {
        Wire::Len(packed) => Ok(packed.as_chunks().0.iter().map(|bits| f64::from_le_bytes(*bits)).collect()),
        value => Ok(vec![value.double()?]),
    }
}

fn metadata(bytes: &[u8]) -> Result<Item, WireError> {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), type_name(0));
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => _ = fields.insert("type".to_owned(), type_name(field.value.varint()?)),
            2 => _ = fields.insert("metadata".to_owned(), field.value.text()?.into()),
            4 => _ = fields.insert("help".to_owned(), field.value.text()?.into()),
            5 => _ = fields.insert("unit".to_owned(), field.value.text()?.into()),
            _ => {}
        }
    }
    Ok(Item { kind: Kind::Metadata, fields })
}

fn type_name(number: u64) -> Value {
    usize::try_from(number).ok().and_then(|n| TYPES.get(n)).map_or_else(|| number.into(), |name| (*name).into())
}
