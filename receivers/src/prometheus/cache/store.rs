//! The series of one target, laid out as OTLP will have them: resources, their metrics, their points, and in each point
//! the series that make it up. A series' attributes are kept serialized, so that writing a point is a copy.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use pipeline::otlp::fields::{any_value, key_value};
use pipeline::otlp::wire::{Fields, utf8};
use pipeline::otlp::write::{Scalar, Writer};

use super::families::{Families, Piece};
use super::index::{Index, NONE};
use super::place::{MetricKey, Part, Place, Shape, begun, place};
use super::texts::grow;
use crate::prometheus::exposition::{Kind, open_metrics_float};
use crate::prometheus::labels::{Labels, METRIC_NAME};

/// The series was there in the last good scrape: if it is missing it must be marked stale.
pub(super) const LIVE: u8 = 1;
/// It was there in the last good scrape, whether it can go stale or not: it is not counted as added.
pub(super) const KNOWN: u8 = 2;
/// Its sample of this scrape has a timestamp of its own.
pub(super) const EXPLICIT: u8 = 4;
/// Its sample of this scrape is one that was handed on already.
pub(super) const REPEATED: u8 = 8;

/// One series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series {
    /// Its last value.
    pub value: f64,
    /// The point it is part of.
    pub point: u32,
    /// The iteration that saw it last.
    pub seen: u32,
    /// What it is to its family.
    pub piece: Piece,
    /// `LIVE` and the others.
    pub flags: u8,
}

/// What becomes one OTLP data point.
#[derive(Debug)]
pub(super) struct Point {
    /// The metric it belongs to.
    pub metric: u32,
    start: u32,
    len: u32,
    /// The series it is made of.
    pub parts: Parts,
}

/// The series of a point.
#[derive(Debug)]
pub(super) enum Parts {
    /// The only one.
    Number(u32),
    /// Bounds or quantiles in ascending order, and what goes with them.
    Steps(Box<Steps>),
}

/// The series of a histogram or summary point; `NONE` for those that are not there.
#[derive(Debug)]
pub(super) struct Steps {
    /// Finite upper bounds of buckets, or quantiles, each with its series.
    pub steps: Vec<(f64, u32)>,
    /// The bucket without an upper bound.
    pub infinite: u32,
    /// `_sum`.
    pub sum: u32,
    /// `_count`.
    pub count: u32,
}

impl Default for Steps {
    fn default() -> Steps {
        Steps { steps: Vec::new(), infinite: NONE, sum: NONE, count: NONE }
    }
}

impl Steps {
    /// All series, each with what it is.
    pub(super) fn series(&self) -> impl Iterator<Item = (u32, Part)> {
        let infinite = (self.infinite, Part::Step(f64::INFINITY));
        let others = [infinite, (self.sum, Part::Sum), (self.count, Part::Count)];
        let steps = self.steps.iter().map(|&(bound, series)| (series, Part::Step(bound)));
        steps.chain(others).filter(|(series, _)| *series != NONE)
    }
}

/// A metric.
#[derive(Debug)]
pub(super) struct Metric {
    /// What it is.
    pub key: MetricKey,
    /// The family whose help and unit it has; `NONE` if it has none.
    pub family: u32,
    /// The type of that family by which its series were placed.
    pub family_kind: Kind,
    /// Its points.
    pub points: Vec<u32>,
    /// Name, description, unit and metadata, serialized.
    pub head: Vec<u8>,
    /// The family's version that `head` shows.
    pub head_version: u32,
}

