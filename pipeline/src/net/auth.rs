//! Who may come in, and who we are: what extensions do for servers and clients. The frame asks, an extension answers.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::batch::Metadata;
use crate::component::BoxFuture;

/// What is known about a sender once it has shown who it is: `username`, `subject`.
pub type Identity = Vec<(String, String)>;

tokio::task_local! {
    /// The one whose data are being sent.
    static SENDER: Arc<Metadata>;
}

/// Runs what sends somebody's data, so that credentials can depend on whose they are.
pub async fn on_behalf_of<F: Future>(sender: Option<&Arc<Metadata>>, sending: F) -> F::Output {
    match sender {
        Some(sender) => SENDER.scope(sender.clone(), sending).await,
        None => sending.await,
    }
}

/// What is known about the one whose data are being sent.
pub fn sender() -> Option<Arc<Metadata>> {
    SENDER.try_with(Arc::clone).ok()
}

/// Tells who sends a request.
pub trait ServerAuth: Send + Sync {
    /// Who sends a request with these headers (gRPC metadata, with the query parameters that the config hands on). Takes as
    /// long for a wrong secret as for a right one.
    fn check<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<Identity, Denied>>;

    /// How one can show who one is, for the header `www-authenticate`: `Basic realm="…"`.
    fn challenge(&self) -> HeaderValue;
}

/// Shows a far side who we are.
pub trait ClientAuth: Send + Sync {
    /// Puts credentials into a request's headers, all others of which are there. `sender` is what is known about the one
    /// whose data are in it.
    ///
    /// # Errors
    /// Why there are no credentials, without anything secret.
    fn sign<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        sender: Option<&'a Metadata>,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// The far side did not take what the last request showed. Whether something else can be shown now.
    fn refused(&self) -> bool {
        false
    }
}

/// One that signs a client's requests; never printed.
#[derive(Clone)]
pub struct Signer(pub Arc<dyn ClientAuth>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// Why a request may not come in. What was shown is never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It does not show who sends it, or not rightly: 401, `UNAUTHENTICATED`.
    Unknown(&'static str),
    /// Who sends it may not: 403, `PERMISSION_DENIED`.
    Forbidden(&'static str),
}

impl Denied {
    /// What the sender is told.
    pub fn message(&self) -> &'static str {
        match self {
            Denied::Unknown(message) | Denied::Forbidden(message) => message,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// Sets a header to a secret, which is then never printed.
///
/// # Errors
/// The secret has characters that a header cannot have.
pub fn set_secret(headers: &mut HeaderMap, name: HeaderName, secret: &str) -> Result<(), String> {
    let value = HeaderValue::try_from(secret);
    let mut value = value.map_err(|_| format!("the secret for {name} has characters that a header cannot have"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}
