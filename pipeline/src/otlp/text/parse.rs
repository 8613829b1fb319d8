//! Text to requests: lines to messages that are put together in the order of their field numbers.

use bytes::Bytes;

use super::super::check;
use super::super::fields::{metric, request, resource_group, scope_group};
use super::super::schema::{Kind, Type};
use super::super::wire::Fields;
use super::super::write::Writer;
use super::TextError;
use super::lex::Cursor;
use super::names::{DATA, attributes, field, is_named, keyword};
use super::value::{any_value, field_value, list};
use crate::batch::Signal;

/// The fields of a message, with their numbers.
pub(super) type Parts = Vec<(u32, Vec<u8>)>;

/// A message that is not complete yet.
struct Node {
    message: Type,
    /// The field of the message around it.
    number: u32,
    level: usize,
    parts: Parts,
}

// How deep messages with lines stand.
const REQUEST: usize = 0;
const GROUP: usize = 1;
const SCOPE: usize = 2;
const ITEM: usize = 3;
const DATA_LEVEL: usize = 4;
const POINT: usize = 5;
const EXEMPLAR: usize = 6;

pub(super) fn request(signal: Signal, text: &str) -> Result<Bytes, TextError> {
    let root = Node { message: Type::request(signal), number: 0, level: REQUEST, parts: Parts::new() };
    let mut nodes = Nodes(vec![root]);
    let mut last = Cursor::new("", 1);
    for (i, line) in text.lines().enumerate() {
        let mut cursor = Cursor::new(line, i + 1);
        if !matches!(cursor.peek(), None | Some(b'#')) {
            nodes.line(&mut cursor)?;
            last = cursor;
        }
    }
    nodes.close(GROUP);
    let out = Bytes::from(nodes.0.pop().map(|root| joined(root.parts)).unwrap_or_default());
    check::full(signal, &out).map_err(|error| last.error(error.to_string()))?;
    Ok(out)
}

/// Fields in the order of their numbers.
pub(super) fn joined(mut parts: Parts) -> Vec<u8> {
    parts.sort_by_key(|(number, _)| *number);
    parts.into_iter().flat_map(|(_, field)| field).collect()
}

/// The messages around the current line, outermost first.
struct Nodes(Vec<Node>);

