//! From text to expressions: tokens, then what binds weaker calls what binds tighter.

use std::fmt;

use pipeline::config::re2;

use super::super::field::{Field, Root};
use super::super::value::Value;
use super::{Call, Clock, Compare, ExpressionError, Node, Reckon, TextTest};

/// How deep expressions may be nested.
const MOST_DEPTH: usize = 64;

/// Reads a whole text.
///
/// # Errors
/// Where it cannot be understood.
pub fn whole(text: &str) -> Result<Node, ExpressionError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, end: text.chars().count() };
    let node = parser.choice()?;
    match parser.tokens.get(parser.at) {
        None => Ok(node),
        Some((token, at)) => Err(ExpressionError { what: format!("{token} was not expected"), at: *at }),
    }
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

const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "?.", "??", "<", ">", "!", "(", ")", "[", "]", ",", ".", "+", "-", "*", "/",
    "%", "?", ":",
];

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ExpressionError> {
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
                    quoted(&chars[at..]).ok_or(ExpressionError { what: "a text has no end".into(), at })?;
                at += len;
                Token::Text(text)
            }
            '0'..='9' => {
                at += take(at, &|c| c.is_ascii_digit() || matches!(c, '.' | '_' | 'e'));
                let number: String = chars[start..at].iter().filter(|c| **c != '_').collect();
                let wrong = ExpressionError { what: format!("`{number}` is no number"), at: start };
                Token::Number(number.parse().map_err(|_| wrong)?)
            }
            c if c.is_alphabetic() || matches!(c, '_' | '$') => {
                at += take(at, &|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
                Token::Word(chars[start..at].iter().collect())
            }
            c => {
                let found = SIGNS.iter().find(|s| s.chars().eq(chars[at..].iter().copied().take(s.len())));
                let unknown = || ExpressionError { what: format!("`{c}` is not understood"), at };
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
    fn choice(&mut self) -> Result<Node, ExpressionError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.error("it is nested too deep"));
        }
        let mut node = self.or()?;
        if self.sign("?") {
            let then = self.choice()?;
            self.close(":")?;
            node = Node::Choose(node.into(), then.into(), self.choice()?.into());
        }
        self.depth -= 1;
        Ok(node)
    }

    fn or(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.and()?;
        while self.sign("||") || self.word("or") {
            left = Node::Or(left.into(), self.and()?.into());
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.not()?;
        while self.sign("&&") || self.word("and") {
            left = Node::And(left.into(), self.not()?.into());
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, ExpressionError> {
        let mut negated = false;
        while self.sign("!") || self.word("not") {
            negated = !negated;
        }
        let node = self.comparison()?;
        Ok(if negated { Node::Not(node.into()) } else { node })
    }

    fn comparison(&mut self) -> Result<Node, ExpressionError> {
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
        let left = self.sum()?;
        if let Some((_, how)) = SIGNS.iter().find(|(sign, _)| self.sign(sign)) {
            return Ok(Node::Compare(*how, left.into(), self.sum()?.into()));
        }
        let negated = self.word("not");
        let node = if let Some((_, how)) = WORDS.iter().find(|(word, _)| self.word(word)) {
            Node::Text(*how, left.into(), self.sum()?.into())
        } else if self.word("matches") {
            let at = self.here();
            let Node::Value(Value::Text(pattern)) = self.operand()? else {
                return Err(ExpressionError { what: "`matches` needs a text behind it".into(), at });
            };
            let wrong = |what| ExpressionError { what, at };
            Node::Matches(left.into(), re2::regex(&pattern).map_err(wrong)?)
        } else if self.word("in") {
            Node::In(left.into(), self.sum()?.into())
        } else if negated {
            return Err(self.error("`not` needs contains, startsWith, endsWith, matches or in behind it"));
        } else {
            return Ok(left);
        };
        Ok(if negated { Node::Not(node.into()) } else { node })
    }

    fn sum(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.product()?;
        loop {
            left = if self.sign("+") {
                Node::Add(left.into(), self.product()?.into())
            } else if self.sign("-") {
                Node::Reckon(Reckon::Minus, left.into(), self.product()?.into())
            } else {
                return Ok(left);
            };
        }
    }

    fn product(&mut self) -> Result<Node, ExpressionError> {
        const SIGNS: [(&str, Reckon); 3] = [("*", Reckon::Times), ("/", Reckon::By), ("%", Reckon::Rest)];
        let mut left = self.signed()?;
        loop {
            left = if let Some((_, how)) = SIGNS.iter().find(|(sign, _)| self.sign(sign)) {
                Node::Reckon(*how, left.into(), self.signed()?.into())
            } else if self.sign("??") {
                Node::OrElse(left.into(), self.signed()?.into())
            } else {
                return Ok(left);
            };
        }
    }

    fn signed(&mut self) -> Result<Node, ExpressionError> {
        if !self.sign("-") {
            return self.operand();
        }
        Ok(match self.operand()? {
            Node::Value(Value::Double(number)) => Node::Value(Value::Double(-number)),
            node => Node::Reckon(Reckon::Minus, Node::Value(Value::Int(0)).into(), node.into()),
        })
    }

    fn operand(&mut self) -> Result<Node, ExpressionError> {
        if self.sign("(") {
            let node = self.choice()?;
            return self.close(")").map(|()| node);
        }
        if self.sign("[") {
            let mut list = Vec::new();
            while !self.sign("]") {
                let at = self.here();
                match self.signed()? {
                    Node::Value(value) => list.push(value),
                    _ => return Err(ExpressionError { what: "a list holds values only".into(), at }),
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
                "severity" | "severity_number" => Node::Severity,
                "timestamp" => self.timestamp()?,
                "int" => self.call(Call::Int)?,
                "float" => self.call(Call::Float)?,
                "string" => self.call(Call::Text)?,
                "hasPrefix" => self.test(TextTest::StartsWith)?,
                "hasSuffix" => self.test(TextTest::EndsWith)?,
                "type" => self.call(Call::Type)?,
                "len" => self.call(Call::Len)?,
                "lower" => self.call(Call::Lower)?,
                "upper" => self.call(Call::Upper)?,
                "trim" => self.call(Call::Trim)?,
                "env" => self.environment()?,
                "body" | "$" | "$body" => self.field(Root::Body)?,
                "attributes" | "$attributes" => self.field(Root::Attributes)?,
                "resource" | "$resource" => self.field(Root::Resource)?,
                _ => return Err(ExpressionError { what: format!("`{word}` is not understood"), at }),
            },
            Token::Sign(sign) => return Err(ExpressionError { what: format!("`{sign}` was not expected"), at }),
        })
    }

    fn call(&mut self, what: Call) -> Result<Node, ExpressionError> {
        self.close("(")?;
        let node = self.choice()?;
        self.close(")")?;
        Ok(Node::Call(what, node.into()))
    }

    /// A test of two texts that is written as a call.
    fn test(&mut self, how: TextTest) -> Result<Node, ExpressionError> {
        self.close("(")?;
        let text = self.choice()?;
        self.close(",")?;
        let part = self.choice()?;
        self.close(")")?;
        Ok(Node::Text(how, text.into(), part.into()))
    }

    fn timestamp(&mut self) -> Result<Node, ExpressionError> {
        const KNOWN: [(&str, Clock); 4] = [
            ("Unix", Clock::Seconds),
            ("UnixMilli", Clock::Millis),
            ("UnixNano", Clock::Nanos),
            ("IsZero", Clock::IsZero),
        ];
        let found = if self.sign(".") { KNOWN.iter().find(|(name, _)| self.word(name)) } else { None };
        let Some((_, what)) = found else {
            return Err(self.error("`timestamp` needs .Unix(), .UnixMilli(), .UnixNano() or .IsZero() behind it"));
        };
        self.close("(")?;
        self.close(")")?;
        Ok(Node::Timestamp(*what))
    }

    /// The value of an environment variable, which does not change.
    fn environment(&mut self) -> Result<Node, ExpressionError> {
        self.close("(")?;
        let Some((Token::Text(name), _)) = self.tokens.get(self.at).cloned() else {
            return Err(self.error("the name of a variable should stand here, in quotes"));
        };
        self.at += 1;
        self.close(")")?;
        Ok(Node::Value(Value::text(std::env::var(name).unwrap_or_default())))
    }

    fn field(&mut self, root: Root) -> Result<Node, ExpressionError> {
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
                    let minus = self.sign("-");
                    let Some((token, _)) = self.tokens.get(self.at).cloned() else {
                        return Err(self.error("a text or a number should stand in the brackets"));
                    };
                    let key = match token {
                        Token::Text(key) if !minus => key,
                        Token::Number(number) if number.fract() == 0.0 && number < 1e9 => {
                            self.at += 1;
                            self.close("]")?;
                            #[allow(clippy::cast_possible_truncation, reason = "it is small")]
                            let number = if minus { -number } else { number } as i64;
                            return Ok(Node::Element(Node::Field(field).into(), number));
                        }
                        _ => return Err(self.error("a text or a number should stand in the brackets")),
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

    fn close(&mut self, sign: &str) -> Result<(), ExpressionError> {
        if self.sign(sign) { Ok(()) } else { Err(self.error(&format!("a `{sign}` should stand here"))) }
    }

    fn here(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(_, at)| *at)
    }

    fn error(&self, what: &str) -> ExpressionError {
        ExpressionError { what: what.to_owned(), at: self.here() }
    }
}
