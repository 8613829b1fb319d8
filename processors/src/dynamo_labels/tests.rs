//! Which labels are added where; Dynamo's own recorded pairs are in `dynamo_golden`.

use std::time::Duration;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, metric::Data};
use opentelemetry_proto::tonic::trace::v1::Span;
use pipeline::Signal;
use pipeline::component::Processor;
use pipeline::testing::World;

use super::{Config, Factory};
use crate::testing::{
    attributes, build, logs, metrics, problems, processor, read_logs, read_metrics, read_spans, resource, scope, show,
    spans,
};

/// The attributes of a data point behind the processor.
fn point(processor: &dyn Processor, before: &str) -> String {
    let data_points = vec![NumberDataPoint { attributes: attributes(before), ..NumberDataPoint::default() }];
    let gauge = Metric { data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() };
    let out = processor.process(metrics(resource("{model: of-the-resource}"), scope("s", ""), vec![gauge])).unwrap();
    let metric = &read_metrics(&out).resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(Data::Gauge(gauge)) = &metric.data else { panic!("not a gauge") };
    show(&gauge.data_points[0].attributes)
}

#[track_caller]
fn check(config: &str, before: &str, expected: &str) {
    assert_eq!(point(&*processor::<Factory>(config, Signal::Metrics), before), expected);
}

const ALL: &str = "{namespace: ns, component: backend, worker_id: 7e5, model: m, labels: {zone: a}}";

#[test]
fn automatic_and_custom_labels_are_added() {
    check(
        ALL,
        "{}",
        r#"dynamo_component="backend" dynamo_endpoint="generate" dynamo_namespace="ns" model="m" model_name="m" worker_id="7e5" zone="a""#,
    );
    check(
        "{namespace: ns, component: backend, endpoint: clear_kv_blocks}",
        "{}",
        r#"dynamo_component="backend" dynamo_endpoint="clear_kv_blocks" dynamo_namespace="ns""#,
    );
}

#[test]
fn an_existing_label_goes_before_an_automatic_one_and_that_before_a_custom_one() {
    check(
        "{namespace: ns, component: c, model: m, labels: {dynamo_component: custom, model: custom, worker_id: w}}",
        "{model_name: own, dynamo_namespace: ''}",
        r#"model_name="own" dynamo_namespace="" dynamo_component="c" dynamo_endpoint="generate" model="m" worker_id="w""#,
    );
}

#[test]
fn automatic_labels_take_both_namespace_and_component() {
    check("{namespace: ns, worker_id: w, model: m, labels: {a: b}}", "{}", r#"a="b""#);
    check("{component: c, labels: {a: b}}", "{}", r#"a="b""#);
    check("{namespace: '', component: c, labels: {a: b, dynamo_component: x}}", "{}", r#"a="b" dynamo_component="x""#);
}

#[test]
fn a_value_that_is_empty_adds_no_label() {
    check(
        "{namespace: ns, component: c, endpoint: '', labels: {a: ''}}",
        "{}",
        r#"dynamo_component="c" dynamo_namespace="ns""#,
    );
}

#[test]
fn traces_and_logs_get_the_labels_on_their_resource() {
    let run = |batch: pipeline::Batch| processor::<Factory>(ALL, batch.signal()).process(batch).unwrap();
    let expected = r#"model="mine" dynamo_component="backend" dynamo_endpoint="generate" dynamo_namespace="ns" model_name="m" worker_id="7e5" zone="a""#;
    let out = read_logs(&run(logs(resource("{model: mine}"), scope("s", ""), vec![LogRecord::default()])));
    assert_eq!(show(&out.resource_logs[0].resource.as_ref().unwrap().attributes), expected);
    let out = read_spans(&run(spans(resource("{model: mine}"), scope("s", ""), vec![Span::default()])));
    assert_eq!(show(&out.resource_spans[0].resource.as_ref().unwrap().attributes), expected);
    assert!(out.resource_spans[0].scope_spans[0].spans[0].attributes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn values_come_from_files_and_follow_them() {
    let world = World::new();
    let path = "/etc/podinfo/name";
    world.files.put(path, "pod-1\n");
    let config = format!("{{labels: {{pod: {{from_file: {path}}}, same: {{from_file: {path}}}}}}}");
    let processor = build::<Factory>(&config, world.context_for("dynamo_labels", Signal::Metrics)).unwrap();
    assert_eq!(point(&*processor, "{}"), r#"pod="pod-1" same="pod-1""#);

    world.files.put(path, "pod-2");
    let after = async |milliseconds| {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        // This batch starts the reading and does not wait for it.
        point(&*processor, "{}");
        tokio::task::yield_now().await;
        point(&*processor, "{}")
    };
    assert_eq!(after(9_999).await, r#"pod="pod-1" same="pod-1""#);
    assert_eq!(after(1).await, r#"pod="pod-2" same="pod-2""#);

    world.files.rm(path);
    assert_eq!(after(60_000).await, r#"pod="pod-2" same="pod-2""#);

    world.tasks.close();
    world.tasks.wait().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_the_pipeline_from_starting() {
    let world = World::new();
    let refused = |config: &str| {
        build::<Factory>(config, world.context_for("dynamo_labels", Signal::Metrics)).err().unwrap_or_default()
    };
    world.files.put("/large", vec![b'x'; 65 << 10]);
    world.files.put("/binary", [0xff]);
    for (path, why) in
        [("/nowhere", "entity not found"), ("/large", "longer than 65536 bytes"), ("/binary", "is not UTF-8")]
    {
        assert_eq!(
            refused(&format!("{{namespace: {{from_file: {path}}}, component: c}}")),
            format!("cannot read the label file {path}: {why}")
        );
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    assert_eq!(
        problems::<Config>(
            "{namespace: {}, labels: {le: a, quantile: b, '': c, d: {from_file: ''}}, file_check_interval: 0s}"
        ),
        [
            "'::namespace': needs text, or from_file and a path",
            "'::labels': has a label without a name",
            "'::labels::le': is reserved for buckets and quantiles and cannot be injected: choose another name",
            "'::labels::quantile': is reserved for buckets and quantiles and cannot be injected: choose another name",
            "'::labels::d': needs text, or from_file and a path",
            "'::file_check_interval': must be greater than zero, 10s is a good choice",
        ]
    );
    assert_eq!(problems::<Config>("{}"), ["'': adds nothing: give namespace and component, or labels"]);
}

#[test]
fn what_is_said_in_vain_is_noticed() {
    let said_in_vain = |yaml: &str| {
        let config = pipeline::config::testing::decode::<Config>(yaml).unwrap();
        super::labels::Sources::new(&config, pipeline::doors::Doors::real().files).said_in_vain()
    };
    let takes_both = "automatic labels are added only with both namespace and component";
    assert_eq!(said_in_vain("{worker_id: w, labels: {a: b}}"), [takes_both]);
    assert_eq!(said_in_vain("{namespace: n, labels: {a: b}}"), [takes_both]);
    assert_eq!(
        said_in_vain("{namespace: n, component: c, labels: {dynamo_component: x, model: y}}"),
        ["dynamo_component is added automatically: its value in labels is not used"]
    );
    assert_eq!(said_in_vain("{labels: {dynamo_component: x}}"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    pipeline::testing::conformance::processor::<Factory>("{namespace: n, component: c, labels: {a: b}}").await;
}
