//! The points of a metric as series: their samples, staleness markers and exemplars.

use pipeline::otlp::WireError;
use pipeline::otlp::fields::{exponential_point, histogram_point, number_point, summary_point};
use pipeline::otlp::view::{
    Exemplar, ExponentialPoint, HistogramPoint, KeyValues, NO_RECORDED_VALUE, Number, NumberPoint, SummaryPoint,
};

use super::body::Body;
use super::convert::{Converter, CustomBuckets};
use super::encoded::Form;
use super::native::{self, When};
use super::own::Suffix;
use super::sets::From;
use super::timeseries::Message;
use crate::translation::names::Namer;
use crate::translation::native::has_form;
use crate::translation::{Around, Type, exemplars};

/// Prometheus' staleness marker, as bits.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;
/// A sample that is not a number, as bits: any other NaN might be taken for the staleness marker.
const NAN: u64 = 0x7ff8_0000_0000_0001;

/// The most bytes that the series of a batch take.
const MOST_BYTES: usize = 256 << 20;
/// Bytes of a series beside its labels, roughly.
const SERIES_OVERHEAD: usize = 64;
/// Bytes of a point that make another series, at least: a bucket's count. A quantile takes more.
const BYTES_OF_A_STEP: usize = 8;

impl<'a> Converter<'a> {
    pub(super) fn number(
        &mut self,
        around: &mut Around<'a>,
        point: &NumberPoint<'a>,
        is_sum: bool,
    ) -> Result<(), WireError> {
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        if point.value == Number::Empty && !stale {
            self.out.dropped.add("no_value", "the point has neither a value nor the flag for none", 1);
            return Ok(());
        }
        let Some(time) = self.time(around, point.time) else { return Ok(()) };
        if !self.begin_point(around, (point.raw, number_point::ATTRIBUTES), "", || 1)? {
            return Ok(());
        }
        let counts = self.kind == Type::Counter;
        let start = if counts { self.start(point.start, point.time, stale) } else { 0 };
        let bits = sample_bits(point.value.as_f64(), stale);
        self.exemplars.clear();
        if is_sum && point.has_exemplars {
            self.exemplars.read(point.exemplars())?;
        }
        if self.exemplars.is_empty() {
            self.number_series(around, (time, start), Suffix::None, None, bits);
        } else {
            let taken = std::mem::take(&mut self.exemplars);
            let namer = around.label_namer();
            self.series(around, time, Suffix::None, None, |out| {
                out.sample(time, start, bits);
                taken.all().try_for_each(|e| write_exemplar(out, e, time, namer))
            })?;
            self.exemplars = taken;
        }
        self.end_point();
        Ok(())
    }

    pub(super) fn histogram(&mut self, around: &mut Around<'a>, point: &HistogramPoint<'a>) -> Result<(), WireError> {
        let Some(time) = self.time(around, point.time) else { return Ok(()) };
        if !self.begin_point(around, (point.raw, histogram_point::ATTRIBUTES), "le", || {
            point.explicit_bounds().count() + 3
        })? {
            return Ok(());
        }
        self.exemplars.clear();
        if point.has_exemplars {
            self.exemplars.read(point.exemplars())?;
        }
        let taken = std::mem::take(&mut self.exemplars);
        let namer = around.label_namer();
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        let start = self.start(point.start, point.time, stale);
        let custom = self.custom != CustomBuckets::Never && self.message == Message::V2;
        self.out.is_reduced |= self.custom == CustomBuckets::Only && !custom;
        if custom {
            let when = When { time, start, is_gauge: self.kind == Type::GaugeHistogram, scraped: around.scraped };
            self.series(around, time, Suffix::None, None, |out| {
                out.histogram(|out| native::write_custom(out, point, when))?;
                taken.all().try_for_each(|e| write_exemplar(out, e, time, namer))
            })?;
        }
        if !custom || self.custom == CustomBuckets::AndClassic {
            let mut below = f64::NEG_INFINITY;
            let mut count = 0u64;
            let mut step = 0;
            let mut bucket = |this: &mut Self, bound: f64, count: u64| {
                this.steps.set(step, ("le", around.scraped), bound, (this.form, this.out.series.texts()));
                let bits = sample_bits(as_float(count), stale);
                if taken.is_empty() {
                    this.number_series(around, (time, start), Suffix::Bucket, Some(step), bits);
                } else {
                    this.series(around, time, Suffix::Bucket, Some(step), |out| {
                        out.sample(time, start, bits);
                        taken.within(below, bound).try_for_each(|e| write_exemplar(out, e, time, namer))
                    })?;
                }
                step += 1;
                below = bound;
                Ok(())
            };
            for (bound, in_bucket) in point.explicit_bounds().zip(point.bucket_counts()) {
                count = count.saturating_add(in_bucket?);
                let bound = bound?;
                if bound != f64::INFINITY {
                    bucket(self, bound, count)?;
                }
            }
            bucket(self, f64::INFINITY, point.count)?;
            let sum = point.sum.map(|sum| (Suffix::Sum, sum));
            for (suffix, value) in sum.into_iter().chain([(Suffix::Count, as_float(point.count))]) {
                self.number_series(around, (time, start), suffix, None, sample_bits(value, stale));
            }
        }
        self.exemplars = taken;
        self.end_point();
        Ok(())
    }

