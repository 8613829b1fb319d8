//! Tokens (RFC 6750): lets in who shows one of some, or shows one. Tokens in a file are read again when it changes.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use pipeline::config::{Block, GoDuration, Opaque, Problem, Settings};
use pipeline::net::auth::{ClientAuth, Denied, Identity, ServerAuth, set_secret};
use pipeline::net::secret::Watched;
use pipeline::telemetry::Reporter;
use pipeline::{BoxFuture, Context, Error, Extension, ExtensionFactory, Metadata};
use serde::Deserialize;

use crate::constant_time::is_one_of;

/// `bearertokenauth`.
pub struct Factory;

/// The collector's config.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The header that holds the token.
    pub header: String,
    /// The word before it; empty is none.
    pub scheme: String,
    /// The token.
    pub token: Opaque,
    /// Several: a server takes each of them, a client shows the first.
    pub tokens: Vec<Opaque>,
    /// A file with one token a line, instead of those.
    pub filename: String,
    /// Start although the file is not there yet.
    pub wait_for_token_file: bool,
    /// Accepted without effect: delivery repeats what is refused.
    pub retry_on_failure: Block<RetryOnFailure>,
}

/// `retry_on_failure`; nothing in it has an effect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "they are accepted, so that a collector's config loads")]
pub struct RetryOnFailure {
    pub max_retries: u64,
    pub interval: GoDuration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            header: "Authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            token: Opaque::default(),
            tokens: Vec::new(),
            filename: String::new(),
            wait_for_token_file: false,
            retry_on_failure: Block::off(),
        }
    }
}

impl Config {
    fn given(&self) -> Vec<String> {
        let all = self.tokens.iter().chain([&self.token]).map(|token| token.reveal().to_owned());
        all.filter(|token| !token.is_empty()).collect()
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if HeaderName::try_from(&self.header).is_err() {
            problems.push(Problem::at("header", format!("{:?} cannot be a header name", self.header)));
        }
        if self.given().is_empty() && self.filename.is_empty() {
            problems.push(Problem::at("", "needs a token, tokens or a filename"));
        }
        if !self.token.reveal().is_empty() && !self.tokens.is_empty() {
            problems.push(Problem::at("tokens", "give token or tokens, not both"));
        }
        let value = |token: &String| HeaderValue::try_from(format!("{} {token}", self.scheme)).is_err();
        if self.given().iter().any(value) {
            problems.push(Problem::at("", "the scheme or a token has characters that a header cannot have"));
        }
        problems
    }

    fn warnings(&self) -> Vec<Problem> {
        let both = !self.filename.is_empty() && !self.given().is_empty();
        both.then(|| Problem::at("filename", "it is used, and the tokens beside it are not")).into_iter().collect()
    }
}

impl ExtensionFactory for Factory {
    const TYPES: &'static [&'static str] = &["bearertokenauth"];
    const ABOUT: &'static str = "Lets in who shows a token, or shows one.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Arc<dyn Extension>, Error> {
        let header = HeaderName::try_from(&config.header)?;
        let tokens = if config.filename.is_empty() {
            Tokens::Given(Arc::new(config.given()))
        } else {
            Tokens::File(Watched::new(&config.filename, lines, &context))
        };
        let (scheme, waits) = (config.scheme, config.wait_for_token_file);
        let auth = BearerToken { header, scheme, tokens, waits, reporter: context.reporter };
        Ok(Arc::new(Shared(Arc::new(auth))))
    }
}

fn lines(text: &str) -> Result<Vec<String>, String> {
    let tokens: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if tokens.is_empty() { Err("there is no token in it".to_owned()) } else { Ok(tokens) }
}

enum Tokens {
    Given(Arc<Vec<String>>),
    File(Watched<Vec<String>>),
}

struct BearerToken {
    header: HeaderName,
    scheme: String,
    tokens: Tokens,
    waits: bool,
    reporter: Reporter,
}

/// The extension; what it gives out lives as long as somebody has it.
struct Shared(Arc<BearerToken>);

impl BearerToken {
    async fn tokens(&self) -> Result<Arc<Vec<String>>, String> {
        match &self.tokens {
            Tokens::Given(tokens) => Ok(tokens.clone()),
            Tokens::File(file) => file.get().await,
        }
    }

    fn value(&self, token: &str) -> String {
        if self.scheme.is_empty() { token.to_owned() } else { format!("{} {token}", self.scheme) }
    }
}

impl Extension for Shared {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let Tokens::File(file) = &self.0.tokens else { return Ok(()) };
            match file.open().await {
                Err(error) if self.0.waits => {
                    tracing::warn!("{error}; nobody is let in, and nothing sent, before it is there");
                    self.0.reporter.recoverable(&error);
                    Ok(())
                }
                opened => Ok(opened?),
            }
        })
    }

    fn server_auth(self: Arc<Self>) -> Option<Arc<dyn ServerAuth>> {
        Some(self.0.clone())
    }

    fn client_auth(self: Arc<Self>) -> Option<Arc<dyn ClientAuth>> {
        Some(self.0.clone())
    }
}

impl ServerAuth for BearerToken {
    fn check<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<Identity, Denied>> {
        Box::pin(async {
            const MISSING: Denied = Denied::Unknown("missing or empty authorization header");
            const WRONG: Denied = Denied::Unknown("scheme or token does not match");
            let shown = headers.get(&self.header).filter(|value| !value.is_empty()).ok_or(MISSING)?;
            let tokens = self.tokens().await.map_err(|_| WRONG)?;
            let expected = tokens.iter().map(|token| self.value(token));
            if is_one_of(shown.as_bytes(), expected) { Ok(Identity::new()) } else { Err(WRONG) }
        })
    }

    fn challenge(&self) -> HeaderValue {
        let scheme = if self.scheme.is_empty() { "Bearer" } else { &self.scheme };
        HeaderValue::try_from(format!("{scheme} realm=\"slipring\"")).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

impl ClientAuth for BearerToken {
    fn sign<'a>(&'a self, headers: &'a mut HeaderMap, _: Option<&'a Metadata>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            let tokens = self.tokens().await?;
            let token = tokens.first().ok_or("there is no token")?;
            set_secret(headers, self.header.clone(), &self.value(token))
        })
    }

    fn refused(&self) -> bool {
        match &self.tokens {
            Tokens::Given(_) => false,
            Tokens::File(file) => file.look_again(),
        }
    }
}

#[cfg(test)]
mod tests;
