//! Against tonic in both directions, and against frames that are not gRPC's.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::component::BoxFuture;
use crate::doors::{BoxStream, Net};
use crate::net::body::Chunks;
use crate::net::compress::{Coding, Level, compress};
use crate::net::http::{self as net_http, ClientOptions, Handler, Protocol, Request, ServerOptions, serve};
use crate::net::origin::parse_url;
use crate::testing::World;

const ADDRESS: &str = "127.0.0.1:4317";
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

fn spans(count: usize) -> ExportTraceServiceRequest {
    let span = |i: usize| Span { name: format!("span number {i}"), ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: (0..count).map(span).collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

// --- our server ---

/// Keeps the messages it got and answers as told.
struct Service {
    got: Mutex<Vec<Bytes>>,
    answer: Result<Bytes, Status>,
    most_bytes: usize,
}

impl Handler for Service {
    fn handle(
        self: Arc<Self>,
        mut request: ::http::Request<Incoming>,
        _: Arc<str>,
    ) -> BoxFuture<'static, ::http::Response<Chunks>> {
        Box::pin(async move {
            assert!(is_grpc(request.headers()));
            let limits = Limits { most_bytes: self.most_bytes, patience: Some(Duration::from_secs(5)) };
            match receive(&mut request, limits, |_| std::future::ready(Ok(()))).await {
                Err(status) => refuse(&status),
                Ok(call) => {
                    self.got.lock().unwrap().push(call.message);
                    self.answer.clone().map_or_else(|status| refuse(&status), answer)
                }
            }
        })
    }
}

struct OurServer {
    world: World,
    service: Arc<Service>,
    _stop: tokio_util::sync::DropGuard,
}

#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn our_server(answer: Result<Bytes, Status>, most_bytes: usize) -> OurServer {
    let (world, stop) = (World::new(), CancellationToken::new());
    let service = Arc::new(Service { got: Mutex::default(), answer, most_bytes });
    let listener = world.doors.net.listen(ADDRESS).await.unwrap();
    let handler = Arc::clone(&service) as Arc<dyn Handler>;
    tokio::spawn(serve(listener, ServerOptions::default(), handler, world.tasks.clone(), stop.clone()));
    OurServer { world, service, _stop: stop.drop_guard() }
}

/// tonic's way to our virtual sockets.
struct Connect(Arc<dyn Net>);

impl tonic::codegen::Service<Uri> for Connect {
    type Response = TokioIo<BoxStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<BoxStream>>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let net = Arc::clone(&self.0);
        Box::pin(async move { net.connect(ADDRESS).await.map(TokioIo::new) })
    }
}

async fn tonic_client(world: &World) -> TraceServiceClient<Channel> {
    let connect = Connect(Arc::clone(&world.doors.net));
    let channel = Endpoint::from_static("http://127.0.0.1:4317").connect_with_connector(connect).await.unwrap();
    TraceServiceClient::new(channel)
}

#[tokio::test]
async fn tonic_exports_to_us_plain_and_compressed() {
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let answer = ExportTraceServiceResponse::default().encode_to_vec();
        let server = our_server(Ok(Bytes::from(answer)), 4 << 20).await;
        let mut client = tonic_client(&server.world).await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        for count in [0, 1, 5000] {
            client.export(spans(count)).await.unwrap();
            let got = server.service.got.lock().unwrap().pop().unwrap();
            assert_eq!(ExportTraceServiceRequest::decode(got).unwrap(), spans(count));
        }
    }
}

#[tokio::test]
async fn tonic_understands_our_refusals() {
    let refusal = Status::new(Code::Unavailable, "queue is full: 100 % — später")
        .with_retry_after(Some(Duration::from_millis(1500)));
    let server = our_server(Err(refusal.clone()), 4 << 20).await;
    let status = tonic_client(&server.world).await.export(spans(1)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(status.message(), refusal.message);
    assert_eq!(Status::from_proto(status.details()), Ok(refusal));
}

#[tokio::test]
async fn too_large_before_or_after_decompression_is_resource_exhausted() {
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let server = our_server(Ok(Bytes::new()), 10_000).await;
        let mut client = tonic_client(&server.world).await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let status = client.export(spans(5000)).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("10000"), "{status}");
        client.export(spans(1)).await.unwrap();
    }
}