/// A resource: what has the same `job` and `instance`.
#[derive(Debug)]
pub(super) struct Resource {
    /// Empty if the series have none.
    pub job: Box<str>,
    /// Empty if the series have none.
    pub instance: Box<str>,
    /// Its metrics.
    pub metrics: Vec<u32>,
    /// Series called `target_info`, whose labels describe it.
    pub infos: Vec<u32>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub resources: Vec<Resource>,
    pub metrics: Vec<Metric>,
    pub points: Vec<Point>,
    pub series: Vec<Series>,
    /// From a `_created` series to the point that began then.
    pub begins: HashMap<u32, u32>,
    attributes: Vec<u8>,
    /// The point whose attributes a new one was found to share.
    alike: u32,
    metrics_by_key: HashMap<MetricKey, u32>,
    points_index: Index,
    series_index: Index,
    hasher: RandomState,
}

impl Store {
    /// The serialized attributes of a point, each in the field of its shape.
    pub(super) fn attributes(&self, point: &Point) -> &[u8] {
        &self.attributes[point.start as usize..(point.start + point.len) as usize]
    }

    /// The resource with that `job` and `instance`.
    pub(super) fn resource(&mut self, job: &str, instance: &str) -> u32 {
        if let Some(at) = self.resources.iter().position(|r| *r.job == *job && *r.instance == *instance) {
            return number(at);
        }
        let (job, instance) = (job.into(), instance.into());
        self.resources.push(Resource { job, instance, metrics: Vec::new(), infos: Vec::new() });
        number(self.resources.len() - 1)
    }

    /// Whether there is a native histogram of that name, too.
    pub(super) fn has_native(&self, of: &MetricKey) -> bool {
        self.metrics_by_key.contains_key(&MetricKey { shape: Shape::Exponential, ..of.clone() })
    }

    /// The series with these final labels (sorted, unique); it is laid out if it is new.
    pub(super) fn series(&mut self, labels: &Labels<'_>, family: u32, piece: Piece, families: &Families) -> u32 {
        let is_native = |piece| piece == Piece::Native;
        let hash = self.hasher.hash_one((Hashable(labels), is_native(piece)));
        let is_it = |series: u32| {
            is_native(self.series[series as usize].piece) == is_native(piece)
                && self.labels(series).iter().eq(labels.iter())
        };
        if let Some(series) = self.series_index.find(hash, is_it) {
            return series;
        }
        let series = number(self.series.len());
        grow(&mut self.series, 1);
        self.series.push(Series { value: 0.0, point: NONE, seen: 0, piece, flags: 0 });
        self.lay_out(series, labels, family, piece, families);
        self.series_index.insert(hash, series);
        series
    }

    /// Puts a series into its point, which is made if need be.
    fn lay_out(&mut self, series: u32, labels: &Labels<'_>, family: u32, piece: Piece, families: &Families) {
        let resource = self.resource(labels.value("job"), labels.value("instance"));
        let own = place(resource, labels, family, piece, families);
        let step_label = matches!(own.part, Part::Step(_)).then_some(own.key.shape.step_label());
        let field = own.key.shape.attributes();
        let is_info = *own.key.name == *"target_info" && own.part == Part::Value;
        let point = self.point(&own, labels, step_label, field);
        self.attach(point, own.part, series);
        let entry = &mut self.series[series as usize];
        (entry.point, entry.piece) = (point, piece);
        if is_info {
            self.resources[resource as usize].infos.push(series);
        }
        if piece == Piece::Created
            && let Some((labels, piece)) = begun(labels, family, families)
        {
            let other = place(resource, &labels, family, piece, families);
            let point = self.point(&other, &labels, None, other.key.shape.attributes());
            self.begins.insert(series, point);
        }
    }

