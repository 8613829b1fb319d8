//! Expressions of operators (`if`, `expr`, `EXPR(…)`): the part of the collector's expression language that chooses lines and
//! names values. Compiled once; what is not understood is an error at load that says what is.

mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use regex::Regex;

use super::entry::Entry;
use super::field::Field;
use super::read::Failed;
use super::value::Value;

/// What can be written, for messages.
const UNDERSTOOD: &str = "understood are fields (body, attributes.x, resource[\"x\"], severity_number, severity_text), their \
                          elements (body.list[0]), timestamp.Unix(), .UnixMilli(), .UnixNano() and .IsZero(), texts, numbers, \
                          true, false, nil, lists, ==, !=, <, <=, >, >=, +, -, *, /, %, matches, contains, startsWith, \
                          endsWith, in, not, and, or, ??, a ? b : c, len(x), lower(x), upper(x), trim(x), type(x), int(x), \
                          float(x), string(x), hasPrefix(x, y), hasSuffix(x, y), env(\"X\"), parentheses";

/// An expression.
#[derive(Clone, Debug)]
pub struct Expression(Node);

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    what: String,
    at: usize,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}; {UNDERSTOOD}", self.what, self.at + 1)
    }
}

#[derive(Clone, Debug)]
enum Node {
    Value(Value<'static>),
    Field(Field),
    Element(Box<Node>, i64),
    Severity,
    SeverityText,
    Timestamp(Clock),
    Call(Call, Box<Node>),
    Add(Box<Node>, Box<Node>),
    Reckon(Reckon, Box<Node>, Box<Node>),
    Choose(Box<Node>, Box<Node>, Box<Node>),
    OrElse(Box<Node>, Box<Node>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Compare, Box<Node>, Box<Node>),
    Matches(Box<Node>, Regex),
    Text(TextTest, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Type,
    Len,
    Lower,
    Upper,
    Trim,
    Int,
    Float,
    Text,
}

/// What is asked of the time of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Seconds,
    Millis,
    Nanos,
    IsZero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reckon {
    Minus,
    Times,
    By,
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Where it cannot be understood, and what can be.
    pub fn new(text: &str) -> Result<Expression, ExpressionError> {
        parse::whole(text).map(Expression)
    }

    /// Reads a text with expressions in it, each in `EXPR(…)`: one alone has its own value, others are texts put together.
    ///
    /// # Errors
    /// Where one cannot be understood, and what can be.
    pub fn template(text: &str) -> Result<Expression, ExpressionError> {
        let mut whole: Option<Node> = None;
        let mut add = |node: Node| {
            whole = Some(match whole.take() {
                Some(before) => Node::Add(before.into(), node.into()),
                None => node,
            });
        };
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => add(Node::Value(Value::text(text.to_owned()))),
                Piece::Expression(text) => add(parse::whole(text)?),
            }
        }
        Ok(Expression(whole.unwrap_or(Node::Value(Value::text("")))))
    }

    /// Whether it holds for an entry.
    ///
    /// # Errors
    /// When values are of types that cannot be compared so, or the whole is neither true nor false.
    pub fn holds(&self, entry: &Entry<'_>) -> Result<bool, Failed> {
        let value = eval(&self.0, entry)?;
        truth(&value)
    }

    /// Its value for an entry.
    ///
    /// # Errors
    /// When values are of types that cannot be joined so.
    pub fn value(&self, entry: &Entry<'_>) -> Result<Value<'static>, Failed> {
        Ok(eval(&self.0, entry)?.into_owned().into_owned())
    }
}

/// Whether a text has expressions in it.
pub fn has_expressions(text: &str) -> bool {
    text.contains(START) && pieces(text).iter().any(|piece| matches!(piece, Piece::Expression(_)))
}

/// A piece of a text with expressions in it.
enum Piece<'t> {
    Text(&'t str),
    Expression(&'t str),
}

const START: &str = "EXPR(";

/// An expression ends at the last `)` before the next one begins; without one it is text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(START) {
        let end = after.find(START).unwrap_or(after.len());
        let Some(close) = after[..end].rfind(')') else { break };
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Expression(&after[..close]));
        rest = &after[close + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| !matches!(piece, Piece::Text("")));
    pieces
}

fn truth(value: &Value<'_>) -> Result<bool, Failed> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(format!("the condition is {}, neither true nor false", other.kind()).into()),
    }
}

