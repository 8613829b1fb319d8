//! Views of metrics, their five kinds of data points, and exemplars.

use super::super::fields::{exemplar, exponential_point, histogram_point, metric, number_point, summary_point};
use super::super::wire::{Fields, Value, WireError};
use super::common::Numbers;
use super::{KeyValues, Repeated, View, id};

/// The flag of a point that says "no value was recorded": a staleness marker.
pub const NO_RECORDED_VALUE: u32 = 1;

/// What a metric's points are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// No data at all.
    #[default]
    Empty,
    /// Points are [`NumberPoint`]s.
    Gauge,
    /// Points are [`NumberPoint`]s.
    Sum,
    /// Points are [`HistogramPoint`]s.
    Histogram,
    /// Points are [`ExponentialPoint`]s.
    ExponentialHistogram,
    /// Points are [`SummaryPoint`]s.
    Summary,
}

/// `AggregationTemporality`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// Not said.
    #[default]
    Unspecified,
    /// Since the last report.
    Delta,
    /// Since a fixed start.
    Cumulative,
}

/// `Metric`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metric<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Its name.
    pub name: &'a str,
    /// For a person.
    pub description: &'a str,
    /// UCUM.
    pub unit: &'a str,
    /// What its points are.
    pub kind: MetricKind,
    /// The bytes of its `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` or `Summary`.
    pub data: &'a [u8],
    /// For sums and histograms.
    pub temporality: Temporality,
    /// For sums.
    pub is_monotonic: bool,
}

impl<'a> View<'a> for Metric<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Metric { raw, ..Metric::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                metric::NAME => out.name = field.value.text()?,
                metric::DESCRIPTION => out.description = field.value.text()?,
                metric::UNIT => out.unit = field.value.text()?,
                number if metric::is_data(number) => {
                    out.kind = match number {
                        metric::GAUGE => MetricKind::Gauge,
                        metric::SUM => MetricKind::Sum,
                        metric::HISTOGRAM => MetricKind::Histogram,
                        metric::EXPONENTIAL_HISTOGRAM => MetricKind::ExponentialHistogram,
                        _ => MetricKind::Summary,
                    };
                    out.data = field.value.bytes()?;
                }
                _ => {}
            }
        }
        if matches!(out.kind, MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram) {
            for field in Fields::new(out.data) {
                let field = field?;
                match field.number {
                    metric::TEMPORALITY => {
                        out.temporality = match field.value.uint32()? {
                            1 => Temporality::Delta,
                            2 => Temporality::Cumulative,
                            _ => Temporality::Unspecified,
                        }
                    }
                    metric::IS_MONOTONIC if out.kind == MetricKind::Sum => {
                        out.is_monotonic = field.value.varint()? != 0;
                    }
                    _ => {}
                }
            }
        }
        Ok(out)
    }
}

impl<'a> Metric<'a> {
    /// Its points, as the view that its kind says, or `&[u8]`.
    pub fn points<T: View<'a>>(&self) -> Repeated<'a, T> {
        Repeated::new(self.data, metric::POINTS)
    }

    /// Its metadata, such as `prometheus.type`.
    pub fn metadata(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, metric::METADATA)
    }
}

/// The value of a number point or exemplar.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Number {
    /// Not set.
    #[default]
    Empty,
    /// `as_int`.
    Int(i64),
    /// `as_double`.
    Double(f64),
}

impl Number {
    /// The value as a float; 0 when not set.
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Empty => 0.0,
            Number::Int(v) => v as f64,
            Number::Double(v) => v,
        }
    }
}

