//! From OTLP metrics to the series of the store.

use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::view::{
    ExponentialPoint, HistogramPoint, KeyValues, Metric, MetricKind, NO_RECORDED_VALUE, Number, NumberPoint, Repeated,
    SummaryPoint, Temporality, View,
};
use pipeline::otlp::write::Writer;

use super::protobuf;
use super::store::{Exemplar, Labels, Refusal, Said, Series, Store, Value};
use crate::dropped::Dropped;
use crate::translation::{Around, Family, Metrics, Translation, Type, exemplars, native, walk};

/// Takes in a batch; answers what is not kept.
///
/// # Errors
/// When it is malformed; what came before stays.
pub fn take(translation: &Translation, batch: &Batch, store: &mut Store) -> Result<Dropped, WireError> {
    store.sweep(true);
    let mut taker = Taker { store, labels: Labels::default(), dropped: Dropped::default() };
    walk(translation, batch, &mut taker)?;
    Ok(taker.dropped)
}

struct Taker<'s> {
    store: &'s mut Store,
    labels: Labels,
    dropped: Dropped,
}

impl<'a> Metrics<'a> for Taker<'_> {
    fn metric(&mut self, around: &mut Around<'a>, metric: &Metric<'a>) -> Result<(), WireError> {
        if let Some((code, message)) = unfit(around, metric) {
            let points = metric.points::<&[u8]>().filter(Result::is_ok).count();
            self.dropped.add(code, message, points);
            return Ok(());
        }
        let family = Family::of(metric, around.scraped)?;
        let said = Said { kind: family.kind, help: family.help, unit: &family.unit };
        match metric.kind {
            MetricKind::Gauge | MetricKind::Sum => self.points(around, metric, &said, number),
            MetricKind::Histogram => self.points(around, metric, &said, histogram),
            MetricKind::ExponentialHistogram => self.points(around, metric, &said, exponential),
            MetricKind::Summary => self.points(around, metric, &said, summary),
            MetricKind::Empty => Ok(()),
        }
    }

    fn target_info(&mut self, around: &mut Around<'a>, time: u64) -> Result<(), WireError> {
        self.labels.clear();
        let labels = &mut self.labels;
        around.target_labels(|name, value| labels.push(name, value));
        let said = Said { kind: Type::Info, help: "Target metadata", unit: "" };
        self.put(around, &said, Series::new(Value::Number(1.0), 0, time));
        Ok(())
    }
}

/// What is read of a point.
struct Read<'a> {
    attributes: KeyValues<'a>,
    /// Which label is the format's own.
    own: &'static str,
    flags: u32,
    series: Option<Series>,
    exemplars: Option<Repeated<'a, pipeline::otlp::view::Exemplar<'a>>>,
}

impl Taker<'_> {
    fn points<'a, P: View<'a>>(
        &mut self,
        around: &mut Around<'a>,
        metric: &Metric<'a>,
        said: &Said<'_>,
        read: fn(&P, bool) -> Result<Read<'a>, WireError>,
    ) -> Result<(), WireError> {
        for point in metric.points::<P>() {
            let Read { attributes, own, flags, series, exemplars } = read(&point?, around.scraped)?;
            self.labels.clear();
            let labels = &mut self.labels;
            around.point_labels(attributes, own, |name, value| labels.push(name, value))?;
            if flags & NO_RECORDED_VALUE != 0 {
                self.store.remove(&around.name, &self.labels);
                continue;
            }
            let Some(mut series) = series else {
                self.dropped.add(
                    "no_form",
                    "the point has no value, or a scale below -4, coarser than Prometheus has",
                    1,
                );
                continue;
            };
            around.saw(series.time);
            for exemplar in exemplars.into_iter().flatten() {
                let exemplar = exemplar?;
                let labels = exemplars::labels(&exemplar, around.label_namer())?;
                series.exemplars.push(Exemplar { labels, value: exemplar.value.as_f64(), time: exemplar.time });
            }
            self.put(around, said, series);
        }
        Ok(())
    }

    fn put(&mut self, around: &Around<'_>, said: &Said<'_>, series: Series) {
        match self.store.put(&around.name, said, &self.labels, series) {
            Ok(()) => {}
            Err(Refusal::Full) => {
                self.dropped.add("max_bytes", "there is no room for a new series within max_bytes", 1);
            }
            Err(Refusal::Conflict) => {
                let message = "another metric of that name is of another kind, and a family has only one";
                self.dropped.add("type_conflict", message, 1);
            }
        }
    }
}

fn unfit(around: &Around<'_>, metric: &Metric<'_>) -> Option<(&'static str, &'static str)> {
    let summed = matches!(metric.kind, MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram);
    match metric.temporality {
        Temporality::Delta if summed => Some((
            "delta_temporality",
            "Prometheus needs cumulative metrics, this one counts since the last report; \
             put a delta_to_cumulative processor before",
        )),
        Temporality::Unspecified if summed => {
            Some(("unspecified_temporality", "the metric does not say whether it is cumulative or delta"))
        }
        _ => around.name.is_empty().then_some(("no_metric_name", "the metric has no name")),
    }
}

fn number<'a>(point: &NumberPoint<'a>, _: bool) -> Result<Read<'a>, WireError> {
    let value = (point.value != Number::Empty).then(|| Value::Number(point.value.as_f64()));
    Ok(Read {
        attributes: point.attributes(),
        own: "",
        flags: point.flags,
        series: value.map(|value| Series::new(value, point.start, point.time)),
        exemplars: Some(point.exemplars()),
    })
}

fn histogram<'a>(point: &HistogramPoint<'a>, _: bool) -> Result<Read<'a>, WireError> {
    let mut buckets = Vec::new();
    let mut count = 0u64;
    for (bound, in_bucket) in point.explicit_bounds().zip(point.bucket_counts()) {
        count = count.saturating_add(in_bucket?);
        buckets.push((bound?, count));
    }
    buckets.retain(|(bound, _)| *bound != f64::INFINITY);
    buckets.push((f64::INFINITY, point.count));
    let value = Value::Histogram { count: point.count, sum: point.sum, buckets };
    Ok(Read {
        attributes: point.attributes(),
        own: "le",
        flags: point.flags,
        series: Some(Series::new(value, point.start, point.time)),
        exemplars: Some(point.exemplars()),
    })
}

fn exponential<'a>(point: &ExponentialPoint<'a>, scraped: bool) -> Result<Read<'a>, WireError> {
    let mut series = None;
    if native::has_form(point) {
        let mut buckets = Writer::new();
        protobuf::write_native(&mut buckets, point, scraped)?;
        let sum = point.sum.unwrap_or(0.0);
        let value = Value::Native { count: point.count, sum, buckets: buckets.into_vec() };
        series = Some(Series::new(value, point.start, point.time));
    }
    Ok(Read {
        attributes: point.attributes(),
        own: "le",
        flags: point.flags,
        series,
        exemplars: Some(point.exemplars()),
    })
}

fn summary<'a>(point: &SummaryPoint<'a>, _: bool) -> Result<Read<'a>, WireError> {
    let quantiles = point.quantiles().map(|quantile| quantile.map(|q| (q.quantile, q.value)));
    let quantiles = quantiles.collect::<Result<_, _>>()?;
    let value = Value::Summary { count: point.count, sum: point.sum, quantiles };
    Ok(Read {
        attributes: point.attributes(),
        own: "quantile",
        flags: point.flags,
        series: Some(Series::new(value, point.start, point.time)),
        exemplars: None,
    })
}
