//! From OTLP metrics to Prometheus time series, as the OpenTelemetry compatibility specification has it. What our own
//! scraper brought in passes byte for byte instead.

use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, KeyValue, Metric, MetricKind, ResourceGroup, ScopeGroup, Temporality, resources};

use super::exemplars::Exemplars;
use super::labels::{Labels, Origin};
use super::metadata::MetadataEntries;
use super::names::Namer;
use super::points::{milliseconds, write_sample};
use super::timeseries::TimeSeries;
use crate::dropped::Dropped;

/// The scope of what `receivers::prometheus` scraped.
const SCRAPED: &str = "slipring/prometheus";

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

pub(super) struct Converter<'a> {
    pub(super) conversion: &'a Conversion,
    pub(super) labels: Labels<'a>,
    /// Of the resource.
    attributes: Vec<KeyValue<'a>>,
    /// Of the metric, and behind it the suffix of the series.
    pub(super) name: String,
    pub(super) bound: String,
    pub(super) exemplars: Exemplars<'a>,
    pub(super) scraped: bool,
    /// The latest point of the resource that was not scraped, nanoseconds since 1970; 0 for none.
    pub(super) latest: u64,
    pub(super) out: Converted,
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
