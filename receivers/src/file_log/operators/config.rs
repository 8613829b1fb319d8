//! The settings of operators, with the collector's names and defaults.

use std::collections::BTreeMap;
use std::fmt;

use pipeline::config::{Block, Tagged};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::field::{Field, Root};
use super::value::Value;

/// One entry of `operators`.
pub type Operator = Tagged<Kind>;

/// The operators that work, by their `type`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads a field as a JSON object.
    JsonParser(Json),
    /// Reads a field by a regular expression with named groups.
    RegexParser(Regex),
    /// Reads the time.
    TimeParser(TimeParser),
    /// Reads the severity.
    SeverityParser(SeverityParser),
    /// Reads the trace context.
    TraceParser(TraceParser),
    /// Sets a value.
    Add(Add),
    /// Copies a value.
    Copy(FromTo),
    /// Moves a value.
    Move(FromTo),
    /// Takes a value out.
    Remove(Remove),
    /// Does nothing.
    Noop(Noop),
}

/// What every operator has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Common {
    /// The name by which `output` of another one means it; its type by default.
    pub id: Option<String>,
    /// The next operator; naming any other is not carried out.
    pub output: Option<String>,
    /// What becomes of an entry that it cannot work on.
    pub on_error: OnError,
    /// Which entries it works on; all by default.
    pub r#if: Option<String>,
}

/// What becomes of an entry that an operator cannot work on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It goes on as it is, and the log says so.
    #[default]
    Send,
    /// It goes on as it is.
    SendQuiet,
    /// It is dropped, and the log says so.
    Drop,
    /// It is dropped.
    DropQuiet,
}

/// What every parser of a field has.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Parser {
    /// What is read.
    pub parse_from: Field,
    /// Where what was read goes.
    pub parse_to: Field,
    /// The field that becomes the body afterwards.
    pub body: Option<Field>,
    /// Then reads the time.
    pub timestamp: Block<Time>,
    /// Then reads the severity.
    pub severity: Block<Severity>,
    /// Then reads the trace context; by default where the parser wrote.
    pub trace: Block<Trace>,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser {
            parse_from: Field::root(Root::Body),
            parse_to: Field::root(Root::Attributes),
            body: None,
            timestamp: Block::off(),
            severity: Block::off(),
            trace: Block::off(),
        }
    }
}

/// `json_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Json {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
    /// Whether whole numbers are integers; otherwise all numbers are doubles.
    pub parse_ints: bool,
}

/// `regex_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Regex {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
    /// With named groups.
    pub regex: String,
    /// The collector's cache of matches. It changes no result, and ours needs none.
    pub cache: Cache,
}

/// `cache` of `regex_parser`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// Has no effect.
    pub size: u32,
}

/// `time_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TimeParser {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~time")]
    /// How it reads.
    pub time: Time,
}

/// How a time is read: `timestamp` of a parser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Time {
    /// What is read; required.
    pub parse_from: Option<Field>,
    /// How it is written; required.
    pub layout: String,
    /// The language of `layout`.
    pub layout_type: LayoutType,
    /// The zone of times that have none: UTC.
    pub location: Option<String>,
}

/// The language of a time's layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayoutType {
    /// `%Y-%m-%d`.
    #[default]
    Strptime,
    /// `2006-01-02`.
    Gotime,
    /// `s`, `ms`, `us`, `ns`, `s.ms`, `s.us`, `s.ns`.
    Epoch,
}

/// `severity_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SeverityParser {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~severity")]
    /// How it reads.
    pub severity: Severity,
}

/// How a severity is read: `severity` of a parser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Severity {
    /// What is read; required.
    pub parse_from: Option<Field>,
    /// Which words are known from the start.
    pub preset: Preset,
    /// Which more words mean which severity.
    pub mapping: BTreeMap<String, Meanings>,
    /// Whether the severity text becomes the short name of the severity.
    pub overwrite_text: bool,
}

