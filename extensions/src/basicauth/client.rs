//! Shows a user and a password.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use pipeline::doors::Files;
use pipeline::net::auth::{ClientAuth, set_secret};
use pipeline::net::secret::Secret;
use pipeline::telemetry::Reporter;
use pipeline::{BoxFuture, Context, Metadata};

use super::ClientConfig;

pub(super) struct Client {
    user: Secret,
    password: Secret,
    files: Arc<dyn Files>,
    reporter: Reporter,
}

impl Client {
    pub(super) fn new(config: &ClientConfig, context: &Context) -> Client {
        let (files, reporter) = (context.doors.files.clone(), context.reporter.clone());
        Client { user: config.user(), password: config.password(), files, reporter }
    }

    /// # Errors
    /// A file that cannot be read.
    pub(super) async fn open(&self) -> Result<(), String> {
        self.value().await.map(drop)
    }

    async fn value(&self) -> Result<String, String> {
        let pair = format!("{}:{}", self.user.read(&self.files).await?, self.password.read(&self.files).await?);
        Ok(format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }
}

impl ClientAuth for Client {
    fn sign<'a>(&'a self, headers: &'a mut HeaderMap, _: Option<&'a Metadata>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            match self.value().await {
                Ok(value) => {
                    self.reporter.ok();
                    set_secret(headers, AUTHORIZATION, &value)
                }
                Err(error) => {
                    self.reporter.recoverable(&error);
                    Err(error)
                }
            }
        })
    }
}
