//! gRPC clients and servers (`otelcol` configgrpc).

use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, USER_AGENT};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};
use serde::Deserialize;

use super::{
    AuthConfig, Compression, Middleware, TlsClientConfig, TlsServerConfig, check_address, check_headers,
    check_middlewares, header_map, join,
};
use crate::component::{Context, Error};
use crate::config::{Block, GoDuration, Headers, Problem};
use crate::doors::Files;
use crate::net::http::{Admission, Client, ClientOptions, Protocol, ServerOptions};
use crate::net::tls;

/// A gRPC server.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct GrpcServerConfig {
    /// `host:port`; empty is the component's default.
    pub endpoint: String,
    /// `tcp`.
    pub transport: String,
    /// TLS; off if absent.
    pub tls: Block<TlsServerConfig>,
    /// The most MiB of a message, before and after decompression; 0 is 4.
    pub max_recv_msg_size_mib: u32,
    /// The most calls at a time on a connection; 0 is 128.
    pub max_concurrent_streams: u32,
    /// Accepted and without effect: buffers are sized by what flows.
    pub read_buffer_size: i64,
    /// Accepted and without effect.
    pub write_buffer_size: i64,
    /// When connections are pinged and closed.
    pub keepalive: Block<KeepaliveServerConfig>,
    /// Who authenticates.
    pub auth: AuthConfig,
    /// Keep the call's metadata with what it brings.
    pub include_metadata: bool,
    /// Extensions in between; refused by `check`.
    pub middlewares: Vec<Middleware>,
}

impl Default for GrpcServerConfig {
    fn default() -> GrpcServerConfig {
        GrpcServerConfig {
            endpoint: String::new(),
            transport: "tcp".to_owned(),
            tls: Block::off(),
            max_recv_msg_size_mib: 0,
            max_concurrent_streams: 0,
            read_buffer_size: 0,
            write_buffer_size: 0,
            keepalive: Block::off(),
            auth: AuthConfig::default(),
            include_metadata: false,
            middlewares: Vec::new(),
        }
    }
}

/// `keepalive:` of a server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeepaliveServerConfig {
    /// Pings and ages.
    pub server_parameters: Block<KeepaliveServerParameters>,
    /// What clients may do; accepted and without effect, a client that pings often is not punished.
    pub enforcement_policy: Block<KeepaliveEnforcementPolicy>,
}

/// `keepalive.server_parameters:`; 0 is gRPC's default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeepaliveServerParameters {
    /// Close a connection without calls after this; 0 is 10 minutes.
    pub max_connection_idle: GoDuration,
    /// Ask a connection to go after this; 0 is never.
    pub max_connection_age: GoDuration,
    /// Cut it so long after that; 0 is never.
    pub max_connection_age_grace: GoDuration,
    /// Ping after so long without a sign of the client; 0 is 2 hours.
    pub time: GoDuration,
    /// Cut the connection when the ping is not answered within this; 0 is 20 s.
    pub timeout: GoDuration,
}

/// `keepalive.enforcement_policy:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeepaliveEnforcementPolicy {
    /// The least time between a client's pings.
    pub min_time: GoDuration,
    /// Whether it may ping without calls.
    pub permit_without_stream: bool,
}

const MIB: usize = 1024 * 1024;

impl GrpcServerConfig {
    /// Everything wrong with it; `path` is where it stands.
    pub fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = check_address(&self.endpoint, &self.transport, path);
        if let Some(tls) = self.tls.as_ref() {
            problems.extend(tls.check(&join(path, "tls")));
        }
        problems.extend(check_middlewares(&self.middlewares, &join(path, "middlewares")));
        problems
    }

    /// Where to listen.
    pub fn endpoint_or<'a>(&'a self, default: &'a str) -> &'a str {
        if self.endpoint.is_empty() { default } else { &self.endpoint }
    }

    /// The most bytes of a message, before and after decompression.
    pub fn most_message_bytes(&self) -> usize {
        match self.max_recv_msg_size_mib {
            0 => 4 * MIB,
            mib => (mib as usize).saturating_mul(MIB),
        }
    }

    /// How the server treats connections. Reads certificates.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn options(&self, files: &Arc<dyn Files>) -> Result<ServerOptions, Error> {
        let mut options = ServerOptions {
            tls: self.tls.as_ref().map(|config| tls::server(config, files)).transpose()?,
            ..ServerOptions::default()
        };
        if self.max_concurrent_streams > 0 {
            options.most_streams = self.max_concurrent_streams;
        }
        if let Some(given) = self.keepalive.as_ref().and_then(|k| k.server_parameters.as_ref()) {
            options.idle_timeout = given_time(given.max_connection_idle).or(options.idle_timeout);
            options.most_age = given_time(given.max_connection_age);
            options.age_grace = given_time(given.max_connection_age_grace);
            options.ping_after = given_time(given.time).or(options.ping_after);
            options.ping_timeout = given_time(given.timeout).unwrap_or(options.ping_timeout);
        }
        Ok(options)
    }
}

impl GrpcServerConfig {
    /// What is asked of calls.
    ///
    /// # Errors
    /// The authenticator is not there.
    pub fn admission(&self, context: &Context) -> Result<Admission, Error> {
        self.auth.admission(context)
    }
}

fn given_time(time: GoDuration) -> Option<Duration> {
    (!time.get().is_zero()).then_some(time.get())
}

