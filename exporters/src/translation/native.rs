//! Exponential histograms in Prometheus' resolution, and the buckets of its native histograms (OpenTelemetry compatibility
//! specification). Remote write and the exposition format write them alike.

use pipeline::otlp::WireError;
use pipeline::otlp::view::{Buckets, ExponentialPoint};
use pipeline::otlp::write::Writer;

/// Fields of `BucketSpan`.
const SPAN_OFFSET: u32 = 1;
const SPAN_LENGTH: u32 = 2;

/// The finest and the coarsest resolution that Prometheus has.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;
/// The width of the zero bucket where a point names none.
const ZERO_THRESHOLD: f64 = 1e-128;
/// So many empty buckets are written out rather than starting a new span.
const MOST_GAP: i64 = 2;

/// Whether Prometheus has a resolution coarse enough for the point.
pub fn has_form(point: &ExponentialPoint<'_>) -> bool {
    point.scale >= *SCHEMAS.start()
}

/// The resolution of a point.
#[derive(Clone, Copy, Debug)]
pub struct Resolution {
    /// As Prometheus calls it.
    pub schema: i32,
    /// By how much that is coarser than the point's.
    pub coarser: u32,
    /// The width of its zero bucket.
    pub zero_threshold: f64,
}

impl Resolution {
    /// That of a point, or the finest where it is finer. What was scraped says how wide its zero bucket is.
    pub fn of(point: &ExponentialPoint<'_>, scraped: bool) -> Resolution {
        let schema = point.scale.min(*SCHEMAS.end());
        let coarser = (point.scale - schema).unsigned_abs().min(63);
        let zero_threshold = if point.zero_threshold > 0.0 || scraped { point.zero_threshold } else { ZERO_THRESHOLD };
        Resolution { schema, coarser, zero_threshold }
    }
}

/// Writes spans of buckets, and each bucket's count less that of the one before, to these two fields.
///
/// # Errors
/// Those of the buckets.
pub fn write_buckets(
    out: &mut Writer,
    buckets: impl Iterator<Item = Result<(i64, u64), WireError>>,
    fields: (u32, u32),
) -> Result<(), WireError> {
    let mut deltas = Vec::new();
    let mut spans: Vec<(i64, u64)> = Vec::new();
    let mut before = 0;
    let mut end = 0;
    for bucket in buckets {
        let (index, count) = bucket?;
        let gap = index - end;
        match spans.last_mut() {
            Some((_, length)) if gap <= MOST_GAP => {
                for _ in 0..gap {
                    deltas.push(-std::mem::take(&mut before));
                }
                *length += gap.unsigned_abs() + 1;
            }
            _ => spans.push((gap, 1)),
        }
        deltas.push(count.cast_signed().wrapping_sub(before));
        before = count.cast_signed();
        end = index + 1;
    }
    for (offset, length) in spans {
        out.message(fields.0, |out| {
            out.sint32(SPAN_OFFSET, i32::try_from(offset).unwrap_or(i32::MAX));
            out.varint(SPAN_LENGTH, length);
        });
    }
    out.packed_varint(fields.1, deltas.into_iter().map(zigzag));
    Ok(())
}

/// The buckets that hold anything, merged to the coarser resolution, by Prometheus' index: its bucket `i` ends where
/// OpenTelemetry's begins.
pub fn merged<'a>(buckets: &Buckets<'a>, coarser: u32) -> impl Iterator<Item = Result<(i64, u64), WireError>> + 'a {
    let offset = i64::from(buckets.offset);
    let mut counts = (0i64..).zip(buckets.counts());
    let mut next: Option<(i64, u64)> = None;
    std::iter::from_fn(move || {
        loop {
            let Some((at, count)) = counts.next() else { return next.take().map(Ok) };
            let count = match count {
                Ok(0) => continue,
                Ok(count) => count,
                Err(error) => return Some(Err(error)),
            };
            let index = ((offset + at) >> coarser) + 1;
            match &mut next {
                Some((same, sum)) if *same == index => *sum = sum.saturating_add(count),
                _ => {
                    if let Some(done) = next.replace((index, count)) {
                        return Some(Ok(done));
                    }
                }
            }
        }
    })
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}
