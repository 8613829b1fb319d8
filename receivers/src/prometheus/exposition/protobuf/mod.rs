//! Prometheus' protobuf format: `io.prometheus.client.MetricFamily` messages, each behind its length, borrowed from the
//! body. It accepts and refuses what Prometheus 3 does; which series a metric is, its reader decides.

mod histogram;

use std::fmt;

use pipeline::otlp::WireError;
use pipeline::otlp::wire::{Field, Fields, delimited};
use smallvec::SmallVec;

use super::Kind;
use super::number::normal;

pub use self::histogram::{Bucket, Histogram, Side};

/// Fields of `MetricFamily`.
mod family {
    pub const NAME: u32 = 1;
    pub const HELP: u32 = 2;
    pub const TYPE: u32 = 3;
    pub const METRICS: u32 = 4;
    pub const UNIT: u32 = 5;
}

/// Fields of `Metric`, and of `LabelPair`.
mod metric {
    pub const LABELS: u32 = 1;
    pub const GAUGE: u32 = 2;
    pub const COUNTER: u32 = 3;
    pub const SUMMARY: u32 = 4;
    pub const UNTYPED: u32 = 5;
    pub const TIMESTAMP_MS: u32 = 6;
    pub const HISTOGRAM: u32 = 7;
    pub const LABEL_NAME: u32 = 1;
    pub const LABEL_VALUE: u32 = 2;
}

/// Fields of `Gauge`, `Untyped` and `Counter`.
mod number {
    pub const VALUE: u32 = 1;
    pub const EXEMPLAR: u32 = 2;
    pub const CREATED: u32 = 3;
}

/// Fields of `Summary`, and of `Quantile`.
mod summary {
    pub const COUNT: u32 = 1;
    pub const SUM: u32 = 2;
    pub const QUANTILES: u32 = 3;
    pub const CREATED: u32 = 4;
    pub const QUANTILE: u32 = 1;
    pub const VALUE: u32 = 2;
}

/// Fields of `Exemplar`, and of `Timestamp`.
mod exemplar {
    pub const LABELS: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const TIMESTAMP: u32 = 3;
    pub const SECONDS: u32 = 1;
    pub const NANOS: u32 = 2;
}

/// Why a body is not in this format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFamily {
    /// Which family, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for BadFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric family {} of the body: {}", self.number, self.what)
    }
}

impl std::error::Error for BadFamily {}

/// The families of a body that have metrics, in order. After an error there are none.
#[derive(Clone, Debug)]
pub struct Families<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Families<'a> {
    /// The families of that body.
    pub fn new(body: &'a [u8]) -> Families<'a> {
        Families { rest: body, number: 0 }
    }

    /// Which family came last, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    fn read(&mut self) -> Result<Option<Family<'a>>, String> {
        Family::read(delimited(&mut self.rest).map_err(|error| error.to_string())?)
    }
}

impl<'a> Iterator for Families<'a> {
    type Item = Result<Family<'a>, BadFamily>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            self.number += 1;
            match self.read() {
                Ok(None) => {}
                Ok(Some(family)) => return Some(Ok(family)),
                Err(what) => {
                    self.rest = &[];
                    return Some(Err(BadFamily { number: self.number, what }));
                }
            }
        }
        None
    }
}

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its help text.
    pub help: &'a str,
    /// Its unit.
    pub unit: &'a str,
    /// Its type.
    pub kind: Kind,
    message: &'a [u8],
}

impl<'a> Family<'a> {
    /// The family, unless it has no metrics: then nothing else about it matters.
    fn read(message: &'a [u8]) -> Result<Option<Family<'a>>, String> {
        let (mut name, mut help, mut unit, mut word, mut has_metrics) = (&b""[..], &b""[..], &b""[..], 0, false);
        let mut take = |field: Field<'a>| -> Result<(), WireError> {
            match field.number {
                family::NAME => name = field.value.bytes()?,
                family::HELP => help = field.value.bytes()?,
                family::UNIT => unit = field.value.bytes()?,
                family::TYPE => word = field.value.uint32()?,
                family::METRICS => has_metrics = true,
                _ => {}
            }
            Ok(())
        };
        Fields::new(message).try_for_each(|field| take(field?)).map_err(|error| error.to_string())?;
        if !has_metrics {
            return Ok(None);
        }
        let text = |bytes: &'a [u8], what: &str| {
            simdutf8::basic::from_utf8(bytes).map_err(|_| format!("{what} `{}` is not UTF-8", bytes.escape_ascii()))
        };
        let name = text(name, "the name")?;
        if name.is_empty() {
            return Err("it has no name".to_owned());
        }
        let help = text(help, "the help text")?;
        let unit = text(unit, "the unit")?;
        let kind = match word {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Summary,
            3 => Kind::Unknown,
            4 => Kind::Histogram,
            5 => Kind::GaugeHistogram,
            other => return Err(format!("{name} has the type {other}, the types are 0 to 5")),
        };
        let base = name.strip_suffix("_total").filter(|_| kind == Kind::Counter).unwrap_or(name);
        if !unit.is_empty() && !base.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')) {
            return Err(format!("the unit {unit:?} is not the end of the metric's name {name:?}"));
        }
        Ok(Some(Family { name, help, unit, kind, message }))
    }

    /// Its metrics.
    pub fn metrics(&self) -> impl Iterator<Item = Result<Metric<'a>, WireError>> + use<'a> {
        let kind = self.kind;
        submessages(self.message, family::METRICS).map(move |message| Metric::read(message?, kind))
    }
}

/// The names and values of labels, in their order.
pub type LabelPairs<'a> = SmallVec<[(&'a str, &'a str); 8]>;

