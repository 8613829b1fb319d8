//! Where a series belongs in OTLP, by its labels and what its family is.

use pipeline::otlp::fields::{exponential_point, histogram_point, number_point, summary_point};

use super::families::{Families, Piece};
use crate::prometheus::exposition::{Kind, open_metrics_float};
use crate::prometheus::labels::{Labels, METRIC_NAME};

/// What a series is to its point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// All of it.
    Value,
    /// A bucket or quantile.
    Step(f64),
    /// `_sum`.
    Sum,
    /// `_count`.
    Count,
}

/// Which OTLP data a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// `Gauge`.
    Gauge,
    /// A cumulative `Sum`, monotonic or not.
    Sum {
        /// Whether it only grows.
        monotonic: bool,
    },
    /// `Histogram`.
    Histogram,
    /// `ExponentialHistogram`, a native histogram.
    Exponential,
    /// `Summary`.
    Summary,
}

impl Shape {
    /// The field that attributes have in its points.
    pub(super) const fn attributes(self) -> u32 {
        match self {
            Shape::Gauge | Shape::Sum { .. } => number_point::ATTRIBUTES,
            Shape::Histogram => histogram_point::ATTRIBUTES,
            Shape::Exponential => exponential_point::ATTRIBUTES,
            Shape::Summary => summary_point::ATTRIBUTES,
        }
    }

    /// The label that tells its steps apart.
    pub(super) const fn step_label(self) -> &'static str {
        if matches!(self, Shape::Summary) { "quantile" } else { "le" }
    }
}

/// What tells metrics of one target apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MetricKey {
    /// The resource it belongs to.
    pub resource: u32,
    /// Its name.
    pub name: Box<str>,
    /// Its Prometheus type.
    pub kind: Kind,
    /// Its OTLP data.
    pub shape: Shape,
}

/// Where a series goes.
pub(super) struct Place {
    /// The metric.
    pub key: MetricKey,
    /// What it is to its point.
    pub part: Part,
    /// The family whose help and unit the metric has.
    pub family: u32,
    /// That family's type.
    pub family_kind: Kind,
}

/// Where a series with these labels goes.
pub(super) fn place(resource: u32, labels: &Labels<'_>, family: u32, piece: Piece, families: &Families) -> Place {
    let name = labels.value(METRIC_NAME);
    let kind = families.family(family).map_or(Kind::Unknown, |family| family.kind);
    let base = name.strip_suffix(piece.suffix());
    let fits = |shape, part| {
        let key = MetricKey { resource, name: base.unwrap_or(name).into(), kind, shape };
        Place { key, part, family, family_kind: kind }
    };
    let whole = |shape| {
        let key = MetricKey { resource, name: name.into(), kind, shape };
        Place { key, part: Part::Value, family, family_kind: kind }
    };
    let step = |label, lowest: f64, highest: f64| {
        let text = labels.value(label);
        let bound = text.parse::<f64>().ok().filter(|bound| (lowest..=highest).contains(bound))?;
        (open_metrics_float(bound) == text).then_some(bound)
    };
    match (kind, piece) {
        (Kind::Histogram, Piece::Bucket) if base.is_some() => match step("le", f64::MIN, f64::INFINITY) {
            Some(bound) => fits(Shape::Histogram, Part::Step(bound)),
            None => plain(resource, labels, family, kind),
        },
        (Kind::Histogram, Piece::Sum) if base.is_some() => fits(Shape::Histogram, Part::Sum),
        (Kind::Histogram, Piece::Count) if base.is_some() => fits(Shape::Histogram, Part::Count),
        (Kind::Summary, Piece::Whole) => match step("quantile", 0.0, 1.0) {
            Some(quantile) => fits(Shape::Summary, Part::Step(quantile)),
            None => plain(resource, labels, family, kind),
        },
        (Kind::Summary, Piece::Sum) if base.is_some() => fits(Shape::Summary, Part::Sum),
        (Kind::Summary, Piece::Count) if base.is_some() => fits(Shape::Summary, Part::Count),
        (Kind::Counter, Piece::Whole | Piece::Total) => whole(Shape::Sum { monotonic: true }),
        (Kind::Info, Piece::Whole | Piece::Info) | (Kind::StateSet, Piece::Whole) => {
            whole(Shape::Sum { monotonic: false })
        }
        (Kind::Gauge | Kind::Unknown, Piece::Whole) => whole(Shape::Gauge),
        (Kind::GaugeHistogram, Piece::Bucket | Piece::GaugeSum | Piece::GaugeCount | Piece::Sum | Piece::Count) => {
            whole(Shape::Gauge)
        }
        (_, Piece::Native) => whole(Shape::Exponential),
        _ => plain(resource, labels, family, kind),
    }
}

/// The place of a series that its family's type does not explain: a gauge of its own name.
fn plain(resource: u32, labels: &Labels<'_>, family: u32, family_kind: Kind) -> Place {
    let name = labels.value(METRIC_NAME).into();
    let key = MetricKey { resource, name, kind: Kind::Unknown, shape: Shape::Gauge };
    Place { key, part: Part::Value, family, family_kind }
}

/// The place of the samples that a `_created` series tells the beginning of, and their labels.
pub(super) fn begun<'a>(labels: &Labels<'a>, family: u32, families: &Families) -> Option<(Labels<'a>, Piece)> {
    let base = labels.value(METRIC_NAME).strip_suffix(Piece::Created.suffix())?;
    let (piece, name) = match families.family(family)?.kind {
        Kind::Counter => (Piece::Total, format!("{base}{}", Piece::Total.suffix())),
        Kind::Histogram | Kind::Summary => (Piece::Count, format!("{base}{}", Piece::Count.suffix())),
        _ => return None,
    };
    let mut labels = labels.clone();
    labels.set(METRIC_NAME, name);
    Some((labels, piece))
}
