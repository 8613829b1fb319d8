//! OpenMetrics: families without the suffixes of their samples, units, start times, exemplars.

use std::fmt::Write;

use super::escape::Escaping;
use super::store::{Exemplar, Family, Series, Store, Value};
use super::text::{Line, Samples, write_escaped, write_label, write_name, write_value};
use crate::translation::Type;

/// Everything in the store.
pub fn write(store: &Store, escaping: Escaping, timestamps: bool) -> String {
    let mut out = String::new();
    for (name, family) in store.families() {
        let escaped = escaping.escape(name);
        let (word, plain) = described(&escaped, family);
        out.push_str("# TYPE ");
        write_name(&mut out, plain);
        writeln!(out, " {word}").unwrap_or_default();
        let unit = family.unit.as_ref();
        if !unit.is_empty() && plain.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')) {
            out.push_str("# UNIT ");
            write_name(&mut out, plain);
            writeln!(out, " {unit}").unwrap_or_default();
        }
        if !family.help.is_empty() {
            out.push_str("# HELP ");
            write_name(&mut out, plain);
            out.push(' ');
            write_escaped(&mut out, &family.help, true);
            out.push('\n');
        }
        for (labels, series) in family.series() {
            let mut samples = Samples { out: &mut out, name: &escaped, labels, escaping };
            let counts = word == "counter";
            samples.all(&series.value, |out, line| behind(out, series, line, counts, escaping, timestamps));
            if series.start > 0 && (counts || !matches!(series.value, Value::Number(_))) {
                let mut samples = Samples { out: &mut out, name: plain, labels, escaping };
                samples.line("_created", None, seconds(series.start), Line::Other, &mut |_, _| {});
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

/// The type and the name of a family. Names of samples stay: where they lack the suffix that the type asks for, the type
/// is not said.
fn described<'n>(name: &'n str, family: &Family) -> (&'static str, &'n str) {
    let without = |suffix: &str| name.strip_suffix(suffix).filter(|rest| !rest.is_empty());
    match family.kind {
        _ if family.is_histogram() => ("histogram", name),
        Type::Counter => without("_total").map_or(("unknown", name), |plain| ("counter", plain)),
        Type::Info => without("_info").map_or(("gauge", name), |plain| ("info", plain)),
        Type::Gauge | Type::StateSet => ("gauge", name),
        Type::Summary => ("summary", name),
        Type::Histogram | Type::GaugeHistogram | Type::Unknown => ("unknown", name),
    }
}

fn behind(out: &mut String, series: &Series, line: Line, counts: bool, escaping: Escaping, timestamps: bool) {
    if timestamps {
        out.push(' ');
        write_value(out, seconds(series.time));
    }
    let exemplar = match line {
        Line::Number if counts => series.exemplars.last(),
        Line::Bucket(below, bound) => series.exemplars.iter().rfind(|e| e.value > below && e.value <= bound),
        _ => None,
    };
    if let Some(exemplar) = exemplar {
        write_exemplar(out, exemplar, escaping);
    }
}

fn write_exemplar(out: &mut String, exemplar: &Exemplar, escaping: Escaping) {
    out.push_str(" # {");
    for (at, (name, value)) in exemplar.labels.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_label(out, name, value, escaping);
    }
    out.push_str("} ");
    write_value(out, exemplar.value);
    if exemplar.time > 0 {
        out.push(' ');
        write_value(out, seconds(exemplar.time));
    }
}

/// Nanoseconds as seconds, to the millisecond.
#[allow(clippy::cast_precision_loss, reason = "the format has floats")]
fn seconds(nanoseconds: u64) -> f64 {
    (nanoseconds / 1_000_000) as f64 / 1000.0
}
