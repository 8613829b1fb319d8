//! The HTTP client: one call sends a request and reads its whole answer, capped. Connections are kept and shared.
//!
//! ```no_run
//! # async fn example(context: &pipeline::Context) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use pipeline::net::http::{Client, ClientOptions, Request};
//! use pipeline::net::origin::parse_url;
//!
//! // Once, when the component is built:
//! let url = parse_url("http://localhost:3100/loki/api/v1/push")?;
//! let client = Client::new(ClientOptions::default(), context)?;
//! // For each request:
//! let mut request = Request::post(url, bytes::Bytes::from_static(b"{}"));
//! request.headers.insert("content-type", http::HeaderValue::from_static("application/json"));
//! request.timeout = Some(std::time::Duration::from_secs(5));
//! let response = client.send(request).await?;
//! println!("{} {:?}", response.status, response.body);
//! # Ok(()) }
//! ```

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::connect::Connector;
use super::pool::{Lease, Pool};
use crate::component::{Context, Error, Refused};
use crate::net::body::{Chunks, ReadError, header_value, read_capped, read_start};
use crate::net::compress::{self, Coding};
use crate::net::config::TlsClientConfig;
use crate::net::origin::Origin;

/// The most bytes of an answer that are read where the request says nothing else.
pub const DEFAULT_ANSWER_BYTES: usize = 4 * 1024 * 1024;

const OWN_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("slipring/", env!("CARGO_PKG_VERSION")));

/// How a client connects and keeps connections.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// TLS for `https://` URLs.
    pub tls: TlsClientConfig,
    /// Headers of every request; a request's own come before them.
    pub headers: HeaderMap,
    /// The HTTP version.
    pub protocol: Protocol,
    /// Offer HTTP/2 in TLS handshakes.
    pub offer_http2: bool,
    /// Keep HTTP/1 connections for the next request.
    pub keep_alive: bool,
    /// Most HTTP/1 requests at a time to one host; further ones wait.
    pub most_requests_per_host: usize,
    /// Most idle HTTP/1 connections.
    pub most_idle: usize,
    /// Most idle HTTP/1 connections to one host.
    pub most_idle_per_host: usize,
    /// How long an idle HTTP/1 connection is kept; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// Most HTTP/2 connections to one host, opened as the ones before get busy.
    pub most_http2_per_host: usize,
    /// Ping an HTTP/2 connection on which nothing came for so long.
    pub ping_after: Option<Duration>,
    /// Give it up when the ping is not answered within this.
    pub ping_timeout: Duration,
    /// Ping without open requests too.
    pub ping_while_idle: bool,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            tls: TlsClientConfig::default(),
            headers: HeaderMap::new(),
            protocol: Protocol::Negotiated,
            offer_http2: true,
            keep_alive: true,
            most_requests_per_host: usize::MAX,
            most_idle: 100,
            most_idle_per_host: 100,
            idle_timeout: Some(Duration::from_secs(90)),
            most_http2_per_host: 2,
            ping_after: None,
            ping_timeout: Duration::from_secs(15),
            ping_while_idle: false,
        }
    }
}

/// Which HTTP a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 on `http://`, what the handshake chooses on `https://`.
    #[default]
    Negotiated,
    /// HTTP/2 always, on `http://` by prior knowledge.
    Http2,
}

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
            SendError::Connect { .. } => "connect",
            SendError::Tls { .. } => "tls",
            SendError::Timeout { .. } => "timeout",
            SendError::Reset { .. } => "reset",
            SendError::TooLarge { .. } => "answer_too_large",
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

