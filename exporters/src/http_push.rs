//! A push over HTTP that is answered by a status: how it is sent, and what the answer means to a client that wants its
//! data stored once (Prometheus remote write, Loki).

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use pipeline::net::compress::{Coding, Level, compress};
use pipeline::net::config::HttpClientConfig;
use pipeline::net::http::{Client, Request, Response};
use pipeline::net::origin::{Shown, parse_url};
use pipeline::net::retry_after;
use pipeline::{Context, Error, Reason, Refused};

use crate::dropped::Dropped;
use crate::requests::Answer;

/// The most bytes of an answer that are read: enough for a person to see what is wrong.
const MOST_ANSWER: usize = 16 << 10;

/// Sends bodies to one URL, compressed with snappy's block format.
pub struct Pusher {
    client: Client,
    url: Uri,
    clock: pipeline::doors::Clock,
}

impl Pusher {
    /// A pusher to the config's endpoint.
    ///
    /// # Errors
    /// A bad endpoint, or certificates that cannot be read.
    pub fn new(config: &HttpClientConfig, context: &Context) -> Result<Pusher, Error> {
        let url = parse_url(&config.endpoint).map_err(|e| format!("endpoint: {e}"))?;
        Ok(Pusher { client: config.client(context)?, url, clock: context.doors.clock })
    }

    /// Sends a body of protobuf that is a snappy block by now, and whose type may stand in `headers` more exactly; what the far
    /// side said, or that nothing was heard.
    pub async fn push_compressed(&self, body: Bytes, headers: HeaderMap) -> Result<Response, Answer> {
        let mut request = Request::post(self.url.clone(), body);
        request.headers = headers;
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        request.headers.entry(CONTENT_TYPE).or_insert(protobuf);
        request.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        request.most_answer_bytes = MOST_ANSWER;
        request.cut_answer = true;
        self.client.send(request).await.map_err(|error| match error.refused() {
            Refused::Retry { after, reason } => Answer::Retry { after, reason, heavy: false },
            Refused::Reject { reason } => Answer::Reject(reason),
        })
    }

    /// What an answer means: 5xx and 429 say later, 413 says smaller, other failures say never.
    pub fn answer(&self, response: &Response) -> Answer {
        let status = response.status;
        if status.is_success() {
            return Answer::Taken(Dropped::default());
        }
        let reason = self.reason(response);
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            Answer::TooLarge(reason)
        } else if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let after: Option<Duration> = retry_after::of(&response.headers, self.clock.now());
            Answer::Retry { after, reason, heavy: status == StatusCode::INTERNAL_SERVER_ERROR }
        } else {
            Answer::Reject(reason)
        }
    }

    /// The far side's own words.
    pub fn reason(&self, response: &Response) -> Reason {
        let said = response.excerpt();
        let said = if said.is_empty() { "no explanation" } else { &said };
        Reason::new(code(response.status), format!("{} answered {}: {said}", Shown(&self.url), response.status))
    }

    /// Lets go of its connections.
    pub fn close(&self) {
        self.client.close();
    }
}

/// A body as it is sent.
///
/// # Errors
/// `Reject`, for lack of memory.
pub fn snappy(body: &[u8]) -> Result<Bytes, Answer> {
    compressed(compress(Coding::Snappy, Level::default(), body))
}

/// What a compressor made, as it is sent.
///
/// # Errors
/// `Reject`, where it made nothing.
pub fn compressed<B: Into<Bytes>>(body: io::Result<B>) -> Result<Bytes, Answer> {
    body.map(Into::into).map_err(|e| Answer::Reject(Reason::new("snappy", format!("cannot compress: {e}"))))
}

/// The word for an HTTP status in reasons.
pub fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "http_400",
        401 => "http_401",
        403 => "http_403",
        404 => "http_404",
        405 => "http_405",
        413 => "http_413",
        415 => "http_415",
        422 => "http_422",
        429 => "http_429",
        500 => "http_500",
        502 => "http_502",
        503 => "http_503",
        504 => "http_504",
        _ if status.is_redirection() => "http_3xx",
        _ if status.is_client_error() => "http_4xx",
        _ if status.is_server_error() => "http_5xx",
        _ => "http_other",
    }
}
