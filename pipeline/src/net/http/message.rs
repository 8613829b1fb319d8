//! What a client sends and gets: requests, answers that were read to their end, and why there is none.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::buffers::Buffers;
use crate::component::Refused;
use crate::net::body::Chunks;
use crate::net::compress::{self, Coding};

/// The most bytes of an answer that are read where the request says nothing else.
pub const DEFAULT_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute URL, see [`parse_url`](crate::net::origin::parse_url).
    pub url: Uri,
    /// Its headers; `host`, `content-length` and `user-agent` come by themselves.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Chunks,
    /// From the start of connecting to the last byte of the answer; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// The most bytes of the answer's body, as they come (before any decompression).
    pub most_answer_bytes: usize,
    /// Cut a longer answer there instead of failing with [`SendError::TooLarge`].
    pub cut_answer: bool,
    /// How many redirects to follow; 0, the default, answers with the redirect itself.
    pub redirects: usize,
    /// Where the answer's body gets its buffer from; it goes back there when the body is dropped.
    pub buffers: Buffers,
}

impl Request {
    /// A `GET`.
    pub fn get(url: Uri) -> Request {
        Request::new(Method::GET, url, Chunks::empty())
    }

    /// A `POST`.
    pub fn post(url: Uri, body: impl Into<Chunks>) -> Request {
        Request::new(Method::POST, url, body.into())
    }

    /// A request without headers, time limit or redirects.
    pub fn new(method: Method, url: Uri, body: Chunks) -> Request {
        Request {
            method,
            url,
            headers: HeaderMap::new(),
            body,
            timeout: None,
            most_answer_bytes: DEFAULT_ANSWER_BYTES,
            cut_answer: false,
            redirects: 0,
            buffers: Buffers::default(),
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came.
    pub body: Bytes,
    /// What came after the body (HTTP/2).
    pub trailers: Option<HeaderMap>,
}

impl Response {
    /// The body without its `Content-Encoding`, at most `most` bytes.
    ///
    /// # Errors
    /// An encoding that we do not have, a body that is not in it, or one that is larger.
    pub fn decoded(&self, most: usize) -> Result<Bytes, compress::Error> {
        match self.headers.get(CONTENT_ENCODING) {
            None => compress::within(self.body.clone(), most),
            Some(name) => match Coding::from_name(name.to_str().unwrap_or("?"))? {
                None => compress::within(self.body.clone(), most),
                Some(coding) => compress::decompress(coding, &self.body, most).map(Bytes::from),
            },
        }
    }

    /// The body as text for a log line: at most 500 bytes, line breaks as spaces.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        text.trim().replace(['\r', '\n'], " ")
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The request cannot be sent as it is.
    #[error("{0}")]
    Request(String),
    /// There are no credentials to send it with.
    #[error("not sent: {0}")]
    Credentials(String),
    /// No connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("cannot secure the connection to {address}: {reason}")]
    Tls {
        /// With whom.
        address: String,
        /// Why.
        reason: String,
    },
    /// The time was over.
    #[error("no answer from {address} within {after:?}")]
    Timeout {
        /// From whom.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// The connection broke before the answer was there, or the far side does not speak HTTP.
    #[error("{address} broke off: {}", cause(.source))]
    Reset {
        /// Who.
        address: String,
        /// How.
        source: hyper::Error,
    },
    /// The answer is longer than the request allows.
    #[error("the answer of {address} is larger than {most} bytes")]
    TooLarge {
        /// Whose.
        address: String,
        /// The most that was allowed.
        most: usize,
    },
    /// The proxy does not let us through.
    #[error("the proxy {address} gives no way to {to}: {reason}")]
    Proxy {
        /// Which proxy.
        address: String,
        /// Where to.
        to: String,
        /// Why not.
        reason: String,
    },
    /// Redirected too often, or to nowhere.
    #[error("redirected to {to:?}, which cannot be followed: {reason}")]
    Redirect {
        /// The last target.
        to: String,
        /// Why not.
        reason: String,
    },
}

impl SendError {
    /// A short stable word for metrics and reasons.
    pub fn code(&self) -> &'static str {
        match self {
            SendError::Request(_) => "bad_request",
            SendError::Credentials(_) => "credentials",
            SendError::Connect { .. } => "connect",
            SendError::Tls { .. } => "tls",
            SendError::Timeout { .. } => "timeout",
            SendError::Reset { .. } => "reset",
            SendError::TooLarge { .. } => "answer_too_large",
            SendError::Proxy { .. } => "proxy",
            SendError::Redirect { .. } => "redirect",
        }
    }

    /// The answer of an exporter: everything that time can heal is a retry.
    pub fn refused(&self) -> Refused {
        match self {
            SendError::Request(_) | SendError::Redirect { .. } => Refused::reject(self.code(), self.to_string()),
            _ => Refused::retry(self.code(), self.to_string()),
        }
    }
}

/// hyper's error with the one below it, which says more.
fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
