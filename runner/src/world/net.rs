//! Sockets of the world: what the config listens on is inside; whatever an exporter connects to is there, and keeps what it
//! is sent; everything else is what the test serves. Streams are secure as they are: TLS is not rehearsed.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pipeline::BoxFuture;
use pipeline::doors::simulated::VirtualNet;
use pipeline::doors::{BoxStream, Clock, Listener, Net, Owner};
use pipeline::net::http::{Handler, ServerOptions, serve};
use pipeline::telemetry::Kind;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::far_side::FarSide;
use super::pages::Server;
use super::{Effect, World};

/// The sockets of a process in a world.
#[derive(Clone)]
pub struct SimulatedNet {
    around: Arc<Around>,
    owner: Option<Owner>,
}

struct Around {
    world: Arc<World>,
    clock: Clock,
    /// What the config's own components listen on.
    inside: VirtualNet,
    /// Far sides, by who connects and where to.
    outside: VirtualNet,
    started: Mutex<BTreeSet<String>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl SimulatedNet {
    pub(super) fn new(world: Arc<World>, clock: Clock) -> SimulatedNet {
        let around = Around {
            world,
            clock,
            inside: VirtualNet::new(),
            outside: VirtualNet::new(),
            started: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        SimulatedNet { around: Arc::new(around), owner: None }
    }

    fn since_start(&self) -> Duration {
        self.around.clock.now().saturating_sub(self.around.world.start)
    }

    /// A connection to what a handler serves; it is started when the first comes.
    async fn outside(&self, key: String, handler: impl FnOnce() -> Arc<dyn Handler>) -> io::Result<BoxStream> {
        let around = &self.around;
        let is_new = around.started.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        if is_new {
            let listener = around.outside.listen(&key).await?;
            let (tasks, stop) = (around.tasks.clone(), around.stop.clone());
            around.tasks.spawn(serve(listener, ServerOptions::default(), handler(), tasks, stop));
        }
        around.outside.connect(&key).await
    }

    async fn dial(&self, address: &str) -> io::Result<BoxStream> {
        let Around { world, clock, inside, .. } = &*self.around;
        let address = normal(address);
        let server = || -> Arc<dyn Handler> {
            Arc::new(Server { world: world.clone(), address: address.clone(), clock: *clock })
        };
        let exporter = self.owner.as_ref().filter(|owner| owner.kind == Kind::Exporter);
        if inside.is_listening(&address) {
            return inside.connect(&address).await;
        }
        let Some(owner) = exporter else {
            if !world.is_served(&address, self.since_start()) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            return self.outside(format!("pages {address}"), server).await;
        };
        let id = owner.id.to_string();
        let now = clock.now();
        if world.fault(&id, now, |effect| *effect == Effect::Refuse).is_some() {
            world.note(&id, |sent| sent.refused += 1);
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let far_side = || -> Arc<dyn Handler> {
            Arc::new(FarSide { world: world.clone(), exporter: id.clone(), address: address.clone(), clock: *clock })
        };
        let stream = self.outside(format!("{id} {address}"), far_side).await?;
        Ok(Box::new(Breakable { stream, world: world.clone(), exporter: id.clone(), clock: *clock, broken: false }))
    }
}

impl Net for SimulatedNet {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.around.inside.listen(address).await?;
            if let Some(owner) = &self.owner {
                self.around.world.seen().listening.push((owner.clone(), listener.local_address()));
            }
            Ok(Box::new(Secure(listener)) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(self.dial(address))
    }

    fn ask<'a>(&'a self, address: &'a str, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        self.around.inside.ask(address, datagram)
    }

    fn of(&self, owner: &Owner) -> Option<Arc<dyn Net>> {
        Some(Arc::new(SimulatedNet { owner: Some(owner.clone()), ..self.clone() }))
    }

    fn is_secure(&self) -> bool {
        true
    }
}

/// A listener whose streams are secure as they are.
struct Secure(Box<dyn Listener>);

impl Listener for Secure {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        self.0.accept()
    }

    fn local_address(&self) -> String {
        self.0.local_address()
    }

    fn is_secure(&self) -> bool {
        true
    }
}

/// The exporter's end of a connection, which a fault can break.
struct Breakable {
    stream: BoxStream,
    world: Arc<World>,
    exporter: String,
    clock: Clock,
    broken: bool,
}

impl Breakable {
    fn is_broken(&mut self) -> bool {
        let breaks = |effect: &Effect| matches!(effect, Effect::Reset | Effect::Refuse);
        if !self.broken && self.world.fault(&self.exporter, self.clock.now(), breaks).is_some() {
            self.broken = true;
            self.world.note(&self.exporter, |sent| sent.refused += 1);
        }
        self.broken
    }
}

impl AsyncRead for Breakable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_broken() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// All names of this machine are one.
pub(super) fn normal(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    match host {
        "" | "127.0.0.1" | "0.0.0.0" | "[::]" | "[::1]" => format!("localhost:{port}"),
        _ => format!("{host}:{port}"),
    }
}
