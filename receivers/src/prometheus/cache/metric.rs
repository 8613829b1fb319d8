//! The parts of a metric that are not its points, and small things that points are made of.

use pipeline::otlp::fields::metric;
use pipeline::otlp::write::{Scalar, Writer};

use super::families::Families;
use super::place::Shape;
use super::store::Metric;
use crate::prometheus::exposition::Kind;

const CUMULATIVE: u64 = 2;
/// Counts up to here are exact as a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes the head of a metric whose family has changed since it was written last.
pub(super) fn refresh_head(of: &mut Metric, families: &Families, trim: bool) {
    let family = families.family(of.family);
    let version = family.map_or(0, |family| family.version);
    if of.head_version == version {
        return;
    }
    of.head_version = version;
    let (help, unit) = family.map_or(("", ""), |family| (&*family.help, &*family.unit));
    let name = if trim { trimmed(&of.key.name, of.key.shape, unit) } else { &of.key.name };
    let mut w = Writer::onto(std::mem::take(&mut of.head));
    w.clear();
    head(name, help, unit, of.key.kind, &mut w);
    of.head = w.into_vec();
}

/// Name, description, unit and metadata of a metric.
pub(super) fn head(name: &str, help: &str, unit: &str, kind: Kind, w: &mut Writer) {
    w.text(metric::NAME, name);
    w.text_unless_empty(metric::DESCRIPTION, help);
    w.text_unless_empty(metric::UNIT, unit);
    w.attribute(metric::METADATA, "prometheus.type", Scalar::Text(kind.name()));
}

/// The data of a metric, with its points.
pub(super) fn data(shape: Shape, w: &mut Writer, points: impl FnOnce(&mut Writer)) {
    let field = match shape {
        Shape::Gauge => metric::GAUGE,
        Shape::Sum { .. } => metric::SUM,
        Shape::Histogram => metric::HISTOGRAM,
        Shape::Exponential => metric::EXPONENTIAL_HISTOGRAM,
        Shape::Summary => metric::SUMMARY,
    };
    w.message(field, |w| {
        points(w);
        if matches!(shape, Shape::Sum { .. } | Shape::Histogram | Shape::Exponential) {
            w.varint(metric::TEMPORALITY, CUMULATIVE);
        }
        if shape == (Shape::Sum { monotonic: true }) {
            w.varint(metric::IS_MONOTONIC, 1);
        }
    });
}

/// A name without the unit and, of a counter, `_total` at its end, as the collector trims it.
fn trimmed<'a>(name: &'a str, shape: Shape, unit: &str) -> &'a str {
    let is_counter = matches!(shape, Shape::Sum { .. });
    let name = name.strip_suffix("_total").filter(|base| is_counter && !base.is_empty()).unwrap_or(name);
    let without_unit = name.strip_suffix(unit).filter(|_| !unit.is_empty()).and_then(|base| base.strip_suffix('_'));
    without_unit.filter(|base| !base.is_empty()).unwrap_or(name)
}

/// A count, if it is one.
pub(super) fn whole(value: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range by the check")]
    ((0.0..=EXACT).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// Nanoseconds since 1970; times before are 1970.
pub(super) fn nanos(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}

/// The host and port of an `instance`.
pub(super) fn host_and_port(instance: &str) -> (&str, &str) {
    match instance.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
            (host.trim_start_matches('[').trim_end_matches(']'), port)
        }
        _ => (instance, ""),
    }
}

/// Whether a host tells anything to somebody elsewhere.
pub(super) fn is_discernible(host: &str) -> bool {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => !address.is_unspecified() && !address.is_loopback(),
        Err(_) => !host.is_empty() && host != "localhost",
    }
}
