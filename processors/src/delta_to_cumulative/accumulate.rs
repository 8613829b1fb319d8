//! The total of one stream: a sum, or a histogram of either kind.

use pipeline::otlp::WireError;
use pipeline::otlp::fields::{exponential_point, histogram_point, number_point};
use pipeline::otlp::view::{
    ExponentialPoint, HistogramPoint, MetricKind, NO_RECORDED_VALUE, Number, NumberPoint, View,
};
use pipeline::otlp::write::Writer;

use super::Lost;
use super::exponential::Exponential;

/// A delta.
#[derive(Clone, Copy, Debug)]
pub enum Point<'a> {
    /// Of a sum.
    Number(NumberPoint<'a>),
    /// Of a histogram with bounds.
    Histogram(HistogramPoint<'a>),
    /// Of an exponential histogram.
    Exponential(ExponentialPoint<'a>),
}

impl<'a> Point<'a> {
    /// Reads a point of a metric of that kind, all of it: what is malformed is found before anything is added.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn view(kind: MetricKind, raw: &'a [u8]) -> Result<Point<'a>, WireError> {
        Ok(match kind {
            MetricKind::Histogram => {
                let point = HistogramPoint::view(raw)?;
                point.bucket_counts().try_for_each(|count| count.map(drop))?;
                point.explicit_bounds().try_for_each(|bound| bound.map(drop))?;
                Point::Histogram(point)
            }
            MetricKind::ExponentialHistogram => {
                let point = ExponentialPoint::view(raw)?;
                let mut counts = point.positive.counts().chain(point.negative.counts());
                counts.try_for_each(|count| count.map(drop))?;
                Point::Exponential(point)
            }
            _ => Point::Number(NumberPoint::view(raw)?),
        })
    }

    /// Start, end and flags.
    fn span(&self) -> (u64, u64, u32) {
        match self {
            Point::Number(p) => (p.start, p.time, p.flags),
            Point::Histogram(p) => (p.start, p.time, p.flags),
            Point::Exponential(p) => (p.start, p.time, p.flags),
        }
    }
}

/// What a stream's deltas come to.
#[derive(Clone, Debug)]
pub struct Total {
    /// Of the first delta, nanoseconds since 1970.
    start: u64,
    /// Start and end of the latest; none before the first.
    latest: Option<(u64, u64)>,
    sum: Sum,
}

#[derive(Clone, Debug)]
enum Sum {
    Number(Number),
    Histogram(Histogram),
    Exponential(Box<Exponential>),
}

#[derive(Clone, Debug, Default)]
struct Histogram {
    observed: Observed,
    counts: Vec<u64>,
    bounds: Vec<f64>,
}

/// What histograms of both kinds know beside their buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    /// Observations.
    pub count: u64,
    /// Their sum, as long as every delta has one; likewise below.
    pub sum: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

impl Observed {
    /// Takes in another's.
    pub fn add(&mut self, other: Observed) {
        if self.count == 0 {
            *self = other;
        } else if other.count > 0 {
            let both = |a: Option<f64>, b: Option<f64>, f: fn(f64, f64) -> f64| Some(f(a?, b?));
            self.count = self.count.saturating_add(other.count);
            self.sum = both(self.sum, other.sum, |a, b| a + b);
            self.min = both(self.min, other.min, f64::min);
            self.max = both(self.max, other.max, f64::max);
        }
    }
}

impl Total {
    /// Bytes of a total beside its buckets, its place in the table included.
    pub const FIXED_BYTES: usize = 192;

    /// Nothing yet, from the start of its first delta on.
    pub fn new(first: &Point<'_>) -> Total {
        let (start, _, _) = first.span();
        let sum = match first {
            Point::Number(_) => Sum::Number(Number::Empty),
            Point::Histogram(_) => Sum::Histogram(Histogram::default()),
            Point::Exponential(_) => Sum::Exponential(Box::default()),
        };
        Total { start, latest: None, sum }
    }

    /// Bytes of its buckets.
    pub fn bytes(&self) -> usize {
        match &self.sum {
            Sum::Number(_) => 0,
            Sum::Histogram(h) => (h.counts.capacity() + h.bounds.capacity()) * 8,
            Sum::Exponential(h) => h.bytes(),
        }
    }

    /// Adds a delta. The latest may come again, as it does when a batch is tried again: then nothing is added.
    pub fn add(&mut self, point: &Point<'_>) -> Result<(), Lost> {
        let (start, time, flags) = point.span();
        match self.latest {
            Some(latest) if latest == (start, time) => return Ok(()),
            Some((_, latest)) if time <= latest => return Err(Lost::OutOfOrder),
            Some(_) if start < self.start => return Err(Lost::OlderStart),
            _ => self.latest = Some((start, time)),
        }
        if flags & NO_RECORDED_VALUE != 0 {
            return Ok(());
        }
        let fits = match (&mut self.sum, point) {
            (Sum::Number(sum), Point::Number(point)) => {
                *sum = add_numbers(*sum, point.value);
                true
            }
            (Sum::Histogram(sum), Point::Histogram(point)) => sum.add(point),
            (Sum::Exponential(sum), Point::Exponential(point)) => {
                sum.add(point);
                true
            }
            // The kind is part of a stream's key.
            _ => true,
        };
        if !fits {
            self.start = start;
        }
        Ok(())
    }

    /// Writes the point with the total in the place of its delta.
    ///
    /// # Errors
    /// When the point is malformed.
    pub fn write(&self, out: &mut Writer, point: &Point<'_>) -> Result<(), WireError> {
        let stale = point.span().2 & NO_RECORDED_VALUE != 0;
        match (&self.sum, point) {
            (_, Point::Number(p)) if stale => out.raw(p.raw),
            (_, Point::Histogram(p)) if stale => out.raw(p.raw),
            (_, Point::Exponential(p)) if stale => out.raw(p.raw),
            (Sum::Number(sum), Point::Number(point)) => {
                use number_point::{AS_DOUBLE, AS_INT, START};
                out.fixed64(START, self.start);
                match *sum {
                    Number::Empty => {}
                    Number::Int(value) => out.fixed64(AS_INT, value.cast_unsigned()),
                    Number::Double(value) => out.double(AS_DOUBLE, value),
                }
                out.fields_except(point.raw, |n| matches!(n, START | AS_DOUBLE | AS_INT))?;
            }
            (Sum::Histogram(sum), Point::Histogram(point)) => {
                use histogram_point::{BUCKET_COUNTS, COUNT, MAX, MIN, START, SUM};
                out.fixed64(START, self.start);
                write_observed(out, &sum.observed, [COUNT, SUM, MIN, MAX]);
                out.packed_fixed64(BUCKET_COUNTS, sum.counts.iter().copied());
                out.fields_except(point.raw, |n| matches!(n, START | COUNT | SUM | MIN | MAX | BUCKET_COUNTS))?;
            }
            (Sum::Exponential(sum), Point::Exponential(point)) => {
                use exponential_point::{
                    COUNT, MAX, MIN, NEGATIVE, POSITIVE, SCALE, START, SUM, ZERO_COUNT, ZERO_THRESHOLD,
                };
                out.fixed64(START, self.start);
                write_observed(out, &sum.observed, [COUNT, SUM, MIN, MAX]);
                sum.write_buckets(out);
                let replaced = [START, COUNT, SUM, MIN, MAX, SCALE, ZERO_COUNT, ZERO_THRESHOLD, POSITIVE, NEGATIVE];
                out.fields_except(point.raw, |n| replaced.contains(&n))?;
            }
            // The kind is part of a stream's key.
            (_, Point::Number(NumberPoint { raw, .. }) | Point::Histogram(HistogramPoint { raw, .. })) => out.raw(raw),
            (_, Point::Exponential(point)) => out.raw(point.raw),
        }
        Ok(())
    }
}

impl Histogram {
    /// Adds a delta; where its bounds are others, the total begins anew with it, and the answer is false.
    fn add(&mut self, point: &HistogramPoint<'_>) -> bool {
        let observed = Observed { count: point.count, sum: point.sum, min: point.min, max: point.max };
        let counts = || point.bucket_counts().map_while(Result::ok);
        let bounds = || point.explicit_bounds().map_while(Result::ok);
        let is_new = self.observed.count == 0 && self.counts.is_empty();
        let same = !is_new && bounds().eq(self.bounds.iter().copied()) && counts().count() == self.counts.len();
        if same {
            self.observed.add(observed);
            self.counts.iter_mut().zip(counts()).for_each(|(sum, count)| *sum = sum.saturating_add(count));
        } else {
            *self = Histogram { observed, counts: counts().collect(), bounds: bounds().collect() };
        }
        same || is_new
    }
}

#[allow(clippy::cast_precision_loss, reason = "a sum of both kinds is a float")]
fn add_numbers(sum: Number, delta: Number) -> Number {
    match (sum, delta) {
        (sum, Number::Empty) => sum,
        (Number::Empty, delta) => delta,
        (Number::Int(a), Number::Int(b)) => a.checked_add(b).map_or(Number::Double(a as f64 + b as f64), Number::Int),
        (a, b) => Number::Double(a.as_f64() + b.as_f64()),
    }
}

fn write_observed(out: &mut Writer, observed: &Observed, [count, sum, min, max]: [u32; 4]) {
    out.fixed64(count, observed.count);
    for (field, value) in [(sum, observed.sum), (min, observed.min), (max, observed.max)] {
        if let Some(value) = value {
            out.double(field, value);
        }
    }
}
