//! Records become the streams and entries that Loki takes.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use pipeline::buffers::Buffers;
use pipeline::config::testing::decode;
use pipeline::net::compress::{Coding, decompress};
use pipeline::otlp::fields::{log_record, request, resource_group, scope_group};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::testing::{World, count};
use pipeline::{Batch, Known, Signal};
use prost::Message;

use super::logproto::PushRequest;
use super::otlp::*;
use crate::loki::Config;
use crate::loki::adjusted::Adjusted;
use crate::loki::convert::convert;
use crate::loki::newest::{Newest, Times, key};

/// Without labels that every test would repeat.
const BARE: &str = "default_labels_enabled: {exporter: false, job: false, instance: false, level: false}";

fn pushed(yaml: &str, batch: &Batch) -> (PushRequest, World) {
    pushed_after(yaml, batch, &Times::default())
}

/// The same where streams have come so far.
fn pushed_after(yaml: &str, batch: &Batch, times: &Times) -> (PushRequest, World) {
    let world = World::new();
    let config: Config = decode(&format!("endpoint: http://loki\n{yaml}")).unwrap();
    let adjusted = Adjusted::new(&world.context("loki"));
    let (streams, _) = convert(&config, &adjusted, batch, TIME + 99, times, Vec::new()).unwrap();
    let push = streams.cut(0, usize::MAX, usize::MAX, &Buffers::default()).unwrap();
    let body = decompress(Coding::Snappy, &push.request.body.unwrap(), 1 << 20).unwrap();
    assert_eq!(body.len(), push.request.bytes);
    (PushRequest::decode(&*body).unwrap(), world)
}

#[track_caller]
fn check(yaml: &str, batch: &Batch, expected: &[&str]) {
    assert_eq!(pushed(yaml, batch).0.lines(), expected);
}

fn adjusted(world: &World, what: &str) -> u64 {
    count(&world.meter, "slipring_loki_adjusted_total", &[("exporter", "loki"), ("what", what)])
}

#[test]
fn a_stream_has_the_labels_of_the_collectors_former_exporter_and_its_service() {
    let labels = [("service.name", "frontend"), ("service.namespace", "dynamo"), ("service.instance.id", "i-1")];
    let record = LogRecord { severity_number: 9, ..record(1, "hello", &[]) };
    check(
        "",
        &batch(vec![resource(&labels, vec![record])]),
        &[
            r#"{exporter="OTLP", instance="i-1", job="dynamo/frontend", level="INFO", service_name="frontend"}"#,
            "  1 \"hello\" severity_number=9 service_namespace=dynamo service_instance_id=i-1",
        ],
    );
}