    pub(super) fn exponential(
        &mut self,
        around: &mut Around<'a>,
        point: &ExponentialPoint<'a>,
    ) -> Result<(), WireError> {
        if !has_form(point) {
            let message = "the exponential histogram's scale is below -4, coarser than Prometheus has";
            self.out.dropped.add("exponential_scale", message, 1);
            return Ok(());
        }
        let Some(time) = self.time(around, point.time) else { return Ok(()) };
        if !self.begin_point(around, (point.raw, exponential_point::ATTRIBUTES), "", || 1)? {
            return Ok(());
        }
        self.exemplars.clear();
        self.exemplars.read(point.exemplars())?;
        let taken = std::mem::take(&mut self.exemplars);
        let namer = around.label_namer();
        let start = self.start(point.start, point.time, point.flags & NO_RECORDED_VALUE != 0);
        let when = When { time, start, is_gauge: self.kind == Type::GaugeHistogram, scraped: around.scraped };
        self.series(around, time, Suffix::None, None, |out| {
            out.histogram(|out| native::write(out, point, when))?;
            taken.all().try_for_each(|e| write_exemplar(out, e, time, namer))
        })?;
        self.exemplars = taken;
        self.end_point();
        Ok(())
    }

    pub(super) fn summary(&mut self, around: &mut Around<'a>, point: &SummaryPoint<'a>) -> Result<(), WireError> {
        let Some(time) = self.time(around, point.time) else { return Ok(()) };
        if !self
            .begin_point(around, (point.raw, summary_point::ATTRIBUTES), "quantile", || point.quantiles().count() + 2)?
        {
            return Ok(());
        }
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        let start = self.start(point.start, point.time, stale);
        for (step, quantile) in point.quantiles().enumerate() {
            let quantile = quantile?;
            let number = quantile.quantile;
            self.steps.set(step, ("quantile", around.scraped), number, (self.form, self.out.series.texts()));
            let bits = sample_bits(quantile.value, stale);
            self.number_series(around, (time, start), Suffix::None, Some(step), bits);
        }
        for (suffix, value) in [(Suffix::Sum, point.sum), (Suffix::Count, as_float(point.count))] {
            self.number_series(around, (time, start), suffix, None, sample_bits(value, stale));
        }
        self.end_point();
        Ok(())
    }

