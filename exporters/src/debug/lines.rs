//! A batch in lines: how much is in it, and one line for each item.

use std::fmt::Write;

use pipeline::otlp::hex::write_hex;
use pipeline::otlp::view::{
    ExponentialPoint, HistogramPoint, KeyValues, LogRecord, Metric, MetricKind, NO_RECORDED_VALUE, Number, NumberPoint,
    Span, SummaryPoint, resources,
};
use pipeline::otlp::{WireError, text};
use pipeline::{Batch, Signal};

use crate::plain;

/// What a batch holds: `traces: resources=1 spans=5`.
///
/// # Errors
/// When it is malformed.
pub fn summary(batch: &Batch) -> Result<String, WireError> {
    let (mut groups, mut metrics) = (0, 0);
    for part in batch.parts() {
        for group in resources(part) {
            let group = group?;
            groups += 1;
            if batch.signal() == Signal::Metrics {
                for scope in group.scopes() {
                    metrics += scope?.items::<&[u8]>().count();
                }
            }
        }
    }
    let signal = batch.signal();
    let metrics = if signal == Signal::Metrics { format!(" metrics={metrics}") } else { String::new() };
    Ok(format!("{signal}: resources={groups}{metrics} {}={}", signal.items(), batch.items()))
}

/// One line for each span, data point or log record, in order.
///
/// # Errors
/// When the batch is malformed.
pub fn items(batch: &Batch) -> Result<Vec<String>, WireError> {
    let mut out = Vec::with_capacity(batch.items());
    for part in batch.parts() {
        for group in resources(part) {
            for scope in group?.scopes() {
                let scope = scope?;
                match batch.signal() {
                    Signal::Traces => {
                        for item in scope.items() {
                            out.push(span(&item?)?);
                        }
                    }
                    Signal::Metrics => {
                        for item in scope.items() {
                            points(&mut out, &item?)?;
                        }
                    }
                    Signal::Logs => {
                        for item in scope.items() {
                            out.push(record(&item?)?);
                        }
                    }
                }
            }
        }
    }
    Ok(out)
}

fn span(span: &Span<'_>) -> Result<String, WireError> {
    let mut out = format!("{} ", span.name);
    write_hex(&mut out, span.trace_id_bytes);
    out.push(' ');
    write_hex(&mut out, span.span_id_bytes);
    write_attributes(&mut out, " ", span.attributes())?;
    Ok(out)
}

fn record(record: &LogRecord<'_>) -> Result<String, WireError> {
    let mut out = String::new();
    if !record.severity_text.is_empty() {
        write!(out, "{} ", record.severity_text).unwrap_or_default();
    }
    plain::write_text(&mut out, record.body)?;
    if !record.trace_id_bytes.is_empty() {
        out.push_str(" trace_id=");
        write_hex(&mut out, record.trace_id_bytes);
    }
    write_attributes(&mut out, " ", record.attributes())?;
    Ok(out)
}

/// `name{key=value,…} value`.
fn points(out: &mut Vec<String>, metric: &Metric<'_>) -> Result<(), WireError> {
    let named = |attributes: KeyValues<'_>, flags: u32| {
        let mut line = format!("{}{{", metric.name);
        write_attributes(&mut line, ",", attributes)?;
        line.push_str(if flags & NO_RECORDED_VALUE != 0 { "} (no recorded value)" } else { "}" });
        Ok(line)
    };
    match metric.kind {
        MetricKind::Empty => {}
        MetricKind::Gauge | MetricKind::Sum => {
            for point in metric.points::<NumberPoint<'_>>() {
                let point = point?;
                let line = named(point.attributes(), point.flags)?;
                out.push(match point.value {
                    Number::Empty => line,
                    Number::Int(value) => format!("{line} {value}"),
                    Number::Double(value) => format!("{line} {value}"),
                });
            }
        }
        MetricKind::Histogram => {
            for point in metric.points::<HistogramPoint<'_>>() {
                let point = point?;
                let mut line = named(point.attributes(), point.flags)?;
                write_distribution(&mut line, point.count, point.sum);
                for (bound, count) in point.explicit_bounds().zip(point.bucket_counts()) {
                    write!(line, " le{}={}", bound?, count?).unwrap_or_default();
                }
                out.push(line);
            }
        }
        MetricKind::ExponentialHistogram => {
            for point in metric.points::<ExponentialPoint<'_>>() {
                let point = point?;
                let mut line = named(point.attributes(), point.flags)?;
                write_distribution(&mut line, point.count, point.sum);
                write!(line, " scale={} zero={}", point.scale, point.zero_count).unwrap_or_default();
                out.push(line);
            }
        }
        MetricKind::Summary => {
            for point in metric.points::<SummaryPoint<'_>>() {
                let point = point?;
                let mut line = named(point.attributes(), point.flags)?;
                write_distribution(&mut line, point.count, Some(point.sum));
                for quantile in point.quantiles() {
                    let quantile = quantile?;
                    write!(line, " q{}={}", quantile.quantile, quantile.value).unwrap_or_default();
                }
                out.push(line);
            }
        }
    }
    Ok(())
}

fn write_distribution(out: &mut String, count: u64, sum: Option<f64>) {
    write!(out, " count={count}").unwrap_or_default();
    if let Some(sum) = sum {
        write!(out, " sum={sum}").unwrap_or_default();
    }
}

/// `key=value` pairs. A `,` stands between them, a space also before the first.
fn write_attributes(out: &mut String, separator: &str, attributes: KeyValues<'_>) -> Result<(), WireError> {
    for (i, attribute) in attributes.enumerate() {
        let attribute = attribute?;
        if i > 0 || separator == " " {
            out.push_str(separator);
        }
        write!(out, "{}=", attribute.key).unwrap_or_default();
        plain::write_text(out, attribute.value)?;
    }
    Ok(())
}

/// Everything in the batch, in the frame's text form.
///
/// # Errors
/// When the batch is malformed.
pub fn everything(batch: &Batch) -> Result<Vec<String>, WireError> {
    let mut out = Vec::new();
    for part in batch.parts() {
        out.extend(text::print(batch.signal(), part)?.lines().map(str::to_owned));
    }
    Ok(out)
}
