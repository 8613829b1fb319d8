//! Prometheus' text format to metrics and back to samples, as far as the tests need it: what a scrape would bring in, and
//! what remote write would send.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, metric::Data,
    number_data_point::Value,
};
use pipeline::Batch;
use pipeline::otlp::bound;

use super::{metrics, read_metrics, resource, scope};

/// Names, labels, and values as text (so that NaN equals NaN).
pub type Samples = BTreeSet<(String, BTreeMap<String, String>, String)>;

type Labels = BTreeMap<String, String>;
type Line = (String, Labels, f64);

/// The batch that a scrape of the text gives.
pub fn scrape(text: &str) -> Batch {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut order: Vec<(String, Vec<Line>)> = Vec::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kinds.extend(rest.split_once(' '));
        } else if !line.starts_with('#') {
            let sample = parse(line);
            let family = family(&sample.0, &kinds);
            match order.iter_mut().find(|(name, _)| *name == family) {
                Some((_, lines)) => lines.push(sample),
                None => order.push((family, vec![sample])),
            }
        }
    }
    let all = order.into_iter().map(|(name, lines)| {
        let data = match kinds.get(name.as_str()).copied().unwrap_or("untyped") {
            "counter" => {
                Data::Sum(Sum { data_points: numbers(&lines), aggregation_temporality: 2, is_monotonic: true })
            }
            "histogram" => {
                Data::Histogram(Histogram { data_points: histograms(&name, &lines), aggregation_temporality: 2 })
            }
            "summary" => Data::Summary(Summary { data_points: summaries(&name, &lines) }),
            _ => Data::Gauge(Gauge { data_points: numbers(&lines) }),
        };
        Metric { name, data: Some(data), ..Metric::default() }
    });
    metrics(resource("{service.name: dynamo}"), scope("slipring/prometheus", "0"), all.collect())
}

/// The samples in the text itself.
pub fn samples_of_text(text: &str) -> Samples {
    let lines = text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(parse).map(|(name, labels, value)| (name, canonical(labels), value.to_string())).collect()
}

/// The samples that a batch becomes at Prometheus.
pub fn samples(batch: &Batch) -> Samples {
    let mut out = Samples::new();
    let groups = read_metrics(batch).resource_metrics.into_iter().flat_map(|r| r.scope_metrics);
    for metric in groups.flat_map(|s| s.metrics) {
        let mut put = |suffix: &str, attributes: &[KeyValue], extra: Option<(&str, f64)>, value: f64| {
            let mut labels: Labels = attributes.iter().map(|a| (a.key.clone(), text(a))).collect();
            if let Some((name, bound)) = extra {
                labels.insert(name.to_owned(), written(bound));
            }
            out.insert((format!("{}{suffix}", metric.name), canonical(labels), value.to_string()));
        };
        match metric.data.unwrap() {
            Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. }) => {
                for p in data_points {
                    put("", &p.attributes, None, number(&p));
                }
            }
            Data::Histogram(histogram) => {
                for p in histogram.data_points {
                    let mut below = 0;
                    for (bound, count) in p.explicit_bounds.iter().zip(&p.bucket_counts) {
                        below += count;
                        put("_bucket", &p.attributes, Some(("le", *bound)), below as f64);
                    }
                    put("_bucket", &p.attributes, Some(("le", f64::INFINITY)), p.count as f64);
                    put("_count", &p.attributes, None, p.count as f64);
                    p.sum.into_iter().for_each(|sum| put("_sum", &p.attributes, None, sum));
                }
            }
            Data::Summary(summary) => {
                for p in summary.data_points {
                    for q in &p.quantile_values {
                        put("", &p.attributes, Some(("quantile", q.quantile)), q.value);
                    }
                    put("_count", &p.attributes, None, p.count as f64);
                    put("_sum", &p.attributes, None, p.sum);
                }
            }
            Data::ExponentialHistogram(_) => panic!("the text format has none"),
        }
    }
    out
}

/// The family that a sample belongs to.
fn family(sample: &str, kinds: &BTreeMap<&str, &str>) -> String {
    let of = |suffix: &str, kind: &[&str]| {
        let name = sample.strip_suffix(suffix)?;
        kinds.get(name).is_some_and(|k| kind.contains(k)).then(|| name.to_owned())
    };
    let both = &["histogram", "summary"];
    of("_bucket", &["histogram"])
        .or_else(|| of("_sum", both))
        .or_else(|| of("_count", both))
        .unwrap_or_else(|| sample.to_owned())
}

