//! Reads JSON text that is no OTLP, such as log lines, once, in place: the members of an object as slices, nothing built. Lenient where leniency
//! loses nothing (raw control characters in strings, the inside of nested values); strict about what ends where.

mod marks;

use std::borrow::Cow;
use std::fmt;

pub use marks::{Marks, all_marks};

/// Why text is not the JSON it should be, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub what: &'static str,
    /// The byte where it is.
    pub at: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for JsonError {}

/// The inside of a JSON string, escapes still in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str<'a> {
    /// As it stands in the text.
    pub raw: &'a str,
    /// Whether there is a backslash in it.
    pub escaped: bool,
}

impl<'a> Str<'a> {
    /// The text it stands for; borrowed unless it has escapes. A lone surrogate, and an escape that JSON does not know,
    /// become the replacement character.
    pub fn text(self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

/// A value as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    /// A string.
    Str(Str<'a>),
    /// A number, as it is written.
    Number(&'a str),
    /// `true`, `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or array with its brackets. Its inside was only searched for its end.
    Nested(&'a str),
}

/// A place in JSON text.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    marks: Marks<'a>,
}

impl<'a> Scanner<'a> {
    /// At the start of the text.
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0, marks: Marks::default() }
    }

    /// The same, of a text of which [`all_marks`] are known.
    pub fn with_marks(text: &'a str, marks: &'a [u64]) -> Scanner<'a> {
        Scanner { text, at: 0, marks: Marks::known(marks) }
    }

    /// The next byte that is no white space, without taking it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            // One comparison for what stands in all but a few places.
            if b > b' ' || !matches!(b, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(b);
            }
            self.at += 1;
        }
        None
    }

    /// How many bytes were read.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// What was not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Takes so many bytes of [`Scanner::rest`] that the caller knows.
    #[inline]
    pub fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Takes the next byte if it is this one.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes the next byte, which must be this one.
    ///
    /// # Errors
    /// `what`, where it is not.
    #[inline]
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        // Most texts have no white space.
        if self.text.as_bytes().get(self.at) == Some(&byte) {
            self.at += 1;
            return Ok(());
        }
        if self.take(byte) { Ok(()) } else { Err(self.error(what)) }
    }

    /// Nothing but white space may follow.
    ///
    /// # Errors
    /// Where something does.
    pub fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.error("there is more after the end of the JSON value")) }
    }

    /// An error here.
    pub fn error(&self, what: &'static str) -> JsonError {
        JsonError { what, at: self.at }
    }

    /// A string.
    ///
    /// # Errors
    /// Where there is none, or its end is missing.
    #[inline]
    pub fn string(&mut self) -> Result<Str<'a>, JsonError> {
        self.expect(b'"', "a string should start here")?;
        let start = self.at;
        match self.marks.next(self.text.as_bytes(), start) {
            Some(end) if self.text.as_bytes()[end] == b'"' => {
                self.at = end + 1;
                Ok(Str { raw: &self.text[start..end], escaped: false })
            }
            Some(first) => self.escaped_string(start, first),
            None => Err(JsonError { what: "a string has no end", at: start }),
        }
    }

    /// The rest of a string from its first backslash on.
    fn escaped_string(&mut self, start: usize, first: usize) -> Result<Str<'a>, JsonError> {
        let mut from = first + 2;
        while let Some(found) = self.marks.next(self.text.as_bytes(), from) {
            if self.text.as_bytes()[found] == b'"' {
                self.at = found + 1;
                return Ok(Str { raw: &self.text[start..found], escaped: true });
            }
            from = found + 2;
        }
        Err(JsonError { what: "a string has no end", at: start })
    }

    /// Any value; nested ones are skipped.
    ///
    /// # Errors
    /// Where there is none.
    #[inline(always)]
    pub fn value(&mut self) -> Result<Raw<'a>, JsonError> {
        // Most are strings right behind the colon.
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b'"')
            && let Some(end) = self.marks.next(bytes, self.at + 1)
            && bytes[end] == b'"'
            && let Some(raw) = self.text.get(self.at + 1..end)
        {
            self.at = end + 1;
            return Ok(Raw::Str(Str { raw, escaped: false }));
        }
        self.any_value()
    }

    /// Moves behind a value, whatever it is.
    ///
    /// # Errors
    /// Where there is none.
    #[inline(always)]
    pub fn skip_value(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b'"')
            && let Some(end) = self.marks.next(bytes, self.at + 1)
            && bytes[end] == b'"'
        {
            self.at = end + 1;
            return Ok(());
        }
        self.any_value().map(drop)
    }

    #[inline(never)]
    fn any_value(&mut self) -> Result<Raw<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Raw::Str),
            Some(b'{' | b'[') => self.nested().map(Raw::Nested),
            Some(b't') => self.word("true", Raw::Bool(true)),
            Some(b'f') => self.word("false", Raw::Bool(false)),
            Some(b'n') => self.word("null", Raw::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Raw::Number),
            _ => Err(self.error("a value should start here")),
        }
    }

    #[inline]
    fn word(&mut self, word: &'static str, value: Raw<'a>) -> Result<Raw<'a>, JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("a value should start here"));
        }
        self.at += word.len();
        Ok(value)
    }

    #[inline]
    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        // Most are whole and stand at the end of a member.
        let mut end = start;
        while let Some(b'0'..=b'9') = bytes.get(end) {
            end += 1;
        }
        if let Some(b',' | b'}') = bytes.get(end)
            && (bytes[start] != b'0' && end > start || end == start + 1)
        {
            self.at = end;
            return Ok(&self.text[start..end]);
        }
        let digits = |at: usize| bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut at = start + usize::from(bytes[start] == b'-');
        let whole = digits(at);
        let leading_zero = whole > 1 && bytes[at] == b'0';
        at += whole;
        let mut parts = [whole, 1, 1];
        if bytes.get(at) == Some(&b'.') {
            parts[1] = digits(at + 1);
            at += 1 + parts[1];
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            parts[2] = digits(at);
            at += parts[2];
        }
        if parts.contains(&0) || leading_zero {
            return Err(JsonError { what: "a number is not written as JSON wants it", at: start });
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    fn nested(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(&self.text[start..self.at]);
            }
        }
        Err(JsonError { what: "an object or array has no end", at: start })
    }
}

