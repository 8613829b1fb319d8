//! What goes over the wire, and what Loki's answers mean.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use pipeline::config::testing::{decode, decode_exporter};
use pipeline::delivery::Sizer;
use pipeline::testing::conformance;
use pipeline::{Batch, Exporter, ExporterFactory, Receipt, Refused, Signal};
use proptest::prelude::*;
use prost::Message;

use super::logproto::PushRequest;
use super::otlp::*;
use crate::loki::{Config, Factory};
use crate::testing::{FarSide, Say, Sent};

const ENDPOINT: &str = "endpoint: http://far/loki/api/v1/push";

fn exporter(far: &FarSide, yaml: &str) -> Box<dyn Exporter> {
    let config = decode::<Config>(&format!("{ENDPOINT}\n{yaml}")).unwrap();
    Factory::build(config, far.world.context_for("loki", Signal::Logs)).unwrap()
}

fn records(count: u64) -> Batch {
    batch(vec![resource(&[("service.name", "s")], (0..count).map(|i| record(i, &format!("line {i}"), &[])).collect())])
}

fn decoded(sent: &Sent) -> PushRequest {
    PushRequest::decode(sent.unsnapped().as_slice()).unwrap()
}

fn entries(sent: &[Sent]) -> Vec<usize> {
    sent.iter().map(|s| decoded(s).streams.iter().map(|s| s.entries.len()).sum()).collect()
}

fn dropped(receipt: &Receipt) -> Vec<(&'static str, usize)> {
    receipt.dropped.iter().map(|(reason, items)| (reason.code, *items)).collect()
}

#[tokio::test]
async fn a_push_is_a_snappy_block_of_protobuf_for_its_tenant() {
    let far = FarSide::start([]).await;
    assert_eq!(exporter(&far, "headers: {X-Scope-OrgID: acme}").export(&records(1)).await, Ok(Receipt::default()));
    let sent = far.take();
    assert_eq!(sent[0].line, "POST /loki/api/v1/push");
    for (name, value) in
        [("content-type", "application/x-protobuf"), ("content-encoding", "snappy"), ("x-scope-orgid", "acme")]
    {
        assert_eq!(sent[0].header(name), value);
    }
    assert_eq!(entries(&sent), [1]);
}

#[tokio::test]
async fn each_tenant_has_pushes_of_its_own() {
    let far = FarSide::start([]).await;
    let of = |team: &str| resource(&[("loki.tenant", "team"), ("team", team)], vec![record(1, team, &[])]);
    let own = record(2, "own", &[("team", "red")]);
    let mut mixed = of("blue");
    mixed.scope_logs[0].log_records.push(own);
    exporter(&far, "headers: {X-Scope-OrgID: acme}")
        .export(&batch(vec![of("red"), resource(&[], vec![record(3, "none", &[])]), mixed]))
        .await
        .unwrap();
    let by_tenant: Vec<_> = far
        .take()
        .iter()
        .map(|s| (s.header("x-scope-orgid").to_owned(), entries(std::slice::from_ref(s))[0]))
        .collect();
    assert_eq!(by_tenant, [("red".to_owned(), 2), ("acme".to_owned(), 1), ("blue".to_owned(), 1)]);
}

#[tokio::test]
async fn records_of_nobody_who_could_be_a_tenant_are_dropped() {
    let far = FarSide::start([]).await;
    let of = |team: &str| resource(&[("loki.tenant", "team"), ("team", team)], vec![record(1, team, &[])]);
    let receipt = exporter(&far, "").export(&batch(vec![of("rötlich"), of(".."), of("a|b"), of("red")])).await.unwrap();
    assert_eq!((dropped(&receipt), entries(&far.take())), (vec![("bad_tenant", 3)], vec![1]));
}

#[tokio::test]
async fn pushes_stay_below_their_limit_and_in_order() {
    let far = FarSide::start([]).await;
    let line = "x".repeat(1000);
    let records = (0..3000).rev().map(|i| record(i, &line, &[])).collect();
    exporter(&far, "").export(&batch(vec![resource(&[], records)])).await.unwrap();
    let sent = far.take();
    assert_eq!((sent.len(), entries(&sent).iter().sum::<usize>()), (3, 3000));
    assert!(sent.iter().all(|s| s.unsnapped().len() <= 1 << 20));
    let times: Vec<_> =
        sent.iter().flat_map(|s| decoded(s).streams).flat_map(|s| s.entries).map(|e| e.time()).collect();
    assert!(times.is_sorted());
}

