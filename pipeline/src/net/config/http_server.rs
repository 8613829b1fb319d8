//! An HTTP server (`otelcol` confighttp).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;

use super::{AuthConfig, Middleware, TlsServerConfig, check_address, check_headers, check_middlewares, join};
use crate::component::{Context, Error};
use crate::config::{Block, GoDuration, Headers, Problem};
use crate::doors::Files;
use crate::net::compress::Coding;
use crate::net::http::{Admission, ServerOptions};
use crate::net::tls;

/// An HTTP server. Where a default depends on the component, it is an `Option` or empty here.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct HttpServerConfig {
    /// `host:port`; empty is the component's default.
    pub endpoint: String,
    /// `tcp`.
    pub transport: String,
    /// TLS; off if absent.
    pub tls: Block<TlsServerConfig>,
    /// Web pages of which origins may send; none if absent.
    pub cors: Block<CorsConfig>,
    /// Who authenticates.
    pub auth: AuthConfig,
    /// The most bytes of a body, before and after decompression; 0 is 20 MiB.
    pub max_request_body_size: u64,
    /// Keep the request's headers with what it brings.
    pub include_metadata: bool,
    /// Headers of every answer.
    pub response_headers: Headers,
    /// The content codings that are taken, `""` for none; all we have if absent.
    pub compression_algorithms: Option<Vec<String>>,
    /// How long a body may pause while it is read; 0 is 30 s.
    pub read_timeout: GoDuration,
    /// How long the head of a request may take; 0 is 30 s.
    pub read_header_timeout: GoDuration,
    /// How long a client may take no bytes of an answer; 0 is 30 s.
    pub write_timeout: GoDuration,
    /// How long a connection may do nothing between requests; 0 is 10 minutes.
    pub idle_timeout: GoDuration,
    /// Take several requests on a connection.
    pub keep_alives_enabled: bool,
    /// Extensions in between; refused by `check`.
    pub middlewares: Vec<Middleware>,
}

/// `cors:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CorsConfig {
    /// Origins that may send, with one `*` for any letters; `*` alone is all.
    pub allowed_origins: Vec<String>,
    /// Headers they may send beside those that every page may; `*` is all.
    pub allowed_headers: Vec<String>,
    /// Headers they may read.
    pub exposed_headers: Vec<String>,
    /// How many seconds a browser may remember that; 0 is its own choice.
    pub max_age: i64,
}

impl CorsConfig {
    fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (i, origin) in self.allowed_origins.iter().enumerate() {
            if origin.matches('*').count() > 1 {
                let message = format!("{origin:?} has more than one *, which stands for any letters");
                problems.push(Problem::at(join(path, &format!("allowed_origins.{i}")), message));
            } else if origin != "*" && !origin.contains("://") {
                let message = format!("{origin:?} is no origin, which has a scheme: https://{origin}");
                problems.push(Problem::at(join(path, &format!("allowed_origins.{i}")), message));
            }
        }
        for (key, names) in [("allowed_headers", &self.allowed_headers), ("exposed_headers", &self.exposed_headers)] {
            for (i, name) in names.iter().enumerate().filter(|(_, name)| HeaderName::try_from(*name).is_err()) {
                problems
                    .push(Problem::at(join(path, &format!("{key}.{i}")), format!("{name:?} cannot be a header name")));
            }
        }
        problems
    }
}

impl Default for HttpServerConfig {
    fn default() -> HttpServerConfig {
        HttpServerConfig {
            endpoint: String::new(),
            transport: "tcp".to_owned(),
            tls: Block::off(),
            cors: Block::off(),
            auth: AuthConfig::default(),
            max_request_body_size: 0,
            include_metadata: false,
            response_headers: Headers::default(),
            compression_algorithms: None,
            read_timeout: GoDuration::default(),
            read_header_timeout: GoDuration::default(),
            write_timeout: GoDuration::default(),
            idle_timeout: GoDuration::default(),
            keep_alives_enabled: true,
            middlewares: Vec::new(),
        }
    }
}

/// `max_request_body_size` where the config says nothing.
const DEFAULT_BODY_BYTES: usize = 20 * 1024 * 1024;
/// How long a body may pause where the config says nothing.
const DEFAULT_READ_PAUSE: Duration = Duration::from_secs(30);

/// The collector's codings that we do not have; its default list names them, so they are no error.
const MISSING_CODINGS: &[&str] = &["lz4"];

impl HttpServerConfig {
    /// Everything wrong with it; `path` is where it stands.
    pub fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = check_address(&self.endpoint, &self.transport, path);
        if let Some(tls) = self.tls.as_ref() {
            problems.extend(tls.check(&join(path, "tls")));
        }
        if let Some(cors) = self.cors.as_ref() {
            problems.extend(cors.check(&join(path, "cors")));
        }
        problems.extend(check_headers(&self.response_headers, &join(path, "response_headers")));
        problems.extend(check_middlewares(&self.middlewares, &join(path, "middlewares")));
        for (i, name) in self.compression_algorithms.iter().flatten().enumerate() {
            if !MISSING_CODINGS.contains(&name.as_str())
                && let Err(error) = Coding::from_name(name)
            {
                problems.push(Problem::at(join(path, &format!("compression_algorithms.{i}")), error.to_string()));
            }
        }
        problems
    }

    /// What is asked of requests before they are looked at.
    ///
    /// # Errors
    /// The authenticator is not there.
    pub fn admission(&self, context: &Context) -> Result<Admission, Error> {
        let admission = self.auth.admission(context)?;
        Ok(match self.cors.as_ref() {
            Some(cors) => admission.with_cors(cors),
            None => admission,
        })
    }

    /// Where to listen.
    pub fn endpoint_or<'a>(&'a self, default: &'a str) -> &'a str {
        if self.endpoint.is_empty() { default } else { &self.endpoint }
    }

    /// The most bytes of a body, before and after decompression.
    pub fn most_body_bytes(&self) -> usize {
        match usize::try_from(self.max_request_body_size) {
            Ok(0) => DEFAULT_BODY_BYTES,
            size => size.unwrap_or(usize::MAX),
        }
    }

    /// How long a body may pause.
    pub fn read_pause(&self) -> Duration {
        or(self.read_timeout, DEFAULT_READ_PAUSE)
    }

    /// Whether a body in that coding is taken.
    pub fn takes(&self, coding: Option<Coding>) -> bool {
        let Some(allowed) = &self.compression_algorithms else { return true };
        allowed.iter().any(|name| Coding::from_name(name) == Ok(coding))
    }

    /// How the server treats connections. Reads certificates.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn options(&self, files: &Arc<dyn Files>) -> Result<ServerOptions, Error> {
        let defaults = ServerOptions::default();
        let limit = |time: GoDuration, default: Option<Duration>| default.map(|default| or(time, default));
        Ok(ServerOptions {
            tls: self.tls.as_ref().map(|config| tls::server(config, files)).transpose()?,
            head_timeout: limit(self.read_header_timeout, defaults.head_timeout),
            idle_timeout: limit(self.idle_timeout, defaults.idle_timeout),
            write_patience: limit(self.write_timeout, defaults.write_patience),
            keep_alive: self.keep_alives_enabled,
            ..defaults
        })
    }
}

/// A time, or `default` for 0.
fn or(time: GoDuration, default: Duration) -> Duration {
    if time.get().is_zero() { default } else { time.get() }
}
