//! The client's side of a unary call: parts go out as one message without being joined, unless they are compressed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::frame;
use super::server::ENCODINGS;
use super::status::{Code, Status};
use crate::net::body::Chunks;
use crate::net::compress::{self, Coding, Level};
use crate::net::http as net_http;
use crate::net::http::{Request, Response, SendError};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How a client calls.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Scheme and authority, `http://host:port` or `https://host:port`.
    pub target: Uri,
    /// How messages are compressed.
    pub compression: Option<(Coding, Level)>,
    /// The most bytes of an answer, before and after decompression.
    pub most_answer_bytes: usize,
}

/// Calls unary methods. Clone shares the connections.
#[derive(Clone)]
pub struct Client {
    http: net_http::Client,
    settings: ClientSettings,
}

/// The answer to a call.
#[derive(Debug)]
pub struct Reply {
    /// Its message, decompressed; empty where there is none.
    pub message: Bytes,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The far side said so.
    #[error("{0}")]
    Status(Status),
    /// The far side did not say anything.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Client {
    /// A client that calls through `http`, which must speak HTTP/2.
    pub fn new(http: net_http::Client, settings: ClientSettings) -> Client {
        Client { http, settings }
    }

    /// Lets go of its connections.
    pub fn close(&self) {
        self.http.close();
    }

    /// Calls `/service/method` with one message that consists of `parts`.
    ///
    /// # Errors
    /// A status other than OK, or no answer.
    pub async fn call(
        &self,
        method: &'static str,
        parts: &[Bytes],
        metadata: HeaderMap,
        timeout: Option<Duration>,
    ) -> Result<Reply, CallError> {
        let request = self.request(method, parts, metadata, timeout)?;
        let again = self.http.is_signed().then(|| request.clone());
        let reply = self.reply(self.http.send(request).await?);
        match (reply, again) {
            (Err(CallError::Status(status)), Some(again))
                if status.code == Code::Unauthenticated && self.http.can_sign_anew() =>
            {
                self.reply(self.http.send(again).await?)
            }
            (reply, _) => reply,
        }
    }

    fn request(
        &self,
        method: &'static str,
        parts: &[Bytes],
        metadata: HeaderMap,
        timeout: Option<Duration>,
    ) -> Result<Request, SendError> {
        let target = self.settings.target.clone().into_parts();
        let mut url = Uri::builder().path_and_query(method);
        if let (Some(scheme), Some(authority)) = (target.scheme, target.authority) {
            url = url.scheme(scheme).authority(authority);
        }
        let url = url.build().map_err(|e| SendError::Request(format!("{method} is not a method: {e}")))?;
        let mut request = Request::post(url, self.body(parts)?);
        request.headers = metadata;
        request.timeout = timeout;
        request.most_answer_bytes = self.settings.most_answer_bytes.saturating_add(frame::PREFIX);
        request.headers.insert(CONTENT_TYPE, GRPC);
        request.headers.insert(TE, TRAILERS);
        request.headers.insert(GRPC_ACCEPT_ENCODING, ENCODINGS);
        if let Some((coding, _)) = self.settings.compression {
            request.headers.insert(GRPC_ENCODING, HeaderValue::from_static(on_the_wire(coding).name()));
        }
        if let Some(timeout) = timeout.and_then(timeout_value) {
            request.headers.insert(GRPC_TIMEOUT, timeout);
        }
        Ok(request)
    }

    /// `[prefix][part][part]…`, or `[prefix][compressed]`.
    fn body(&self, parts: &[Bytes]) -> Result<Chunks, SendError> {
        let too_large = || SendError::Request("the message is larger than 4 GiB".to_owned());
        let Some((coding, level)) = self.settings.compression else {
            let len = parts.iter().map(Bytes::len).sum();
            let prefix = frame::prefix(false, len).ok_or_else(too_large)?;
            return Ok(std::iter::once(prefix).chain(parts.iter().cloned()).collect());
        };
        let message = parts.iter().cloned().collect::<Chunks>().into_bytes();
        let coding = match on_the_wire(coding) {
            Coding::Snappy => Coding::SnappyFramed,
            other => other,
        };
        let packed = compress::compress(coding, level, &message)
            .map_err(|error| SendError::Request(format!("cannot compress with {}: {error}", coding.name())))?;
        let prefix = frame::prefix(true, packed.len()).ok_or_else(too_large)?;
        Ok([prefix, Bytes::from(packed)].into_iter().collect())
    }

    fn reply(&self, response: Response) -> Result<Reply, CallError> {
        let status = response.trailers.as_ref().and_then(Status::from_headers);
        let status = status.or_else(|| Status::from_headers(&response.headers));
        let status = status.unwrap_or_else(|| {
            let words = match response.excerpt() {
                words if words.is_empty() => "no gRPC status came with it".to_owned(),
                words => words,
            };
            Status::new(Code::from_http(response.status), format!("HTTP {}: {words}", response.status))
        });
        if status.code != Code::Ok {
            return Err(CallError::Status(status));
        }
        let most = self.settings.most_answer_bytes;
        let coding = match response.headers.get(GRPC_ENCODING) {
            None => None,
            Some(name) => Coding::from_name(name.to_str().unwrap_or("?"))
                .map_err(|error| CallError::Status(Status::new(Code::Internal, error.to_string())))?,
        };
        let message = match frame::split(response.body, most).map_err(CallError::Status)? {
            None => Bytes::new(),
            Some(framed) => frame::decode(framed, coding, most).map_err(CallError::Status)?,
        };
        Ok(Reply { message })
    }
}

/// gRPC's `snappy` is the framing format, by that name.
fn on_the_wire(coding: Coding) -> Coding {
    if coding == Coding::SnappyFramed { Coding::Snappy } else { coding }
}

/// `grpc-timeout` in the finest unit that needs at most 8 digits.
fn timeout_value(timeout: Duration) -> Option<HeaderValue> {
    let units = [(timeout.as_nanos(), 'n'), (timeout.as_micros(), 'u'), (timeout.as_millis(), 'm')];
    let fine = units.into_iter().find(|(number, _)| *number < 100_000_000);
    let (number, unit) = fine.unwrap_or((u128::from(timeout.as_secs().min(99_999_999)), 'S'));
    HeaderValue::try_from(format!("{number}{unit}")).ok()
}
