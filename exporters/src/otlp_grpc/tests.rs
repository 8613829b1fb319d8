//! Against a far side of our own framing, which meets tonic in `pipeline`'s tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{Request, Response};
use hyper::body::Incoming;
use pipeline::config::testing::decode;
use pipeline::net::body::Chunks;
use pipeline::net::grpc::{Limits, answer, receive, refuse};
use pipeline::net::http::{Handler, ServerOptions, serve};
use pipeline::testing::{Fault, World};
use pipeline::{Receipt, otlp};
use tokio_util::sync::CancellationToken;

use super::*;

const ADDRESS: &str = "127.0.0.1:4317";

/// Answers by script, then with an empty message; keeps what it was sent.
#[derive(Default)]
struct FarSide {
    script: Mutex<VecDeque<Result<Bytes, Status>>>,
    sent: Mutex<Vec<(String, Bytes, HeaderMap)>>,
}

impl Handler for FarSide {
    fn handle(self: Arc<Self>, mut request: Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            let limits = Limits { most_bytes: 4 << 20, patience: None };
            let call = match receive(&mut request, limits, |_| std::future::ready(Ok(()))).await {
                Ok(call) => call,
                Err(status) => return refuse(&status),
            };
            let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
            self.sent.lock().unwrap().push((path, call.message, headers));
            let said = self.script.lock().unwrap().pop_front().unwrap_or(Ok(Bytes::new()));
            said.map_or_else(|status| refuse(&status), answer)
        })
    }
}

struct Running {
    world: World,
    far: Arc<FarSide>,
    exporter: Box<dyn Exporter>,
    _stop: tokio_util::sync::DropGuard,
}

async fn start(yaml: &str, signal: Signal) -> Running {
    let (world, far, stop) = (World::new(), Arc::new(FarSide::default()), CancellationToken::new());
    let listener = world.doors.net.listen(ADDRESS).await.unwrap();
    let handler = Arc::clone(&far) as Arc<dyn Handler>;
    world.tasks.spawn(serve(listener, ServerOptions::default(), handler, world.tasks.clone(), stop.clone()));
    let config = decode(&format!("{{endpoint: 'http://{ADDRESS}', {yaml}}}")).unwrap();
    let exporter = Factory::build(config, world.context_for("otlp_grpc", signal)).unwrap();
    Running { world, far, exporter, _stop: stop.drop_guard() }
}

fn spans(count: usize, bytes: usize) -> Bytes {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let span = Span { name: "x".repeat(bytes), ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span; count], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

fn batch(parts: &[Bytes]) -> Batch {
    let items = parts.iter().map(|p| otlp::count::items(Signal::Traces, p).unwrap()).sum();
    Batch::from_parts(Signal::Traces, parts.to_vec(), items)
}

#[tokio::test]
async fn the_bytes_of_a_batch_are_the_message_whatever_the_compression() {
    for (yaml, encoding) in [
        ("", Some("gzip")),
        ("compression: zstd", Some("zstd")),
        ("compression: snappy", Some("snappy")),
        ("compression: none", None),
    ] {
        let running = start(&format!("headers: {{x-tenant: a}}, {yaml}"), Signal::Traces).await;
        let batch = batch(&[spans(3, 10), spans(2, 20)]);
        assert_eq!(running.exporter.export(&batch).await, Ok(Receipt::default()));
        let (path, message, headers) = running.far.sent.lock().unwrap().remove(0);
        assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        assert_eq!(message, batch.to_bytes());
        assert_eq!(headers.get("grpc-encoding").map(|v| v.to_str().unwrap()), encoding);
        assert_eq!((&headers["x-tenant"], &headers["te"]), (&"a".parse().unwrap(), &"trailers".parse().unwrap()));
        assert!(headers["user-agent"].to_str().unwrap().starts_with("slipring/"));
    }
}

#[tokio::test]
async fn each_signal_has_its_service() {
    for (signal, service) in [(Signal::Metrics, "metrics.v1.MetricsService"), (Signal::Logs, "logs.v1.LogsService")] {
        let running = start("", signal).await;
        let batch = Batch::counted(signal, Bytes::from_static(b"\x0a\x00"), 1);
        assert_eq!(running.exporter.export(&batch).await, Ok(Receipt::default()));
        let path = running.far.sent.lock().unwrap()[0].0.clone();
        assert_eq!(path, format!("/opentelemetry.proto.collector.{service}/Export"));
    }
}

#[tokio::test]
async fn statuses_are_retried_by_the_specifications_table() {
    let running = start("", Signal::Traces).await;
    let wait = Some(Duration::from_secs(3));
    let check = async |status: Status, expected: Option<Option<Duration>>| {
        running.far.script.lock().unwrap().push_back(Err(status.clone()));
        let refused = running.exporter.export(&batch(&[spans(1, 1)])).await.unwrap_err();
        let got = if let Refused::Retry { after, .. } = &refused { Some(*after) } else { None };
        assert_eq!(got, expected, "{status}");
        assert_eq!(refused.reason().message, format!("http://{ADDRESS} answered {status}"));
    };
    use Code::*;
    for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
        check(Status::new(code, "later"), Some(None)).await;
        check(Status::new(code, "later").with_retry_after(wait), Some(wait)).await;
    }
    for code in [
        Unknown,
        InvalidArgument,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        FailedPrecondition,
        Unimplemented,
        Internal,
        Unauthenticated,
        ResourceExhausted,
    ] {
        check(Status::new(code, "never"), None).await;
    }
    check(Status::new(ResourceExhausted, "slowly").with_retry_after(wait), Some(wait)).await;
}

