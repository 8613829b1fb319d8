//! The collector's operators on log entries: a list of steps that read fields of a line into the record and move them
//! about. Compiled once, with everything wrong reported at once; each line then goes through the steps in order.

mod condition;
pub mod config;
mod entry;
mod field;
mod layout;
mod read;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use pipeline::config::{Problem, re2};
use regex::Regex;

use self::condition::Condition;
pub use self::config::Operator;
use self::config::{Common, Kind, OnError, Parser as ParserConfig};
pub use self::entry::Entry;
use self::field::{Field, Root};
use self::read::{Failed, SeverityReader, Time, TraceReader, missing, required};
use self::value::from_json;
pub use self::value::{Map, Value};

/// The steps of `operators`.
#[derive(Clone, Debug)]
pub struct Steps(Vec<Step>);

#[derive(Clone, Debug)]
struct Step {
    id: String,
    on_error: OnError,
    condition: Option<Condition>,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Json { parser: Parser, ints: bool },
    Regex { parser: Parser, regex: Regex },
    Time(Time),
    Severity(SeverityReader),
    Trace(TraceReader),
    Add { field: Field, value: Value<'static> },
    Copy { from: Field, to: Field },
    Move { from: Field, to: Field },
    Remove { field: Field },
    Noop,
}

/// What every parser of a field does around its parsing.
#[derive(Clone, Debug)]
struct Parser {
    from: Field,
    to: Field,
    body: Option<Field>,
    time: Option<Time>,
    severity: Option<SeverityReader>,
    trace: Option<TraceReader>,
}

/// An operator could not work on an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble<'s> {
    /// Its id.
    pub operator: &'s str,
    /// Why.
    pub why: Failed,
    /// Whether the log says so.
    pub loud: bool,
    /// Whether the entry is dropped.
    pub dropped: bool,
}

impl Steps {
    /// Checks and compiles operators.
    ///
    /// # Errors
    /// Everything that is wrong, by its path below the receiver's body.
    pub fn build(operators: &[Operator]) -> Result<Steps, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut steps = Vec::new();
        for (i, operator) in operators.iter().enumerate() {
            let path = format!("operators.{i}");
            let next = operators.get(i + 1).map(|o| o.id());
            let condition = common(operator.common(), next, &path, &mut problems);
            if operators[..i].iter().any(|o| o.id() == operator.id()) {
                let message = format!("the id {:?} is taken; give this operator an `id` of its own", operator.id());
                problems.push(Problem::at(&*path, message));
            }
            if let Some(action) = action(operator, &path, &mut problems) {
                let (id, on_error) = (operator.id().to_owned(), operator.common().on_error);
                steps.push(Step { id, on_error, condition, action });
            }
        }
        if problems.is_empty() { Ok(Steps(steps)) } else { Err(problems) }
    }

    /// Sends an entry through. `trouble` hears of every operator that could not work on it.
    ///
    /// Answers whether the entry goes on; otherwise an operator was told to drop it.
    pub fn run<'s>(&'s self, entry: &mut Entry<'_>, now_nanos: u64, mut trouble: impl FnMut(Trouble<'s>)) -> bool {
        for step in &self.0 {
            if let Err(why) = step.run(entry, now_nanos) {
                let loud = matches!(step.on_error, OnError::Send | OnError::Drop);
                let dropped = matches!(step.on_error, OnError::Drop | OnError::DropQuiet);
                trouble(Trouble { operator: &step.id, why, loud, dropped });
                if dropped {
                    return false;
                }
            }
        }
        true
    }
}

impl Step {
    fn run(&self, entry: &mut Entry<'_>, now_nanos: u64) -> Result<(), Failed> {
        match &self.condition {
            Some(condition) if !condition.holds(entry)? => Ok(()),
            _ => self.action.run(entry, now_nanos),
        }
    }
}

/// Checks what every operator has; answers its condition.
fn common(common: &Common, next: Option<&str>, path: &str, problems: &mut Vec<Problem>) -> Option<Condition> {
    if let Some(output) = &common.output
        && Some(output.as_str()) != next
    {
        let message = match next {
            Some(next) => format!("entries go to the next operator, which is {next:?}; leave `output` out"),
            None => "this is the last operator, its entries go to the pipeline; leave `output` out".to_owned(),
        };
        problems.push(Problem::at(format!("{path}.output"), message));
    }
    let condition = common.r#if.as_deref().map(Condition::new)?;
    condition.map_err(|error| problems.push(Problem::at(format!("{path}.if"), error.to_string()))).ok()
}

