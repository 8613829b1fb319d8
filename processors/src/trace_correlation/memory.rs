//! What the pipelines of one correlation remember together: traces, requests and observations of spans. Bounded in bytes and
//! in time: what was not touched for `keep` is forgotten, and the longest untouched goes first where there is no room.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::mem::size_of;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::counts::Counts;
use super::ids::TraceId;
use super::observations::Observations;
use super::ticket::Ticket;
use super::trace::Trace;

/// The memory of one correlation.
pub struct Memory {
    state: Mutex<State>,
    most_bytes: usize,
    counts: Counts,
}

/// What is inside, while it is locked.
pub struct State {
    traces: HashMap<TraceId, Trace>,
    requests: HashMap<Arc<str>, Request>,
    /// Everything above by the time of its last touch that was looked at; requests only while they have no trace.
    order: VecDeque<(Instant, Key)>,
    /// Of spans, for exemplars.
    pub observations: Observations,
    keep: Duration,
    now: Instant,
    /// Bytes of traces and requests.
    index: usize,
    /// Bytes of held batches.
    held: usize,
    late: u64,
}

#[derive(Debug)]
enum Key {
    Trace(TraceId),
    Request(Arc<str>),
}

/// What is known of a request's id.
#[derive(Debug)]
struct Request {
    touched: Instant,
    trace: Belongs,
    /// Log records that have gone on before it was known.
    unserved: u64,
    /// Batches that wait for it.
    waiting: Vec<Weak<Ticket>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belongs {
    Unknown,
    To(TraceId),
    /// Two traces at a time claim it, so it says nothing.
    ToSeveral,
}

/// Bytes of a request beside its text: in the table, in the order and in the list of its trace.
const REQUEST: usize = size_of::<Request>() + 96;

impl Memory {
    /// An empty memory.
    pub fn new(most_bytes: usize, keep: Duration, counts: Counts) -> Memory {
        let state = State {
            traces: HashMap::new(),
            requests: HashMap::new(),
            order: VecDeque::new(),
            observations: Observations::default(),
            keep,
            now: Instant::now(),
            index: 0,
            held: 0,
            late: 0,
        };
        Memory { state: Mutex::new(state), most_bytes, counts }
    }

    /// Its counters.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Works on the memory as it is now: what is too old is gone before, what is too much afterwards.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = Instant::now();
        state.forget_old();
        let out = work(&mut state);
        let mut evicted = 0;
        while state.bytes() > self.most_bytes && state.forget_one() {
            evicted += 1;
        }
        self.counts.evicted.inc_by(evicted);
        self.counts.late.inc_by(std::mem::take(&mut state.late));
        self.counts.held(state.index + state.observations.bytes(), state.held);
        out
    }

    /// Room for a batch of so many bytes, if there is any; given back on drop. Batches take half of the memory at most.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        self.with(|state| {
            let fits = state.held + bytes <= self.most_bytes / 2;
            fits.then(|| state.held += bytes).map(|()| Held { memory: self.clone(), bytes })
        })
    }
}

/// Room that a held batch takes.
pub struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.with(|state| state.held -= self.bytes);
    }
}

