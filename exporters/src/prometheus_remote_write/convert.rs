//! From OTLP metrics to Prometheus time series, as the OpenTelemetry compatibility specification has it. What our own
//! scraper brought in passes byte for byte instead.

use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::view::{
    AnyValue, ExponentialPoint, HistogramPoint, KeyValue, Metric, MetricKind, NO_RECORDED_VALUE, Number, NumberPoint,
    ResourceGroup, ScopeGroup, SummaryPoint, Temporality, resources,
};
use pipeline::otlp::write::Writer;

use super::exemplars::{Exemplars, write_exemplar};
use super::labels::{Labels, Origin};
use super::metadata::MetadataEntries;
use super::names::Namer;
use super::timeseries::TimeSeries;
use super::{native, number};
use crate::dropped::Dropped;

/// The scope of what `receivers::prometheus` scraped.
const SCRAPED: &str = "slipring/prometheus";

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

/// How metrics become series; from the config.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// Makes names legal.
    pub namer: Namer,
    /// Labels of every series that lacks them.
    pub external_labels: Vec<(String, String)>,
    /// Which resource attributes become labels.
    pub resource_labels: ResourceLabels,
    /// Whether resources become `target_info`.
    pub target_info: bool,
    /// Whether series say which scope they are from.
    pub scope_labels: bool,
    /// Whether exponential histograms become native ones, or are dropped.
    pub native_histograms: bool,
    /// Whether types, help texts and units are collected.
    pub metadata: bool,
    /// How many lanes the series are spread over; at least 1.
    pub lanes: usize,
}

/// Which resource attributes become labels of every series.
#[derive(Clone, Debug, Default)]
pub struct ResourceLabels {
    /// Names, or patterns with `*`.
    pub included: Vec<String>,
    /// What is left out of these.
    pub excluded: Vec<String>,
}

impl ResourceLabels {
    fn takes(&self, key: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|p| matches(p, key));
        any(&self.included) && !any(&self.excluded)
    }
}

/// Whether a pattern, in which `*` stands for anything, matches.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
}

/// What a batch became.
#[derive(Default)]
pub struct Converted {
    /// The series, not yet in order.
    pub series: TimeSeries,
    /// Types, help texts and units.
    pub metadata: MetadataEntries,
    /// Points that have no form in remote write.
    pub dropped: Dropped,
}

/// Converts a batch of metrics.
///
/// # Errors
/// When it is malformed.
pub fn convert(conversion: &Conversion, batch: &Batch) -> Result<Converted, WireError> {
    let mut converter = Converter {
        conversion,
        labels: Labels::default(),
        attributes: Vec::new(),
        name: String::new(),
        bound: String::new(),
        exemplars: Exemplars::default(),
        scraped: false,
        latest: 0,
        out: Converted::default(),
    };
    for part in batch.parts() {
        for group in resources(part) {
            converter.resource(group?)?;
        }
    }
    let mut out = converter.out;
    out.series.order(conversion.lanes);
    Ok(out)
}

struct Converter<'a> {
    conversion: &'a Conversion,
    labels: Labels<'a>,
    /// Of the resource.
    attributes: Vec<KeyValue<'a>>,
    /// Of the metric, and behind it the suffix of the series.
    name: String,
    bound: String,
    exemplars: Exemplars<'a>,
    scraped: bool,
    /// The latest point of the resource that was not scraped, nanoseconds since 1970; 0 for none.
    latest: u64,
    out: Converted,
}

