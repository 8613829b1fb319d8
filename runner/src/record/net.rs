//! Sockets that are recorded. What clients send to a receiver is copied to a server of our own, which reads the requests in
//! it and answers nobody; what a receiver exchanges with those it asks is kept and read afterwards.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pipeline::BoxFuture;
use pipeline::doors::{BoxStream, Listener, Net, Owner};
use pipeline::net::body::{Chunks, read_capped};
use pipeline::net::grpc::{Limits, is_grpc, receive};
use pipeline::net::http::{Handler, Incoming as Body, ServerOptions, serve};
use pipeline::telemetry::Kind;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::capture::{Capture, Exchange, Incoming};

/// The most bytes of a request.
const MOST_BYTES: usize = 64 << 20;
/// The most bytes of a connection to somebody that is asked.
const MOST_EXCHANGE_BYTES: usize = 64 << 20;
/// Pieces that wait to be read by the server of our own.
const PIECES: usize = 1024;

/// The sockets of a process that is recorded.
#[derive(Clone)]
pub(super) struct RecordingNet {
    real: Arc<dyn Net>,
    capture: Arc<Capture>,
    /// The receiver's id, where one it is.
    receiver: Option<String>,
    tasks: TaskTracker,
}

impl RecordingNet {
    pub(super) fn new(real: Arc<dyn Net>, capture: Arc<Capture>) -> RecordingNet {
        RecordingNet { real, capture, receiver: None, tasks: TaskTracker::new() }
    }
}

impl Net for RecordingNet {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let real = self.real.listen(address).await?;
            let Some(receiver) = self.receiver.clone() else { return Ok(real) };
            // Taps come in through a listener that only hands them on.
            let (taps, tapped) = mpsc::channel(PIECES);
            let server = Arc::new(Reader { capture: self.capture.clone(), receiver, address: real.local_address() });
            let listener = Box::new(Tapped { taps: tapped, address: real.local_address() });
            let options =
                ServerOptions { greeting_timeout: std::time::Duration::from_secs(3600), ..ServerOptions::default() };
            self.tasks.spawn(serve(listener, options, server, self.tasks.clone(), CancellationToken::new()));
            Ok(Box::new(Recorded { real, taps, tasks: self.tasks.clone(), capture: self.capture.clone() })
                as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = self.real.connect(address).await?;
            let Some(receiver) = self.receiver.clone() else { return Ok(stream) };
            let exchange = Exchange { receiver, address: address.to_owned(), ..Exchange::default() };
            let exchange = self.capture.exchange(exchange);
            Ok(Box::new(Asking { stream, exchange, capture: self.capture.clone() }) as BoxStream)
        })
    }

    fn ask<'a>(&'a self, address: &'a str, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        self.real.ask(address, datagram)
    }

    fn of(&self, owner: &Owner) -> Option<Arc<dyn Net>> {
        let receiver = (owner.kind == Kind::Receiver).then(|| owner.id.to_string());
        Some(Arc::new(RecordingNet { receiver, ..self.clone() }))
    }
}

/// A real listener whose connections are copied.
struct Recorded {
    real: Box<dyn Listener>,
    taps: mpsc::Sender<(BoxStream, String)>,
    tasks: TaskTracker,
    capture: Arc<Capture>,
}

impl Listener for Recorded {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.real.accept().await?;
            let (near, far) = tokio::io::duplex(1 << 20);
            let (pieces, mut copied) = mpsc::channel::<Vec<u8>>(PIECES);
            let (answers, mut near) = tokio::io::split(near);
            // What our server answers goes nowhere.
            self.tasks.spawn(drain(answers));
            self.tasks.spawn(async move {
                while let Some(piece) = copied.recv().await {
                    if near.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            });
            let _ = self.taps.send((Box::new(far), peer.clone())).await;
            let tap = Tap { stream, pieces: Some(pieces), begun: false, capture: self.capture.clone() };
            Ok((Box::new(tap) as BoxStream, peer))
        })
    }

    fn local_address(&self) -> String {
        self.real.local_address()
    }
}

async fn drain(mut from: tokio::io::ReadHalf<tokio::io::DuplexStream>) {
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}

/// A client's connection, of which what the client sends is copied.
struct Tap {
    stream: BoxStream,
    pieces: Option<mpsc::Sender<Vec<u8>>>,
    begun: bool,
    capture: Arc<Capture>,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        /// A TLS record that holds a handshake.
        const HANDSHAKE: u8 = 22;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let piece = &buf.filled()[before..];
        if !self.begun && piece.first() == Some(&HANDSHAKE) {
            self.capture.note("what comes in by TLS is not recorded".to_owned());
            self.pieces = None;
        }
        self.begun |= !piece.is_empty();
        if let Some(pieces) = self.pieces.as_ref().filter(|_| !piece.is_empty())
            && pieces.try_send(piece.to_vec()).is_err()
        {
            self.capture
                .note("a client was too fast to be recorded: the rest of its connection is left out".to_owned());
            self.pieces = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Hands copies of connections to the server of our own.
struct Tapped {
    taps: mpsc::Receiver<(BoxStream, String)>,
    address: String,
}

impl Listener for Tapped {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(async {
            match self.taps.recv().await {
                Some(connection) => Ok(connection),
                None => std::future::pending().await,
            }
        })
    }

    fn local_address(&self) -> String {
        self.address.clone()
    }
}

/// The server of our own: keeps requests.
struct Reader {
    capture: Arc<Capture>,
    receiver: String,
    address: String,
}

impl Handler for Reader {
    fn handle(self: Arc<Self>, mut request: Request<Body>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            let body = if is_grpc(request.headers()) {
                let limits = Limits { most_bytes: MOST_BYTES, patience: None };
                receive(&mut request, limits, |_| async { Ok(()) }).await.ok().map(|call| call.message)
            } else {
                read_capped(request.body_mut(), MOST_BYTES, None).await.ok().map(|whole| whole.bytes)
            };
            if let Some(body) = body {
                let (parts, _) = request.into_parts();
                let path = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
                let (address, method, headers) = (self.address.clone(), parts.method, parts.headers);
                self.capture.add(&self.receiver, Incoming::Request { address, method, path, headers, body });
            }
            Response::new(Chunks::empty())
        })
    }
}

/// A connection that a receiver has made, both directions of which are kept.
struct Asking {
    stream: BoxStream,
    exchange: Arc<Mutex<Exchange>>,
    capture: Arc<Capture>,
}

impl AsyncRead for Asking {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let now = self.capture.now();
        let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        if exchange.read.len() < MOST_EXCHANGE_BYTES {
            exchange.read.extend_from_slice(&buf.filled()[before..]);
            let end = exchange.read.len();
            exchange.marks.push((end, now));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Asking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        if exchange.written.len() < MOST_EXCHANGE_BYTES {
            exchange.written.extend_from_slice(&bytes[..count]);
        }
        drop(exchange);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
