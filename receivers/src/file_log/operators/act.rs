//! What each operator does with an entry.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use pipeline::otlp::wire::utf8;
use regex::Regex;

use super::config::{Runtime, SelfLog};
use super::entry::Entry;
use super::expression::Expression;
use super::field::{Field, Root};
use super::held::{Part, Rule};
use super::otelcol;
use super::quoted::unquoted;
use super::read::{Failed, SeverityReader, Time, TraceReader, missing};
use super::split::{self, Quotes};
use super::syslog::Syslog;
use super::uri;
use super::value::{Map, Value, elements, from_json};
use super::{Around, Gone, Move};
use crate::file_log::format::container;

/// What a step does.
#[derive(Debug)]
pub(super) enum Action {
    Json { parser: Parser, ints: bool },
    Regex { parser: Parser, regex: Regex },
    KeyValue { parser: Parser, delimiter: String, pair_delimiter: String },
    Csv { parser: Parser, csv: Csv },
    JsonArray { parser: Parser, names: Option<Vec<String>> },
    Uri { parser: Parser },
    Syslog { parser: Parser, syslog: Syslog },
    Otelcol { parser: Parser, format: SelfLog },
    Time(Time),
    Severity(SeverityReader),
    Trace(TraceReader),
    ScopeName { from: Field },
    Container(Container),
    Recombine(Recombine),
    Add { field: Field, value: Added },
    Copy { from: Field, to: Field },
    Move { from: Field, to: Field },
    Remove { field: Field },
    Retain { fields: Vec<Field> },
    Flatten { field: Field, parent: Field, key: String },
    AssignKeys { field: Field, keys: Vec<String> },
    Unquote { field: Field },
    Sanitize { field: Field },
    Replace { field: Field, regex: Regex, with: String },
    Filter(Filter),
    Route { routes: Vec<Route>, default: Option<Option<usize>> },
    Noop,
}

/// What every parser of a field does around its parsing.
#[derive(Debug)]
pub(super) struct Parser {
    pub from: Field,
    pub to: Field,
    pub body: Option<Field>,
    pub time: Option<Time>,
    pub severity: Option<SeverityReader>,
    pub trace: Option<TraceReader>,
    pub scope_name: Option<Field>,
}

/// How values with commas between them get their names.
#[derive(Debug)]
pub(super) struct Csv {
    pub header: Header,
    pub delimiter: char,
    pub header_delimiter: char,
    pub quotes: Quotes,
}

#[derive(Debug)]
pub(super) enum Header {
    Names(Vec<String>),
    Attribute(String),
}

#[derive(Debug)]
pub(super) enum Added {
    Value(Value<'static>),
    Expression(Expression),
}

/// Takes the line of a container runtime apart.
#[derive(Debug)]
pub(super) struct Container {
    pub parser: Parser,
    pub runtime: Option<Runtime>,
    pub of_path: bool,
    pub rule: Rule,
}

/// Puts entries together.
#[derive(Debug)]
pub(super) struct Recombine {
    pub rule: Rule,
    pub source: Field,
    pub first: Option<Expression>,
    pub last: Option<Expression>,
}

/// Drops entries, perhaps only a part of them.
#[derive(Debug)]
pub(super) struct Filter {
    pub condition: Expression,
    /// Of 2^32.
    pub drop: u64,
    pub state: AtomicU64,
}

/// One way of a router.
#[derive(Debug)]
pub(super) struct Route {
    pub condition: Expression,
    pub to: Option<usize>,
    pub attributes: Vec<(String, Added)>,
}

impl Action {
    /// How it puts entries together, if it does.
    pub(super) fn rule(&self) -> Option<&Rule> {
        match self {
            Action::Container(container) => Some(&container.rule),
            Action::Recombine(recombine) => Some(&recombine.rule),
            _ => None,
        }
    }

    /// What follows where it has put an entry together.
    pub(super) fn finish(&self, entry: &mut Entry<'_>) -> Result<(), Failed> {
        match self {
            Action::Container(container) => container.parser.read_from(entry),
            _ => Ok(()),
        }
    }

