//! Ten times as much as can go out, and nobody takes it: memory stays below its limit, clients are refused in their
//! protocol, and what was taken arrives once somebody takes it again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tonic::Code;

use crate::faults::far::{Far, Fault};
use crate::killed::wait;
use crate::support::process::Slipring;
use crate::support::{eventually, free_port, http, runtime};

/// `memory_limiter.limit_mib`.
const LIMIT_MIB: u64 = 96;
/// What may be used beyond the limit.
const BEYOND_MIB: u64 = 32;
/// How long clients send as fast as they can.
const LASTS: Duration = Duration::from_secs(6);
/// Clients at a time, each over HTTP with requests of a megabyte.
const CLIENTS: usize = 6;
/// Spans of a request.
const SPANS: usize = 1000;

const CONFIG: &str = "
receivers:
  otlp: {protocols: {grpc: {endpoint: '${env:GRPC}'}, http: {endpoint: '${env:HTTP}'}}}
  otlp/calm: {protocols: {http: {endpoint: '${env:CALM}'}}}
processors:
  memory_limiter: {check_interval: 100ms, limit_mib: LIMIT, spike_limit_mib: 24}
exporters:
  otlp_http:
    endpoint: 'http://${env:FAR}'
    compression: none
    timeout: 5s
    retry_on_failure: {initial_interval: 100ms, max_interval: 500ms, max_elapsed_time: 0}
    sending_queue: {queue_size: 1000000, max_bytes: 4000000000}
  debug: {}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [otlp_http]}
    logs: {receivers: [otlp/calm], exporters: [debug]}
";

fn spans() -> ExportTraceServiceRequest {
    let span = |n: usize| Span {
        name: format!("{n}{}", "x".repeat(1000)),
        trace_id: (n as u128 + 1).to_be_bytes().to_vec(),
        span_id: vec![1; 8],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..SPANS).map(span).collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

/// Kibibytes of resident memory.
fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn under_overload_memory_is_bounded_clients_are_refused_and_what_was_taken_arrives() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, CONFIG.replace("LIMIT", &LIMIT_MIB.to_string())).expect("the folder is writable");
    let far = Far::start();
    far.does(Fault::Hang);
    let address = || format!("127.0.0.1:{}", free_port());
    let (grpc, door, calm) = (address(), address(), address());
    let variables =
        [("GRPC", grpc.clone()), ("HTTP", door.clone()), ("CALM", calm.clone()), ("FAR", far.address.clone())];
    let slipring = Slipring::start(&config, folder.path(), &variables);
    let body = spans().encode_to_vec();
    let (stop, taken, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (mut most, mut calmly) = (0, 0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    match http::post(&door, "/v1/traces", &["Content-Type: application/x-protobuf"], &body) {
                        Ok((200, _)) => _ = taken.fetch_add(SPANS as u64, Ordering::Relaxed),
                        Ok((503, _)) => _ = refused.fetch_add(SPANS as u64, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        for _ in 0..LASTS.as_millis() / 50 {
            wait(Duration::from_millis(50));
            most = most.max(resident_kib(slipring.process.id()));
            // A flood on one receiver does not starve another.
            let (path, record) = crate::killed::request("l1");
            let answer = http::post(&calm, path, &["Content-Type: application/x-protobuf"], &record);
            calmly += u64::from(answer.is_ok_and(|(status, _)| status == 200));
        }
        let status = runtime().block_on(async {
            let mut client = TraceServiceClient::connect(format!("http://{grpc}")).await.expect("it listens");
            client.export(spans()).await.expect_err("memory is full")
        });
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(details.contains("google.rpc.RetryInfo"), "{details}");
        let head = http::post_head(&door, "/v1/traces", &["Content-Type: application/x-protobuf"], &body);
        let head = head.expect("an answer").to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 503") && head.contains("\r\nretry-after: 1"), "{head}");
        stop.store(true, Ordering::Relaxed);
    });
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    assert!(most <= (LIMIT_MIB + BEYOND_MIB) << 10, "{most} KiB of {LIMIT_MIB} MiB");
    assert!(taken > 0 && refused > taken, "{taken} taken, {refused} refused");
    assert!(calmly as u128 == LASTS.as_millis() / 50, "{calmly} of the calm receiver's records were taken");
    far.does(Fault::Kind);
    let count = |name: &str| slipring.own_metrics().sum(name, &[("component", "otlp_http")]);
    eventually(Duration::from_secs(60), "everything that was taken is delivered", || {
        let delivered = count("slipring_delivered_items_total");
        if delivered == taken as f64 { Ok(()) } else { Err(format!("{delivered} of {taken}")) }
    });
    assert_eq!((count("slipring_dropped_items_total"), count("slipring_unaccounted_items")), (0.0, 0.0));
    println!("{} MiB at most, {taken} spans taken, {refused} refused", most >> 10);
    slipring.stop();
}
