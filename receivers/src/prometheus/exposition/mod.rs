//! The Prometheus text formats: what a scraped body holds, entry by entry, borrowed from the body, in one pass.
//! It accepts and rejects what Prometheus 3 accepts and rejects; it knows nothing of targets or OTLP.
//!
//! ```
//! use receivers::prometheus::exposition::{Entry, Format, Parser};
//!
//! let mut parser = Parser::new(b"# TYPE up gauge\nup{job=\"dynamo\"} 1\n", Format::Text);
//! assert!(matches!(parser.next(b""), Some(Ok(Entry::Type { .. }))));
//! let Some(Ok(Entry::Sample(sample))) = parser.next(b"") else { panic!() };
//! assert_eq!((sample.series, sample.value), (&b"up{job=\"dynamo\"}"[..], 1.0));
//! assert_eq!(parser.name(), "up");
//! assert_eq!(parser.labels().next(), Some(("job".into(), "dynamo".into())));
//! ```

mod number;
mod open_metrics;
pub mod protobuf;
mod scan;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

pub use number::open_metrics_float;

/// A format of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text formats 0.0.4 and 1.0.0, which Prometheus parses alike (quoted names included).
    Text,
    /// OpenMetrics text 0.0.1 and 1.0.0.
    OpenMetrics,
    /// Delimited protobuf, which [`protobuf::Families`] reads.
    Protobuf,
}

/// The type of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// None was said, `untyped` or `unknown`.
    #[default]
    Unknown,
    /// `counter`.
    Counter,
    /// `gauge`.
    Gauge,
    /// `histogram`.
    Histogram,
    /// `gaugehistogram`, OpenMetrics only.
    GaugeHistogram,
    /// `summary`.
    Summary,
    /// `info`, OpenMetrics only.
    Info,
    /// `stateset`, OpenMetrics only.
    StateSet,
}

impl Kind {
    /// The word of `# TYPE` in OpenMetrics, as `prometheus.type` has it too.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Unknown => "unknown",
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Summary => "summary",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
        }
    }
}

/// Why a body is not in its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the body: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

/// One thing that a body says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// `# TYPE`.
    Type {
        /// The family's name, as it stands (without quotes, escapes kept).
        family: &'a [u8],
        /// Its type.
        kind: Kind,
    },
    /// `# HELP`.
    Help {
        /// The family's name.
        family: &'a [u8],
        /// The text, escapes kept; see [`help_text`].
        text: &'a str,
    },
    /// `# UNIT`, OpenMetrics only.
    Unit {
        /// The family's name.
        family: &'a [u8],
        /// The unit.
        unit: &'a [u8],
    },
    /// A sample.
    Sample(Sample<'a>),
}

/// A sample. Its name and labels are asked of the [`Parser`] that is at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric name and labels as the body has them: what a cache can be keyed by.
    pub series: &'a [u8],
    /// The value; every NaN is the one that Prometheus stores.
    pub value: f64,
    /// The explicit timestamp in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Whether this is the series that [`Parser::next`] was told to expect; then the parser has not looked at its
    /// labels.
    pub expected: bool,
    /// Whether [`Parser::exemplar`] has one.
    pub exemplar: bool,
}

/// An exemplar's value and timestamp; its labels are asked of the parser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The value.
    pub value: f64,
    /// When, in milliseconds since 1970, if the body says so.
    pub timestamp: Option<i64>,
}

/// Where something stands in the body.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// Where a label's name and value stand in the body, without quotes.
#[derive(Clone, Copy, Debug)]
struct LabelSpan {
    name: Span,
    value: Span,
    /// Whether neither has an escape.
    plain: bool,
}

type LabelSpans = SmallVec<[LabelSpan; 16]>;

/// Reads one body. After an error or the end it only gives `None`.
#[derive(Debug)]
pub struct Parser<'a> {
    body: &'a [u8],
    /// The body as text, if all of it is UTF-8; else each text is checked by itself.
    text: Option<&'a str>,
    at: usize,
    format: Format,
    /// The type that `# TYPE` said last: Prometheus normalises `le` and `quantile` by it.
    kind: Kind,
    name: Option<Span>,
    labels: LabelSpans,
    exemplar: Option<Exemplar>,
    exemplar_labels: LabelSpans,
    /// The series of the sample before.
    series: &'a [u8],
}

/// What the next sample's series is expected to be: so many bytes of that of the sample before, and then the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected<'e> {
    /// Bytes that it shares with the series of the sample before.
    pub shared: usize,
    /// What stands behind those.
    pub rest: &'e [u8],
}

impl<'e> Expected<'e> {
    /// All of it, whatever came before.
    pub fn whole(series: &'e [u8]) -> Expected<'e> {
        Expected { shared: 0, rest: series }
    }
}

impl<'a> Parser<'a> {
    /// A parser at the start of a body.
    ///
    /// A body of 4 GiB or more is an error at the first entry.
    pub fn new(body: &'a [u8], format: Format) -> Parser<'a> {
        Parser {
            body,
            text: simdutf8::basic::from_utf8(body).ok(),
            at: 0,
            format,
            kind: Kind::Unknown,
            name: None,
            labels: LabelSpans::new(),
            exemplar: None,
            exemplar_labels: LabelSpans::new(),
            series: &[],
        }
    }

    /// The next entry. Where the next line is a sample of `expected` (the [`Sample::series`] of an earlier, accepted
    /// body in the same format), its labels are not read again. An empty `expected` expects nothing.
    ///
    /// # Errors
    /// Where the body leaves its format; nothing can be said about the rest then.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot be told what to expect")]
    pub fn next(&mut self, expected: &[u8]) -> Option<Result<Entry<'a>, ParseError>> {
        self.next_like(Expected::whole(expected))
    }

