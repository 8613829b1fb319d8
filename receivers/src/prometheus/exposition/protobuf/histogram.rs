//! Histograms of the protobuf format, classic and native, as the message has them.

use pipeline::otlp::WireError;
use pipeline::otlp::view::Numbers;
use pipeline::otlp::wire::Fields;

use super::{Exemplar, Time, submessages};
use crate::prometheus::exposition::number::normal;

/// Fields of `Histogram`, and of `Bucket` and `BucketSpan`.
mod fields {
    pub const COUNT: u32 = 1;
    pub const SUM: u32 = 2;
    pub const BUCKETS: u32 = 3;
    pub const COUNT_FLOAT: u32 = 4;
    pub const SCHEMA: u32 = 5;
    pub const ZERO_THRESHOLD: u32 = 6;
    pub const ZERO_COUNT: u32 = 7;
    pub const ZERO_COUNT_FLOAT: u32 = 8;
    pub const NEGATIVE: [u32; 3] = [9, 10, 11];
    pub const POSITIVE: [u32; 3] = [12, 13, 14];
    pub const CREATED: u32 = 15;
    pub const EXEMPLARS: u32 = 16;
    pub const CUMULATIVE_COUNT: u32 = 1;
    pub const UPPER_BOUND: u32 = 2;
    pub const EXEMPLAR: u32 = 3;
    pub const CUMULATIVE_COUNT_FLOAT: u32 = 4;
    pub const SPAN_OFFSET: u32 = 1;
    pub const SPAN_LENGTH: u32 = 2;
}

/// A histogram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Histogram<'a> {
    /// How many were observed, if these are whole numbers.
    pub count: u64,
    /// How many were observed, if this is a histogram of floats.
    pub count_float: f64,
    /// Their sum.
    pub sum: f64,
    /// The resolution of the native buckets.
    pub schema: i32,
    /// The width of the bucket around zero.
    pub zero_threshold: f64,
    /// What that bucket holds.
    pub zero_count: u64,
    /// What that bucket holds in a histogram of floats.
    pub zero_count_float: f64,
    /// When it began, in nanoseconds since 1970.
    pub created: Option<u64>,
    has_spans: bool,
    message: &'a [u8],
}

/// A classic bucket.
#[derive(Clone, Debug, Default)]
pub struct Bucket<'a> {
    /// Its upper bound.
    pub bound: f64,
    /// What it and all below it hold.
    pub count: f64,
    /// Its exemplar.
    pub exemplar: Option<Exemplar<'a>>,
}

/// Which native buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Below zero.
    Negative,
    /// Above zero.
    Positive,
}

impl Side {
    const fn fields(self) -> [u32; 3] {
        match self {
            Side::Negative => fields::NEGATIVE,
            Side::Positive => fields::POSITIVE,
        }
    }
}

impl<'a> Histogram<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Histogram<'a>, WireError> {
        let mut out = Histogram { message, ..Histogram::default() };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                fields::COUNT => out.count = field.value.varint()?,
                fields::SUM => out.sum = normal(field.value.double()?),
                fields::COUNT_FLOAT => out.count_float = field.value.double()?,
                fields::SCHEMA => out.schema = field.value.sint32()?,
                fields::ZERO_THRESHOLD => out.zero_threshold = field.value.double()?,
                fields::ZERO_COUNT => out.zero_count = field.value.varint()?,
                fields::ZERO_COUNT_FLOAT => out.zero_count_float = field.value.double()?,
                fields::CREATED => out.created = Time::read(field.value.bytes()?)?.nanos(),
                number if number == fields::NEGATIVE[0] || number == fields::POSITIVE[0] => out.has_spans = true,
                _ => {}
            }
        }
        Ok(out)
    }

    /// Whether it has native buckets, or says by its zero bucket that it will have.
    pub fn is_native(&self) -> bool {
        self.has_spans || self.zero_threshold > 0.0 || self.zero_count > 0
    }

    /// Whether its native counts are floats.
    pub fn is_float(&self) -> bool {
        self.count_float > 0.0 || self.zero_count_float > 0.0
    }

    /// How many were observed, as classic series say it.
    #[allow(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
    pub fn total(&self) -> f64 {
        if self.count_float == 0.0 { self.count as f64 } else { normal(self.count_float) }
    }

    /// The classic buckets, without one of `+Inf` if the body has none.
    pub fn buckets(&self) -> impl Iterator<Item = Result<Bucket<'a>, WireError>> + use<'a> {
        submessages(self.message, fields::BUCKETS).map(|message| bucket(message?))
    }

    /// The native exemplars.
    pub fn exemplars(&self) -> impl Iterator<Item = Result<Exemplar<'a>, WireError>> + use<'a> {
        submessages(self.message, fields::EXEMPLARS).map(|message| Exemplar::read(message?))
    }

    /// Offset and length of each run of native buckets.
    pub fn spans(&self, side: Side) -> impl Iterator<Item = Result<(i32, u32), WireError>> + use<'a> {
        submessages(self.message, side.fields()[0]).map(|message| {
            let (mut offset, mut length) = (0, 0);
            for field in Fields::new(message?) {
                let field = field?;
                match field.number {
                    fields::SPAN_OFFSET => offset = field.value.sint32()?,
                    fields::SPAN_LENGTH => length = field.value.uint32()?,
                    _ => {}
                }
            }
            Ok((offset, length))
        })
    }

    /// Each native bucket's count less that of the one before.
    pub fn deltas(&self, side: Side) -> impl Iterator<Item = Result<i64, WireError>> + use<'a> {
        let zigzag = |v: u64| (v >> 1).cast_signed() ^ -((v & 1).cast_signed());
        Numbers::varint(self.message, side.fields()[1]).map(move |delta| delta.map(zigzag))
    }

    /// Each native bucket's count in a histogram of floats.
    pub fn counts(&self, side: Side) -> impl Iterator<Item = Result<f64, WireError>> + use<'a> {
        Numbers::fixed64(self.message, side.fields()[2]).map(|bits| bits.map(f64::from_bits))
    }
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
fn bucket(message: &[u8]) -> Result<Bucket<'_>, WireError> {
    let (mut out, mut float) = (Bucket::default(), 0.0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            fields::CUMULATIVE_COUNT => out.count = field.value.varint()? as f64,
            fields::UPPER_BOUND => out.bound = field.value.double()?,
            fields::EXEMPLAR => out.exemplar = Some(Exemplar::read(field.value.bytes()?)?),
            fields::CUMULATIVE_COUNT_FLOAT => float = field.value.double()?,
            _ => {}
        }
    }
    if float != 0.0 {
        out.count = normal(float);
    }
    Ok(out)
}