/// One metric of a family.
#[derive(Clone, Debug)]
pub struct Metric<'a> {
    /// Its labels.
    pub labels: LabelPairs<'a>,
    /// Its explicit timestamp in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// What it holds: what the family's type says, or zeroes.
    pub data: Data<'a>,
}

/// What a metric holds.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// A counter, gauge or untyped value.
    Number {
        /// The value.
        value: f64,
        /// A counter's exemplar.
        exemplar: Option<Exemplar<'a>>,
        /// When the counter began, in nanoseconds since 1970.
        created: Option<u64>,
    },
    /// A summary.
    Summary(Summary<'a>),
    /// A histogram, classic, native or both.
    Histogram(Histogram<'a>),
}

impl<'a> Metric<'a> {
    fn read(message: &'a [u8], kind: Kind) -> Result<Metric<'a>, WireError> {
        let mut labels = LabelPairs::new();
        let (mut timestamp, mut inside) = (None, &[][..]);
        let wanted = match kind {
            Kind::Counter => metric::COUNTER,
            Kind::Gauge => metric::GAUGE,
            Kind::Summary => metric::SUMMARY,
            Kind::Histogram | Kind::GaugeHistogram => metric::HISTOGRAM,
            Kind::Unknown | Kind::Info | Kind::StateSet => metric::UNTYPED,
        };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                metric::LABELS => labels.push(label(field.value.bytes()?)?),
                metric::TIMESTAMP_MS => timestamp = Some(field.value.int64()?).filter(|ms| *ms != 0),
                number if number == wanted => inside = field.value.bytes()?,
                _ => {}
            }
        }
        let data = match kind {
            Kind::Summary => Data::Summary(Summary::read(inside)?),
            Kind::Histogram | Kind::GaugeHistogram => Data::Histogram(Histogram::read(inside)?),
            _ => number(inside, kind == Kind::Counter)?,
        };
        Ok(Metric { labels, timestamp, data })
    }
}

fn number(message: &[u8], is_counter: bool) -> Result<Data<'_>, WireError> {
    let (mut value, mut exemplar, mut created) = (0.0, None, None);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            number::VALUE => value = normal(field.value.double()?),
            number::EXEMPLAR if is_counter => exemplar = Some(Exemplar::read(field.value.bytes()?)?),
            number::CREATED if is_counter => created = Time::read(field.value.bytes()?)?.nanos(),
            _ => {}
        }
    }
    Ok(Data::Number { value, exemplar, created })
}

/// A summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary<'a> {
    /// How many were observed.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// When it began, in nanoseconds since 1970.
    pub created: Option<u64>,
    message: &'a [u8],
}

impl<'a> Summary<'a> {
    fn read(message: &'a [u8]) -> Result<Summary<'a>, WireError> {
        let mut out = Summary { message, ..Summary::default() };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                summary::COUNT => out.count = field.value.varint()?,
                summary::SUM => out.sum = normal(field.value.double()?),
                summary::CREATED => out.created = Time::read(field.value.bytes()?)?.nanos(),
                _ => {}
            }
        }
        Ok(out)
    }

    /// Quantiles and their values.
    pub fn quantiles(&self) -> impl Iterator<Item = Result<(f64, f64), WireError>> + use<'a> {
        submessages(self.message, summary::QUANTILES).map(|message| {
            let (mut quantile, mut value) = (0.0, 0.0);
            for field in Fields::new(message?) {
                let field = field?;
                match field.number {
                    summary::QUANTILE => quantile = field.value.double()?,
                    summary::VALUE => value = normal(field.value.double()?),
                    _ => {}
                }
            }
            Ok((quantile, value))
        })
    }
}

/// An exemplar.
#[derive(Clone, Debug)]
pub struct Exemplar<'a> {
    /// Its labels.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Its value.
    pub value: f64,
    /// When, in milliseconds since 1970, if the body says so.
    pub timestamp: Option<i64>,
}

impl<'a> Exemplar<'a> {
    fn read(message: &'a [u8]) -> Result<Exemplar<'a>, WireError> {
        let mut out = Exemplar { labels: Vec::new(), value: 0.0, timestamp: None };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                exemplar::LABELS => out.labels.push(label(field.value.bytes()?)?),
                exemplar::VALUE => out.value = normal(field.value.double()?),
                exemplar::TIMESTAMP => out.timestamp = Some(Time::read(field.value.bytes()?)?.millis()),
                _ => {}
            }
        }
        Ok(out)
    }
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, Default)]
struct Time {
    seconds: i64,
    nanos: i64,
}

impl Time {
    fn read(message: &[u8]) -> Result<Time, WireError> {
        let mut out = Time::default();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                exemplar::SECONDS => out.seconds = field.value.int64()?,
                exemplar::NANOS => out.nanos = field.value.int64()?,
                _ => {}
            }
        }
        Ok(out)
    }

    fn millis(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(self.nanos / 1_000_000)
    }

    /// Nanoseconds since 1970, if it is after that.
    fn nanos(self) -> Option<u64> {
        let nanos = self.seconds.checked_mul(1_000_000_000)?.checked_add(self.nanos)?;
        u64::try_from(nanos).ok().filter(|nanos| *nanos > 0)
    }
}

fn label(message: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut name, mut value) = ("", "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            metric::LABEL_NAME => name = field.value.text()?,
            metric::LABEL_VALUE => value = field.value.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// All messages that a repeated field holds.
fn submessages(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], WireError>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(field) if field.number != number => None,
        Ok(field) => Some(field.value.bytes()),
        Err(error) => Some(Err(error)),
    })
}