/// A gRPC client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcClientConfig {
    /// `host:port`, with `http://` (no TLS), `https://` (TLS) or `dns:///` before it.
    pub endpoint: String,
    /// How messages are compressed; the component's own default if absent.
    pub compression: Option<Compression>,
    /// TLS, which is on unless `insecure` or the endpoint says otherwise.
    pub tls: TlsClientConfig,
    /// Pings; none if absent.
    pub keepalive: Block<KeepaliveClientConfig>,
    /// Accepted and without effect: buffers are sized by what flows.
    pub read_buffer_size: i64,
    /// Accepted and without effect.
    pub write_buffer_size: i64,
    /// Accepted and without effect: delivery waits and retries.
    pub wait_for_ready: bool,
    /// Metadata of every call.
    pub headers: Headers,
    /// Accepted and without effect: connections are opened as they are needed, to the first address that answers.
    pub balancer_name: String,
    /// The host to ask for, instead of the endpoint's.
    pub authority: String,
    /// What to call ourselves.
    pub user_agent: String,
    /// Who authenticates.
    pub auth: AuthConfig,
    /// Extensions in between; refused by `check`.
    pub middlewares: Vec<Middleware>,
}

/// `keepalive:` of a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct KeepaliveClientConfig {
    /// Ping after so long without a sign of the server.
    pub time: GoDuration,
    /// Give the connection up when the ping is not answered within this.
    pub timeout: GoDuration,
    /// Ping without calls too.
    pub permit_without_stream: bool,
}

impl Default for KeepaliveClientConfig {
    fn default() -> KeepaliveClientConfig {
        KeepaliveClientConfig {
            time: GoDuration::from_secs(10),
            timeout: GoDuration::from_secs(10),
            permit_without_stream: false,
        }
    }
}

impl GrpcClientConfig {
    /// Everything wrong with it; `path` is where it stands, empty for the component's body.
    pub fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(message) = self.target() {
            problems.push(Problem::at(join(path, "endpoint"), message));
        }
        if !self.authority.is_empty() && self.authority.parse::<Authority>().is_err() {
            problems.push(Problem::at(join(path, "authority"), format!("{:?} is no host", self.authority)));
        }
        if HeaderValue::try_from(&self.user_agent).is_err() {
            problems.push(Problem::at(join(path, "user_agent"), "it has characters that a header cannot have"));
        }
        if !matches!(
            self.compression,
            None | Some(Compression::None | Compression::Gzip | Compression::Zstd | Compression::Snappy)
        ) {
            problems.push(Problem::at(join(path, "compression"), "gRPC has gzip, zstd, snappy and none"));
        }
        problems.extend(self.tls.check(&join(path, "tls")));
        problems.extend(check_headers(&self.headers, &join(path, "headers")));
        problems.extend(check_middlewares(&self.middlewares, &join(path, "middlewares")));
        problems
    }

    /// Where to call: `http://host:port` without TLS, `https://host:port` with it.
    ///
    /// # Errors
    /// What is wrong with the endpoint.
    pub fn target(&self) -> Result<Uri, String> {
        let endpoint = self.endpoint.as_str();
        if endpoint.is_empty() {
            return Err("an endpoint is needed, such as localhost:4317".to_owned());
        }
        if endpoint.starts_with("unix:") {
            return Err("unix sockets are not supported, use host:port".to_owned());
        }
        let (tls, address) = if let Some(address) = endpoint.strip_prefix("https://") {
            (true, address)
        } else if let Some(address) = endpoint.strip_prefix("http://") {
            (false, address)
        } else if let Some(name) = endpoint.strip_prefix("dns://") {
            // dns://resolver/name; the resolver is the system's.
            (!self.tls.insecure, name.split_once('/').map_or(name, |(_, name)| name))
        } else {
            (!self.tls.insecure, endpoint.strip_prefix("passthrough:///").unwrap_or(endpoint))
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        let authority: Authority = address.parse().map_err(|_| format!("{endpoint:?} is not host:port"))?;
        if authority.port_u16().is_none() || authority.host().is_empty() {
            return Err(format!("{endpoint:?} needs a host and a port, such as localhost:4317"));
        }
        Uri::builder()
            .scheme(if tls { "https" } else { "http" })
            .authority(authority)
            .path_and_query("/")
            .build()
            .map_err(|error| format!("{endpoint:?} is not host:port: {error}"))
    }

    /// The client.
    ///
    /// # Errors
    /// Certificates that cannot be read, an authenticator that is not there.
    pub fn client(&self, context: &Context) -> Result<Client, Error> {
        Client::new(ClientOptions { auth: self.auth.signer(context)?, ..self.options() }, context)
    }

    /// How the client keeps its connections.
    pub fn options(&self) -> ClientOptions {
        let mut headers: HeaderMap = header_map(&self.headers);
        if let (false, Ok(authority)) = (self.authority.is_empty(), HeaderValue::try_from(&self.authority)) {
            headers.insert(HOST, authority);
        }
        if let (false, Ok(agent)) = (self.user_agent.is_empty(), HeaderValue::try_from(&self.user_agent)) {
            headers.insert(USER_AGENT, agent);
        }
        let mut options =
            ClientOptions { tls: self.tls.clone(), headers, protocol: Protocol::Http2, ..ClientOptions::default() };
        if let Some(keepalive) = self.keepalive.as_ref() {
            options.ping_after = given_time(keepalive.time);
            options.ping_timeout = given_time(keepalive.timeout).unwrap_or(options.ping_timeout);
            options.ping_while_idle = keepalive.permit_without_stream;
        }
        options
    }
}
