//! Conditions of operators (`if`): the part of the collector's expression language that chooses lines. Compiled once; what is
//! not understood is an error at load that says what is.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use pipeline::config::re2;
use regex::Regex;

use super::entry::Entry;
use super::field::{Field, Root};
use super::read::Failed;
use super::value::Value;

/// What can be written, for messages.
const UNDERSTOOD: &str = "understood are fields (body, attributes.x, resource[\"x\"], severity_text), texts, numbers, true, \
                          false, nil, lists, ==, !=, <, <=, >, >=, matches, contains, startsWith, endsWith, in, not, and, or, \
                          type(x), parentheses";
/// How deep conditions may be nested.
const MOST_DEPTH: usize = 64;

/// A condition.
#[derive(Clone, Debug)]
pub struct Condition(Node);

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    what: String,
    at: usize,
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}; {UNDERSTOOD}", self.what, self.at + 1)
    }
}

#[derive(Clone, Debug)]
enum Node {
    Value(Value<'static>),
    Field(Field),
    SeverityText,
    TypeOf(Box<Node>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Compare, Box<Node>, Box<Node>),
    Matches(Box<Node>, Regex),
    Text(TextTest, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
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

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// Where it cannot be understood, and what can be.
    pub fn new(text: &str) -> Result<Condition, ConditionError> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, end: text.chars().count() };
        let node = parser.or()?;
        match parser.tokens.get(parser.at) {
            None => Ok(Condition(node)),
            Some((token, at)) => Err(ConditionError { what: format!("{token} was not expected"), at: *at }),
        }
    }

    /// Whether it holds for an entry.
    ///
    /// # Errors
    /// When values are of types that cannot be compared so, or the whole is neither true nor false.
    pub fn holds(&self, entry: &Entry<'_>) -> Result<bool, Failed> {
        let value = eval(&self.0, entry)?;
        truth(&value)
    }
}

fn truth(value: &Value<'_>) -> Result<bool, Failed> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(format!("the condition of `if` is {}, neither true nor false", other.kind()).into()),
    }
}

fn eval<'e>(node: &'e Node, entry: &'e Entry<'_>) -> Result<Cow<'e, Value<'e>>, Failed> {
    let yes = |value: bool| Ok(Cow::Owned(Value::Bool(value)));
    let test = |node: &'e Node| truth(&*eval(node, entry)?);
    match node {
        Node::Value(value) => Ok(Cow::Borrowed(value)),
        Node::Field(field) => Ok(entry.get(field).map_or(Cow::Owned(Value::Null), Cow::Borrowed)),
        Node::SeverityText => Ok(Cow::Owned(Value::text(&*entry.severity_text))),
        Node::TypeOf(node) => Ok(Cow::Owned(Value::text(type_name(&*eval(node, entry)?)))),
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

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Text(text) => write!(f, "the text {text:?}"),
            Token::Number(number) => write!(f, "the number {number}"),
            Token::Sign(sign) => write!(f, "`{sign}`"),
        }
    }
}

const SIGNS: &[&str] = &["==", "!=", "<=", ">=", "&&", "||", "?.", "<", ">", "!", "(", ")", "[", "]", ",", "."];

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ConditionError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        let take = |from: usize, good: &dyn Fn(char) -> bool| chars[from..].iter().take_while(|c| good(**c)).count();
        let token = match c {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '"' | '\'' | '`' => {
                let (text, len) =
                    quoted(&chars[at..]).ok_or(ConditionError { what: "a text has no end".into(), at })?;
                at += len;
                Token::Text(text)
            }
            '0'..='9' | '-' => {
                at += 1 + take(at + 1, &|c| c.is_ascii_digit() || matches!(c, '.' | '_' | 'e'));
                let number: String = chars[start..at].iter().filter(|c| **c != '_').collect();
                let wrong = ConditionError { what: format!("`{number}` is no number"), at: start };
                Token::Number(number.parse().map_err(|_| wrong)?)
            }
            c if c.is_alphabetic() || matches!(c, '_' | '$') => {
                at += take(at, &|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
                Token::Word(chars[start..at].iter().collect())
            }
            c => {
                let found = SIGNS.iter().find(|s| s.chars().eq(chars[at..].iter().copied().take(s.len())));
                let unknown = || ConditionError { what: format!("`{c}` is not understood"), at };
                let sign = *found.ok_or_else(unknown)?;
                at += sign.len();
                Token::Sign(sign)
            }
        };
        out.push((token, start));
    }
    Ok(out)
}

