//! From OTLP metrics to Prometheus time series, in the message of either version of remote write.

use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, Metric, MetricKind, Temporality};
use pipeline::relabel::{self, Rule};

use super::body::Body;
use super::encoded::{Encoded, Form};
use super::metadata::MetadataEntries;
use super::points::milliseconds;
use super::timeseries::{Message, Series, TimeSeries};
use crate::dropped::Dropped;
use crate::translation::exemplars::Exemplars;
use crate::translation::labels::METRIC_NAME;
use crate::translation::{Around, Family, Metrics, Translation, Type, walk};

/// How metrics become series; from the config.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// Names and labels.
    pub translation: Translation,
    /// `write_relabel_configs`.
    pub rules: Vec<Rule>,
    /// Whether exponential histograms become native ones, or are dropped.
    pub native_histograms: bool,
    /// Whether histograms with bounds become native ones with custom buckets, in 2.0.
    pub custom_buckets: bool,
    /// Whether those stay classic ones beside that.
    pub keep_classic: bool,
    /// Whether types, help texts and units are collected for requests of their own, in 1.0.
    pub metadata: bool,
    /// The most lanes that the series are spread over.
    pub lanes: usize,
    /// Samples that fill a lane's request.
    pub samples: usize,
}

/// What a batch became.
#[derive(Default)]
pub struct Converted {
    /// The series, in order.
    pub series: TimeSeries,
    /// Types, help texts and units.
    pub metadata: MetadataEntries,
    /// Points that have no form in remote write.
    pub dropped: Dropped,
    /// Whether histograms that were to have custom buckets are classic ones, as 1.0 has it.
    pub is_reduced: bool,
}

/// Converts a batch of metrics.
///
/// # Errors
/// When it is malformed.
pub fn convert(conversion: &Conversion, message: Message, batch: &Batch) -> Result<Converted, WireError> {
    let form = if conversion.rules.is_empty() { Form::Message(message) } else { Form::Plain };
    let mut converter = Converter {
        conversion,
        message,
        form,
        encoded: Encoded::default(),
        bound: String::new(),
        exemplars: Exemplars::default(),
        kind: Type::default(),
        custom: CustomBuckets::Never,
        owed: 0,
        // In 1.0 each bucket of a histogram has all its labels.
        out: Converted {
            series: TimeSeries::new(message, if message == Message::V1 { batch.byte_len() * 2 } else { 0 }),
            ..Converted::default()
        },
    };
    walk(&conversion.translation, batch, &mut converter)?;
    let mut out = converter.out;
    out.series.order(conversion.lanes, conversion.samples.max(1));
    Ok(out)
}

/// Whether histograms with bounds are sent as native ones with custom buckets, where 2.0 is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CustomBuckets {
    /// As classic ones.
    Never,
    /// As nothing else.
    Only,
    /// As both.
    AndClassic,
}

/// What our scraper notes of histograms that are to be native ones.
const NATIVE_FORM: &str = "prometheus.native_histogram";

pub(super) struct Converter<'a> {
    pub(super) conversion: &'a Conversion,
    pub(super) message: Message,
    pub(super) form: Form,
    /// Labels of the point.
    pub(super) encoded: Encoded,
    pub(super) bound: String,
    pub(super) exemplars: Exemplars<'a>,
    /// The type of the metric.
    pub(super) kind: Type,
    /// What its histograms become.
    pub(super) custom: CustomBuckets,
    /// 1 until the point's first series is there.
    pub(super) owed: usize,
    pub(super) out: Converted,
}

impl<'a> Metrics<'a> for Converter<'a> {
    fn metric(&mut self, around: &mut Around<'a>, metric: &Metric<'a>) -> Result<(), WireError> {
        if let Some((code, message)) = unfit(around, metric, self.conversion) {
            let points = metric.points::<&[u8]>().filter(Result::is_ok).count();
            self.out.dropped.add(code, message, points);
            return Ok(());
        }
        self.family(around, metric)?;
        match metric.kind {
            MetricKind::Gauge | MetricKind::Sum => {
                for point in metric.points() {
                    self.number(around, &point?, metric.kind == MetricKind::Sum)?;
                }
            }
            MetricKind::Histogram => {
                for point in metric.points() {
                    self.histogram(around, &point?)?;
                }
            }
            MetricKind::ExponentialHistogram => {
                for point in metric.points() {
                    self.exponential(around, &point?)?;
                }
            }
            MetricKind::Summary => {
                for point in metric.points() {
                    self.summary(around, &point?)?;
                }
            }
            MetricKind::Empty => {}
        }
        Ok(())
    }

    fn target_info(&mut self, around: &mut Around<'a>, time: u64) -> Result<(), WireError> {
        self.encoded.clear();
        let (encoded, series, form) = (&mut self.encoded, &mut self.out.series, self.form);
        if self.message == Message::V2 {
            series.family(Type::Info as u64, "", "");
        }
        around.target_labels(|name, value| encoded.add(form, series.symbols(), name, value, ""));
        let time = milliseconds(time);
        self.series(around, time, "", None, |out| {
            out.sample(time, 0, 1f64.to_bits());
            Ok(())
        })
    }
}

