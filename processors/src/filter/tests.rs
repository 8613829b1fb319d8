//! What goes on and what does not; Dynamo's own recorded pairs are in `dynamo_golden`.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use pipeline::testing::{World, conformance};
use pipeline::{Batch, Signal};
use proptest::prelude::*;

use super::{Config, Factory};
use crate::testing::exposition::{samples, samples_of_text, scrape};
use crate::testing::{
    any, attributes, batch, build, logs, metrics, problems, processor, read_logs, read_metrics, read_spans, resource,
    scope, spans,
};
use crate::value::Value;

/// One exposition with every kind of metric.
const TEXT: &str = "\
# TYPE up gauge
up 1
# TYPE requests_total counter
requests_total{code=\"200\"} 5
requests_total{code=\"500\"} 1
# TYPE applied counter
applied 3
# TYPE h histogram
h_bucket{le=\"0.5\"} 1
h_bucket{le=\"2.0\"} 3
h_bucket{le=\"+Inf\"} 4
h_sum 9.5
h_count 4
# TYPE s summary
s{quantile=\"0.5\"} 7
s{quantile=\"0.99\"} 8
s_sum 70
s_count 10
# TYPE s_created gauge
s_created 100
";

/// The names of the samples that go on.
fn names(filter: &str) -> String {
    let out = processor::<Factory>(&format!("metrics: {filter}"), Signal::Metrics).process(scrape(TEXT)).unwrap();
    let names: BTreeSet<_> = samples(&out).into_iter().map(|(name, ..)| name).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn families_go_on_as_a_whole_by_the_name_of_their_metric() {
    const H: &str = "h_bucket h_count h_sum";
    for (filter, expected) in [
        ("{include: {match_type: strict, metric_names: [h, up]}}", format!("{H} up")),
        ("{include: {match_type: strict, metric_names: [h_bucket]}}", String::new()),
        ("{include: {match_type: prefix, metric_names: [s, r]}}", "requests_total s s_count s_created s_sum".into()),
        ("{include: {match_type: regexp, metric_names: ['^h$', 'qu.sts']}}", format!("{H} requests_total")),
        ("{exclude: {match_type: prefix, metric_names: [s, a, r]}}", format!("{H} up")),
        (
            "{include: {match_type: prefix, metric_names: ['']}, exclude: {match_type: strict, metric_names: [s, h]}}",
            "applied requests_total s_created up".into(),
        ),
        ("{exclude: {match_type: prefix, metric_names: ['']}}", String::new()),
        (
            "{include: {match_type: strict, metric_names: [up], resource_attributes: [{key: service.name, value: dynamo}]}}",
            "up".into(),
        ),
        (
            "{include: {match_type: strict, metric_names: [up], resource_attributes: [{key: service.name, value: x}]}}",
            String::new(),
        ),
        ("{exclude: {match_type: regexp, resource_attributes: [{key: service.name, value: '^d'}]}}", String::new()),
        (
            "{exclude: {match_type: strict, metric_names: [s, s_created, h, applied], resource_attributes: [{key: service.name, value: x}]}}",
            "requests_total up".into(),
        ),
        ("{include: {match_type: strict}}", format!("applied {H} requests_total s s_count s_created s_sum up")),
    ] {
        assert_eq!(names(filter), expected, "{filter}");
    }
}

#[test]
fn samples_go_on_by_their_own_names() {
    for (filter, expected) in [
        ("include: {match_type: prefix, metric_names: [h_]}", "h_bucket h_count h_sum"),
        ("include: {match_type: strict, metric_names: [h]}", ""),
        ("include: {match_type: strict, metric_names: [h_bucket]}", "h_bucket"),
        ("include: {match_type: strict, metric_names: [h_sum, h_count]}", "h_count h_sum"),
        ("include: {match_type: strict, metric_names: [h_bucket, h_count]}", "h_bucket h_count"),
        ("include: {match_type: strict, metric_names: [h_bucket, h_sum]}", "h_bucket h_sum"),
        ("include: {match_type: strict, metric_names: [s]}", "s"),
        ("include: {match_type: strict, metric_names: [s_count]}", "s_count"),
        ("include: {match_type: strict, metric_names: [s_sum, s_count]}", "s_count s_sum"),
        ("include: {match_type: prefix, metric_names: [requests_t, applied_total]}", "requests_total"),
        (
            "include: {match_type: prefix, metric_names: [s]}, exclude: {match_type: regexp, metric_names: [_created$, _sum$]}",
            "s s_count",
        ),
        (
            "exclude: {match_type: strict, metric_names: [h_count, requests_total, up, applied, s, s_sum, s_count, s_created]}",
            "h_bucket h_sum",
        ),
    ] {
        assert_eq!(names(&format!("{{per_sample: true, {filter}}}")), expected, "{filter}");
    }
}

#[test]
fn what_is_cut_out_of_a_metric_keeps_its_values_labels_and_times() {
    let whole = samples(&scrape(TEXT));
    for kept in ["h_bucket", "h_sum", "h_count", "s", "s_sum", "s_count", "h_bucket, h_count", "s_count, s_sum"] {
        let config = format!("metrics: {{per_sample: true, include: {{match_type: strict, metric_names: [{kept}]}}}}");
        let out = processor::<Factory>(&config, Signal::Metrics).process(scrape(TEXT)).unwrap();
        let expected = whole.iter().filter(|(name, ..)| kept.split(", ").any(|k| k == name)).cloned().collect();
        assert_eq!(samples(&out), expected);
        assert_eq!(out.items(), Batch::new(Signal::Metrics, out.to_bytes()).unwrap().items());
        for metric in &read_metrics(&out).resource_metrics[0].scope_metrics[0].metrics {
            if let Some(Data::Gauge(gauge)) = &metric.data {
                assert!(gauge.data_points.iter().all(|p| p.time_unix_nano == 1));
                assert_eq!(crate::testing::show(&metric.metadata), r#"prometheus.type="unknown""#);
            }
        }
    }
}

#[test]
fn a_counter_that_came_as_otlp_answers_to_both_its_names() {
    let counter = |name: &str| {
        let data_points = vec![NumberDataPoint::default()];
        let sum = Sum { data_points, aggregation_temporality: 2, is_monotonic: true };
        Metric { name: name.to_owned(), data: Some(Data::Sum(sum)), ..Metric::default() }
    };
    for (filter, items) in [
        ("include: {match_type: strict, metric_names: [a_total, b_total]}", 2),
        ("include: {match_type: strict, metric_names: [a]}", 1),
        ("exclude: {match_type: strict, metric_names: [a_total, b]}", 1),
    ] {
        let batch = metrics(resource("{}"), scope("sdk", ""), vec![counter("a"), counter("b_total")]);
        let filter = processor::<Factory>(&format!("metrics: {{per_sample: true, {filter}}}"), Signal::Metrics);
        assert_eq!(filter.process(batch).unwrap().items(), items);
    }
}

#[test]
fn a_histogram_that_loses_only_its_sum_stays_one() {
    let config = "metrics: {per_sample: true, exclude: {match_type: strict, metric_names: [h_sum]}}";
    let out = processor::<Factory>(config, Signal::Metrics).process(scrape(TEXT)).unwrap();
    let all = &read_metrics(&out).resource_metrics[0].scope_metrics[0].metrics;
    let histogram = all.iter().find(|m| m.name == "h").unwrap();
    let Some(Data::Histogram(data)) = &histogram.data else { panic!("{histogram:?}") };
    assert_eq!((data.aggregation_temporality, data.data_points[0].sum, data.data_points[0].count), (2, None, 4));
}

#[test]
fn what_is_dropped_is_counted() {
    let world = World::new();
    let run = |config: &str, signal, batch| {
        build::<Factory>(config, world.context_for("filter/a", signal)).unwrap().process(batch).unwrap()
    };
    let out = run("metrics: {include: {match_type: prefix, metric_names: [requests]}}", Signal::Metrics, scrape(TEXT));
    assert_eq!((out.items(), scrape(TEXT).items()), (2, 7));
    let record = |text: &str| LogRecord { severity_text: text.into(), ..LogRecord::default() };
    let batch = logs(resource("{}"), scope("", ""), vec![record("INFO"), record("DEBUG"), record("INFO")]);
    let out = run("logs: {exclude: {match_type: strict, severity_texts: [INFO, DEBUG]}}", Signal::Logs, batch);
    assert!(out.is_empty() && out.parts().is_empty());
    let of = |signal: &str, items| (signal.to_owned(), "filtered".to_owned(), items);
    assert_eq!(world.dropped("filter/a"), [of("logs", 3), of("metrics", 5)]);
}

#[test]
fn what_a_cut_makes_is_counted() {
    let world = World::new();
    let config = "metrics: {per_sample: true, include: {match_type: strict, metric_names: [h_bucket, h_sum, s_count]}}";
    let filter = build::<Factory>(config, world.context_for("filter", Signal::Metrics)).unwrap();
    let (before, after) = (scrape(TEXT).items(), filter.process(scrape(TEXT)).unwrap().items());
    assert_eq!((before, after), (7, 5));
    // Three buckets and a sum for the histogram, a count for the summary; the other five points are gone.
    assert_eq!(pipeline::testing::count(&world.meter, "slipring_made_items_total", &[]), 3);
    assert_eq!(world.dropped("filter"), [("metrics".to_owned(), "filtered".to_owned(), 5)]);
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    conformance::processor::<Factory>("metrics: {include: {match_type: prefix, metric_names: [a]}}").await;
    conformance::processor::<Factory>("metrics: {per_sample: true, exclude: {match_type: regexp, metric_names: [a]}}")
        .await;
    conformance::processor::<Factory>("logs: {exclude: {match_type: strict, bodies: [a, c]}}").await;
    conformance::processor::<Factory>("spans: {exclude: {match_type: strict, span_names: [a, c]}}").await;
}

#[test]
fn log_records_go_on_by_severity_body_and_attributes() {
    let record = |number, text: &str, body: &str, yaml| LogRecord {
        severity_number: number,
        severity_text: text.into(),
        body: Some(any(&Value::Text(body.into()))),
        attributes: attributes(yaml),
        ..LogRecord::default()
    };
    let all = vec![record(9, "INFO", "ok", "{a: 1}"), record(17, "ERROR", "bad", "{}"), record(0, "", "?", "{}")];
    let batch = logs(resource("{service.name: web}"), scope("", ""), all);
    for (filter, expected) in [
        ("{include: {severity_number: {min: warn}}}", "ERROR"),
        ("{include: {severity_number: {min: 9}}}", "INFO ERROR"),
        ("{include: {severity_number: {min: Error4, match_undefined: true}}}", ""),
        ("{include: {match_type: regexp, bodies: ['^(ok|bad)$']}}", "INFO ERROR"),
        ("{include: {match_type: strict, record_attributes: [{key: a, value: 1}]}}", "INFO"),
        ("{exclude: {match_type: strict, severity_texts: [INFO]}}", "ERROR "),
        (
            "{exclude: {match_type: strict, resource_attributes: [{key: service.name, value: web}], bodies: [bad]}}",
            "INFO ",
        ),
        ("{include: {}}", "INFO ERROR "),
    ] {
        let out = processor::<Factory>(&format!("logs: {filter}"), Signal::Logs).process(batch.clone()).unwrap();
        let records = read_logs(&out).resource_logs.into_iter().flat_map(|r| r.scope_logs).flat_map(|s| s.log_records);
        assert_eq!(records.map(|r| r.severity_text).collect::<Vec<_>>().join(" "), expected, "{filter}");
    }
}

#[test]
fn spans_go_on_by_name_and_service() {
    let span = |name: &str| Span { name: name.into(), ..Span::default() };
    let batch = spans(resource("{service.name: web}"), scope("", ""), vec![span("GET /health"), span("GET /v1")]);
    let config =
        "spans: {include: {match_type: strict, services: [web]}, exclude: {match_type: regexp, span_names: [health]}}";
    let out = processor::<Factory>(config, Signal::Traces).process(batch.clone()).unwrap();
    assert_eq!(read_spans(&out).resource_spans[0].scope_spans[0].spans, [span("GET /v1")]);
    let other = processor::<Factory>("metrics: {include: {match_type: strict, metric_names: [a]}}", Signal::Traces);
    assert_eq!(other.process(batch).unwrap().items(), 2);
}

#[test]
fn what_is_not_supported_says_what_works() {
    let yaml = "
error_mode: silent
traces: {span: ['name == \"a\"']}
metrics:
  datapoint: ['value_int == 0']
  include: {match_type: expr, expressions: ['true'], metric_names: [a]}
  exclude: {metric_names: [a]}
logs:
  log_record: ['true']
  include: {bodies: [a], severity_number: {min: loud}}
metric_conditions: [{context: metric, conditions: ['true']}]
log_conditions: ['true']
profile_conditions: ['true']
";
    let ottl = |path: &str, key: &str| {
        format!(
            "'::{path}': has conditions in OTTL, which are not supported: use {key}.include and {key}.exclude with \
             match_type strict, regexp or prefix"
        )
    };
    let mut got = problems::<Config>(yaml);
    got.sort();
    let mut expected = vec![
        ottl("traces::span", "spans"),
        ottl("metrics::datapoint", "metrics"),
        ottl("logs::log_record", "logs"),
        ottl("metric_conditions", "metrics"),
        ottl("log_conditions", "logs"),
        "'::profile_conditions': is for profiles, which are not supported: leave it out".to_owned(),
        "'::metrics::include::expressions': has expr expressions, which are not supported: use metric_names or \
         resource_attributes"
            .to_owned(),
        "'::metrics::include::match_type': is expr, which is not supported: use strict, regexp or prefix".to_owned(),
        "'::metrics::exclude': needs a match_type: strict, regexp or prefix".to_owned(),
        "'::logs::include': needs a match_type: strict, regexp or prefix".to_owned(),
        "'::logs::include::severity_number::min': is \"loud\", use TRACE, DEBUG, INFO, WARN, ERROR, FATAL or 1 to 24"
            .to_owned(),
    ];
    expected.sort();
    assert_eq!(got, expected);
}

#[test]
fn more_names_than_are_remembered_are_still_decided_right() {
    let gauge = |name: String| {
        let data_points = vec![NumberDataPoint::default()];
        Metric { name, data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }
    };
    let config = "metrics: {include: {match_type: regexp, metric_names: ['7$']}}";
    let filter = processor::<Factory>(config, Signal::Metrics);
    for round in 0..30 {
        let all = (0..1000).map(|i| gauge(format!("metric_of_round_{round}_{i}"))).collect();
        let batch = metrics(resource("{}"), scope("", ""), all);
        assert_eq!(filter.process(batch).unwrap().items(), 100);
    }
}

proptest! {
    /// Compared with the same on decoded objects, over several resources, scopes and kinds of names.
    #[test]
    fn it_equals_the_same_on_objects(
        names in prop::collection::vec(prop::collection::vec(prop::collection::vec("[ab]{1,3}", 0..4), 0..3), 0..3),
        include in prop::collection::vec("[ab]{0,2}", 0..3),
        exclude in prop::collection::vec("[ab]{1,2}", 0..3),
    ) {
        let gauge = |name: &String| {
            let data_points = vec![NumberDataPoint::default(); name.len()];
            Metric { name: name.clone(), data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }
        };
        let scope = |names: &Vec<String>| ScopeMetrics { metrics: names.iter().map(gauge).collect(), ..ScopeMetrics::default() };
        let resource = |scopes: &Vec<Vec<String>>| ResourceMetrics {
            scope_metrics: scopes.iter().map(scope).collect(),
            ..ResourceMetrics::default()
        };
        let request = ExportMetricsServiceRequest { resource_metrics: names.iter().map(resource).collect() };
        let list = |names: &[String]| names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
        let config = format!(
            "metrics: {{include: {{match_type: prefix, metric_names: [{}]}}, exclude: {{match_type: prefix, metric_names: [{}]}}}}",
            list(&include), list(&exclude)
        );
        let out = processor::<Factory>(&config, Signal::Metrics).process(batch(Signal::Metrics, &request)).unwrap();
        let mut expected = request;
        if !(include.is_empty() && exclude.is_empty()) {
            let starts = |name: &str, prefixes: &[String]| prefixes.iter().any(|p| name.starts_with(p.as_str()));
            for resource in &mut expected.resource_metrics {
                for scope in &mut resource.scope_metrics {
                    scope.metrics.retain(|m| (include.is_empty() || starts(&m.name, &include)) && !starts(&m.name, &exclude));
                }
                resource.scope_metrics.retain(|s| !s.metrics.is_empty());
            }
            expected.resource_metrics.retain(|r| !r.scope_metrics.is_empty());
        }
        prop_assert_eq!(out.items(), Batch::new(Signal::Metrics, out.to_bytes()).unwrap().items());
        prop_assert_eq!(read_metrics(&out), expected);
    }

    /// Compared with the same on the lines of the text, as Dynamo does it.
    #[test]
    fn per_sample_equals_a_cut_of_the_text(
        families in prop::collection::btree_map("[ab]{1,2}", 0usize..4, 0..6),
        include in prop::collection::vec("[ab]{0,2}(_bucket|_sum|_count|_b|_)?", 0..3),
        exclude in prop::collection::vec("[ab]{1,2}(_bucket|_sum|_count|_c)?", 0..3),
    ) {
        // Families of one name are told apart by their kind: a histogram a and a gauge a_sum never meet here.
        let text: String = families.iter().map(|(name, kind)| match kind {
            0 => format!("# TYPE {name} gauge\n{name}{{l=\"1\"}} 1\n{name}{{l=\"2\"}} 2\n"),
            1 => format!("# TYPE {name} counter\n{name} 7\n"),
            2 => format!(
                "# TYPE {name} histogram\n{name}_bucket{{le=\"1.0\"}} 1\n{name}_bucket{{le=\"+Inf\"}} 2\n{name}_sum 3\n{name}_count 2\n"
            ),
            _ => format!("# TYPE {name} summary\n{name}{{quantile=\"0.5\"}} 1\n{name}_sum 3\n{name}_count 2\n"),
        }).collect();
        let starts = |line: &str, prefixes: &[String]| prefixes.iter().any(|p| line.starts_with(p.as_str()));
        let keeps = |line: &&str| !starts(line, &exclude) && (include.is_empty() || starts(line, &include));
        let expected: String = text.lines().filter(keeps).map(|line| format!("{line}\n")).collect();
        let rule = |names: &[String]| format!("{{match_type: prefix, metric_names: [{}]}}", names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", "));
        let config = format!("metrics: {{per_sample: true, include: {}, exclude: {}}}", rule(&include), rule(&exclude));
        let out = processor::<Factory>(&config, Signal::Metrics).process(scrape(&text)).unwrap();
        prop_assert_eq!(samples(&out), samples_of_text(&expected));
        prop_assert_eq!(out.items(), Batch::new(Signal::Metrics, out.to_bytes()).unwrap().items());
    }
}
