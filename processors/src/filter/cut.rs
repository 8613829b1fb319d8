//! Cuts a metric down to some of the samples that it has in Prometheus' text format. Where what is left is no histogram
//! or summary any more, its samples become gauges of their own names, as a scrape of the text that is left would give.

use pipeline::otlp::WireError;
use pipeline::otlp::edit::Change;
use pipeline::otlp::fields::{histogram_point, metric, summary_point};
use pipeline::otlp::view::{Metric, MetricKind, Repeated};
use pipeline::otlp::write::Writer;

use super::gauges::Gauges;
use super::names::Samples;

/// What becomes of a metric of which only some samples are to go on; the new form is written to `out`.
/// `is_scraped` says that its names are Prometheus' own.
///
/// # Errors
/// When the metric is malformed.
pub fn cut(metric: &Metric<'_>, keep: Samples, is_scraped: bool, out: &mut Writer) -> Result<Change, WireError> {
    let Samples { own, total, bucket, sum, count } = keep;
    let before = out.len();
    let whole = |keeps: bool| Ok(if keeps { Change::Keep } else { Change::Drop });
    match metric.kind {
        MetricKind::Empty | MetricKind::Gauge | MetricKind::ExponentialHistogram => return whole(own),
        MetricKind::Sum => return whole(if metric.is_monotonic && !is_scraped { total } else { own }),
        MetricKind::Histogram => match (bucket, sum, count) {
            (true, true, true) | (false, false, false) => return whole(bucket),
            (true, false, true) => return without(metric, histogram_point::SUM, metric::HISTOGRAM, out),
            _ => {
                let mut gauges = Gauges::of_histogram(metric, is_scraped);
                if bucket {
                    gauges.buckets(out)?;
                }
                if sum {
                    gauges.histogram_sums(out)?;
                }
                if count {
                    gauges.histogram_counts(out)?;
                }
            }
        },
        MetricKind::Summary => match (own, sum, count) {
            (true, true, true) | (false, false, false) => return whole(own),
            (false, true, true) => return without(metric, summary_point::QUANTILE_VALUES, metric::SUMMARY, out),
            _ => {
                let mut gauges = Gauges::of_summary(metric, is_scraped);
                if own {
                    gauges.quantiles(out)?;
                }
                if sum {
                    gauges.summary_sums(out)?;
                }
                if count {
                    gauges.summary_counts(out)?;
                }
            }
        },
    }
    Ok(if out.len() == before { Change::Drop } else { Change::Split })
}

/// The metric with one field less in each of its points.
fn without(metric: &Metric<'_>, field: u32, data: u32, out: &mut Writer) -> Result<Change, WireError> {
    out.fields_except(metric.raw, |number| number == data)?;
    for occurrence in Repeated::<&[u8]>::new(metric.raw, data) {
        let occurrence = occurrence?;
        out.message(data, |w| -> Result<(), WireError> {
            w.fields_except(occurrence, |number| number == metric::POINTS)?;
            for point in Repeated::<&[u8]>::new(occurrence, metric::POINTS) {
                let point = point?;
                w.message(metric::POINTS, |w| w.fields_except(point, |number| number == field))?;
            }
            Ok(())
        })?;
    }
    Ok(Change::Replace)
}