impl<'a> Converter<'a> {
    fn family(&mut self, around: &Around<'a>, metric: &Metric<'a>) -> Result<(), WireError> {
        let family = Family::of(metric, around.scraped)?;
        self.kind = family.kind;
        self.custom = self.custom_buckets(metric)?;
        match self.message {
            Message::V1 if self.conversion.metadata => self.out.metadata.add(&around.name, &family),
            Message::V1 => {}
            Message::V2 => self.out.series.family(family.kind as u64, family.help, &family.unit),
        }
        Ok(())
    }

    /// What the config says of histograms with bounds, or of those of our scraper its own config.
    fn custom_buckets(&self, metric: &Metric<'a>) -> Result<CustomBuckets, WireError> {
        if metric.kind != MetricKind::Histogram {
            return Ok(CustomBuckets::Never);
        }
        Ok(match metric.metadata().find(NATIVE_FORM)?.and_then(AnyValue::as_text) {
            Some("custom_buckets") => CustomBuckets::Only,
            Some("custom_buckets_and_classic") => CustomBuckets::AndClassic,
            _ if !self.conversion.custom_buckets => CustomBuckets::Never,
            _ if self.conversion.keep_classic => CustomBuckets::AndClassic,
            _ => CustomBuckets::Only,
        })
    }

    /// One series of the current point.
    pub(super) fn series(
        &mut self,
        around: &mut Around<'a>,
        time: i64,
        suffix: &str,
        extra: Option<(&str, &str)>,
        sample: impl FnOnce(&mut Body<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let plain = around.name.len();
        around.name.push_str(suffix);
        let name = around.name.as_str();
        let written = if self.form == Form::Plain {
            self.relabelled(name, time, extra, sample)
        } else {
            let items = std::mem::take(&mut self.owed);
            self.out.series.push(time, items, Series::Encoded(&self.encoded, name, extra), sample)
        };
        around.name.truncate(plain);
        written
    }

    fn relabelled(
        &mut self,
        name: &str,
        time: i64,
        extra: Option<(&str, &str)>,
        sample: impl FnOnce(&mut Body<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut labels = self.encoded.to_labels(name, extra);
        if !relabel::apply(&self.conversion.rules, &mut labels) || labels.value(METRIC_NAME).is_empty() {
            return Ok(());
        }
        labels.sort();
        let items = std::mem::take(&mut self.owed);
        self.out.series.push(time, items, Series::Labels(&labels), sample)
    }

    /// Ends a point: where no series of it is left, the rules dropped it.
    pub(super) fn end_point(&mut self) {
        let items = std::mem::take(&mut self.owed);
        self.out.dropped.add("write_relabel_configs", "write_relabel_configs leave no series of the point", items);
    }
}

/// Why no point of a metric has a form in remote write.
fn unfit(around: &Around<'_>, metric: &Metric<'_>, conversion: &Conversion) -> Option<(&'static str, &'static str)> {
    let summed = matches!(metric.kind, MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram);
    if metric.kind == MetricKind::ExponentialHistogram && !conversion.native_histograms {
        return Some(("native_histograms_off", "exponential histograms need send_native_histograms"));
    }
    match metric.temporality {
        Temporality::Delta if summed => {
            return Some((
                "delta_temporality",
                "remote write needs cumulative metrics, this one counts since the last report; \
                 put a delta_to_cumulative processor before",
            ));
        }
        Temporality::Unspecified if summed => {
            return Some(("unspecified_temporality", "the metric does not say whether it is cumulative or delta"));
        }
        _ => {}
    }
    around.name.is_empty().then_some(("no_metric_name", "the metric has no name, remote write needs one"))
}