#[tokio::test]
async fn frames_that_are_not_one_message_are_refused_with_their_reason() {
    let frame = |flag: u8, len: u32, body: &[u8]| [&[flag][..], &len.to_be_bytes(), body].concat();
    let bomb = compress(Coding::Gzip, Level::default(), &vec![0; 50_000_000]).unwrap();
    let bomb_len = u32::try_from(bomb.len()).unwrap();
    for (body, encoding, code, message) in [
        (vec![], None, Code::Internal, "no message"),
        (vec![0, 0], None, Code::Internal, "ends inside the message"),
        (frame(0, 10, b"short"), None, Code::Internal, "ends inside the message"),
        (frame(0, 2, b"longer"), None, Code::Internal, "bytes after its message"),
        (frame(7, 2, b"xx"), None, Code::Internal, "compression flag is 7"),
        (frame(0, u32::MAX, b""), None, Code::ResourceExhausted, "4294967295 bytes, the most is 100000"),
        (frame(1, 2, b"xx"), None, Code::Internal, "grpc-encoding does not say how"),
        (frame(1, 2, b"xx"), Some("gzip"), Code::Internal, "not valid gzip"),
        (frame(0, 2, b"xx"), Some("br"), Code::Unimplemented, "\"br\" is not supported"),
        (frame(1, bomb_len, &bomb), Some("gzip"), Code::ResourceExhausted, "larger than 100000 bytes"),
    ] {
        let server = our_server(Ok(Bytes::new()), 100_000).await;
        let client = http2_client(&server.world);
        let mut request = Request::post(parse_url(&format!("http://{ADDRESS}{EXPORT}")).unwrap(), body);
        request.headers.insert("content-type", HeaderValue::from_static("application/grpc+proto"));
        if let Some(encoding) = encoding {
            request.headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
        }
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status, StatusCode::OK);
        let status = Status::from_headers(&response.headers).unwrap();
        assert_eq!(status.code, code, "{status}");
        assert!(status.message.contains(message), "{status}");
        assert!(server.service.got.lock().unwrap().is_empty());
    }
}

// --- our client ---

fn http2_client(world: &World) -> net_http::Client {
    let options = ClientOptions { protocol: Protocol::Http2, ..ClientOptions::default() };
    net_http::Client::new(options, &world.context("test")).unwrap()
}

fn our_client(world: &World, compression: Option<Coding>) -> Client {
    let settings = ClientSettings {
        target: parse_url(&format!("http://{ADDRESS}")).unwrap(),
        compression: compression.map(|coding| (coding, Level::default())),
        most_answer_bytes: 4 << 20,
    };
    Client::new(http2_client(world), settings)
}

/// A virtual connection for tonic's server.
struct Connection(BoxStream);

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Counts spans; answers with a status where the first span is called `refuse`.
struct Tonic;

#[tonic::async_trait]
impl TraceService for Tonic {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let tenant = request.metadata().get("x-tenant").map_or("", |t| t.to_str().unwrap()).to_owned();
        let spans = request.get_ref().resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
        let mut response = ExportTraceServiceResponse::default();
        let partial = response.partial_success.get_or_insert_default();
        partial.rejected_spans = i64::try_from(spans.count()).unwrap();
        partial.error_message = tenant;
        match partial.error_message.as_str() {
            "refuse" => {
                let details =
                    Status::new(Code::ResourceExhausted, "slow down").with_retry_after(Some(Duration::from_secs(7)));
                let details = details.to_proto();
                Err(tonic::Status::with_details(tonic::Code::ResourceExhausted, "slow down", details))
            }
            _ => Ok(tonic::Response::new(response)),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn tonic_server(answers: Option<CompressionEncoding>) -> World {
    let world = World::new();
    let mut service = TraceServiceServer::new(Tonic)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(4 << 20);
    if let Some(encoding) = answers {
        service = service.send_compressed(encoding);
    }
    let listener = world.doors.net.listen(ADDRESS).await.unwrap();
    let incoming = futures_util::stream::unfold(listener, async |mut listener| {
        let (stream, _) = listener.accept().await.ok()?;
        Some((Ok::<_, io::Error>(Connection(stream)), listener))
    });
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(async move { server.serve_with_incoming(Box::pin(incoming)).await });
    world
}

fn tenant(tenant: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(::http::HeaderName::from_static("x-tenant"), HeaderValue::from_static(tenant))])
}

#[tokio::test]
async fn we_export_to_tonic_in_parts_plain_and_compressed_and_read_its_gzip() {
    for answers in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let world = tonic_server(answers).await;
        for compression in [None, Some(Coding::Gzip), Some(Coding::Zstd)] {
            let client = our_client(&world, compression);
            let parts: Vec<Bytes> = [3, 2000].map(|n| Bytes::from(spans(n).encode_to_vec())).to_vec();
            let reply = client.call(EXPORT, &parts, tenant("a"), None).await.unwrap();
            let response = ExportTraceServiceResponse::decode(reply.message).unwrap();
            let partial = response.partial_success.unwrap();
            assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2003, "a"));
        }
    }
}

