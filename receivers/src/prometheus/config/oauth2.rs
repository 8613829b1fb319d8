//! `oauth2` of an HTTP client config: tokens by client credentials (RFC 6749, 4.4).

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::config::{Opaque, Problem, Text};
use pipeline::net::oauth2::Grant;
use pipeline::net::origin::parse_url;
use pipeline::net::secret::Secret;
use serde::Deserialize;

use super::proxy::ProxyConfig;
use super::tls::TlsConfig;

/// A token is not used any more so long before it expires.
const EARLY: Duration = Duration::from_secs(10);
/// How long the answer with a token may take where the request for which it is has no limit.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where tokens come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct OAuth2 {
    /// Who we are.
    pub client_id: Text,
    /// How we prove it.
    pub client_secret: Opaque,
    /// A file with that.
    pub client_secret_file: String,
    /// What the token is for.
    pub scopes: Vec<Text>,
    /// Who gives tokens.
    pub token_url: String,
    /// Further parameters of the request for a token.
    pub endpoint_params: BTreeMap<String, Opaque>,
    /// TLS to who gives tokens.
    pub tls_config: TlsConfig,
    /// What stands between us and them.
    #[serde(rename = "~proxy")]
    pub proxy: ProxyConfig,
}

impl OAuth2 {
    /// Everything wrong with it.
    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if self.client_id.is_empty() {
            problems.push(Problem::at(path, "oauth2 needs a client_id"));
        }
        if self.token_url.is_empty() {
            problems.push(Problem::at(path, "oauth2 needs a token_url"));
        } else if let Err(message) = parse_url(&self.token_url) {
            problems.push(Problem::at(format!("{path}.token_url"), message));
        }
        if !self.client_secret.0.is_empty() && !self.client_secret_file.is_empty() {
            let message = "give client_secret or client_secret_file, not both";
            problems.push(Problem::at(format!("{path}.client_secret_file"), message));
        }
        self.tls_config.check(&format!("{path}.tls_config"), problems);
        self.proxy.check(path, problems);
    }

    /// Who gives tokens, and for what.
    ///
    /// # Errors
    /// The URL is none.
    pub fn grant(&self) -> Result<Grant, String> {
        Ok(Grant {
            url: parse_url(&self.token_url)?,
            client_id: Secret::of(&self.client_id, ""),
            client_secret: Secret::of(&self.client_secret.0, &self.client_secret_file),
            scopes: self.scopes.iter().map(|scope| scope.0.clone()).collect(),
            parameters: self.endpoint_params.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            early: EARLY,
            timeout: Some(TIMEOUT),
        })
    }
}