/// Sends requests. Clone shares the connections.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// A client; connects to nothing yet.
    ///
    /// # Errors
    /// Certificates that the config names and that cannot be read.
    pub fn new(options: ClientOptions, context: &Context) -> Result<Client, Error> {
        let connector = Connector::new(&options, context.doors.clone(), context.tasks.clone())?;
        Ok(Client { pool: Pool::new(connector, options) })
    }

    /// Sends the request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// There is no (whole) answer.
    pub async fn send(&self, request: Request) -> Result<Response, SendError> {
        let Some(after) = request.timeout else { return self.follow(request).await };
        let address = Origin::of(&request.url).map_err(SendError::Request)?.address();
        match tokio::time::timeout(after, self.follow(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(SendError::Timeout { address, after }),
        }
    }

    /// Lets go of idle connections, and of those in use after their answer.
    pub fn close(&self) {
        self.pool.close();
    }

    async fn follow(&self, mut request: Request) -> Result<Response, SendError> {
        loop {
            let response = self.exchange(&request).await?;
            if request.redirects == 0 || !response.status.is_redirection() || !redirect(&mut request, &response)? {
                return Ok(response);
            }
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Response, SendError> {
        let origin = Origin::of(&request.url).map_err(SendError::Request)?;
        let mut may_repeat = request.method.is_idempotent();
        loop {
            let mut lease = self.pool.checkout(&origin).await?;
            let message = self.message(request, lease.is_http2());
            match lease.send(message).await {
                Ok(response) => return read(response, lease, request, &origin).await,
                // A kept connection that the far side has closed meanwhile: not our request's fault.
                Err(failed) if lease.reused() && failed.message().is_some() => {}
                Err(failed) if lease.reused() && may_repeat && failed.error().is_incomplete_message() => {
                    may_repeat = false;
                }
                Err(failed) => {
                    return Err(SendError::Reset { address: origin.address(), source: failed.into_error() });
                }
            }
        }
    }

    fn message(&self, request: &Request, http2: bool) -> http::Request<Chunks> {
        let mut message = http::Request::new(request.body.clone());
        *message.method_mut() = request.method.clone();
        let headers = message.headers_mut();
        *headers = request.headers.clone();
        for (name, value) in &self.pool.options().headers {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        headers.entry(USER_AGENT).or_insert(OWN_USER_AGENT);
        if http2 {
            headers.remove(HOST);
            *message.version_mut() = Version::HTTP_2;
            *message.uri_mut() = request.url.clone();
        } else {
            if let Some(host) = request.url.authority().and_then(|a| header_value(a.as_str())) {
                headers.entry(HOST).or_insert(host);
            }
            if !self.pool.options().keep_alive {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let path = request.url.path_and_query().cloned();
            *message.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        }
        message
    }
}

async fn read(
    response: http::Response<Incoming>,
    lease: Lease,
    request: &Request,
    origin: &Origin,
) -> Result<Response, SendError> {
    let (head, body) = response.into_parts();
    let most = request.most_answer_bytes;
    let read = if request.cut_answer {
        read_start(body, most).await
    } else {
        read_capped(body, most, None).await.map(|whole| (whole, true))
    };
    let address = || origin.address();
    let (whole, complete) = read.map_err(|error| match error {
        ReadError::TooLarge { most } => SendError::TooLarge { address: address(), most },
        ReadError::Broken(source) => SendError::Reset { address: address(), source },
        ReadError::Stalled(after) => SendError::Timeout { address: address(), after },
    })?;
    if complete {
        lease.finish();
    }
    Ok(Response { status: head.status, headers: head.headers, body: whole.bytes, trailers: whole.trailers })
}

/// Turns the request into the one that a redirect asks for; `false` where the answer is not a redirect to follow.
fn redirect(request: &mut Request, response: &Response) -> Result<bool, SendError> {
    let Some(to) = response.headers.get(LOCATION) else { return Ok(false) };
    let keeps_method = match response.status.as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return Ok(false),
    };
    let to = String::from_utf8_lossy(to.as_bytes()).into_owned();
    let url = resolve(&request.url, &to).map_err(|reason| SendError::Redirect { to: to.clone(), reason })?;
    let (from, origin) = (Origin::of(&request.url), Origin::of(&url));
    origin.as_ref().map_err(|reason| SendError::Redirect { to: to.clone(), reason: reason.clone() })?;
    if from != origin {
        for secret in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
            request.headers.remove(secret);
        }
    }
    if !keeps_method && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = Chunks::empty();
    }
    request.url = url;
    request.redirects -= 1;
    if request.redirects == 0 {
        return Err(SendError::Redirect { to, reason: "redirected too often".to_owned() });
    }
    Ok(true)
}

/// A `Location` against the URL it came from: absolute, `//host/path`, `/path`, or relative to the last slash.
fn resolve(base: &Uri, to: &str) -> Result<Uri, String> {
    let to = to.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", http::uri::Authority::as_str);
    let absolute = if to.contains("://") {
        to.to_owned()
    } else if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else if to.starts_with('?') {
        format!("{scheme}://{authority}{}{to}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{to}")
    };
    absolute.parse().map_err(|e| format!("{e}"))
}