fn eval<'e>(node: &'e Node, entry: &'e Entry<'_>) -> Result<Cow<'e, Value<'e>>, Failed> {
    let yes = |value: bool| Ok(Cow::Owned(Value::Bool(value)));
    let test = |node: &'e Node| truth(&*eval(node, entry)?);
    match node {
        Node::Value(value) => Ok(Cow::Borrowed(value)),
        Node::Field(field) => Ok(entry.get(field).map_or(Cow::Owned(Value::Null), Cow::Borrowed)),
        Node::SeverityText => Ok(Cow::Owned(Value::text(&*entry.severity_text))),
        Node::Element(list, at) => match eval(list, entry)? {
            Cow::Borrowed(Value::List(values)) => Ok(Cow::Borrowed(&values[element(values, *at)?])),
            Cow::Owned(Value::List(values)) => Ok(Cow::Owned(values[element(&values, *at)?].clone())),
            other => Err(format!("{} has no elements", other.kind()).into()),
        },
        Node::Severity => Ok(Cow::Owned(Value::Int(entry.severity.0.into()))),
        Node::Timestamp(what) => Ok(Cow::Owned(time(entry, *what))),
        Node::Call(what, node) => call(*what, &*eval(node, entry)?).map(Cow::Owned),
        Node::Add(a, b) => add(&*eval(a, entry)?, &*eval(b, entry)?).map(Cow::Owned),
        Node::Reckon(how, a, b) => reckon(*how, &*eval(a, entry)?, &*eval(b, entry)?).map(Cow::Owned),
        Node::Choose(condition, a, b) => eval(if test(condition)? { a } else { b }, entry),
        Node::OrElse(a, b) => match eval(a, entry)? {
            value if *value == Value::Null => eval(b, entry),
            value => Ok(value),
        },
        Node::Not(node) => yes(!test(node)?),
        Node::And(a, b) => yes(test(a)? && test(b)?),
        Node::Or(a, b) => yes(test(a)? || test(b)?),
        Node::Compare(how, a, b) => yes(compare(*how, &*eval(a, entry)?, &*eval(b, entry)?)?),
        Node::Matches(node, regex) => yes(regex.is_match(text(&*eval(node, entry)?, "matches")?)),
        Node::Text(how, a, b) => {
            let (a, b) = (eval(a, entry)?, eval(b, entry)?);
            yes(match how {
                TextTest::Contains => text(&a, "contains")?.contains(text(&b, "contains")?),
                TextTest::StartsWith => text(&a, "startsWith")?.starts_with(text(&b, "startsWith")?),
                TextTest::EndsWith => text(&a, "endsWith")?.ends_with(text(&b, "endsWith")?),
            })
        }
        Node::In(a, b) => {
            let (a, b) = (eval(a, entry)?, eval(b, entry)?);
            yes(match &*b {
                Value::List(list) => list.iter().any(|v| equal(&a, v)),
                Value::Map(map) => a.as_text().is_some_and(|key| map.get(key).is_some()),
                other => return Err(format!("`in` looks into lists and maps, not into {}", other.kind()).into()),
            })
        }
    }
}