#[tokio::test]
async fn a_400_is_final_and_says_what_was_lost_while_the_rest_is_stored() {
    let body = "entry with timestamp x ignored, reason: 'entry too far behind, entry timestamp is: x',\n\
                user 'fake', total ignored: 2 out of 5 for stream: {service_name=\"s\"}";
    let far = FarSide::start([Say::status(400).body(body)]).await;
    let receipt = exporter(&far, "").export(&records(5)).await.unwrap();
    assert_eq!(dropped(&receipt), [("too_far_behind", 2)]);
    let message = &receipt.dropped[0].0.message;
    assert!(message.starts_with(r#"{exporter="OTLP", job="s", service_name="s"}: entry too far behind"#), "{message}");
    assert_eq!(far.take().len(), 1);
}

#[tokio::test]
async fn a_push_that_loki_could_not_read_is_rejected() {
    let far = FarSide::start([Say::status(400).body("snappy: corrupt input")]).await;
    let refused = exporter(&far, "").export(&records(5)).await.unwrap_err();
    assert!(matches!(&refused, Refused::Reject { reason } if reason.code == "http_400"), "{refused}");
}

#[tokio::test]
async fn rate_limits_and_failures_are_retried() {
    let far = FarSide::start([Say::status(429).header("retry-after", "3"), Say::status(503)]).await;
    let (exporter, batch) = (exporter(&far, ""), records(1));
    let refused = exporter.export(&batch).await.unwrap_err();
    assert!(matches!(&refused, Refused::Retry { after: Some(after), .. } if after.as_secs() == 3), "{refused}");
    let refused = exporter.export(&batch).await.unwrap_err();
    assert!(matches!(&refused, Refused::Retry { after: None, reason } if reason.code == "http_503"), "{refused}");
    assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
}

#[tokio::test]
async fn a_push_that_is_too_large_is_halved_and_so_is_one_that_keeps_failing() {
    let far = FarSide::start([Say::status(413)]).await;
    assert_eq!(exporter(&far, "").export(&records(4)).await, Ok(Receipt::default()));
    assert_eq!(entries(&far.take()), [4, 2, 2]);

    let large = || Say::status(500).body("rpc error: message larger than max");
    let far = FarSide::start([large(), large()]).await;
    let (exporter, batch) = (exporter(&far, ""), records(4));
    assert!(exporter.export(&batch).await.is_err());
    assert!(exporter.export(&batch).await.is_err());
    assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
    assert_eq!(entries(&far.take()), [4, 4, 2, 2]);
}

#[tokio::test]
async fn a_large_push_that_keeps_failing_at_a_gateway_is_halved_and_a_small_one_is_not() {
    for (line, expected) in [("x".repeat(40 << 10), [2, 2, 1, 1].as_slice()), ("x".to_owned(), &[2, 2, 2])] {
        let far = FarSide::start([Say::status(502), Say::status(504)]).await;
        let batch = batch(vec![resource(&[], (0..2).map(|i| record(i, &line, &[])).collect())]);
        let exporter = exporter(&far, "");
        assert!(exporter.export(&batch).await.is_err());
        assert!(exporter.export(&batch).await.is_err());
        assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
        assert_eq!(entries(&far.take()), expected);
    }
}

#[tokio::test]
async fn what_goes_to_backfill_stays_so_for_every_attempt_at_a_batch() {
    let second = 1_000_000_000;
    let ok = || Say::status(204);
    let far = FarSide::start([ok(), Say::status(500), ok(), ok(), ok()]).await;
    let exporter = exporter(&far, "default_labels_enabled: {exporter: false, job: false}\nbackfill_window: 1s");
    let of = |records: Vec<LogRecord>| batch(vec![resource(&[("service.name", "s")], records)]);
    exporter.export(&of(vec![record(second, "a", &[])])).await.unwrap();
    let later = of(vec![record(2 * second, "c", &[]), record(0, "old", &[]), record(second / 2, "b", &[])]);
    assert!(exporter.export(&later).await.is_err());
    assert_eq!(exporter.export(&later).await, Ok(Receipt::default()));
    exporter.export(&of(vec![record(1, "older", &[]), record(second, "edge", &[])])).await.unwrap();
    let streams: Vec<_> = far.take().iter().flat_map(|sent| decoded(sent).lines()).collect();
    assert_eq!(streams.iter().filter(|line| line.contains("backfill")).count(), 1, "{streams:?}");
    assert!(streams.last().unwrap().ends_with("\"older\""), "{streams:?}");
}

#[tokio::test(start_paused = true)]
async fn it_does_what_every_exporter_does() {
    conformance::exporter::<Factory>(ENDPOINT, FarSide::forever).await;
}

#[tokio::test]
async fn a_malformed_batch_is_rejected() {
    let far = FarSide::start([]).await;
    let batch = Batch::counted(Signal::Logs, Bytes::from_static(&[10, 200]), 1);
    assert_eq!(exporter(&far, "").export(&batch).await.unwrap_err().reason().code, "malformed");
}

#[tokio::test]
async fn the_logs_of_dynamo_have_the_time_at_which_they_were_seen() {
    let far = FarSide::start([]).await;
    let exporter = exporter(&far, "");
    let (mut count, mut traces) = (0, BTreeMap::new());
    for i in 0..15 {
        let path = format!("{}/../tests/data/dynamo-1.6.1/otlp/logs-{i:04}.pb", env!("CARGO_MANIFEST_DIR"));
        let batch = Batch::new(Signal::Logs, Bytes::from(std::fs::read(path).unwrap())).unwrap();
        assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
        count += batch.items();
    }
    let streams: Vec<_> = far.take().iter().flat_map(|s| decoded(s).streams).collect();
    for entry in streams.iter().flat_map(|s| &s.entries) {
        assert!(entry.time() > TIME.cast_signed());
        if let Some(id) = entry.metadata("trace_id") {
            *traces.entry(id.to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!((streams.iter().map(|s| s.entries.len()).sum::<usize>(), count), (695, 695));
    assert!(streams.iter().all(|s| s.labels.contains("service_name=") && !s.labels.contains("trace_id")));
    assert!(!traces.is_empty() && traces.keys().all(|id| id.len() == 32));
}

#[test]
fn delivery_batches_as_promtail_does() {
    let (_, delivery) = decode_exporter::<Factory>(ENDPOINT).unwrap();
    let batch = delivery.queue.batch.unwrap();
    assert_eq!(
        (batch.max_size, batch.sizer, batch.flush_timeout),
        (1 << 20, Some(Sizer::Bytes), Duration::from_secs(1))
    );
    assert_eq!(delivery.retry.initial_interval, Duration::from_millis(500));
}

#[test]
fn a_config_that_cannot_work_says_what_would() {
    let refused = |yaml: &str, expected: &str| {
        let error = decode::<Config>(yaml).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused("{}", "an endpoint is needed, such as http://localhost:3100/loki/api/v1/push");
    let with = |yaml: &str| format!("{ENDPOINT}\n{yaml}");
    refused(&with("labels: {k8s.pod: a}"), "use letters, digits and _");
    refused(&with("compression: gzip"), "always compressed with snappy");
    refused(&with("tenant: {source: static}"), "X-Scope-OrgID");
    refused(&with("format: xml"), "logfmt");
    refused(&with("max_line_bytes: 0"), "the least is 1");
    refused(&with("preset: other"), "dynamo");
}

fn resource_logs() -> impl Strategy<Value = Vec<ResourceLogs>> {
    let pair = ("service.name|a|b.c|level|loki.tenant|loki.format|loki.attribute.labels", "[a-b\"\\\\ü,]{0,3}|json|a");
    let labels = prop::collection::vec(pair, 0..4);
    let record = (labels.clone(), 0..5u64, "[a-zü]{0,40}", 0..26i32).prop_map(|(labels, after, body, severity)| {
        let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        LogRecord { severity_number: severity, ..record(after, &body, &labels) }
    });
    let resource = (labels, prop::collection::vec(record, 0..8)).prop_map(|(labels, records)| {
        let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        resource(&labels, records)
    });
    prop::collection::vec(resource, 0..4)
}

proptest! {
    #[test]
    fn every_record_is_pushed_in_order_within_its_stream(resources in resource_logs(), most in 50..400usize) {
        let batch = batch(resources);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (sent, receipt) = runtime.block_on(async {
            let far = FarSide::start([]).await;
            let yaml = format!("max_batch_size_bytes: {most}\nmax_line_bytes: 16\nattribute_labels: [a]");
            let receipt = exporter(&far, &yaml).export(&batch).await.unwrap();
            (far.take(), receipt)
        });
        let mut last: HashMap<(String, String), i64> = HashMap::new();
        let mut whole: usize = dropped(&receipt).iter().map(|(_, items)| items).sum();
        for sent in &sent {
            let push = decoded(sent);
            let count: usize = push.streams.iter().map(|s| s.entries.len()).sum();
            prop_assert!(count == 1 || sent.unsnapped().len() <= most);
            for stream in push.streams {
                let key = (sent.header("x-scope-orgid").to_owned(), stream.labels.clone());
                for entry in stream.entries {
                    let before = last.insert(key.clone(), entry.time()).unwrap_or(0);
                    prop_assert!(before <= entry.time());
                    prop_assert!(entry.line.len() <= 16);
                    whole += 1;
                }
            }
        }
        prop_assert!(whole >= batch.items());
    }
}
