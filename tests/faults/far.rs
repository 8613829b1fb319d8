//! A far side that does what it is told: over HTTP/1 and gRPC on one port, changed while it is used. What it is told changes
//! connections too: those of before are cut.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Sleep;

use crate::support::{eventually, free_port, runtime};

/// What a far side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Takes everything.
    Kind,
    /// Nobody listens.
    Refuse,
    /// Takes the bytes and never answers.
    Hang,
    /// Resets the connection in the middle of the body.
    Reset,
    /// 429, come again in so many seconds; over gRPC `RESOURCE_EXHAUSTED` with `RetryInfo` of one.
    TooManyFor(u64),
    /// 429, come again at a date so many seconds from now.
    TooManyUntil(u64),
    /// 503, `UNAVAILABLE`.
    Unavailable,
    /// Answers with a byte now and then, for ever.
    Trickle,
    /// Answers with bytes that are no protocol.
    Garbage,
    /// Takes some of it, in its protocol's words.
    Partial(Partial),
}

/// How a protocol says that some of a request was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    Otlp,
    Loki,
    RemoteWrite,
}

/// All that a client must get over without losing anything.
pub const PASSING: [Fault; 8] = [
    Fault::Refuse,
    Fault::Hang,
    Fault::Reset,
    Fault::TooManyFor(1),
    Fault::TooManyUntil(2),
    Fault::Unavailable,
    Fault::Trickle,
    Fault::Garbage,
];

/// A running far side.
pub struct Far {
    /// `host:port`.
    pub address: String,
    told: watch::Sender<Fault>,
    seen: Arc<Seen>,
    /// Its tasks end with it.
    _runtime: Runtime,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// When requests came.
    requests: Mutex<Vec<Instant>>,
}