    /// Gathers the labels of a point, and answers whether so many series of it fit in; if not, the point is dropped.
    /// Labels are encoded for each bucket, so a small request can ask for a very large answer.
    fn begin_point(
        &mut self,
        around: &mut Around<'a>,
        (point, attributes): (&'a [u8], u32),
        extra: &'static str,
        series: impl Fn() -> usize,
    ) -> Result<bool, WireError> {
        let before = self.out.series.texts().pieces.len();
        let label_bytes = self.point_labels(around, (point, attributes), extra)?;
        let each = label_bytes + around.name.len() + SERIES_OVERHEAD;
        let has_room = |series| self.out.series.byte_len().saturating_add(each.saturating_mul(series)) <= MOST_BYTES;
        // Not even as many as the point has bytes for need be counted, mostly.
        let fits = has_room(point.len() / BYTES_OF_A_STEP + 3) || has_room(series());
        if !fits {
            self.sets.forget();
            self.out.series.texts().pieces.truncate(before);
            let message = "the series of one batch would take more than 256 MiB, send fewer points or buckets at once";
            self.out.dropped.add("expansion_limit", message, 1);
        }
        self.owed = usize::from(fits);
        Ok(fits)
    }

    /// Gathers the labels of a point; answers how many bytes they are, roughly.
    fn point_labels(
        &mut self,
        around: &mut Around<'a>,
        (point, number): (&'a [u8], u32),
        extra: &'static str,
    ) -> Result<usize, WireError> {
        let attributes = KeyValues::new(point, number);
        let (namer, hash, series) = (around.label_namer(), self.out.series.hash(), &mut self.out.series);
        let begins = self.shared_of != around.scope_number();
        self.shared_of = around.scope_number();
        match self.form {
            Form::Message(Message::V1) => {
                let pieces = &mut series.texts().pieces;
                if begins {
                    self.shared_sets.clear();
                    around.shared_labels(|name, value| self.shared_sets.add(hash, name, value));
                }
                let from = From { point, number, scope: self.shared_of, extra, namer };
                if !self.sets.straight(pieces, hash, from, &self.shared_sets) {
                    self.sets.begin(pieces);
                    around.point_labels(attributes, extra, |name, value| {
                        self.sets.add(pieces, hash, (name, value), extra);
                    })?;
                    self.sets.end(pieces);
                }
                self.labels_hash = self.sets.hash();
                Ok(self.sets.len())
            }
            Form::Message(Message::V2) => {
                let symbols = &mut series.texts().symbols;
                if begins {
                    self.shared.clear();
                    around.shared_labels(|name, value| self.shared.add(symbols, name, value));
                }
                self.encoded.clear();
                if !self.encoded.add_point(symbols, (point, number), &self.shared, (extra, namer)) {
                    self.encoded.clear();
                    around.point_labels(attributes, extra, |name, value| {
                        self.encoded.add(symbols, name, value, extra);
                    })?;
                }
                self.labels_hash = self.encoded.hash(hash);
                Ok(self.encoded.len())
            }
            Form::Plain => {
                self.encoded.clear();
                around.point_labels(attributes, extra, |name, value| self.encoded.add_plain(name, value))?;
                Ok(self.encoded.len())
            }
        }
    }

    /// The point's time in milliseconds since 1970, unless it has none.
    fn time(&mut self, around: &mut Around<'a>, nanoseconds: u64) -> Option<i64> {
        if nanoseconds == 0 {
            self.out.dropped.add("zero_timestamp", "the point has no timestamp, remote write needs one", 1);
            return None;
        }
        around.saw(nanoseconds);
        Some(milliseconds(nanoseconds))
    }

    /// When a point began to count, in milliseconds since 1970, for the message that has a place for it.
    fn start(&self, start: u64, time: u64, stale: bool) -> i64 {
        if self.message == Message::V2 && !stale && start <= time { milliseconds(start) } else { 0 }
    }
}

/// Writes an exemplar; one without a time of its own has the sample's.
fn write_exemplar(
    out: &mut Body<'_>,
    exemplar: &Exemplar<'_>,
    sample_time: i64,
    namer: Option<&Namer>,
) -> Result<(), WireError> {
    let labels = exemplars::labels(exemplar, namer)?;
    let own = milliseconds(exemplar.time);
    out.exemplar(&labels, exemplar.value.as_f64(), if own == 0 { sample_time } else { own });
    Ok(())
}

/// The bits of a sample: one marker for stale, one for "not a number".
fn sample_bits(value: f64, stale: bool) -> u64 {
    let bits = value.to_bits();
    if stale || bits == STALE {
        STALE
    } else if value.is_nan() {
        NAN
    } else {
        bits
    }
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
fn as_float(count: u64) -> f64 {
    count as f64
}

pub(super) fn milliseconds(nanoseconds: u64) -> i64 {
    (nanoseconds / 1_000_000).cast_signed()
}
