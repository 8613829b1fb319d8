//! Against a scripted HTTP server on virtual sockets.

use std::time::Duration;

use pipeline::config::testing::decode;
use pipeline::net::compress::decompress;
use pipeline::net::grpc::Code;
use pipeline::testing::Fault;
use pipeline::{Receipt, otlp};

use super::*;
use crate::testing::{FarSide, Say};

fn exporter(far: &FarSide, yaml: &str, signal: Signal) -> Box<dyn Exporter> {
    let config = decode(&format!("{{endpoint: 'http://far:80/base/', {yaml}}}")).unwrap();
    Factory::build(config, far.world.context_for("otlp_http", signal)).unwrap()
}

fn spans(count: usize, bytes: usize) -> Bytes {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let span = Span { name: "x".repeat(bytes), trace_id: vec![7; 16], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span; count], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

fn batch(parts: &[Bytes]) -> Batch {
    let items = parts.iter().map(|p| otlp::count::items(Signal::Traces, p).unwrap()).sum();
    Batch::from_parts(Signal::Traces, parts.to_vec(), items)
}

#[tokio::test]
async fn the_bytes_of_a_batch_are_the_body_whatever_the_compression() {
    for (yaml, coding) in [
        ("", Some(Coding::Gzip)),
        ("compression: zstd, compression_params: {level: 3}", Some(Coding::Zstd)),
        ("compression: snappy", Some(Coding::Snappy)),
        ("compression: deflate", Some(Coding::Deflate)),
        ("compression: none", None),
    ] {
        let far = FarSide::start([]).await;
        let batch = batch(&[spans(3, 10), spans(2, 20)]);
        let exporter = exporter(&far, &format!("headers: {{x-tenant: a}}, {yaml}"), Signal::Traces);
        assert_eq!(exporter.export(&batch).await, Ok(Receipt::default()));
        let sent = far.take().remove(0);
        assert_eq!(sent.line, "POST /base/v1/traces");
        assert_eq!((sent.header("content-type"), sent.header("x-tenant")), ("application/x-protobuf", "a"));
        assert_eq!(sent.header("content-encoding"), coding.map_or("", Coding::name));
        let body = coding.map_or(Ok(sent.body.to_vec()), |coding| decompress(coding, &sent.body, 1 << 20));
        assert_eq!(body.unwrap(), batch.to_bytes());
    }
}

#[tokio::test]
async fn a_signals_own_endpoint_is_its_whole_url() {
    let far = FarSide::start([]).await;
    let batch = batch(&[spans(1, 1)]);
    let own = exporter(&far, "traces_endpoint: 'http://far:80/api/push?x=1'", Signal::Traces);
    own.export(&batch).await.unwrap();
    let logs = Batch::counted(Signal::Logs, Bytes::from_static(b"\x0a\x00"), 1);
    exporter(&far, "", Signal::Logs).export(&logs).await.unwrap();
    let lines: Vec<_> = far.take().into_iter().map(|s| s.line).collect();
    assert_eq!(lines, ["POST /api/push", "POST /base/v1/logs"]);
}

#[tokio::test]
async fn json_is_sent_and_its_answers_are_read() {
    let partial = r#"{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "late"}}"#;
    let far = FarSide::start([Say::status(200).header("content-type", "application/json").body(partial)]).await;
    let exporter = exporter(&far, "encoding: json, compression: none", Signal::Traces);
    let receipt = exporter.export(&batch(&[spans(3, 5), spans(2, 5)])).await.unwrap();
    assert_eq!(receipt.dropped, [(Reason::new("partial_success", "the far side dropped 2 of 5 spans: late"), 2)]);
    let sent = far.take().remove(0);
    assert_eq!(sent.header("content-type"), "application/json");
    let json: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(json["resourceSpans"][1]["scopeSpans"][0]["spans"][0]["traceId"], "07".repeat(16));
}

#[tokio::test(start_paused = true)]
async fn statuses_are_retried_by_the_specifications_rules() {
    let check = async |say: Say, expected: Option<Option<u64>>, words: &str| {
        let far = FarSide::start([say]).await;
        let refused = exporter(&far, "", Signal::Traces).export(&batch(&[spans(1, 1)])).await.unwrap_err();
        let got = if let Refused::Retry { after, .. } = &refused { Some(*after) } else { None };
        assert_eq!(got, expected.map(|after| after.map(Duration::from_secs)), "{refused}");
        assert!(refused.reason().message.contains(words), "{refused}");
    };
    for status in [429, 502, 503, 504] {
        check(Say::status(status), Some(None), "no explanation").await;
        check(Say::status(status).header("retry-after", "7"), Some(Some(7)), "http://far").await;
    }
    // The virtual world begins at 2026-01-01T00:00:00Z.
    let date = "Thu, 01 Jan 2026 00:00:30 GMT";
    check(Say::status(503).header("retry-after", date), Some(Some(30)), "503").await;
    for status in [301, 400, 401, 403, 404, 413, 415, 500, 501, 505] {
        check(Say::status(status).body("no\nway"), None, "no way").await;
    }
    let json = Say::status(400).header("content-type", "application/json; charset=utf-8");
    check(json.body(r#"{"code": 3, "message": "bad span", "details": []}"#), None, "400 Bad Request: bad span").await;
    let proto = Say::status(503).header("content-type", "application/x-protobuf");
    let status = Status::new(Code::Unavailable, "full").with_retry_after(Some(Duration::from_secs(4))).to_proto();
    check(proto.body(String::from_utf8(status.to_vec()).unwrap()), Some(Some(4)), "Unavailable: full").await;
}

#[tokio::test]
async fn success_answers_are_read_and_bad_ones_are_still_success() {
    let partial = || Say::status(200).header("content-type", "application/x-protobuf");
    let far = FarSide::start([
        partial().body("\n\u{8}\u{8}\u{2}\u{12}\u{4}late"),
        partial().body("\u{7f}\u{7f}"),
        Say::status(202).body("<html>"),
        partial().header("content-encoding", "br").body("x"),
    ])
    .await;
    let exporter = exporter(&far, "", Signal::Traces);
    let receipt = exporter.export(&batch(&[spans(5, 1)])).await.unwrap();
    assert_eq!(receipt.dropped, [(Reason::new("partial_success", "the far side dropped 2 of 5 spans: late"), 2)]);
    for _ in 0..3 {
        assert_eq!(exporter.export(&batch(&[spans(5, 1)])).await, Ok(Receipt::default()));
    }
}

#[tokio::test]
async fn a_batch_above_4_mib_goes_as_several_bodies() {
    let far = FarSide::start([]).await;
    let exporter = exporter(&far, "compression: none", Signal::Traces);
    assert_eq!(exporter.export(&batch(&[spans(9000, 1000)])).await, Ok(Receipt::default()));
    let sent = far.take();
    assert!(sent.len() == 3 && sent.iter().all(|s| s.body.len() < 4 << 20));
    let items: usize = sent.iter().map(|s| otlp::count::items(Signal::Traces, &s.body).unwrap()).sum();
    assert_eq!(items, 9000);
}

#[tokio::test]
async fn a_far_side_that_is_not_there_or_breaks_off_is_tried_again() {
    for (fault, code) in [(Fault::Refuse, "connect"), (Fault::ResetAfter(10), "reset")] {
        let far = FarSide::start([]).await;
        far.world.net.fault("far:80", Some(fault));
        let refused = exporter(&far, "", Signal::Traces).export(&batch(&[spans(1, 1)])).await.unwrap_err();
        assert_eq!(refused.reason().code, code);
        assert!(matches!(refused, Refused::Retry { .. }));
    }
}

#[test]
fn configs_that_cannot_work_say_so() {
    for (yaml, expected) in [
        ("{}", "an endpoint is needed"),
        ("endpoint: localhost:4318", "has no scheme"),
        ("traces_endpoint: nowhere", "has no scheme"),
        ("{endpoint: 'http://a', encoding: xml}", "proto"),
        ("{endpoint: 'http://a', compression_params: {level: 99}, compression: gzip}", "gzip has the levels 1 to 12"),
    ] {
        let error = decode::<Config>(yaml).unwrap_err();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
    assert_eq!(Factory::delivery().timeout, Duration::from_secs(30));
    let config = decode::<Config>("logs_endpoint: http://a/otlp/v1/logs").unwrap();
    assert!(config.url(Signal::Traces).unwrap_err().contains("set endpoint or traces_endpoint"));
}