/// Words of severities that are known from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// `otel`, and `warning` and `err` with their numbered forms.
    #[default]
    Default,
    /// The short names and the numbers 1 to 24.
    #[serde(alias = "aliases")]
    Otel,
    /// None.
    None,
}

/// What means a severity: one or several words, numbers and ranges of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meanings(pub Vec<Meaning>);

/// A word, or numbers from one to another; a lone number is a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// In lower case.
    Word(String),
    /// Both included.
    Range(i64, i64),
}

impl<'de> Deserialize<'de> for Meanings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Meanings, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Meanings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, a number, 2xx to 5xx, a map with min and max, or a list of these")
            }

            fn visit_i64<E>(self, n: i64) -> Result<Meanings, E> {
                Ok(Meanings(vec![Meaning::Word(n.to_string())]))
            }

            fn visit_str<E>(self, word: &str) -> Result<Meanings, E> {
                Ok(Meanings(vec![match word {
                    "2xx" => Meaning::Range(200, 299),
                    "3xx" => Meaning::Range(300, 399),
                    "4xx" => Meaning::Range(400, 499),
                    "5xx" => Meaning::Range(500, 599),
                    word => Meaning::Word(word.to_lowercase()),
                }]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Meanings, A::Error> {
                let mut all = Vec::new();
                while let Some(Meanings(some)) = seq.next_element()? {
                    all.extend(some);
                }
                Ok(Meanings(all))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Meanings, A::Error> {
                let (mut min, mut max) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "min" => min = Some(map.next_value::<i64>()?),
                        "max" => max = Some(map.next_value::<i64>()?),
                        other => {
                            return Err(de::Error::custom(format!("has the key {other:?}; a range has min and max")));
                        }
                    }
                }
                match (min, max) {
                    (Some(min), Some(max)) => Ok(Meanings(vec![Meaning::Range(min.min(max), min.max(max))])),
                    _ => Err(de::Error::custom("is a range without both min and max")),
                }
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

/// `trace_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TraceParser {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~trace")]
    /// How it reads.
    pub trace: Trace,
}

/// How trace context is read: `trace` of a parser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// 32 hex digits.
    pub trace_id: From,
    /// 16 hex digits.
    pub span_id: From,
    /// 2 hex digits.
    pub trace_flags: From,
}

/// Where a part of the trace context is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct From {
    /// The field of the part's name, where the parser wrote, by default.
    pub parse_from: Option<Field>,
}

/// `add`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Add {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Where; required.
    pub field: Option<Field>,
    /// What; required.
    pub value: Option<Value<'static>>,
}

/// `copy` and `move`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FromTo {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Required.
    pub from: Option<Field>,
    /// Required.
    pub to: Option<Field>,
}

/// `remove`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Remove {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Required.
    pub field: Option<Field>,
}

/// `noop`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Noop {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
}

impl Kind {
    /// Its `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::JsonParser(_) => "json_parser",
            Kind::RegexParser(_) => "regex_parser",
            Kind::TimeParser(_) => "time_parser",
            Kind::SeverityParser(_) => "severity_parser",
            Kind::TraceParser(_) => "trace_parser",
            Kind::Add(_) => "add",
            Kind::Copy(_) => "copy",
            Kind::Move(_) => "move",
            Kind::Remove(_) => "remove",
            Kind::Noop(_) => "noop",
        }
    }

    /// What it has as every operator has.
    pub fn common(&self) -> &Common {
        match self {
            Kind::JsonParser(c) => &c.common,
            Kind::RegexParser(c) => &c.common,
            Kind::TimeParser(c) => &c.common,
            Kind::SeverityParser(c) => &c.common,
            Kind::TraceParser(c) => &c.common,
            Kind::Add(c) => &c.common,
            Kind::Copy(c) | Kind::Move(c) => &c.common,
            Kind::Remove(c) => &c.common,
            Kind::Noop(c) => &c.common,
        }
    }

    /// The name by which others mean it.
    pub fn id(&self) -> &str {
        self.common().id.as_deref().unwrap_or(self.name())
    }
}
