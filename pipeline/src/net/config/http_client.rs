//! An HTTP client (`otelcol` confighttp).

use std::time::Duration;

use serde::Deserialize;

use super::{AuthConfig, Middleware, TlsClientConfig, check_headers, check_middlewares, header_map, join};
use crate::component::{Context, Error};
use crate::config::{Block, GoDuration, Headers, Problem};
use crate::net::compress::{Coding, Level};
use crate::net::http::{Client, ClientOptions, Proxies};
use crate::net::origin::parse_url;

/// How a client compresses what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Compression {
    /// Not at all.
    #[default]
    #[serde(rename = "none", alias = "")]
    None,
    /// gzip.
    #[serde(rename = "gzip")]
    Gzip,
    /// Zstandard.
    #[serde(rename = "zstd")]
    Zstd,
    /// Snappy's block format.
    #[serde(rename = "snappy")]
    Snappy,
    /// Snappy's framing format.
    #[serde(rename = "x-snappy-framed")]
    SnappyFramed,
    /// zlib, under the name `deflate` as HTTP has it.
    #[serde(rename = "deflate")]
    Deflate,
    /// zlib, under the name `zlib`.
    #[serde(rename = "zlib")]
    Zlib,
    /// LZ4 frames; refused by `check`.
    #[serde(rename = "lz4")]
    Lz4,
}

impl Compression {
    /// The coding to apply; `None` for none.
    pub fn coding(self) -> Option<Coding> {
        match self {
            Compression::None | Compression::Lz4 => None,
            Compression::Gzip => Some(Coding::Gzip),
            Compression::Zstd => Some(Coding::Zstd),
            Compression::Snappy => Some(Coding::Snappy),
            Compression::SnappyFramed => Some(Coding::SnappyFramed),
            Compression::Deflate => Some(Coding::Deflate),
            Compression::Zlib => Some(Coding::Zlib),
        }
    }
}

/// `compression_params:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompressionParams {
    /// The codec's level; 0 or absent is our default, the fastest that compresses well (gzip 1, zstd 1).
    pub level: i32,
}

/// `keepalive:` of a client: how connections are kept (since 0.162; the same keys stand at the top before).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HttpKeepalive {
    /// Most connections kept open without a request, over all hosts; 0 is no limit.
    pub max_idle_conns: Option<usize>,
    /// The same for each host; 0 is no limit.
    pub max_idle_conns_per_host: Option<usize>,
    /// How long one is kept; 0 is for ever.
    pub idle_conn_timeout: Option<GoDuration>,
}

/// An HTTP client, without `timeout`, which delivery reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct HttpClientConfig {
    /// The URL to send to.
    pub endpoint: String,
    /// A proxy's URL, with user and password where it wants them.
    pub proxy_url: String,
    /// TLS for `https://`.
    pub tls: TlsClientConfig,
    /// Headers of every request.
    pub headers: Headers,
    /// Who authenticates.
    pub auth: AuthConfig,
    /// How bodies are compressed; the component's own default if absent.
    pub compression: Option<Compression>,
    /// Its level.
    pub compression_params: CompressionParams,
    /// Accepted and without effect: buffers are sized by what flows.
    pub read_buffer_size: i64,
    /// Accepted and without effect.
    pub write_buffer_size: i64,
    /// Most HTTP/1 requests at a time to a host; 0 is no limit.
    pub max_conns_per_host: usize,
    /// Most idle connections; 0 is no limit.
    pub max_idle_conns: Option<usize>,
    /// Most idle connections to a host; 0 is no limit.
    pub max_idle_conns_per_host: Option<usize>,
    /// How long an idle connection is kept; 0 is for ever.
    pub idle_conn_timeout: Option<GoDuration>,
    /// Close each connection after its answer.
    pub disable_keep_alives: bool,
    /// The same knobs in a block; `enabled: false` in it closes each connection after its answer.
    pub keepalive: Block<HttpKeepalive>,
    /// Ping an HTTP/2 connection on which nothing came for so long; 0 is never.
    pub http2_read_idle_timeout: GoDuration,
    /// Give the connection up if the ping is not answered within this; 0 is 15 s.
    pub http2_ping_timeout: GoDuration,
    /// Offer HTTP/2 over TLS.
    pub force_attempt_http2: bool,
    /// `cookies.enabled`; refused by `check`.
    pub cookies: Cookies,
    /// Extensions in between; refused by `check`.
    pub middlewares: Vec<Middleware>,
}

