//! The server's side of a unary call: the request's message out of its body, the answer or status into a response.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;

use super::frame;
use super::status::{Code, Status};
use crate::net::body::Chunks;
use crate::net::compress::Coding;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// What we can read.
pub(super) const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate,snappy");

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of its message, before and after decompression.
    pub most_bytes: usize,
    /// How long its body may pause.
    pub patience: Option<Duration>,
}

/// The message of a call.
#[derive(Debug)]
pub struct Call {
    /// Decompressed.
    pub message: Bytes,
    /// Bytes of it as they came, without the prefix.
    pub wire_bytes: usize,
}

/// Whether a request's content type is gRPC's.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes();
    let Some(rest) = kind.get(GRPC.len()..).filter(|_| kind[..GRPC.len()].eq_ignore_ascii_case(GRPC.as_bytes())) else {
        return false;
    };
    matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Reads the message of a request whose method and content type have been checked by [`is_grpc`]. `admit` is given its
/// length as soon as it is known.
///
/// # Errors
/// The status to answer with: `UNIMPLEMENTED` for an unknown encoding, `RESOURCE_EXHAUSTED` for a message that is too
/// large before or after decompression, `INTERNAL` for framing that is not gRPC's, and those of `admit`.
pub async fn receive<B, A>(
    request: &mut Request<B>,
    limits: Limits,
    admit: impl FnOnce(usize) -> A,
) -> Result<Call, Status>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
    A: Future<Output = Result<(), Status>>,
{
    if request.method() != Method::POST {
        return Err(Status::new(Code::Unimplemented, format!("{} is not a gRPC method, use POST", request.method())));
    }
    let coding = match request.headers().get(GRPC_ENCODING) {
        None => None,
        Some(name) => Coding::from_name(name.to_str().unwrap_or("?"))
            .map_err(|error| Status::new(Code::Unimplemented, error.to_string()))?,
    };
    let framed = frame::read(request.body_mut(), limits.most_bytes, limits.patience, admit).await?;
    let wire_bytes = framed.bytes.len();
    Ok(Call { message: frame::decode(framed, coding, limits.most_bytes)?, wire_bytes })
}

/// How long the caller waits (`grpc-timeout`): a number of at most 8 digits and a unit.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (number, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 8 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The response with a message, uncompressed, and the status OK.
pub fn answer(message: Bytes) -> Response<Chunks> {
    let Some(prefix) = frame::prefix(false, message.len()) else {
        return refuse(&Status::new(Code::Internal, "the answer is too large"));
    };
    let body = Chunks::from_iter([prefix, message]).with_trailers(Status::new(Code::Ok, "").trailers());
    response(body)
}

/// The response that says only a status ("trailers-only").
pub fn refuse(status: &Status) -> Response<Chunks> {
    let mut response = response(Chunks::empty());
    response.headers_mut().extend(status.trailers());
    if status.code == Code::Unimplemented {
        response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ENCODINGS);
    }
    response
}

fn response(body: Chunks) -> Response<Chunks> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}
