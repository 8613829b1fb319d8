//! Tokens by client credentials (RFC 6749, 4.4), kept until they expire: for scrapes and for `oauth2client`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::http::{Client, Request, Response};
use super::secret::Secret;
use crate::component::BoxFuture;
use crate::config::Opaque;
use crate::doors::Files;

/// The longest answer with a token.
const MOST_ANSWER_BYTES: usize = 1 << 20;
/// What a form keeps as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// Who gives tokens, and for what.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who gives them.
    pub url: Uri,
    /// Who we are.
    pub client_id: Secret,
    /// How we prove it.
    pub client_secret: Secret,
    /// What the token is for.
    pub scopes: Vec<String>,
    /// Further parameters of the request for a token.
    pub parameters: Vec<(String, Opaque)>,
    /// A token is not used any more so long before it expires; at most half of its life.
    pub early: Duration,
    /// How long the answer with a token may take.
    pub timeout: Option<Duration>,
}

/// The client that asks for tokens: one, or one that is made anew now and then.
pub trait Clients: Send + Sync {
    /// The client for the next request.
    fn client(&self) -> BoxFuture<'_, Client>;
}

impl Clients for Client {
    fn client(&self) -> BoxFuture<'_, Client> {
        Box::pin(async { self.clone() })
    }
}

/// Gets tokens, and keeps the last one.
pub struct Tokens {
    grant: Grant,
    clients: Box<dyn Clients>,
    files: Arc<dyn Files>,
    kept: Mutex<Kept>,
    /// One request for a token at a time.
    asking: Semaphore,
}

#[derive(Default)]
struct Kept {
    token: Option<Token>,
    /// How we show who we are: the header, or with `true` the form, as the one who gives tokens wants it.
    in_form: bool,
}

struct Token {
    header: HeaderValue,
    until: Option<Instant>,
    /// The secret that it was given for.
    secret: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    access_token: String,
    token_type: String,
    expires_in: serde_json::Value,
}

impl Tokens {
    /// No token yet.
    pub fn new(grant: Grant, clients: Box<dyn Clients>, files: Arc<dyn Files>) -> Tokens {
        Tokens { grant, clients, files, kept: Mutex::default(), asking: Semaphore::new(1) }
    }

    /// Lets the next request ask for a token that is not the one of the last: somebody did not take it. Whether there was
    /// one.
    pub fn forget(&self) -> bool {
        self.kept().token.take().is_some()
    }

    /// What goes into `authorization`.
    ///
    /// # Errors
    /// Why there is no token; without anything secret.
    pub async fn header(&self) -> Result<HeaderValue, String> {
        let secret = self.grant.client_secret.read(&self.files).await?;
        if let Some(header) = self.good(&secret) {
            return Ok(header);
        }
        let _one_at_a_time = self.asking.acquire().await;
        if let Some(header) = self.good(&secret) {
            return Ok(header);
        }
        let in_form = self.kept().in_form;
        let mut response = self.ask(&secret, in_form).await?;
        if response.status.is_client_error() {
            // Some want it the other way, and none says so.
            let other = self.ask(&secret, !in_form).await?;
            if other.status.is_success() {
                self.kept().in_form = !in_form;
                response = other;
            }
        }
        let token = self.token(&response, secret)?;
        let header = token.header.clone();
        self.kept().token = Some(token);
        Ok(header)
    }

    fn good(&self, secret: &str) -> Option<HeaderValue> {
        let kept = self.kept();
        let token = kept.token.as_ref()?;
        let lives = token.until.is_none_or(|until| Instant::now() < until);
        (lives && token.secret == secret).then(|| token.header.clone())
    }

    async fn ask(&self, secret: &str, in_form: bool) -> Result<Response, String> {
        let id = self.grant.client_id.read(&self.files).await?;
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        if !self.grant.scopes.is_empty() {
            form.push(("scope", self.grant.scopes.join(" ")));
        }
        form.extend(self.grant.parameters.iter().map(|(name, value)| (name.as_str(), value.0.clone())));
        if in_form {
            form.extend([("client_id", id.clone()), ("client_secret", secret.to_owned())]);
        }
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", quoted(name), quoted(value))).collect();
        let mut request = Request::post(self.grant.url.clone(), Bytes::from(form.join("&")));
        let plain = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, plain);
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if !in_form {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", quoted(&id), quoted(secret)));
            request.headers.insert(AUTHORIZATION, sensitive(&format!("Basic {pair}"))?);
        }
        request.timeout = self.grant.timeout;
        request.most_answer_bytes = MOST_ANSWER_BYTES;
        let client = self.clients.client().await;
        client.send(request).await.map_err(|error| format!("no token from {}: {error}", self.place()))
    }

    fn token(&self, response: &Response, secret: String) -> Result<Token, String> {
        if !response.status.is_success() {
            return Err(format!("no token: {} answered {}", self.place(), response.status));
        }
        let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let given = if kind.starts_with("application/x-www-form-urlencoded") || kind.starts_with("text/plain") {
            from_form(&String::from_utf8_lossy(&response.body))
        } else {
            serde_json::from_slice(&response.body)
                .map_err(|_| format!("no token: the answer of {} is not the JSON of one", self.place()))?
        };
        if given.access_token.is_empty() {
            return Err(format!("no token: the answer of {} has no access_token", self.place()));
        }
        let word = match given.token_type.to_lowercase().as_str() {
            "" | "bearer" => "Bearer",
            "mac" => "MAC",
            "basic" => "Basic",
            _ => given.token_type.as_str(),
        };
        let seconds = match &given.expires_in {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        let lives = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let until = lives.and_then(|lives| Instant::now().checked_add(lives - self.grant.early.min(lives / 2)));
        Ok(Token { header: sensitive(&format!("{word} {}", given.access_token))?, until, secret })
    }

    /// The URL without anything that may be secret.
    fn place(&self) -> String {
        let host = self.grant.url.authority().map_or("", |authority| authority.as_str());
        format!("{host}{}", self.grant.url.path())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes into `authorization`, never printed.
fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(text).map_err(|_| "a secret has characters that a header cannot have")?;
    value.set_sensitive(true);
    Ok(value)
}

fn quoted(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string().replace(' ', "+")
}

fn from_form(text: &str) -> Given {
    let mut given = Given::default();
    for (name, value) in text.trim().split('&').filter_map(|pair| pair.split_once('=')) {
        let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
        match name {
            "access_token" => given.access_token = value,
            "token_type" => given.token_type = value,
            "expires_in" => given.expires_in = serde_json::Value::String(value),
            _ => {}
        }
    }
    given
}