/// From the end where it is negative.
fn element(values: &[Value<'_>], at: i64) -> Result<usize, Failed> {
    let from_end = || usize::try_from(at.unsigned_abs()).ok().and_then(|back| values.len().checked_sub(back));
    let place = if at < 0 { from_end() } else { usize::try_from(at).ok() };
    place.filter(|place| *place < values.len()).ok_or_else(|| format!("there is no element {at}").into())
}

/// Of no time, 0.
fn time(entry: &Entry<'_>, what: Clock) -> Value<'static> {
    let nanos = i64::try_from(entry.time.unwrap_or_default()).unwrap_or(i64::MAX);
    match what {
        Clock::Seconds => Value::Int(nanos / 1_000_000_000),
        Clock::Millis => Value::Int(nanos / 1_000_000),
        Clock::Nanos => Value::Int(nanos),
        Clock::IsZero => Value::Bool(entry.time.is_none()),
    }
}

fn call(what: Call, value: &Value<'_>) -> Result<Value<'static>, Failed> {
    let len = |len: usize| Ok(Value::Int(i64::try_from(len).unwrap_or(i64::MAX)));
    match (what, value) {
        (Call::Type, value) => Ok(Value::text(type_name(value))),
        (Call::Len, Value::List(list)) => len(list.len()),
        (Call::Len, Value::Map(map)) => len(map.iter().count()),
        (Call::Len, value) => len(text(value, "len")?.chars().count()),
        (Call::Lower, value) => Ok(Value::text(text(value, "lower")?.to_lowercase())),
        (Call::Upper, value) => Ok(Value::text(text(value, "upper")?.to_uppercase())),
        (Call::Trim, value) => Ok(Value::text(text(value, "trim")?.trim().to_owned())),
        (Call::Int, value) => whole(value).map(Value::Int).ok_or_else(|| no_number(value)),
        (Call::Float, Value::Text(text)) => text.parse().map(Value::Double).map_err(|_| no_number(value)),
        (Call::Float, value) => number(value).map(Value::Double).ok_or_else(|| no_number(value)),
        (Call::Text, Value::Text(text)) => Ok(Value::text(text.clone().into_owned())),
        (Call::Text, Value::Int(number)) => Ok(Value::text(number.to_string())),
        (Call::Text, Value::Double(number)) => Ok(Value::text(number.to_string())),
        (Call::Text, Value::Bool(value)) => Ok(Value::text(value.to_string())),
        (Call::Text, value) => {
            Err(format!("`string` is for texts, numbers and booleans, not for {}", value.kind()).into())
        }
    }
}

fn no_number(value: &Value<'_>) -> Failed {
    match value {
        Value::Text(text) => format!("{text:?} is no number").into(),
        other => format!("{} is no number", other.kind()).into(),
    }
}

/// What stands behind the point is cut off.
#[allow(clippy::cast_possible_truncation, reason = "what is beyond the range becomes its end")]
fn whole(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Double(number) => Some(*number as i64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whole numbers stay whole but where they are divided.
fn reckon(how: Reckon, a: &Value<'_>, b: &Value<'_>) -> Result<Value<'static>, Failed> {
    match (how, a, b) {
        (Reckon::Minus, Value::Int(a), Value::Int(b)) => return Ok(Value::Int(a.saturating_sub(*b))),
        (Reckon::Times, Value::Int(a), Value::Int(b)) => return Ok(Value::Int(a.saturating_mul(*b))),
        _ => {}
    }
    let (Some(x), Some(y)) = (number(a), number(b)) else {
        return Err(format!("{} and {} are not two numbers", a.kind(), b.kind()).into());
    };
    match how {
        Reckon::Minus => Ok(Value::Double(x - y)),
        Reckon::Times => Ok(Value::Double(x * y)),
        Reckon::By => Ok(Value::Double(x / y)),
        Reckon::Rest => match (whole(a), whole(b)) {
            (Some(a), Some(b)) if b != 0 => Ok(Value::Int(a.wrapping_rem(b))),
            _ => Err("nothing is left of a division by 0".into()),
        },
    }
}

fn add(a: &Value<'_>, b: &Value<'_>) -> Result<Value<'static>, Failed> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(Value::text(format!("{a}{b}"))),
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.saturating_add(*b))),
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => Ok(Value::Double(a + b)),
            _ => Err(format!("{} and {} cannot be added", a.kind(), b.kind()).into()),
        },
    }
}

fn text<'v>(value: &'v Value<'_>, what: &str) -> Result<&'v str, Failed> {
    value.as_text().ok_or_else(|| format!("`{what}` is for texts, not for {}", value.kind()).into())
}

/// The expression language's names.
fn type_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Double(_) => "float",
        Value::Text(_) => "string",
        Value::Bytes(_) | Value::List(_) => "array",
        Value::Map(_) => "map",
    }
}

#[allow(clippy::cast_precision_loss)]
fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(v) => Some(*v as f64),
        Value::Double(v) => Some(*v),
        _ => None,
    }
}

/// Numbers are equal across their types; everything else only within its own.
fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => a == b,
    }
}

fn compare(how: Compare, a: &Value<'_>, b: &Value<'_>) -> Result<bool, Failed> {
    let order = match how {
        Compare::Equal => return Ok(equal(a, b)),
        Compare::NotEqual => return Ok(!equal(a, b)),
        _ => match (number(a), number(b), a, b) {
            (Some(a), Some(b), _, _) => a.total_cmp(&b),
            (_, _, Value::Text(a), Value::Text(b)) => a.cmp(b),
            _ => return Err(format!("{} and {} have no order", a.kind(), b.kind()).into()),
        },
    };
    Ok(match how {
        Compare::Less => order == Ordering::Less,
        Compare::AtMost => order != Ordering::Greater,
        Compare::More => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}
