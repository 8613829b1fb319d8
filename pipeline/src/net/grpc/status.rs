//! gRPC's status: codes, `google.rpc.Status` with `RetryInfo`, and how they stand in headers and JSON.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use crate::net::auth::Denied;
use crate::otlp::wire::{Fields, WireError};
use crate::otlp::write::Writer;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `-bin` headers come with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What `grpc-message` escapes: all but printable ASCII, and the percent sign.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Longer messages are cut: headers have limits.
const MOST_MESSAGE_BYTES: usize = 1024;

/// The codes of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are gRPC's own")]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [(Code, &str); 17] = [
        (Code::Ok, "OK"),
        (Code::Cancelled, "CANCELLED"),
        (Code::Unknown, "UNKNOWN"),
        (Code::InvalidArgument, "INVALID_ARGUMENT"),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Code::NotFound, "NOT_FOUND"),
        (Code::AlreadyExists, "ALREADY_EXISTS"),
        (Code::PermissionDenied, "PERMISSION_DENIED"),
        (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        (Code::FailedPrecondition, "FAILED_PRECONDITION"),
        (Code::Aborted, "ABORTED"),
        (Code::OutOfRange, "OUT_OF_RANGE"),
        (Code::Unimplemented, "UNIMPLEMENTED"),
        (Code::Internal, "INTERNAL"),
        (Code::Unavailable, "UNAVAILABLE"),
        (Code::DataLoss, "DATA_LOSS"),
        (Code::Unauthenticated, "UNAUTHENTICATED"),
    ];

    /// Its name in gRPC's documentation.
    pub fn name(self) -> &'static str {
        Code::ALL[self as usize].1
    }

    /// The code of that number; `Unknown` for numbers that are none.
    pub fn from_number(number: u64) -> Code {
        usize::try_from(number).ok().and_then(|n| Code::ALL.get(n)).map_or(Code::Unknown, |(code, _)| *code)
    }

    /// The code that stands for an HTTP status without a gRPC one (gRPC, http-grpc-status-mapping.md).
    pub fn from_http(status: http::StatusCode) -> Code {
        match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// For people.
    pub message: String,
    /// `RetryInfo`: how long to wait before the same call may succeed.
    pub retry_after: Option<Duration>,
}

impl Status {
    /// A status without details.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status { code, message: message.into(), retry_after: None }
    }

    /// The same, with a wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Status {
        self.retry_after = wait;
        self
    }

    /// The trailers that say it.
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(3);
        trailers.insert(GRPC_STATUS, HeaderValue::from(self.code as u16));
        if !self.message.is_empty() {
            let message = utf8_percent_encode(self.cut_message(), ESCAPED).to_string();
            trailers.insert(GRPC_MESSAGE, HeaderValue::try_from(message).unwrap_or(HeaderValue::from_static("")));
        }
        if self.retry_after.is_some() {
            let details = STANDARD_NO_PAD.encode(self.to_proto());
            if let Ok(value) = HeaderValue::try_from(details) {
                trailers.insert(GRPC_DETAILS, value);
            }
        }
        trailers
    }

    /// The status in headers or trailers, if there is one.
    pub fn from_headers(headers: &HeaderMap) -> Option<Status> {
        let code = headers.get(GRPC_STATUS)?.to_str().ok()?.parse().map_or(Code::Unknown, Code::from_number);
        let message = headers.get(GRPC_MESSAGE).map(|m| percent_decode(m.as_bytes()).decode_utf8_lossy().into_owned());
        let details = headers.get(GRPC_DETAILS).and_then(|d| BASE64.decode(d.as_bytes()).ok());
        let retry_after = details.and_then(|d| Status::from_proto(&d).ok()).and_then(|s| s.retry_after);
        Some(Status { code, message: message.unwrap_or_default(), retry_after })
    }

    /// `google.rpc.Status` as protobuf.
    pub fn to_proto(&self) -> Bytes {
        let mut w = Writer::new();
        w.varint(1, self.code as u64);
        if !self.message.is_empty() {
            w.text(2, self.cut_message());
        }
        if let Some(wait) = self.retry_after {
            w.message(3, |any| {
                any.text(1, RETRY_INFO);
                any.message(2, |info| {
                    info.message(1, |duration| {
                        if wait.as_secs() > 0 {
                            duration.varint(1, wait.as_secs());
                        }
                        if wait.subsec_nanos() > 0 {
                            duration.varint(2, u64::from(wait.subsec_nanos()));
                        }
                    });
                });
            });
        }
        w.into_bytes()
    }

    /// Reads `google.rpc.Status`; details other than `RetryInfo` are skipped.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn from_proto(message: &[u8]) -> Result<Status, WireError> {
        let mut status = Status::new(Code::Ok, "");
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => status.code = Code::from_number(field.value.varint()?),
                2 => status.message = String::from_utf8_lossy(field.value.bytes()?).into_owned(),
                3 => status.retry_after = retry_info(field.value.bytes()?)?.or(status.retry_after),
                _ => {}
            }
        }
        Ok(status)
    }

    /// `google.rpc.Status` as protobuf's JSON has it.
    pub fn to_json(&self) -> Bytes {
        let mut status = serde_json::json!({ "code": self.code as u16, "message": self.cut_message() });
        if let Some(wait) = self.retry_after {
            let delay = format!("{}s", wait.as_secs_f64());
            status["details"] = serde_json::json!([{ "@type": RETRY_INFO, "retryDelay": delay }]);
        }
        Bytes::from(status.to_string())
    }

    fn cut_message(&self) -> &str {
        let mut end = self.message.len().min(MOST_MESSAGE_BYTES);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        &self.message[..end]
    }
}

/// Who may not come in is told so.
impl From<&Denied> for Status {
    fn from(denied: &Denied) -> Status {
        let code = match denied {
            Denied::Unknown(_) => Code::Unauthenticated,
            Denied::Forbidden(_) => Code::PermissionDenied,
        };
        Status::new(code, denied.message())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

/// The delay of an `Any` that is a `RetryInfo`.
fn retry_info(any: &[u8]) -> Result<Option<Duration>, WireError> {
    let (mut is_retry_info, mut value) = (false, &[][..]);
    for field in Fields::new(any) {
        let field = field?;
        match field.number {
            1 => is_retry_info = field.value.bytes()?.ends_with(b"/google.rpc.RetryInfo"),
            2 => value = field.value.bytes()?,
            _ => {}
        }
    }
    if !is_retry_info {
        return Ok(None);
    }
    let mut wait = Some(Duration::ZERO);
    for field in Fields::new(value) {
        let field = field?;
        if field.number == 1 {
            wait = duration(field.value.bytes()?)?;
        }
    }
    Ok(wait.map(|w| w.min(crate::net::retry_after::MOST)))
}

/// `google.protobuf.Duration`; `None` for a negative one.
fn duration(message: &[u8]) -> Result<Option<Duration>, WireError> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => seconds = field.value.int64()?,
            2 => nanos = field.value.int64()?,
            _ => {}
        }
    }
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else { return Ok(None) };
    Ok((nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos)))
}
