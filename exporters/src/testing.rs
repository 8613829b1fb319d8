//! A far side for tests: an HTTP server on virtual sockets that answers by script and keeps what it was sent.

pub mod otlp;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use pipeline::BoxFuture;
use pipeline::net::body::{Chunks, read_capped};
use pipeline::net::compress::{Coding, decompress};
use pipeline::net::http::{Handler, ServerOptions, serve};
use pipeline::testing::World;
use tokio_util::sync::CancellationToken;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Method and path.
    pub line: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Sent {
    /// The body, which must be a snappy block.
    pub fn unsnapped(&self) -> Vec<u8> {
        decompress(Coding::Snappy, &self.body, 64 << 20).unwrap()
    }

    /// A header's value, or empty.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

/// What the far side answers.
#[derive(Clone, Debug)]
pub struct Say {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Say {
    /// A status.
    pub fn status(status: u16) -> Say {
        Say { status, headers: Vec::new(), body: String::new() }
    }

    /// The same with a body.
    pub fn body(mut self, body: impl Into<String>) -> Say {
        self.body = body.into();
        self
    }

    /// The same with a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Say {
        self.headers.push((name, value.into()));
        self
    }
}

/// The server.
pub struct FarSide {
    /// Where it lives.
    pub world: World,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

type Judge = Box<dyn FnMut(&Sent) -> Say + Send>;

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Say>>,
    /// Answers where the script ends.
    judge: Mutex<Option<Judge>>,
    sent: Mutex<Vec<Sent>>,
}

impl FarSide {
    /// Listens on `far:80` in a world of its own, answers by the script and then with 204.
    pub async fn start(script: impl IntoIterator<Item = Say>) -> FarSide {
        FarSide::start_in(&World::new(), script).await
    }

    /// The same with answers by what was sent, instead of 204.
    pub async fn judging(
        script: impl IntoIterator<Item = Say>,
        judge: impl FnMut(&Sent) -> Say + Send + 'static,
    ) -> FarSide {
        let far = FarSide::start(script).await;
        *far.shared.judge.lock().unwrap() = Some(Box::new(judge));
        far
    }

    /// The same in that world.
    pub async fn start_in(world: &World, script: impl IntoIterator<Item = Say>) -> FarSide {
        let listener = world.doors.net.listen("far:80").await.unwrap();
        let shared = Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let stop = CancellationToken::new();
        let handler = Arc::clone(&shared) as Arc<dyn Handler>;
        world.tasks.spawn(serve(listener, ServerOptions::default(), handler, world.tasks.clone(), stop.clone()));
        FarSide { world: world.clone(), shared, stop }
    }

    /// Lives as long as its world, answers everything with 204.
    pub async fn forever(world: &World) {
        std::mem::forget(FarSide::start_in(world, []).await);
    }

    /// What was sent since the last call.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.shared.sent.lock().unwrap())
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Handler for Shared {
    fn handle(self: Arc<Self>, request: http::Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = read_capped(body, 64 << 20, None).await.unwrap().bytes;
            let line = format!("{} {}", head.method, head.uri.path());
            let sent = Sent { line, headers: head.headers, body };
            let scripted = self.script.lock().unwrap().pop_front();
            let say = scripted.unwrap_or_else(|| match &mut *self.judge.lock().unwrap() {
                Some(judge) => judge(&sent),
                None => Say::status(204),
            });
            self.sent.lock().unwrap().push(sent);
            let mut response = Response::new(Chunks::from(say.body));
            *response.status_mut() = StatusCode::from_u16(say.status).unwrap();
            for (name, value) in say.headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        })
    }
}
