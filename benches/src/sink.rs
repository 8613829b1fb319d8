//! A null sink: OTLP over HTTP/1.1 and gRPC on one port; counts items and forgets them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pipeline::{Signal, otlp};
use tokio::net::TcpListener;

/// What arrived.
#[derive(Default)]
pub struct Arrived {
    /// Spans.
    pub items: AtomicU64,
    /// Requests.
    pub requests: AtomicU64,
}

/// Listens on a free port of loopback; answers its `host:port`.
pub async fn start(arrived: Arc<Arrived>) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| take(arrived.clone(), request));
                let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                builder.http2().initial_stream_window_size(4 << 20).initial_connection_window_size(8 << 20);
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

async fn take(
    arrived: Arc<Arrived>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let grpc = request.version() == Version::HTTP_2;
    let mut body = request.into_body();
    let mut whole = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    let message = if grpc { whole.get(5..).unwrap_or_default() } else { &whole[..] };
    let items = otlp::count::items(Signal::Traces, message).unwrap_or(0);
    arrived.items.fetch_add(items as u64, Ordering::Relaxed);
    arrived.requests.fetch_add(1, Ordering::Relaxed);
    if !grpc {
        let response = Response::new(Full::new(Bytes::new()).boxed());
        return Ok(with_type(response, "application/x-protobuf"));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", hyper::header::HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
    Ok(with_type(Response::new(BodyExt::boxed(StreamBody::new(Frames(frames.into_iter())))), "application/grpc"))
}

fn with_type<B>(mut response: Response<B>, content_type: &'static str) -> Response<B> {
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(content_type));
    response
}

/// Frames that are all there already, as a stream.
struct Frames(std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>);

impl futures_util::Stream for Frames {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
