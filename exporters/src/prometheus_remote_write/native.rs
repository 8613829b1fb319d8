//! Histograms as Prometheus' native ones (`prompb.Histogram`): exponential ones, and ones with custom buckets
//! (OpenTelemetry compatibility specification, remote write 2.0).

use pipeline::otlp::WireError;
use pipeline::otlp::view::{ExponentialPoint, HistogramPoint, NO_RECORDED_VALUE};
use pipeline::otlp::write::Writer;

use super::points::STALE;
use crate::translation::native::{Resolution, merged, write_buckets};

/// Fields of `prompb.Histogram`.
mod histogram {
    pub const COUNT_INT: u32 = 1;
    pub const SUM: u32 = 3;
    pub const SCHEMA: u32 = 4;
    pub const ZERO_THRESHOLD: u32 = 5;
    pub const ZERO_COUNT_INT: u32 = 6;
    pub const NEGATIVE_SPANS: u32 = 8;
    pub const NEGATIVE_DELTAS: u32 = 9;
    pub const POSITIVE_SPANS: u32 = 11;
    pub const POSITIVE_DELTAS: u32 = 12;
    pub const RESET_HINT: u32 = 14;
    pub const TIMESTAMP: u32 = 15;
    pub const CUSTOM_VALUES: u32 = 16;
    pub const START_TIMESTAMP: u32 = 17;
    /// `ResetHint`: buckets that go down mean nothing.
    pub const GAUGE: u64 = 3;
}

/// The schema of custom buckets.
const CUSTOM: i32 = -53;

/// What is said of a native histogram beside its buckets.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Milliseconds since 1970.
    pub time: i64,
    /// The same of its start, 0 where it is not known or the message has no place for it.
    pub start: i64,
    /// Whether its buckets go up and down.
    pub is_gauge: bool,
    /// Whether it was scraped as it is.
    pub scraped: bool,
}

/// Writes the inside of a `prompb.Histogram`. A resolution finer than Prometheus' is made coarser.
///
/// # Errors
/// When the buckets are malformed.
pub fn write(out: &mut Writer, point: &ExponentialPoint<'_>, when: When) -> Result<(), WireError> {
    let Resolution { schema, coarser, zero_threshold } = Resolution::of(point, when.scraped);
    if point.flags & NO_RECORDED_VALUE != 0 {
        write_stale(out, schema);
    } else {
        out.varint(histogram::COUNT_INT, point.count);
        out.double(histogram::SUM, point.sum.unwrap_or(0.0));
        out.sint32(histogram::SCHEMA, schema);
        out.double(histogram::ZERO_THRESHOLD, zero_threshold);
        out.varint(histogram::ZERO_COUNT_INT, point.zero_count);
        let negative = merged(&point.negative, coarser);
        write_buckets(out, negative, (histogram::NEGATIVE_SPANS, histogram::NEGATIVE_DELTAS))?;
        let positive = merged(&point.positive, coarser);
        write_buckets(out, positive, (histogram::POSITIVE_SPANS, histogram::POSITIVE_DELTAS))?;
    }
    write_when(out, when);
    Ok(())
}

/// The same for a histogram with bounds of its own.
///
/// # Errors
/// When the buckets are malformed.
pub fn write_custom(out: &mut Writer, point: &HistogramPoint<'_>, when: When) -> Result<(), WireError> {
    if point.flags & NO_RECORDED_VALUE != 0 {
        write_stale(out, CUSTOM);
    } else {
        let bounds: Vec<f64> = point.explicit_bounds().collect::<Result<_, _>>()?;
        let finite = bounds.strip_suffix(&[f64::INFINITY]).unwrap_or(&bounds);
        let mut counts: Vec<u64> = point.bucket_counts().collect::<Result<_, _>>()?;
        if counts.is_empty() {
            counts = vec![point.count];
        }
        out.varint(histogram::COUNT_INT, point.count);
        out.double(histogram::SUM, point.sum.unwrap_or(0.0));
        out.sint32(histogram::SCHEMA, CUSTOM);
        let buckets = (0i64..).zip(counts).filter(|(_, count)| *count > 0).map(Ok);
        write_buckets(out, buckets, (histogram::POSITIVE_SPANS, histogram::POSITIVE_DELTAS))?;
        out.packed_fixed64(histogram::CUSTOM_VALUES, finite.iter().map(|bound| bound.to_bits()));
    }
    write_when(out, when);
    Ok(())
}

fn write_stale(out: &mut Writer, schema: i32) {
    out.varint(histogram::COUNT_INT, 0);
    out.fixed64(histogram::SUM, STALE);
    out.sint32(histogram::SCHEMA, schema);
}

fn write_when(out: &mut Writer, when: When) {
    if when.is_gauge {
        out.varint(histogram::RESET_HINT, histogram::GAUGE);
    }
    out.int64(histogram::TIMESTAMP, when.time);
    if when.start != 0 {
        out.int64(histogram::START_TIMESTAMP, when.start);
    }
}
