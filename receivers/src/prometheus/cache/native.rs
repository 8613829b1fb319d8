//! Native histograms: from Prometheus' runs of buckets to the two rows of buckets of an OTLP exponential histogram, with
//! the checks that Prometheus makes before it stores one.

use pipeline::otlp::fields::exponential_point;
use pipeline::otlp::write::Writer;

use super::Histograms;
use crate::prometheus::exposition::protobuf::{Histogram, Side};

/// The finest resolution that Prometheus keeps; finer ones are made coarser.
pub(super) const FINEST: i32 = 8;
/// The coarsest resolution that there is.
const COARSEST: i32 = -4;
/// The finest resolution that may be exposed.
const MOST_EXPOSED: i32 = 52;
/// The powers of two between the smallest and the largest double, and some.
const OCTAVES: i64 = 1100;
/// The most buckets in a row, empty ones included: a histogram that needs more is made coarser.
const MOST_IN_A_ROW: i64 = 1 << 16;

/// The buckets of one side, ascending: OTLP's index (one less than Prometheus') and the count.
type Buckets = Vec<(i64, u64)>;

/// Writes count, sum, scale and buckets of a native histogram, the fields of an OTLP point.
///
/// # Errors
/// Why Prometheus would not store it.
pub(super) fn write(of: &Histogram<'_>, rules: &Histograms, w: &mut Writer) -> Result<(), String> {
    if !(COARSEST..=MOST_EXPOSED).contains(&of.schema) {
        return Err(format!("its schema is {}, the schemas are {COARSEST} to {FINEST}", of.schema));
    }
    let mut sides = [buckets(of, Side::Negative)?, buckets(of, Side::Positive)?];
    let zero_count = if of.is_float() { rounded(of.zero_count_float)? } else { of.zero_count };
    let mut schema = of.schema;
    let mut coarsen = |sides: &mut [Buckets; 2], to: i32| {
        let shift = (schema - to).unsigned_abs();
        sides.iter_mut().for_each(|side| merge(side, shift));
        schema = to;
    };
    let finest = rules.finest_schema.min(FINEST);
    if of.schema > finest {
        coarsen(&mut sides, finest);
    }
    for to in (COARSEST..of.schema.min(finest)).rev() {
        let count = sides.iter().map(Vec::len).sum::<usize>();
        let is_long = sides.iter().any(|side| length(side) > MOST_IN_A_ROW);
        if (rules.bucket_limit == 0 || count <= rules.bucket_limit) && !is_long {
            break;
        }
        coarsen(&mut sides, to);
    }
    let count = sides.iter().map(Vec::len).sum::<usize>();
    if rules.bucket_limit > 0 && count > rules.bucket_limit {
        return Err(format!(
            "it has {count} buckets at the coarsest resolution, native_histogram_bucket_limit is {}",
            rules.bucket_limit
        ));
    }
    let observed = sides.iter().flatten().map(|(_, count)| *count).fold(zero_count, u64::saturating_add);
    let count = if of.is_float() { observed } else { of.count };
    // An observation that is not a number is counted and in no bucket.
    if if of.sum.is_nan() { observed > count } else { observed != count } {
        return Err(format!("its count is {count}, and its buckets hold {observed}"));
    }
    w.fixed64(exponential_point::COUNT, count);
    w.double(exponential_point::SUM, of.sum);
    w.sint32(exponential_point::SCALE, schema);
    w.fixed64(exponential_point::ZERO_COUNT, zero_count);
    write_side(&sides[1], exponential_point::POSITIVE, w);
    write_side(&sides[0], exponential_point::NEGATIVE, w);
    if of.zero_threshold != 0.0 {
        w.double(exponential_point::ZERO_THRESHOLD, of.zero_threshold);
    }
    Ok(())
}

/// The buckets of one side as the body has them.
fn buckets(of: &Histogram<'_>, side: Side) -> Result<Buckets, String> {
    let mut counts = counts(of, side)?.into_iter();
    let furthest = if of.schema >= 0 { OCTAVES << of.schema } else { OCTAVES >> -of.schema };
    let mut out = Vec::with_capacity(counts.len());
    let mut index = 0i64;
    for (number, span) in of.spans(side).enumerate() {
        let (offset, length) = span.map_err(|error| error.to_string())?;
        if number > 0 && offset < 0 {
            return Err(format!("its span {} goes back by {}", number + 1, offset.unsigned_abs()));
        }
        index += i64::from(offset);
        for _ in 0..length {
            let Some(count) = counts.next() else {
                return Err("its spans have more buckets than there are".to_owned());
            };
            if index.abs() > furthest {
                return Err(format!("its bucket {index} is beyond the range of a double"));
            }
            out.push((index - 1, count));
            index += 1;
        }
    }
    if counts.len() > 0 {
        return Err(format!("it has {} buckets more than its spans", counts.len()));
    }
    Ok(out)
}

/// What the buckets of one side hold, in their order.
fn counts(of: &Histogram<'_>, side: Side) -> Result<Vec<u64>, String> {
    if of.is_float() {
        return of.counts(side).map(|count| rounded(count.map_err(|error| error.to_string())?)).collect();
    }
    let mut count = 0i64;
    let sum = |delta: Result<i64, _>| {
        let delta = delta.map_err(|error: pipeline::otlp::WireError| error.to_string())?;
        count = count.checked_add(delta).ok_or("the count of a bucket is beyond 64 bits")?;
        u64::try_from(count).map_err(|_| format!("a bucket holds {count}"))
    };
    of.deltas(side).map(sum).collect()
}

/// A count that OTLP can say: it knows only whole ones.
fn rounded(count: f64) -> Result<u64, String> {
    if count < 0.0 {
        return Err(format!("a bucket holds {count}"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
    Ok(count.round() as u64)
}

/// Merges buckets until their resolution is `shift` steps coarser.
fn merge(buckets: &mut Buckets, shift: u32) {
    buckets.iter_mut().for_each(|(index, _)| *index >>= shift);
    buckets.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        same
    });
}

/// From the first to the last bucket.
fn length(buckets: &Buckets) -> i64 {
    buckets.last().map_or(0, |last| last.0 + 1) - buckets.first().map_or(0, |first| first.0)
}

fn write_side(buckets: &Buckets, field: u32, w: &mut Writer) {
    let holds = |bucket: &&(i64, u64)| bucket.1 > 0;
    let (Some(&(first, _)), Some(&(last, _))) = (buckets.iter().find(holds), buckets.iter().rfind(holds)) else {
        return;
    };
    let mut next = buckets.iter().filter(holds).peekable();
    let row = (first..=last).map(|index| next.next_if(|bucket| bucket.0 == index).map_or(0, |bucket| bucket.1));
    w.message(field, |w| {
        w.sint32(exponential_point::BUCKETS_OFFSET, i32::try_from(first).unwrap_or(0));
        w.packed_varint(exponential_point::BUCKETS_COUNTS, row);
    });
}
