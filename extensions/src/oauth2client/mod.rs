//! Shows a token that somebody else gives, by client credentials (RFC 6749, 4.4). Tokens are kept until they expire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use pipeline::config::{GoDuration, Opaque, Problem, Settings, Text};
use pipeline::net::auth::ClientAuth;
use pipeline::net::config::TlsClientConfig;
use pipeline::net::http::{Client, ClientOptions};
use pipeline::net::oauth2::{Grant, Tokens};
use pipeline::net::origin::parse_url;
use pipeline::net::secret::Secret;
use pipeline::telemetry::Reporter;
use pipeline::{BoxFuture, Context, Error, Extension, ExtensionFactory, Metadata};
use serde::Deserialize;

/// `oauth2client`.
pub struct Factory;

/// The collector's config.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Who we are.
    pub client_id: Text,
    /// A file with that, which comes first.
    pub client_id_file: String,
    /// How we prove it.
    pub client_secret: Opaque,
    /// A file with that, which comes first.
    pub client_secret_file: String,
    /// Further parameters of the request for a token.
    pub endpoint_params: BTreeMap<String, Vec<Opaque>>,
    /// Who gives tokens.
    pub token_url: String,
    /// What the token is for.
    pub scopes: Vec<String>,
    /// TLS to who gives tokens.
    pub tls: TlsClientConfig,
    /// How long the answer with a token may take; 0 is no limit.
    pub timeout: GoDuration,
    /// A token is not used any more so long before it expires.
    pub expiry_buffer: GoDuration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            client_id: Text::default(),
            client_id_file: String::new(),
            client_secret: Opaque::default(),
            client_secret_file: String::new(),
            endpoint_params: BTreeMap::new(),
            token_url: String::new(),
            scopes: Vec::new(),
            tls: TlsClientConfig::default(),
            timeout: GoDuration::default(),
            expiry_buffer: GoDuration::from_secs(300),
        }
    }
}

impl Config {
    fn id(&self) -> Secret {
        Secret::of(&self.client_id, &self.client_id_file)
    }

    fn secret(&self) -> Secret {
        Secret::of(self.client_secret.reveal(), &self.client_secret_file)
    }

    fn grant(&self) -> Result<Grant, String> {
        let values = |(name, all): (&String, &Vec<Opaque>)| -> Vec<(String, Opaque)> {
            all.iter().map(|value| (name.clone(), value.clone())).collect()
        };
        let timeout = self.timeout.get();
        Ok(Grant {
            url: parse_url(&self.token_url)?,
            client_id: self.id(),
            client_secret: self.secret(),
            scopes: self.scopes.clone(),
            parameters: self.endpoint_params.iter().flat_map(values).collect(),
            early: self.expiry_buffer.get(),
            timeout: (timeout > Duration::ZERO).then_some(timeout),
        })
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = self.tls.check("tls");
        if !self.id().is_given() {
            problems.push(Problem::at("client_id", "needs a client_id or a client_id_file"));
        }
        if !self.secret().is_given() {
            problems.push(Problem::at("client_secret", "needs a client_secret or a client_secret_file"));
        }
        if let Err(message) = parse_url(&self.token_url) {
            problems.push(Problem::at("token_url", message));
        }
        problems
    }
}

impl ExtensionFactory for Factory {
    const TYPES: &'static [&'static str] = &["oauth2client"];
    const ABOUT: &'static str = "Shows a token that it gets by client credentials (OAuth 2.0).";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Arc<dyn Extension>, Error> {
        let client = Client::new(ClientOptions { tls: config.tls.clone(), ..ClientOptions::default() }, &context)?;
        let tokens = Tokens::new(config.grant()?, Box::new(client.clone()), context.doors.files.clone());
        Ok(Arc::new(OAuth2 { shown: Arc::new(Shown { tokens, reporter: context.reporter }), client }))
    }
}

struct OAuth2 {
    shown: Arc<Shown>,
    client: Client,
}

struct Shown {
    tokens: Tokens,
    reporter: Reporter,
}

impl Extension for OAuth2 {
    fn client_auth(self: Arc<Self>) -> Option<Arc<dyn ClientAuth>> {
        Some(self.shown.clone())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // A connection that is kept for the next token would keep the process.
        self.client.close();
        Box::pin(async {})
    }
}

impl ClientAuth for Shown {
    fn sign<'a>(&'a self, headers: &'a mut HeaderMap, _: Option<&'a Metadata>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            match self.tokens.header().await {
                Ok(value) => {
                    self.reporter.ok();
                    headers.insert(AUTHORIZATION, value);
                    Ok(())
                }
                Err(error) => {
                    self.reporter.recoverable(&error);
                    Err(error)
                }
            }
        })
    }

    fn refused(&self) -> bool {
        self.tokens.forget()
    }
}

#[cfg(test)]
mod tests;