impl<'a> Converter<'a> {
    fn resource(&mut self, group: ResourceGroup<'a>) -> Result<(), WireError> {
        self.attributes.clear();
        for attribute in group.attributes() {
            self.attributes.push(attribute?);
        }
        self.latest = 0;
        for scope in group.scopes() {
            let scope = scope?;
            self.scope(scope)?;
            for metric in scope.items::<Metric<'_>>() {
                self.metric(&metric?)?;
            }
        }
        if self.conversion.target_info && self.latest > 0 {
            self.target_info()?;
        }
        Ok(())
    }

    /// Gathers the labels that all points of a scope share.
    fn scope(&mut self, scope: ScopeGroup<'a>) -> Result<(), WireError> {
        let (name, version) = scope.name_and_version()?;
        self.scraped = name == SCRAPED;
        self.labels.clear();
        self.resource_labels()?;
        if self.conversion.scope_labels && !self.scraped {
            let namer = &self.conversion.namer;
            self.labels.add(Origin::Scope, "otel_scope_name", name);
            self.labels.add(Origin::Scope, "otel_scope_version", version);
            self.labels.add(Origin::Scope, "otel_scope_schema_url", scope.schema_url()?);
            for attribute in scope.attributes() {
                let attribute = attribute?;
                self.labels.add_scope_attribute(attribute.key, attribute.value, namer)?;
            }
        }
        self.labels.share();
        Ok(())
    }

    fn resource_labels(&mut self) -> Result<(), WireError> {
        let conversion = self.conversion;
        for (name, value) in &conversion.external_labels {
            self.labels.add(Origin::External, name, value);
        }
        for attribute in self.attributes.iter().filter(|a| conversion.resource_labels.takes(a.key)) {
            self.labels.add_attribute(Origin::Resource, attribute.key, attribute.value, Some(&conversion.namer))?;
        }
        self.job_and_instance();
        Ok(())
    }

    fn job_and_instance(&mut self) {
        let find = |key: &str| self.attributes.iter().rfind(|a| a.key == key).map_or(AnyValue::Empty, |a| a.value);
        let text = |out: &mut String, value| crate::plain::write_text(out, value).unwrap_or_default();
        let origin = if self.scraped { Origin::Target } else { Origin::Service };
        let (namespace, name) = (find("service.namespace"), find("service.name"));
        let instance = find("service.instance.id");
        if name != AnyValue::Empty {
            self.labels.add_made(origin, "job", |out| {
                if namespace != AnyValue::Empty && !self.scraped {
                    text(out, namespace);
                    out.push('/');
                }
                text(out, name);
            });
        }
        if instance != AnyValue::Empty {
            self.labels.add_made(origin, "instance", |out| text(out, instance));
        }
    }

    /// One series that carries what the resource says of itself, beside `job` and `instance`.
    fn target_info(&mut self) -> Result<(), WireError> {
        let identifies = |key: &str| matches!(key, "service.name" | "service.namespace" | "service.instance.id");
        let identified = self.attributes.iter().any(|a| matches!(a.key, "service.name" | "service.instance.id"));
        if !identified || self.attributes.iter().all(|a| identifies(a.key)) {
            return Ok(());
        }
        self.scraped = false;
        self.labels.clear();
        for (name, value) in &self.conversion.external_labels {
            self.labels.add(Origin::External, name, value);
        }
        for attribute in self.attributes.iter().filter(|a| !identifies(a.key)) {
            let namer = Some(&self.conversion.namer);
            self.labels.add_attribute(Origin::Point, attribute.key, attribute.value, namer)?;
        }
        self.job_and_instance();
        self.labels.encode("");
        self.name.clear();
        self.conversion.namer.write_own(&mut self.name, "target_info");
        let time = milliseconds(self.latest);
        self.series(time, 0, "", None, |out| write_sample(out, time, 1f64.to_bits()));
        Ok(())
    }

    fn metric(&mut self, metric: &Metric<'a>) -> Result<(), WireError> {
        if let Some((code, message)) = unfit(metric, self.conversion) {
            let points = metric.points::<&[u8]>().filter(Result::is_ok).count();
            self.out.dropped.add(code, message, points);
            return Ok(());
        }
        self.name.clear();
        if self.scraped {
            self.name.push_str(metric.name);
        } else {
            self.conversion.namer.write_metric(&mut self.name, metric);
        }
        if self.name.is_empty() {
            let points = metric.points::<&[u8]>().filter(Result::is_ok).count();
            self.out.dropped.add("no_metric_name", "the metric has no name, remote write needs one", points);
            return Ok(());
        }
        if self.conversion.metadata {
            self.out.metadata.add(&self.name, metric)?;
        }
        match metric.kind {
            MetricKind::Gauge | MetricKind::Sum => {
                for point in metric.points() {
                    self.number(&point?, metric.kind == MetricKind::Sum)?;
                }
            }
            MetricKind::Histogram => {
                for point in metric.points() {
                    self.histogram(&point?)?;
                }
            }
            MetricKind::ExponentialHistogram => {
                for point in metric.points() {
                    self.exponential(&point?)?;
                }
            }
            MetricKind::Summary => {
                for point in metric.points() {
                    self.summary(&point?)?;
                }
            }
            MetricKind::Empty => {}
        }
        Ok(())
    }

    fn number(&mut self, point: &NumberPoint<'a>, is_sum: bool) -> Result<(), WireError> {
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        if point.value == Number::Empty && !stale {
            self.out.dropped.add("no_value", "the point has neither a value nor the flag for none", 1);
            return Ok(());
        }
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "")?;
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

    fn histogram(&mut self, point: &HistogramPoint<'a>) -> Result<(), WireError> {
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "le")?;
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
        // A stale histogram's sum goes stale too; whether there was one it does not say.
        if point.sum.is_some() || (stale && self.scraped) {
            let bits = sample_bits(point.sum.unwrap_or(0.0), stale);
            self.series(time, 0, "_sum", None, |out| write_sample(out, time, bits));
        }
        let bits = sample_bits(as_float(point.count), stale);
        self.series(time, 0, "_count", None, |out| write_sample(out, time, bits));
        Ok(())
    }

    fn exponential(&mut self, point: &ExponentialPoint<'a>) -> Result<(), WireError> {
        if !native::has_form(point) {
            let message = "the exponential histogram's scale is below -4, coarser than Prometheus has";
            self.out.dropped.add("exponential_scale", message, 1);
            return Ok(());
        }
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "")?;
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

    fn summary(&mut self, point: &SummaryPoint<'a>) -> Result<(), WireError> {
        let Some(time) = self.time(point.time) else { return Ok(()) };
        self.point_labels(point.attributes(), "quantile")?;
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

    fn point_labels(
        &mut self,
        attributes: pipeline::otlp::view::KeyValues<'a>,
        extra: &'static str,
    ) -> Result<(), WireError> {
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
            number::write_scraped(&mut self.bound, bound);
        } else {
            number::write_plain(&mut self.bound, bound);
        }
    }

    /// One series of the current point.
    fn series(
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

/// Why no point of a metric has a form in remote write.
fn unfit(metric: &Metric<'_>, conversion: &Conversion) -> Option<(&'static str, &'static str)> {
    let summed = matches!(metric.kind, MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram);
    if metric.kind == MetricKind::ExponentialHistogram && !conversion.native_histograms {
        return Some(("native_histograms_off", "exponential histograms need send_native_histograms"));
    }
    match metric.temporality {
        _ if !summed => None,
        Temporality::Cumulative => None,
        Temporality::Delta => {
            Some(("delta_temporality", "remote write needs cumulative metrics, this one counts since the last report"))
        }
        Temporality::Unspecified => {
            Some(("unspecified_temporality", "the metric does not say whether it is cumulative or delta"))
        }
    }
}

fn write_sample(out: &mut Writer, time: i64, bits: u64) {
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

fn milliseconds(nanoseconds: u64) -> i64 {
    (nanoseconds / 1_000_000).cast_signed()
}
