//! Bodies: a chunk list that is sent without copying, and reading a whole body with a cap.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use smallvec::SmallVec;
use tokio::time::Duration;

use crate::buffers::Buffers;

/// A body that is already there: chunks in order, then trailers. Clone is a reference count for each chunk.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    chunks: SmallVec<[Bytes; 2]>,
    next: usize,
    trailers: Option<HeaderMap>,
}

impl Chunks {
    /// No bytes.
    pub fn empty() -> Chunks {
        Chunks::default()
    }

    /// The same, followed by trailers (HTTP/2 only).
    #[must_use]
    pub fn with_trailers(mut self, trailers: HeaderMap) -> Chunks {
        self.trailers = Some(trailers);
        self
    }

    /// Adds a chunk at the end.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push(chunk);
        }
    }

    /// Bytes that are left to send.
    pub fn byte_len(&self) -> usize {
        self.chunks[self.next..].iter().map(Bytes::len).sum()
    }

    /// All bytes as one buffer; copies only if there are several chunks.
    pub fn into_bytes(mut self) -> Bytes {
        match self.chunks.as_mut_slice() {
            [] => Bytes::new(),
            [one] => std::mem::take(one),
            many => {
                let mut out = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
                many.iter().for_each(|c| out.extend_from_slice(c));
                out.freeze()
            }
        }
    }
}

impl FromIterator<Bytes> for Chunks {
    fn from_iter<T: IntoIterator<Item = Bytes>>(chunks: T) -> Chunks {
        Chunks { chunks: chunks.into_iter().filter(|c| !c.is_empty()).collect(), next: 0, trailers: None }
    }
}

impl<T: Into<Bytes>> From<T> for Chunks {
    fn from(bytes: T) -> Chunks {
        Chunks::from_iter([bytes.into()])
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(chunk) = this.chunks.get_mut(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(chunk)))));
        }
        Poll::Ready(this.trailers.take().map(|t| Ok(Frame::trailers(t))))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.chunks.len() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.byte_len() as u64)
    }
}

/// A body that was read to its end.
#[derive(Debug)]
pub struct Whole {
    /// Its bytes.
    pub bytes: Bytes,
    /// What came after them.
    pub trailers: Option<HeaderMap>,
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is longer than it may be.
    #[error("the body is larger than {most} bytes")]
    TooLarge {
        /// The most that was allowed.
        most: usize,
    },
    /// Nothing came for too long.
    #[error("the body stopped coming for {0:?}")]
    Stalled(Duration),
    /// The connection broke, or the sender broke the protocol.
    #[error("the body broke off: {0}")]
    Broken(#[source] hyper::Error),
}

/// Reads a body to its end, at most `most` bytes, waiting at most `patience` for each next piece. A body that came in
/// one piece is not copied.
///
/// # Errors
/// `TooLarge` as soon as it is known, even from the declared length alone; `Stalled`; `Broken`.
pub async fn read_capped<B>(body: B, most: usize, patience: Option<Duration>) -> Result<Whole, ReadError>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    read_capped_into(body, most, patience, &Buffers::default()).await
}

/// The same; a body of several pieces gets its buffer from `buffers`.
///
/// # Errors
/// See there.
pub async fn read_capped_into<B>(
    mut body: B,
    most: usize,
    patience: Option<Duration>,
    buffers: &Buffers,
) -> Result<Whole, ReadError>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let expected = body.size_hint();
    if expected.lower() > most as u64 {
        return Err(ReadError::TooLarge { most });
    }
    let expected = usize::try_from(expected.exact().unwrap_or(0)).unwrap_or(0);
    let mut pieces = Pieces { buffers: buffers.clone(), ..Pieces::new(expected) };
    let mut trailers = None;
    while let Some(frame) = next_frame(&mut body, patience).await? {
        match frame.into_data() {
            Ok(data) => {
                if pieces.len() + data.len() > most {
                    return Err(ReadError::TooLarge { most });
                }
                pieces.push(data);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(Whole { bytes: pieces.into_bytes(), trailers })
}

/// Reads at most the first `most` bytes of a body. `true` beside them when that was all of it.
///
/// # Errors
/// `Broken`.
pub async fn read_start<B>(mut body: B, most: usize) -> Result<(Whole, bool), ReadError>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let mut pieces = Pieces::new(0);
    let mut trailers = None;
    while let Some(frame) = next_frame(&mut body, None).await? {
        match frame.into_data() {
            Ok(mut data) => {
                let room = most - pieces.len();
                let cut = data.len() > room;
                data.truncate(room);
                pieces.push(data);
                if cut {
                    return Ok((Whole { bytes: pieces.into_bytes(), trailers }, false));
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((Whole { bytes: pieces.into_bytes(), trailers }, true))
}

/// The next frame of a body, waiting at most `patience`.
///
/// # Errors
/// `Stalled`, `Broken`.
pub async fn next_frame<B>(body: &mut B, patience: Option<Duration>) -> Result<Option<Frame<Bytes>>, ReadError>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let frame = match patience {
        Some(patience) => {
            tokio::time::timeout(patience, body.frame()).await.map_err(|_| ReadError::Stalled(patience))?
        }
        None => body.frame().await,
    };
    frame.transpose().map_err(ReadError::Broken)
}

/// Reads and forgets up to `most` bytes of a body, for at most `time`, so that a client that is still sending gets to
/// read the answer instead of a reset.
pub async fn drain<B>(mut body: B, most: usize, time: Duration)
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let mut left = most;
    let all = async {
        while let Ok(Some(frame)) = next_frame(&mut body, None).await {
            let len = frame.data_ref().map_or(0, Bytes::len);
            if len > left {
                return;
            }
            left -= len;
        }
    };
    // Whether it ended or time did makes no difference: the answer goes out now.
    let _ = tokio::time::timeout(time, all).await;
}

/// Pieces of a buffer in the making: one piece stays as it is, several are copied into one buffer of the expected size.
#[derive(Debug, Default)]
pub struct Pieces {
    first: Bytes,
    rest: Vec<u8>,
    expected: usize,
    buffers: Buffers,
}

/// Never reserve more than this on the word of a header alone.
const MOST_RESERVED_UNSEEN: usize = 4 * 1024 * 1024;

impl Pieces {
    /// Nothing yet; about `expected` bytes are announced.
    pub fn new(expected: usize) -> Pieces {
        Pieces { expected, ..Pieces::default() }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        if self.rest.is_empty() && self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.rest.is_empty() {
            let announced = self.expected.min(MOST_RESERVED_UNSEEN);
            self.rest = self.buffers.take(announced.max(self.first.len() + piece.len()));
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&piece);
    }

    /// All of it.
    pub fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.buffers.lend(self.rest) }
    }
}

/// The header value that text makes, where it can be one.
pub(crate) fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
