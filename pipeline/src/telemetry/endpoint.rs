//! The own-metrics endpoint: `/metrics` in Prometheus' text format, the drop ledger, and the components' pages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Meter, Pages, drops};
use crate::component::{BoxFuture, Error};
use crate::doors::Net;
use crate::net::body::Chunks;
use crate::net::http::{Handler, ServerOptions, serve};

/// Prometheus' text format, as every scraper knows it.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const METRICS: &str = "/metrics";
const DROPS: &str = "/api/v1/drops";
/// Enough for scrapers and people.
const MOST_CONNECTIONS: usize = 64;

/// The endpoint while it listens; it ends when it is stopped or dropped.
pub struct Endpoint {
    address: String,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Listens on `host:port`.
    ///
    /// # Errors
    /// When it cannot; the text names the key and says what would work.
    pub async fn start(address: &str, net: &dyn Net, meter: Meter, pages: Pages) -> Result<Endpoint, Error> {
        let listener = net.listen(address).await.map_err(|error| {
            format!(
                "service.telemetry.metrics: cannot listen on {address}: {error}; \
                 set another port in readers, or level: none"
            )
        })?;
        let address = listener.local_address();
        tracing::info!("own metrics at http://{address}/metrics");
        let options = ServerOptions {
            most_connections: MOST_CONNECTIONS,
            idle_timeout: Some(Duration::from_secs(120)),
            ..ServerOptions::default()
        };
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let handler = Arc::new(Site { meter, pages });
        let task = tasks.spawn(serve(listener, options, handler, tasks.clone(), stop.clone()));
        Ok(Endpoint { address, stop, task: Some(task) })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Answers what is asked and ends.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Site {
    meter: Meter,
    pages: Pages,
}

impl Handler for Site {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        let (parts, _) = request.into_parts();
        Box::pin(async move {
            let mut answer = self.answer(&parts).await;
            if parts.method == Method::HEAD {
                *answer.body_mut() = Bytes::new();
            }
            answer.map(Chunks::from)
        })
    }
}

impl Site {
    async fn answer(&self, request: &http::request::Parts) -> Response<Bytes> {
        let path = request.uri.path();
        if let Some(page) = self.pages.find(path) {
            return page.answer(request).await;
        }
        if ![METRICS, DROPS, "/"].contains(&path) {
            return plain(StatusCode::NOT_FOUND, format!("nothing here; there is {}\n", self.paths().join(", ")));
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET\n".to_owned());
            answer.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            METRICS => plain(StatusCode::OK, self.meter.text()),
            DROPS => drops::page(self.meter.ledger(), request),
            _ => plain(StatusCode::OK, self.paths().join("\n") + "\n"),
        }
    }

    fn paths(&self) -> Vec<String> {
        let mut paths = vec![METRICS.to_owned(), DROPS.to_owned()];
        paths.extend(self.pages.paths());
        paths
    }
}

fn plain(status: StatusCode, body: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(TEXT));
    answer
}
