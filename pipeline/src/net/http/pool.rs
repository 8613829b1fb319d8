//! Connections that are kept: idle HTTP/1 ones, and HTTP/2 ones that several requests share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::client::{ClientOptions, Protocol};
use super::connect::{Connection, Connector};
use super::message::SendError;
use crate::net::body::Chunks;
use crate::net::origin::Origin;

/// A further HTTP/2 connection is opened when the least busy one has so many requests open.
const BUSY_STREAMS: usize = 4;

/// How often all hosts are looked through for connections that are old, at most: a scraper has thousands of them.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// All kept connections of a client.
pub(super) struct Pool {
    connector: Connector,
    options: ClientOptions,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    hosts: HashMap<Origin, Host>,
    idle: usize,
    next_id: u64,
    closed: bool,
    pruned: Option<Instant>,
}

struct Host {
    idle: Vec<Idle>,
    shared: Vec<Shared>,
    /// Requests that may still start, where the config limits them.
    room: Arc<Semaphore>,
    /// One at a time opens an HTTP/2 connection, the others wait for it.
    opening: Arc<Semaphore>,
}

struct Idle {
    sender: http1::SendRequest<Chunks>,
    since: Instant,
}

#[derive(Clone)]
struct Shared {
    id: u64,
    sender: http2::SendRequest<Chunks>,
    streams: Arc<AtomicUsize>,
}

