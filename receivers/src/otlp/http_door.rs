//! OTLP/HTTP: a `POST` for each signal, protobuf or JSON by its content type, answered in the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use pipeline::net::auth::Denied;
use pipeline::net::body::{self, Chunks, ReadError};
use pipeline::net::compress::{self, Coding};
use pipeline::net::config::HttpServerConfig;
use pipeline::net::grpc::{Code, Status};
use pipeline::net::http::{Admission, Handler, Incoming};
use pipeline::net::{grpc, retry_after};
use pipeline::{BoxFuture, Signal, otlp};

use super::intake::{Intake, Room, too_slow};
use super::telemetry::Refusals;
use super::{metadata, read_time};

/// Where Prometheus and Mimir take OTLP, and Transformers sends it.
const PROMETHEUS_PREFIX: &str = "/api/v1/otlp";
/// The most bytes of a refused HTTP/1 request that are read so that its sender sees the answer.
const DRAINED_BYTES: usize = 64 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// What we decompress.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd, deflate, snappy");

/// Answers requests.
pub(super) struct HttpHandler {
    pub(super) intake: Arc<Intake>,
    pub(super) refusals: Refusals,
    pub(super) server: HttpServerConfig,
    pub(super) admission: Admission,
    pub(super) paths: [(Signal, String); 3],
    pub(super) response_headers: HeaderMap,
}

/// How a message is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// By the content type, whatever its case and parameters.
    fn of(headers: &HeaderMap) -> Option<Encoding> {
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Encoding::Protobuf)
        } else if kind.eq_ignore_ascii_case("application/json") {
            Some(Encoding::Json)
        } else {
            None
        }
    }

    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        })
    }
}

/// A refusal: its HTTP status beside what its body says.
struct Refusal {
    http: StatusCode,
    status: Status,
    /// Where it is about who sends the request.
    denied: Option<Denied>,
}

impl Refusal {
    fn new(http: StatusCode, code: Code, message: impl Into<String>) -> Refusal {
        Refusal { http, status: Status::new(code, message), denied: None }
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        let http = match status.code {
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal { http, status, denied: None }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        Refusal { denied: Some(denied.clone()), ..Refusal::from(Status::from(&denied)) }
    }
}

impl From<compress::Error> for Refusal {
    fn from(error: compress::Error) -> Refusal {
        match error {
            compress::Error::TooLarge { .. } => {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, error.to_string())
            }
            compress::Error::Corrupt(_) | compress::Error::Unknown(_) => {
                Refusal::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, error.to_string())
            }
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Refusal {
        let (http, code) = match error {
            ReadError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
            ReadError::Stalled(_) => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
            ReadError::Broken(_) => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        };
        Refusal::new(http, code, error.to_string())
    }
}

impl Handler for HttpHandler {
    fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            if grpc::is_grpc(request.headers()) {
                let message = "this port speaks OTLP over HTTP; gRPC has a port of its own, usually 4317";
                return grpc::refuse(&Status::new(Code::Unimplemented, message));
            }
            if let Some(mut answer) = self.admission.preflight(&request) {
                answer.headers_mut().extend(self.response_headers.clone());
                return answer;
            }
            let origin = self.admission.origin(request.headers());
            let encoding = Encoding::of(request.headers());
            let mut response = match self.export(request, encoding, &peer).await {
                Ok(encoding) => success(encoding),
                Err(refusal) => {
                    self.refusals.count(&refusal.status, &peer);
                    let denied = refusal.denied.clone();
                    let mut answer = refuse(refusal, encoding);
                    denied.inspect(|denied| self.admission.challenge(denied, answer.headers_mut()));
                    answer
                }
            };
            self.admission.finish(origin.as_ref(), response.headers_mut());
            response.headers_mut().extend(self.response_headers.clone());
            response
        })
    }
}

impl HttpHandler {
    fn signal(&self, path: &str) -> Option<Signal> {
        let find = |path: &str| self.paths.iter().find(|(_, p)| p == path).map(|(signal, _)| *signal);
        find(path).or_else(|| find(path.strip_prefix(PROMETHEUS_PREFIX)?))
    }

    async fn export(
        &self,
        mut request: Request<Incoming>,
        encoding: Option<Encoding>,
        peer: &str,
    ) -> Result<Encoding, Refusal> {
        let identity = match self.admission.check(&request).await {
            Ok(identity) => identity,
            Err(denied) => return Err(self.turned_away(request, denied.into(), peer).await),
        };
        let (signal, encoding, coding) = match self.admit(&request, encoding) {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(self.turned_away(request, refusal, peer).await),
        };
        let meta = metadata(request.headers(), peer, identity, self.server.include_metadata);
        let mut room = Room::default();
        let body = match self.read(&mut request, self.server.most_body_bytes(), &mut room).await {
            Ok(body) => body,
            Err(refusal) => return Err(self.turned_away(request, refusal, peer).await),
        };
        let message = self.message(signal, encoding, coding, body, &mut room);
        let message = message.inspect_err(|refusal| self.refusals.unread(signal, &refusal.status, peer))?;
        self.intake.take(signal, message, meta).await?;
        Ok(encoding)
    }

