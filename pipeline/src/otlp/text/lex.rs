//! A place in one line of text.

use super::TextError;
use super::names::is_word_byte;

pub(super) struct Cursor<'a> {
    line: &'a str,
    number: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the first part of a line; lines count from 1.
    pub(super) fn new(line: &'a str, number: usize) -> Cursor<'a> {
        let mut cursor = Cursor { line, number, at: 0 };
        cursor.skip_space();
        cursor
    }

    pub(super) fn error(&self, what: impl Into<String>) -> TextError {
        let before = self.line.get(..self.at).unwrap_or(self.line);
        TextError { line: self.number, column: before.chars().count() + 1, what: what.into() }
    }

    /// What is left of the line.
    pub(super) fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn skip_space(&mut self) {
        self.at = self.line.len() - self.rest().trim_start().len();
    }

    /// Takes a mark and the space behind it, if it is there.
    pub(super) fn eat(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        if found {
            self.at += mark.len();
            self.skip_space();
        }
        found
    }

    pub(super) fn expect(&mut self, mark: &str) -> Result<(), TextError> {
        if self.eat(mark) { Ok(()) } else { Err(self.error(format!("expected {mark}"))) }
    }

    /// The word here, which may be empty, without moving.
    pub(super) fn word_ahead(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest.bytes().take_while(|byte| is_word_byte(*byte)).count()]
    }

    /// Takes a word and the space behind it.
    pub(super) fn word(&mut self) -> Result<&'a str, TextError> {
        let word = self.word_ahead();
        if word.is_empty() {
            return Err(self.error("expected a word"));
        }
        self.at += word.len();
        self.skip_space();
        Ok(word)
    }

    /// Takes a word or text.
    pub(super) fn name(&mut self) -> Result<String, TextError> {
        if self.peek() == Some(b'"') { self.text() } else { self.word().map(str::to_owned) }
    }

    /// Takes text in quotes.
    pub(super) fn text(&mut self) -> Result<String, TextError> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.bytes().enumerate().skip(1).find(|(_, byte)| {
            let is_end = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            is_end
        });
        let (b'"', Some((end, _))) = (self.peek().unwrap_or(0), end) else {
            return Err(self.error("expected text in quotes"));
        };
        let text = serde_json::from_str(&rest[..=end]).map_err(|error| self.error(error.to_string()))?;
        self.at += end + 1;
        self.skip_space();
        Ok(text)
    }

    /// Takes hexadecimal digits, two for each byte.
    pub(super) fn hex(&mut self) -> Result<Vec<u8>, TextError> {
        let digits = self.word_ahead();
        let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let bytes = bytes.filter(|_| odd.is_empty());
        let bytes = bytes.ok_or_else(|| self.error("expected pairs of hexadecimal digits"))?;
        self.at += digits.len();
        self.skip_space();
        Ok(bytes)
    }
}