    pub(super) fn run(&self, here: usize, entry: &mut Entry<'_>, around: &Around<'_>) -> Result<Move, Failed> {
        match self {
            Action::Json { parser, ints } => parser.run(entry, |value, _| json(value, *ints)),
            Action::Regex { parser, regex } => parser.run(entry, |value, _| groups(value, regex)),
            Action::KeyValue { parser, delimiter, pair_delimiter } => {
                parser.run(entry, |value, _| split::pairs(&text_of(value)?, delimiter, pair_delimiter).map(Value::Map))
            }
            Action::Csv { parser, csv } => parser.run(entry, |value, entry| csv.read(&text_of(value)?, entry)),
            Action::JsonArray { parser, names } => {
                parser.run(entry, |value, _| array(&text_of(value)?, names.as_deref()))
            }
            Action::Uri { parser } => parser.run(entry, |value, _| uri::parts(&text_of(value)?).map(Value::Map)),
            Action::Syslog { parser, syslog } => {
                let value = entry.get(&parser.from).ok_or_else(|| missing(&parser.from))?;
                let message = syslog.read(&text_of(value)?, entry.observed)?;
                entry.time = message.time.or(entry.time);
                if let Some((severity, name)) = message.severity {
                    (entry.severity, entry.severity_text) = (severity, name.into());
                }
                parser.take(entry, Value::Map(message.fields))
            }
            Action::Otelcol { parser, format } => {
                let value = entry.get(&parser.from).ok_or_else(|| missing(&parser.from))?;
                let mut line = otelcol::read(&text_of(value)?, *format)?;
                entry.time = line.time.or(entry.time);
                if let Some((severity, word)) = line.severity {
                    (entry.severity, entry.severity_text) = (severity, word.into());
                }
                if let Some(resource) = line.resource {
                    set(entry, &Field::root(Root::Resource), Value::Map(resource))?;
                }
                let body = Field::root(Root::Body);
                match line.message {
                    // The body is a map of everything then.
                    Some(message) if parser.to.is_within(&body) => line.fields.set("msg", message),
                    Some(message) => set(entry, &body, message)?,
                    None => {}
                }
                parser.take(entry, Value::Map(line.fields))
            }
            Action::Time(time) => time.read(entry),
            Action::Severity(severity) => severity.read(entry),
            Action::Trace(trace) => {
                trace.read(entry);
                Ok(())
            }
            Action::ScopeName { from } => scope_name(entry, from),
            Action::Container(container) => return container.run(here, entry, around),
            Action::Recombine(recombine) => return recombine.run(here, entry, around),
            Action::Add { field, value: Added::Value(value) } => set(entry, field, value.clone()),
            Action::Add { field, value: Added::Expression(expression) } => {
                let value = expression.value(entry)?;
                set(entry, field, value)
            }
            Action::Copy { from, to } => {
                let value = entry.get(from).cloned().ok_or_else(|| missing(from))?;
                set(entry, to, value)
            }
            Action::Move { from, to } => {
                let value = entry.get(from).ok_or_else(|| missing(from))?;
                // What has no place there stays where it is.
                if !to.takes(value) {
                    return Err(no_place(to, value.kind()));
                }
                let value = entry.remove(from).ok_or_else(|| missing(from))?;
                set(entry, to, value)
            }
            Action::Remove { field } => entry.remove(field).map(|_| ()).ok_or_else(|| missing(field)),
            Action::Retain { fields } => {
                retain(entry, fields);
                Ok(())
            }
            Action::Flatten { field, parent, key } => flatten(entry, field, parent, key),
            Action::AssignKeys { field, keys } => {
                let named = match entry.get(field).ok_or_else(|| missing(field))? {
                    Value::List(values) => named(values.clone(), keys)?,
                    other => return Err(format!("{field} is {}, not a list", other.kind()).into()),
                };
                set(entry, field, Value::Map(named))
            }
            Action::Unquote { field } => {
                let text = text_of(entry.get(field).ok_or_else(|| missing(field))?)?;
                let unquoted =
                    unquoted(&text).ok_or_else(|| format!("{field} does not stand in quotes as Go writes them"))?;
                set(entry, field, Value::text(unquoted))
            }
            Action::Sanitize { field } => match entry.get(field).ok_or_else(|| missing(field))? {
                Value::Text(_) => Ok(()),
                Value::Bytes(bytes) => {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    set(entry, field, Value::text(text))
                }
                other => Err(format!("{field} is {}, only text can be read", other.kind()).into()),
            },
            Action::Replace { field, regex, with } => {
                let text = text_of(entry.get(field).ok_or_else(|| missing(field))?)?;
                let replaced = match regex.replace_all(&text, with.as_str()) {
                    Cow::Borrowed(_) => return Ok(Move::On),
                    Cow::Owned(replaced) => replaced,
                };
                set(entry, field, Value::text(replaced))
            }
            Action::Filter(filter) => {
                let dropped = filter.condition.holds(entry)? && filter.falls();
                return Ok(if dropped { Move::Drop(Gone::Filtered) } else { Move::On });
            }
            Action::Route { routes, default } => return route(entry, routes, *default),
            Action::Noop => Ok(()),
        }
        .map(|()| Move::On)
    }
}

impl Parser {
    /// Parses; then reads time, severity, trace context and scope, each whether or not the others could be read.
    fn run<'a>(
        &self,
        entry: &mut Entry<'a>,
        parse: impl FnOnce(&Value<'a>, &Entry<'a>) -> Result<Value<'a>, Failed>,
    ) -> Result<(), Failed> {
        let parsed = parse(entry.get(&self.from).ok_or_else(|| missing(&self.from))?, entry)?;
        self.take(entry, parsed)
    }

