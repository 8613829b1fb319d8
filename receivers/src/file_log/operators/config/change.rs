//! Settings of what changes entries, drops them, or sends them different ways.

use std::collections::BTreeMap;

use pipeline::config::{StringList, Text};
use serde::Deserialize;

use super::super::field::{Field, Root};
use super::super::value::Value;
use super::Common;

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

/// `retain`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Retain {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Required. Of body, attributes and resource, those that no field names are left alone.
    pub fields: Vec<Field>,
}

/// `flatten`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Flatten {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Required; the values of this map come to stand where it stood.
    pub field: Option<Field>,
}

/// `regex_replace`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RegexReplace {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Required.
    pub field: Option<Field>,
    /// What is replaced.
    pub regex: String,
    /// Instead of `regex`: `ansi_control_sequences`.
    pub regex_name: String,
    /// What stands there then; `$1` and `${name}` are groups of the match.
    pub replace_with: String,
}

/// `filter`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Filter {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Which entries are dropped; required.
    pub expr: String,
    /// What part of them, from 0 to 1.
    pub drop_ratio: f64,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { common: Common::default(), expr: String::new(), drop_ratio: 1.0 }
    }
}

/// `router`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Router {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// Of these, the first whose condition holds; required.
    pub routes: Vec<Route>,
    /// Where the others go; without it they are dropped.
    pub default: StringList,
}

/// One way of a `router`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Route {
    /// The operator that entries go to; required.
    pub output: StringList,
    /// Which entries; required.
    pub expr: String,
    /// Attributes that they get.
    pub attributes: BTreeMap<String, Text>,
}

/// `noop`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Noop {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
}

/// `assign_keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AssignKeys {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// The list that becomes a map; required.
    pub field: Option<Field>,
    /// The names of its values; required.
    pub keys: Vec<String>,
}

/// `unquote`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Unquote {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// The text; required.
    pub field: Option<Field>,
}

/// `sanitize_utf8`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SanitizeUtf8 {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// The text.
    pub field: Field,
}

impl Default for SanitizeUtf8 {
    fn default() -> SanitizeUtf8 {
        SanitizeUtf8 { common: Common::default(), field: Field::root(Root::Body) }
    }
}
