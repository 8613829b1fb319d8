//! The protobuf format: `io.prometheus.client.MetricFamily`, each behind its length, with native histograms.

use pipeline::otlp::WireError;
use pipeline::otlp::view::ExponentialPoint;
use pipeline::otlp::wire::write_varint;
use pipeline::otlp::write::Writer;

use super::escape::Escaping;
use super::store::{Exemplar, Family, Labels, Series, Store, Value};
use crate::translation::Type;
use crate::translation::native::{Resolution, merged, write_buckets};

mod family {
    pub const NAME: u32 = 1;
    pub const HELP: u32 = 2;
    pub const TYPE: u32 = 3;
    pub const METRIC: u32 = 4;
    pub const UNIT: u32 = 5;
}

/// `MetricType`.
mod kind {
    pub const COUNTER: u64 = 0;
    pub const GAUGE: u64 = 1;
    pub const SUMMARY: u64 = 2;
    pub const UNTYPED: u64 = 3;
    pub const HISTOGRAM: u64 = 4;
}

mod metric {
    pub const LABEL: u32 = 1;
    pub const GAUGE: u32 = 2;
    pub const COUNTER: u32 = 3;
    pub const SUMMARY: u32 = 4;
    pub const UNTYPED: u32 = 5;
    pub const TIMESTAMP_MS: u32 = 6;
    pub const HISTOGRAM: u32 = 7;
    /// `LabelPair`, `Gauge`, `Counter`, `Untyped`.
    pub const NAME: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const NUMBER: u32 = 1;
    pub const COUNTER_EXEMPLAR: u32 = 2;
    pub const COUNTER_CREATED: u32 = 3;
}

mod summary {
    pub const COUNT: u32 = 1;
    pub const SUM: u32 = 2;
    pub const QUANTILE: u32 = 3;
    pub const CREATED: u32 = 4;
    pub const BOUND: u32 = 1;
    pub const VALUE: u32 = 2;
}

mod histogram {
    pub const COUNT: u32 = 1;
    pub const SUM: u32 = 2;
    pub const BUCKET: u32 = 3;
    pub const SCHEMA: u32 = 5;
    pub const ZERO_THRESHOLD: u32 = 6;
    pub const ZERO_COUNT: u32 = 7;
    pub const NEGATIVE: (u32, u32) = (9, 10);
    pub const POSITIVE: (u32, u32) = (12, 13);
    pub const CREATED: u32 = 15;
    pub const EXEMPLARS: u32 = 16;
    pub const BUCKET_COUNT: u32 = 1;
    pub const BUCKET_BOUND: u32 = 2;
    pub const BUCKET_EXEMPLAR: u32 = 3;
}

mod exemplar {
    pub const LABEL: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const TIMESTAMP: u32 = 3;
}

/// Everything in the store.
pub fn write(store: &Store, escaping: Escaping, timestamps: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, family) in store.families() {
        let mut w = Writer::new();
        w.text(family::NAME, &escaping.escape(name));
        w.text_unless_empty(family::HELP, &family.help);
        let kind = kind(family);
        w.varint(family::TYPE, kind);
        for (labels, series) in family.series() {
            w.message(family::METRIC, |w| write_metric(w, kind, labels, series, escaping, timestamps));
        }
        w.text_unless_empty(family::UNIT, &family.unit);
        write_varint(&mut out, w.len() as u64);
        out.extend_from_slice(w.as_slice());
    }
    out
}

/// Writes the buckets of a native histogram, as [`Value::Native`] keeps them.
///
/// # Errors
/// When they are malformed.
pub fn write_native(out: &mut Writer, point: &ExponentialPoint<'_>, scraped: bool) -> Result<(), WireError> {
    let Resolution { schema, coarser, zero_threshold } = Resolution::of(point, scraped);
    out.sint32(histogram::SCHEMA, schema);
    out.double(histogram::ZERO_THRESHOLD, zero_threshold);
    out.varint(histogram::ZERO_COUNT, point.zero_count);
    write_buckets(out, merged(&point.negative, coarser), histogram::NEGATIVE)?;
    write_buckets(out, merged(&point.positive, coarser), histogram::POSITIVE)
}