/// `NumberDataPoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NumberPoint<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Nanoseconds since 1970, 0 when unknown.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Its value.
    pub value: Number,
    /// Whether it has exemplars.
    pub has_exemplars: bool,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> View<'a> for NumberPoint<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = NumberPoint { raw, ..NumberPoint::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                number_point::START => out.start = field.value.fixed64()?,
                number_point::TIME => out.time = field.value.fixed64()?,
                number_point::AS_DOUBLE => out.value = Number::Double(field.value.double()?),
                number_point::AS_INT => out.value = Number::Int(field.value.fixed64()?.cast_signed()),
                number_point::EXEMPLARS => out.has_exemplars = true,
                number_point::FLAGS => out.flags = field.value.uint32()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> NumberPoint<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, number_point::ATTRIBUTES)
    }

    /// Its exemplars.
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.raw, number_point::EXEMPLARS)
    }
}

/// `HistogramDataPoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HistogramPoint<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Nanoseconds since 1970, 0 when unknown.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Observations.
    pub count: u64,
    /// Their sum, where it is known.
    pub sum: Option<f64>,
    /// The smallest, where it is known.
    pub min: Option<f64>,
    /// The largest, where it is known.
    pub max: Option<f64>,
    /// Whether it has exemplars.
    pub has_exemplars: bool,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> View<'a> for HistogramPoint<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = HistogramPoint { raw, ..HistogramPoint::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                histogram_point::START => out.start = field.value.fixed64()?,
                histogram_point::TIME => out.time = field.value.fixed64()?,
                histogram_point::COUNT => out.count = field.value.fixed64()?,
                histogram_point::SUM => out.sum = Some(field.value.double()?),
                histogram_point::MIN => out.min = Some(field.value.double()?),
                histogram_point::MAX => out.max = Some(field.value.double()?),
                histogram_point::EXEMPLARS => out.has_exemplars = true,
                histogram_point::FLAGS => out.flags = field.value.uint32()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> HistogramPoint<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, histogram_point::ATTRIBUTES)
    }

    /// Its exemplars.
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.raw, histogram_point::EXEMPLARS)
    }

    /// Observations of each bucket (not cumulative), packed or not.
    pub fn bucket_counts(&self) -> impl Iterator<Item = Result<u64, WireError>> + 'a {
        Numbers::fixed64(self.raw, histogram_point::BUCKET_COUNTS)
    }

    /// Upper bounds of the buckets but the last, packed or not.
    pub fn explicit_bounds(&self) -> impl Iterator<Item = Result<f64, WireError>> + 'a {
        Numbers::fixed64(self.raw, histogram_point::EXPLICIT_BOUNDS).map(|bits| bits.map(f64::from_bits))
    }
}

/// `ExponentialHistogramDataPoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExponentialPoint<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Nanoseconds since 1970, 0 when unknown.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Observations.
    pub count: u64,
    /// Their sum, where it is known.
    pub sum: Option<f64>,
    /// Bucket borders are powers of 2^(2^-scale).
    pub scale: i32,
    /// Observations within the zero threshold.
    pub zero_count: u64,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Buckets of positive observations.
    pub positive: Buckets<'a>,
    /// Buckets of negative observations.
    pub negative: Buckets<'a>,
    /// The smallest, where it is known.
    pub min: Option<f64>,
    /// The largest, where it is known.
    pub max: Option<f64>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> View<'a> for ExponentialPoint<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = ExponentialPoint { raw, ..ExponentialPoint::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                exponential_point::START => out.start = field.value.fixed64()?,
                exponential_point::TIME => out.time = field.value.fixed64()?,
                exponential_point::COUNT => out.count = field.value.fixed64()?,
                exponential_point::SUM => out.sum = Some(field.value.double()?),
                exponential_point::SCALE => out.scale = field.value.sint32()?,
                exponential_point::ZERO_COUNT => out.zero_count = field.value.fixed64()?,
                exponential_point::POSITIVE => out.positive = Buckets::view(field.value.bytes()?)?,
                exponential_point::NEGATIVE => out.negative = Buckets::view(field.value.bytes()?)?,
                exponential_point::FLAGS => out.flags = field.value.uint32()?,
                exponential_point::MIN => out.min = Some(field.value.double()?),
                exponential_point::MAX => out.max = Some(field.value.double()?),
                exponential_point::ZERO_THRESHOLD => out.zero_threshold = field.value.double()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> ExponentialPoint<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, exponential_point::ATTRIBUTES)
    }

    /// Its exemplars.
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.raw, exponential_point::EXEMPLARS)
    }
}