    /// The point with these labels.
    fn point(&mut self, place: &Place, labels: &Labels<'_>, step_label: Option<&str>, field: u32) -> u32 {
        let metric = self.metric(place);
        let mut w = Writer::new();
        for (name, value) in labels.iter() {
            if !matches!(name, METRIC_NAME | "job" | "instance") && Some(name) != step_label {
                w.attribute(field, name, Scalar::Text(value));
            }
        }
        let attributes = w.into_vec();
        let hash = self.hasher.hash_one((metric, &attributes));
        let is_it = |number: u32| {
            let point = &self.points[number as usize];
            point.metric == metric && self.attributes(point) == attributes
        };
        if let Some(point) = self.points_index.find(hash, is_it) {
            return point;
        }
        let point = number(self.points.len());
        let (start, len) = self.keep(&attributes, metric);
        let parts = match place.key.shape {
            Shape::Gauge | Shape::Sum { .. } | Shape::Exponential => Parts::Number(NONE),
            Shape::Histogram | Shape::Summary => Parts::Steps(Box::default()),
        };
        grow(&mut self.points, 1);
        self.points.push(Point { metric, start, len, parts });
        self.points_index.insert(hash, point);
        self.metrics[metric as usize].points.push(point);
        point
    }

    /// Keeps the attributes of the next point. Those of neighbouring metrics are often the same, in the same order: then
    /// they are there already.
    fn keep(&mut self, attributes: &[u8], metric: u32) -> (u32, u32) {
        let before = metric.checked_sub(1).and_then(|before| self.metrics[before as usize].points.first());
        let candidates = [self.alike.wrapping_add(1), before.copied().unwrap_or(NONE)];
        for candidate in candidates {
            if let Some(point) = self.points.get(candidate as usize)
                && self.attributes(point) == attributes
            {
                self.alike = candidate;
                return (point.start, point.len);
            }
        }
        grow(&mut self.attributes, attributes.len());
        self.attributes.extend_from_slice(attributes);
        (number(self.attributes.len() - attributes.len()), number(attributes.len()))
    }

    fn metric(&mut self, place: &Place) -> u32 {
        if let Some(&metric) = self.metrics_by_key.get(&place.key) {
            return metric;
        }
        let metric = number(self.metrics.len());
        self.metrics.push(Metric {
            key: place.key.clone(),
            family: place.family,
            family_kind: place.family_kind,
            points: Vec::new(),
            head: Vec::new(),
            head_version: NONE,
        });
        self.metrics_by_key.insert(place.key.clone(), metric);
        self.resources[place.key.resource as usize].metrics.push(metric);
        metric
    }

    fn attach(&mut self, point: u32, part: Part, series: u32) {
        match (&mut self.points[point as usize].parts, part) {
            (Parts::Number(place), _) => *place = series,
            (Parts::Steps(steps), Part::Step(f64::INFINITY)) => steps.infinite = series,
            (Parts::Steps(steps), Part::Step(bound)) => {
                let at = steps.steps.partition_point(|(other, _)| *other < bound);
                steps.steps.insert(at, (bound, series));
            }
            (Parts::Steps(steps), Part::Sum) => steps.sum = series,
            (Parts::Steps(steps), Part::Count | Part::Value) => steps.count = series,
        }
    }

    fn detach(&mut self, series: u32) {
        let point = self.series[series as usize].point;
        match &mut self.points[point as usize].parts {
            Parts::Number(place) => *place = NONE,
            Parts::Steps(steps) => {
                steps.steps.retain(|(_, other)| *other != series);
                for place in [&mut steps.infinite, &mut steps.sum, &mut steps.count] {
                    if *place == series {
                        *place = NONE;
                    }
                }
            }
        }
        self.resources.iter_mut().for_each(|resource| resource.infos.retain(|info| *info != series));
        self.begins.remove(&series);
    }

    /// What a series is to its point.
    pub(super) fn part(&self, series: u32) -> Part {
        match &self.points[self.series[series as usize].point as usize].parts {
            Parts::Number(_) => Part::Value,
            Parts::Steps(steps) => {
                steps.series().find(|(other, _)| *other == series).map_or(Part::Value, |(_, part)| part)
            }
        }
    }

