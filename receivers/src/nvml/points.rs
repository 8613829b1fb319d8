//! The points of one pass, and the request that they become. A series that was there in the pass before and is not in
//! this one is marked as ended, as a scrape would do it.

use pipeline::otlp::fields::{metric, number_point, request, resource, resource_group, scope, scope_group};
use pipeline::otlp::write::Writer;

use super::catalogue::{Catalogue, Place};
use super::labels::Labels;
use super::reading::{Kind, Number};

/// The scope of metrics whose names exporters pass on as they are, as of scraped ones.
const PROMETHEUS: &str = "slipring/prometheus";
/// The scope of OpenTelemetry's own names.
const SEMCONV: &str = "slipring/nvml";
const CUMULATIVE: u64 = 2;
const NO_RECORDED_VALUE: u64 = 1;

/// One series.
type Series = (Place, Labels);

struct Point {
    series: Series,
    value: Option<Number>,
    /// Nanoseconds since 1970.
    at: u64,
}

/// The points of a pass.
pub struct Points<'a> {
    catalogue: &'a Catalogue,
    at: u64,
    points: Vec<Point>,
}

impl<'a> Points<'a> {
    /// No points yet, of a pass at that time (nanoseconds since 1970).
    pub fn new(catalogue: &'a Catalogue, at: u64) -> Points<'a> {
        Points { catalogue, at, points: Vec::new() }
    }

    /// A point of now.
    pub fn add(&mut self, place: Place, labels: &Labels, value: Number) {
        self.add_at(place, labels, value, self.at);
    }

    /// A point of another time, nanoseconds since 1970.
    pub fn add_at(&mut self, place: Place, labels: &Labels, value: Number, at: u64) {
        self.points.push(Point { series: (place, labels.clone()), value: Some(value), at });
    }

    /// The request, its data points, and what must be remembered for the next pass; `before` is that of the last one.
    pub fn write(mut self, host: &str, before: &[Series]) -> (Vec<u8>, usize, Vec<Series>) {
        self.points.sort_by(|a, b| (&a.series, a.at).cmp(&(&b.series, b.at)));
        let mut series: Vec<Series> = self.points.iter().map(|point| point.series.clone()).collect();
        series.dedup();
        let gone = before.iter().filter(|old| series.binary_search(old).is_err());
        let ended: Vec<Point> = gone.map(|old| Point { series: old.clone(), value: None, at: self.at }).collect();
        self.points.extend(ended);
        // Metrics of one scope lie together, because a scope is written once.
        let is_prometheus = |place: Place| self.catalogue.family(place).is_some_and(|family| family.is_prometheus);
        self.points.sort_by_key(|point| (!is_prometheus(point.series.0), point.series.0));
        let items = self.points.len();
        let mut w = Writer::with_capacity(items * 320);
        if items > 0 {
            w.message(request::RESOURCES, |w| {
                w.message(resource_group::RESOURCE, |w| {
                    for (name, value) in [("service.name", "nvml"), ("service.instance.id", host), ("host.name", host)]
                    {
                        w.attribute(resource::ATTRIBUTES, name, value);
                    }
                });
                for scope in self.points.chunk_by(|a, b| is_prometheus(a.series.0) == is_prometheus(b.series.0)) {
                    self.scope(scope, if is_prometheus(scope[0].series.0) { PROMETHEUS } else { SEMCONV }, w);
                }
            });
        }
        (w.into_vec(), items, series)
    }

    fn scope(&self, points: &[Point], name: &str, w: &mut Writer) {
        w.message(resource_group::SCOPES, |w| {
            w.message(scope_group::SCOPE, |w| {
                w.text(scope::NAME, name);
                w.text(scope::VERSION, env!("CARGO_PKG_VERSION"));
            });
            for of in points.chunk_by(|a, b| a.series.0 == b.series.0) {
                w.message(scope_group::ITEMS, |w| self.metric(of, w));
            }
        });
    }

    fn metric(&self, points: &[Point], w: &mut Writer) {
        let Some(family) = self.catalogue.family(points[0].series.0) else { return };
        w.text(metric::NAME, &family.name);
        w.text_unless_empty(metric::DESCRIPTION, &family.help);
        w.text_unless_empty(metric::UNIT, family.unit);
        if family.is_prometheus {
            let kind = if family.kind == Kind::Counter { "counter" } else { "gauge" };
            w.attribute(metric::METADATA, "prometheus.type", kind);
        }
        let is_sum = family.kind != Kind::Gauge;
        w.message(if is_sum { metric::SUM } else { metric::GAUGE }, |w| {
            for point in points {
                w.message(metric::POINTS, |w| point.write(w));
            }
            if is_sum {
                w.varint(metric::TEMPORALITY, CUMULATIVE);
            }
            if family.kind == Kind::Counter {
                w.varint(metric::IS_MONOTONIC, 1);
            }
        });
    }
}

impl Point {
    fn write(&self, w: &mut Writer) {
        w.fixed64(number_point::TIME, self.at);
        match self.value {
            Some(Number::Int(value)) => w.fixed64(number_point::AS_INT, value.cast_unsigned()),
            Some(Number::Double(value)) => w.double(number_point::AS_DOUBLE, value),
            None => w.varint(number_point::FLAGS, NO_RECORDED_VALUE),
        }
        w.raw(self.series.1.bytes());
    }
}