/// `ExponentialHistogramDataPoint.Buckets`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Buckets<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// The index of the first bucket.
    pub offset: i32,
}

impl<'a> View<'a> for Buckets<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Buckets { raw, offset: 0 };
        for field in Fields::new(raw) {
            let field = field?;
            if field.number == exponential_point::BUCKETS_OFFSET {
                out.offset = field.value.sint32()?;
            }
        }
        Ok(out)
    }
}

impl<'a> Buckets<'a> {
    /// Observations of each bucket, packed or not.
    pub fn counts(&self) -> impl Iterator<Item = Result<u64, WireError>> + 'a {
        Numbers::varint(self.raw, exponential_point::BUCKETS_COUNTS)
    }
}

/// `SummaryDataPoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SummaryPoint<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Nanoseconds since 1970, 0 when unknown.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> View<'a> for SummaryPoint<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = SummaryPoint { raw, ..SummaryPoint::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                summary_point::START => out.start = field.value.fixed64()?,
                summary_point::TIME => out.time = field.value.fixed64()?,
                summary_point::COUNT => out.count = field.value.fixed64()?,
                summary_point::SUM => out.sum = field.value.double()?,
                summary_point::FLAGS => out.flags = field.value.uint32()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> SummaryPoint<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, summary_point::ATTRIBUTES)
    }

    /// Its quantiles.
    pub fn quantiles(&self) -> Repeated<'a, QuantileValue> {
        Repeated::new(self.raw, summary_point::QUANTILE_VALUES)
    }
}

/// `SummaryDataPoint.ValueAtQuantile`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuantileValue {
    /// 0 to 1.
    pub quantile: f64,
    /// The value there.
    pub value: f64,
}

impl<'a> View<'a> for QuantileValue {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = QuantileValue::default();
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                summary_point::QUANTILE => out.quantile = field.value.double()?,
                summary_point::VALUE => out.value = field.value.double()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

/// `Exemplar`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exemplar<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Nanoseconds since 1970.
    pub time: u64,
    /// The observation.
    pub value: Number,
    /// 16 bytes, or empty.
    pub trace_id_bytes: &'a [u8],
    /// 8 bytes, or empty.
    pub span_id_bytes: &'a [u8],
}

impl<'a> View<'a> for Exemplar<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Exemplar { raw, ..Exemplar::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match (field.number, field.value) {
                (exemplar::TIME, value) => out.time = value.fixed64()?,
                (exemplar::AS_DOUBLE, value) => out.value = Number::Double(value.double()?),
                (exemplar::AS_INT, Value::Fixed64(bits)) => out.value = Number::Int(bits.cast_signed()),
                (exemplar::AS_INT, _) => return Err(WireError::WireType),
                (exemplar::TRACE_ID, value) => out.trace_id_bytes = value.bytes()?,
                (exemplar::SPAN_ID, value) => out.span_id_bytes = value.bytes()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> Exemplar<'a> {
    /// Attributes that the aggregation dropped.
    pub fn filtered_attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, exemplar::FILTERED_ATTRIBUTES)
    }

    /// The trace id, unless absent or all zero.
    ///
    /// # Errors
    /// When it has another length than 16.
    pub fn trace_id(&self) -> Result<Option<[u8; 16]>, WireError> {
        id(self.trace_id_bytes)
    }

    /// The span id, unless absent or all zero.
    ///
    /// # Errors
    /// When it has another length than 8.
    pub fn span_id(&self) -> Result<Option<[u8; 8]>, WireError> {
        id(self.span_id_bytes)
    }
}
