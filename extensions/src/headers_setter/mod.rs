//! Sets headers of what is sent: to fixed values, to what files hold, or to what is known about the one whose data are
//! sent, such as its tenant.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use pipeline::config::{ExtensionId, Opaque, Problem, Settings};
use pipeline::doors::Files;
use pipeline::net::auth::{ClientAuth, set_secret};
use pipeline::net::secret;
use pipeline::{BoxFuture, Context, Error, Extension, ExtensionFactory, Metadata};
use serde::Deserialize;

/// `headers_setter`.
pub struct Factory;

/// The collector's config.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What is set, in order; at least one.
    pub headers: Vec<HeaderConfig>,
    /// Who adds credentials after that.
    pub additional_auth: Option<ExtensionId>,
}

/// One header.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HeaderConfig {
    /// What happens to it.
    pub action: Action,
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Option<Opaque>,
    /// A file with its value, read for each request.
    pub value_file: Option<String>,
    /// The header of the sender's request that holds its value.
    pub from_context: Option<String>,
    /// What an authenticator has found out about the sender that is its value, such as `username`.
    pub from_attribute: Option<String>,
    /// Its value where the sender has none.
    pub default_value: Option<Opaque>,
}

/// `action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Where it is not there.
    Insert,
    /// Where it is there.
    Update,
    /// In any case.
    #[default]
    Upsert,
    /// It is taken away.
    Delete,
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.headers.is_empty() {
            problems.push(Problem::at("headers", "needs at least one header"));
        }
        for (n, header) in self.headers.iter().enumerate() {
            let mut wrong = |key: &str, message: &str| {
                let dot = if key.is_empty() { "" } else { "." };
                problems.push(Problem::at(format!("headers.{n}{dot}{key}"), message));
            };
            if HeaderName::try_from(&header.key).is_err() {
                wrong("key", "needs the name of a header");
            }
            let sources = [
                header.value.is_some(),
                header.value_file.is_some(),
                header.from_context.is_some(),
                header.from_attribute.is_some(),
            ];
            let given = sources.into_iter().filter(|given| *given).count();
            if given != 1 && header.action != Action::Delete {
                wrong("", "needs one of value, value_file, from_context and from_attribute");
            }
            for (key, value) in [("value", &header.value), ("default_value", &header.default_value)] {
                if value.as_ref().is_some_and(|value| HeaderValue::try_from(value.reveal()).is_err()) {
                    wrong(key, "it has characters that a header cannot have");
                }
            }
        }
        problems
    }
}

impl ExtensionFactory for Factory {
    const TYPES: &'static [&'static str] = &["headers_setter"];
    const ABOUT: &'static str = "Sets headers of what is sent, such as the tenant whose data it is.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Arc<dyn Extension>, Error> {
        let headers = config.headers.iter().map(Header::new).collect::<Result<_, _>>()?;
        let next = config.additional_auth.map(|id| context.extensions.client_auth(&id)).transpose()?;
        Ok(Arc::new(HeadersSetter(Arc::new(Setter { headers, next, files: context.doors.files.clone() }))))
    }
}

struct HeadersSetter(Arc<Setter>);

struct Setter {
    headers: Vec<Header>,
    next: Option<Arc<dyn ClientAuth>>,
    files: Arc<dyn Files>,
}

struct Header {
    action: Action,
    name: HeaderName,
    source: Source,
    default: Option<Opaque>,
}

enum Source {
    Nothing,
    Given(Opaque),
    File(String),
    /// A lower-case name.
    Sender(String),
    Identity(String),
}

impl Header {
    fn new(config: &HeaderConfig) -> Result<Header, Error> {
        let source = match config {
            HeaderConfig { value: Some(value), .. } => Source::Given(value.clone()),
            HeaderConfig { value_file: Some(file), .. } => Source::File(file.clone()),
            HeaderConfig { from_context: Some(name), .. } => Source::Sender(name.to_lowercase()),
            HeaderConfig { from_attribute: Some(name), .. } => Source::Identity(name.clone()),
            _ => Source::Nothing,
        };
        let name = HeaderName::try_from(&config.key)?;
        Ok(Header { action: config.action, name, source, default: config.default_value.clone() })
    }

    /// Its value; `None` where the sender has none, and none is given for that.
    async fn value(&self, sender: Option<&Metadata>, files: &Arc<dyn Files>) -> Result<Option<String>, String> {
        let found = match &self.source {
            Source::Nothing => None,
            Source::Given(value) => Some(value.reveal().to_owned()),
            Source::File(file) => Some(secret::read(file, files).await?),
            Source::Sender(name) => one(name, sender.map_or(&[], |sender| sender.headers.as_slice()))?,
            Source::Identity(name) => one(name, sender.map_or(&[], |sender| sender.identity.as_slice()))?,
        };
        Ok(found.or_else(|| self.default.as_ref().map(|value| value.reveal().to_owned())))
    }

    async fn set(
        &self,
        headers: &mut HeaderMap,
        sender: Option<&Metadata>,
        files: &Arc<dyn Files>,
    ) -> Result<(), String> {
        let applies = match self.action {
            Action::Delete => {
                headers.remove(&self.name);
                return Ok(());
            }
            Action::Insert => !headers.contains_key(&self.name),
            Action::Update => headers.contains_key(&self.name),
            Action::Upsert => true,
        };
        match self.value(sender, files).await? {
            Some(value) if applies => set_secret(headers, self.name.clone(), &value),
            _ => Ok(()),
        }
    }
}

/// The only value of a name.
fn one(name: &str, all: &[(String, String)]) -> Result<Option<String>, String> {
    let mut values = all.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(format!("the sender gives several values of {name}, which one is meant is not known")),
        (value, None) => Ok(value),
    }
}

impl Extension for HeadersSetter {
    fn client_auth(self: Arc<Self>) -> Option<Arc<dyn ClientAuth>> {
        Some(self.0.clone())
    }
}

impl ClientAuth for Setter {
    fn sign<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        sender: Option<&'a Metadata>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            for header in &self.headers {
                header.set(headers, sender, &self.files).await?;
            }
            match &self.next {
                Some(next) => next.sign(headers, sender).await,
                None => Ok(()),
            }
        })
    }

    fn refused(&self) -> bool {
        self.next.as_ref().is_some_and(|next| next.refused())
    }
}

#[cfg(test)]
mod tests;
