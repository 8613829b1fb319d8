//! The series that Prometheus adds to each target: `up` and its company. They have the target's labels and are subject
//! to no rule and no limit.

use pipeline::otlp::fields::{metric, number_point, scope_group};
use pipeline::otlp::write::{Scalar, Writer};

use super::Counts;
use super::metric::{data, head, nanos};
use super::place::Shape;
use crate::prometheus::exposition::Kind;

const ABOUT: [(&str, &str); 8] = [
    ("up", "1 if the last scrape of the target succeeded, 0 if not."),
    ("scrape_duration_seconds", "How long the last scrape took."),
    ("scrape_samples_scraped", "Samples that the target exposed."),
    ("scrape_samples_post_metric_relabeling", "Samples left after metric relabelling."),
    ("scrape_series_added", "Series that were not there in the scrape before, about."),
    ("scrape_timeout_seconds", "The scrape timeout of the target."),
    ("scrape_sample_limit", "The sample limit of the target, 0 if there is none."),
    ("scrape_body_size_bytes", "Bytes of the last body after decompression, -1 if they were too many."),
];

/// What is measured of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub enum Measures {
    /// A scrape.
    Scrape {
        /// Whether it succeeded.
        up: bool,
        /// How long it took.
        seconds: f64,
        /// What the body held.
        counts: Counts,
        /// `extra_scrape_metrics`.
        extra: Option<Extra>,
    },
    /// The target is gone: the series are marked stale.
    Gone {
        /// `extra_scrape_metrics`.
        extra: bool,
    },
}

/// The further measures of `extra_scrape_metrics`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extra {
    /// The target's timeout.
    pub timeout_seconds: f64,
    /// The job's `sample_limit`.
    pub sample_limit: usize,
    /// Bytes of the body; `None` if it was too long.
    pub body_bytes: Option<usize>,
}

/// The measures of a target.
#[derive(Debug)]
pub struct Report<'a> {
    /// Its labels.
    pub target: &'a [(String, String)],
    /// What was measured.
    pub measures: &'a Measures,
}

impl Report<'_> {
    /// Writes one metric for each; answers how many.
    pub(super) fn write(&self, at_ms: i64, w: &mut Writer) -> usize {
        let values = self.values();
        for ((name, help), value) in ABOUT.iter().zip(&values) {
            w.message(scope_group::ITEMS, |w| {
                head(name, help, "", Kind::Gauge, w);
                data(Shape::Gauge, w, |w| self.point(*value, at_ms, w));
            });
        }
        values.len()
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of samples and bytes are far below 2^53")]
    fn values(&self) -> Vec<Option<f64>> {
        match self.measures {
            Measures::Gone { extra } => vec![None; if *extra { 8 } else { 5 }],
            Measures::Scrape { up, seconds, counts, extra } => {
                let up = if *up { 1.0 } else { 0.0 };
                let counted = [counts.scraped, counts.kept, counts.added].map(|count| count as f64);
                let mut values = vec![up, *seconds];
                values.extend(counted);
                if let Some(extra) = extra {
                    let bytes = extra.body_bytes.map_or(-1.0, |bytes| bytes as f64);
                    values.extend([extra.timeout_seconds, extra.sample_limit as f64, bytes]);
                }
                values.into_iter().map(Some).collect()
            }
        }
    }

    fn point(&self, value: Option<f64>, at_ms: i64, w: &mut Writer) {
        w.message(metric::POINTS, |w| {
            w.fixed64(number_point::TIME, nanos(at_ms));
            if let Some(value) = value {
                w.double(number_point::AS_DOUBLE, value);
            }
            for (name, value) in self.target.iter().filter(|(name, _)| !matches!(name.as_str(), "job" | "instance")) {
                w.attribute(number_point::ATTRIBUTES, name, Scalar::Text(value));
            }
            if value.is_none() {
                w.varint(number_point::FLAGS, 1);
            }
        });
    }
}