fn action(kind: &Kind, path: &str, problems: &mut Vec<Problem>) -> Option<Action> {
    Some(match kind {
        Kind::JsonParser(c) => Action::Json { parser: Parser::build(&c.parser, path, problems)?, ints: c.parse_ints },
        Kind::RegexParser(c) => {
            let regex = build_regex(&c.regex, path, problems);
            Action::Regex { parser: Parser::build(&c.parser, path, problems)?, regex: regex? }
        }
        Kind::TimeParser(c) => Action::Time(Time::build(&c.time, path, problems)?),
        Kind::SeverityParser(c) => Action::Severity(SeverityReader::build(&c.severity, path, problems)?),
        Kind::TraceParser(c) => {
            Action::Trace(TraceReader::build(&c.trace, &[Field::root(Root::Body), Field::root(Root::Attributes)]))
        }
        Kind::Add(c) => {
            let field = required(c.field.as_ref(), path, "field", problems);
            let value = required(c.value.as_ref(), path, "value", problems)?;
            if value.as_text().is_some_and(|text| text.starts_with("EXPR(")) {
                let message = "expressions are not carried out; give a value, or use `copy` for that of another field";
                problems.push(Problem::at(format!("{path}.value"), message));
            }
            Action::Add { field: field?, value }
        }
        Kind::Copy(c) | Kind::Move(c) => {
            let from = required(c.from.as_ref(), path, "from", problems);
            let to = required(c.to.as_ref(), path, "to", problems)?;
            let from = from?;
            if matches!(kind, Kind::Move(_)) { Action::Move { from, to } } else { Action::Copy { from, to } }
        }
        Kind::Remove(c) => Action::Remove { field: required(c.field.as_ref(), path, "field", problems)? },
        Kind::Noop(_) => Action::Noop,
    })
}

fn build_regex(pattern: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Regex> {
    let problem = match re2::regex(pattern) {
        _ if pattern.is_empty() => Problem::at(path, "needs \"regex\""),
        Ok(regex) if regex.capture_names().flatten().next().is_none() => {
            Problem::at(format!("{path}.regex"), "has no named group; a named group looks like (?P<level>[A-Z]+)")
        }
        Ok(regex) => return Some(regex),
        Err(why) => Problem::at(format!("{path}.regex"), why),
    };
    problems.push(problem);
    None
}

impl Parser {
    fn build(config: &ParserConfig, path: &str, problems: &mut Vec<Problem>) -> Option<Parser> {
        let before = problems.len();
        let time = config.timestamp.as_ref().and_then(|c| Time::build(c, &format!("{path}.timestamp"), problems));
        let severity =
            config.severity.as_ref().and_then(|c| SeverityReader::build(c, &format!("{path}.severity"), problems));
        let trace = config.trace.as_ref().map(|c| TraceReader::build(c, std::slice::from_ref(&config.parse_to)));
        (problems.len() == before).then(|| Parser {
            from: config.parse_from.clone(),
            to: config.parse_to.clone(),
            body: config.body.clone(),
            time,
            severity,
            trace,
        })
    }

    /// Parses; then reads time, severity and trace context, each whether or not the others could be read.
    fn run<'a>(
        &self,
        entry: &mut Entry<'a>,
        now_nanos: u64,
        parse: impl FnOnce(&Value<'a>) -> Result<Value<'a>, Failed>,
    ) -> Result<(), Failed> {
        let parsed = parse(entry.get(&self.from).ok_or_else(|| missing(&self.from))?)?;
        set(entry, &self.to, parsed)?;
        if let Some(body) = self.body.as_ref().and_then(|field| entry.get(field)).cloned() {
            set(entry, &Field::root(Root::Body), body)?;
        }
        let time = self.time.as_ref().map_or(Ok(()), |t| t.read(entry, now_nanos));
        let severity = self.severity.as_ref().map_or(Ok(()), |s| s.read(entry));
        if let Some(trace) = &self.trace {
            trace.read(entry);
        }
        time.and(severity)
    }
}

impl Action {
    fn run(&self, entry: &mut Entry<'_>, now_nanos: u64) -> Result<(), Failed> {
        match self {
            Action::Json { parser, ints } => parser.run(entry, now_nanos, |value| json(value, *ints)),
            Action::Regex { parser, regex } => parser.run(entry, now_nanos, |value| groups(value, regex)),
            Action::Time(time) => time.read(entry, now_nanos),
            Action::Severity(severity) => severity.read(entry),
            Action::Trace(trace) => {
                trace.read(entry);
                Ok(())
            }
            Action::Add { field, value } => set(entry, field, value.clone()),
            Action::Copy { from, to } => {
                let value = entry.get(from).cloned().ok_or_else(|| missing(from))?;
                set(entry, to, value)
            }
            Action::Move { from, to } => {
                let value = entry.remove(from).ok_or_else(|| missing(from))?;
                set(entry, to, value)
            }
            Action::Remove { field } => entry.remove(field).map(|_| ()).ok_or_else(|| missing(field)),
            Action::Noop => Ok(()),
        }
    }
}

fn set<'a>(entry: &mut Entry<'a>, field: &Field, value: Value<'a>) -> Result<(), Failed> {
    let kind = value.kind();
    entry.set(field, value).map_err(|_| format!("{field} cannot be {kind}, only a map").into())
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

fn text_of<'a>(value: &Value<'a>) -> Result<Cow<'a, str>, Failed> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("it is {}, only text can be parsed", other.kind()).into()),
    }
}