#[tokio::test]
async fn statuses_come_with_their_retry_info() {
    let world = tonic_server(None).await;
    let client = our_client(&world, None);
    let parts = [Bytes::from(spans(1).encode_to_vec())];
    let Err(CallError::Status(status)) = client.call(EXPORT, &parts, tenant("refuse"), None).await else {
        panic!("no status")
    };
    assert_eq!(
        status,
        Status::new(Code::ResourceExhausted, "slow down").with_retry_after(Some(Duration::from_secs(7)))
    );

    let unknown = client.call("/nowhere.Service/Nothing", &parts, HeaderMap::new(), None).await.unwrap_err();
    assert!(matches!(&unknown, CallError::Status(s) if s.code == Code::Unimplemented), "{unknown}");

    let large = [Bytes::from(spans(300_000).encode_to_vec())];
    let large = client.call(EXPORT, &large, HeaderMap::new(), None).await.unwrap_err();
    assert!(matches!(&large, CallError::Status(s) if s.code == Code::OutOfRange), "{large}");
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn a_far_side_that_is_no_grpc_server_is_named_by_its_http_status() {
    struct Proxy;
    impl Handler for Proxy {
        fn handle(
            self: Arc<Self>,
            _: ::http::Request<Incoming>,
            _: Arc<str>,
        ) -> BoxFuture<'static, ::http::Response<Chunks>> {
            let mut response = ::http::Response::new(Chunks::from("<html>\nno healthy upstream</html>"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Box::pin(async { response })
        }
    }
    let world = World::new();
    let listener = world.doors.net.listen(ADDRESS).await.unwrap();
    tokio::spawn(serve(
        listener,
        ServerOptions::default(),
        Arc::new(Proxy),
        world.tasks.clone(),
        CancellationToken::new(),
    ));
    let error = our_client(&world, None).call(EXPORT, &[], HeaderMap::new(), None).await.unwrap_err();
    let expected = "UNAVAILABLE: HTTP 503 Service Unavailable: <html> no healthy upstream</html>";
    assert_eq!(error.to_string(), expected);
}

// --- status ---

#[test]
fn a_status_survives_headers_and_protobuf() {
    for status in [
        Status::new(Code::Ok, ""),
        Status::new(Code::Internal, "100 % of \"ümlauts\"\n\tkept"),
        Status::new(Code::Unavailable, "later").with_retry_after(Some(Duration::from_millis(250))),
        Status::new(Code::Unavailable, "now").with_retry_after(Some(Duration::ZERO)),
    ] {
        assert_eq!(Status::from_headers(&status.trailers()), Some(status.clone()));
        assert_eq!(Status::from_proto(&status.to_proto()), Ok(status));
    }
}

#[test]
fn the_json_form_is_protobufs() {
    let status = Status::new(Code::Unavailable, "later").with_retry_after(Some(Duration::from_millis(1500)));
    let json: serde_json::Value = serde_json::from_slice(&status.to_json()).unwrap();
    let detail = serde_json::json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"});
    assert_eq!(json, serde_json::json!({"code": 14, "message": "later", "details": [detail]}));
}

#[test]
fn hostile_details_are_no_wish_and_long_messages_are_cut() {
    let mut headers = Status::new(Code::Unavailable, "x").trailers();
    for details in ["!!!", "CAE", "/////w=="] {
        headers.insert("grpc-status-details-bin", HeaderValue::from_str(details).unwrap());
        assert_eq!(Status::from_headers(&headers).unwrap().retry_after, None, "{details}");
    }
    headers.insert("grpc-status", HeaderValue::from_static("4711"));
    assert_eq!(Status::from_headers(&headers).unwrap().code, Code::Unknown);
    let negative = Status::new(Code::Ok, "").with_retry_after(Some(Duration::from_secs(u64::MAX)));
    assert_eq!(Status::from_proto(&negative.to_proto()).unwrap().retry_after, None);
    let long = Status::new(Code::Internal, "ü".repeat(5000)).trailers();
    assert_eq!(Status::from_headers(&long).unwrap().message, "ü".repeat(512));
}

#[test]
fn timeouts_are_read_in_every_unit() {
    let check = |value: &str, expected: Option<Duration>| {
        let headers = HeaderMap::from_iter([(
            ::http::HeaderName::from_static("grpc-timeout"),
            HeaderValue::from_str(value).unwrap(),
        )]);
        assert_eq!(timeout(&headers), expected, "{value}");
    };
    check("2H", Some(Duration::from_secs(7200)));
    check("3M", Some(Duration::from_secs(180)));
    check("4S", Some(Duration::from_secs(4)));
    check("5m", Some(Duration::from_millis(5)));
    check("6u", Some(Duration::from_micros(6)));
    check("99999999n", Some(Duration::from_nanos(99_999_999)));
    for bad in ["", "S", "1", "-1S", "123456789S", "1x", "1.5S"] {
        check(bad, None);
    }
}
