//! The samples that a histogram or summary has in Prometheus' text format, as gauges of their own names.

use std::collections::HashMap;

use pipeline::otlp::WireError;
use pipeline::otlp::bound;
use pipeline::otlp::fields::{metric, number_point, scope_group};
use pipeline::otlp::view::{HistogramPoint, KeyValues, Metric, Repeated, SummaryPoint, View};
use pipeline::otlp::write::{Scalar, Writer};

/// Writes the samples of one metric.
pub struct Gauges<'m, 'a> {
    metric: &'m Metric<'a>,
    is_scraped: bool,
    /// The field of the metric that holds its points.
    data: u32,
    /// The label of buckets or quantiles.
    step: &'static str,
    /// What each of them is, as the attribute of a point; by the bits of the number.
    steps: HashMap<u64, Vec<u8>>,
    /// The attributes of the current point, as fields of a number point, without the label above.
    attributes: Writer,
}

/// Time and flags of a point.
#[derive(Clone, Copy)]
struct Head {
    time: u64,
    flags: u32,
}

impl<'m, 'a> Gauges<'m, 'a> {
    /// A histogram's samples, in its field `data`.
    pub fn of_histogram(metric: &'m Metric<'a>, is_scraped: bool) -> Gauges<'m, 'a> {
        Gauges::new(metric, is_scraped, metric::HISTOGRAM, "le")
    }

    /// A summary's samples.
    pub fn of_summary(metric: &'m Metric<'a>, is_scraped: bool) -> Gauges<'m, 'a> {
        Gauges::new(metric, is_scraped, metric::SUMMARY, "quantile")
    }

    fn new(metric: &'m Metric<'a>, is_scraped: bool, data: u32, step: &'static str) -> Gauges<'m, 'a> {
        Gauges { metric, is_scraped, data, step, steps: HashMap::new(), attributes: Writer::new() }
    }

    /// A histogram's buckets, counted from the lowest as Prometheus does.
    ///
    /// # Errors
    /// When the metric is malformed; likewise below.
    pub fn buckets(&mut self, out: &mut Writer) -> Result<(), WireError> {
        self.gauge("_bucket", out, |this, out, point: &HistogramPoint<'_>| {
            let head = this.begin(point.time, point.flags, point.attributes(), true)?;
            let mut below = 0u64;
            for (bound, count) in point.explicit_bounds().zip(point.bucket_counts()) {
                let bound = bound?;
                below = below.saturating_add(count?);
                if bound != f64::INFINITY {
                    this.sample(out, head, Some(bound), as_double(below));
                }
            }
            this.sample(out, head, Some(f64::INFINITY), as_double(point.count));
            Ok(())
        })
    }

    /// A histogram's sums, of the points that have one.
    pub fn histogram_sums(&mut self, out: &mut Writer) -> Result<(), WireError> {
        self.gauge("_sum", out, |this, out, point: &HistogramPoint<'_>| {
            let head = this.begin(point.time, point.flags, point.attributes(), false)?;
            point.sum.into_iter().for_each(|sum| this.sample(out, head, None, sum));
            Ok(())
        })
    }

    /// A histogram's counts.
    pub fn histogram_counts(&mut self, out: &mut Writer) -> Result<(), WireError> {
        self.gauge("_count", out, |this, out, point: &HistogramPoint<'_>| {
            let head = this.begin(point.time, point.flags, point.attributes(), false)?;
            this.sample(out, head, None, as_double(point.count));
            Ok(())
        })
    }

    /// A summary's quantiles.
    pub fn quantiles(&mut self, out: &mut Writer) -> Result<(), WireError> {
        self.gauge("", out, |this, out, point: &SummaryPoint<'_>| {
            let head = this.begin(point.time, point.flags, point.attributes(), true)?;
            for quantile in point.quantiles() {
                let quantile = quantile?;
                this.sample(out, head, Some(quantile.quantile), quantile.value);
            }
            Ok(())
        })
    }

    /// A summary's sums.
    pub fn summary_sums(&mut self, out: &mut Writer) -> Result<(), WireError> {
        self.gauge("_sum", out, |this, out, point: &SummaryPoint<'_>| {
            let head = this.begin(point.time, point.flags, point.attributes(), false)?;
            this.sample(out, head, None, point.sum);
            Ok(())
        })
    }

    /// A summary's counts.
    pub fn summary_counts(&mut self, out: &mut Writer) -> Result<(), WireError> {
        self.gauge("_count", out, |this, out, point: &SummaryPoint<'_>| {
            let head = this.begin(point.time, point.flags, point.attributes(), false)?;
            this.sample(out, head, None, as_double(point.count));
            Ok(())
        })
    }

    /// A gauge of the metric's name with a suffix, with what `write` makes of each point; nothing without samples.
    fn gauge<P: View<'a>>(
        &mut self,
        suffix: &str,
        out: &mut Writer,
        write: impl Fn(&mut Self, &mut Writer, &P) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
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
                for occurrence in Repeated::<&[u8]>::new(self.metric.raw, self.data) {
                    for point in Repeated::<P>::new(occurrence?, metric::POINTS) {
                        write(self, w, &point?)?;
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

    /// Begins with a point: its attributes are gathered, but for the label of its steps where those get their own.
    fn begin(&mut self, time: u64, flags: u32, attributes: KeyValues<'_>, has_steps: bool) -> Result<Head, WireError> {
        self.attributes.clear();
        for attribute in attributes {
            let attribute = attribute?;
            if !(has_steps && attribute.key == self.step) {
                self.attributes.bytes(number_point::ATTRIBUTES, attribute.raw);
            }
        }
        Ok(Head { time, flags })
    }

    /// A sample of the current point.
    fn sample(&mut self, out: &mut Writer, head: Head, step: Option<f64>, value: f64) {
        out.message(metric::POINTS, |w| {
            w.fixed64(number_point::TIME, head.time);
            w.double(number_point::AS_DOUBLE, value);
            w.raw(self.attributes.as_slice());
            if let Some(step) = step {
                w.raw(self.step(step));
            }
            if head.flags != 0 {
                w.varint(number_point::FLAGS, u64::from(head.flags));
            }
        });
    }

    /// The attribute that says which bucket or quantile it is.
    fn step(&mut self, number: f64) -> &[u8] {
        let (name, is_scraped) = (self.step, self.is_scraped);
        self.steps.entry(number.to_bits()).or_insert_with(|| {
            let mut text = String::new();
            if is_scraped {
                bound::write_canonical(&mut text, number);
            } else {
                bound::write_plain(&mut text, number);
            }
            let mut field = Writer::new();
            field.attribute(number_point::ATTRIBUTES, name, Scalar::Text(&text));
            field.into_vec()
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
fn as_double(count: u64) -> f64 {
    count as f64
}