/// A quoted text at the start, and how many characters it takes. Between backquotes nothing is escaped.
fn quoted(chars: &[char]) -> Option<(String, usize)> {
    let quote = *chars.first()?;
    let mut text = String::new();
    let mut at = 1;
    loop {
        match *chars.get(at)? {
            c if c == quote => return Some((text, at + 1)),
            '\\' if quote != '`' => {
                at += 1;
                text.push(match *chars.get(at)? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            }
            c => text.push(c),
        }
        at += 1;
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    end: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Node, ConditionError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.error("it is nested too deep"));
        }
        let mut left = self.and()?;
        while self.sign("||") || self.word("or") {
            left = Node::Or(left.into(), self.and()?.into());
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, ConditionError> {
        let mut left = self.not()?;
        while self.sign("&&") || self.word("and") {
            left = Node::And(left.into(), self.not()?.into());
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, ConditionError> {
        let mut negated = false;
        while self.sign("!") || self.word("not") {
            negated = !negated;
        }
        let node = self.comparison()?;
        Ok(if negated { Node::Not(node.into()) } else { node })
    }

    fn comparison(&mut self) -> Result<Node, ConditionError> {
        const SIGNS: [(&str, Compare); 6] = [
            ("==", Compare::Equal),
            ("!=", Compare::NotEqual),
            ("<=", Compare::AtMost),
            (">=", Compare::AtLeast),
            ("<", Compare::Less),
            (">", Compare::More),
        ];
        const WORDS: [(&str, TextTest); 3] =
            [("contains", TextTest::Contains), ("startsWith", TextTest::StartsWith), ("endsWith", TextTest::EndsWith)];
        let left = self.operand()?;
        if let Some((_, how)) = SIGNS.iter().find(|(sign, _)| self.sign(sign)) {
            return Ok(Node::Compare(*how, left.into(), self.operand()?.into()));
        }
        let negated = self.word("not");
        let node = if let Some((_, how)) = WORDS.iter().find(|(word, _)| self.word(word)) {
            Node::Text(*how, left.into(), self.operand()?.into())
        } else if self.word("matches") {
            let at = self.here();
            let Node::Value(Value::Text(pattern)) = self.operand()? else {
                return Err(ConditionError { what: "`matches` needs a text behind it".into(), at });
            };
            let wrong = |what| ConditionError { what, at };
            Node::Matches(left.into(), re2::regex(&pattern).map_err(wrong)?)
        } else if self.word("in") {
            Node::In(left.into(), self.operand()?.into())
        } else if negated {
            return Err(self.error("`not` needs contains, startsWith, endsWith, matches or in behind it"));
        } else {
            return Ok(left);
        };
        Ok(if negated { Node::Not(node.into()) } else { node })
    }

    fn operand(&mut self) -> Result<Node, ConditionError> {
        if self.sign("(") {
            let node = self.or()?;
            return self.close(")").map(|()| node);
        }
        if self.sign("[") {
            let mut list = Vec::new();
            while !self.sign("]") {
                let at = self.here();
                match self.operand()? {
                    Node::Value(value) => list.push(value),
                    _ => return Err(ConditionError { what: "a list holds values only".into(), at }),
                }
                if !self.sign(",") {
                    self.close("]")?;
                    break;
                }
            }
            return Ok(Node::Value(Value::List(list)));
        }
        let (token, at) = self.tokens.get(self.at).cloned().ok_or_else(|| self.error("it ends too soon"))?;
        self.at += 1;
        Ok(match token {
            Token::Text(text) => Node::Value(Value::text(text)),
            Token::Number(number) => Node::Value(Value::Double(number)),
            Token::Word(word) => match word.as_str() {
                "true" => Node::Value(Value::Bool(true)),
                "false" => Node::Value(Value::Bool(false)),
                "nil" | "null" => Node::Value(Value::Null),
                "severity_text" => Node::SeverityText,
                "type" => {
                    self.close("(")?;
                    let node = self.or()?;
                    self.close(")")?;
                    Node::TypeOf(node.into())
                }
                "body" | "$" | "$body" => self.field(Root::Body)?,
                "attributes" | "$attributes" => self.field(Root::Attributes)?,
                "resource" | "$resource" => self.field(Root::Resource)?,
                _ => return Err(ConditionError { what: format!("`{word}` is not understood"), at }),
            },
            Token::Sign(sign) => return Err(ConditionError { what: format!("`{sign}` was not expected"), at }),
        })
    }

    fn field(&mut self, root: Root) -> Result<Node, ConditionError> {
        let mut field = Field::root(root);
        loop {
            let dotted = self.sign(".") || self.sign("?.");
            let key = match self.tokens.get(self.at).map(|(token, _)| token.clone()) {
                Some(Token::Word(key)) if dotted => {
                    self.at += 1;
                    key
                }
                _ if dotted => return Err(self.error("a name should stand behind the dot")),
                _ if self.sign("[") => {
                    let Some((Token::Text(key), _)) = self.tokens.get(self.at).cloned() else {
                        return Err(self.error("a text should stand in the brackets"));
                    };
                    self.at += 1;
                    self.close("]")?;
                    key
                }
                _ => return Ok(Node::Field(field)),
            };
            field = field.below(&key);
        }
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Sign(s), _)) if *s == sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Word(w), _)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn close(&mut self, sign: &str) -> Result<(), ConditionError> {
        if self.sign(sign) { Ok(()) } else { Err(self.error(&format!("a `{sign}` should stand here"))) }
    }

    fn here(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(_, at)| *at)
    }

    fn error(&self, what: &str) -> ConditionError {
        ConditionError { what: what.to_owned(), at: self.here() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::{Map, from_json};
    use super::*;

    fn holds(condition: &str) -> Result<bool, String> {
        let Ok(Value::Map(attributes)) =
            from_json(r#"{"level":"error","n":5,"f":1.5,"k.8":{"x":true},"l":["a"]}"#, true)
        else {
            panic!("no map")
        };
        let mut entry = Entry::new(Value::text("{\"a\": 1}"), attributes, Map::default());
        entry.severity_text = "WARN".into();
        Condition::new(condition).map_err(|e| e.to_string())?.holds(&entry).map_err(|e| e.to_string())
    }

    #[test]
    fn conditions_choose_entries() {
        for (condition, want) in [
            (r#"body matches "^{.*}$""#, true),
            (r"$ matches '^\\{'", true),
            ("body matches `^\\d`", false),
            (r#"body not matches "x""#, true),
            (r#"attributes.level == "error""#, true),
            (r#"attributes["level"] != 'error'"#, false),
            (r#"attributes.level in ["warn", "error"]"#, true),
            (r#"attributes.level not in []"#, true),
            (r#""level" in attributes and not ("x" in attributes)"#, true),
            ("attributes.n == 5 && attributes.n >= 5.0 && attributes.f < 2 && attributes.n > -1", true),
            (r#"attributes["k.8"].x"#, true),
            ("attributes?.nothing?.at == nil", true),
            ("resource.x != nil", false),
            (r#"type(body) == "string" or type(attributes.n) == "map""#, true),
            (r#"severity_text startsWith "WA" and body endsWith "}" and body contains "a""#, true),
            ("false || true && false", false),
            ("!(true) or (1_000 <= 1e3)", true),
            (r#""a" < "b""#, true),
            ("attributes.n in attributes.l", false),
        ] {
            assert_eq!(holds(condition), Ok(want), "{condition}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_errors_of_the_entry() {
        for (condition, want) in [
            ("body", "neither true nor false"),
            ("attributes.nothing matches 'x'", "`matches` is for texts, not for null"),
            ("body < 1", "text and a number have no order"),
            ("1 in body", "not into text"),
        ] {
            let error = holds(condition).unwrap_err();
            assert!(error.contains(want), "{condition}: {error}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_says_what_is() {
        for (condition, want) in [
            ("", "it ends too soon at character 1"),
            ("len(body) > 3", "`len` is not understood at character 1"),
            ("body ==", "it ends too soon at character 8"),
            ("body matches attributes.x", "`matches` needs a text"),
            ("body matches '('", "is not a regular expression"),
            ("body == 'x", "a text has no end at character 9"),
            ("(body == 'x'", "a `)` should stand here"),
            ("body == 'x' 'y'", "the text \"y\" was not expected at character 13"),
            ("body not == 'x'", "`not` needs"),
            ("body + 'x' == 'y'", "`+` is not understood"),
            ("body. == 'x'", "a name should stand behind the dot"),
            ("body[1] == 'x'", "a text should stand in the brackets"),
            ("1.2.3 == 1", "is no number"),
        ] {
            let error = holds(condition).unwrap_err();
            assert!(error.contains(want) && error.contains("understood are"), "{condition}: {error}");
        }
        assert!(holds(&"(".repeat(10_000)).unwrap_err().contains("nested too deep"));
    }
}
