//! From the series of a scrape to the bytes of an OTLP export request.
//!
//! Nothing is lost on the way: what remote write makes of the points are the series that Prometheus would have stored.
//! Where a histogram or summary point cannot say what was scraped (no `+Inf` bucket, counts that fall or are not whole,
//! pieces with different timestamps, pieces missing), its samples go as gauges of their own names instead, `le` and
//! `quantile` as attributes.

use pipeline::otlp::fields::{
    exemplar, exponential_point, histogram_point, key_value, metric, number_point, request, resource, resource_group,
    scope, scope_group, summary_point,
};
use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::{Scalar, Writer};

use super::families::{Families, Piece};
use super::index::NONE;
use super::metric::{data, head, host_and_port, is_discernible, nanos, whole};
use super::place::{Part, Shape};
use super::store::{LIVE, Metric, Parts, REPEATED, Series, Steps, Store};
use super::{Histograms, Moment, Report};
use crate::prometheus::exposition::{Kind, open_metrics_float};

/// The scope of scraped metrics. Exporters know by it that names are the target's own and pass them on as they are.
pub const SCOPE_NAME: &str = "slipring/prometheus";

/// What a metric's metadata say it is to be in Prometheus: a native histogram with `custom_buckets`, or with
/// `custom_buckets_and_classic`.
pub const NATIVE_FORM: &str = "prometheus.native_histogram";

const NO_RECORDED_VALUE: u64 = 1;

/// A scrape on its way out.
pub(super) struct Request<'a> {
    pub store: &'a Store,
    pub families: &'a Families,
    pub moment: &'a Moment,
    pub iteration: u32,
    /// What becomes of histograms.
    pub histograms: Histograms,
    /// Data points written.
    pub items: usize,
}

/// A sample that does not fit into its point.
struct Loose {
    metric: u32,
    piece: Piece,
    point: u32,
    part: Part,
    series: u32,
    /// `None` marks the series stale.
    value: Option<f64>,
    ms: i64,
}

