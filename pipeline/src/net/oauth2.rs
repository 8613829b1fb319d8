//! Tokens by client credentials (RFC 6749, 4.4), kept until they expire.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pipeline::component::{Context, Error};
use pipeline::net::http::{Request, Response};
use pipeline::net::origin::parse_url;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{OWN_USER_AGENT, Rotating, Secrets, client, sensitive};
use crate::prometheus::config::OAuth2;

/// A token is not used any more so long before it expires.
const EARLY: Duration = Duration::from_secs(10);
/// How long the answer with a token may take where the request for which it is has no limit.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer with a token.
const MOST_ANSWER_BYTES: usize = 1 << 20;
/// What a form keeps as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// Gets tokens, and keeps the last one.
pub(super) struct Tokens {
    config: OAuth2,
    url: Uri,
    client: Rotating,
    secrets: Secrets,
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
    /// # Errors
    /// What is wrong with the URL, certificates or proxies.
    pub(super) fn new(config: &OAuth2, context: &Context) -> Result<Tokens, Error> {
        Ok(Tokens {
            config: config.clone(),
            url: parse_url(&config.token_url)?,
            client: client(&config.tls_config, &config.proxy, true, context)?,
            secrets: Secrets { files: context.doors.files.clone() },
            kept: Mutex::default(),
            asking: Semaphore::new(1),
        })
    }

    pub(super) fn forget(&self) {
        self.kept().token = None;
    }

    /// What goes into `authorization`.
    ///
    /// # Errors
    /// Why there is no token; without anything secret.
    pub(super) async fn header(&self) -> Result<HeaderValue, String> {
        let secret = self.secrets.part(&self.config.secret()).await?;
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
        let id = &*self.config.client_id;
        let scopes: Vec<&str> = self.config.scopes.iter().map(|scope| &**scope).collect();
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        if !scopes.is_empty() {
            form.push(("scope", scopes.join(" ")));
        }
        form.extend(self.config.endpoint_params.iter().map(|(name, value)| (name.as_str(), value.0.clone())));
        if in_form {
            form.extend([("client_id", id.to_owned()), ("client_secret", secret.to_owned())]);
        }
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", quoted(name), quoted(value))).collect();
        let mut request = Request::post(self.url.clone(), Bytes::from(form.join("&")));
        let plain = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, plain);
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.headers.insert(USER_AGENT, OWN_USER_AGENT);
        if !in_form {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", quoted(id), quoted(secret)));
            request.headers.insert(AUTHORIZATION, sensitive(&format!("Basic {pair}"))?);
        }
        request.timeout = Some(TIMEOUT);
        request.most_answer_bytes = MOST_ANSWER_BYTES;
        let client = self.client.client().await;
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
        let until = lives.and_then(|lives| Instant::now().checked_add(lives.saturating_sub(EARLY)));
        Ok(Token { header: sensitive(&format!("{word} {}", given.access_token))?, until, secret })
    }

    /// The URL without anything that may be secret.
    fn place(&self) -> String {
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{host}{}", self.url.path())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
