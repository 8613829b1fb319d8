//! What is served at addresses outside: targets to scrape, lists of targets, tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use pipeline::BoxFuture;
use pipeline::net::body::Chunks;
use pipeline::net::http::{Handler, Incoming};

use super::World;
use super::net::normal;

/// A page from some time on.
#[derive(Debug)]
pub struct Page {
    /// Since the start.
    pub from: Duration,
    /// `host:port`.
    pub address: String,
    /// Its path, with a query where that matters.
    pub path: String,
    /// The answer's status; `None`: nobody listens.
    pub status: Option<u16>,
    /// Its content type.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
    /// Whether it was asked for.
    pub served: AtomicBool,
}

impl World {
    /// Whether something is served at an address now.
    pub(super) fn is_served(&self, address: &str, since: Duration) -> bool {
        let here = self.pages.iter().filter(|page| normal(&page.address) == address && page.from <= since);
        let Some(last) = here.max_by_key(|page| page.from) else { return false };
        if last.status.is_none() {
            last.served.store(true, Ordering::Relaxed);
        }
        last.status.is_some()
    }

    /// Whether a page is ever served at that address and path.
    pub(super) fn has_page(&self, address: &str, path: &str) -> bool {
        self.pages.iter().any(|page| normal(&page.address) == address && page.path == path)
    }

    /// The page at a path now.
    fn page(&self, address: &str, target: &str, since: Duration) -> Option<&Page> {
        let path = target.split('?').next().unwrap_or_default();
        let here = || self.pages.iter().filter(|page| normal(&page.address) == address && page.from <= since);
        let exact = here().filter(|page| page.path == target).max_by_key(|page| page.from);
        exact.or_else(|| here().filter(|page| page.path == path).max_by_key(|page| page.from))
    }

    /// Whether every page was asked for, so that a test need not go on for its sake.
    pub fn all_served(&self) -> bool {
        self.pages.iter().all(|page| page.served.load(Ordering::Relaxed))
    }
}

/// Serves the pages of one address.
pub(super) struct Server {
    pub(super) world: Arc<World>,
    pub(super) address: String,
    pub(super) clock: pipeline::doors::Clock,
}

impl Handler for Server {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            let since = self.clock.now().saturating_sub(self.world.start);
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            match self.world.page(&self.address, target, since) {
                // Nothing changes where somebody watches.
                Some(page) if target.contains("watch=") && page.path != target => std::future::pending().await,
                Some(page) => page.answer(),
                None => status(StatusCode::NOT_FOUND),
            }
        })
    }
}

impl Page {
    /// What is answered.
    pub fn answer(&self) -> Response<Chunks> {
        self.served.store(true, Ordering::Relaxed);
        let status_code = self.status.and_then(|status| StatusCode::from_u16(status).ok());
        let mut response = status(status_code.unwrap_or(StatusCode::OK));
        *response.body_mut() = Chunks::from(self.body.clone());
        if let Ok(kind) = HeaderValue::from_str(&self.content_type) {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    }
}

/// An answer without a body.
pub(super) fn status(status: StatusCode) -> Response<Chunks> {
    let mut response = Response::new(Chunks::empty());
    *response.status_mut() = status;
    response
}
