//! Resources of all signals; the actions have tests of their own.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use pipeline::component::Refused;
use pipeline::{Batch, Signal};
use proptest::prelude::*;

use super::Factory;
use crate::testing::{
    attributes, batch, logs, metrics, processor, read_logs, read_metrics, read_spans, resource, scope, show, spans,
};

const ADD: &str = "attributes: [{key: cluster, value: c1, action: upsert}]";

#[test]
fn every_signal_has_resources() {
    let run = |batch: Batch| processor::<Factory>(ADD, batch.signal()).process(batch).unwrap();
    let expected = r#"a=1 cluster="c1""#;
    let out = run(logs(resource("{a: 1}"), scope("s", ""), vec![LogRecord::default()]));
    assert_eq!(show(&read_logs(&out).resource_logs[0].resource.as_ref().unwrap().attributes), expected);
    assert_eq!((out.signal(), out.items()), (Signal::Logs, 1));
    let out = run(spans(resource("{a: 1}"), scope("s", ""), vec![Span::default()]));
    assert_eq!(show(&read_spans(&out).resource_spans[0].resource.as_ref().unwrap().attributes), expected);
    let gauge = metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default()] });
    let out = run(metrics(resource("{a: 1}"), scope("s", ""), vec![Metric { data: Some(gauge), ..Metric::default() }]));
    assert_eq!(show(&read_metrics(&out).resource_metrics[0].resource.as_ref().unwrap().attributes), expected);
}

#[test]
fn a_resource_that_is_missing_is_made() {
    let group = ResourceLogs { scope_logs: vec![ScopeLogs::default()], ..ResourceLogs::default() };
    let request = batch(Signal::Logs, &ExportLogsServiceRequest { resource_logs: vec![group] });
    let out = processor::<Factory>(ADD, Signal::Logs).process(request).unwrap();
    assert_eq!(show(&read_logs(&out).resource_logs[0].resource.as_ref().unwrap().attributes), r#"cluster="c1""#);
}

#[test]
fn a_batch_that_needs_no_change_keeps_its_bytes() {
    let before = logs(resource("{cluster: c1}"), scope("s", ""), vec![LogRecord::default()]);
    let after = processor::<Factory>(ADD, Signal::Logs).process(before.clone()).unwrap();
    assert_eq!(before.parts()[0].as_ptr(), after.parts()[0].as_ptr());
}

#[test]
fn a_malformed_resource_is_refused_for_good() {
    // A resource whose attribute has a key that is not length-delimited.
    let request = bytes::Bytes::from_static(&[0x0a, 0x06, 0x0a, 0x04, 0x0a, 0x02, 0x08, 0x01]);
    let result = processor::<Factory>(ADD, Signal::Logs).process(Batch::counted(Signal::Logs, request, 0));
    match result {
        Err(Refused::Reject { reason }) => {
            assert_eq!(reason.to_string(), "protobuf field has the wrong wire type (malformed)");
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Compared with the same on decoded objects, over several resources, parts and duplicate keys.
    #[test]
    fn it_equals_the_same_on_objects(parts in prop::collection::vec(prop::collection::vec(prop::collection::vec((0u8..4, 0i64..3), 0..5), 0..4), 0..3)) {
        let request = |resources: &Vec<Vec<(u8, i64)>>| ExportLogsServiceRequest {
            resource_logs: resources.iter().map(|list| {
                let yaml = list.iter().map(|(k, v)| format!("k{k}: {v}")).collect::<Vec<_>>();
                // One attribute at a time: a YAML map has no duplicate keys, OTLP can.
                let attributes = yaml.iter().flat_map(|entry| attributes(&format!("{{{entry}}}"))).collect();
                let resource = opentelemetry_proto::tonic::resource::v1::Resource { attributes, ..Default::default() };
                let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() }];
                ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }
            }).collect(),
        };
        let requests: Vec<_> = parts.iter().map(request).collect();
        let mut before = Batch::empty(Signal::Logs);
        requests.iter().for_each(|r| before.append(batch(Signal::Logs, r)));
        let yaml = "attributes: [{key: k0, action: delete}, {key: k1, from_attribute: k2, action: update}, \
                    {key: k9, value: 9, action: insert}]";
        let after = processor::<Factory>(yaml, Signal::Logs).process(before.clone()).unwrap();
        let mut expected: Vec<_> = requests.into_iter().flat_map(|r| r.resource_logs).collect();
        for group in &mut expected {
            let list = &mut group.resource.as_mut().unwrap().attributes;
            list.retain(|a| a.key != "k0");
            let source = list.iter().rev().find(|a| a.key == "k2").map(|a| a.value.clone());
            if let (Some(value), Some(first)) = (source, list.iter().position(|a| a.key == "k1")) {
                list[first].value = value;
                let mut at = 0;
                list.retain(|a| { at += 1; a.key != "k1" || at - 1 == first });
            }
            list.extend(attributes("{k9: 9}"));
        }
        prop_assert_eq!(after.items(), before.items());
        prop_assert_eq!(read_logs(&after).resource_logs, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    pipeline::testing::conformance::processor::<Factory>(
        "attributes: [{key: a, value: 1, action: upsert}, {pattern: b, action: hash}]",
    )
    .await;
}
