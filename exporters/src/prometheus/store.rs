//! The latest point of every series, by family and labels.

use std::collections::BTreeMap;
use std::mem::Discriminant;
use std::time::Duration;

use tokio::time::Instant;

use crate::translation::Type;

/// What is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A series without points for so long goes.
    pub expiration: Duration,
    /// Bytes of all series, roughly.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { expiration: Duration::MAX, bytes: usize::MAX }
    }
}

/// All families, by name.
pub struct Store {
    limits: Limits,
    families: BTreeMap<Box<str>, Family>,
    bytes: usize,
    swept: Instant,
}

/// The series of one metric.
#[derive(Debug)]
pub struct Family {
    /// Its type.
    pub kind: Type,
    /// For a person.
    pub help: Box<str>,
    /// In words, or empty.
    pub unit: Box<str>,
    /// What its samples are.
    shape: Discriminant<Value>,
    series: BTreeMap<Labels, Series>,
}

/// Labels in order, as [`Labels::push`] joins them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Vec<u8>);

/// Stands behind each name and value; no text has it.
const END: u8 = 0xff;

/// The latest point of a series.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it says.
    pub value: Value,
    /// When it was measured, nanoseconds since 1970; likewise below.
    pub time: u64,
    /// When it began to count; 0 where that is not known.
    pub start: u64,
    /// Examples of what was observed.
    pub exemplars: Vec<Exemplar>,
    seen: Instant,
}

/// What a point says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter or a gauge.
    Number(f64),
    /// A histogram with bounds.
    Histogram {
        /// Observations.
        count: u64,
        /// Their sum, where it is known.
        sum: Option<f64>,
        /// Upper bounds, and how many observations are up to each; the last is infinite.
        buckets: Vec<(f64, u64)>,
    },
    /// A native histogram.
    Native {
        /// Observations.
        count: u64,
        /// Their sum.
        sum: f64,
        /// The buckets' fields of `io.prometheus.client.Histogram`.
        buckets: Vec<u8>,
    },
    /// Quantiles.
    Summary {
        /// Observations.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Quantiles and their values.
        quantiles: Vec<(f64, f64)>,
    },
}

/// An exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Sorted.
    pub labels: Vec<(String, String)>,
    /// The observation.
    pub value: f64,
    /// Nanoseconds since 1970, or 0.
    pub time: u64,
}

/// Why a point is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room.
    Full,
    /// The family's other series are of another kind.
    Conflict,
}

impl Labels {
    /// None yet; keeps its room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds the next in order.
    pub fn push(&mut self, name: &str, value: &str) {
        for text in [name, value] {
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(END);
        }
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = self.0.split(|byte| *byte == END).map(|text| std::str::from_utf8(text).unwrap_or_default());
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Number(_) => 0,
            Value::Histogram { buckets, .. } => size_of_val(buckets.as_slice()),
            Value::Native { buckets, .. } => buckets.len(),
            Value::Summary { quantiles, .. } => size_of_val(quantiles.as_slice()),
        }
    }
}

impl Series {
    /// A point without exemplars.
    pub fn new(value: Value, start: u64, time: u64) -> Series {
        Series { value, time, start, exemplars: Vec::new(), seen: Instant::now() }
    }

    fn bytes(&self) -> usize {
        let labels = |e: &Exemplar| e.labels.iter().map(|(n, v)| n.len() + v.len() + 48).sum::<usize>();
        self.value.bytes() + self.exemplars.iter().map(|e| labels(e) + 48).sum::<usize>()
    }
}

/// A series beside its labels, values and exemplars.
const FIXED_BYTES: usize = 160;

impl Default for Store {
    fn default() -> Store {
        Store { limits: Limits::default(), families: BTreeMap::new(), bytes: 0, swept: Instant::now() }
    }
}

impl Store {
    /// From now on this holds. What is more than fits stays until it expires.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Keeps a point as its series' latest, unless there is a later one.
    pub fn put(&mut self, name: &str, said: &Said<'_>, labels: &Labels, series: Series) -> Result<(), Refusal> {
        let cost = |series: &Series| FIXED_BYTES + labels.0.len() + series.bytes();
        let new = cost(&series);
        let shape = std::mem::discriminant(&series.value);
        let full = self.bytes + new > self.limits.bytes;
        if !self.families.contains_key(name) {
            if full {
                return Err(Refusal::Full);
            }
            let family = Family { kind: said.kind, help: "".into(), unit: "".into(), shape, series: BTreeMap::new() };
            self.families.insert(name.into(), family);
        }
        let Some(family) = self.families.get_mut(name) else { return Ok(()) };
        if family.shape != shape {
            if !family.series.is_empty() {
                return Err(Refusal::Conflict);
            }
            family.shape = shape;
        }
        family.kind = said.kind;
        for (have, now) in [(&mut family.help, said.help), (&mut family.unit, said.unit)] {
            if **have != *now {
                *have = now.into();
            }
        }
        match family.series.get_mut(labels) {
            Some(have) if have.time > series.time => have.seen = series.seen,
            Some(have) => {
                self.bytes = (self.bytes + new).saturating_sub(cost(have));
                *have = series;
            }
            None if full => return Err(Refusal::Full),
            None => {
                self.bytes += new;
                family.series.insert(labels.clone(), series);
            }
        }
        Ok(())
    }

    /// Takes a series away.
    pub fn remove(&mut self, name: &str, labels: &Labels) {
        if let Some(family) = self.families.get_mut(name)
            && let Some(series) = family.series.remove(labels)
        {
            self.bytes = self.bytes.saturating_sub(FIXED_BYTES + labels.0.len() + series.bytes());
        }
    }

    /// Takes away the series that got no points for too long; where nobody asks, a few times in that time.
    pub fn sweep(&mut self, now_and_then: bool) {
        let now = Instant::now();
        let expiration = self.limits.expiration;
        if now_and_then && now - self.swept < expiration / 4 {
            return;
        }
        self.swept = now;
        let mut bytes = 0;
        self.families.retain(|_, family| {
            family.series.retain(|labels, series| {
                let stays = now - series.seen < expiration;
                bytes += if stays { FIXED_BYTES + labels.0.len() + series.bytes() } else { 0 };
                stays
            });
            !family.series.is_empty()
        });
        self.bytes = bytes;
    }

    /// All families that have series, by name.
    pub fn families(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.families.iter().filter(|(_, family)| !family.series.is_empty()).map(|(name, family)| (&**name, family))
    }
}

impl Family {
    /// Its series, by their labels.
    pub fn series(&self) -> impl Iterator<Item = (&Labels, &Series)> {
        self.series.iter()
    }

    /// Whether its samples are native histograms.
    pub fn is_histogram(&self) -> bool {
        self.series.values().next().is_some_and(|s| matches!(s.value, Value::Histogram { .. } | Value::Native { .. }))
    }
}

/// What a metric says of its family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// Its type.
    pub kind: Type,
    /// For a person.
    pub help: &'a str,
    /// In words.
    pub unit: &'a str,
}
