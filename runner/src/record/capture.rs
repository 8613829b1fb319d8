//! What was captured: events at doors, each with its time and the receiver that it went to.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use pipeline::doors::Clock;

/// The most bytes that a recording holds; what comes later is left out, and that is said.
const MOST_BYTES: usize = 256 << 20;

/// A recording under way.
pub(crate) struct Capture {
    start: Duration,
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    events: Vec<Event>,
    notes: Vec<String>,
    exchanges: Vec<Arc<Mutex<Exchange>>>,
    bytes: usize,
    ready: Duration,
}

/// One thing that came in.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Since the recording's start.
    pub at: Duration,
    /// The receiver's id.
    pub receiver: String,
    /// What.
    pub what: Incoming,
}

/// What came in.
#[derive(Clone, Debug)]
pub(crate) enum Incoming {
    /// A request to the receiver.
    Request {
        /// Where it listens.
        address: String,
        /// The method.
        method: Method,
        /// Path and query.
        path: String,
        /// Headers.
        headers: HeaderMap,
        /// The body; of a gRPC call its message.
        body: Bytes,
    },
    /// An answer to a request of the receiver.
    Page {
        /// Where it asked.
        address: String,
        /// Path and query.
        path: String,
        /// The status.
        status: u16,
        /// Its content type.
        content_type: String,
        /// The body, decompressed.
        body: Bytes,
    },
    /// More of a file.
    Appended {
        /// Its path.
        path: PathBuf,
        /// What.
        bytes: Bytes,
        /// Whether the file is another than before.
        anew: bool,
    },
    /// More of standard input.
    Input(Bytes),
}

impl Incoming {
    fn len(&self) -> usize {
        match self {
            Incoming::Request { body, .. } | Incoming::Page { body, .. } => body.len(),
            Incoming::Appended { bytes, .. } | Incoming::Input(bytes) => bytes.len(),
        }
    }
}

/// Both directions of a connection that a receiver has made.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Who made it.
    pub receiver: String,
    /// Where to.
    pub address: String,
    /// What it wrote.
    pub written: Vec<u8>,
    /// What it read, each piece with its time.
    pub read: Vec<u8>,
    /// Where in `read` pieces end, and when they came.
    pub marks: Vec<(usize, Duration)>,
}

/// A recording that is over.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// When it began, since 1970.
    pub start: Duration,
    /// When everything had started, since then.
    pub ready: Duration,
    /// What came in, in order.
    pub events: Vec<Event>,
    /// What could not be recorded.
    pub notes: Vec<String>,
}

impl Capture {
    /// A recording that begins.
    pub fn new(start: Duration, clock: Clock) -> Capture {
        Capture { start, clock, held: Mutex::default() }
    }

    /// How far it is.
    pub fn now(&self) -> Duration {
        self.clock.now().saturating_sub(self.start)
    }

    /// Everything has started.
    pub fn ready(&self) {
        let now = self.now();
        self.held().ready = now;
    }

    /// Takes in an event that happens now.
    pub fn add(&self, receiver: &str, what: Incoming) {
        let event = Event { at: self.now(), receiver: receiver.to_owned(), what };
        let mut held = self.held();
        held.bytes += event.what.len();
        if held.bytes > MOST_BYTES {
            note(&mut held, "the recording is full: what came later is left out".to_owned());
        } else {
            held.events.push(event);
        }
    }

    /// Says what could not be recorded, once.
    pub fn note(&self, what: String) {
        note(&mut self.held(), what);
    }

    /// Follows a connection.
    pub fn exchange(&self, exchange: Exchange) -> Arc<Mutex<Exchange>> {
        let exchange = Arc::new(Mutex::new(exchange));
        self.held().exchanges.push(exchange.clone());
        exchange
    }

    /// Everything, in order.
    pub fn events(&self) -> Events {
        let mut held = self.held();
        let exchanges = std::mem::take(&mut held.exchanges);
        let mut events = std::mem::take(&mut held.events);
        for exchange in exchanges {
            let exchange = exchange.lock().unwrap_or_else(PoisonError::into_inner);
            match super::http1::pages(&exchange) {
                Ok(pages) => events.extend(pages),
                Err(error) => {
                    let Exchange { receiver, address, .. } = &*exchange;
                    note(&mut held, format!("{receiver} and {address}: {error}"));
                }
            }
        }
        events.sort_by_key(|event| event.at);
        Events { start: self.start, ready: held.ready, events, notes: held.notes.clone() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(held: &mut Held, what: String) {
    if !held.notes.contains(&what) {
        held.notes.push(what);
    }
}