/// `cookies:` of a client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cookies {
    /// Keep the far side's cookies and send them back.
    pub enabled: bool,
}

impl Default for HttpClientConfig {
    fn default() -> HttpClientConfig {
        HttpClientConfig {
            endpoint: String::new(),
            proxy_url: String::new(),
            tls: TlsClientConfig::default(),
            headers: Headers::default(),
            auth: AuthConfig::default(),
            compression: None,
            compression_params: CompressionParams::default(),
            read_buffer_size: 0,
            write_buffer_size: 0,
            max_conns_per_host: 0,
            max_idle_conns: None,
            max_idle_conns_per_host: None,
            idle_conn_timeout: None,
            disable_keep_alives: false,
            keepalive: Block::on(HttpKeepalive::default()),
            http2_read_idle_timeout: GoDuration::default(),
            http2_ping_timeout: GoDuration::default(),
            force_attempt_http2: true,
            cookies: Cookies::default(),
            middlewares: Vec::new(),
        }
    }
}

impl HttpClientConfig {
    /// Everything wrong with it; `path` is where it stands, empty for the component's body. The endpoint may be absent
    /// here; a component that needs it says so itself.
    pub fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.endpoint.is_empty()
            && let Err(message) = parse_url(&self.endpoint)
        {
            problems.push(Problem::at(join(path, "endpoint"), message));
        }
        if let Err(message) = self.proxies() {
            problems.push(Problem::at(join(path, "proxy_url"), message));
        }
        if self.cookies.enabled {
            problems.push(Problem::at(join(path, "cookies.enabled"), "cookies are not supported, remove cookies"));
        }
        problems.extend(self.tls.check(&join(path, "tls")));
        problems.extend(check_headers(&self.headers, &join(path, "headers")));
        problems.extend(check_middlewares(&self.middlewares, &join(path, "middlewares")));
        if self.compression == Some(Compression::Lz4) {
            problems.push(Problem::at(
                join(path, "compression"),
                "lz4 is not available, there are gzip, zstd, snappy, x-snappy-framed, deflate, zlib and none",
            ));
        } else if let Some(coding) = self.compression.and_then(Compression::coding)
            && let Err(message) = Level::of(coding, self.compression_params.level)
        {
            problems.push(Problem::at(join(path, "compression_params.level"), message));
        }
        problems
    }

    fn proxies(&self) -> Result<Proxies, String> {
        if self.proxy_url.is_empty() { Ok(Proxies::default()) } else { Proxies::one(&self.proxy_url, "") }
    }

    /// The client.
    ///
    /// # Errors
    /// Certificates that cannot be read, an authenticator that is not there.
    pub fn client(&self, context: &Context) -> Result<Client, Error> {
        Client::new(ClientOptions { auth: self.auth.signer(context)?, ..self.options() }, context)
    }

    /// How the client connects and keeps its connections.
    pub fn options(&self) -> ClientOptions {
        let defaults = ClientOptions::default();
        let limit = |block: Option<usize>, top: Option<usize>, default: usize| match block.or(top) {
            Some(0) => usize::MAX,
            Some(most) => most,
            None => default,
        };
        let keepalive = self.keepalive.as_ref().cloned().unwrap_or_default();
        let idle = keepalive.idle_conn_timeout.or(self.idle_conn_timeout).map(GoDuration::get);
        let read_idle = self.http2_read_idle_timeout.get();
        let ping = self.http2_ping_timeout.get();
        ClientOptions {
            tls: self.tls.clone(),
            headers: header_map(&self.headers),
            proxies: self.proxies().unwrap_or_default(),
            keep_alive: !self.disable_keep_alives && self.keepalive.is_on(),
            most_requests_per_host: if self.max_conns_per_host == 0 { usize::MAX } else { self.max_conns_per_host },
            most_idle: limit(keepalive.max_idle_conns, self.max_idle_conns, defaults.most_idle),
            most_idle_per_host: limit(
                keepalive.max_idle_conns_per_host,
                self.max_idle_conns_per_host,
                defaults.most_idle_per_host,
            ),
            idle_timeout: match idle {
                Some(Duration::ZERO) => None,
                Some(time) => Some(time),
                None => defaults.idle_timeout,
            },
            ping_after: (!read_idle.is_zero()).then_some(read_idle),
            ping_timeout: if ping.is_zero() { defaults.ping_timeout } else { ping },
            offer_http2: self.force_attempt_http2,
            ..defaults
        }
    }
}
