//! Good configs: the plan that comes out, and what is printed of it.

use std::path::PathBuf;
use std::time::Duration;

use super::components::{inputs, registry, surroundings};
use crate::config::report::Style;
use crate::config::{ComponentId, Format, Loaded, Redact, load, print};
use crate::plan::{LogEncoding, LogLevel, Plan, TelemetryPlan};

fn loaded(configs: &[&str], sets: &[&str]) -> Loaded {
    let loaded = load(&inputs(configs, sets), &registry(), &surroundings());
    assert_eq!(loaded.report.errors(), 0, "{}", loaded.report.render(Style::Plain));
    loaded
}

fn plan(configs: &[&str], sets: &[&str]) -> Plan {
    loaded(configs, sets).plan.expect("there are no errors")
}

/// A config around what a test is about.
const BASE: &str = "file:base.yaml";

#[test]
fn only_what_a_pipeline_uses_is_planned_and_each_once() {
    let plan = plan(
        &[
            BASE,
            "yaml:receivers: {otlp/unused: , file_log: {include: [a]}}",
            "yaml:processors: {batch: , batch/2: }",
            "yaml:service::pipelines: {logs: {receivers: [otlp, ' otlp'], processors: batch/2, exporters: 'debug, debug'}, logs/b: {receivers: [file_log], exporters: [debug]}}",
        ],
        &[],
    );
    let ids = |keys: Vec<&ComponentId>| keys.into_iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ids(plan.receivers.keys().collect()), ["file_log", "otlp"]);
    assert_eq!(ids(plan.processors.keys().collect()), ["batch/2"]);
    assert_eq!(ids(plan.exporters.keys().collect()), ["debug"]);
    let pipelines: Vec<_> =
        plan.pipelines.iter().map(|p| (p.id.to_string(), ids(p.receivers.iter().collect()))).collect();
    assert_eq!(
        pipelines,
        [("logs".to_owned(), vec!["otlp".to_owned()]), ("logs/b".to_owned(), vec!["file_log".to_owned()])]
    );
    assert_eq!(ids(plan.pipelines[0].exporters.iter().collect()), ["debug"]);
}

#[test]
fn delivery_lies_over_the_factorys_defaults() {
    let delivery = |set: &str| {
        let plan = plan(&[BASE], &[set]);
        plan.exporters.into_values().next().expect("an exporter").delivery
    };
    assert!(!delivery("exporters.debug=").queue.enabled);
    assert!(!delivery("exporters.debug={timeout: 7s}").queue.enabled);
    assert_eq!(delivery("exporters.debug={timeout: 7s}").timeout, Duration::from_secs(7));
    assert!(delivery("exporters.debug={sending_queue: }").queue.enabled);
    assert_eq!(delivery("exporters.debug={sending_queue: {queue_size: 3}}").queue.queue_size, 3);
    assert!(!delivery("exporters.debug={sending_queue: {enabled: false, queue_size: 3}}").queue.enabled);
}

#[test]
fn our_own_settings_have_defaults() {
    let plan = plan(&[BASE], &[]);
    assert_eq!((plan.shutdown_timeout, plan.data_dir), (Duration::from_secs(10), PathBuf::from("/state")));
    assert_eq!(plan.telemetry, TelemetryPlan::default());
    let plan = super::load::plan(&[BASE], &["service.shutdown_timeout=1m", "service.data_dir=/x"]);
    assert_eq!((plan.shutdown_timeout, plan.data_dir), (Duration::from_secs(60), PathBuf::from("/x")));
}

#[test]
fn own_telemetry_is_read_in_the_collectors_forms() {
    let telemetry = |yaml: &str| plan(&[BASE, &format!("yaml:service::telemetry: {yaml}")], &[]).telemetry;
    assert_eq!(telemetry("{metrics: {level: none}}").metrics_address, None);
    assert_eq!(telemetry("{metrics: {level: none, readers: []}}").metrics_address, None);
    assert_eq!(telemetry("{metrics: {level: detailed}}").metrics_address.as_deref(), Some("localhost:8888"));
    let reader = "{metrics: {readers: [{pull: {exporter: {prometheus: {host: '::', port: 9, without_units: true}}}}]}}";
    assert_eq!(telemetry(reader).metrics_address.as_deref(), Some("[::]:9"));
    assert_eq!(telemetry("{logs: {level: DEBUG, encoding: json}}").log_level, LogLevel::Debug);
    assert_eq!(telemetry("{logs: {encoding: json}}").log_encoding, LogEncoding::Json);
    let pairs = vec![("a".to_owned(), "b".to_owned()), ("n".to_owned(), "5".to_owned())];
    assert_eq!(telemetry("{resource: {a: b, service.name: ~, n: 5}}").resource, pairs);
    assert_eq!(
        telemetry("{resource: {schema_url: x, attributes: [{name: a, value: b}, {name: n, value: 5}]}}").resource,
        pairs
    );
}

#[test]
fn a_merged_config_prints_without_its_secrets() {
    let loaded = loaded(
        &[
            BASE,
            "yaml:exporters: {otlp: {endpoint: '${env:HOST}:${env:PORT}', headers: {Authorization: 'Bearer ${env:TOKEN}', X-Scope: a}, tls: {key_pem: '${file:token}'}}}",
            "yaml:exporters: {otlp/list: {endpoint: 'x: y', headers: [{name: X-Scope, value: b}]}}",
        ],
        &["service.pipelines.logs.exporters=[otlp, debug]"],
    );
    assert_eq!(
        print(&loaded.tree, Format::Yaml, Redact::Secrets(&loaded.secrets)),
        "receivers:
  otlp: null
exporters:
  debug: null
  otlp:
    endpoint: collector:4317
    headers:
      Authorization: '[REDACTED]'
      X-Scope: '[REDACTED]'
    tls:
      key_pem: '[REDACTED]'
  otlp/list:
    endpoint: \"x: y\"
    headers:
      - name: X-Scope
        value: '[REDACTED]'
service:
  pipelines:
    logs:
      receivers:
        - otlp
      exporters:
        - otlp
        - debug
"
    );
    let json = print(&loaded.tree, Format::Json, Redact::Secrets(&loaded.secrets));
    assert!(json.contains("\"Authorization\": \"[REDACTED]\"") && !json.contains("s3cr3t"), "{json}");
    assert!(print(&loaded.tree, Format::Yaml, Redact::Nothing).contains("key_pem: s3cr3t"));
}
