//! `slipring schema`: a JSON Schema (draft-07, which the YAML language server takes best) of the whole config. Keys and
//! kinds come from the types that read them, words and defaults from the READMEs.
//!
//! Keys that a config must have are required in lists only: a config may be one of several that are merged.

use std::collections::BTreeMap;

use pipeline::Registry;
use pipeline::config::docs::{Book, Step};
use pipeline::config::shape::{Block, Kind, Shape};
use pipeline::config::yaml_value;
use serde_json::{Map, Value, json};

use crate::catalogue::{Item, items};

/// The schema as text, ending with a line end.
pub fn schema(registry: &Registry) -> String {
    let book = Book::of(registry);
    let mut writer = Writer::default();
    let mut sections: BTreeMap<&str, NamesAndPatterns> = BTreeMap::new();
    let mut service = json!({});
    for item in items(registry, &book) {
        let mut body = writer.shape(&item, &mut Vec::new(), &item.shape);
        if let Some(object) = body.as_object_mut() {
            object.insert("description".to_owned(), item.about.into());
        }
        if item.types.is_empty() {
            service = body;
            continue;
        }
        let definition = item.path();
        writer.definitions.insert(definition.clone(), body);
        let target = json!({ "$ref": format!("#/definitions/{definition}") });
        let (names, patterns) = sections.entry(item.section).or_default();
        for (n, name) in item.types.iter().enumerate() {
            let mut target = target.clone();
            if n > 0 {
                let now = item.name();
                target = json!({ "allOf": [target], "deprecationMessage": format!("an older name of {now}") });
            }
            patterns.insert(format!("^{name}\\s*/.+$"), target.clone());
            names.insert((*name).to_owned(), target);
        }
    }
    let section = |section: &str, about: &str| {
        let (names, patterns) = sections.get(section).cloned().unwrap_or_default();
        or_expansion(json!({
            "type": ["object", "null"],
            "description": about,
            "properties": names,
            "patternProperties": patterns,
            "additionalProperties": false,
        }))
    };
    let root = json!({
        "receivers": section("receivers", "How telemetry comes in."),
        "processors": section("processors", "What is done with it on its way."),
        "exporters": section("exporters", "Where it goes."),
        "extensions": section("extensions", "What is there beside the pipelines."),
        "connectors": { "type": ["object", "null"], "additionalProperties": false, "description": "There are none yet." },
        "service": service,
    });
    writer.definitions.insert(
        "expansion".to_owned(),
        json!({
            "type": "string",
            "pattern": "\\$\\{.*\\}",
            "description": "${env:NAME}, ${env:NAME:-default} or ${file:PATH}",
        }),
    );
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Slipring's config",
        "type": "object",
        "properties": root,
        // `service::telemetry: …` at the top is `telemetry` under `service`.
        "patternProperties": { "::": {} },
        "additionalProperties": false,
        "definitions": writer.definitions,
    });
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The properties and the pattern properties of a section.
type NamesAndPatterns = (Map<String, Value>, Map<String, Value>);

/// Collects what is used in several places.
#[derive(Default)]
struct Writer {
    definitions: BTreeMap<String, Value>,
    /// The name of each definition by its text.
    known: BTreeMap<String, String>,
}

