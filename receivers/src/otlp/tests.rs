//! Both protocols over sockets in memory, with our own client as the sender (tonic meets our server in `pipeline`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use pipeline::config::testing::decode;
use pipeline::net::compress::{Coding, Level, compress};
use pipeline::net::grpc::{CallError, Client as GrpcClient, ClientSettings, Code, Status};
use pipeline::net::http::{Client, ClientOptions, Protocol, Request, Response};
use pipeline::net::origin::parse_url;
use pipeline::telemetry::What;
use pipeline::testing::{Sink, World};
use pipeline::{Reason, Refused};
use prost::Message;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;

mod doors;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const BOTH: &str = "protocols: {grpc: , http: }";

fn spans(count: usize) -> Bytes {
    let span =
        |i: usize| Span { name: format!("span {i}"), trace_id: vec![7; 16], span_id: vec![8; 8], ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: (0..count).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

struct Running {
    world: World,
    sink: Sink,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<Result<(), Error>>,
}

async fn start(yaml: &str) -> Running {
    start_with(yaml, Sink::new(), Sink::outputs).await
}

async fn start_with(yaml: &str, sink: Sink, outputs: impl FnOnce(&Sink) -> Outputs) -> Running {
    start_in(World::new(), yaml, sink, outputs).await
}

#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn start_in(world: World, yaml: &str, sink: Sink, outputs: impl FnOnce(&Sink) -> Outputs) -> Running {
    let receiver = Factory::build(decode(yaml).unwrap(), world.context("otlp")).unwrap();
    let (stop, ready) = (CancellationToken::new(), Arc::new(Notify::new()));
    let done = tokio::spawn(receiver.run(outputs(&sink), Life::new(stop.clone(), Arc::clone(&ready))));
    ready.notified().await;
    Running { world, sink, stop, done }
}

impl Running {
    async fn post(&self, path: &str, headers: &[(&'static str, &'static str)], body: impl Into<Bytes>) -> Response {
        self.send(Method::POST, path, headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: impl Into<Bytes>,
    ) -> Response {
        let client = Client::new(ClientOptions::default(), &self.world.context("client")).unwrap();
        let url = parse_url(&format!("http://{HTTP_ENDPOINT}{path}")).unwrap();
        let mut request = Request::new(method, url, body.into().into());
        for (name, value) in headers {
            request.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        client.send(request).await.unwrap()
    }

    fn grpc(&self, compression: Option<Coding>) -> GrpcClient {
        let options = ClientOptions { protocol: Protocol::Http2, ..ClientOptions::default() };
        let settings = ClientSettings {
            target: parse_url(&format!("http://{GRPC_ENDPOINT}")).unwrap(),
            compression: compression.map(|coding| (coding, Level::default())),
            most_answer_bytes: 1 << 20,
        };
        GrpcClient::new(Client::new(options, &self.world.context("client")).unwrap(), settings)
    }

    async fn call(&self, method: &'static str, body: Bytes) -> Result<Bytes, Status> {
        match self.grpc(None).call(method, &[body], HeaderMap::new(), None).await {
            Ok(reply) => Ok(reply.message),
            Err(CallError::Status(status)) => Err(status),
            Err(CallError::Send(error)) => panic!("{error}"),
        }
    }

    fn received(&self) -> Vec<(Signal, usize)> {
        self.sink.take().iter().map(|b| (b.signal(), b.items())).collect()
    }
}

fn status_of(response: &Response) -> Status {
    Status::from_proto(&response.body).unwrap()
}

#[tokio::test]
async fn requests_arrive_as_the_bytes_they_are_by_either_protocol() {
    let running = start(BOTH).await;
    assert_eq!(running.call(TRACES, spans(3)).await, Ok(Bytes::new()));
    let response = running.post("/v1/traces", &[PROTOBUF], spans(2)).await;
    assert_eq!((response.status.as_u16(), response.headers["content-type"].as_bytes()), (200, PROTOBUF.1.as_bytes()));
    assert_eq!(response.body, "");
    let batches = running.sink.take();
    assert_eq!(
        batches.iter().map(|b| (b.signal(), b.items())).collect::<Vec<_>>(),
        [(Signal::Traces, 3), (Signal::Traces, 2)]
    );
    assert_eq!(batches[0].to_bytes(), spans(3));
    assert_eq!(batches[1].to_bytes(), spans(2));
}

#[tokio::test]
async fn every_encoding_of_a_body_is_taken() {
    let running = start(BOTH).await;
    for coding in [Coding::Gzip, Coding::Zstd, Coding::Deflate, Coding::Zlib, Coding::Snappy, Coding::SnappyFramed] {
        let body = compress(coding, Level::default(), &spans(50)).unwrap();
        let response = running.post("/v1/traces", &[PROTOBUF, ("content-encoding", coding.name())], body).await;
        assert_eq!(response.status, 200, "{coding:?}");
        assert_eq!(running.received(), [(Signal::Traces, 50)]);
    }
    for coding in [Coding::Gzip, Coding::Zstd, Coding::Snappy] {
        let client = running.grpc(Some(coding));
        client.call(TRACES, &[spans(20), spans(30)], HeaderMap::new(), None).await.unwrap();
        assert_eq!(running.received(), [(Signal::Traces, 50)]);
    }
}

#[tokio::test]
async fn json_is_answered_in_json() {
    let running = start(BOTH).await;
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789ABCDEF0123456789abcdef","spanId":"0123456789abcdef","name":"a"}]}]}]}"#;
    let response = running.post("/v1/traces", &[("content-type", "Application/JSON; charset=utf-8")], body).await;
    assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"{}"[..]), "{}", response.excerpt());
    assert_eq!(response.headers["content-type"], "application/json");
    assert_eq!(running.received(), [(Signal::Traces, 1)]);

    let response = running.post("/v1/traces", &[JSON], "{\"resourceSpans\": 7}").await;
    assert_eq!(response.status, 400);
    let status: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(status["code"], 3);
    assert!(status["message"].as_str().unwrap().contains("is not OTLP traces in JSON"), "{status}");
}

#[tokio::test]
async fn the_paths_of_prometheus_and_of_the_config_are_served() {
    let running = start("protocols: {http: {traces_url_path: mine/t}}").await;
    for (path, status) in [("/mine/t", 200), ("/api/v1/otlp/mine/t", 200), ("/v1/traces", 404), ("/v1/traces/", 404)] {
        assert_eq!(running.post(path, &[PROTOBUF], spans(1)).await.status, status, "{path}");
    }
    for path in ["/v1/metrics", "/api/v1/otlp/v1/metrics", "/api/v1/otlp/v1/logs"] {
        assert_eq!(running.post(path, &[PROTOBUF], "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn an_empty_request_is_a_success_that_nobody_sees() {
    let running = start(BOTH).await;
    assert_eq!(running.call(TRACES, Bytes::new()).await, Ok(Bytes::new()));
    assert_eq!(running.post("/v1/logs", &[PROTOBUF], "").await.status, 200);
    assert!(running.received().is_empty());
}

#[tokio::test]
async fn a_signal_without_a_pipeline_is_taken_and_counted_as_dropped() {
    let running = start_with(BOTH, Sink::new(), |sink| Outputs::none().with(Signal::Logs, sink.consumer())).await;
    assert_eq!(running.call(TRACES, spans(3)).await, Ok(Bytes::new()));
    assert_eq!(running.post("/v1/traces", &[PROTOBUF], spans(4)).await.status, 200);
    assert!(running.received().is_empty());
    let dropped = running.world.dropped("otlp");
    assert_eq!(dropped, [("traces".to_owned(), "no_pipeline".to_owned(), 7)]);
}

#[tokio::test]
async fn refusals_of_the_pipeline_are_said_in_the_protocols_words() {
    let running = start(BOTH).await;
    let after = Some(Duration::from_millis(2500));
    for (refused, code, http, retry) in [
        (Refused::retry("queue_full", "the queue is full"), Code::Unavailable, 503, Some(1000)),
        (Refused::Retry { after, reason: Reason::new("x", "later") }, Code::Unavailable, 503, Some(2500)),
        (Refused::retry("rate_limited", "too fast"), Code::ResourceExhausted, 429, Some(1000)),
        (Refused::reject("bad", "no"), Code::InvalidArgument, 400, None),
    ] {
        running.sink.always(Err(refused.clone()));
        let retry = retry.map(Duration::from_millis);
        let expected = Status::new(code, refused.reason().to_string()).with_retry_after(retry);
        assert_eq!(running.call(TRACES, spans(1)).await, Err(expected.clone()));
        let response = running.post("/v1/traces", &[PROTOBUF], spans(1)).await;
        assert_eq!(response.status, http);
        assert_eq!(status_of(&response), expected);
        let header = response.headers.get("retry-after").map(|v| v.to_str().unwrap().parse::<u64>().unwrap());
        assert_eq!(header, retry.map(|r| r.as_secs_f64().ceil() as u64));
    }
}

#[tokio::test]
async fn bad_requests_are_refused_by_name_and_the_next_one_is_served() {
    let running = start("protocols: {grpc: , http: {max_request_body_size: 100000}}").await;
    let large = Bytes::from(vec![0; 3_000_000]);
    let bomb = compress(Coding::Gzip, Level::default(), &vec![0; 20_000_000]).unwrap();
    let cut = spans(5).slice(..50);
    let gzip = ("content-encoding", "gzip");
    type Case<'a> = (&'a [(&'static str, &'static str)], Bytes, u16, &'a str);
    let cases: [Case<'_>; 9] = [
        (&[PROTOBUF], Bytes::from_static(b"\xff\xff\xff\xff"), 400, "is not OTLP traces: protobuf"),
        (&[PROTOBUF], cut, 400, "protobuf ends inside a field"),
        (&[PROTOBUF], large.clone(), 413, "larger than 100000 bytes"),
        (&[PROTOBUF, gzip], bomb.into(), 413, "larger than 100000 bytes after decompression"),
        (&[PROTOBUF, gzip], Bytes::from_static(b"plain"), 400, "not valid gzip"),
        (&[PROTOBUF, ("content-encoding", "br")], spans(1), 400, "\"br\" is not supported"),
        (&[("content-type", "text/plain")], large, 415, "must be application/x-protobuf or application/json"),
        (&[], spans(1), 415, "must be application/x-protobuf or application/json"),
        (&[("content-type", "application/grpc")], spans(1), 200, ""),
    ];
    for (headers, body, status, message) in cases {
        let response = running.post("/v1/traces", headers, body).await;
        assert_eq!(response.status, status, "{}", response.excerpt());
        let words = String::from_utf8_lossy(&response.body);
        assert!(words.contains(message), "{words}");
        assert!(running.received().is_empty());
        assert_eq!(running.post("/v1/traces", &[PROTOBUF], spans(1)).await.status, 200);
        assert_eq!(running.received().len(), 1);
    }
    let get = running.send(Method::GET, "/v1/traces", &[], "").await;
    assert_eq!((get.status.as_u16(), get.headers["allow"].as_bytes()), (405, &b"POST"[..]));
    assert_eq!(running.post("/v1/unknown", &[PROTOBUF], spans(1)).await.status, 404);
    let text = running.world.meter.text();
    let counted =
        r#"slipring_otlp_refused_requests_total{code="RESOURCE_EXHAUSTED",receiver="otlp",transport="http"} 2"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn requests_that_nobody_read_are_in_the_ledger_with_what_was_said() {
    let running = start("protocols: {grpc: {max_recv_msg_size_mib: 1}, http: {max_request_body_size: 1000}}").await;
    let too_large = running.post("/v1/logs", &[PROTOBUF], Bytes::from(vec![0; 1001])).await;
    assert_eq!(too_large.status.as_u16(), 413);
    let unreadable = running.post("/v1/traces", &[PROTOBUF, ("content-encoding", "gzip")], spans(1)).await;
    assert_eq!(unreadable.status.as_u16(), 400);
    assert_eq!(running.post("/v1/metrics", &[("content-type", "text/plain")], spans(1)).await.status, 415);
    running.call(TRACES, Bytes::from(vec![0; (1 << 20) + 1])).await.unwrap_err();
    let mut known: Vec<_> = running.world.meter.recent_drops();
    known.sort_by_key(|d| (d.code, d.signal));
    let short: Vec<_> = known.iter().map(|d| (d.what, d.signal, d.code, d.items)).collect();
    let refused = |signal, code| (What::Refused, signal, code, 0);
    let expected = [
        refused(Signal::Traces, "too_large"),
        refused(Signal::Logs, "too_large"),
        refused(Signal::Traces, "unreadable"),
        refused(Signal::Metrics, "unreadable"),
    ];
    assert_eq!(short, expected, "{known:?}");
    assert!(known[0].message.contains("over grpc: ") && known[0].message.contains("1048577 bytes"), "{known:?}");
    assert!(known[1].message.contains("over http: ") && known[1].message.contains("1000"), "{known:?}");
    assert_eq!(running.post("/v1/traces", &[PROTOBUF], spans(1)).await.status, 200);
}

#[tokio::test]
async fn bad_calls_are_refused_by_name() {
    let running = start("protocols: {grpc: {max_recv_msg_size_mib: 1}}").await;
    for (method, body, code, message) in [
        (TRACES, Bytes::from_static(b"\xff\xff\xff\xff"), Code::InvalidArgument, "is not OTLP traces: protobuf"),
        (TRACES, Bytes::from(vec![0; (1 << 20) + 1]), Code::ResourceExhausted, "1048577 bytes, the most is 1048576"),
        ("/some.Service/Method", spans(1), Code::Unimplemented, "unknown method /some.Service/Method"),
    ] {
        let status = running.call(method, body).await.unwrap_err();
        assert_eq!(status.code, code);
        assert!(status.message.contains(message), "{status}");
    }
    assert_eq!(running.call(TRACES, spans(1)).await, Ok(Bytes::new()));
    assert_eq!(running.received().len(), 1);
}

#[tokio::test]
async fn who_speaks_http_at_the_grpc_port_is_told_so() {
    let running = start(BOTH).await;
    let client = Client::new(ClientOptions::default(), &running.world.context("client")).unwrap();
    let url = parse_url(&format!("http://{GRPC_ENDPOINT}/v1/traces")).unwrap();
    let response = client.send(Request::post(url, spans(1))).await.unwrap();
    assert_eq!(response.status, 415);
    assert!(response.excerpt().contains("usually 4318"));
}

#[tokio::test]
async fn headers_are_kept_when_asked_for() {
    for (include, expected) in [("false", None), ("true", Some("a"))] {
        let running = start(&format!("protocols: {{http: {{include_metadata: {include}}}}}")).await;
        running.post("/v1/traces", &[PROTOBUF, ("x-tenant", "a")], spans(1)).await;
        let batch = running.sink.take().remove(0);
        let meta = batch.meta().unwrap();
        let tenant = meta.headers.iter().find(|(name, _)| name == "x-tenant").map(|(_, value)| value.as_str());
        assert_eq!(tenant, expected);
        assert!(meta.peer.as_ref().is_some_and(|p| p.starts_with("127.0.0.1:")), "{meta:?}");
    }
}

#[tokio::test]
async fn answers_carry_the_configured_headers_and_codings_can_be_limited() {
    let running =
        start("protocols: {http: {response_headers: {x-by: slipring}, compression_algorithms: ['', zstd]}}").await;
    let response = running.post("/v1/traces", &[PROTOBUF], spans(1)).await;
    assert_eq!((response.status.as_u16(), response.headers["x-by"].as_bytes()), (200, &b"slipring"[..]));
    let gzip = compress(Coding::Gzip, Level::default(), &spans(1)).unwrap();
    assert_eq!(running.post("/v1/traces", &[PROTOBUF, ("content-encoding", "gzip")], gzip).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_room_wait_and_are_refused_for_now() {
    let size = spans(100).len();
    let running = start(&format!("{{{BOTH}, max_in_flight_bytes: {size}}}")).await;
    running.sink.hold();
    let mut first = std::pin::pin!(running.call(TRACES, spans(100)));
    while running.sink.waiting() < 1 {
        tokio::select! { _ = &mut first => panic!("it is held"), () = tokio::task::yield_now() => {} }
    }
    let refused = running.post("/v1/traces", &[PROTOBUF], spans(100)).await;
    assert_eq!((refused.status.as_u16(), refused.headers["retry-after"].as_bytes()), (503, &b"1"[..]));
    let status = running.call(TRACES, spans(100)).await.unwrap_err();
    assert_eq!((status.code, status.retry_after), (Code::Unavailable, Some(Duration::from_secs(1))));
    running.sink.release();
    assert_eq!(first.await, Ok(Bytes::new()));
    assert_eq!(running.call(TRACES, spans(100)).await, Ok(Bytes::new()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_does_not_keep_the_room_from_others() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = spans(100);
    let running = start(&format!("{{{BOTH}, max_in_flight_bytes: {}}}", body.len())).await;
    let mut slow = running.world.doors.net.connect(HTTP_ENDPOINT).await.unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&body[..10]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    // It holds the whole room; three seconds later it has done so for too long.
    let begun = tokio::time::Instant::now();
    assert_eq!(running.post("/v1/traces", &[PROTOBUF], body.clone()).await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    slow.write_all(&body[10..]).await.unwrap();
    let mut answer = vec![0; 512];
    let len = slow.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..len]);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("others wait"), "{answer}");
    // As long as nobody waits, a slow client has its time.
    let mut alone = running.world.doors.net.connect(HTTP_ENDPOINT).await.unwrap();
    alone.write_all(head.as_bytes()).await.unwrap();
    for piece in body.chunks(body.len() / 4) {
        tokio::time::sleep(Duration::from_secs(6)).await;
        alone.write_all(piece).await.unwrap();
    }
    let mut answer = vec![0; 512];
    let len = alone.read(&mut answer).await.unwrap();
    assert!(answer[..len].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..len]));
}

#[tokio::test(start_paused = true)]
async fn a_callers_deadline_is_kept() {
    let running = start(BOTH).await;
    running.sink.hold();
    let time = Some(Duration::from_secs(2));
    let mut metadata = HeaderMap::new();
    metadata.insert("grpc-timeout", HeaderValue::from_static("500m"));
    let begun = tokio::time::Instant::now();
    // The client's own limit is later than what it says in the header.
    let error = running.grpc(None).call(TRACES, &[spans(1)], metadata, None).await.unwrap_err();
    assert!(matches!(&error, CallError::Status(s) if s.code == Code::DeadlineExceeded), "{error}");
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    let error = running.grpc(None).call(TRACES, &[spans(1)], HeaderMap::new(), time).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{error}");
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn a_stop_waits_for_what_is_in_flight() {
    let running = start(BOTH).await;
    running.sink.hold();
    let client = running.grpc(None);
    let call = tokio::spawn(async move { client.call(TRACES, &[spans(1)], HeaderMap::new(), None).await.is_ok() });
    while running.sink.waiting() < 1 {
        tokio::task::yield_now().await;
    }
    running.stop.cancel();
    while running.world.net.is_listening(GRPC_ENDPOINT) || running.world.net.is_listening(HTTP_ENDPOINT) {
        tokio::task::yield_now().await;
    }
    assert!(!running.done.is_finished());
    running.sink.release();
    assert!(call.await.unwrap());
    running.done.await.unwrap().unwrap();
    assert_eq!(running.sink.take().len(), 1);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let world = World::new();
    let _taken = world.doors.net.listen(HTTP_ENDPOINT).await.unwrap();
    let receiver = Factory::build(decode(BOTH).unwrap(), world.context("otlp")).unwrap();
    let life = Life::new(CancellationToken::new(), Arc::new(Notify::new()));
    let error = receiver.run(Outputs::none(), life).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on localhost:4318 for OTLP over HTTP: "), "{error}");
}

#[test]
fn configs_that_cannot_work_say_so() {
    for (yaml, expected) in [
        ("{}", "must specify at least one protocol"),
        ("protocols: {}", "must specify at least one protocol"),
        ("protocols: {grpc: {endpoint: nowhere}}", "needs a host and a port"),
        ("protocols: {http: {traces_url_path: /a, logs_url_path: a}}", "already another signal's path"),
        ("protocols: {http: {middlewares: [{id: x}]}}", "there is no extension \"x\""),
        ("{protocols: {http: }, validation: none}", "full"),
    ] {
        let error = decode::<Config>(yaml).unwrap_err();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
    let config = decode::<Config>("protocols: {grpc: {endpoint: '0.0.0.0:4317'}, http: {enabled: false}}").unwrap();
    assert!(config.protocols.grpc.is_on() && !config.protocols.http.is_on());
    assert_eq!(config.validation, Validation::Full);
}

#[tokio::test]
async fn validation_decides_how_deep_a_request_is_checked() {
    // A span whose name is not UTF-8; nothing is wrong outside of it.
    let request = Bytes::from_static(b"\x0a\x08\x12\x06\x12\x04\x2a\x02\xff\xfe");
    for (validation, taken) in [("full", false), ("envelope", true)] {
        let running = start(&format!("{{{BOTH}, validation: {validation}}}")).await;
        assert_eq!(running.call(TRACES, request.clone()).await.is_ok(), taken, "{validation}");
        let cut = request.slice(..request.len() - 1);
        assert_eq!(running.call(TRACES, cut).await.unwrap_err().code, Code::InvalidArgument);
        assert_eq!(running.received().len(), usize::from(taken));
    }
}

#[tokio::test]
async fn a_message_in_pieces_is_joined_at_the_door() {
    // A resource twice in one group: its attributes belong together.
    let resource = |key: &str| [&b"\x0a\x05\x0a\x03\x0a\x01"[..], key.as_bytes()].concat();
    let group = [resource("a"), resource("b"), b"\x12\x02\x12\x00".to_vec()].concat();
    let request = [&[0x0a, u8::try_from(group.len()).unwrap()][..], &group].concat();
    let running = start(BOTH).await;
    assert_eq!(running.call(TRACES, request.clone().into()).await, Ok(Bytes::new()));
    let batch = running.sink.take().remove(0);
    let request = ExportTraceServiceRequest::decode(&request[..]).unwrap();
    assert_eq!(ExportTraceServiceRequest::decode(batch.to_bytes()).unwrap(), request);
    assert_eq!(batch.items(), 1);
    assert!(!pipeline::otlp::check::full(Signal::Traces, &batch.to_bytes()).unwrap().needs_joining);
}
