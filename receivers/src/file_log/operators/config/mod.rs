//! The settings of operators, with the collector's names and defaults.

mod change;
mod read;
mod split;

use pipeline::config::{Block, StringList, Tagged};
use serde::Deserialize;

pub use self::change::{
    Add, AssignKeys, Filter, Flatten, FromTo, Noop, RegexReplace, Remove, Retain, Router, SanitizeUtf8, Unquote,
};
pub use self::read::{
    From, LayoutType, Meaning, Preset, ScopeNameParser, Severity, SeverityParser, Time, TimeParser, Trace, TraceParser,
};
pub use self::split::{
    Container, Csv, JsonArray, KeyValue, Otelcol, Overwrite, Protocol, Recombine, Runtime, SelfLog, Syslog, Trailer,
    Uri,
};
use super::field::{Field, Root};

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
    /// Reads the name of the scope.
    ScopeNameParser(ScopeNameParser),
    /// Reads a field as pairs of keys and values.
    KeyValueParser(KeyValue),
    /// Reads a field as values with commas between them.
    CsvParser(Csv),
    /// Reads a field as a JSON array.
    JsonArrayParser(JsonArray),
    /// Reads a field as a URI.
    UriParser(Uri),
    /// Reads a field as a syslog message.
    SyslogParser(Syslog),
    /// Reads what a collector logs of itself.
    Otelcol(Otelcol),
    /// Reads the lines of a container runtime.
    Container(Container),
    /// Makes one entry of several.
    Recombine(Recombine),
    /// Sets a value.
    Add(Add),
    /// Copies a value.
    Copy(FromTo),
    /// Moves a value.
    Move(FromTo),
    /// Takes a value out.
    Remove(Remove),
    /// Takes everything else out.
    Retain(Retain),
    /// Moves the values of a map up beside it.
    Flatten(Flatten),
    /// Names the values of a list.
    AssignKeys(AssignKeys),
    /// Takes the quotes off a text.
    Unquote(Unquote),
    /// Replaces what is no UTF-8.
    #[serde(rename = "sanitize_utf8")]
    SanitizeUtf8(SanitizeUtf8),
    /// Replaces parts of a text.
    RegexReplace(RegexReplace),
    /// Drops entries.
    Filter(Filter),
    /// Sends entries different ways.
    Router(Router),
    /// Does nothing.
    Noop(Noop),
}

/// What every operator has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Common {
    /// The name by which `output` of another one means it; its type by default.
    pub id: Option<String>,
    /// The operator that entries go to; the next one by default.
    pub output: StringList,
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
    /// Whether what was read is taken out then.
    pub drop_field: bool,
    /// Then reads the time.
    pub timestamp: Block<Time>,
    /// Then reads the severity.
    pub severity: Block<Severity>,
    /// Then reads the trace context; by default where the parser wrote.
    pub trace: Block<Trace>,
    /// Then reads the name of the scope.
    pub scope_name: Block<From>,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser {
            parse_from: Field::root(Root::Body),
            parse_to: Field::root(Root::Attributes),
            body: None,
            drop_field: false,
            timestamp: Block::off(),
            severity: Block::off(),
            trace: Block::off(),
            scope_name: Block::off(),
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

impl Kind {
    /// Its `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::JsonParser(_) => "json_parser",
            Kind::RegexParser(_) => "regex_parser",
            Kind::TimeParser(_) => "time_parser",
            Kind::SeverityParser(_) => "severity_parser",
            Kind::TraceParser(_) => "trace_parser",
            Kind::ScopeNameParser(_) => "scope_name_parser",
            Kind::KeyValueParser(_) => "key_value_parser",
            Kind::CsvParser(_) => "csv_parser",
            Kind::JsonArrayParser(_) => "json_array_parser",
            Kind::UriParser(_) => "uri_parser",
            Kind::SyslogParser(_) => "syslog_parser",
            Kind::Otelcol(_) => "otelcol",
            Kind::Container(_) => "container",
            Kind::Recombine(_) => "recombine",
            Kind::Add(_) => "add",
            Kind::Copy(_) => "copy",
            Kind::Move(_) => "move",
            Kind::Remove(_) => "remove",
            Kind::Retain(_) => "retain",
            Kind::Flatten(_) => "flatten",
            Kind::AssignKeys(_) => "assign_keys",
            Kind::Unquote(_) => "unquote",
            Kind::SanitizeUtf8(_) => "sanitize_utf8",
            Kind::RegexReplace(_) => "regex_replace",
            Kind::Filter(_) => "filter",
            Kind::Router(_) => "router",
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
            Kind::ScopeNameParser(c) => &c.common,
            Kind::KeyValueParser(c) => &c.common,
            Kind::CsvParser(c) => &c.common,
            Kind::JsonArrayParser(c) => &c.common,
            Kind::UriParser(c) => &c.common,
            Kind::SyslogParser(c) => &c.common,
            Kind::Otelcol(c) => &c.common,
            Kind::Container(c) => &c.common,
            Kind::Recombine(c) => &c.common,
            Kind::Add(c) => &c.common,
            Kind::Copy(c) | Kind::Move(c) => &c.common,
            Kind::Remove(c) => &c.common,
            Kind::Retain(c) => &c.common,
            Kind::Flatten(c) => &c.common,
            Kind::AssignKeys(c) => &c.common,
            Kind::Unquote(c) => &c.common,
            Kind::SanitizeUtf8(c) => &c.common,
            Kind::RegexReplace(c) => &c.common,
            Kind::Filter(c) => &c.common,
            Kind::Router(c) => &c.common,
            Kind::Noop(c) => &c.common,
        }
    }

    /// What it has as every parser of a field has, if it is one.
    pub fn parser(&self) -> Option<&Parser> {
        match self {
            Kind::JsonParser(c) => Some(&c.parser),
            Kind::RegexParser(c) => Some(&c.parser),
            Kind::KeyValueParser(c) => Some(&c.parser),
            Kind::CsvParser(c) => Some(&c.parser),
            Kind::JsonArrayParser(c) => Some(&c.parser),
            Kind::UriParser(c) => Some(&c.parser),
            Kind::SyslogParser(c) => Some(&c.parser),
            Kind::Otelcol(c) => Some(&c.parser),
            Kind::Container(c) => Some(&c.parser),
            _ => None,
        }
    }
}
