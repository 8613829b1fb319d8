//! OTLP/gRPC: three services with one method each.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use pipeline::net::auth::Identity;
use pipeline::net::body::Chunks;
use pipeline::net::grpc::{self, Code, Limits, Status};
use pipeline::net::http::{Admission, Handler, Incoming};
use pipeline::{BoxFuture, Signal};

use super::intake::{Intake, Room, too_slow};
use super::telemetry::Refusals;
use super::{READ_PAUSE, metadata, read_time};

/// Answers calls.
pub(super) struct GrpcHandler {
    pub(super) intake: Arc<Intake>,
    pub(super) refusals: Refusals,
    pub(super) most_bytes: usize,
    pub(super) include_metadata: bool,
    pub(super) admission: Admission,
}

fn signal(path: &str) -> Option<Signal> {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Some(Signal::Traces),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Signal::Logs),
        _ => None,
    }
}

impl Handler for GrpcHandler {
    fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            if !grpc::is_grpc(request.headers()) {
                return not_grpc();
            }
            match self.export(request, &peer).await {
                // An empty message is a response without partial success.
                Ok(()) => grpc::answer(Bytes::new()),
                Err(status) => {
                    self.refusals.count(&status, &peer);
                    grpc::refuse(&status)
                }
            }
        })
    }
}

impl GrpcHandler {
    async fn export(&self, request: Request<Incoming>, peer: &str) -> Result<(), Status> {
        let signal = signal(request.uri().path());
        let identity = self.admission.check(&request).await.map_err(|denied| {
            let status = Status::from(&denied);
            signal.inspect(|signal| self.refusals.unread(*signal, &status, peer));
            status
        })?;
        let Some(signal) = signal else {
            return Err(Status::new(Code::Unimplemented, format!("unknown method {}", request.uri().path())));
        };
        match grpc::timeout(request.headers()) {
            None => self.receive(signal, request, identity, peer).await,
            Some(time) => tokio::time::timeout(time, self.receive(signal, request, identity, peer))
                .await
                .unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "the caller's deadline is over"))),
        }
    }

    async fn receive(
        &self,
        signal: Signal,
        mut request: Request<Incoming>,
        identity: Identity,
        peer: &str,
    ) -> Result<(), Status> {
        let meta = metadata(request.headers(), peer, identity, self.include_metadata);
        let mut room = Room::default();
        let message = self.message(&mut request, &mut room).await;
        let message = message.inspect_err(|status| self.refusals.unread(signal, status, peer))?;
        self.intake.take(signal, message, meta).await
    }

    /// The message as it comes.
    async fn message(&self, request: &mut Request<Incoming>, room: &mut Room) -> Result<Bytes, Status> {
        let limits = Limits { most_bytes: self.most_bytes, patience: Some(READ_PAUSE) };
        let received = grpc::receive(request, limits, async |len| {
            *room = self.intake.room(len).await?;
            Ok(())
        });
        let call = tokio::select! {
            biased;
            call = tokio::time::timeout(read_time(self.most_bytes), received) => {
                call.unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "the message came too slowly")))?
            }
            () = self.intake.others_wait() => return Err(too_slow()),
        };
        self.intake.fit(room, call.message.len())?;
        Ok(call.message)
    }
}

/// The answer to who speaks something else: most likely OTLP/HTTP at the wrong port.
fn not_grpc() -> Response<Chunks> {
    let mut response =
        Response::new(Chunks::from("this port speaks gRPC; OTLP over HTTP has a port of its own, usually 4318\n"));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