#[tokio::test]
async fn partial_success_is_a_delivery_with_drops() {
    let running = start("", Signal::Traces).await;
    running.far.script.lock().unwrap().push_back(Ok(Bytes::from_static(b"\x0a\x08\x08\x02\x12\x04late")));
    let receipt = running.exporter.export(&batch(&[spans(5, 1)])).await.unwrap();
    let reason = Reason::new("partial_success", "the far side dropped 2 of 5 spans: late");
    assert_eq!(receipt.dropped, [(reason, 2)]);
    // A success that cannot be read is one all the same: sending it again would store it twice.
    running.far.script.lock().unwrap().push_back(Ok(Bytes::from_static(b"\xff\xff\xff")));
    assert_eq!(running.exporter.export(&batch(&[spans(5, 1)])).await, Ok(Receipt::default()));
}

#[tokio::test]
async fn a_batch_above_4_mib_goes_as_several_messages_of_which_only_the_unanswered_are_repeated() {
    let running = start("compression: none", Signal::Traces).await;
    let batch = batch(&[spans(3000, 1000), spans(6000, 1000)]);
    running.far.script.lock().unwrap().extend([Ok(Bytes::new()), Err(Status::new(Code::Unavailable, "later"))]);
    assert!(running.exporter.export(&batch).await.is_err());
    assert_eq!(running.exporter.export(&batch).await, Ok(Receipt::default()));
    let sent = std::mem::take(&mut *running.far.sent.lock().unwrap());
    let items: Vec<_> = sent.iter().map(|(_, m, _)| otlp::count::items(Signal::Traces, m).unwrap()).collect();
    assert!(sent.iter().all(|(_, m, _)| m.len() <= 4 << 20));
    assert_eq!(items[1], items[2]);
    assert_eq!(items.iter().sum::<usize>() - items[1], 9000);
}

#[tokio::test]
async fn a_far_side_that_is_not_there_is_tried_again() {
    let running = start("", Signal::Traces).await;
    running.world.net.fault(ADDRESS, Some(Fault::Refuse));
    let refused = running.exporter.export(&batch(&[spans(1, 1)])).await.unwrap_err();
    assert_eq!(refused.reason().code, "connect");
    assert!(matches!(refused, Refused::Retry { after: None, .. }));
    running.world.net.fault(ADDRESS, None);
    assert_eq!(running.exporter.export(&batch(&[spans(1, 1)])).await, Ok(Receipt::default()));
}

#[tokio::test]
async fn after_its_end_no_task_is_left() {
    let running = start("", Signal::Traces).await;
    running.exporter.export(&batch(&[spans(1, 1)])).await.unwrap();
    running.exporter.close().await;
    let Running { world, exporter, _stop, .. } = running;
    drop((exporter, _stop));
    world.tasks.close();
    world.tasks.wait().await;
}

#[test]
fn configs_that_cannot_work_say_so() {
    for (yaml, expected) in [
        ("{}", "an endpoint is needed"),
        ("endpoint: tempo", "needs a host and a port"),
        ("{endpoint: 'tempo:4317', compression: deflate}", "gRPC has gzip, zstd, snappy and none"),
        ("{endpoint: 'tempo:4317', middlewares: [{id: x}]}", "there is no extension \"x\""),
    ] {
        let error = decode::<Config>(yaml).unwrap_err();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}
