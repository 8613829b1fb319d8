//! The sum of exponential histograms: at the coarsest scale of any, and no finer than its bounded number of buckets
//! allows.

use pipeline::otlp::fields::exponential_point;
use pipeline::otlp::view::{Buckets, ExponentialPoint};
use pipeline::otlp::write::Writer;

use super::accumulate::Observed;

/// Buckets of each sign, as OpenTelemetry's SDKs have them at most.
const MOST_BUCKETS: i64 = 160;
/// Nothing is finer than this, or coarser than its negative; shifts beyond say nothing more.
const MOST_SCALE: i32 = 60;

/// An exponential histogram.
#[derive(Clone, Debug, Default)]
pub struct Exponential {
    pub(super) observed: Observed,
    /// None before the first.
    scale: Option<i32>,
    zero_count: u64,
    zero_threshold: f64,
    positive: Counts,
    negative: Counts,
}

/// Buckets without empty ones at either end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    offset: i64,
    counts: Vec<u64>,
}

impl Exponential {
    /// Bytes of its buckets.
    pub fn bytes(&self) -> usize {
        size_of::<Exponential>() + (self.positive.counts.capacity() + self.negative.counts.capacity()) * 8
    }

    /// Adds a point.
    pub fn add(&mut self, point: &ExponentialPoint<'_>) {
        let observed = Observed { count: point.count, sum: point.sum, min: point.min, max: point.max };
        self.observed.add(observed);
        self.zero_count = self.zero_count.saturating_add(point.zero_count);
        let mut scale = point.scale.clamp(-MOST_SCALE, MOST_SCALE);
        let (mut positive, mut negative) = (Counts::read(&point.positive), Counts::read(&point.negative));
        let common = self.scale.unwrap_or(scale).min(scale);
        self.coarsen(common);
        for counts in [&mut positive, &mut negative] {
            counts.coarsen(scale - common);
        }
        scale = common;
        // The wider zero bucket swallows the other's nearest buckets.
        let threshold = self.zero_threshold.max(point.zero_threshold);
        if threshold > 0.0 && threshold.is_finite() {
            let mut wider = threshold;
            for counts in [&mut self.positive, &mut self.negative, &mut positive, &mut negative] {
                let (swallowed, reach) = counts.swallow(threshold, scale);
                self.zero_count = self.zero_count.saturating_add(swallowed);
                wider = wider.max(reach);
            }
            self.zero_threshold = wider;
        }
        while self.positive.joined_len(&positive).max(self.negative.joined_len(&negative)) > MOST_BUCKETS {
            scale -= 1;
            for counts in [&mut self.positive, &mut self.negative, &mut positive, &mut negative] {
                counts.coarsen(1);
            }
        }
        self.scale = Some(scale);
        self.positive.add(positive);
        self.negative.add(negative);
    }

    /// Writes scale, zero bucket and buckets into an `ExponentialHistogramDataPoint`.
    pub fn write_buckets(&self, out: &mut Writer) {
        use exponential_point::{
            BUCKETS_COUNTS, BUCKETS_OFFSET, NEGATIVE, POSITIVE, SCALE, ZERO_COUNT, ZERO_THRESHOLD,
        };
        out.sint32(SCALE, self.scale.unwrap_or(0));
        out.fixed64(ZERO_COUNT, self.zero_count);
        if self.zero_threshold > 0.0 {
            out.double(ZERO_THRESHOLD, self.zero_threshold);
        }
        for (field, counts) in [(POSITIVE, &self.positive), (NEGATIVE, &self.negative)] {
            if !counts.counts.is_empty() {
                out.message(field, |out| {
                    out.sint32(BUCKETS_OFFSET, i32::try_from(counts.offset).unwrap_or(i32::MAX));
                    out.packed_varint(BUCKETS_COUNTS, counts.counts.iter().copied());
                });
            }
        }
    }

    fn coarsen(&mut self, scale: i32) {
        if let Some(own) = self.scale {
            self.positive.coarsen(own - scale);
            self.negative.coarsen(own - scale);
        }
    }
}

impl Counts {
    fn read(buckets: &Buckets<'_>) -> Counts {
        let counts = buckets.counts().map_while(Result::ok).collect();
        Counts { offset: i64::from(buckets.offset), counts }.trimmed()
    }

    fn trimmed(mut self) -> Counts {
        let end = self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        self.counts.truncate(end);
        let empty = self.counts.iter().take_while(|count| **count == 0).count();
        self.counts.drain(..empty);
        self.offset = if self.counts.is_empty() { 0 } else { self.offset + length(empty) };
        self
    }

    /// Joins buckets so that each is `2^by` of them.
    fn coarsen(&mut self, by: i32) {
        if by <= 0 || self.counts.is_empty() {
            return;
        }
        let by = by.min(62);
        let offset = self.offset >> by;
        let mut counts: Vec<u64> = Vec::new();
        for (at, count) in (self.offset..).zip(&self.counts) {
            let at = usize::try_from((at >> by) - offset).unwrap_or(0);
            if at >= counts.len() {
                counts.resize(at + 1, 0);
            }
            counts[at] = counts[at].saturating_add(*count);
        }
        *self = Counts { offset, counts };
    }

    /// Takes away the buckets that a zero bucket of that width reaches into; answers what was in them, and how far the
    /// last of them goes.
    fn swallow(&mut self, threshold: f64, scale: i32) -> (u64, f64) {
        #[allow(clippy::cast_precision_loss, reason = "bounds are floats")]
        let lower = |index: i64| (index as f64 * f64::from(-scale).exp2()).exp2();
        let within = (self.offset..).zip(&self.counts).take_while(|(index, _)| lower(*index) < threshold).count();
        if within == 0 {
            return (0, threshold);
        }
        let swallowed = self.counts.drain(..within).fold(0u64, u64::saturating_add);
        let end = self.offset + length(within);
        self.offset = end;
        *self = std::mem::take(self).trimmed();
        (swallowed, lower(end))
    }

    /// Buckets that the sum with another would have.
    fn joined_len(&self, other: &Counts) -> i64 {
        match (self.counts.is_empty(), other.counts.is_empty()) {
            (_, true) => length(self.counts.len()),
            (true, false) => length(other.counts.len()),
            (false, false) => {
                let end = |counts: &Counts| counts.offset + length(counts.counts.len());
                end(self).max(end(other)) - self.offset.min(other.offset)
            }
        }
    }

    fn add(&mut self, other: Counts) {
        if self.counts.is_empty() {
            *self = other;
        } else if !other.counts.is_empty() {
            let offset = self.offset.min(other.offset);
            let len = usize::try_from(self.joined_len(&other)).unwrap_or(0);
            let mut counts = vec![0u64; len];
            for part in [&*self, &other] {
                let from = usize::try_from(part.offset - offset).unwrap_or(0);
                counts[from..].iter_mut().zip(&part.counts).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
            }
            *self = Counts { offset, counts };
        }
    }
}

fn length(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
