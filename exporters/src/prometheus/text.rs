//! Prometheus' text format, and the pieces that OpenMetrics writes alike.

use std::fmt::Write;

use pipeline::otlp::bound;

use super::escape::{Escaping, is_plain};
use super::store::{Family, Labels, Store, Value};
use crate::translation::Type;

/// Everything in the store.
pub fn write(store: &Store, escaping: Escaping, timestamps: bool) -> String {
    let mut out = String::new();
    for (name, family) in store.families() {
        let name = escaping.escape(name);
        if !family.help.is_empty() {
            out.push_str("# HELP ");
            write_name(&mut out, &name);
            out.push(' ');
            write_escaped(&mut out, &family.help, false);
            out.push('\n');
        }
        out.push_str("# TYPE ");
        write_name(&mut out, &name);
        writeln!(out, " {}", type_word(family)).unwrap_or_default();
        for (labels, series) in family.series() {
            let time = if timestamps { (series.time / 1_000_000).to_string() } else { String::new() };
            let mut samples = Samples { out: &mut out, name: &name, labels, escaping };
            samples.all(&series.value, |out, _| {
                if !time.is_empty() {
                    out.push(' ');
                    out.push_str(&time);
                }
            });
        }
    }
    out
}

fn type_word(family: &Family) -> &'static str {
    match family.kind {
        _ if family.is_histogram() => "histogram",
        Type::Counter => "counter",
        Type::Gauge | Type::Info | Type::StateSet => "gauge",
        Type::Summary => "summary",
        Type::Histogram | Type::GaugeHistogram | Type::Unknown => "untyped",
    }
}

/// Writes the lines of one series.
pub struct Samples<'a> {
    /// Where to.
    pub out: &'a mut String,
    /// Of the series, as the reader takes it.
    pub name: &'a str,
    /// Of the series.
    pub labels: &'a Labels,
    /// What becomes of labels' names.
    pub escaping: Escaping,
}

/// What a line is about, for what may stand behind its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Line {
    /// The sample of a counter or a gauge.
    Number,
    /// A bucket from above the first bound up to the second.
    Bucket(f64, f64),
    /// Anything else.
    Other,
}

impl Samples<'_> {
    /// All lines; `behind` writes what stands behind a value.
    pub fn all(&mut self, value: &Value, mut behind: impl FnMut(&mut String, Line)) {
        match value {
            Value::Number(value) => self.line("", None, *value, Line::Number, &mut behind),
            Value::Histogram { count, sum, buckets } => {
                let mut below = f64::NEG_INFINITY;
                for (bound, count) in buckets {
                    let line = Line::Bucket(below, *bound);
                    self.line("_bucket", Some(("le", *bound)), as_float(*count), line, &mut behind);
                    below = *bound;
                }
                if let Some(sum) = sum {
                    self.line("_sum", None, *sum, Line::Other, &mut behind);
                }
                self.line("_count", None, as_float(*count), Line::Other, &mut behind);
            }
            // Text has no native histograms; this much of one it can say.
            Value::Native { count, sum, .. } => {
                let line = Line::Bucket(f64::NEG_INFINITY, f64::INFINITY);
                self.line("_bucket", Some(("le", f64::INFINITY)), as_float(*count), line, &mut behind);
                self.line("_sum", None, *sum, Line::Other, &mut behind);
                self.line("_count", None, as_float(*count), Line::Other, &mut behind);
            }
            Value::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.line("", Some(("quantile", *quantile)), *value, Line::Other, &mut behind);
                }
                self.line("_sum", None, *sum, Line::Other, &mut behind);
                self.line("_count", None, as_float(*count), Line::Other, &mut behind);
            }
        }
    }

    /// One line.
    pub fn line(
        &mut self,
        suffix: &str,
        own: Option<(&str, f64)>,
        value: f64,
        line: Line,
        behind: &mut impl FnMut(&mut String, Line),
    ) {
        let quoted = !is_plain(self.name);
        if quoted {
            self.out.push_str("{\"");
            write_escaped(self.out, self.name, true);
            self.out.push_str(suffix);
            self.out.push('"');
        } else {
            self.out.push_str(self.name);
            self.out.push_str(suffix);
        }
        let mut separator = if quoted { ',' } else { '{' };
        for (name, value) in self.labels.iter() {
            self.out.push(separator);
            separator = ',';
            write_label(self.out, name, value, self.escaping);
        }
        if let Some((name, value)) = own {
            self.out.push(separator);
            separator = ',';
            self.out.push_str(name);
            self.out.push_str("=\"");
            bound::write_canonical(self.out, value);
            self.out.push('"');
        }
        self.out.push_str(if quoted || separator == ',' { "} " } else { " " });
        write_value(self.out, value);
        behind(self.out, line);
        self.out.push('\n');
    }
}

/// A label. Its name may hold no `:` without quotes.
pub fn write_label(out: &mut String, name: &str, value: &str, escaping: Escaping) {
    let escaped = escaping.escape(name);
    match escaped.contains(':') {
        true if escaping == Escaping::AllowUtf8 => {
            out.push('"');
            write_escaped(out, &escaped, true);
            out.push('"');
        }
        true => out.push_str(&escaped.replace(':', "_")),
        false => write_name(out, &escaped),
    }
    out.push_str("=\"");
    write_escaped(out, value, true);
    out.push('"');
}

/// A name, in quotes where it needs them.
pub fn write_name(out: &mut String, name: &str) {
    if is_plain(name) {
        out.push_str(name);
    } else {
        out.push('"');
        write_escaped(out, name, true);
        out.push('"');
    }
}

/// A text in which line breaks and backslashes are escaped, and quotes where they would end it.
pub fn write_escaped(out: &mut String, text: &str, quotes: bool) {
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'"' if quotes => "\\\"",
            _ => continue,
        };
        out.push_str(&text[clean..at]);
        out.push_str(escape);
        clean = at + 1;
    }
    out.push_str(&text[clean..]);
}

/// A value, in as few digits as read back to it.
pub fn write_value(out: &mut String, value: f64) {
    let written = if value.is_nan() {
        write!(out, "NaN")
    } else if value.is_infinite() {
        write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' })
    } else if value != 0.0 && !(1e-5..1e21).contains(&value.abs()) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
    written.unwrap_or_default();
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
fn as_float(count: u64) -> f64 {
    count as f64
}
