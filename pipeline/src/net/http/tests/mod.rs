//! Client and server against each other and against raw bytes, over sockets in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response as HttpResponse, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::component::BoxFuture;
use crate::doors::BoxStream;
use crate::net::body::{Chunks, read_capped};
use crate::net::origin::parse_url;
use crate::testing::{Fault, World};

mod admission;
mod client;
mod proxy;
mod server;
mod tls;
mod tls_renewed;

const ADDRESS: &str = "127.0.0.1:4318";

/// Answers with the request's method, path, body length and version; some paths do more.
#[derive(Default)]
struct Echo {
    /// `/hold` waits for this.
    release: Notify,
    /// Requests to `/hold` that wait.
    held: AtomicUsize,
}

impl Handler for Echo {
    fn handle(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        _: Arc<str>,
    ) -> BoxFuture<'static, HttpResponse<Chunks>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let path = head.uri.path().to_owned();
            let mut response = HttpResponse::new(Chunks::empty());
            match path.as_str() {
                "/hold" => {
                    self.held.fetch_add(1, Ordering::SeqCst);
                    self.release.notified().await;
                }
                "/big" => {
                    *response.body_mut() = Chunks::from(Bytes::from(vec![b'x'; 1_000_000]));
                    return response;
                }
                "/elsewhere" => {
                    *response.status_mut() = StatusCode::FOUND;
                    response.headers_mut().insert("location", HeaderValue::from_static("there?x=1"));
                    return response;
                }
                "/same" => {
                    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                    response.headers_mut().insert("location", HeaderValue::from_static("http://other.test:4318/there"));
                    return response;
                }
                "/circle" => {
                    *response.status_mut() = StatusCode::FOUND;
                    response.headers_mut().insert("location", HeaderValue::from_static("/circle"));
                    return response;
                }
                _ => {}
            }
            let body = match read_capped(body, 10_000_000, Some(Duration::from_secs(5))).await {
                Ok(whole) => whole.bytes.len().to_string(),
                Err(error) => error.to_string(),
            };
            let authorized = head.headers.contains_key("authorization");
            let words = format!("{} {} {body} {:?} {authorized}", head.method, head.uri, head.version);
            *response.body_mut() = Chunks::from(words);
            response
        })
    }
}

struct Running {
    world: World,
    echo: Arc<Echo>,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn start(options: ServerOptions) -> Running {
    let world = World::new().with_real_files();
    let (stop, echo) = (CancellationToken::new(), Arc::new(Echo::default()));
    let listener = world.doors.net.listen(ADDRESS).await.unwrap();
    let serving = serve(listener, options, Arc::clone(&echo) as Arc<dyn Handler>, world.tasks.clone(), stop.clone());
    Running { done: tokio::spawn(serving), world, echo, stop }
}

impl Running {
    fn client(&self, options: ClientOptions) -> Client {
        Client::new(options, &self.world.context("test")).unwrap()
    }

    async fn raw(&self) -> BoxStream {
        self.world.doors.net.connect(ADDRESS).await.unwrap()
    }

    async fn until_held(&self, requests: usize) {
        while self.echo.held.load(Ordering::SeqCst) < requests {
            tokio::task::yield_now().await;
        }
    }
}

fn url(path: &str) -> Uri {
    parse_url(&format!("http://{ADDRESS}{path}")).unwrap()
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

fn http2() -> ClientOptions {
    ClientOptions { protocol: Protocol::Http2, ..ClientOptions::default() }
}

/// Everything that comes until the far side closes.
async fn read_all(stream: &mut BoxStream) -> String {
    let mut out = Vec::new();
    let _ = stream.read_to_end(&mut out).await;
    String::from_utf8_lossy(&out).into_owned()
}

async fn send_raw(stream: &mut BoxStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
}

fn header(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
}