/// Whether a text is a number and nothing else.
pub fn is_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_plain = !bytes.is_empty() && (bytes[0] != b'0' || bytes.len() == 1) && bytes.iter().all(u8::is_ascii_digit);
    is_plain || matches!(Scanner::new(text).value(), Ok(Raw::Number(number)) if number.len() == text.len())
}

/// The members of the object that a text is, in the order they stand; duplicates too. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    scanner: Scanner<'a>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Between,
    Done,
}

impl<'a> Members<'a> {
    /// The members of this object.
    pub fn of(text: &'a str) -> Members<'a> {
        Members { scanner: Scanner::new(text), state: State::Start }
    }

    #[inline]
    fn read(&mut self) -> Result<Option<(Str<'a>, Raw<'a>)>, JsonError> {
        let scanner = &mut self.scanner;
        if self.state == State::Start {
            scanner.expect(b'{', "a JSON object should start here")?;
            if scanner.take(b'}') {
                return scanner.end().map(|()| None);
            }
        } else if !scanner.take(b',') {
            scanner.expect(b'}', "a `,` or `}` should stand here")?;
            return scanner.end().map(|()| None);
        }
        self.state = State::Between;
        let key = scanner.string()?;
        scanner.expect(b':', "a `:` should stand here")?;
        Ok(Some((key, scanner.value()?)))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Str<'a>, Raw<'a>), JsonError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        let read = self.read().transpose();
        if !matches!(read, Some(Ok(_))) {
            self.state = State::Done;
        }
        read
    }
}

fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else { break };
        rest = &rest[escape.len_utf8()..];
        out.push(match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => unicode(&mut rest),
            _ => char::REPLACEMENT_CHARACTER,
        });
    }
    out.push_str(rest);
    out
}

/// The character of `\uXXXX`, with the second half of a surrogate pair taken from `rest` too.
fn unicode(rest: &mut &str) -> char {
    let Some(first) = hex4(rest) else { return char::REPLACEMENT_CHARACTER };
    *rest = &rest[4..];
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    match rest.strip_prefix("\\u").and_then(hex4) {
        Some(second @ 0xdc00..0xe000) => {
            *rest = &rest[6..];
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Result<Vec<(String, String)>, JsonError> {
        Members::of(text).map(|m| m.map(|(key, value)| (key.text().into_owned(), format!("{value:?}")))).collect()
    }

    fn texts(text: &str) -> Vec<String> {
        Members::of(text)
            .map(|m| match m.unwrap().1 {
                Raw::Str(s) => s.text().into_owned(),
                Raw::Number(n) | Raw::Nested(n) => n.to_owned(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn the_members_of_an_object_are_slices_of_the_text() {
        assert_eq!(
            texts(r#" { "a" : "x" , "b":-1.5e+3,"c":{"d":["}",1]},"e":[],"f":true,"g":null,"a":0 } "#),
            ["x", "-1.5e+3", r#"{"d":["}",1]}"#, "[]", "Bool(true)", "Null", "0"]
        );
        assert_eq!(members(" {} "), Ok(vec![]));
    }

    #[test]
    fn strings_of_any_length_end_at_their_quote() {
        for len in 0..80 {
            let inside = "é\u{7f}!#[]".chars().cycle().take(len).collect::<String>();
            assert_eq!(
                texts(&format!("{{\"{inside}\":\"{inside}\",\"k\":\"\\\"{inside}\"}}")),
                [inside.clone(), format!("\"{inside}")]
            );
        }
    }

    #[test]
    fn escapes_are_undone_and_lone_surrogates_replaced() {
        assert_eq!(
            texts(
                r#"{"a":"\"\\\/\b\f\n\r\t","b":"\u00e9\ud83d\ude00","c":"\ud83dx\udc00","d":"\q\u12","e":"a\u0000"}"#
            ),
            ["\"\\/\u{8}\u{c}\n\r\t", "é😀", "\u{fffd}x\u{fffd}", "\u{fffd}\u{fffd}12", "a\0"]
        );
    }

    #[test]
    fn what_is_no_object_is_an_error_that_says_where() {
        for (text, what, at) in [
            ("", "a JSON object should start here", 0),
            ("INFO", "a JSON object should start here", 0),
            ("[1]", "a JSON object should start here", 0),
            ("{\"a\":1", "a `,` or `}` should stand here", 6),
            ("{\"a\":1}x", "there is more", 7),
            ("{\"a\":1,}", "a string should start here", 7),
            ("{\"a\" 1}", "a `:`", 5),
            ("{\"a\":\"x}", "a string has no end", 6),
            ("{\"a\":\"x\\", "a string has no end", 6),
            ("{\"a\":{\"b\":1}", "a `,` or `}`", 12),
            ("{\"a\":[{}", "an object or array has no end", 5),
            ("{\"a\":nul}", "a value should start here", 5),
            ("{\"a\":01}", "a number", 5),
            ("{\"a\":1.}", "a number", 5),
            ("{\"a\":-}", "a number", 5),
            ("{\"a\":1e}", "a number", 5),
        ] {
            let error = members(text).unwrap_err();
            assert!(error.what.starts_with(what) && error.at == at, "{text}: {error}");
        }
    }

    #[test]
    fn a_number_is_one_and_nothing_else() {
        for text in ["0", "7", "120", "-0", "-1.5e+3", "1e9"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", "01", "1.", "1e", " 1", "1 ", "1,", "+1", "a", "\"1\"", "{}"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn nesting_of_any_depth_is_skipped_without_recursion() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(Members::of(&deep).count(), 1);
    }
}
