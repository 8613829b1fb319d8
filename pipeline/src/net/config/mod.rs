//! The collector's shared config blocks for servers and clients, for embedding in components
//! (`otelcol` confighttp, configgrpc, configtls). Names and defaults are the collector's.
//!
//! A key whose effect we do not have is either harmless (buffer sizes) or refused by `check`; nothing is ignored that
//! would change who may connect or where data go.

use serde::Deserialize;

use crate::component::{Context, Error};
use crate::config::{ExtensionId, Opaque, Problem};
use crate::net::auth::Signer;
use crate::net::http::Admission;

mod grpc;
mod headers;
mod http_client;
mod http_server;
mod tls;

pub use grpc::{
    GrpcClientConfig, GrpcServerConfig, KeepaliveClientConfig, KeepaliveEnforcementPolicy, KeepaliveServerConfig,
    KeepaliveServerParameters,
};
pub use headers::{check_headers, header_map};
pub use http_client::{Compression, CompressionParams, Cookies, HttpClientConfig, HttpKeepalive};
pub use http_server::{CorsConfig, HttpServerConfig};
pub use tls::{TlsClientConfig, TlsCommon, TlsServerConfig, TpmConfig};

/// `auth:` of a server or client: names an extension that authenticates.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    /// The extension's id; nobody is asked, and nothing shown, if absent.
    pub authenticator: Option<ExtensionId>,
    /// Query parameters that an HTTP server hands to the extension as if they were headers.
    pub request_params: Vec<String>,
}

impl AuthConfig {
    /// What a server asks of requests.
    ///
    /// # Errors
    /// The extension is not started, or does something else.
    pub fn admission(&self, context: &Context) -> Result<Admission, Error> {
        let Some(id) = &self.authenticator else { return Ok(Admission::default()) };
        Ok(Admission::default().with_auth(context.extensions.server_auth(id)?, &self.request_params))
    }

    /// Who signs a client's requests.
    ///
    /// # Errors
    /// The extension is not started, or does something else.
    pub fn signer(&self, context: &Context) -> Result<Option<Signer>, Error> {
        let Some(id) = &self.authenticator else { return Ok(None) };
        Ok(Some(Signer(context.extensions.client_auth(id)?)))
    }
}

/// One entry of `middlewares:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Middleware {
    /// The extension's id.
    pub id: String,
}

/// Middlewares are extensions, and there are none that could be one.
pub(crate) fn check_middlewares(middlewares: &[Middleware], path: &str) -> Vec<Problem> {
    middlewares
        .iter()
        .enumerate()
        .map(|(i, m)| Problem::at(format!("{path}.{i}"), format!("there is no extension {:?} to put in between", m.id)))
        .collect()
}

/// What is wrong with the address a server is to listen on; empty is the component's default.
pub(crate) fn check_address(endpoint: &str, transport: &str, path: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if transport != "tcp" {
        problems.push(Problem::at(
            join(path, "transport"),
            format!("{transport:?} is not supported, the transport is tcp"),
        ));
    }
    let port = endpoint.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if let Some((_, address)) = endpoint.split_once("://") {
        let message = format!("a server listens at host:port, not at a URL; write {address}");
        problems.push(Problem::at(join(path, "endpoint"), message));
    } else if !endpoint.is_empty() && !matches!(port, Some(Ok(_))) {
        let message = format!("{endpoint:?} needs a host and a port, such as localhost:4317 or 0.0.0.0:4317");
        problems.push(Problem::at(join(path, "endpoint"), message));
    }
    problems
}

/// `path.key`, or the one that is not empty.
pub(crate) fn join(path: &str, key: &str) -> String {
    let dot = if path.is_empty() || key.is_empty() { "" } else { "." };
    format!("{path}{dot}{key}")
}

/// Whether a secret is given.
pub(crate) fn given(secret: &Opaque) -> bool {
    !secret.0.is_empty()
}

#[cfg(test)]
mod tests;
