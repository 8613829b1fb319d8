//! Which items a match selects, seen through the attributes that `attributes` marks them with.

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use pipeline::Signal;
use pipeline::testing::World;

use crate::attributes::{Config, Factory};
use crate::testing::{
    self, any, attributes, logs, problems, read_logs, read_metrics, read_spans, resource, scope, spans,
};
use crate::value::Value;

const RESOURCE: &str = "{service.name: web, host: h1, zone: 3}";

fn config(matching: &str) -> String {
    format!("{{{matching}, actions: [{{key: marked, value: true, action: insert}}]}}")
}

fn the_scope() -> InstrumentationScope {
    scope("lib", "1.2")
}

/// The names of the spans that are selected, of GET (server, status 200), POST (client, status 500) and tick (internal).
fn selected_spans(matching: &str) -> String {
    let span =
        |name: &str, kind, yaml| Span { name: name.into(), kind, attributes: attributes(yaml), ..Span::default() };
    let all = vec![span("GET", 2, "{status: 200, path: /a}"), span("POST", 3, "{status: 500}"), span("tick", 1, "{}")];
    let processor = testing::processor::<Factory>(&config(matching), Signal::Traces);
    let out = processor.process(spans(resource(RESOURCE), the_scope(), all)).unwrap();
    let scope_spans = &read_spans(&out).resource_spans[0].scope_spans[0];
    let marked = scope_spans.spans.iter().filter(|s| s.attributes.iter().any(|a| a.key == "marked"));
    marked.map(|s| s.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// The bodies of the log records that are selected, of "ok" (INFO, 9), "bad" (ERROR, 17), "?" (no severity) and 42.
fn selected_logs(matching: &str) -> String {
    let record = |body: Value, severity_number, severity_text: &str, yaml| LogRecord {
        body: Some(any(&body)),
        severity_number,
        severity_text: severity_text.into(),
        attributes: attributes(yaml),
        ..LogRecord::default()
    };
    let all = vec![
        record(Value::Text("ok".into()), 9, "INFO", "{user: ann}"),
        record(Value::Text("bad".into()), 17, "ERROR", "{user: bob}"),
        record(Value::Text("?".into()), 0, "", "{}"),
        record(Value::Int(42), 5, "DEBUG", "{}"),
    ];
    let processor = testing::processor::<Factory>(&config(matching), Signal::Logs);
    let out = processor.process(logs(resource(RESOURCE), the_scope(), all)).unwrap();
    let records = &read_logs(&out).resource_logs[0].scope_logs[0].log_records;
    let marked = records.iter().filter(|r| r.attributes.iter().any(|a| a.key == "marked"));
    let body = |r: &LogRecord| testing::show_value(r.body.as_ref().unwrap_or(&AnyValue::default())).replace('"', "");
    marked.map(body).collect::<Vec<_>>().join(" ")
}

/// The data points that are selected, of `up{a}`, `up{b}` and `down{a}`.
fn selected_points(matching: &str) -> String {
    let gauge = |name: &str, points: &[&str]| {
        let point = |p: &&str| NumberDataPoint { attributes: attributes(&format!("{{p: {p}}}")), ..Default::default() };
        let gauge = Gauge { data_points: points.iter().map(point).collect() };
        Metric { name: name.to_owned(), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() }
    };
    let all = vec![gauge("up", &["a", "b"]), gauge("down", &["a"])];
    let processor = testing::processor::<Factory>(&config(matching), Signal::Metrics);
    let out = processor.process(testing::metrics(resource(RESOURCE), the_scope(), all)).unwrap();
    let mut names = Vec::new();
    for metric in &read_metrics(&out).resource_metrics[0].scope_metrics[0].metrics {
        let Some(metric::Data::Gauge(gauge)) = &metric.data else { panic!("not a gauge") };
        for point in gauge.data_points.iter().filter(|p| p.attributes.iter().any(|a| a.key == "marked")) {
            names.push(
                format!("{}{{{}}}", metric.name, testing::show(&point.attributes[..1]))
                    .replace("p=", "")
                    .replace('"', ""),
            );
        }
    }
    names.join(" ")
}

#[test]
fn without_a_match_everything_is_selected() {
    assert_eq!(selected_spans("include: null"), "GET POST tick");
    assert_eq!(selected_points("include: null"), "up{a} up{b} down{a}");
}

#[test]
fn spans_are_selected_by_name_kind_and_attributes() {
    for (matching, expected) in [
        ("{match_type: strict, span_names: [GET, tick]}", "GET tick"),
        ("{match_type: strict, span_names: [GE]}", ""),
        ("{match_type: regexp, span_names: [T$]}", "GET POST"),
        ("{match_type: prefix, span_names: [PO, ti]}", "POST tick"),
        ("{match_type: strict, span_kinds: [SPAN_KIND_SERVER, SPAN_KIND_CLIENT]}", "GET POST"),
        ("{match_type: regexp, span_kinds: [SERVER]}", "GET"),
        ("{match_type: strict, attributes: [{key: status, value: 500}]}", "POST"),
        ("{match_type: strict, attributes: [{key: status, value: '500'}]}", ""),
        ("{match_type: regexp, attributes: [{key: status, value: '^[25]00$'}]}", "GET POST"),
        ("{match_type: strict, attributes: [{key: status}]}", "GET POST"),
        ("{match_type: strict, attributes: [{key: status}, {key: path}]}", "GET"),
        ("{match_type: strict, span_names: [GET], attributes: [{key: status, value: 500}]}", ""),
    ] {
        assert_eq!(selected_spans(&format!("include: {matching}")), expected, "{matching}");
    }
}

#[test]
fn what_surrounds_an_item_selects_it_too() {
    for (matching, expected) in [
        ("{match_type: strict, services: [web, db]}", "GET POST tick"),
        ("{match_type: regexp, services: ['^d']}", ""),
        ("{match_type: strict, resources: [{key: zone, value: 3}, {key: host, value: h1}]}", "GET POST tick"),
        ("{match_type: strict, resources: [{key: zone, value: 3}, {key: host, value: h2}]}", ""),
        ("{match_type: strict, libraries: [{name: other}, {name: lib}]}", "GET POST tick"),
        ("{match_type: strict, libraries: [{name: lib, version: '1.2'}]}", "GET POST tick"),
        ("{match_type: strict, libraries: [{name: lib, version: ''}]}", ""),
        ("{match_type: prefix, libraries: [{name: li, version: '1.'}], span_names: [G]}", "GET"),
    ] {
        assert_eq!(selected_spans(&format!("include: {matching}")), expected, "{matching}");
    }
}

#[test]
fn exclude_takes_away_from_include() {
    let include = "include: {match_type: regexp, span_names: [T]}";
    assert_eq!(selected_spans(&format!("{include}, exclude: {{match_type: strict, span_names: [POST]}}")), "GET");
    assert_eq!(selected_spans("exclude: {match_type: strict, span_names: [POST]}"), "GET tick");
    assert_eq!(selected_spans("exclude: {match_type: strict, services: [web]}"), "");
    assert_eq!(selected_spans("exclude: {match_type: strict, services: [web], span_names: [tick]}"), "GET POST");
    assert_eq!(selected_spans("exclude: {match_type: strict, services: [db], span_names: [tick]}"), "GET POST tick");
    assert_eq!(selected_spans("exclude: {match_type: strict, libraries: [{name: lib}]}"), "");
}

#[test]
fn log_records_are_selected_by_body_severity_and_attributes() {
    for (matching, expected) in [
        ("{match_type: strict, log_bodies: [ok, '42']}", "ok 42"),
        ("{match_type: regexp, log_bodies: ['^[a-z]+$']}", "ok bad"),
        ("{match_type: strict, log_severity_texts: [ERROR]}", "bad"),
        ("{match_type: strict, log_severity_number: {min: 9}}", "ok bad"),
        ("{match_type: strict, log_severity_number: {min: 17, match_undefined: true}}", "bad ?"),
        ("{match_type: strict, log_severity_number: {min: 9}, attributes: [{key: user, value: ann}]}", "ok"),
        ("{match_type: strict, services: [web], log_bodies: [bad]}", "bad"),
    ] {
        assert_eq!(selected_logs(&format!("include: {matching}")), expected, "{matching}");
    }
}

#[test]
fn data_points_are_selected_by_metric_name_and_their_own_attributes() {
    for (matching, expected) in [
        ("include: {match_type: strict, metric_names: [up]}", "up{a} up{b}"),
        (
            "include: {match_type: regexp, metric_names: ['^(up|down)$'], resources: [{key: host, value: h.}]}",
            "up{a} up{b} down{a}",
        ),
        ("include: {match_type: strict, attributes: [{key: p, value: a}]}", "up{a} down{a}"),
        ("include: {match_type: strict, metric_names: [up], attributes: [{key: p, value: a}]}", "up{a}"),
        ("exclude: {match_type: strict, metric_names: [up], attributes: [{key: p, value: a}]}", "up{b} down{a}"),
        ("exclude: {match_type: strict, metric_names: [up]}", "down{a}"),
    ] {
        assert_eq!(selected_points(matching), expected, "{matching}");
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let yaml = "
actions: [{key: a, action: delete}]
include:
  span_names: [a]
exclude:
  match_type: regexp
  services: [a, '(']
  span_kinds: [SERVER]
  log_severity_number: {min: 25}
  libraries: [{name: '['}]
  attributes: [{value: x}, {key: k, value: 5}, {key: k, value: '*'}]
";
    let not_a_regexp =
        |path: &str, text: &str, why: &str| format!("'::exclude::{path}': {text:?} is not a regular expression: {why}");
    assert_eq!(
        problems::<Config>(yaml),
        [
            "'::include': needs a match_type: strict, regexp or prefix".to_owned(),
            not_a_regexp("services[1]", "(", "unclosed group"),
            "'::exclude::log_severity_number::min': is 25, severity numbers go from 1 to 24".to_owned(),
            not_a_regexp("libraries[0]::name", "[", "it has a [ without its ]"),
            "'::exclude::attributes[0]': needs a key: the attribute to match".to_owned(),
            "'::exclude::attributes[1]::value': is a whole number, regexp and prefix match text: put it in quotes or use \
             match_type strict"
                .to_owned(),
            not_a_regexp("attributes[2]::value", "*", "repetition operator missing expression"),
        ]
    );
    let yaml = "{actions: [{key: a, action: delete}], include: {match_type: strict, span_kinds: [SERVER]}, exclude: {match_type: expr}}";
    assert_eq!(
        problems::<Config>(yaml),
        [
            "'::include::span_kinds[0]': is \"SERVER\", use one of SPAN_KIND_INTERNAL, SPAN_KIND_SERVER, \
             SPAN_KIND_CLIENT, SPAN_KIND_PRODUCER, SPAN_KIND_CONSUMER",
            "'::exclude': matches nothing: give at least one of services, span_names, span_kinds, log_bodies, \
             log_severity_texts, log_severity_number, metric_names, attributes, resources or libraries",
            "'::exclude::match_type': is expr, which is not supported: use strict, regexp or prefix",
        ]
    );
}

#[test]
fn a_match_that_says_nothing_about_the_signal_keeps_the_pipeline_from_starting() {
    let refused = |matching: &str, signal| {
        let context = World::new().context_for("attributes", signal);
        testing::build::<Factory>(&config(matching), context).err().unwrap_or_default()
    };
    assert_eq!(
        refused("include: {match_type: strict, span_names: [a], services: [b]}", Signal::Logs),
        "include.span_names cannot match logs, give logs a processor of their own"
    );
    assert_eq!(
        refused("exclude: {match_type: strict, log_bodies: [a]}", Signal::Traces),
        "exclude.log_bodies cannot match traces, give traces a processor of their own"
    );
    assert_eq!(
        refused("include: {match_type: strict, span_names: [a]}", Signal::Metrics),
        "include has no field that metrics have: give at least one of services, attributes, resources, libraries, \
         metric_names"
    );
    assert_eq!(refused("include: {match_type: strict, span_names: [a], metric_names: [b]}", Signal::Metrics), "");
}
