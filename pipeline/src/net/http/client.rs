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

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::connect::Connector;
use super::message::{Request, Response, SendError};
use super::pool::{Lease, Pool};
use super::proxy::{Proxies, Proxy};
use super::redirect::redirect;
use crate::component::{Context, Error};
use crate::net::auth::{Signer, sender};
use crate::net::body::{Chunks, ReadError, header_value, next_frame, read_capped_into, read_start};
use crate::net::config::TlsClientConfig;
use crate::net::origin::Origin;

const OWN_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("slipring/", env!("CARGO_PKG_VERSION")));

/// How a client connects and keeps connections.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// TLS for `https://` URLs.
    pub tls: TlsClientConfig,
    /// Headers of every request; a request's own come before them.
    pub headers: HeaderMap,
    /// Who adds credentials to every request, over all other headers.
    pub auth: Option<Signer>,
    /// The HTTP version.
    pub protocol: Protocol,
    /// Offer HTTP/2 in TLS handshakes.
    pub offer_http2: bool,
    /// What stands between.
    pub proxies: Proxies,
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
            auth: None,
            protocol: Protocol::Negotiated,
            offer_http2: true,
            proxies: Proxies::default(),
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

    /// Sends the request and answers with what comes back as soon as its head is there, whatever its status. Redirects
    /// are not followed; a time limit counts until the head is there.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn open(&self, mut request: Request) -> Result<Streaming, SendError> {
        let address = Origin::of(&request.url).map_err(SendError::Request)?.address();
        self.sign(&mut request).await?;
        let reply = match request.timeout {
            None => self.reply(&request).await,
            Some(after) => match tokio::time::timeout(after, self.reply(&request)).await {
                Ok(reply) => reply,
                Err(_) => return Err(SendError::Timeout { address, after }),
            },
        };
        let (response, lease) = reply?;
        let (head, body) = response.into_parts();
        Ok(Streaming { status: head.status, headers: head.headers, body, lease: Some(lease), address })
    }

    /// Lets go of idle connections, and of those in use after their answer.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Whether somebody adds credentials to its requests.
    pub(crate) fn is_signed(&self) -> bool {
        self.pool.options().auth.is_some()
    }

    /// Whether, after a far side has refused who we are, something else can be shown.
    pub(crate) fn can_sign_anew(&self) -> bool {
        self.pool.options().auth.as_ref().is_some_and(|auth| auth.0.refused())
    }

    async fn sign(&self, request: &mut Request) -> Result<(), SendError> {
        let Some(auth) = &self.pool.options().auth else { return Ok(()) };
        for (name, value) in &self.pool.options().headers {
            if !request.headers.contains_key(name) {
                request.headers.insert(name.clone(), value.clone());
            }
        }
        let sender = sender();
        auth.0.sign(&mut request.headers, sender.as_deref()).await.map_err(SendError::Credentials)
    }

    async fn follow(&self, mut request: Request) -> Result<Response, SendError> {
        if self.pool.options().auth.is_none() {
            return self.redirected(request).await;
        }
        let unsigned = request.clone();
        self.sign(&mut request).await?;
        let response = self.redirected(request).await?;
        if response.status != StatusCode::UNAUTHORIZED || !self.can_sign_anew() {
            return Ok(response);
        }
        let mut again = unsigned;
        self.sign(&mut again).await?;
        self.redirected(again).await
    }

    async fn redirected(&self, mut request: Request) -> Result<Response, SendError> {
        let mut left = request.redirects;
        loop {
            let response = self.exchange(&request).await?;
            if request.redirects == 0 || !response.status.is_redirection() || !redirect(&mut request, &response, left)?
            {
                return Ok(response);
            }
            left -= 1;
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Response, SendError> {
        let (response, lease) = self.reply(request).await?;
        let origin = Origin::of(&request.url).map_err(SendError::Request)?;
        read(response, lease, request, &origin).await
    }

    /// The head of the answer, and the connection on which the rest comes.
    async fn reply(&self, request: &Request) -> Result<(http::Response<Incoming>, Lease), SendError> {
        let origin = Origin::of(&request.url).map_err(SendError::Request)?;
        loop {
            let mut lease = self.pool.checkout(&origin).await?;
            let message = self.message(request, &origin, lease.is_http2());
            match lease.send(message).await {
                Ok(response) => return Ok((response, lease)),
                // A kept connection that the far side has closed meanwhile: not our request's fault. What comes back ends
                // with a connection that is new.
                Err(failed) if lease.reused() && failed.message().is_some() => {}
                Err(failed) if lease.reused() && request.method.is_idempotent() && is_broken_off(failed.error()) => {}
                Err(failed) => {
                    return Err(SendError::Reset { address: origin.address(), source: failed.into_error() });
                }
            }
        }
    }

    fn message(&self, request: &Request, origin: &Origin, http2: bool) -> http::Request<Chunks> {
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
            let host = headers.remove(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
            *message.version_mut() = Version::HTTP_2;
            *message.uri_mut() = with_authority(&request.url, host);
        } else {
            if let Some(host) = request.url.authority().and_then(|a| header_value(a.as_str())) {
                headers.entry(HOST).or_insert(host);
            }
            if !self.pool.options().keep_alive {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let proxy = self.pool.options().proxies.of(origin).filter(|_| !origin.tls);
            if let Some(authorization) = proxy.and_then(Proxy::authorization) {
                headers.insert(PROXY_AUTHORIZATION, authorization.clone());
            }
            // A proxy is told the whole URL (RFC 9112, 3.2.2).
            *message.uri_mut() = match proxy {
                Some(_) => request.url.clone(),
                None => request.url.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from),
            };
        }
        message
    }
}

/// An answer whose body is still coming. Dropped before its end, it takes its connection along.
pub struct Streaming {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    lease: Option<Lease>,
    address: String,
}

impl Streaming {
    /// The next piece, as it came; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        loop {
            match next_frame(&mut self.body, None).await.map_err(|error| unread(error, &self.address))? {
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.finish();
                    }
                    return Ok(None);
                }
            }
        }
    }
}

/// Whether the connection ended before there was an answer, in either of the ways that connections end.
fn is_broken_off(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_incomplete_message()
        || io.is_some_and(|io| matches!(io.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected))
}

/// HTTP/2 has the host in `:authority`.
fn with_authority(url: &Uri, authority: Option<Authority>) -> Uri {
    let mut parts = url.clone().into_parts();
    if authority.is_some() {
        parts.authority = authority;
    }
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
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
        read_capped_into(body, most, None, &request.buffers).await.map(|whole| (whole, true))
    };
    let (whole, complete) = read.map_err(|error| unread(error, &origin.address()))?;
    if complete {
        lease.finish();
    }
    Ok(Response { status: head.status, headers: head.headers, body: whole.bytes, trailers: whole.trailers })
}

fn unread(error: ReadError, address: &str) -> SendError {
    let address = address.to_owned();
    match error {
        ReadError::TooLarge { most } => SendError::TooLarge { address, most },
        ReadError::Broken(source) => SendError::Reset { address, source },
        ReadError::Stalled(after) => SendError::Timeout { address, after },
    }
}
