//! What both text formats read alike: names, quoted strings, types, the words of an error.

use super::{Fault, Kind, LabelSpan, Parser, Span};

/// The longest piece of a body that an error shows.
const SHOWN_BYTES: usize = 60;

/// What a byte can be in a name.
const CLASSES: [u8; 256] = classes();
/// It may stand in a label name.
const LABEL_NAME: u8 = 1;
/// It may stand in a metric name.
const METRIC_NAME: u8 = 2;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || b == b'_' {
            table[byte] = LABEL_NAME | METRIC_NAME;
        } else if b == b':' {
            table[byte] = METRIC_NAME;
        }
        byte += 1;
    }
    table
}

/// How many bytes at the start are of that class.
#[inline]
fn run_of(class: u8, bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| CLASSES[b as usize] & class == 0).unwrap_or(bytes.len())
}

/// Whether a metric name may begin with this byte.
#[inline]
pub(super) const fn begins_name(byte: u8) -> bool {
    CLASSES[byte as usize] & METRIC_NAME != 0 && !byte.is_ascii_digit()
}

/// What a format's rules say about labels.
#[derive(Clone, Copy)]
pub(super) struct LabelRules {
    /// Blanks may stand between the pieces.
    pub blanks: bool,
    /// A label must be followed by a comma or the closing brace.
    pub commas: bool,
    /// A quoted string may hold a raw line break.
    pub line_breaks: bool,
    /// A lone quoted string is the metric name.
    pub metric_name: bool,
}

/// The type that a word of `# TYPE` means in both formats.
pub(super) fn common_kind(word: &[u8]) -> Option<Kind> {
    match word {
        b"counter" => Some(Kind::Counter),
        b"gauge" => Some(Kind::Gauge),
        b"histogram" => Some(Kind::Histogram),
        b"summary" => Some(Kind::Summary),
        _ => None,
    }
}

