//! What every exporter must do, checked by the kit: the OTLP exporters, which share a far side.

use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;
use pipeline::BoxFuture;
use pipeline::net::body::{Chunks, read_capped};
use pipeline::net::http::{Handler, ServerOptions, serve};
use pipeline::testing::World;
use pipeline::testing::conformance::exporter;
use tokio_util::sync::CancellationToken;

/// A server on `far:80` that reads every request and answers it with an empty message.
async fn far_side(world: &World) {
    let listener = world.doors.net.listen("far:80").await.unwrap();
    let (tasks, stop) = (world.tasks.clone(), CancellationToken::new());
    world.tasks.spawn(serve(listener, ServerOptions::default(), Arc::new(Yes), tasks, stop));
}

struct Yes;

impl Handler for Yes {
    fn handle(self: Arc<Self>, request: http::Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let _ = read_capped(body, 64 << 20, None).await;
            let kind = head.headers.get(http::header::CONTENT_TYPE).cloned();
            let kind = kind.and_then(|kind| kind.to_str().map(str::to_owned).ok()).unwrap_or_default();
            if kind.starts_with("application/grpc") {
                let status = [(http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"))];
                let body = Chunks::from(vec![0; 5]).with_trailers(status.into_iter().collect());
                let mut answer = Response::new(body);
                answer
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
                return answer;
            }
            let mut answer = Response::new(Chunks::empty());
            let kind = http::HeaderValue::from_static("application/x-protobuf");
            answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
            answer
        })
    }
}

#[tokio::test(start_paused = true)]
async fn otlp_grpc() {
    exporter::<crate::otlp_grpc::Factory>("{endpoint: 'http://far:80'}", far_side).await;
}

#[tokio::test(start_paused = true)]
async fn otlp_http() {
    exporter::<crate::otlp_http::Factory>("endpoint: http://far:80", far_side).await;
}
