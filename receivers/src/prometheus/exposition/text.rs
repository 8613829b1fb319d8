//! The Prometheus text format: blanks are free, comments are ignored, `le` may be anything.

use super::number;
use super::scan::{LabelRules, begins_name, common_kind};
use super::{Entry, Fault, Kind, Parser, Sample};

const LABELS: LabelRules = LabelRules { blanks: true, commas: false, line_breaks: true, metric_name: true };

impl<'a> Parser<'a> {
    /// The next entry; `None` at the end.
    pub(super) fn text_entry(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        self.check_size()?;
        loop {
            self.skip_blanks();
            match self.peek() {
                // A NUL where a line could begin ends the body for Prometheus.
                None | Some(0) => {
                    self.at = self.body.len();
                    return Ok(None);
                }
                Some(b'\n') => self.at += 1,
                Some(b'#') => {
                    if let Some(entry) = self.text_comment()? {
                        return Ok(Some(entry));
                    }
                }
                Some(b'{') => {
                    let start = self.at;
                    self.name = None;
                    return self.text_braces(start).map(Some);
                }
                Some(byte) if begins_name(byte) => {
                    let start = self.at;
                    self.take_name();
                    self.name = Some(self.span_from(start));
                    return self.text_braces(start).map(Some);
                }
                Some(_) => return Err(self.wanted("a metric name, # or a line break")),
            }
        }
    }

    /// Labels, if any, and the value of the series that begins at `start`.
    fn text_braces(&mut self, start: usize) -> Result<Entry<'a>, Fault> {
        self.labels.clear();
        let mut series = self.since(start);
        self.skip_blanks();
        if self.peek() == Some(b'{') {
            self.at += 1;
            self.take_labels(LABELS)?;
            series = self.since(start);
            if self.name.is_none() {
                let what = format!("the metric has no name: {}", self.shown(start));
                return Err(Fault { at: start, what });
            }
        }
        self.text_value(series).map(Entry::Sample)
    }

    /// Value, timestamp and line end.
    #[inline]
    pub(super) fn text_value(&mut self, series: &'a [u8]) -> Result<Sample<'a>, Fault> {
        self.skip_blanks();
        let start = self.at;
        while !matches!(self.peek(), None | Some(b' ' | b'\t' | b'\n' | b'{')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.wanted("a value after the metric"));
        }
        let value = number::float(self.since(start)).map_err(|e| self.bad_number(start, "value", e.what()))?;
        self.skip_blanks();
        let digits = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let timestamp = if self.at == digits {
            None
        } else {
            let text = self.since(digits);
            Some(number::integer(text).ok_or_else(|| self.bad_number(digits, "timestamp", "is beyond its range"))?)
        };
        self.skip_blanks();
        match self.peek() {
            None => {}
            Some(b'\n') => self.at += 1,
            Some(_) if timestamp.is_some() => return Err(self.wanted("the end of the line after the timestamp")),
            Some(_) => return Err(self.wanted("a timestamp in digits or the end of the line after the value")),
        }
        Ok(Sample { series, value, timestamp, expected: false, exemplar: false })
    }

    /// A `#` line: `None` if it is only a comment.
    fn text_comment(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        let line_end = self.at + memchr::memchr(b'\n', &self.body[self.at..]).unwrap_or(self.body.len() - self.at);
        self.at += 1;
        let blanks = self.at;
        self.skip_blanks();
        let word = self.body.get(self.at..self.at + 5).unwrap_or_default();
        let is_help = matches!(word, b"HELP " | b"HELP\t");
        let is_type = matches!(word, b"TYPE " | b"TYPE\t");
        if self.at == blanks || !(is_help || is_type) {
            self.at = line_end;
            return Ok(None);
        }
        self.at += 5;
        self.skip_blanks();
        let family = self.take_family(true)?;
        let end = self.at + memchr::memchr(b'\n', &self.body[self.at..]).unwrap_or(self.body.len() - self.at);
        // The byte behind the name, whatever it is, is the separator; what follows is the text as it stands.
        let start = (self.at + 1).min(end);
        let rest = &self.body[start..end];
        self.at = end;
        if is_help {
            return Ok(Some(Entry::Help { family, text: self.help(start, end)? }));
        }
        let kind = match rest {
            b"untyped" => Kind::Unknown,
            word => common_kind(word).ok_or_else(|| Fault {
                at: start,
                what: format!(
                    "the metric type is {}, it must be counter, gauge, histogram, summary or untyped",
                    self.shown(start)
                ),
            })?,
        };
        self.kind = kind;
        Ok(Some(Entry::Type { family, kind }))
    }

    #[cold]
    pub(super) fn bad_number(&self, start: usize, thing: &str, what: &str) -> Fault {
        Fault { at: start, what: format!("the {thing} `{}` {what}", self.since(start).escape_ascii()) }
    }
}