fn kind(family: &Family) -> u64 {
    match family.kind {
        _ if family.is_histogram() => kind::HISTOGRAM,
        Type::Counter => kind::COUNTER,
        Type::Gauge | Type::Info | Type::StateSet => kind::GAUGE,
        Type::Summary => kind::SUMMARY,
        Type::Histogram | Type::GaugeHistogram | Type::Unknown => kind::UNTYPED,
    }
}

fn write_metric(w: &mut Writer, kind: u64, labels: &Labels, series: &Series, escaping: Escaping, timestamps: bool) {
    for (name, value) in labels.iter() {
        write_label(w, metric::LABEL, &escaping.escape(name), value);
    }
    match &series.value {
        Value::Number(value) => {
            let field = match kind {
                kind::COUNTER => metric::COUNTER,
                kind::GAUGE => metric::GAUGE,
                _ => metric::UNTYPED,
            };
            w.message(field, |w| {
                w.double(metric::NUMBER, *value);
                if field == metric::COUNTER {
                    if let Some(exemplar) = series.exemplars.last() {
                        write_exemplar(w, metric::COUNTER_EXEMPLAR, exemplar, escaping);
                    }
                    write_time(w, metric::COUNTER_CREATED, series.start);
                }
            });
        }
        Value::Histogram { count, sum, buckets } => w.message(metric::HISTOGRAM, |w| {
            w.varint(histogram::COUNT, *count);
            w.double(histogram::SUM, sum.unwrap_or(0.0));
            let mut below = f64::NEG_INFINITY;
            for (bound, count) in buckets {
                w.message(histogram::BUCKET, |w| {
                    w.varint(histogram::BUCKET_COUNT, *count);
                    w.double(histogram::BUCKET_BOUND, *bound);
                    let within = |e: &&Exemplar| e.value > below && e.value <= *bound;
                    if let Some(exemplar) = series.exemplars.iter().rev().find(within) {
                        write_exemplar(w, histogram::BUCKET_EXEMPLAR, exemplar, escaping);
                    }
                });
                below = *bound;
            }
            write_time(w, histogram::CREATED, series.start);
        }),
        Value::Native { count, sum, buckets } => w.message(metric::HISTOGRAM, |w| {
            w.varint(histogram::COUNT, *count);
            w.double(histogram::SUM, *sum);
            w.raw(buckets);
            write_time(w, histogram::CREATED, series.start);
            // Without a time an exemplar of a native histogram is not read.
            for exemplar in series.exemplars.iter().filter(|e| e.time > 0) {
                write_exemplar(w, histogram::EXEMPLARS, exemplar, escaping);
            }
        }),
        Value::Summary { count, sum, quantiles } => w.message(metric::SUMMARY, |w| {
            w.varint(summary::COUNT, *count);
            w.double(summary::SUM, *sum);
            for (quantile, value) in quantiles {
                w.message(summary::QUANTILE, |w| {
                    w.double(summary::BOUND, *quantile);
                    w.double(summary::VALUE, *value);
                });
            }
            write_time(w, summary::CREATED, series.start);
        }),
    }
    if timestamps {
        w.varint(metric::TIMESTAMP_MS, series.time / 1_000_000);
    }
}

fn write_label(w: &mut Writer, field: u32, name: &str, value: &str) {
    w.message(field, |w| {
        w.text(metric::NAME, name);
        w.text(metric::VALUE, value);
    });
}

fn write_exemplar(w: &mut Writer, field: u32, exemplar: &Exemplar, escaping: Escaping) {
    w.message(field, |w| {
        for (name, value) in &exemplar.labels {
            write_label(w, exemplar::LABEL, &escaping.escape(name), value);
        }
        w.double(exemplar::VALUE, exemplar.value);
        write_time(w, exemplar::TIMESTAMP, exemplar.time);
    });
}

/// A `google.protobuf.Timestamp`, where the time is known.
fn write_time(w: &mut Writer, field: u32, nanoseconds: u64) {
    if nanoseconds > 0 {
        w.message(field, |w| {
            w.varint(1, nanoseconds / 1_000_000_000);
            w.varint(2, nanoseconds % 1_000_000_000);
        });
    }
}
