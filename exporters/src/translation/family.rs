//! What a metric says of itself, in Prometheus' words.

use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, Metric, MetricKind};

use super::names::Namer;

/// The type of a metric family. The numbers are those of remote write, in both versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Type {
    /// Not known.
    #[default]
    Unknown = 0,
    /// Only goes up.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// Buckets that only go up.
    Histogram = 3,
    /// Buckets that go up and down.
    GaugeHistogram = 4,
    /// Quantiles.
    Summary = 5,
    /// Labels that say what something is.
    Info = 6,
    /// One of several states.
    StateSet = 7,
}

impl Type {
    /// As OpenMetrics and our scraper's `prometheus.type` have it.
    pub fn of_word(word: &str) -> Type {
        match word {
            "counter" => Type::Counter,
            "gauge" => Type::Gauge,
            "histogram" => Type::Histogram,
            "gaugehistogram" => Type::GaugeHistogram,
            "summary" => Type::Summary,
            "info" => Type::Info,
            "stateset" => Type::StateSet,
            _ => Type::Unknown,
        }
    }

    fn of_kind(metric: &Metric<'_>) -> Type {
        match metric.kind {
            MetricKind::Sum if metric.is_monotonic => Type::Counter,
            MetricKind::Gauge | MetricKind::Sum => Type::Gauge,
            MetricKind::Histogram | MetricKind::ExponentialHistogram => Type::Histogram,
            MetricKind::Summary => Type::Summary,
            MetricKind::Empty => Type::Unknown,
        }
    }
}

/// Type, help text and unit of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family<'a> {
    /// Its type.
    pub kind: Type,
    /// For a person.
    pub help: &'a str,
    /// In words (`seconds`).
    pub unit: String,
}

impl<'a> Family<'a> {
    /// What a metric says; what was scraped keeps the unit that it had.
    ///
    /// # Errors
    /// When the metric's own metadata is malformed.
    pub fn of(metric: &Metric<'a>, scraped: bool) -> Result<Family<'a>, WireError> {
        let said = metric.metadata().find("prometheus.type")?.and_then(AnyValue::as_text);
        let mut unit = String::new();
        if scraped {
            unit.push_str(metric.unit);
        } else {
            Namer::write_unit(&mut unit, metric.unit);
        }
        Ok(Family { kind: said.map_or_else(|| Type::of_kind(metric), Type::of_word), help: metric.description, unit })
    }
}
