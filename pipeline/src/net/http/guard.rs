//! A server connection's stream under watch: bytes read while looking for the preface are given back first, a peer that
//! takes no bytes is cut, and what happens on the connection is visible to whoever decides when it has been idle.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use crate::doors::BoxStream;

/// What opens HTTP/2 by prior knowledge (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What happens on a connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    requests: AtomicUsize,
    heard: AtomicBool,
    changed: Notify,
}

impl Activity {
    /// Requests that are not answered yet.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    /// Whether bytes came since the last request was answered.
    pub(super) fn heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    /// Ends at the next change of the two above, or at once if there was one since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A request that is open until what this returns is dropped.
    pub(super) fn request(self: &Arc<Activity>) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.heard.store(false, Ordering::Release);
        self.changed.notify_one();
        OpenRequest(Arc::clone(self))
    }

    fn hear(&self) {
        if self.requests() == 0 && !self.heard.swap(true, Ordering::AcqRel) {
            self.changed.notify_one();
        }
    }
}

/// A request that is not answered yet.
pub(super) struct OpenRequest(Arc<Activity>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

/// The stream.
pub(super) struct Guarded {
    inner: BoxStream,
    read_ahead: Vec<u8>,
    given_back: usize,
    activity: Arc<Activity>,
    write_patience: Option<Duration>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Guarded {
    /// Watches `inner`; a write that takes longer than `write_patience` fails.
    pub(super) fn new(inner: BoxStream, write_patience: Option<Duration>) -> Guarded {
        Guarded {
            inner,
            read_ahead: Vec::new(),
            given_back: 0,
            activity: Arc::default(),
            write_patience,
            stalled: None,
        }
    }

    /// What happens on it.
    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }

    /// Reads until it is clear whether the peer speaks HTTP/2 by prior knowledge.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) async fn opens_with_preface(&mut self) -> io::Result<bool> {
        let mut buffer = [0; PREFACE.len()];
        let mut len = 0;
        while len < PREFACE.len() {
            let read = self.inner.read(&mut buffer[len..]).await?;
            len += read;
            if read == 0 || buffer[..len] != PREFACE[..len] {
                break;
            }
        }
        self.read_ahead = buffer[..len].to_vec();
        Ok(buffer[..len] == PREFACE[..])
    }

    fn watch_write<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let (Poll::Pending, Some(patience)) = (&wrote, self.write_patience) else {
            self.stalled = None;
            return wrote;
        };
        let sleep = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no bytes")))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ahead = &this.read_ahead[this.given_back..];
        if !ahead.is_empty() {
            let len = ahead.len().min(buf.remaining());
            buf.put_slice(&ahead[..len]);
            this.given_back += len;
            this.activity.hear();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.activity.hear();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.watch_write(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.watch_write(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.watch_write(cx, shut)
    }
}
