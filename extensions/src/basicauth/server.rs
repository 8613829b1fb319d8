//! Lets in who shows a user of the `htpasswd` and the right password. Slow hashes are checked aside, a few at a time; who
//! was right once is remembered, so that a sender of many requests is let in at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use pipeline::net::auth::{Denied, Identity, ServerAuth};
use pipeline::net::secret::Watched;
use pipeline::{BoxFuture, Context, Error};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;

use super::Htpasswd;
use super::htpasswd::{Hash, Users};

const MISSING: Denied = Denied::Unknown("no basic auth provided");
const WRONG: Denied = Denied::Unknown("invalid credentials");
/// How many slow hashes are checked at a time: whoever guesses must not take all cores.
const MOST_CHECKS: usize = 2;

pub(super) struct Server {
    inline: Arc<Users>,
    file: Option<Watched<Users>>,
    checks: Semaphore,
    key: hmac::Key,
    /// By user, what the right password of the hash of that time was, under a key that nobody has.
    verified: Mutex<HashMap<String, hmac::Tag>>,
}

impl Server {
    pub(super) fn new(config: &Htpasswd, context: &Context) -> Result<Server, Error> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Server {
            inline: Arc::new(Users::parse(config.inline.reveal())?),
            file: (!config.file.is_empty()).then(|| Watched::new(&config.file, Users::parse, context)),
            checks: Semaphore::new(MOST_CHECKS),
            key: key.map_err(|_| "there is no randomness")?,
            verified: Mutex::default(),
        })
    }

    /// # Errors
    /// The file cannot be read.
    pub(super) async fn open(&self) -> Result<(), String> {
        match &self.file {
            Some(file) => file.open().await,
            None => Ok(()),
        }
    }

    async fn is_user(&self, user: &str, password: &str) -> bool {
        let file = match &self.file {
            Some(file) => file.get().await.unwrap_or_default(),
            None => Arc::default(),
        };
        let known = self.inline.find(user).or_else(|| file.find(user)).cloned();
        let is_known = known.is_some();
        // Somebody's hash, so that it takes as long.
        let Some(hash) = known.or_else(|| self.inline.slowest().or_else(|| file.slowest()).cloned()) else {
            return false;
        };
        if !hash.is_slow() {
            return hash.is_of(password) & is_known;
        }
        let shown = [hash.written().as_bytes(), b"\0", password.as_bytes()].concat();
        if is_known && self.was_right(user, &shown) {
            return true;
        }
        if self.checks(hash, password).await & is_known {
            let tag = hmac::sign(&self.key, &shown);
            self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), tag);
            return true;
        }
        false
    }

    fn was_right(&self, user: &str, shown: &[u8]) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(user).is_some_and(|tag| hmac::verify(&self.key, shown, tag.as_ref()).is_ok())
    }

    async fn checks(&self, hash: Hash, password: &str) -> bool {
        let _few_at_a_time = self.checks.acquire().await;
        let password = password.to_owned();
        tokio::task::spawn_blocking(move || hash.is_of(&password)).await.unwrap_or(false)
    }
}

impl ServerAuth for Server {
    fn check<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<Identity, Denied>> {
        Box::pin(async {
            let shown = headers.get(AUTHORIZATION).ok_or(MISSING)?;
            let (user, password) = credentials(shown).ok_or(WRONG)?;
            match self.is_user(&user, &password).await {
                true => Ok(vec![("username".to_owned(), user)]),
                false => Err(WRONG),
            }
        })
    }

    fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static("Basic realm=\"slipring\", charset=\"UTF-8\"")
    }
}

/// User and password of a header.
pub(super) fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, pair) = header.to_str().ok()?.trim().split_once(' ')?;
    let pair = BASE64_STANDARD.decode(pair.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let pair = String::from_utf8(pair).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