    /// The final labels of a series, sorted.
    pub(super) fn labels(&self, series: u32) -> Labels<'_> {
        let point = &self.points[self.series[series as usize].point as usize];
        let key = &self.metrics[point.metric as usize].key;
        let resource = &self.resources[key.resource as usize];
        let mut labels: Labels<'_> = Fields::new(self.attributes(point))
            .flatten()
            .filter_map(|field| field.value.bytes().ok())
            .filter_map(|attribute| {
                let name = utf8(field(attribute, key_value::KEY)?).ok()?;
                let value = utf8(field(field(attribute, key_value::VALUE)?, any_value::STRING)?).ok()?;
                Some((name.into(), value.into()))
            })
            .collect();
        let suffix = match self.part(series) {
            Part::Sum => "_sum",
            Part::Count => "_count",
            Part::Value => "",
            Part::Step(bound) => {
                labels.set(key.shape.step_label(), open_metrics_float(bound));
                if key.shape == Shape::Histogram { "_bucket" } else { "" }
            }
        };
        labels.set(METRIC_NAME, format!("{}{suffix}", key.name));
        labels.set("job", &*resource.job);
        labels.set("instance", &*resource.instance);
        labels.sort();
        labels
    }

    /// Lays out again the series of families whose type has changed, or that had no family before.
    pub(super) fn retype(&mut self, families: &Families) {
        for metric in 0..self.metrics.len() {
            let Metric { family, family_kind, .. } = self.metrics[metric];
            if family != NONE && families.family(family).is_none_or(|family| family.kind == family_kind) {
                continue;
            }
            for point in self.metrics[metric].points.clone() {
                for series in self.series_of(point) {
                    self.retype_series(series, family, families);
                }
            }
        }
    }

    fn retype_series(&mut self, series: u32, family: u32, families: &Families) {
        let labels: Vec<_> = self.labels(series).into_owned();
        let labels: Labels<'_> = labels.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into())).collect();
        let piece = self.series[series as usize].piece;
        let exposed = match families.family(family) {
            Some(family) => format!("{}{}", String::from_utf8_lossy(&family.name), piece.suffix()),
            None => labels.value(METRIC_NAME).to_owned(),
        };
        let (family, piece) = match (piece, families.of_sample(&exposed)) {
            (Piece::Native, (family, _)) => (family, Piece::Native),
            (_, other) => other,
        };
        if family != NONE {
            self.detach(series);
            self.lay_out(series, &labels, family, piece, families);
        }
    }

    /// All series of a point.
    pub(super) fn series_of(&self, point: u32) -> Vec<u32> {
        match &self.points[point as usize].parts {
            Parts::Number(NONE) => Vec::new(),
            Parts::Number(series) => vec![*series],
            Parts::Steps(steps) => steps.series().map(|(series, _)| series).collect(),
        }
    }

    /// The same with only the series that `keep` names, and the new number of each (`NONE` for those left behind).
    /// `numbers` gives families their new numbers.
    pub(super) fn rebuilt(
        &self,
        keep: impl Fn(&Series) -> bool,
        families: &Families,
        numbers: &[u32],
    ) -> (Store, Vec<u32>) {
        let mut new = Store::default();
        if let Some(own) = self.resources.first() {
            new.resource(&own.job, &own.instance);
        }
        let mut renumbered = vec![NONE; self.series.len()];
        for (old, series) in (0u32..).zip(&self.series).filter(|(_, series)| keep(series)) {
            let family = self.metrics[self.points[series.point as usize].metric as usize].family;
            let family = numbers.get(family as usize).copied().unwrap_or(NONE);
            let number = new.series(&self.labels(old), family, series.piece, families);
            let entry = &mut new.series[number as usize];
            *entry = Series { point: entry.point, ..*series };
            renumbered[old as usize] = number;
        }
        (new, renumbered)
    }
}

/// The bytes of a field of a message of our own making.
fn field(message: &[u8], number: u32) -> Option<&[u8]> {
    Fields::new(message).flatten().find(|field| field.number == number)?.value.bytes().ok()
}

/// Labels as something that can be hashed.
struct Hashable<'a, 'b>(&'a Labels<'b>);

impl std::hash::Hash for Hashable<'_, '_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|pair| pair.hash(state));
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(NONE)
}
