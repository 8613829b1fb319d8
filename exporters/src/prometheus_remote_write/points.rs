//! The points of a metric as series: their samples, staleness markers and exemplars.

use pipeline::otlp::WireError;
use pipeline::otlp::bound;
use pipeline::otlp::view::{
    ExponentialPoint, HistogramPoint, KeyValues, NO_RECORDED_VALUE, Number, NumberPoint, SummaryPoint,
};
use pipeline::otlp::write::Writer;

use super::convert::Converter;
use super::exemplars::write_exemplar;
use super::names::Namer;
use super::native;

/// Prometheus' staleness marker, as bits.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;
/// A sample that is not a number, as bits: any other NaN might be taken for the staleness marker.
const NAN: u64 = 0x7ff8_0000_0000_0001;

/// Fields of `prompb.TimeSeries`, and of `prompb.Sample`.
mod fields {
    pub const SAMPLES: u32 = 2;
    pub const HISTOGRAMS: u32 = 4;
    pub const VALUE: u32 = 1;
    pub const TIMESTAMP: u32 = 2;
}

/// The most bytes that the series of a batch take.
const MOST_BYTES: usize = 256 << 20;
/// Bytes of a series beside its labels, roughly.
const SERIES_OVERHEAD: usize = 64;

impl<'a> Converter<'a> {
    pub(super) fn number(&mut self, point: &NumberPoint<'a>, is_sum: bool) -> Result<(), WireError> {
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        if point.value == Number::Empty && !stale {
            self.out.dropped.add("no_value", "the point has neither a value nor the flag for none", 1);
            return Ok(());
        }
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "")?;
        if !self.has_room(1) {
            return Ok(());
        }
        let bits = sample_bits(point.value.as_f64(), stale);
        self.exemplars.clear();
        if is_sum {
            self.exemplars.read(point.exemplars())?;
        }
        let exemplars = std::mem::take(&mut self.exemplars);
        let namer = self.label_namer();
        let mut written = Ok(());
        self.series(time, 1, "", None, |out| {
            write_sample(out, time, bits);
            written = exemplars.all().try_for_each(|e| write_exemplar(out, e, time, namer));
        });
        self.exemplars = exemplars;
        written
    }

    pub(super) fn histogram(&mut self, point: &HistogramPoint<'a>) -> Result<(), WireError> {
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "le")?;
        if !self.has_room(point.explicit_bounds().count() + 3) {
            return Ok(());
        }
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        self.exemplars.clear();
        self.exemplars.read(point.exemplars())?;
        let exemplars = std::mem::take(&mut self.exemplars);
        let namer = self.label_namer();
        let mut items = 1;
        let mut below = f64::NEG_INFINITY;
        let mut count = 0u64;
        let mut bucket = |this: &mut Self, bound: f64, count: u64| {
            this.write_bound(bound);
            let label = std::mem::take(&mut this.bound);
            let mut written = Ok(());
            this.series(time, std::mem::take(&mut items), "_bucket", Some(("le", &label)), |out| {
                write_sample(out, time, sample_bits(as_float(count), stale));
                let mut within = exemplars.within(below, bound);
                written = within.try_for_each(|e| write_exemplar(out, e, time, namer));
            });
            this.bound = label;
            below = bound;
            written
        };
        for (bound, in_bucket) in point.explicit_bounds().zip(point.bucket_counts()) {
            count = count.saturating_add(in_bucket?);
            let bound = bound?;
            if bound != f64::INFINITY {
                bucket(self, bound, count)?;
            }
        }
        bucket(self, f64::INFINITY, point.count)?;
        self.exemplars = exemplars;
        if let Some(sum) = point.sum {
            let bits = sample_bits(sum, stale);
            self.series(time, 0, "_sum", None, |out| write_sample(out, time, bits));
        }
        let bits = sample_bits(as_float(point.count), stale);
        self.series(time, 0, "_count", None, |out| write_sample(out, time, bits));
        Ok(())
    }

    pub(super) fn exponential(&mut self, point: &ExponentialPoint<'a>) -> Result<(), WireError> {
        if !native::has_form(point) {
            let message = "the exponential histogram's scale is below -4, coarser than Prometheus has";
            self.out.dropped.add("exponential_scale", message, 1);
            return Ok(());
        }
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "")?;
        if !self.has_room(1) {
            return Ok(());
        }
        self.exemplars.clear();
        self.exemplars.read(point.exemplars())?;
        let exemplars = std::mem::take(&mut self.exemplars);
        let namer = self.label_namer();
        let mut written = Ok(());
        self.series(time, 1, "", None, |out| {
            written = out.message(fields::HISTOGRAMS, |out| native::write(out, point, time));
            if written.is_ok() {
                written = exemplars.all().try_for_each(|e| write_exemplar(out, e, time, namer));
            }
        });
        self.exemplars = exemplars;
        written
    }

    pub(super) fn summary(&mut self, point: &SummaryPoint<'a>) -> Result<(), WireError> {
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "quantile")?;
        if !self.has_room(point.quantiles().count() + 2) {
            return Ok(());
        }
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        for quantile in point.quantiles() {
            let quantile = quantile?;
            self.write_bound(quantile.quantile);
            let label = std::mem::take(&mut self.bound);
            let bits = sample_bits(quantile.value, stale);
            self.series(time, 0, "", Some(("quantile", &label)), |out| write_sample(out, time, bits));
            self.bound = label;
        }
        let sum = sample_bits(point.sum, stale);
        self.series(time, 0, "_sum", None, |out| write_sample(out, time, sum));
        let count = sample_bits(as_float(point.count), stale);
        self.series(time, 1, "_count", None, |out| write_sample(out, time, count));
        Ok(())
    }

    /// Whether so many series of the point fit in; if not, the point is dropped. Labels are encoded for each bucket, so a
    /// small request can ask for a very large answer.
    fn has_room(&mut self, series: usize) -> bool {
        let each = self.labels.encoded().len() + self.name.len() + SERIES_OVERHEAD;
        let fits = self.out.series.byte_len().saturating_add(each.saturating_mul(series)) <= MOST_BYTES;
        if !fits {
            let message = "the series of one batch would take more than 256 MiB, send fewer points or buckets at once";
            self.out.dropped.add("expansion_limit", message, 1);
        }
        fits
    }

    fn point_labels(&mut self, attributes: KeyValues<'a>, extra: &'static str) -> Result<(), WireError> {
        let namer = self.label_namer();
        self.labels.next_point();
        self.labels.add_attributes(attributes, namer)?;
        self.labels.encode(extra);
        Ok(())
    }

    /// What makes the labels of a point legal; nothing where they were scraped.
    fn label_namer(&self) -> Option<&'a Namer> {
        (!self.scraped).then_some(&self.conversion.namer)
    }

    /// The point's time in milliseconds since 1970, unless it has none.
    fn time(&mut self, nanoseconds: u64) -> Option<i64> {
        if nanoseconds == 0 {
            self.out.dropped.add("zero_timestamp", "the point has no timestamp, remote write needs one", 1);
            return None;
        }
        if !self.scraped {
            self.latest = self.latest.max(nanoseconds);
        }
        Some(milliseconds(nanoseconds))
    }

    fn write_bound(&mut self, bound: f64) {
        self.bound.clear();
        if self.scraped {
            bound::write_canonical(&mut self.bound, bound);
        } else {
            bound::write_plain(&mut self.bound, bound);
        }
    }

    /// One series of the current point.
    pub(super) fn series(
        &mut self,
        time: i64,
        items: usize,
        suffix: &str,
        extra: Option<(&str, &str)>,
        sample: impl FnOnce(&mut Writer),
    ) {
        let Converter { name, labels, out, conversion, .. } = self;
        let plain = name.len();
        name.push_str(suffix);
        out.series.push(conversion.lanes, time, items, |w| labels.encoded().write(w, name, extra), sample);
        name.truncate(plain);
    }
}

pub(super) fn write_sample(out: &mut Writer, time: i64, bits: u64) {
    out.message(fields::SAMPLES, |out| {
        out.fixed64(fields::VALUE, bits);
        out.int64(fields::TIMESTAMP, time);
    });
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
