//! From OTLP metrics to Prometheus time series, in the message of either version of remote write.

use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, Metric, MetricKind, Temporality};
use pipeline::relabel::labels::Labels;
use pipeline::relabel::{self, Rule};

use super::body::Body;
use super::encoded::{Encoded, Form, Shared};
use super::metadata::MetadataEntries;
use super::own::{Names, Own, Steps, Suffix};
use super::points::milliseconds;
use super::sets::{self, Sets};
use super::timeseries::{Message, Series, Texts, TimeSeries, When};
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
    convert_into(conversion, message, batch, TimeSeries::default())
}

/// The same in the place of series that are not needed any more.
///
/// # Errors
/// See there.
pub fn convert_into(
    conversion: &Conversion,
    message: Message,
    batch: &Batch,
    mut series: TimeSeries,
) -> Result<Converted, WireError> {
    series.begin(message);
    let form = if conversion.rules.is_empty() { Form::Message(message) } else { Form::Plain };
    let mut converter = Converter {
        conversion,
        message,
        form,
        sets: Sets::default(),
        shared_sets: sets::Shared::default(),
        encoded: Encoded::default(),
        shared: Shared::default(),
        shared_of: 0,
        labels_hash: 0,
        names: Names::default(),
        steps: Steps::default(),
        exemplars: Exemplars::default(),
        kind: Type::default(),
        custom: CustomBuckets::Never,
        owed: 0,
        out: Converted { series, ..Converted::default() },
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
    /// Labels of the point in 1.0, and those that the points of the scope share.
    pub(super) sets: Sets<'a>,
    pub(super) shared_sets: sets::Shared,
    /// The same of 2.0, or for rules to change.
    pub(super) encoded: Encoded,
    pub(super) shared: Shared,
    /// The number of the scope whose labels are there.
    pub(super) shared_of: usize,
    pub(super) labels_hash: u64,
    pub(super) names: Names,
    pub(super) steps: Steps,
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
        let (hash, series) = (self.out.series.hash(), &mut self.out.series);
        if self.message == Message::V2 {
            series.family(Type::Info as u64, "", "");
        }
        let Texts { pieces, symbols } = series.texts();
        self.encoded.clear();
        match self.form {
            Form::Message(Message::V1) => {
                self.sets.begin(pieces);
                around.target_labels(|name, value| self.sets.add(pieces, hash, (name, value), ""));
                self.sets.end(pieces);
                self.labels_hash = self.sets.hash();
            }
            Form::Message(Message::V2) => {
                around.target_labels(|name, value| self.encoded.add(symbols, name, value, ""));
                self.labels_hash = self.encoded.hash(hash);
            }
            Form::Plain => around.target_labels(|name, value| self.encoded.add_plain(name, value)),
        }
        self.names.forget();
        self.number_series(around, (milliseconds(time), 0), Suffix::None, None, 1f64.to_bits());
        Ok(())
    }
}

impl<'a> Converter<'a> {
    fn family(&mut self, around: &Around<'a>, metric: &Metric<'a>) -> Result<(), WireError> {
        let family = Family::of(metric, around.scraped)?;
        self.kind = family.kind;
        self.names.forget();
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

    /// One series of the current point, of one number. `step` is a place in `steps`.
    pub(super) fn number_series(
        &mut self,
        around: &Around<'_>,
        (time, start): (i64, i64),
        suffix: Suffix,
        step: Option<usize>,
        bits: u64,
    ) {
        self.name(around, suffix);
        let (name, hash) = self.names.of(suffix);
        let step = step.map(|at| self.steps.of(at));
        if self.form == Form::Plain {
            let Some(labels) = relabelled(&self.conversion.rules, &self.encoded, name, step) else { return };
            let when = When { time, start, items: std::mem::take(&mut self.owed) };
            return self.out.series.push_number(when, Series::Labels(&labels), bits);
        }
        let when = When { time, start, items: std::mem::take(&mut self.owed) };
        let hash = self.out.series.hash().of_both(self.labels_hash, hash);
        let series = match self.message {
            Message::V1 => Series::Set((self.sets.number(), self.sets.len()), name, step, hash),
            Message::V2 => Series::Encoded(&self.encoded, name, step, hash),
        };
        self.out.series.push_number(when, series, bits);
    }

    /// The same of anything else.
    pub(super) fn series(
        &mut self,
        around: &Around<'_>,
        time: i64,
        suffix: Suffix,
        step: Option<usize>,
        sample: impl FnOnce(&mut Body<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.name(around, suffix);
        let (name, hash) = self.names.of(suffix);
        let step = step.map(|at| self.steps.of(at));
        if self.form == Form::Plain {
            let Some(labels) = relabelled(&self.conversion.rules, &self.encoded, name, step) else { return Ok(()) };
            let when = When { time, start: 0, items: std::mem::take(&mut self.owed) };
            return self.out.series.push(when, Series::Labels(&labels), sample);
        }
        let when = When { time, start: 0, items: std::mem::take(&mut self.owed) };
        let hash = self.out.series.hash().of_both(self.labels_hash, hash);
        let series = match self.message {
            Message::V1 => Series::Set((self.sets.number(), self.sets.len()), name, step, hash),
            Message::V2 => Series::Encoded(&self.encoded, name, step, hash),
        };
        self.out.series.push(when, series, sample)
    }

    fn name(&mut self, around: &Around<'_>, suffix: Suffix) {
        if !self.names.has(suffix) {
            let hash = self.out.series.hash();
            self.names.set(suffix, &around.name, self.form, (self.out.series.texts(), hash));
        }
    }

    /// Ends a point: where no series of it is left, the rules dropped it.
    pub(super) fn end_point(&mut self) {
        let items = std::mem::take(&mut self.owed);
        self.out.dropped.add("write_relabel_configs", "write_relabel_configs leave no series of the point", items);
    }
}

/// The labels of a series as the rules leave them, in order.
fn relabelled<'l>(rules: &[Rule], encoded: &'l Encoded, name: &'l Own, step: Option<&'l Own>) -> Option<Labels<'l>> {
    let mut labels = encoded.to_labels(name, step);
    if !relabel::apply(rules, &mut labels) || labels.value(METRIC_NAME).is_empty() {
        return None;
    }
    labels.sort();
    Some(labels)
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
