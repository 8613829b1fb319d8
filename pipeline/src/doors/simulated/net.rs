//! Sockets in memory: listening and connecting by address, with faults on demand.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use crate::component::BoxFuture;
use crate::doors::{BoxStream, Listener, Net};

/// Bytes that a virtual connection holds in each direction.
const BUFFER: usize = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 128;
/// The port that is given out first where port 0 is asked for.
const FIRST_PORT: u16 = 40_000;

/// What goes wrong with new connections to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `connect` fails with "connection refused", though somebody listens.
    Refuse,
    /// `connect` never ends.
    Hang,
    /// The connection is made after that time.
    Slow(Duration),
    /// The connection is reset once the client has written so many bytes.
    ResetAfter(usize),
    /// Nothing that the client writes after so many bytes is taken, and nothing is answered.
    StallAfter(usize),
}

/// Sockets in memory; clone is another handle on the same network. `localhost`, `127.0.0.1`, `0.0.0.0` and `[::]` are
/// the same host.
#[derive(Clone, Default)]
pub struct VirtualNet {
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    listening: HashMap<String, mpsc::Sender<(BoxStream, String)>>,
    faults: HashMap<String, Fault>,
    given_out: u16,
    connections: HashMap<String, usize>,
    datagrams: HashMap<String, AnswerDatagram>,
}

/// What comes back for a datagram; nothing, ever, for `None`.
type AnswerDatagram = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

impl VirtualNet {
    /// A network where nobody listens.
    pub fn new() -> VirtualNet {
        VirtualNet::default()
    }

    /// Lets new connections to `address` go wrong, or right again with `None`.
    pub fn fault(&self, address: &str, fault: Option<Fault>) {
        let address = normal(address);
        let mut state = self.state();
        match fault {
            Some(fault) => state.faults.insert(address, fault),
            None => state.faults.remove(&address),
        };
    }

    /// How often somebody connected to `address`.
    pub fn connections(&self, address: &str) -> usize {
        self.state().connections.get(&normal(address)).copied().unwrap_or(0)
    }

    /// Whether somebody listens on `address`.
    pub fn is_listening(&self, address: &str) -> bool {
        self.state().listening.get(&normal(address)).is_some_and(|l| !l.is_closed())
    }

    /// Answers each datagram that is sent to `address`.
    pub fn answer_datagrams(&self, address: &str, answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) {
        self.state().datagrams.insert(normal(address), Arc::new(answer));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bind(&self, address: &str) -> io::Result<VirtualListener> {
        let mut state = self.state();
        let mut address = normal(address);
        if let Some(host) = address.strip_suffix(":0") {
            address = format!("{host}:{}", FIRST_PORT + state.given_out);
            state.given_out += 1;
        }
        if state.listening.get(&address).is_some_and(|l| !l.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, incoming) = mpsc::channel(BACKLOG);
        state.listening.insert(address.clone(), sender);
        Ok(VirtualListener { incoming, address })
    }

    fn dial(&self, address: &str) -> io::Result<(mpsc::Sender<(BoxStream, String)>, usize)> {
        let mut state = self.state();
        let listener = state.listening.get(address).filter(|l| !l.is_closed()).cloned();
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let count = state.connections.entry(address.to_owned()).or_default();
        *count += 1;
        Ok((listener, *count))
    }
}

impl Net for VirtualNet {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let listener = self.bind(address);
        Box::pin(async move { Ok(Box::new(listener?) as Box<dyn Listener>) })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let address = normal(address);
            let fault = self.state().faults.get(&address).copied();
            match fault {
                Some(Fault::Refuse) => return Err(io::ErrorKind::ConnectionRefused.into()),
                Some(Fault::Hang) => std::future::pending().await,
                Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
                Some(Fault::ResetAfter(_) | Fault::StallAfter(_)) | None => {}
            }
            let (listener, count) = self.dial(&address)?;
            let (near, far) = tokio::io::duplex(BUFFER);
            let peer = format!("127.0.0.1:{}", 50_000 + count % 10_000);
            listener.send((Box::new(far), peer)).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            let stream: BoxStream = match fault {
                Some(Fault::ResetAfter(bytes)) => Box::new(Faulty { inner: near, left: bytes, resets: true }),
                Some(Fault::StallAfter(bytes)) => Box::new(Faulty { inner: near, left: bytes, resets: false }),
                _ => Box::new(near),
            };
            Ok(stream)
        })
    }

    fn ask<'a>(&'a self, address: &'a str, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let answer = self.state().datagrams.get(&normal(address)).cloned();
            match answer.ok_or(io::ErrorKind::ConnectionRefused)?(datagram) {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        })
    }
}

struct VirtualListener {
    incoming: mpsc::Receiver<(BoxStream, String)>,
    address: String,
}

impl Listener for VirtualListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(async {
            match self.incoming.recv().await {
                Some(connection) => Ok(connection),
                None => std::future::pending().await,
            }
        })
    }

    fn local_address(&self) -> String {
        self.address.clone()
    }
}

/// The client's end of a connection that breaks after so many written bytes.
struct Faulty {
    inner: DuplexStream,
    left: usize,
    resets: bool,
}

impl Faulty {
    fn broken<T>(&self) -> Poll<io::Result<T>> {
        if self.resets { Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) } else { Poll::Pending }
    }
}

impl AsyncRead for Faulty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return self.broken();
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            return self.broken();
        }
        let most = bytes.len().min(self.left);
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..most]))?;
        self.left -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn normal(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    match host {
        "" | "127.0.0.1" | "0.0.0.0" | "[::]" | "[::1]" => format!("localhost:{port}"),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_flow_between_who_connects_and_who_listens() {
        let net = VirtualNet::new();
        let mut listener = net.listen("0.0.0.0:4317").await.unwrap();
        let mut client = net.connect("localhost:4317").await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
        assert_eq!(peer, "127.0.0.1:50001");
        assert_eq!(net.connections("127.0.0.1:4317"), 1);
    }

    #[tokio::test]
    async fn nobody_listening_refuses_and_a_port_is_taken_once() {
        let net = VirtualNet::new();
        let kind = |r: io::Result<BoxStream>| r.err().map(|e| e.kind());
        assert_eq!(kind(net.connect("tempo:4317").await), Some(io::ErrorKind::ConnectionRefused));
        let listener = net.listen("tempo:4317").await.unwrap();
        let taken = net.listen("tempo:4317").await.err().map(|e| e.kind());
        assert_eq!(taken, Some(io::ErrorKind::AddrInUse));
        drop(listener);
        assert_eq!(kind(net.connect("tempo:4317").await), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(net.listen("tempo:0").await.unwrap().local_address(), "tempo:40000");
    }

    #[tokio::test]
    async fn a_reset_comes_after_so_many_bytes() {
        let net = VirtualNet::new();
        let _listener = net.listen("loki:3100").await.unwrap();
        net.fault("loki:3100", Some(Fault::ResetAfter(3)));
        let mut client = net.connect("loki:3100").await.unwrap();
        let error = client.write_all(b"hello").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        net.fault("loki:3100", Some(Fault::Refuse));
        assert!(net.connect("loki:3100").await.is_err());
        net.fault("loki:3100", None);
        assert!(net.connect("loki:3100").await.is_ok());
    }
}
