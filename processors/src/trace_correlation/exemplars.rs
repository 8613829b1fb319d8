//! Exemplars for histograms that a span explains: which spans measure what, and which points count it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use pipeline::Signal;
use pipeline::batch::Batch;
use pipeline::otlp::edit::{self, Change};
use pipeline::otlp::fields::{exemplar, histogram_point, metric};
use pipeline::otlp::view::{AnyValue, HistogramPoint, Metric, MetricKind, NO_RECORDED_VALUE, Repeated, Span, View};
use pipeline::otlp::write::Writer;
use pipeline::otlp::{Place, WireError};

use super::config::Exemplar;
use super::memory::{Memory, State};
use super::observations::{Given, Observation};

/// The rules of a config, by what they are looked up by.
pub struct Rules {
    rules: Vec<Exemplar>,
    by_metric: HashMap<String, usize>,
    by_span: HashMap<String, Vec<usize>>,
}

/// The value of a rule that is the span's own duration in seconds.
const DURATION: &str = "duration";
/// Attributes of a point that name the model.
const MODEL: [&str; 2] = ["model", "model_name"];

impl Rules {
    /// The rules; of two for one metric the first counts.
    pub fn new(rules: Vec<Exemplar>) -> Rules {
        let (mut by_metric, mut by_span) = (HashMap::new(), HashMap::<String, Vec<usize>>::new());
        for (number, rule) in rules.iter().enumerate() {
            by_metric.entry(rule.metric.clone()).or_insert(number);
            by_span.entry(rule.span.clone()).or_default().push(number);
        }
        Rules { rules, by_metric, by_span }
    }

    /// What a span has measured, by the number of the rule.
    ///
    /// # Errors
    /// When its attributes are malformed.
    pub fn values(&self, span: &Span<'_>) -> Result<Vec<(usize, f64)>, WireError> {
        let mut values = Vec::new();
        for &number in self.by_span.get(span.name).into_iter().flatten() {
            let rule = &self.rules[number];
            let value = if rule.value == DURATION {
                seconds(span.start, span.end)
            } else {
                span.attributes().find(&rule.value)?.and_then(as_number)
            };
            values.extend(value.map(|value| (number, value * rule.scale.0)));
        }
        Ok(values)
    }

    /// Gives the histograms of a batch their exemplars. Answers what was offered to which series.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn add(&self, memory: &Memory, batch: Batch) -> Result<(Batch, Vec<Given>), WireError> {
        if self.rules.is_empty() {
            return Ok((batch, Vec::new()));
        }
        let mut found = Found::default();
        let batch = memory.with(|state| {
            let mut resource = (usize::MAX, 0);
            batch.map_parts(|part| {
                resource.0 = usize::MAX;
                edit::items(Signal::Metrics, part, |place, item, out| {
                    let metric = Metric::view(item)?;
                    let rule = self.by_metric.get(metric.name).filter(|_| metric.kind == MetricKind::Histogram);
                    let Some(&rule) = rule else { return Ok(Change::Keep) };
                    if resource.0 != place.resource_index {
                        resource = (place.resource_index, resource_hash(place)?);
                    }
                    found.metric(state, (rule, &metric), resource.1, item, out)
                })
            })
        })?;
        memory.counts().looked_up(Signal::Metrics, found.hits, found.misses);
        Ok((batch, found.given))
    }
}

#[derive(Default)]
struct Found {
    given: Vec<Given>,
    hits: u64,
    misses: u64,
}