impl Nodes {
    fn top(&mut self) -> &mut Node {
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn open(&mut self, message: Type, number: u32, level: usize, parts: Parts) {
        self.0.push(Node { message, number, level, parts });
    }

    /// Completes the messages of that level and deeper.
    fn close(&mut self, level: usize) {
        while self.top().level >= level
            && let Some(Node { number, parts, .. }) = self.0.pop()
        {
            let mut w = Writer::new();
            w.bytes(number, &joined(parts));
            self.top().parts.push((number, w.into_vec()));
        }
    }

    /// The type of the messages in a field of the current one.
    fn inner(&mut self, number: u32) -> Type {
        match self.top().message.field(number).map(|field| field.kind) {
            Some(Kind::Message(inner)) => inner,
            _ => self.top().message,
        }
    }

    /// Makes room for a message of that level, with the groups around it.
    fn at_level(&mut self, level: usize) {
        self.close(level);
        for (around, number) in [(GROUP, request::RESOURCES), (SCOPE, resource_group::SCOPES)] {
            if around < level && self.top().level < around {
                let group = self.inner(number);
                self.open(group, number, around, Parts::new());
            }
        }
    }

    fn line(&mut self, cursor: &mut Cursor<'_>) -> Result<(), TextError> {
        let start = cursor.error("");
        let wrong = |what: String| TextError { what, ..start };
        let word = cursor.word()?;
        match word {
            "request" => {
                while cursor.peek().is_some() {
                    cursor.expect("?")?;
                    let part = unknown(cursor)?;
                    self.0[0].parts.push(part);
                }
                Ok(())
            }
            "resource" => self.envelope(cursor, GROUP, request::RESOURCES),
            "scope" => self.envelope(cursor, SCOPE, resource_group::SCOPES),
            "span" | "log" | "metric" => {
                self.at_level(ITEM);
                let item = self.inner(scope_group::ITEMS);
                if keyword(item) != word {
                    return Err(wrong(format!("expected {} and not {word}", keyword(item))));
                }
                self.item(cursor, item)
            }
            "event" | "link" | "point" | "exemplar" => {
                self.close(if word == "exemplar" { EXEMPLAR } else { POINT });
                let around = self.top().message;
                let holds = |number: &u32| match around.field(*number).map(|field| field.kind) {
                    Some(Kind::Message(inner)) => keyword(inner) == word,
                    _ => false,
                };
                let number = (1..16).find(holds).ok_or_else(|| {
                    wrong(match word {
                        "point" => "a point needs a metric of some kind before it".to_owned(),
                        "exemplar" => "an exemplar needs a point before it".to_owned(),
                        _ => format!("{word} needs a span before it"),
                    })
                })?;
                let message = self.inner(number);
                let mut parts = Parts::new();
                message_parts(cursor, message, &mut parts, &mut Parts::new())?;
                let level = if word == "exemplar" { EXEMPLAR } else { POINT };
                self.open(message, number, level, parts);
                Ok(())
            }
            _ => Err(wrong(format!(
                "{word} is no keyword; there are request, resource, scope, span, event, link, log, metric, point, exemplar"
            ))),
        }
    }

    /// A resource or scope with its group.
    fn envelope(&mut self, cursor: &mut Cursor<'_>, level: usize, number: u32) -> Result<(), TextError> {
        self.at_level(level);
        let group = self.inner(number);
        self.open(group, number, level, Parts::new());
        let message = self.inner(resource_group::RESOURCE);
        let (mut parts, mut around) = (Parts::new(), Parts::new());
        let is_none = cursor.word_ahead() == "none";
        if is_none {
            cursor.word()?;
        }
        let before = cursor.error("");
        message_parts(cursor, message, &mut parts, &mut around)?;
        if is_none && !parts.is_empty() {
            return Err(TextError { what: format!("there is no {}, so it has no fields", keyword(message)), ..before });
        }
        if !is_none {
            let mut w = Writer::new();
            w.bytes(resource_group::RESOURCE, &joined(parts));
            around.push((resource_group::RESOURCE, w.into_vec()));
        }
        self.top().parts = around;
        Ok(())
    }

    fn item(&mut self, cursor: &mut Cursor<'_>, item: Type) -> Result<(), TextError> {
        let (mut parts, mut data_parts) = (Parts::new(), Parts::new());
        let data = message_parts(cursor, item, &mut parts, &mut data_parts)?;
        self.open(item, scope_group::ITEMS, ITEM, parts);
        if let Some((message, number)) = data {
            self.open(message, number, DATA_LEVEL, data_parts);
        } else if !data_parts.is_empty() {
            return Err(cursor.error("a metric with that needs a kind: gauge, sum, histogram, exponential or summary"));
        }
        Ok(())
    }
}

/// Reads the parts of a line to its end. What belongs to the group around a resource or scope, or to the data of a
/// metric, goes to `outside`. Answers the kind of data, for a metric.
fn message_parts(
    cursor: &mut Cursor<'_>,
    message: Type,
    parts: &mut Parts,
    outside: &mut Parts,
) -> Result<Option<(Type, u32)>, TextError> {
    let mut data = None;
    let word = cursor.word_ahead();
    let behind = cursor.rest()[word.len()..].bytes().next();
    let name_ahead = cursor.peek() == Some(b'"') || !word.is_empty() && !matches!(behind, Some(b'=' | b'?'));
    if is_named(message) && name_ahead {
        let name = cursor.name()?;
        if let Some(field) = field(message, "name")
            && !name.is_empty()
        {
            let mut w = Writer::new();
            w.text(field.number, &name);
            parts.push((field.number, w.into_vec()));
        }
    }
    while let Some(next) = cursor.peek() {
        let here = cursor.error("");
        let wrong = |what: &str| TextError { what: what.to_owned(), ..here.clone() };
        if cursor.eat("?") {
            parts.push(unknown(cursor)?);
            continue;
        }
        if next == b'{' {
            let field = attributes(message).ok_or_else(|| wrong("there are no attributes here"))?;
            parts.extend(list(cursor, field, 0)?.map(|list| (field.number, list)));
            continue;
        }
        if next == b'"' {
            let body = field(message, "body").ok_or_else(|| wrong("there is no text here; fields are name=value"))?;
            let mut w = Writer::new();
            w.bytes(body.number, &any_value(cursor, 0)?);
            parts.push((body.number, w.into_vec()));
            continue;
        }
        if let Some(value) = field(message, "as_int")
            && (next.is_ascii_digit() || next == b'-' || matches!(cursor.word_ahead(), "inf" | "nan"))
        {
            let word = cursor.word_ahead();
            let is_integer = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            let value = if is_integer { Some(value) } else { field(message, "as_double") };
            let value = value.ok_or_else(|| wrong("expected an integer"))?;
            parts.extend(field_value(cursor, value, 0)?.map(|bytes| (value.number, bytes)));
            continue;
        }
        let word = cursor.word()?;
        if cursor.eat("?") {
            match word {
                "group" | "data" => outside.push(unknown(cursor)?),
                _ => return Err(wrong("expected group? or data?")),
            }
        } else if cursor.eat("=") {
            let group_url =
                (word == "url" && matches!(message, Type::Resource | Type::Scope)).then_some(Type::ResourceLogs);
            let known = field(group_url.unwrap_or(message), word).or_else(|| match (message, word) {
                (Type::Metric, "aggregation_temporality" | "is_monotonic") => field(Type::Sum, word),
                _ => None,
            });
            let known = known.ok_or_else(|| {
                wrong(&format!("{} has no field {word}; it has {}", keyword(message), names(message)))
            })?;
            let value = field_value(cursor, known, 0)?.map(|bytes| (known.number, bytes));
            let is_outside =
                group_url.is_some() || message == Type::Metric && message.field(known.number) != Some(known);
            if is_outside { outside.extend(value) } else { parts.extend(value) }
        } else if message == Type::Metric {
            let mut w = Writer::new();
            match word {
                "delta" => w.varint(metric::TEMPORALITY, 1),
                "cumulative" => w.varint(metric::TEMPORALITY, 2),
                "monotonic" => w.varint(metric::IS_MONOTONIC, 1),
                _ => {
                    let kind = DATA.iter().find(|(name, ..)| *name == word);
                    let (_, message, number) = kind.ok_or_else(|| wrong("expected a kind of metric or name=value"))?;
                    data = Some((*message, *number));
                    continue;
                }
            }
            let number = if word == "monotonic" { metric::IS_MONOTONIC } else { metric::TEMPORALITY };
            outside.push((number, w.into_vec()));
        } else {
            return Err(wrong("expected name=value"));
        }
    }
    Ok(data)
}

fn names(message: Type) -> String {
    let names: Vec<_> = message.fields().iter().map(|field| super::names::short(message, field)).collect();
    names.join(", ")
}

/// The bytes of a field that stands in hexadecimal.
pub(super) fn unknown(cursor: &mut Cursor<'_>) -> Result<(u32, Vec<u8>), TextError> {
    let here = cursor.error("these digits are not one protobuf field");
    let bytes = cursor.hex()?;
    let mut fields = Fields::new(&bytes);
    match (fields.next(), fields.next()) {
        (Some(Ok(field)), None) => Ok((field.number, bytes.clone())),
        _ => Err(here),
    }
}