impl Writer {
    fn shape(&mut self, item: &Item<'_>, way: &mut Vec<Step>, shape: &Shape) -> Value {
        match &shape.kind {
            Kind::Bool => or_expansion(json!({ "type": ["boolean", "null"] })),
            Kind::Integer(least, most) => {
                let mut schema = json!({ "type": ["integer", "null"] });
                for (key, bound) in [("minimum", *least), ("maximum", *most)] {
                    const EXACT: i128 = 1 << 53;
                    if let (true, Ok(bound), Some(object)) =
                        (bound.abs() < EXACT, i64::try_from(bound), schema.as_object_mut())
                    {
                        object.insert(key.to_owned(), bound.into());
                    }
                }
                or_expansion(schema)
            }
            Kind::Number => or_expansion(json!({ "type": ["number", "null"] })),
            Kind::Text | Kind::Secret => json!({ "type": ["string", "null"] }),
            Kind::Scalar => json!({ "type": ["string", "number", "boolean", "null"] }),
            Kind::Duration => json!({ "anyOf": [
                { "type": "string", "pattern": GO_DURATION },
                { "type": "integer", "minimum": 0, "description": "nanoseconds" },
                { "type": "null" },
            ]}),
            Kind::PromDuration => json!({ "anyOf": [
                { "type": "string", "pattern": PROM_DURATION },
                { "const": 0 },
                { "type": "null" },
            ]}),
            Kind::Size => json!({ "anyOf": [
                { "type": "string", "pattern": SIZE },
                { "type": "integer", "minimum": 0 },
                { "type": "null" },
            ]}),
            Kind::Headers => or_expansion(json!({ "anyOf": [
                { "type": ["object", "null"], "additionalProperties": { "type": ["string", "null"] } },
                { "type": "array", "items": {
                    "type": "object",
                    "properties": { "name": { "type": "string" }, "value": { "type": ["string", "null"] } },
                    "required": ["name"],
                    "additionalProperties": false,
                }},
            ]})),
            Kind::Words(words) => {
                or_expansion(json!({ "enum": words.iter().map(|w| json!(w)).chain([Value::Null]).collect::<Vec<_>>() }))
            }
            Kind::List(inner) => {
                way.push(Step::Element);
                let items = self.shape(item, way, inner);
                way.pop();
                let words = matches!(inner.kind, Kind::Text | Kind::Scalar | Kind::Secret | Kind::Words(_));
                // A text is split at its commas.
                match words {
                    true => json!({ "type": ["array", "string", "null"], "items": items }),
                    false => or_expansion(json!({ "type": ["array", "null"], "items": items })),
                }
            }
            Kind::Map(inner) => {
                way.push(Step::Value);
                let values = self.shape(item, way, inner);
                way.pop();
                let pipelines = item.types.is_empty() && matches!(way.as_slice(), [Step::Key("pipelines", _)]);
                or_expansion(match pipelines {
                    true => json!({
                        "type": ["object", "null"],
                        "patternProperties": { "^(traces|metrics|logs)(\\s*/.+)?$": values },
                        "additionalProperties": false,
                    }),
                    false => json!({ "type": ["object", "null"], "additionalProperties": values }),
                })
            }
            Kind::Block(block) => {
                let schema = self.block(item, way, block, None);
                or_expansion(self.hoisted(block.name, schema))
            }
            Kind::Tagged(tags) => {
                let words: Vec<&str> = tags.iter().map(|(tag, _)| *tag).collect();
                let mut cases = Vec::new();
                for (tag, shape) in tags {
                    let Some(block) = shape.block() else { continue };
                    way.push(Step::Tag(tag));
                    let schema = self.block(item, way, block, Some(tag));
                    way.pop();
                    let then = self.hoisted(tag, schema);
                    cases.push(json!({ "if": { "properties": { "type": { "const": tag } } }, "then": then }));
                }
                let schema = json!({
                    "type": "object",
                    "properties": { "type": { "enum": words } },
                    "required": ["type"],
                    "allOf": cases,
                });
                or_expansion(self.hoisted("tagged", schema))
            }
            Kind::TextOr(inner) => {
                let inner = self.shape(item, way, inner);
                json!({ "anyOf": [{ "type": ["string", "number", "boolean", "null"] }, inner] })
            }
            Kind::Other(_) => json!({}),
        }
    }

    fn block(&mut self, item: &Item<'_>, way: &mut Vec<Step>, block: &Block, tag: Option<&str>) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let in_list = way.contains(&Step::Element);
        for key in &block.keys {
            way.push(Step::Key(key.name, key.of));
            let mut schema = self.shape(item, way, &key.shape);
            if let (Some(row), Some(object)) = (item.words.row(way), schema.as_object_mut()) {
                let mut about = row.about();
                match row.default_value().and_then(yaml_value) {
                    Some(value) => drop(object.insert("default".to_owned(), value)),
                    None if row.is_needed() => about = format!("{about} (needed)"),
                    None if row.default.is_empty() => {}
                    None => about = format!("{about} (by default: {})", pipeline::config::docs::plain(&row.default)),
                }
                object.insert("description".to_owned(), about.trim().into());
                if in_list && row.is_needed() {
                    required.push(key.name);
                }
            }
            way.pop();
            properties.insert(key.name.to_owned(), schema);
        }
        if let Some(tag) = tag {
            properties.insert("type".to_owned(), json!({ "const": tag }));
        }
        let mut schema = json!({ "type": ["object", "null"], "properties": properties });
        if let Some(object) = schema.as_object_mut() {
            if !block.open {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            if !required.is_empty() {
                object.insert("required".to_owned(), required.into());
            }
        }
        schema
    }

    /// A reference to a schema that stands under `definitions`, once however often it is used.
    fn hoisted(&mut self, name: &str, schema: Value) -> Value {
        const SMALL: usize = 400;
        let text = schema.to_string();
        if text.len() < SMALL {
            return schema;
        }
        let name = match self.known.get(&text) {
            Some(name) => name.clone(),
            None => {
                let free = |name: &String| !self.definitions.contains_key(name);
                let name = std::iter::once(name.to_owned())
                    .chain((2..).map(|n| format!("{name}{n}")))
                    .find(free)
                    .unwrap_or_default();
                self.definitions.insert(name.clone(), schema);
                self.known.insert(text, name.clone());
                name
            }
        };
        json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] })
    }
}

const GO_DURATION: &str = r"\$\{|^\+?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$";
const PROM_DURATION: &str = r"\$\{|^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";
const SIZE: &str = r"\$\{|^[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]?[iI]?[bB]?)$";

/// What is no text may still come out of a `${…}`.
fn or_expansion(schema: Value) -> Value {
    let ways = vec![schema, json!({ "$ref": "#/definitions/expansion" })];
    Value::Object(Map::from_iter([("anyOf".to_owned(), Value::Array(ways))]))
}