/// One line of a sample: name, labels, value.
fn parse(line: &str) -> Line {
    let Some((name, rest)) = line.split_once('{') else {
        let (name, value) = line.rsplit_once(' ').unwrap();
        return (name.to_owned(), Labels::new(), value.parse().unwrap());
    };
    let (mut labels, mut chars) = (Labels::new(), rest.chars());
    loop {
        let label: String = chars.by_ref().take_while(|c| *c != '=').collect();
        chars.next();
        let mut value = String::new();
        while let Some(c) = chars.next().filter(|c| *c != '"') {
            value.push(if c == '\\' { chars.next().map_or(c, |c| if c == 'n' { '\n' } else { c }) } else { c });
        }
        labels.insert(label, value);
        if chars.next() == Some('}') {
            return (name.to_owned(), labels, chars.as_str().trim().parse().unwrap());
        }
    }
}

/// Labels with their numbers written one way, without labels that are empty.
fn canonical(mut labels: Labels) -> Labels {
    for name in ["le", "quantile"] {
        if let Some(value) = labels.get_mut(name) {
            *value = written(value.parse().unwrap());
        }
    }
    labels.retain(|_, value| !value.is_empty());
    labels
}

fn written(bound: f64) -> String {
    let mut out = String::new();
    bound::write_canonical(&mut out, bound);
    out
}

fn text(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?} is not text"),
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(Value::AsDouble(v)) => v,
        other => panic!("{other:?} is not a double"),
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let any = |v: &String| AnyValue { value: Some(any_value::Value::StringValue(v.clone())) };
    labels.iter().map(|(k, v)| KeyValue { key: k.clone(), value: Some(any(v)), ..KeyValue::default() }).collect()
}

fn numbers(lines: &[Line]) -> Vec<NumberDataPoint> {
    let point = |(_, labels, value): &Line| NumberDataPoint {
        attributes: attributes(labels),
        value: Some(Value::AsDouble(*value)),
        time_unix_nano: 1,
        ..NumberDataPoint::default()
    };
    lines.iter().map(point).collect()
}

/// The lines of one point, by the labels that they share.
fn points(lines: &[Line], step: &str) -> Vec<(Labels, Vec<Line>)> {
    let mut out: Vec<(Labels, Vec<Line>)> = Vec::new();
    for line in lines {
        let mut shared = line.1.clone();
        shared.remove(step);
        match out.iter_mut().find(|(labels, _)| *labels == shared) {
            Some((_, lines)) => lines.push(line.clone()),
            None => out.push((shared, vec![line.clone()])),
        }
    }
    out
}

fn histograms(name: &str, lines: &[Line]) -> Vec<HistogramDataPoint> {
    let one = |(labels, lines): (Labels, Vec<Line>)| {
        let mut point = HistogramDataPoint { attributes: attributes(&labels), time_unix_nano: 1, ..Default::default() };
        let mut below = 0;
        for (sample, labels, value) in lines {
            match sample.strip_prefix(name).unwrap() {
                "_sum" => point.sum = Some(value),
                "_count" => point.count = value as u64,
                _ => {
                    let bound = labels["le"].parse::<f64>().unwrap();
                    if bound.is_finite() {
                        point.explicit_bounds.push(bound);
                    }
                    point.bucket_counts.push(value as u64 - below);
                    below = value as u64;
                }
            }
        }
        point
    };
    points(lines, "le").into_iter().map(one).collect()
}

fn summaries(name: &str, lines: &[Line]) -> Vec<SummaryDataPoint> {
    let one = |(labels, lines): (Labels, Vec<Line>)| {
        let mut point = SummaryDataPoint { attributes: attributes(&labels), time_unix_nano: 1, ..Default::default() };
        for (sample, labels, value) in lines {
            match sample.strip_prefix(name).unwrap() {
                "_sum" => point.sum = value,
                "_count" => point.count = value as u64,
                _ => {
                    let quantile = labels["quantile"].parse().unwrap();
                    point.quantile_values.push(ValueAtQuantile { quantile, value });
                }
            }
        }
        point
    };
    points(lines, "quantile").into_iter().map(one).collect()
}
