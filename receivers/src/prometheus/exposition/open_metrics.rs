//! OpenMetrics text: one blank between the pieces, nothing optional, `# EOF` at the end, exemplars.

use super::number;
use super::scan::{LabelRules, begins_name, common_kind};
use super::{Entry, Exemplar, Fault, Format, Kind, Parser, Sample};

const LABELS: LabelRules = LabelRules { blanks: false, commas: true, line_breaks: false, metric_name: true };
const EXEMPLAR_LABELS: LabelRules = LabelRules { metric_name: false, ..LABELS };

impl<'a> Parser<'a> {
    /// The next entry; `None` behind `# EOF`.
    pub(super) fn open_metrics_entry(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        self.check_size()?;
        let start = self.at;
        match self.peek() {
            None => Err(self.no_eof()),
            Some(b'#') => self.open_metrics_comment(),
            Some(b'{') => {
                self.name = None;
                self.open_metrics_braces(start).map(Some)
            }
            Some(byte) if begins_name(byte) => {
                self.take_name();
                self.name = Some(self.span_from(start));
                self.open_metrics_braces(start).map(Some)
            }
            Some(_) => Err(self.wanted("a metric name or # HELP, # TYPE, # UNIT, # EOF")),
        }
    }

    fn open_metrics_braces(&mut self, start: usize) -> Result<Entry<'a>, Fault> {
        self.labels.clear();
        if self.peek() == Some(b'{') {
            self.at += 1;
            self.take_labels(LABELS)?;
            if self.name.is_none() {
                let what = format!("the metric has no name: {}", self.shown(start));
                return Err(Fault { at: start, what });
            }
        }
        let series = self.since(start);
        self.open_metrics_value(series).map(Entry::Sample)
    }

    /// Value, timestamp, exemplar and line end.
    #[inline]
    pub(super) fn open_metrics_value(&mut self, series: &'a [u8]) -> Result<Sample<'a>, Fault> {
        let value = self.take_number("a value after the metric")?;
        let value = number::float(value).map_err(|e| self.bad_number(self.at - value.len(), "value", e.what()))?;
        let mut timestamp = None;
        if !self.body[self.at..].starts_with(b" # {") {
            timestamp = self.take_timestamp()?;
        }
        let mut exemplar = false;
        if self.body[self.at..].starts_with(b" # {") {
            self.at += 4;
            self.take_exemplar()?;
            exemplar = true;
        }
        self.end_line()?;
        Ok(Sample { series, value, timestamp, expected: false, exemplar })
    }

    fn take_exemplar(&mut self) -> Result<(), Fault> {
        self.exemplar_labels.clear();
        self.take_labels(EXEMPLAR_LABELS)?;
        let value = self.take_number("a value after the exemplar's labels")?;
        let value = number::float(value).map_err(|e| self.bad_number(self.at - value.len(), "exemplar", e.what()))?;
        let timestamp = self.take_timestamp()?;
        self.exemplar = Some(Exemplar { value, timestamp });
        Ok(())
    }

    /// One blank and what stands before the next blank or line break.
    #[inline]
    fn take_number(&mut self, what: &str) -> Result<&'a [u8], Fault> {
        if self.peek() != Some(b' ') {
            return Err(self.wanted(what));
        }
        let start = self.at + 1;
        self.at = start;
        while !matches!(self.peek(), None | Some(b' ' | b'\n')) {
            self.at += 1;
        }
        if self.at == start { Err(self.wanted(what)) } else { Ok(self.since(start)) }
    }

    fn take_timestamp(&mut self) -> Result<Option<i64>, Fault> {
        if self.peek() != Some(b' ') {
            return Ok(None);
        }
        let text = self.take_number("a timestamp, an exemplar or the end of the line")?;
        number::seconds(text).map(Some).map_err(|what| self.bad_number(self.at - text.len(), "timestamp", what))
    }

    fn end_line(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'\n') => {
                self.at += 1;
                Ok(())
            }
            None => Err(self.no_eof()),
            Some(_) => Err(self.wanted("the end of the line")),
        }
    }

    fn open_metrics_comment(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        let start = self.at;
        let rest = &self.body[start..];
        if rest.starts_with(b"# EOF") {
            self.at += 5;
            if self.peek() == Some(b'\n') {
                self.at += 1;
            }
            if self.at < self.body.len() {
                return Err(self.wanted("nothing behind # EOF"));
            }
            // Behind `# EOF` the text format's rules say what an end is: nothing.
            self.format = Format::Text;
            return Ok(None);
        }
        let word = rest.get(2..7).unwrap_or_default();
        if !rest.starts_with(b"# ") || !matches!(word, b"HELP " | b"TYPE " | b"UNIT ") {
            return Err(self.wanted("# HELP, # TYPE, # UNIT or # EOF"));
        }
        self.at += 7;
        let family = self.take_family(true)?;
        let text_start = self.at + 1;
        let Some(length) = memchr::memchr(b'\n', &self.body[self.at..]).filter(|_| self.peek() == Some(b' ')) else {
            return Err(self.wanted("a blank and the text of the line after the metric name"));
        };
        let text_end = self.at + length;
        let text = &self.body[text_start..text_end];
        self.at = text_end + 1;
        match word {
            b"HELP " => Ok(Some(Entry::Help { family, text: self.help(text_start, text_end)? })),
            b"TYPE " => {
                self.kind = kind(text).ok_or_else(|| Fault {
                    at: text_start,
                    what: format!(
                        "the metric type is {}, it must be counter, gauge, histogram, gaugehistogram, summary, info, \
                         stateset or unknown",
                        self.shown(text_start)
                    ),
                })?;
                Ok(Some(Entry::Type { family, kind: self.kind }))
            }
            _ => {
                let named = family.strip_suffix(text).is_some_and(|name| name.ends_with(b"_"));
                if !text.is_empty() && !named {
                    let what = format!(
                        "the unit `{}` is not the end of the metric's name `{}`",
                        text.escape_ascii(),
                        family.escape_ascii()
                    );
                    return Err(Fault { at: text_start, what });
                }
                Ok(Some(Entry::Unit { family, unit: text }))
            }
        }
    }

    #[cold]
    fn no_eof(&self) -> Fault {
        Fault { at: self.body.len(), what: "the body does not end with # EOF".to_owned() }
    }
}

fn kind(word: &[u8]) -> Option<Kind> {
    match word {
        b"gaugehistogram" => Some(Kind::GaugeHistogram),
        b"info" => Some(Kind::Info),
        b"stateset" => Some(Kind::StateSet),
        b"unknown" => Some(Kind::Unknown),
        word => common_kind(word),
    }
}