    /// What follows once something was parsed.
    fn take<'a>(&self, entry: &mut Entry<'a>, parsed: Value<'a>) -> Result<(), Failed> {
        set(entry, &self.to, parsed)?;
        self.read_from(entry)
    }

    /// What follows once that is where it belongs.
    fn read_from(&self, entry: &mut Entry<'_>) -> Result<(), Failed> {
        if let Some(body) = self.body.as_ref().and_then(|field| entry.get(field)).cloned() {
            set(entry, &Field::root(Root::Body), body)?;
        }
        let time = self.time.as_ref().map_or(Ok(()), |t| t.read(entry));
        let severity = self.severity.as_ref().map_or(Ok(()), |s| s.read(entry));
        if let Some(trace) = &self.trace {
            trace.read(entry);
        }
        let scope = self.scope_name.as_ref().map_or(Ok(()), |from| scope_name(entry, from));
        time.and(severity).and(scope)
    }
}

impl Csv {
    fn read(&self, text: &str, entry: &Entry<'_>) -> Result<Value<'static>, Failed> {
        let names = match &self.header {
            Header::Names(names) => Cow::Borrowed(names),
            Header::Attribute(key) => {
                let missing = || format!("there is no attribute {key:?} with the names of the values");
                let header = entry.attributes().get(key).and_then(Value::as_text).ok_or_else(missing)?;
                Cow::Owned(header.split(self.header_delimiter).map(|name| name.trim().to_owned()).collect())
            }
        };
        let values = split::values(text, self.delimiter, self.quotes)?;
        if values.len() != names.len() {
            return Err(format!("it has {} values for {} names", values.len(), names.len()).into());
        }
        let mut map = Map::default();
        names.iter().zip(values).for_each(|(name, value)| map.set(name.clone(), Value::text(value)));
        Ok(Value::Map(map))
    }
}

impl Container {
    fn run(&self, here: usize, entry: &mut Entry<'_>, around: &Around<'_>) -> Result<Move, Failed> {
        let text = text_of(entry.get(&self.parser.from).ok_or_else(|| missing(&self.parser.from))?)?;
        let read = match self.runtime {
            Some(Runtime::Docker) => container::docker(&text),
            Some(Runtime::Crio | Runtime::Containerd) => container::cri(&text),
            None => container::any(&text),
        };
        let output = read.ok_or("it is no line of a container runtime")?;
        let time = output.unix_nanos();
        let (stream, text, partial) = (output.stream.into_owned(), output.text.into_owned(), output.partial);
        let mut facts = Map::default();
        if let Some(tag) = output.tag {
            facts.set("logtag", Value::text(tag.to_owned()));
        }
        entry.time = time.or(entry.time);
        facts.set("log.iostream", Value::text(stream.clone()));
        set(entry, &self.parser.to, Value::Map(facts))?;
        if self.of_path {
            for (key, value) in around.of_path {
                set(entry, &Field::root(Root::Resource).below(key), Value::text(value.clone()))?;
            }
        }
        if partial || around.held.has(here, &stream) {
            return Ok(Move::Hold(Part { source: stream, text, first: false, last: !partial }));
        }
        set(entry, &Field::root(Root::Body), Value::text(text))?;
        self.parser.read_from(entry).map(|()| Move::On)
    }
}

impl Recombine {
    fn run(&self, here: usize, entry: &Entry<'_>, around: &Around<'_>) -> Result<Move, Failed> {
        let text = text_of(entry.get(&self.rule.field).ok_or_else(|| missing(&self.rule.field))?)?;
        let source = entry.get(&self.source).and_then(Value::as_text).unwrap_or_default();
        let holds = |e: &Option<Expression>| e.as_ref().map_or(Ok(false), |e| e.holds(entry));
        let (first, last) = (holds(&self.first)?, holds(&self.last)?);
        if last && !around.held.has(here, source) {
            return Ok(Move::On);
        }
        Ok(Move::Hold(Part { source: source.to_owned(), text: text.into_owned(), first, last }))
    }
}

impl Filter {
    /// Whether one that may be dropped is: a mixed counter against the ratio.
    fn falls(&self) -> bool {
        let mixed = self.state.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        mixed < self.drop
    }
}

fn route(entry: &mut Entry<'_>, routes: &[Route], default: Option<Option<usize>>) -> Result<Move, Failed> {
    for route in routes {
        if route.condition.holds(entry)? {
            for (key, added) in &route.attributes {
                let value = match added {
                    Added::Value(value) => value.clone(),
                    Added::Expression(expression) => expression.value(entry)?,
                };
                set(entry, &Field::root(Root::Attributes).below(key), value)?;
            }
            return Ok(Move::To(route.to));
        }
    }
    Ok(default.map_or(Move::Drop(Gone::Filtered), Move::To))
}

fn scope_name(entry: &mut Entry<'_>, from: &Field) -> Result<(), Failed> {
    let name = text_of(entry.get(from).ok_or_else(|| missing(from))?)?;
    entry.scope_name = Some(name.into_owned().into());
    Ok(())
}

/// Of body, attributes and resource, those that a field names keep only what is named.
fn retain(entry: &mut Entry<'_>, fields: &[Field]) {
    for root in [Root::Body, Root::Attributes, Root::Resource] {
        let named = || fields.iter().filter(|f| f.root == root);
        if named().next().is_none() || named().any(|f| f.keys.is_empty()) {
            continue;
        }
        let kept: Vec<_> = named().filter_map(|f| Some((f, entry.get(f)?.clone()))).collect();
        entry.remove(&Field::root(root));
        for (field, value) in kept {
            // It stands below a root, where anything may stand.
            _ = entry.set(field, value);
        }
    }
}

fn flatten(entry: &mut Entry<'_>, field: &Field, parent: &Field, key: &str) -> Result<(), Failed> {
    match entry.get(field) {
        Some(Value::Map(_)) => {}
        Some(other) => return Err(format!("{field} is {}, not a map", other.kind()).into()),
        None => return Err(missing(field)),
    }
    let (Some(Value::Map(inner)), Some(Value::Map(outer))) = (entry.remove(field), entry.get_mut(parent)) else {
        return Err(missing(field));
    };
    _ = outer.remove(key);
    outer.merge(inner);
    Ok(())
}

fn set<'a>(entry: &mut Entry<'a>, field: &Field, value: Value<'a>) -> Result<(), Failed> {
    let kind = value.kind();
    entry.set(field, value).map_err(|_| no_place(field, kind))
}