impl Found {
    fn metric(
        &mut self,
        state: &State,
        (rule, metric): (usize, &Metric<'_>),
        resource: u64,
        item: &[u8],
        out: &mut Writer,
    ) -> Result<Change, WireError> {
        let (mut extra, mut is_changed) = (Writer::new(), false);
        out.fields_except(item, |number| number == metric::HISTOGRAM)?;
        for data in Repeated::<&[u8]>::new(item, metric::HISTOGRAM) {
            let data = data?;
            out.message(metric::HISTOGRAM, |out| -> Result<(), WireError> {
                out.fields_except(data, |number| number == metric::POINTS)?;
                for point in Repeated::<&[u8]>::new(data, metric::POINTS) {
                    let point = point?;
                    extra.clear();
                    self.point(state, rule, &(resource, metric.name), &HistogramPoint::view(point)?, &mut extra)?;
                    is_changed |= !extra.is_empty();
                    out.message(metric::POINTS, |out| {
                        out.raw(point);
                        out.raw(extra.as_slice());
                    });
                }
                Ok(())
            })?;
        }
        Ok(if is_changed { Change::Replace } else { Change::Keep })
    }

    /// Writes the newest observation for each bucket that counts it.
    fn point(
        &mut self,
        state: &State,
        rule: usize,
        of: &impl Hash,
        point: &HistogramPoint<'_>,
        out: &mut Writer,
    ) -> Result<(), WireError> {
        if point.flags & NO_RECORDED_VALUE != 0 || point.exemplars().next().is_some() {
            return Ok(());
        }
        let mut series = DefaultHasher::new();
        of.hash(&mut series);
        let mut model = None;
        for attribute in point.attributes() {
            let attribute = attribute?;
            attribute.raw.hash(&mut series);
            if model.is_none() && MODEL.contains(&attribute.key) {
                model = attribute.value.as_text();
            }
        }
        let series = series.finish();
        let bounds = point.explicit_bounds().collect::<Result<Vec<_>, _>>()?;
        let counts = point.bucket_counts().collect::<Result<Vec<_>, _>>()?;
        let mut newest: Vec<Option<(&Observation, f64)>> = vec![None; counts.len()];
        for (observation, value) in state.observations.of(rule, series) {
            // The bucket shows whether the histogram has counted it: an observation without a count is another's.
            let bucket = bounds.partition_point(|bound| *bound < value);
            let is_counted = counts.get(bucket).is_some_and(|count| *count > 0);
            let is_in_time = observation.end <= point.time && observation.end >= point.start;
            if is_counted && is_in_time && is_model(state, observation, model) {
                self.given.push((observation.number, series));
                if newest[bucket].is_none_or(|(other, _)| other.end <= observation.end) {
                    newest[bucket] = Some((observation, value));
                }
            }
        }
        for (observation, value) in newest.iter().flatten() {
            out.message(histogram_point::EXEMPLARS, |out| {
                out.fixed64(exemplar::TIME, observation.end);
                out.double(exemplar::AS_DOUBLE, *value);
                out.bytes(exemplar::SPAN_ID, &observation.span);
                out.bytes(exemplar::TRACE_ID, &observation.trace);
            });
        }
        let is_hit = newest.iter().any(Option::is_some);
        *(if is_hit { &mut self.hits } else { &mut self.misses }) += 1;
        Ok(())
    }
}

/// Whether a span is of the point's model; older frontends write it in lower case. A point that names none takes any.
fn is_model(state: &State, observation: &Observation, model: Option<&str>) -> bool {
    let Some(model) = model else { return true };
    let known = state.known(&observation.trace).and_then(|trace| trace.model.as_ref());
    known.is_some_and(|(_, known)| known.eq_ignore_ascii_case(model))
}

fn resource_hash(place: &Place<'_>) -> Result<u64, WireError> {
    let mut hash = DefaultHasher::new();
    for attribute in place.resource.attributes() {
        attribute?.raw.hash(&mut hash);
    }
    Ok(hash.finish())
}

#[allow(clippy::cast_precision_loss, reason = "durations of requests are short")]
fn seconds(start: u64, end: u64) -> Option<f64> {
    end.checked_sub(start).filter(|_| start > 0).map(|nanoseconds| nanoseconds as f64 / 1e9)
}

/// Dynamo writes its numbers as text.
#[allow(clippy::cast_precision_loss, reason = "numbers of tokens and milliseconds are small")]
fn as_number(value: AnyValue<'_>) -> Option<f64> {
    let number = match value {
        AnyValue::Text(text) => text.trim().parse().ok()?,
        AnyValue::Int(number) => number as f64,
        AnyValue::Double(number) => number,
        _ => return None,
    };
    Some(number).filter(|number: &f64| number.is_finite())
}
