//! Settings of what reads time, severity, trace context and scope.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::super::field::Field;
use super::Common;

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
    /// Whether what was read is taken out then.
    pub drop_field: bool,
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
    /// The zones that abbreviations mean, where `layout` reads them.
    pub time_zone_locations: BTreeMap<String, String>,
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
    /// Whether what was read is taken out then.
    pub drop_field: bool,
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
    /// Whether what was read is taken out then.
    pub drop_field: bool,
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

/// `scope_name_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ScopeNameParser {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~from")]
    /// Where it is.
    pub from: From,
    /// Whether what was read is taken out then.
    pub drop_field: bool,
}

/// Where one thing is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct From {
    /// The field of the part's name, where the parser wrote, by default.
    pub parse_from: Option<Field>,
}