fn no_place(field: &Field, kind: &str) -> Failed {
    format!("{field} cannot be {kind}, only a map").into()
}

/// What is parsed borrows from the line where the line itself is parsed.
fn json<'a>(value: &Value<'a>, ints: bool) -> Result<Value<'a>, Failed> {
    let parsed = match text_of(value)? {
        Cow::Borrowed(text) => from_json(text, ints),
        Cow::Owned(text) => match from_json(&text, ints) {
            Ok(value) => Ok(value.into_owned()),
            Err(error) => Err(error),
        },
    };
    match parsed {
        Ok(map @ Value::Map(_)) => Ok(map),
        Ok(other) => Err(format!("it is {}, not a JSON object", other.kind()).into()),
        Err(error) => Err(format!("it is no JSON: {error}").into()),
    }
}

/// The values of an array, or a map of them. What has an inner structure is text, as the collector has it.
fn array(text: &str, names: Option<&[String]>) -> Result<Value<'static>, Failed> {
    let values = elements(text).map_err(|error| format!("it is no JSON array: {error}"))?;
    match names {
        Some(names) => named(values, names).map(Value::Map),
        None => Ok(Value::List(values)),
    }
}

fn named<'a>(values: Vec<Value<'a>>, names: &[String]) -> Result<Map<'a>, Failed> {
    if values.len() != names.len() {
        return Err(format!("it has {} values for {} names", values.len(), names.len()).into());
    }
    let mut map = Map::default();
    names.iter().zip(values).for_each(|(name, value)| map.set(name.clone(), value));
    Ok(map)
}

/// A group that took no part in the match is empty text, as in Go.
fn groups<'a>(value: &Value<'a>, regex: &Regex) -> Result<Value<'a>, Failed> {
    fn named<'t>(regex: &Regex, text: &'t str) -> Result<Value<'t>, Failed> {
        let found = regex.captures(text).ok_or("it does not match the regular expression")?;
        let mut map = Map::default();
        for name in regex.capture_names().flatten() {
            map.set(name.to_owned(), Value::text(found.name(name).map_or("", |group| group.as_str())));
        }
        Ok(Value::Map(map))
    }
    match text_of(value)? {
        Cow::Borrowed(text) => named(regex, text),
        Cow::Owned(text) => named(regex, &text).map(Value::into_owned),
    }
}

const NO_TEXT: &str = "it is bytes that are no UTF-8, only text can be read";

fn text_of<'a>(value: &Value<'a>) -> Result<Cow<'a, str>, Failed> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        // What an encoding leaves as bytes may well be text.
        Value::Bytes(Cow::Borrowed(bytes)) => utf8(bytes).map(Cow::Borrowed).map_err(|_| NO_TEXT.into()),
        Value::Bytes(Cow::Owned(bytes)) => {
            utf8(bytes).map(|text| Cow::Owned(text.to_owned())).map_err(|_| NO_TEXT.into())
        }
        other => Err(format!("it is {}, only text can be read", other.kind()).into()),
    }
}
