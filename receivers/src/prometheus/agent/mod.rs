//! Asks somebody over HTTP as an HTTP client config of Prometheus says: credentials, further headers, TLS, proxies,
//! redirects. Secrets and certificates in files are read anew, so that they can be rotated.

mod certificates;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use pipeline::component::{Context, Error};
use pipeline::doors::Files;
#[cfg(feature = "kubernetes")]
use pipeline::net::http::Streaming;
use pipeline::net::http::{Client, ClientOptions, Request, Response, SendError};
use pipeline::net::oauth2::Tokens;
use pipeline::net::origin::Origin;
use pipeline::net::secret;
use tokio::time::timeout;

use self::certificates::Rotating;
use super::config::{Credentials, HttpConfig, ProxyConfig, TlsConfig};

/// Redirects that are followed, as Go's client does.
const MOST_REDIRECTS: usize = 10;
/// How long a connection is kept for the next request; longer than any sane scrape interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// An HTTP/2 connection on which nothing came for so long is pinged while somebody waits: it may have died unnoticed.
const PING_AFTER: Duration = Duration::from_secs(30);
/// Connections that are kept, for jobs of many targets.
const MOST_IDLE: usize = 20_000;
const MOST_IDLE_PER_HOST: usize = 1_000;

const OWN_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Slipring/", env!("CARGO_PKG_VERSION")));

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The request could not be made: a file of secrets, a token that nobody gives.
    #[error("{0}")]
    Credentials(String),
    /// It was made and failed.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Asks as one config says. Connections are kept.
pub struct Agent {
    client: Rotating,
    files: Arc<dyn Files>,
    headers: HeaderMap,
    header_files: Vec<(HeaderName, String)>,
    credentials: Credentials,
    tokens: Option<Tokens>,
    redirects: usize,
}

impl Agent {
    /// An agent that has asked nobody yet.
    ///
    /// # Errors
    /// What is wrong with certificates, or with variables that name proxies.
    pub fn new(config: &HttpConfig, context: &Context) -> Result<Agent, Error> {
        let mut headers = config.headers();
        headers.insert(USER_AGENT, OWN_USER_AGENT);
        let credentials = config.credentials();
        let tokens = match &credentials {
            Credentials::OAuth2(oauth2) => {
                let client = client(&oauth2.tls_config, &oauth2.proxy, true, context)?;
                Some(Tokens::new(oauth2.grant()?, Box::new(client), context.doors.files.clone()))
            }
            _ => None,
        };
        Ok(Agent {
            client: client(&config.tls_config, &config.proxy, config.enable_http2, context)?,
            files: context.doors.files.clone(),
            headers,
            header_files: config.header_files(),
            credentials,
            tokens,
            redirects: if config.follow_redirects { MOST_REDIRECTS } else { 0 },
        })
    }

    /// A `GET` with these headers and time limit, which credentials count against, too.
    ///
    /// # Errors
    /// There is no (whole) answer.
    pub async fn send(&self, request: Request) -> Result<Response, NoAnswer> {
        within(&request.url.clone(), request.timeout, async {
            let (client, request) = self.prepared(request).await?;
            Ok(client.send(request).await?)
        })
        .await
    }

    /// The same, answered as soon as the head is there.
    ///
    /// # Errors
    /// There is no answer.
    #[cfg(feature = "kubernetes")]
    pub async fn open(&self, request: Request) -> Result<Streaming, NoAnswer> {
        within(&request.url.clone(), request.timeout, async {
            let (client, request) = self.prepared(request).await?;
            Ok(client.open(request).await?)
        })
        .await
    }

    /// Lets the next request ask for a token that is not the one of the last: somebody did not take it.
    pub fn forget_token(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.forget();
        }
    }

    async fn prepared(&self, mut request: Request) -> Result<(Client, Request), NoAnswer> {
        request.redirects = self.redirects;
        for (name, value) in &self.headers {
            if !request.headers.contains_key(name) || name != USER_AGENT {
                request.headers.append(name.clone(), value.clone());
            }
        }
        self.add_secrets(&mut request.headers).await.map_err(NoAnswer::Credentials)?;
        Ok((self.client.client().await, request))
    }

    async fn add_secrets(&self, headers: &mut HeaderMap) -> Result<(), String> {
        for (name, file) in &self.header_files {
            headers.append(name, sensitive(&secret::read(file, &self.files).await?)?);
        }
        let value = match (&self.credentials, &self.tokens) {
            (Credentials::Absent, _) | (Credentials::OAuth2(_), None) => return Ok(()),
            (Credentials::Basic(user, password), _) => {
                let pair = format!("{}:{}", user.read(&self.files).await?, password.read(&self.files).await?);
                sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair)))?
            }
            (Credentials::Token(word, token), _) => sensitive(&format!("{word} {}", token.read(&self.files).await?))?,
            (Credentials::OAuth2(_), Some(tokens)) => tokens.header().await?,
        };
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

async fn within<T>(
    url: &Uri,
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    let Some(after) = limit else { return work.await };
    let address = Origin::of(url).map(|origin| origin.address()).map_err(SendError::Request)?;
    timeout(after, work).await.unwrap_or(Err(SendError::Timeout { address, after }.into()))
}

/// A client whose certificates may change.
fn client(tls: &TlsConfig, proxy: &ProxyConfig, offer_http2: bool, context: &Context) -> Result<Rotating, Error> {
    let options = ClientOptions {
        tls: tls.client(),
        headers: HeaderMap::from_iter([(USER_AGENT, OWN_USER_AGENT)]),
        offer_http2,
        proxies: proxy.proxies()?,
        idle_timeout: Some(IDLE_TIMEOUT),
        ping_after: Some(PING_AFTER),
        most_idle: MOST_IDLE,
        most_idle_per_host: MOST_IDLE_PER_HOST,
        ..ClientOptions::default()
    };
    Rotating::new(options, tls.files(), context)
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(text).map_err(|_| "a secret has characters that a header cannot have")?;
    value.set_sensitive(true);
    Ok(value)
}