#[test]
fn a_stream_without_labels_has_a_name() {
    check(
        BARE,
        &batch(vec![resource(&[], vec![record(1, "a", &[])])]),
        &[r#"{service_name="unknown_service"}"#, "  1 \"a\""],
    );
}

#[test]
fn attributes_that_the_line_is_known_to_show_are_not_stored_and_may_still_be_labels_or_hints() {
    let known = |beside: &[(&str, &str)], yaml: &str| {
        let mut w = Writer::new();
        w.message(request::RESOURCES, |w| {
            w.message(resource_group::SCOPES, |w| {
                w.message(scope_group::ITEMS, |w| {
                    let attribute =
                        |w: &mut Writer, k: &str, v| w.attribute(log_record::ATTRIBUTES, k, Scalar::Text(v));
                    w.fixed64(log_record::TIME, TIME);
                    beside.iter().for_each(|(k, v)| attribute(w, k, v));
                    w.any_value(log_record::BODY, Scalar::Text(r#"{"shown":"as another"}"#));
                    attribute(w, "shown", "as known");
                });
            });
        });
        let batch = Batch::new(Signal::Logs, w.into_bytes())
            .unwrap()
            .with_known(Known { shown_last: true, ..Known::default() });
        let (push, _) = pushed(&format!("{BARE}\n{yaml}"), &batch);
        push.lines().join("")
    };
    let line = r#"  0 "{\"shown\":\"as another\"}""#;
    let plain = |metadata: &str| format!(r#"{{service_name="unknown_service"}}{line}{metadata}"#);
    let a = ("a", "x");
    assert_eq!(known(&[a], ""), plain(" a=x"));
    assert_eq!(known(&[a], "structured_metadata: all"), plain(" a=x shown=as known"));
    assert_eq!(known(&[a], "attribute_labels: [shown]"), format!(r#"{{shown="as known"}}{line} a=x"#));
    assert_eq!(known(&[a, ("loki.attribute.labels", "shown")], ""), format!(r#"{{shown="as known"}}{line} a=x"#));
    assert!(known(&[a], "format: logfmt").ends_with(r#"attribute_a=x attribute_shown=\"as known\"""#));
}

#[test]
fn records_of_one_stream_have_their_own_metadata_whatever_the_one_before_had() {
    let severe = |time, number, text: &str| LogRecord {
        severity_number: number,
        severity_text: text.to_owned(),
        ..record(time, "x", &[("a", "1")])
    };
    let traced = LogRecord { trace_id: vec![1; 16], ..record(5, "x", &[("trace_id", "own"), ("a", "1")]) };
    let records = vec![
        severe(1, 9, "INFO"),
        severe(2, 9, "INFO"),
        severe(3, 9, "notice"),
        record(4, "x", &[("a", "2")]),
        traced.clone(),
        LogRecord { time_unix_nano: TIME + 6, trace_id: vec![2; 16], ..traced.clone() },
        LogRecord { time_unix_nano: TIME + 7, trace_id: Vec::new(), ..traced },
    ];
    let id = |digits: &str| digits.repeat(16);
    check(
        BARE,
        &batch(vec![resource(&[], records)]),
        &[
            r#"{service_name="unknown_service"}"#,
            "  1 \"x\" severity_number=9 severity_text=INFO a=1",
            "  2 \"x\" severity_number=9 severity_text=INFO a=1",
            "  3 \"x\" severity_number=9 severity_text=notice a=1",
            "  4 \"x\" a=2",
            &format!("  5 \"x\" trace_id={} a=1", id("01")),
            &format!("  6 \"x\" trace_id={} a=1", id("02")),
            "  7 \"x\" trace_id=own a=1",
        ],
    );
}

#[test]
fn the_level_is_the_records_own_word_or_its_severity() {
    let level = |record| {
        let (push, _) = pushed("default_labels_enabled: {exporter: false}", &batch(vec![resource(&[], vec![record])]));
        push.lines()
    };
    let severe = LogRecord { severity_number: 17, severity_text: "Error".to_owned(), ..record(0, "", &[]) };
    assert_eq!(level(severe.clone()), [r#"{level="ERROR"}"#, "  0 \"\" severity_number=17 severity_text=Error"]);
    let text_only = LogRecord { severity_number: 0, ..severe.clone() };
    assert_eq!(level(text_only)[0], r#"{level="Error"}"#);
    let own = LogRecord { attributes: attributes(&[("level", "oops")]), ..severe };
    assert_eq!(level(own), [r#"{level="oops"}"#, "  0 \"\" severity_number=17 severity_text=Error"]);
}

#[test]
fn labels_come_from_the_config_and_from_attributes_which_come_first() {
    let yaml = format!(
        "{BARE}\nlabels: {{namespace: default, cluster: c}}\nresource_labels: [k8s.pod, namespace]\nattribute_labels: [worker.id]"
    );
    let labels = [("k8s.pod", "p"), ("namespace", "prod"), ("service.name", "svc"), ("other", "o")];
    let records = vec![
        record(1, "a", &[("worker.id", "7"), ("x.y", "z")]),
        record(2, "b", &[("worker.id", "8")]),
        record(3, "c", &[("worker.id", "7")]),
        record(4, "d", &[]),
    ];
    let stream =
        |worker: &str| format!(r#"{{cluster="c", k8s_pod="p", namespace="prod", service_name="svc"{worker}}}"#);
    check(
        &yaml,
        &batch(vec![resource(&labels, records)]),
        &[
            &stream(r#", worker_id="7""#),
            "  1 \"a\" x_y=z other=o",
            "  3 \"c\" other=o",
            &stream(r#", worker_id="8""#),
            "  2 \"b\" other=o",
            &stream(""),
            "  4 \"d\" other=o",
        ],
    );
}

#[test]
fn the_hints_of_the_collectors_former_exporter_are_followed() {
    let hinted =
        record(1, "a", &[("loki.attribute.labels", "http.status, method"), ("http.status", "200"), ("method", "GET")]);
    let mut listed = record(2, "b", &[("method", "PUT")]);
    let list = any_value::Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
        values: vec![text("method").unwrap(), text("none").unwrap()],
    });
    let value = Some(AnyValue { value: Some(list) });
    listed.attributes.push(KeyValue { key: "loki.attribute.labels".to_owned(), value, ..KeyValue::default() });
    let labels = [("loki.resource.labels", "host.name"), ("host.name", "n"), ("loki.format", "logfmt")];
    let own = record(3, "c", &[("loki.format", "json"), ("k", "v")]);
    check(
        BARE,
        &batch(vec![resource(&labels, vec![hinted, listed, own])]),
        &[
            r#"{host_name="n", http_status="200", method="GET"}"#,
            "  1 \"msg=a\"",
            r#"{host_name="n", method="PUT"}"#,
            "  2 \"msg=b\"",
            r#"{host_name="n"}"#,
            "  3 \"{\\\"body\\\":\\\"c\\\",\\\"attributes\\\":{\\\"k\\\":\\\"v\\\"}}\"",
        ],
    );
}

#[test]
fn ids_severity_and_attributes_are_structured_metadata_and_the_line_stays_raw() {
    let line = r#"{"message":"hi","trace_id":"x"}"#;
    let record = LogRecord {
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        event_name: "event x".to_owned(),
        attributes: attributes(&[("code.line", "7"), ("trace_id", "other")]),
        ..record(1, line, &[])
    };
    let mut resource = resource(&[("code_line", "8"), ("host", "h")], vec![record]);
    resource.scope_logs[0].scope.as_mut().unwrap().name = "target".to_owned();
    let batch = batch(vec![resource]);
    let ids = format!("trace_id={} span_id={}", "ab".repeat(16), "01".repeat(8));
    let entry = |more: &str| format!("  1 {line:?}{more}");
    let stream = r#"{service_name="unknown_service"}"#;
    let all = format!(" {ids} event_name=event x code_line=7 scope_name=target host=h");
    check(BARE, &batch, &[stream, &entry(&all)]);
    check(&format!("{BARE}\nstructured_metadata: ids"), &batch, &[stream, &entry(&format!(" {ids}"))]);
    check(&format!("{BARE}\nstructured_metadata: none"), &batch, &[stream, &entry("")]);
}

#[test]
fn what_the_line_shows_is_not_stored_beside_it_unless_asked_for() {
    let line = r#"{"message":"hi","model":"m","status":200}"#;
    let mut status = attributes(&[("model", "m"), ("status", "200"), ("message", "changed"), ("log.file.name", "f")]);
    status[1].value = Some(AnyValue { value: Some(any_value::Value::IntValue(200)) });
    let record = LogRecord { attributes: status, ..record(1, line, &[]) };
    let batch = batch(vec![resource(&[], vec![record])]);
    let stream = r#"{service_name="unknown_service"}"#;
    check(BARE, &batch, &[stream, &format!("  1 {line:?} message=changed log_file_name=f")]);
    let all = format!("  1 {line:?} model=m status=200 message=changed log_file_name=f");
    check(&format!("{BARE}\nstructured_metadata: all"), &batch, &[stream, &all]);
}

#[test]
fn a_body_that_is_no_text_is_a_line_of_json() {
    let pairs = any_value::Value::KvlistValue(KeyValueList { values: attributes(&[("a", "b")]) });
    let body = |value| LogRecord { body: Some(AnyValue { value }), ..record(1, "", &[]) };
    let records = vec![body(Some(pairs)), body(Some(any_value::Value::IntValue(7))), body(None)];
    let (push, _) = pushed(BARE, &batch(vec![resource(&[], records)]));
    let lines: Vec<_> = push.streams[0].entries.iter().map(|e| e.line.as_str()).collect();
    assert_eq!(lines, [r#"{"a":"b"}"#, "7", ""]);
}

#[test]
fn entries_are_in_order_with_the_observed_time_where_there_is_no_other() {
    let observed = LogRecord { time_unix_nano: 0, observed_time_unix_nano: TIME + 2, ..record(0, "b", &[]) };
    let never = LogRecord { time_unix_nano: 0, ..record(0, "now", &[]) };
    let records = vec![record(3, "c", &[]), never, observed, record(1, "a", &[]), record(3, "d", &[])];
    let batch = batch(vec![resource(&[], records)]);
    let (push, world) = pushed(BARE, &batch);
    let stream = r#"{service_name="unknown_service"}"#;
    assert_eq!(push.lines(), [stream, "  1 \"a\"", "  2 \"b\"", "  3 \"c\"", "  3 \"d\"", "  99 \"now\""]);
    assert_eq!(adjusted(&world, "time_missing"), 1);
    let (push, _) = pushed(&format!("{BARE}\nunique_timestamps: true"), &batch);
    assert_eq!(push.lines()[3..5], ["  3 \"c\"", "  4 \"d\""]);
}

#[test]
fn records_of_several_resources_with_the_same_labels_are_one_stream() {
    let of = |after, host| resource(&[("service.name", "s"), ("host", host)], vec![record(after, host, &[])]);
    check(
        BARE,
        &batch(vec![of(2, "b"), of(1, "a")]),
        &[r#"{service_name="s"}"#, "  1 \"a\" host=a", "  2 \"b\" host=b"],
    );
}

#[test]
fn long_lines_are_split_or_cut() {
    let batch = batch(vec![resource(&[], vec![record(1, "abcdefgh", &[("k", "v")])])]);
    let stream = r#"{service_name="unknown_service"}"#;
    let (push, world) = pushed(&format!("{BARE}\nmax_line_bytes: 3"), &batch);
    assert_eq!(push.lines(), [stream, "  1 \"abc\" k=v", "  2 \"def\" k=v", "  3 \"gh\" k=v"]);
    assert_eq!(adjusted(&world, "line_split"), 1);
    let (push, world) = pushed(&format!("{BARE}\nmax_line_bytes: 3\nlong_lines: cut"), &batch);
    assert_eq!(push.lines(), [stream, "  1 \"abc\" k=v"]);
    assert_eq!(adjusted(&world, "line_cut"), 1);
}

#[test]
fn labels_beyond_the_limit_become_structured_metadata() {
    let names: Vec<String> = (0..14).map(|i| format!("l{i:02}")).collect();
    let yaml = format!("attribute_labels: [{}]", names.join(", "));
    let pairs: Vec<_> = names.iter().map(|n| (n.as_str(), "v")).collect();
    let long = "x".repeat(3000);
    let labels = [("service.name", "s"), ("service.instance.id", long.as_str())];
    let (push, world) = pushed(&yaml, &batch(vec![resource(&labels, vec![record(1, "a", &pairs)])]));
    let stream = &push.streams[0];
    assert_eq!(stream.labels.matches('=').count(), 15);
    assert!(stream.labels.contains(r#"service_name="s""#) && !stream.labels.contains("job="));
    let entry = &stream.entries[0];
    assert_eq!((entry.metadata("job"), entry.metadata("exporter")), (Some("s"), Some("OTLP")));
    assert_eq!(entry.metadata("service_instance_id"), Some(long.as_str()));
    assert_eq!(adjusted(&world, "label_moved"), 3);
}

#[test]
fn entries_too_old_for_their_stream_go_to_one_for_backfill() {
    let hour = 3_600_000_000_000;
    let labels = [("service.name", "s")];
    let old = || batch(vec![resource(&labels, vec![record(0, "old", &[]), record(hour, "edge", &[])])]);
    let (first, _) = pushed(BARE, &old());
    assert_eq!(first.streams.len(), 1, "nothing is known of the stream");
    let newest = Newest::default();
    newest.sent([(key("", r#"{service_name="s"}"#), TIME + 2 * hour)].into_iter(), TIME + 2 * hour);
    let (push, world) = pushed_after(BARE, &old(), &newest.times());
    let lines = push.lines();
    assert_eq!(lines[0], r#"{service_name="s"}"#);
    assert!(lines[1].ends_with("\"edge\"") && lines[3].ends_with("\"old\""), "{lines:?}");
    assert_eq!(lines[2], r#"{backfill="true", service_name="s"}"#);
    assert_eq!(adjusted(&world, "backfilled"), 1);
    let (push, _) = pushed_after(&format!("{BARE}\nbackfill_window: 0s"), &old(), &newest.times());
    assert_eq!(push.streams.len(), 1);
    let (push, _) = pushed_after(&format!("{BARE}\nbackfill_window: 2h"), &old(), &newest.times());
    assert_eq!(push.streams.len(), 1);
}

#[test]
fn a_stream_for_backfill_has_no_more_labels_than_others() {
    let newest = Newest::default();
    newest.sent([(key("", r#"{a="1", b="2"}"#), TIME + (1 << 50))].into_iter(), TIME + (1 << 50));
    let yaml = format!("{BARE}\nmax_labels: 2\nattribute_labels: [a, b]");
    let batch = batch(vec![resource(&[], vec![record(0, "x", &[("a", "1"), ("b", "2")])])]);
    let (push, _) = pushed_after(&yaml, &batch, &newest.times());
    assert_eq!(push.lines(), [r#"{a="1", backfill="true"}"#, "  0 \"x\" b=2"]);
}

#[test]
fn the_preset_has_what_dynamos_dashboards_ask_for() {
    let labels = [
        ("service.name", "dynamo-frontend"),
        ("k8s.namespace.name", "prod"),
        ("k8s.pod.labels.nvidia.com/dynamo-graph-deployment-name", "vllm-agg"),
        ("nvidia_com_dynamo_component_type", "frontend"),
        ("k8s.pod.name", "p"),
    ];
    let id = "ab".repeat(16);
    let traced = LogRecord { trace_id: vec![0xab; 16], ..record(1, r#"{"message":"m"}"#, &[]) };
    check(
        &format!("{BARE}\npreset: dynamo\nlabels: {{namespace: other, cluster: east}}"),
        &batch(vec![resource(&labels, vec![traced, record(2, "plain", &[])])]),
        &[
            r#"{cluster="east", namespace="prod", nvidia_com_dynamo_component_type="frontend", nvidia_com_dynamo_graph_deployment_name="vllm-agg", service_name="dynamo-frontend"}"#,
            &format!("  1 {:?} trace_id={id} k8s_pod_name=p", format!(r#"{{"message":"m","trace_id":"{id}"}}"#)),
            "  2 \"plain\" k8s_pod_name=p",
        ],
    );
}

#[test]
fn structured_metadata_beyond_lokis_limits_is_left_out_and_counted() {
    let names: Vec<String> = (0..200).map(|i| format!("key{i}")).collect();
    let pairs: Vec<_> = names.iter().map(|n| (n.as_str(), "v")).collect();
    let record = LogRecord { trace_id: vec![1; 16], ..record(1, "a", &pairs) };
    let (push, world) = pushed(BARE, &batch(vec![resource(&[], vec![record])]));
    let entry = &push.streams[0].entries[0];
    assert_eq!(entry.structured_metadata.len(), 128);
    assert_eq!(entry.structured_metadata[0].name, "trace_id");
    assert_eq!(adjusted(&world, "metadata_dropped"), 73);
}

#[test]
fn a_small_request_cannot_ask_for_more_entries_than_there_is_memory_for() {
    let world = World::new();
    let config: Config = decode("endpoint: http://loki").unwrap();
    let long = "x".repeat(60_000);
    let records = (0..5000).map(|i| record(i, "", &[])).collect();
    let batch = batch(vec![resource(&[("long", &long)], records)]);
    let (streams, dropped) =
        convert(&config, &Adjusted::new(&world.context("loki")), &batch, TIME, &Times::default(), Vec::new()).unwrap();
    let (counts, left) = (dropped.into_counts(), streams.byte_len());
    assert_eq!((counts.len(), counts[0].0.code), (1, "expansion_limit"));
    assert!((400..1000).contains(&counts[0].1) && left < 257 << 20, "{counts:?}, {left} bytes");
}
