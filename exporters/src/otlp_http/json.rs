//! JSON in and out: requests, and what is read of answers.

use bytes::Bytes;
use pipeline::net::grpc::{Code, Status};
use pipeline::{Reason, Signal, otlp};
use serde::Deserialize;

use crate::otlp_requests::PartialSuccess;

/// The parts as one request in OTLP's JSON.
///
/// # Errors
/// They are malformed.
pub(super) fn request(signal: Signal, parts: &[Bytes]) -> Result<Bytes, Reason> {
    let message = parts.iter().cloned().collect::<pipeline::net::body::Chunks>().into_bytes();
    let json = otlp::json::from_proto(signal, &message);
    json.map(Bytes::from).map_err(|error| Reason::new("malformed", error.to_string()))
}

/// `Export…ServiceResponse`; the count is a number or, as protobuf's JSON has 64-bit integers, text.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExportResponse {
    partial_success: Option<Partial>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Partial {
    #[serde(alias = "rejectedDataPoints", alias = "rejectedLogRecords")]
    rejected_spans: serde_json::Value,
    error_message: String,
}

/// What an answer says; nothing where it cannot be read.
pub(super) fn partial_success(body: &[u8]) -> PartialSuccess {
    let response: ExportResponse = serde_json::from_slice(body).unwrap_or_default();
    let Some(partial) = response.partial_success else { return PartialSuccess::default() };
    let count = &partial.rejected_spans;
    let rejected = count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0);
    PartialSuccess { rejected, message: partial.error_message }
}

/// A `google.rpc.Status`; its details are not read, `Retry-After` says the same.
pub(super) fn status(body: &[u8]) -> Option<Status> {
    #[derive(Deserialize)]
    struct RpcStatus {
        #[serde(default)]
        code: u64,
        message: String,
    }
    let status: RpcStatus = serde_json::from_slice(body).ok()?;
    Some(Status::new(Code::from_number(status.code), status.message))
}
