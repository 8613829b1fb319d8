//! A small HTTP server of an extension: pages for people and probes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, request};
use pipeline::net::body::Chunks;
use pipeline::net::config::{HttpServerConfig, header_map};
use pipeline::net::http::{Admission, Handler, Incoming, ServerOptions, serve};
use pipeline::telemetry::Page;
use pipeline::{BoxFuture, Context, Error};
use tokio_util::sync::CancellationToken;

/// Enough for probes and people.
const MOST_CONNECTIONS: usize = 64;
/// How long a connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A server with one page for all paths.
pub struct Site {
    endpoint: String,
    options: ServerOptions,
    admission: Admission,
    pages: Arc<Pages>,
    context: Context,
    stop: CancellationToken,
}

struct Pages {
    page: Box<dyn Page>,
    headers: HeaderMap,
}

impl Site {
    /// A site that listens nowhere yet.
    ///
    /// # Errors
    /// Certificates that cannot be read, an authenticator that is not there.
    pub fn new(
        config: &HttpServerConfig,
        default_endpoint: &str,
        page: Box<dyn Page>,
        context: Context,
    ) -> Result<Site, Error> {
        let options = ServerOptions {
            most_connections: MOST_CONNECTIONS,
            idle_timeout: Some(IDLE_TIMEOUT),
            ..config.options(&context.doors.files)?
        };
        Ok(Site {
            endpoint: config.endpoint_or(default_endpoint).to_owned(),
            options,
            admission: config.admission(&context)?,
            pages: Arc::new(Pages { page, headers: header_map(&config.response_headers) }),
            context,
            stop: CancellationToken::new(),
        })
    }

    /// Listens.
    ///
    /// # Errors
    /// The address is taken, or not ours.
    pub async fn start(&self) -> Result<(), Error> {
        let listening = self.context.doors.net.listen(&self.endpoint).await;
        let listener = listening.map_err(|error| format!("endpoint: cannot listen on {}: {error}", self.endpoint))?;
        tracing::info!(component = %self.context.id, "listening on {}", listener.local_address());
        let handler = self.admission.before(self.pages.clone());
        let (tasks, stop) = (self.context.tasks.clone(), self.stop.clone());
        self.context.spawn(serve(listener, self.options.clone(), handler, tasks, stop));
        Ok(())
    }

    /// Answers what is asked and ends.
    pub fn close(&self) {
        self.stop.cancel();
    }
}

impl Handler for Pages {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        let (parts, _) = request.into_parts();
        Box::pin(async move {
            let mut answer = match parts.method {
                Method::GET | Method::HEAD => self.page.show(&parts),
                _ => not_allowed(),
            };
            if parts.method == Method::HEAD {
                *answer.body_mut() = Bytes::new();
            }
            answer.headers_mut().extend(self.headers.clone());
            answer.map(Chunks::from)
        })
    }
}

fn not_allowed() -> Response<Bytes> {
    let mut answer = page(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "use GET\n".to_owned());
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

/// An answer of text.
pub fn page(status: StatusCode, kind: &'static str, text: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// The request of a test.
#[cfg(test)]
pub async fn get(world: &pipeline::testing::World, url: &str) -> (StatusCode, String) {
    use pipeline::net::http::{Client, ClientOptions, Request};
    let client = Client::new(ClientOptions::default(), &world.context("client")).expect("a plain client");
    let url = pipeline::net::origin::parse_url(url).expect("a URL");
    let answer = client.send(Request::get(url)).await.expect("an answer");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// Whether a path is asked for.
pub fn asks_for(request: &request::Parts, path: &str) -> bool {
    request.uri.path().trim_end_matches('/') == path.trim_end_matches('/')
}