impl State {
    /// When it was locked.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Works on what is known of a trace, which is touched.
    pub fn trace<T>(&mut self, id: TraceId, work: impl FnOnce(&mut Trace) -> T) -> T {
        let trace = match self.traces.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let trace = new.insert(Trace::new(self.now));
                self.index += trace.bytes();
                self.order.push_back((self.now, Key::Trace(id)));
                trace
            }
        };
        let before = trace.bytes();
        trace.touched = self.now;
        let out = work(trace);
        self.index = self.index + trace.bytes() - before;
        out
    }

    /// A trace, if anything is known of it.
    pub fn known(&self, id: &TraceId) -> Option<&Trace> {
        self.traces.get(id).filter(|trace| trace.touched + self.keep > self.now)
    }

    /// The root span of a trace has come: who waited goes on, and who has gone on without was early.
    pub fn root_came(&mut self, id: TraceId) {
        let waiting = self.trace(id, |trace| {
            trace.has_root = true;
            (trace.take_waiting(), std::mem::take(&mut trace.unserved))
        });
        waiting.0.iter().filter_map(Weak::upgrade).for_each(|ticket| ticket.came());
        self.late += waiting.1;
    }

    /// A span or log record says that this request is that trace. With `wants_root`, batches that waited for the request
    /// wait on for the root span of its trace.
    pub fn learn_request(&mut self, text: &str, id: TraceId, wants_root: bool) {
        let claimed = match self.requests.get(text).map(|request| request.trace) {
            Some(Belongs::To(known)) if known == id => {
                self.requests.get_mut(text).into_iter().for_each(|request| request.touched = self.now);
                return;
            }
            Some(Belongs::To(other)) if self.known(&other).is_some() => Belongs::ToSeveral,
            Some(Belongs::ToSeveral) => return,
            _ => Belongs::To(id),
        };
        let (text, request) = self.request_entry(text);
        request.trace = claimed;
        let (waiting, unserved) = (std::mem::take(&mut request.waiting), std::mem::take(&mut request.unserved));
        self.late += if claimed == Belongs::ToSeveral { 0 } else { unserved };
        if claimed == Belongs::To(id) {
            self.trace(id, |trace| trace.request(text));
        }
        let waits_on = wants_root && !self.known(&id).is_some_and(|trace| trace.has_root);
        for ticket in waiting.iter().filter_map(Weak::upgrade) {
            if waits_on {
                self.trace(id, |trace| trace.wait(&ticket));
            } else {
                ticket.came();
            }
        }
    }

    /// The trace that a request is, if exactly one is known.
    pub fn request(&self, text: &str) -> Option<TraceId> {
        match self.requests.get(text)?.trace {
            Belongs::To(id) => Some(id).filter(|id| self.known(id).is_some()),
            Belongs::Unknown | Belongs::ToSeveral => None,
        }
    }

    /// Lets a batch wait until it is known which trace a request is.
    pub fn await_request(&mut self, text: &str, ticket: &Arc<Ticket>) {
        let (_, request) = self.request_entry(text);
        request.waiting.retain(|waiting| waiting.strong_count() > 0);
        request.waiting.push(Arc::downgrade(ticket));
    }

    /// So many log records have gone on without that knowledge.
    pub fn request_unserved(&mut self, text: &str, records: u64) {
        let (_, request) = self.request_entry(text);
        if request.trace != Belongs::ToSeveral {
            request.unserved += records;
        }
    }

    /// An item has gone on without what comes now.
    pub fn late(&mut self) {
        self.late += 1;
    }

    fn request_entry(&mut self, text: &str) -> (Arc<str>, &mut Request) {
        let text = match self.requests.get_key_value(text) {
            Some((known, _)) => known.clone(),
            None => {
                let text: Arc<str> = text.into();
                self.index += REQUEST + text.len();
                self.order.push_back((self.now, Key::Request(text.clone())));
                text
            }
        };
        let new = Request { touched: self.now, trace: Belongs::Unknown, unserved: 0, waiting: Vec::new() };
        let request = self.requests.entry(text.clone()).or_insert(new);
        request.touched = self.now;
        (text, request)
    }

    fn bytes(&self) -> usize {
        self.index + self.observations.bytes() + self.held
    }

    fn forget_old(&mut self) {
        while let Some((at, _)) = self.order.front()
            && *at + self.keep <= self.now
        {
            self.forget_next(|touched, state| touched + state.keep <= state.now);
        }
        self.observations.forget_before(self.now, self.keep);
    }

    /// Makes room. Answers whether anything could be forgotten.
    fn forget_one(&mut self) -> bool {
        if self.order.is_empty() {
            return self.observations.forget_one();
        }
        while let Some((at, _)) = self.order.front() {
            let at = *at;
            if self.forget_next(|touched, _| touched <= at) {
                return true;
            }
        }
        false
    }

    /// Takes the next out of the order and forgets it, or puts it back where `is_due` says no of its last touch.
    fn forget_next(&mut self, is_due: impl Fn(Instant, &State) -> bool) -> bool {
        let Some((_, key)) = self.order.pop_front() else { return false };
        let touched = match &key {
            Key::Trace(id) => self.traces.get(id).map(|trace| trace.touched),
            Key::Request(text) => match self.requests.get(text) {
                // It stays as long as its trace, whose list has it.
                Some(Request { trace: Belongs::To(id), .. }) if self.traces.contains_key(id) => None,
                Some(request) => Some(request.touched),
                None => None,
            },
        };
        let Some(touched) = touched else { return false };
        if !is_due(touched, self) {
            self.order.push_back((touched, key));
            return false;
        }
        match key {
            Key::Trace(id) => {
                let Some(trace) = self.traces.remove(&id) else { return false };
                self.index -= trace.bytes();
                trace.requests.iter().for_each(|text| self.forget_request(text));
            }
            Key::Request(text) => self.forget_request(&text),
        }
        true
    }

    fn forget_request(&mut self, text: &Arc<str>) {
        if self.requests.remove(text).is_some() {
            self.index -= REQUEST + text.len();
        }
    }
}
