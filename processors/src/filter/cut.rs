//! Cuts a metric down to some of the samples that it has in Prometheus' text format. Where what is left is no histogram
//! or summary any more, its samples become gauges of their own names, as a scrape of the text that is left would give.

use pipeline::otlp::WireError;
use pipeline::otlp::bound;
use pipeline::otlp::edit::Change;
use pipeline::otlp::fields::{histogram_point, metric, number_point, scope_group, summary_point};
use pipeline::otlp::view::{HistogramPoint, KeyValues, Metric, MetricKind, SummaryPoint, View};
use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::{Scalar, Writer};

use super::names::Samples;

/// What becomes of a metric of which only some samples are to go on; the new form is written to `out`.
/// `is_scraped` says that its names are Prometheus' own.
///
/// # Errors
/// When the metric is malformed.
pub fn cut(metric: &Metric<'_>, keep: Samples, is_scraped: bool, out: &mut Writer) -> Result<Change, WireError> {
    let Samples { own, total, bucket, sum, count } = keep;
    let whole = |keeps: bool| Ok(if keeps { Change::Keep } else { Change::Drop });
    match metric.kind {
        MetricKind::Empty | MetricKind::Gauge | MetricKind::ExponentialHistogram => whole(own),
        MetricKind::Sum => whole(if metric.is_monotonic && !is_scraped { total } else { own }),
        MetricKind::Histogram => match (bucket, sum, count) {
            (true, true, true) | (false, false, false) => whole(bucket),
            (true, false, true) => without(metric, histogram_point::SUM, metric::HISTOGRAM, out),
            _ => {
                let gauges = Gauges { metric, is_scraped, data: metric::HISTOGRAM };
                gauges.write(bucket, "_bucket", out, buckets)?;
                gauges.write(sum, "_sum", out, |w, _, point| {
                    let point = HistogramPoint::view(point)?;
                    if let Some(sum) = point.sum {
                        number(w, head(&point), point.attributes(), None, sum)?;
                    }
                    Ok(())
                })?;
                gauges.write(count, "_count", out, |w, _, point| {
                    let point = HistogramPoint::view(point)?;
                    number(w, head(&point), point.attributes(), None, as_double(point.count))
                })?;
                Ok(if out.is_empty() { Change::Drop } else { Change::Split })
            }
        },
        MetricKind::Summary => match (own, sum, count) {
            (true, true, true) | (false, false, false) => whole(own),
            (false, true, true) => without(metric, summary_point::QUANTILE_VALUES, metric::SUMMARY, out),
            _ => {
                let gauges = Gauges { metric, is_scraped, data: metric::SUMMARY };
                gauges.write(own, "", out, quantiles)?;
                gauges.write(sum, "_sum", out, |w, _, point| {
                    let point = SummaryPoint::view(point)?;
                    number(w, summary_head(&point), point.attributes(), None, point.sum)
                })?;
                gauges.write(count, "_count", out, |w, _, point| {
                    let point = SummaryPoint::view(point)?;
                    number(w, summary_head(&point), point.attributes(), None, as_double(point.count))
                })?;
                Ok(if out.is_empty() { Change::Drop } else { Change::Split })
            }
        },
    }
}

/// The metric with one field less in each of its points.
fn without(metric: &Metric<'_>, field: u32, data: u32, out: &mut Writer) -> Result<Change, WireError> {
    out.fields_except(metric.raw, |number| number == data)?;
    for occurrence in messages(metric.raw, data) {
        let occurrence = occurrence?;
        out.message(data, |w| -> Result<(), WireError> {
            w.fields_except(occurrence, |number| number == metric::POINTS)?;
            for point in messages(occurrence, metric::POINTS) {
                let point = point?;
                w.message(metric::POINTS, |w| w.fields_except(point, |number| number == field))?;
            }
            Ok(())
        })?;
    }
    Ok(Change::Replace)
}

/// Writes the samples of a metric as gauges.
struct Gauges<'m, 'a> {
    metric: &'m Metric<'a>,
    is_scraped: bool,
    /// The field of the metric that holds its points.
    data: u32,
}