impl Seen {
    fn requests(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Far {
    /// One that takes everything.
    pub fn start() -> Far {
        let (runtime, seen) = (runtime(), Arc::<Seen>::default());
        let address = format!("127.0.0.1:{}", free_port());
        let (told, fault) = watch::channel(Fault::Kind);
        runtime.spawn(listen(address.clone(), fault, seen.clone()));
        let far = Far { address, told, seen, _runtime: runtime };
        far.wait_until_it_listens();
        far
    }

    /// Does that from now on.
    pub fn does(&self, fault: Fault) {
        self.told.send_replace(fault);
        self.seen.requests().clear();
        if fault != Fault::Refuse {
            self.wait_until_it_listens();
        }
        self.seen.connections.store(0, Ordering::Relaxed);
    }

    fn wait_until_it_listens(&self) {
        eventually(Duration::from_secs(10), "the far side listens", || {
            std::net::TcpStream::connect(&self.address).map(drop).map_err(|error| error.to_string())
        });
    }

    /// Waits until somebody has tried since it was told what to do.
    pub fn wait_for_a_try(&self) {
        if *self.told.borrow() == Fault::Refuse {
            return crate::killed::wait(Duration::from_millis(300));
        }
        eventually(Duration::from_secs(20), "somebody tries", || match self.seen.connections.load(Ordering::Relaxed) {
            0 => Err("nobody".to_owned()),
            _ => Ok(()),
        });
    }

    /// The time between the first two requests since it was told what to do, waited for.
    pub fn between_two_requests(&self) -> Duration {
        eventually(Duration::from_secs(20), "a second request", || match self.seen.requests()[..] {
            [first, second, ..] => Ok(second - first),
            ref fewer => Err(format!("{} requests", fewer.len())),
        })
    }
}

async fn listen(address: String, mut told: watch::Receiver<Fault>, seen: Arc<Seen>) {
    loop {
        if *told.borrow_and_update() == Fault::Refuse {
            if told.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Ok(listener) = TcpListener::bind(&address).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(connection(stream, told.clone(), seen.clone()));
                    }
                }
                changed = told.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    }
}

/// One connection, until it ends or something else is to be done.
async fn connection(stream: TcpStream, mut told: watch::Receiver<Fault>, seen: Arc<Seen>) {
    let fault = *told.borrow_and_update();
    tokio::select! {
        _ = misbehave(stream, fault, told.clone(), seen) => {}
        _ = told.changed() => {}
    }
}

async fn misbehave(
    mut stream: TcpStream,
    fault: Fault,
    told: watch::Receiver<Fault>,
    seen: Arc<Seen>,
) -> io::Result<()> {
    let mut piece = [0; 64];
    match fault {
        Fault::Refuse => Ok(()),
        Fault::Hang => {
            while stream.read(&mut piece).await? > 0 {
                seen.connections.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
        Fault::Reset => {
            // What is closed with bytes unread is reset.
            stream.read_exact(&mut piece).await?;
            seen.connections.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        Fault::Garbage => {
            stream.read_exact(&mut piece).await?;
            seen.connections.fetch_add(1, Ordering::Relaxed);
            stream.write_all(&[b"\xff\x00 no protocol \r\n".as_slice(); 50].concat()).await?;
            while stream.read(&mut piece).await? > 0 {}
            Ok(())
        }
        _ => {
            let service = service_fn(move |request| answer(request, fault, told.clone(), seen.clone()));
            let serving = auto::Builder::new(TokioExecutor::new());
            serving.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
        }
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(
    request: Request<Incoming>,
    fault: Fault,
    told: watch::Receiver<Fault>,
    seen: Arc<Seen>,
) -> Result<Answer, Infallible> {
    if *told.borrow() != fault {
        // A connection of before, which is about to be cut.
        return std::future::pending().await;
    }
    seen.connections.fetch_add(1, Ordering::Relaxed);
    let is_grpc =
        request.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let _ = request.into_body().collect().await;
    seen.requests().push(Instant::now());
    Ok(if is_grpc { grpc(fault) } else { plain(fault) })
}

/// `ExportTraceServiceResponse { partial_success: { rejected: 1, error_message: "bad" } }`, the same for all signals.
const PARTIAL: &[u8] = b"\x0a\x07\x08\x01\x12\x03bad";
/// `google.rpc.Status { code: 8, message: "slow down", details: [RetryInfo { retry_delay: 1s }] }`.
const SLOW_DOWN: &str = "CAgSCXNsb3cgZG93bhowCih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuUmV0cnlJbmZvEgQKAggB";
/// What Loki says where an entry is refused and the others are stored.
const TOO_FAR_BEHIND: &str = "entry with timestamp 2026-01-01 00:00:00 +0000 UTC ignored, reason: 'entry too far behind',\n\
                              user 'fake', total ignored: 1 out of 1 for stream: {a=\"b\"}";

fn plain(fault: Fault) -> Answer {
    let say = |status: u16, body: &'static [u8]| {
        let mut answer = Response::new(full(body));
        *answer.status_mut() = status.try_into().expect("a status");
        answer
    };
    let later = |value: String| {
        let mut answer = say(429, b"slow down");
        answer.headers_mut().insert("retry-after", value.parse().expect("a header"));
        answer
    };
    match fault {
        Fault::TooManyFor(seconds) => later(seconds.to_string()),
        Fault::TooManyUntil(seconds) => later(http_date(seconds)),
        Fault::Unavailable => say(503, b"not now"),
        Fault::Trickle => Response::new(Trickle::default().boxed()),
        Fault::Partial(Partial::Otlp) => say(200, PARTIAL),
        Fault::Partial(Partial::Loki) => say(400, TOO_FAR_BEHIND.as_bytes()),
        Fault::Partial(Partial::RemoteWrite) => say(400, b"out of bounds"),
        _ => say(200, b""),
    }
}

fn grpc(fault: Fault) -> Answer {
    let status = |code: &'static str| {
        let mut answer = Response::new(full(b""));
        answer.headers_mut().insert("grpc-status", HeaderValue::from_static(code));
        answer
    };
    let message = |message: &[u8]| {
        let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
        let framed = [&[0], length.as_slice(), message].concat();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = http_body_util::Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
        Response::new(body.boxed())
    };
    let mut answer = match fault {
        Fault::TooManyFor(_) | Fault::TooManyUntil(_) => {
            let mut answer = status("8");
            answer.headers_mut().insert("grpc-status-details-bin", HeaderValue::from_static(SLOW_DOWN));
            answer
        }
        Fault::Unavailable => status("14"),
        Fault::Trickle => Response::new(Trickle::default().boxed()),
        Fault::Partial(_) => message(PARTIAL),
        _ => message(b""),
    };
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    answer
}

fn full(body: &'static [u8]) -> BoxBody<Bytes, Infallible> {
    http_body_util::Full::new(Bytes::from_static(body)).boxed()
}

/// A date so many seconds from now, at least, in whole seconds.
fn http_date(seconds: u64) -> String {
    let now = SystemTime::now();
    httpdate::fmt_http_date(now + Duration::from_secs(seconds))
}

/// A body of a byte each tenth of a second, without an end.
#[derive(Default)]
struct Trickle {
    next: Option<Pin<Box<Sleep>>>,
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let sleep = self.next.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(100))));
        match sleep.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.next = None;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"\x00")))))
            }
        }
    }
}