impl Request<'_> {
    /// Writes everything; answers the number of data points.
    pub(super) fn write(mut self, scheme: &str, report: &Report<'_>, w: &mut Writer) -> usize {
        for number in 0..self.store.resources.len() {
            let before = (w.len(), self.items);
            w.message(request::RESOURCES, |w| {
                self.resource(number, scheme, w);
                w.message(resource_group::SCOPES, |w| {
                    w.message(scope_group::SCOPE, |w| {
                        w.text(scope::NAME, SCOPE_NAME);
                        w.text(scope::VERSION, env!("CARGO_PKG_VERSION"));
                    });
                    self.metrics(number, w);
                    if number == 0 {
                        self.items += report.write(self.moment.at_ms, w);
                    }
                });
            });
            if self.items == before.1 {
                w.truncate(before.0);
            }
        }
        self.items
    }

    fn resource(&self, number: usize, scheme: &str, w: &mut Writer) {
        let of = &self.store.resources[number];
        w.message(resource_group::RESOURCE, |w| {
            let mut put = |name: &str, value: &str| {
                if !value.is_empty() {
                    w.attribute(resource::ATTRIBUTES, name, Scalar::Text(value));
                }
            };
            let (host, port) = host_and_port(&of.instance);
            put("service.name", &of.job);
            put("service.instance.id", &of.instance);
            put("server.address", if is_discernible(host) { host } else { "" });
            put("server.port", port);
            put("url.scheme", scheme);
            self.target_info(&of.infos, w);
        });
    }

    /// The labels of `target_info` describe the resource.
    fn target_info(&self, infos: &[u32], w: &mut Writer) {
        const OWN: [&[u8]; 5] =
            [b"service.name", b"service.instance.id", b"server.address", b"server.port", b"url.scheme"];
        let mut seen: Vec<&[u8]> = OWN.to_vec();
        for info in infos {
            let series = &self.store.series[*info as usize];
            if series.seen != self.iteration && series.flags & LIVE == 0 {
                continue;
            }
            let attributes = self.store.attributes(&self.store.points[series.point as usize]);
            for attribute in Fields::new(attributes).flatten().filter_map(|field| field.value.bytes().ok()) {
                let key = Fields::new(attribute).flatten().find(|field| field.number == key_value::KEY);
                let Some(Ok(key)) = key.map(|key| key.value.bytes()) else { continue };
                if !seen.contains(&key) {
                    seen.push(key);
                    w.bytes(resource::ATTRIBUTES, attribute);
                }
            }
        }
    }

    fn metrics(&mut self, resource: usize, w: &mut Writer) {
        let mut loose = Vec::new();
        let store = self.store;
        for &number in &store.resources[resource].metrics {
            let of = &store.metrics[number as usize];
            self.metric(of, &mut loose, w);
        }
        self.moment.extras.iter().for_each(|extra| {
            let point = store.series[extra.series as usize].point;
            if store.metrics[store.points[point as usize].metric as usize].key.resource as usize == resource {
                loose.push(self.loose(point, store.part(extra.series), extra.series, Some(extra.value), extra.ms));
            }
        });
        self.write_loose(loose, w);
    }

    /// Whether a metric goes as a native histogram with custom buckets: not beside one that has native buckets anyway.
    fn has_custom_buckets(&self, of: &Metric) -> bool {
        self.histograms.custom_buckets && of.key.shape == Shape::Histogram && !self.store.has_native(&of.key)
    }

    fn metric(&mut self, of: &Metric, loose: &mut Vec<Loose>, w: &mut Writer) {
        let before = (w.len(), self.items);
        let custom = self.has_custom_buckets(of);
        let is_all = custom && !self.histograms.always_classic;
        w.message(scope_group::ITEMS, |w| {
            w.raw(&of.head);
            if custom {
                let form = if is_all { "custom_buckets" } else { "custom_buckets_and_classic" };
                w.attribute(metric::METADATA, NATIVE_FORM, Scalar::Text(form));
            }
            data(of.key.shape, w, |w| {
                for &point in &of.points {
                    self.point(point, of.key.shape, is_all, loose, w);
                }
            });
        });
        if self.items == before.1 {
            w.truncate(before.0);
        }
    }

    /// Writes a point; `custom` is whether its series are one, a native histogram.
    fn point(&mut self, number: u32, shape: Shape, custom: bool, loose: &mut Vec<Loose>, w: &mut Writer) {
        let store = self.store;
        let point = &store.points[number as usize];
        match &point.parts {
            Parts::Number(NONE) => {}
            Parts::Number(series) => {
                let of = &store.series[*series as usize];
                if self.is_new(of) {
                    self.single_point(number, shape, *series, Some(of.value), self.ms(*series), w);
                } else if self.is_gone(of) {
                    self.single_point(number, shape, *series, None, self.moment.at_ms, w);
                }
            }
            Parts::Steps(steps) => {
                if steps.series().any(|(series, _)| self.is_new(&store.series[series as usize])) {
                    let is_written = self.steps_point(number, shape, steps, w);
                    if !is_written {
                        for (series, part) in steps.series() {
                            let of = &store.series[series as usize];
                            if self.is_new(of) {
                                loose.push(self.loose(number, part, series, Some(of.value), self.ms(series)));
                            }
                        }
                    }
                    for (series, part) in steps.series().filter(|_| !custom) {
                        if self.is_gone(&store.series[series as usize]) {
                            loose.push(self.loose(number, part, series, None, self.moment.at_ms));
                        }
                    }
                } else if steps.series().any(|(series, _)| self.is_gone(&store.series[series as usize])) {
                    self.stale_steps(number, shape, custom, steps, loose, w);
                }
            }
        }
    }

    /// Whether this scrape has a sample of it that must be handed on.
    #[inline]
    fn is_new(&self, series: &Series) -> bool {
        series.seen == self.iteration && series.flags & REPEATED == 0
    }

    /// Whether it was there in the last good scrape and is not in this one.
    #[inline]
    fn is_gone(&self, series: &Series) -> bool {
        series.flags & LIVE != 0 && series.seen != self.iteration
    }

    #[inline]
    fn ms(&self, series: u32) -> i64 {
        self.moment.explicit_ms(series, &self.store.series[series as usize])
    }

    /// A point of one series; without a value it marks the series stale.
    fn single_point(&mut self, number: u32, shape: Shape, series: u32, value: Option<f64>, ms: i64, w: &mut Writer) {
        self.items += 1;
        let is_native = shape == Shape::Exponential;
        w.message(metric::POINTS, |w| {
            self.times(number, ms, w);
            match value {
                Some(value) if is_native => {
                    w.raw(self.moment.native(value));
                    self.exemplars(exponential_point::EXEMPLARS, series, ms, w);
                }
                Some(value) => {
                    w.double(number_point::AS_DOUBLE, value);
                    self.exemplars(number_point::EXEMPLARS, series, ms, w);
                }
                None => {}
            }
            w.raw(self.store.attributes(&self.store.points[number as usize]));
            if value.is_none() {
                let flags = if is_native { exponential_point::FLAGS } else { number_point::FLAGS };
                w.varint(flags, NO_RECORDED_VALUE);
            }
        });
    }

    /// When a point began, if that is known, and its time. All kinds of points have the same fields for these.
    fn times(&self, point: u32, ms: i64, w: &mut Writer) {
        let time = nanos(ms);
        if !self.moment.starts.is_empty()
            && let Some(&start) = self.moment.starts.get(&point).filter(|start| **start <= time)
        {
            w.fixed64(number_point::START, start);
        }
        w.fixed64(number_point::TIME, time);
    }

    fn exemplars(&self, field: u32, series: u32, ms: i64, w: &mut Writer) {
        let from = self.moment.exemplars.partition_point(|exemplar| exemplar.series < series);
        for of in self.moment.exemplars[from..].iter().take_while(|exemplar| exemplar.series == series) {
            w.message(field, |w| {
                w.fixed64(exemplar::TIME, nanos(of.ms.unwrap_or(ms)));
                w.double(exemplar::AS_DOUBLE, of.value);
                w.raw(&of.fields);
            });
        }
    }

    /// Writes a histogram or summary point, if one can hold exactly what was scraped.
    fn steps_point(&mut self, number: u32, shape: Shape, steps: &Steps, w: &mut Writer) -> bool {
        let point = &self.store.points[number as usize];
        let value = |series: u32| {
            let of = self.store.series.get(series as usize).filter(|of| self.is_new(of))?;
            Some(of.value)
        };
        let Some(count) = value(steps.count).and_then(whole) else { return false };
        let ms = self.ms(steps.count);
        if steps.series().any(|(series, _)| value(series).is_some() && self.ms(series) != ms) {
            return false;
        }
        let sum = value(steps.sum);
        let present = || steps.steps.iter().filter_map(|&(bound, series)| Some((bound, value(series)?)));
        if shape == Shape::Summary {
            let Some(sum) = sum else { return false };
            w.message(metric::POINTS, |w| {
                self.times(number, ms, w);
                w.fixed64(summary_point::COUNT, count);
                w.double(summary_point::SUM, sum);
                for (quantile, value) in present() {
                    w.message(summary_point::QUANTILE_VALUES, |w| {
                        w.double(summary_point::QUANTILE, quantile);
                        w.double(summary_point::VALUE, value);
                    });
                }
                w.raw(self.store.attributes(point));
            });
        } else {
            let mut counts = Vec::with_capacity(steps.steps.len() + 1);
            let mut below = 0;
            for cumulative in present().map(|(_, value)| value).chain(value(steps.infinite)).map(whole) {
                let Some(bucket) = cumulative.and_then(|cumulative| cumulative.checked_sub(below)) else {
                    return false;
                };
                counts.push(bucket);
                below += bucket;
            }
            if value(steps.infinite).is_none() || below != count {
                return false;
            }
            let bounds: Vec<u64> = present().map(|(bound, _)| bound.to_bits()).collect();
            w.message(metric::POINTS, |w| {
                self.times(number, ms, w);
                w.fixed64(histogram_point::COUNT, count);
                if let Some(sum) = sum {
                    w.double(histogram_point::SUM, sum);
                }
                w.packed_fixed64(histogram_point::BUCKET_COUNTS, counts.into_iter());
                w.packed_fixed64(histogram_point::EXPLICIT_BOUNDS, bounds.into_iter());
                if !self.moment.exemplars.is_empty() {
                    for (series, _) in steps.series() {
                        self.exemplars(histogram_point::EXEMPLARS, series, ms, w);
                    }
                }
                w.raw(self.store.attributes(point));
            });
        }
        self.items += 1;
        true
    }

    /// Marks stale what is gone of a point of which nothing is left.
    fn stale_steps(
        &mut self,
        number: u32,
        shape: Shape,
        custom: bool,
        steps: &Steps,
        loose: &mut Vec<Loose>,
        w: &mut Writer,
    ) {
        let point = &self.store.points[number as usize];
        let gone = |series: u32| self.store.series.get(series as usize).is_some_and(|of| self.is_gone(of));
        // Exporters mark the sum and the count stale with the point, so these must have been there.
        let is_whole = gone(steps.count) && gone(steps.sum) && (shape == Shape::Summary || gone(steps.infinite));
        if !is_whole && !custom {
            let at_ms = self.moment.at_ms;
            let all = steps.series().filter(|(series, _)| gone(*series));
            loose.extend(all.map(|(series, part)| self.loose(number, part, series, None, at_ms)));
            return;
        }
        let bounds: Vec<f64> = steps.steps.iter().filter(|(_, s)| gone(*s)).map(|(bound, _)| *bound).collect();
        w.message(metric::POINTS, |w| {
            if shape == Shape::Summary {
                w.fixed64(summary_point::TIME, nanos(self.moment.at_ms));
                for quantile in bounds {
                    w.message(summary_point::QUANTILE_VALUES, |w| w.double(summary_point::QUANTILE, quantile));
                }
            } else {
                w.fixed64(histogram_point::TIME, nanos(self.moment.at_ms));
                w.double(histogram_point::SUM, 0.0);
                w.packed_fixed64(histogram_point::BUCKET_COUNTS, vec![0; bounds.len() + 1].into_iter());
                w.packed_fixed64(
                    histogram_point::EXPLICIT_BOUNDS,
                    bounds.iter().map(|b| b.to_bits()).collect::<Vec<_>>().into_iter(),
                );
            }
            w.raw(self.store.attributes(point));
            let flags = if shape == Shape::Summary { summary_point::FLAGS } else { histogram_point::FLAGS };
            w.varint(flags, NO_RECORDED_VALUE);
        });
        self.items += 1;
    }

    fn loose(&self, point: u32, part: Part, series: u32, value: Option<f64>, ms: i64) -> Loose {
        let metric = self.store.points[point as usize].metric;
        let piece = match (part, self.store.metrics[metric as usize].key.shape) {
            (Part::Step(_), Shape::Histogram) => Piece::Bucket,
            (Part::Step(_) | Part::Value, _) => Piece::Whole,
            (Part::Sum, _) => Piece::Sum,
            (Part::Count, _) => Piece::Count,
        };
        Loose { metric, piece, point, part, series, value, ms }
    }

    fn write_loose(&mut self, mut all: Vec<Loose>, w: &mut Writer) {
        all.sort_by_key(|loose| (loose.metric, loose.piece));
        for group in all.chunk_by(|a, b| (a.metric, a.piece) == (b.metric, b.piece)) {
            let of = &self.store.metrics[group[0].metric as usize];
            let shape = of.key.shape;
            w.message(scope_group::ITEMS, |w| {
                if matches!(shape, Shape::Histogram | Shape::Summary) {
                    let help = self.families.family(of.family).map_or("", |family| &family.help);
                    let name = format!("{}{}", of.key.name, group[0].piece.suffix());
                    head(&name, help, "", Kind::Unknown, w);
                    data(Shape::Gauge, w, |w| group.iter().for_each(|loose| self.loose_point(loose, shape, w)));
                } else {
                    w.raw(&of.head);
                    data(shape, w, |w| {
                        for loose in group {
                            self.single_point(loose.point, shape, loose.series, loose.value, loose.ms, w);
                        }
                    });
                }
            });
        }
    }

    /// A piece of a histogram or summary as a gauge point.
    fn loose_point(&mut self, loose: &Loose, shape: Shape, w: &mut Writer) {
        self.items += 1;
        let point = &self.store.points[loose.point as usize];
        w.message(metric::POINTS, |w| {
            w.fixed64(number_point::TIME, nanos(loose.ms));
            if let Some(value) = loose.value {
                w.double(number_point::AS_DOUBLE, value);
                self.exemplars(number_point::EXEMPLARS, loose.series, loose.ms, w);
            }
            for attribute in Fields::new(self.store.attributes(point)).flatten() {
                if let Ok(attribute) = attribute.value.bytes() {
                    w.bytes(number_point::ATTRIBUTES, attribute);
                }
            }
            if let Part::Step(bound) = loose.part {
                let label = if shape == Shape::Summary { "quantile" } else { "le" };
                w.attribute(number_point::ATTRIBUTES, label, Scalar::Text(&open_metrics_float(bound)));
            }
            if loose.value.is_none() {
                w.varint(number_point::FLAGS, NO_RECORDED_VALUE);
            }
        });
    }
}