impl Gauges<'_, '_> {
    /// Writes a gauge of the metric's name with a suffix; `points` writes what a point of the metric becomes.
    fn write(
        &self,
        keeps: bool,
        suffix: &str,
        out: &mut Writer,
        mut points: impl FnMut(&mut Writer, bool, &[u8]) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if !keeps {
            return Ok(());
        }
        let before = out.len();
        let mut is_empty = true;
        out.message(scope_group::ITEMS, |w| -> Result<(), WireError> {
            w.text(metric::NAME, &format!("{}{suffix}", self.metric.name));
            w.text_unless_empty(metric::DESCRIPTION, self.metric.description);
            if self.is_scraped {
                w.attribute(metric::METADATA, "prometheus.type", Scalar::Text("unknown"));
            }
            w.message(metric::GAUGE, |w| -> Result<(), WireError> {
                let start = w.len();
                for occurrence in messages(self.metric.raw, self.data) {
                    for point in messages(occurrence?, metric::POINTS) {
                        points(w, self.is_scraped, point?)?;
                    }
                }
                is_empty = w.len() == start;
                Ok(())
            })
        })?;
        if is_empty {
            out.truncate(before);
        }
        Ok(())
    }
}

/// The occurrences of a message field.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], WireError>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(field) if field.number != number => None,
        Ok(field) => Some(field.value.bytes()),
        Err(error) => Some(Err(error)),
    })
}

/// Time and flags of a point.
#[derive(Clone, Copy)]
struct Head {
    time: u64,
    flags: u32,
}

fn head(point: &HistogramPoint<'_>) -> Head {
    Head { time: point.time, flags: point.flags }
}

fn summary_head(point: &SummaryPoint<'_>) -> Head {
    Head { time: point.time, flags: point.flags }
}

/// The buckets of a histogram point, counted from the lowest as Prometheus does.
fn buckets(out: &mut Writer, is_scraped: bool, point: &[u8]) -> Result<(), WireError> {
    let point = HistogramPoint::view(point)?;
    let mut below = 0u64;
    for (bound, count) in point.explicit_bounds().zip(point.bucket_counts()) {
        let bound = bound?;
        below = below.saturating_add(count?);
        if bound != f64::INFINITY {
            step(out, head(&point), point.attributes(), ("le", bound, is_scraped), as_double(below))?;
        }
    }
    step(out, head(&point), point.attributes(), ("le", f64::INFINITY, is_scraped), as_double(point.count))
}

fn quantiles(out: &mut Writer, is_scraped: bool, point: &[u8]) -> Result<(), WireError> {
    let point = SummaryPoint::view(point)?;
    for quantile in point.quantiles() {
        let quantile = quantile?;
        let label = ("quantile", quantile.quantile, is_scraped);
        step(out, summary_head(&point), point.attributes(), label, quantile.value)?;
    }
    Ok(())
}

/// A sample with a number in one of its labels.
fn step(
    out: &mut Writer,
    head: Head,
    attributes: KeyValues<'_>,
    (label, bound, is_scraped): (&str, f64, bool),
    value: f64,
) -> Result<(), WireError> {
    let mut text = String::new();
    if is_scraped {
        bound::write_canonical(&mut text, bound);
    } else {
        bound::write_plain(&mut text, bound);
    }
    number(out, head, attributes, Some((label, &text)), value)
}

fn number(
    out: &mut Writer,
    head: Head,
    attributes: KeyValues<'_>,
    label: Option<(&str, &str)>,
    value: f64,
) -> Result<(), WireError> {
    out.message(metric::POINTS, |w| {
        w.fixed64(number_point::TIME, head.time);
        w.double(number_point::AS_DOUBLE, value);
        for attribute in attributes {
            let attribute = attribute?;
            if label.is_none_or(|(name, _)| name != attribute.key) {
                w.bytes(number_point::ATTRIBUTES, attribute.raw);
            }
        }
        if let Some((name, text)) = label {
            w.attribute(number_point::ATTRIBUTES, name, Scalar::Text(text));
        }
        if head.flags != 0 {
            w.varint(number_point::FLAGS, u64::from(head.flags));
        }
        Ok(())
    })
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
fn as_double(count: u64) -> f64 {
    count as f64
}