    /// The same where what is expected is known by how it differs from the series before: texts of neighbours are mostly
    /// alike, and the one before is still in the cache.
    ///
    /// # Errors
    /// As [`Parser::next`].
    #[inline]
    pub fn next_like(&mut self, expected: Expected<'_>) -> Option<Result<Entry<'a>, ParseError>> {
        self.exemplar = None;
        let entry = match self.expected_sample(expected) {
            Some(entry) => entry,
            None => match self.format {
                // Protobuf is not for this parser; as text it is refused.
                Format::Text | Format::Protobuf => self.text_entry(),
                Format::OpenMetrics => self.open_metrics_entry(),
            },
        };
        match entry {
            Ok(entry) => {
                if let Some(Entry::Sample(sample)) = &entry {
                    self.series = sample.series;
                }
                entry.map(Ok)
            }
            Err(Fault { at, what }) => {
                let line = memchr::memchr_iter(b'\n', &self.body[..at.min(self.body.len())]).count() + 1;
                self.at = self.body.len();
                self.format = Format::Text;
                Some(Err(ParseError { line, what }))
            }
        }
    }

    #[inline]
    fn expected_sample(&mut self, expected: Expected<'_>) -> Option<Result<Option<Entry<'a>>, Fault>> {
        let Expected { shared, rest } = expected;
        if shared == 0 && rest.is_empty() {
            return None;
        }
        let body = &self.body[self.at..];
        let behind = body.strip_prefix(self.series.get(..shared)?)?.strip_prefix(rest)?;
        // `name {labels}` continues a series in the text format, so a brace is not yet a value.
        if !matches!(behind, [b' ', next, ..] if !matches!(next, b' ' | b'\t' | b'{' | b'#')) {
            return None;
        }
        let series = &body[..shared + rest.len()];
        self.at += series.len();
        let sample = match self.format {
            Format::Text | Format::Protobuf => self.text_value(series),
            Format::OpenMetrics => self.open_metrics_value(series),
        };
        Some(sample.map(|sample| Some(Entry::Sample(Sample { expected: true, ..sample }))))
    }

    /// The type in force at the entry just given: `le` and `quantile` are normalised by it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The metric name of the sample just given, escapes resolved.
    pub fn name(&self) -> Cow<'a, str> {
        self.name.map_or(Cow::Borrowed(""), |span| unescape(self.str(span)))
    }

    /// The labels of the sample just given in their order, escapes resolved, `le` of a histogram and `quantile` of a
    /// summary in the form of OpenMetrics (`1` is `1.0`), as Prometheus 3 stores them.
    pub fn labels(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let has_bounds = matches!(self.kind, Kind::Histogram | Kind::Summary);
        self.labels.iter().map(move |label| {
            let (name, value) = self.pair(label);
            let value = if has_bounds && is_bound_label(self.kind, &name) { normalised(value) } else { value };
            (name, value)
        })
    }

    /// The exemplar of the sample just given.
    pub fn exemplar(&self) -> Option<Exemplar> {
        self.exemplar
    }

    /// The labels of the exemplar, escapes resolved.
    pub fn exemplar_labels(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.exemplar_labels.iter().map(|label| self.pair(label))
    }

    /// A label's name and value, escapes resolved.
    #[inline]
    fn pair(&self, label: &LabelSpan) -> (Cow<'a, str>, Cow<'a, str>) {
        let (name, value) = (self.str(label.name), self.str(label.value));
        if label.plain { (Cow::Borrowed(name), Cow::Borrowed(value)) } else { (unescape(name), unescape(value)) }
    }

    /// Text that was checked when its span was made.
    #[inline]
    fn str(&self, span: Span) -> &'a str {
        let range = span.start as usize..span.end as usize;
        match self.text {
            Some(text) => text.get(range).unwrap_or_default(),
            None => simdutf8::basic::from_utf8(&self.body[range]).unwrap_or_default(),
        }
    }
}

/// An error with its place.
struct Fault {
    at: usize,
    what: String,
}

/// Whether Prometheus normalises this label's value under that type.
fn is_bound_label(kind: Kind, name: &str) -> bool {
    matches!((kind, name), (Kind::Histogram, "le") | (Kind::Summary, "quantile"))
}

fn normalised(value: Cow<'_, str>) -> Cow<'_, str> {
    match number::lenient_float(&value) {
        Some(number) => {
            let text = open_metrics_float(number);
            if text == value { value } else { Cow::Owned(text) }
        }
        None => value,
    }
}

/// A label value without its escapes (`\\`, `\"`, `\n`); others stay as they are.
fn unescape(raw: &str) -> Cow<'_, str> {
    replace(raw, true)
}

/// A help text without its escapes: `\\` and `\n`, and `\"` in OpenMetrics.
pub fn help_text(raw: &str, format: Format) -> Cow<'_, str> {
    replace(raw, format == Format::OpenMetrics)
}

fn replace(raw: &str, quotes: bool) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (plain, taken) = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => ("\\", 2),
            Some(b'n') => ("\n", 2),
            Some(b'"') if quotes => ("\"", 2),
            _ => ("\\", 1),
        };
        out.push_str(plain);
        rest = &rest[at + taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}