    /// The refusal of a request whose body nobody wants.
    async fn turned_away(&self, request: Request<Incoming>, refusal: Refusal, peer: &str) -> Refusal {
        if let Some(signal) = self.signal(request.uri().path()).filter(|_| request.method() == Method::POST) {
            self.refusals.unread(signal, &refusal.status, peer);
        }
        drained(request, refusal).await
    }

    /// The message in a body.
    fn message(
        &self,
        signal: Signal,
        encoding: Encoding,
        coding: Option<Coding>,
        body: Bytes,
        room: &mut Room,
    ) -> Result<Bytes, Refusal> {
        let body = match coding {
            None => body,
            Some(coding) => Bytes::from(compress::decompress(coding, &body, self.server.most_body_bytes())?),
        };
        let message = match encoding {
            Encoding::Protobuf => body,
            Encoding::Json => json(signal, &body)?,
        };
        self.intake.fit(room, message.len())?;
        Ok(message)
    }

    /// What is asked for, by the head alone.
    fn admit(
        &self,
        request: &Request<Incoming>,
        encoding: Option<Encoding>,
    ) -> Result<(Signal, Encoding, Option<Coding>), Refusal> {
        let path = request.uri().path();
        let signal = self.signal(path).ok_or_else(|| {
            let known: Vec<_> = self.paths.iter().map(|(_, path)| path.as_str()).collect();
            let message = format!("nothing is at {path:.100}, there are {}", known.join(", "));
            Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, message)
        })?;
        if request.method() != Method::POST {
            let message = format!("{} is not allowed, use POST", request.method());
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message));
        }
        let encoding = encoding.ok_or_else(|| {
            let message = "the content type must be application/x-protobuf or application/json";
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, message)
        })?;
        let coding = match request.headers().get(CONTENT_ENCODING) {
            None => None,
            Some(name) => Coding::from_name(name.to_str().unwrap_or("?"))?,
        };
        if !self.server.takes(coding) {
            let name = coding.map_or("none", Coding::name);
            return Err(compress::Error::Unknown(name.to_owned()).into());
        }
        Ok((signal, encoding, coding))
    }

    /// The body as it comes. A body that does not tell its length takes the room of the largest until it is there.
    async fn read(&self, request: &mut Request<Incoming>, most: usize, room: &mut Room) -> Result<Bytes, Refusal> {
        let told = http_body::Body::size_hint(request.body()).exact();
        let most_here = told.map_or(most, |len| usize::try_from(len).unwrap_or(usize::MAX));
        if most_here > most {
            return Err(ReadError::TooLarge { most }.into());
        }
        *room = self.intake.room(most_here).await?;
        let reading = body::read_capped(request.body_mut(), most, Some(self.server.read_pause()));
        let whole = tokio::select! {
            biased;
            whole = tokio::time::timeout(read_time(most_here), reading) => whole.map_err(|_| {
                Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, "the body came too slowly")
            })??,
            () = self.intake.others_wait() => {
                // What is drained of it has no room any more.
                *room = Room::default();
                return Err(Refusal { http: StatusCode::REQUEST_TIMEOUT, status: too_slow(), denied: None });
            }
        };
        self.intake.fit(room, whole.bytes.len())?;
        Ok(whole.bytes)
    }
}

fn json(signal: Signal, body: &[u8]) -> Result<Bytes, Refusal> {
    otlp::json::to_proto(signal, body).map(Bytes::from).map_err(|error| {
        let message = format!("the request is not OTLP {signal} in JSON: {error}");
        Refusal::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, message)
    })
}

/// A client of HTTP/1 that is still sending would see a reset instead of the refusal, so the rest is read first; unless
/// the client waits to be told to send at all.
async fn drained(request: Request<Incoming>, refusal: Refusal) -> Refusal {
    if request.version() != Version::HTTP_2 && !request.headers().contains_key(EXPECT) {
        body::drain(request.into_body(), DRAINED_BYTES, DRAIN_TIME).await;
    }
    refusal
}

/// Full success: a response message without `partial_success`.
fn success(encoding: Encoding) -> Response<Chunks> {
    let body = match encoding {
        Encoding::Protobuf => Chunks::empty(),
        Encoding::Json => Chunks::from(Bytes::from_static(b"{}")),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, encoding.content_type());
    response
}

/// A `google.rpc.Status` in the request's encoding, or plain text where that is not known.
fn refuse(refusal: Refusal, encoding: Option<Encoding>) -> Response<Chunks> {
    let Refusal { http, status, .. } = refusal;
    let (body, kind) = match encoding {
        Some(Encoding::Protobuf) => (status.to_proto(), Encoding::Protobuf.content_type()),
        Some(Encoding::Json) => (status.to_json(), Encoding::Json.content_type()),
        None => (Bytes::from(status.message.clone()), HeaderValue::from_static("text/plain; charset=utf-8")),
    };
    let mut response = Response::new(Chunks::from(body));
    *response.status_mut() = http;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    if let Some(wait) = status.retry_after {
        headers.insert(RETRY_AFTER, retry_after::value(wait));
    }
    match http {
        StatusCode::METHOD_NOT_ALLOWED => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        StatusCode::BAD_REQUEST => drop(headers.insert(ACCEPT_ENCODING, CODINGS)),
        _ => {}
    }
    response
}
