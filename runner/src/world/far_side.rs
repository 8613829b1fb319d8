//! The far side of an exporter: takes whatever language it speaks, keeps what it says, and fails where the test wants it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use pipeline::BoxFuture;
use pipeline::doors::Clock;
use pipeline::net::body::{Chunks, read_capped};
use pipeline::net::grpc::{Code, Limits, Status, answer, is_grpc, receive, refuse};
use pipeline::net::http::{Handler, Incoming};
use pipeline::net::retry_after;
use pipeline::otlp::write::Writer;

use super::pages::status;
use super::{Effect, World};
use crate::decode::{self, Answer, Decoded};

/// The most bytes of a request.
const MOST_BYTES: usize = 256 << 20;

/// What one exporter sees at one address.
pub(super) struct FarSide {
    pub(super) world: Arc<World>,
    pub(super) exporter: String,
    pub(super) address: String,
    pub(super) clock: Clock,
}

impl Handler for FarSide {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move { self.take(request).await })
    }
}

impl FarSide {
    async fn take(&self, mut request: Request<Incoming>) -> Response<Chunks> {
        let url = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let path = url.split('?').next().unwrap_or_default();
        let grpc = is_grpc(request.headers());
        if self.world.has_page(&self.address, path) {
            let pages =
                super::pages::Server { world: self.world.clone(), address: self.address.clone(), clock: self.clock };
            return Arc::new(pages).handle(request, Arc::from("")).await;
        }
        let body = if grpc {
            let limits = Limits { most_bytes: MOST_BYTES, patience: None };
            match receive(&mut request, limits, |_| async { Ok(()) }).await {
                Ok(call) => call.message,
                Err(status) => return refuse(&status),
            }
        } else {
            match read_capped(request.body_mut(), MOST_BYTES, None).await {
                Ok(whole) => whole.bytes,
                Err(error) => return self.malformed(grpc, error.to_string()),
            }
        };
        let sent = decode::Sent { method: request.method(), url: &url, headers: request.headers(), body: &body };
        let decoded = match decode::request(&sent, &self.world.moments()) {
            Ok(decoded) => decoded,
            Err(error) => return self.malformed(grpc, error),
        };
        let at_request = |effect: &Effect| {
            !matches!(effect, Effect::Reset | Effect::Refuse | Effect::Delay(_) | Effect::Partial { .. })
        };
        if let Some(delay) = self.fault(|effect| matches!(effect, Effect::Delay(_)))
            && let Effect::Delay(time) = delay.effect
        {
            tokio::time::sleep(time).await;
        }
        if let Some(fault) = self.fault(at_request) {
            match &fault.effect {
                Effect::Answer { status, retry_after, body } => {
                    self.world.note(&self.exporter, |sent| sent.refused += 1);
                    return failed(grpc, *status, *retry_after, body);
                }
                _ => {
                    self.world.note(&self.exporter, |sent| sent.refused += 1);
                    let now = self.clock.now().saturating_sub(self.world.start);
                    tokio::time::sleep(fault.until.saturating_sub(now).min(Duration::from_secs(86_400 * 365))).await;
                }
            }
        }
        let partial = self.fault(|effect| matches!(effect, Effect::Partial { .. })).map(|fault| &fault.effect);
        self.taken(decoded, partial)
    }

    fn fault(&self, is: impl Fn(&Effect) -> bool) -> Option<&super::Fault> {
        self.world.fault(&self.exporter, self.clock.now(), is)
    }

    fn malformed(&self, grpc: bool, error: String) -> Response<Chunks> {
        let answer = failed(grpc, 400, None, &error);
        self.world.note(&self.exporter, |sent| sent.malformed.push(error));
        answer
    }

    fn taken(&self, decoded: Decoded, partial: Option<&Effect>) -> Response<Chunks> {
        let Decoded { items, answer: language } = decoded;
        self.world.note(&self.exporter, |sent| {
            sent.taken += 1;
            sent.items.extend(items);
        });
        let mut success = Writer::new();
        if let Some(Effect::Partial { rejected, message }) = partial {
            success.message(1, |w| {
                w.varint(1, *rejected);
                w.text(2, message);
            });
        }
        let success = Bytes::from(success.into_vec());
        match language {
            Answer::Grpc => answer(success),
            Answer::OtlpProto => with_type(success, "application/x-protobuf"),
            Answer::OtlpJson => {
                let json = match partial {
                    Some(Effect::Partial { rejected, message }) => {
                        serde_json::json!({"partialSuccess": {"rejectedSpans": rejected, "rejectedDataPoints": rejected,
                            "rejectedLogRecords": rejected, "errorMessage": message}})
                        .to_string()
                    }
                    _ => "{}".to_owned(),
                };
                with_type(Bytes::from(json), "application/json")
            }
            Answer::Written { samples, histograms, exemplars } => {
                let mut response = status(StatusCode::NO_CONTENT);
                let dropped = match partial {
                    Some(Effect::Partial { rejected, .. }) => usize::try_from(*rejected).unwrap_or(usize::MAX),
                    _ => 0,
                };
                for (what, count) in
                    [("samples", samples.saturating_sub(dropped)), ("histograms", histograms), ("exemplars", exemplars)]
                {
                    if let Ok(name) = format!("x-prometheus-remote-write-{what}-written").parse::<http::HeaderName>() {
                        response.headers_mut().insert(name, HeaderValue::from(count));
                    }
                }
                response
            }
            Answer::Status => status(StatusCode::NO_CONTENT),
        }
    }
}

fn with_type(body: Bytes, kind: &'static str) -> Response<Chunks> {
    let mut response = Response::new(Chunks::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn failed(grpc: bool, http_status: u16, wait: Option<Duration>, body: &str) -> Response<Chunks> {
    if grpc {
        let code = match http_status {
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            408 | 504 => Code::DeadlineExceeded,
            413 | 429 => Code::ResourceExhausted,
            500 => Code::Internal,
            _ => Code::Unavailable,
        };
        return refuse(&Status::new(code, body).with_retry_after(wait));
    }
    let mut response = status(StatusCode::from_u16(http_status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE));
    *response.body_mut() = Chunks::from(Bytes::from(body.to_owned()));
    if let Some(wait) = wait {
        response.headers_mut().insert(RETRY_AFTER, retry_after::value(wait));
    }
    response
}