impl<'a> Parser<'a> {
    /// The byte at the current place; `None` at the end.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// A span up to the current place.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "bodies of 4 GiB and more are refused before any span is made")]
    pub(super) fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.at as u32 }
    }

    /// The bytes from `start` up to the current place.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.body[start..self.at]
    }

    /// Refuses bodies whose places do not fit into a span.
    pub(super) fn check_size(&self) -> Result<(), Fault> {
        if u32::try_from(self.body.len()).is_ok() {
            return Ok(());
        }
        Err(Fault { at: 0, what: "bodies of 4 GiB and more are not read".to_owned() })
    }

    /// Takes a metric name, if one begins here.
    #[inline]
    pub(super) fn take_name(&mut self) -> bool {
        match self.peek() {
            Some(byte) if begins_name(byte) => {
                self.at += run_of(METRIC_NAME, &self.body[self.at..]);
                true
            }
            _ => false,
        }
    }

    /// Takes the name of a family behind `# TYPE` and the like, quoted or not.
    pub(super) fn take_family(&mut self, line_breaks: bool) -> Result<&'a [u8], Fault> {
        let start = self.at;
        if self.peek() == Some(b'"') {
            let span = self.take_quoted(line_breaks)?;
            return Ok(&self.body[span.start as usize..span.end as usize]);
        }
        if self.take_name() { Ok(self.since(start)) } else { Err(self.wanted("the name of a metric family")) }
    }

    /// Takes a quoted string that begins here; its span is without the quotes.
    #[inline]
    pub(super) fn take_quoted(&mut self, line_breaks: bool) -> Result<Span, Fault> {
        let opening = self.at;
        let start = opening + 1;
        self.at = start;
        loop {
            let rest = &self.body[self.at..];
            let found = if line_breaks {
                memchr::memchr2(b'"', b'\\', rest)
            } else {
                memchr::memchr3(b'"', b'\\', b'\n', rest)
            };
            let Some(offset) = found else {
                return Err(Fault { at: opening, what: format!("the quote is not closed: {}", self.shown(opening)) });
            };
            self.at += offset;
            match rest[offset] {
                b'"' => {
                    let span = self.span_from(start);
                    self.at += 1;
                    return Ok(span);
                }
                b'\\' if !matches!(rest.get(offset + 1), None | Some(b'\n')) => self.at += 2,
                _ => {
                    let what = format!("the quoted text breaks off at the end of the line: {}", self.shown(opening));
                    return Err(Fault { at: opening, what });
                }
            }
        }
    }

    /// Takes labels up to and with the closing brace; the opening one is behind us.
    pub(super) fn take_labels(&mut self, rules: LabelRules) -> Result<(), Fault> {
        loop {
            self.take_plain_labels(rules);
            if rules.blanks {
                self.skip_blanks();
            }
            let start = self.at;
            let name = match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"') => {
                    let quoted = self.take_quoted(rules.line_breaks)?;
                    if rules.blanks {
                        self.skip_blanks();
                    }
                    if rules.metric_name && matches!(self.peek(), Some(b',' | b'}')) {
                        self.set_name(quoted, start)?;
                        if self.peek() == Some(b',') {
                            self.at += 1;
                        }
                        continue;
                    }
                    self.check_text(quoted, "label name")?;
                    quoted
                }
                Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                    self.at += run_of(LABEL_NAME, &self.body[self.at..]);
                    self.span_from(start)
                }
                _ => return Err(self.wanted("a label name or }")),
            };
            if rules.blanks {
                self.skip_blanks();
            }
            if self.peek() != Some(b'=') {
                return Err(self.wanted("= after the label name"));
            }
            self.at += 1;
            if rules.blanks {
                self.skip_blanks();
            }
            if self.peek() != Some(b'"') {
                return Err(self.wanted("a label value in quotes"));
            }
            let value = self.take_quoted(rules.line_breaks)?;
            self.check_text(value, "label value")?;
            let labels = if rules.metric_name { &mut self.labels } else { &mut self.exemplar_labels };
            labels.push(LabelSpan { name, value, plain: false });
            if rules.blanks {
                self.skip_blanks();
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ if rules.commas => return Err(self.wanted(", or } after the label value")),
                _ => {}
            }
        }
    }

    /// Takes labels that are written as nearly all are, `name="value",`, without blanks and escapes; stands before the
    /// first thing that is not.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "bodies of 4 GiB and more are refused before any span is made")]
    fn take_plain_labels(&mut self, rules: LabelRules) {
        if self.text.is_none() || !rules.metric_name {
            return;
        }
        let body = self.body;
        let mut at = self.at;
        while let Some(&first) = body.get(at)
            && CLASSES[first as usize] & LABEL_NAME != 0
            && !first.is_ascii_digit()
        {
            let name_end = at + run_of(LABEL_NAME, &body[at..]);
            let Some([b'=', b'"', value @ ..]) = body.get(name_end..) else { break };
            let Some(length) = memchr::memchr3(b'"', b'\\', b'\n', value) else { break };
            let value_start = name_end + 2;
            let value_end = value_start + length;
            let (Some(b'"'), Some(&next)) = (body.get(value_end), body.get(value_end + 1)) else { break };
            if !matches!(next, b',' | b'}') {
                break;
            }
            let name = Span { start: at as u32, end: name_end as u32 };
            let value = Span { start: value_start as u32, end: value_end as u32 };
            self.labels.push(LabelSpan { name, value, plain: true });
            at = value_end + 1 + usize::from(next == b',');
        }
        self.at = at;
    }

    fn set_name(&mut self, quoted: Span, at: usize) -> Result<(), Fault> {
        if self.name.is_some() {
            return Err(Fault { at, what: format!("the metric has a second name: {}", self.shown(at)) });
        }
        self.check_text(quoted, "metric name")?;
        self.name = Some(quoted);
        Ok(())
    }

    /// Checks that a span is UTF-8, unless the whole body is.
    fn check_text(&self, span: Span, thing: &str) -> Result<(), Fault> {
        let range = span.start as usize..span.end as usize;
        if self.text.is_some() || simdutf8::basic::from_utf8(&self.body[range.clone()]).is_ok() {
            return Ok(());
        }
        Err(Fault { at: range.start, what: format!("the {thing} is not UTF-8: {}", self.shown(range.start)) })
    }

    /// The rest of the line as text, for `# HELP`.
    pub(super) fn help(&self, start: usize, end: usize) -> Result<&'a str, Fault> {
        match self.text {
            Some(text) => Ok(text.get(start..end).unwrap_or_default()),
            None => simdutf8::basic::from_utf8(&self.body[start..end])
                .map_err(|_| Fault { at: start, what: "the help text is not UTF-8".to_owned() }),
        }
    }

    /// The error that something else stands here.
    #[cold]
    pub(super) fn wanted(&self, what: &str) -> Fault {
        Fault { at: self.at, what: format!("expected {what}, found {}", self.shown(self.at)) }
    }

    /// The line from `at` on, escaped and cut, for an error.
    #[cold]
    pub(super) fn shown(&self, at: usize) -> String {
        let rest = &self.body[at.min(self.body.len())..];
        if rest.is_empty() {
            return "the end of the body".to_owned();
        }
        let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        if line == 0 {
            return "the end of the line".to_owned();
        }
        let cut = line.min(SHOWN_BYTES);
        let more = if cut < line { "…" } else { "" };
        format!("`{}{more}`", rest[..cut].escape_ascii())
    }
}
