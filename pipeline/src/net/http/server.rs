//! The HTTP server on a door's listener: HTTP/1.1 and HTTP/2 on one port, told apart by the first bytes or by TLS.
//! Everything a client can make it hold or wait for has a limit. A stop lets what is in flight finish.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::{Activity, Guarded};
use super::runtime::{Spawner, timer};
use crate::component::BoxFuture;
use crate::doors::{BoxStream, Listener};
use crate::net::body::Chunks;
use crate::net::tls;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer to a request from `peer`, an address as text. Dropped when the client goes away.
    fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Arc<str>) -> BoxFuture<'static, Response<Chunks>>;
}

/// What a server allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// TLS, where it is spoken.
    pub tls: Option<Arc<tls::ServerTls>>,
    /// Most connections; further ones wait to be accepted.
    pub most_connections: usize,
    /// Most bytes of a request's head.
    pub most_head_bytes: usize,
    /// Most requests at a time on one HTTP/2 connection.
    pub most_streams: u32,
    /// Bytes of unread body that one HTTP/2 request may have under way.
    pub stream_window: u32,
    /// The same for a whole HTTP/2 connection.
    pub connection_window: u32,
    /// From connecting to the first bytes that tell what is spoken, TLS included.
    pub greeting_timeout: Duration,
    /// From the first byte of a request's head to its last (HTTP/1).
    pub head_timeout: Option<Duration>,
    /// How long a connection may do nothing between requests.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may take no bytes of an answer.
    pub write_patience: Option<Duration>,
    /// How long a connection may live before it is asked to go.
    pub most_age: Option<Duration>,
    /// How long it may take then to finish.
    pub age_grace: Option<Duration>,
    /// Take further requests on an HTTP/1 connection.
    pub keep_alive: bool,
    /// Ping an HTTP/2 connection on which nothing came for so long.
    pub ping_after: Option<Duration>,
    /// Cut it when the ping is not answered within this.
    pub ping_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            tls: None,
            most_connections: 4096,
            most_head_bytes: 64 * 1024,
            most_streams: 128,
            stream_window: 4 * 1024 * 1024,
            connection_window: 8 * 1024 * 1024,
            greeting_timeout: Duration::from_secs(10),
            head_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(600)),
            write_patience: Some(Duration::from_secs(30)),
            most_age: None,
            age_grace: None,
            keep_alive: true,
            ping_after: Some(Duration::from_secs(7200)),
            ping_timeout: Duration::from_secs(20),
        }
    }
}