impl Pool {
    pub(super) fn new(connector: Connector, options: ClientOptions) -> Arc<Pool> {
        Arc::new(Pool { connector, options, kept: Mutex::default() })
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub(super) fn close(&self) {
        let mut kept = self.lock();
        kept.closed = true;
        kept.hosts.clear();
        kept.idle = 0;
    }

    /// A connection to that origin: a kept one, or a new one.
    ///
    /// # Errors
    /// Those of connecting.
    pub(super) async fn checkout(self: &Arc<Pool>, origin: &Origin) -> Result<Lease, SendError> {
        if let Some(shared) = self.shared(origin) {
            return Ok(self.lease(origin, Use::Shared(shared), true, None));
        }
        let (room, opening) = self.gates(origin);
        if self.options.protocol == Protocol::Http2 {
            let _one_at_a_time = opening.acquire_owned().await;
            if let Some(shared) = self.shared(origin) {
                return Ok(self.lease(origin, Use::Shared(shared), true, None));
            }
            return self.open(origin, None).await;
        }
        let permit = room.acquire_owned().await.ok();
        while let Some(mut sender) = self.idle(origin) {
            if sender.ready().await.is_ok() {
                return Ok(self.lease(origin, Use::Alone(sender), true, permit));
            }
        }
        self.open(origin, permit).await
    }

    async fn open(self: &Arc<Pool>, origin: &Origin, permit: Option<OwnedSemaphorePermit>) -> Result<Lease, SendError> {
        let used = match self.connector.connect(origin, &self.options).await? {
            Connection::Http1(sender) => Use::Alone(sender),
            Connection::Http2(sender) => Use::Shared(self.share(origin, sender)),
        };
        Ok(self.lease(origin, used, false, permit))
    }

    fn lease(
        self: &Arc<Pool>,
        origin: &Origin,
        used: Use,
        reused: bool,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Lease {
        if let Use::Shared(shared) = &used {
            shared.streams.fetch_add(1, Ordering::Relaxed);
        }
        Lease { pool: Arc::clone(self), origin: origin.clone(), used: Some(used), reused, _permit: permit }
    }

    /// The least busy HTTP/2 connection, unless another one should be opened first.
    fn shared(&self, origin: &Origin) -> Option<Shared> {
        let mut kept = self.lock();
        let host = kept.hosts.get_mut(origin)?;
        host.shared.retain(|s| !s.sender.is_closed());
        let best = host.shared.iter().min_by_key(|s| s.streams.load(Ordering::Relaxed))?;
        let busy = best.streams.load(Ordering::Relaxed) >= BUSY_STREAMS;
        (!busy || host.shared.len() >= self.options.most_http2_per_host).then(|| best.clone())
    }

    fn share(&self, origin: &Origin, sender: http2::SendRequest<Chunks>) -> Shared {
        let mut kept = self.lock();
        kept.next_id += 1;
        let shared = Shared { id: kept.next_id, sender, streams: Arc::default() };
        if !kept.closed {
            let host = kept.hosts.entry(origin.clone()).or_insert_with(|| Host::new(&self.options));
            if host.shared.len() < self.options.most_http2_per_host {
                host.shared.push(shared.clone());
            }
        }
        shared
    }

    fn gates(&self, origin: &Origin) -> (Arc<Semaphore>, Arc<Semaphore>) {
        let mut kept = self.lock();
        let host = kept.hosts.entry(origin.clone()).or_insert_with(|| Host::new(&self.options));
        (Arc::clone(&host.room), Arc::clone(&host.opening))
    }

    /// The idle connection that was used last; the others may grow old and go.
    fn idle(&self, origin: &Origin) -> Option<http1::SendRequest<Chunks>> {
        let mut kept = self.lock();
        let kept = &mut *kept;
        let host = kept.hosts.get_mut(origin)?;
        while let Some(idle) = host.idle.pop() {
            kept.idle -= 1;
            let old = self.options.idle_timeout.is_some_and(|most| idle.since.elapsed() >= most);
            if !old && !idle.sender.is_closed() {
                return Some(idle.sender);
            }
        }
        None
    }

    fn keep(&self, origin: &Origin, sender: http1::SendRequest<Chunks>) {
        if !self.options.keep_alive || sender.is_closed() {
            return;
        }
        let mut kept = self.lock();
        if kept.pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            kept.pruned = Some(Instant::now());
            kept.prune(&self.options);
        }
        if kept.closed || kept.idle >= self.options.most_idle {
            return;
        }
        let kept = &mut *kept;
        let host = kept.hosts.entry(origin.clone()).or_insert_with(|| Host::new(&self.options));
        if host.idle.len() < self.options.most_idle_per_host {
            host.idle.push(Idle { sender, since: Instant::now() });
            kept.idle += 1;
        }
    }

    /// No new request goes to that HTTP/2 connection: a request on it was given up or failed.
    fn forget(&self, origin: &Origin, id: u64) {
        if let Some(host) = self.lock().hosts.get_mut(origin) {
            host.shared.retain(|s| s.id != id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    fn new(options: &ClientOptions) -> Host {
        let room = options.most_requests_per_host.clamp(1, Semaphore::MAX_PERMITS);
        Host {
            idle: Vec::new(),
            shared: Vec::new(),
            room: Arc::new(Semaphore::new(room)),
            opening: Arc::new(Semaphore::new(1)),
        }
    }

    fn is_unused(&self) -> bool {
        self.idle.is_empty()
            && self.shared.is_empty()
            && Arc::strong_count(&self.room) == 1
            && Arc::strong_count(&self.opening) == 1
    }
}

impl Kept {
    /// Lets go of connections that are old or closed, and of hosts without any.
    fn prune(&mut self, options: &ClientOptions) {
        let idle = &mut self.idle;
        self.hosts.retain(|_, host| {
            let before = host.idle.len();
            host.idle
                .retain(|i| !i.sender.is_closed() && options.idle_timeout.is_none_or(|most| i.since.elapsed() < most));
            *idle -= before - host.idle.len();
            !host.is_unused()
        });
    }
}

enum Use {
    Alone(http1::SendRequest<Chunks>),
    Shared(Shared),
}

/// The right to send one request on a connection. Dropped without [`Lease::finish`], the connection is not used again.
pub(super) struct Lease {
    pool: Arc<Pool>,
    origin: Origin,
    used: Option<Use>,
    reused: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.used, Some(Use::Shared(_)))
    }

    /// Whether the connection has served a request before.
    pub(super) fn reused(&self) -> bool {
        self.reused
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Chunks>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Chunks>>> {
        match self.used.as_mut().expect("a lease has its connection until it is dropped") {
            Use::Alone(sender) => sender.try_send_request(request).await,
            Use::Shared(shared) => shared.sender.try_send_request(request).await,
        }
    }

    /// The answer was read to its end: the connection serves again.
    pub(super) fn finish(mut self) {
        match self.used.take() {
            Some(Use::Alone(sender)) => self.pool.keep(&self.origin, sender),
            Some(Use::Shared(shared)) => {
                shared.streams.fetch_sub(1, Ordering::Relaxed);
            }
            None => {}
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(Use::Shared(shared)) = self.used.take() {
            shared.streams.fetch_sub(1, Ordering::Relaxed);
            self.pool.forget(&self.origin, shared.id);
        }
    }
}