/// How long a connection without open requests may take to close when it is asked to.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long accepting rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled and every connection has finished. hyper's own tasks go to `tasks`.
pub async fn serve(
    mut listener: Box<dyn Listener>,
    options: ServerOptions,
    handler: Arc<dyn Handler>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let tls = options.tls.clone().filter(|_| !listener.is_secure());
    let server = Arc::new(Server { options: ServerOptions { tls, ..options }, handler, tasks, stop });
    let mut connections = JoinSet::new();
    loop {
        let full = connections.len() >= server.options.most_connections;
        tokio::select! {
            () = server.stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(Arc::clone(&server).connection(stream, Arc::from(peer)));
                }
                Err(error) => {
                    tracing::warn!(%error, address = listener.local_address(), "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

struct Server {
    options: ServerOptions,
    handler: Arc<dyn Handler>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A silence that was too long.
enum Silence {
    /// In the middle of a request's head.
    Head,
    /// Between requests.
    Idle,
}

impl Server {
    async fn connection(self: Arc<Server>, stream: BoxStream, peer: Arc<str>) {
        let greeting = timeout(self.options.greeting_timeout, self.greet(stream));
        let greeted = tokio::select! {
            () = self.stop.cancelled() => return,
            greeted = greeting => greeted,
        };
        let (stream, http2) = match greeted {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(error)) => return tracing::debug!(%error, %peer, "no request came"),
            Err(_) => return tracing::debug!(%peer, "cut: nothing came after connecting"),
        };
        let activity = stream.activity();
        let service = service_fn({
            let (handler, activity, peer) = (Arc::clone(&self.handler), Arc::clone(&activity), Arc::clone(&peer));
            move |request| {
                let open = activity.request();
                let answer = Arc::clone(&handler).handle(request, Arc::clone(&peer));
                async move {
                    let answer = answer.await;
                    drop(open);
                    Ok::<_, Infallible>(answer)
                }
            }
        });
        let stream = TokioIo::new(stream);
        let ended = if http2 {
            let connection = pin!(self.http2().serve_connection(stream, service));
            self.run(&activity, None, connection, http2::Connection::graceful_shutdown).await
        } else {
            let connection = pin!(self.http1().serve_connection(stream, service));
            self.run(&activity, self.options.head_timeout, connection, http1::Connection::graceful_shutdown).await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "connection ended");
        }
    }

    /// TLS, then the first bytes. `true` beside the stream for HTTP/2.
    async fn greet(&self, stream: BoxStream) -> io::Result<(Guarded, bool)> {
        let mut negotiated = false;
        let stream: BoxStream = match &self.options.tls {
            None => stream,
            Some(tls) => {
                let secured = TlsAcceptor::from(tls.now().await).accept(stream).await?;
                negotiated = tls::chose_http2(secured.get_ref().1.alpn_protocol());
                Box::new(secured)
            }
        };
        let mut stream = Guarded::new(stream, self.options.write_patience);
        let http2 = negotiated || stream.opens_with_preface().await?;
        Ok((stream, http2))
    }

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .timer(timer())
            .keep_alive(self.options.keep_alive)
            .max_header_size(self.options.most_head_bytes)
            // Ours tells an idle connection from a slow head.
            .header_read_timeout(None);
        builder
    }

    fn http2(&self) -> http2::Builder<Spawner> {
        let mut builder = http2::Builder::new(Spawner(self.tasks.clone()));
        builder
            .timer(timer())
            .max_concurrent_streams(self.options.most_streams)
            .initial_stream_window_size(self.options.stream_window)
            .initial_connection_window_size(self.options.connection_window)
            .max_header_list_size(u32::try_from(self.options.most_head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(self.options.ping_after)
            .keep_alive_timeout(self.options.ping_timeout);
        builder
    }

    /// Runs a connection until it ends by itself, is cut, or is asked to finish.
    async fn run<C: Future<Output = hyper::Result<()>>>(
        &self,
        activity: &Activity,
        head_timeout: Option<Duration>,
        mut connection: Pin<&mut C>,
        finish: impl FnOnce(Pin<&mut C>),
    ) -> hyper::Result<()> {
        let grace = tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.stop.cancelled() => None,
            silence = silence(activity, head_timeout, self.options.idle_timeout) => match silence {
                Silence::Head => return Ok(()),
                Silence::Idle => None,
            },
            () = until(self.options.most_age) => self.options.age_grace,
        };
        finish(connection.as_mut());
        tokio::select! {
            ended = connection => ended,
            () = quiet(activity) => Ok(()),
            () = until(grace) => Ok(()),
        }
    }
}

/// Ends when a request's head has been coming for too long, or nothing has come at all.
async fn silence(activity: &Activity, head: Option<Duration>, idle: Option<Duration>) -> Silence {
    loop {
        let in_head = head.is_some() && activity.heard();
        let patience = if activity.requests() > 0 {
            None
        } else if in_head {
            head
        } else {
            idle
        };
        match patience {
            None => activity.changed().await,
            Some(patience) if timeout(patience, activity.changed()).await.is_ok() => {}
            Some(_) => return if in_head { Silence::Head } else { Silence::Idle },
        }
    }
}

/// Ends some time after the last open request was answered.
async fn quiet(activity: &Activity) {
    loop {
        while activity.requests() > 0 {
            activity.changed().await;
        }
        tokio::time::sleep(GOODBYE).await;
        if activity.requests() == 0 {
            return;
        }
    }
}

async fn until(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
