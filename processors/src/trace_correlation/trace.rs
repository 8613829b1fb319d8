//! What is known of one trace, and what it takes in memory.

use std::mem::size_of;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::ids::SpanId;
use super::ticket::Ticket;

/// The facts of a trace by their number in the config, each with its rank: a fact of a higher rank takes the place of others.
pub type Facts = Vec<Option<Fact>>;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// How well its source speaks for the trace.
    pub rank: u16,
    /// As it is written to a log record: a whole field.
    pub field: Arc<[u8]>,
}

/// What is known of one trace.
#[derive(Debug)]
pub struct Trace {
    /// When something of it came last.
    pub touched: Instant,
    /// Whether its root span has come.
    pub has_root: bool,
    /// Whether a log record of it has come.
    pub has_logs: bool,
    /// Shared with the batches that are being edited.
    pub facts: Arc<Facts>,
    /// The model that its request is for, with the fact's rank.
    pub model: Option<(u16, Arc<str>)>,
    /// Of its log records.
    pub errors: Errors,
    /// What concerns single spans, by id: those that have gone on, and those whose logs have errors.
    spans: Vec<(SpanId, Notes)>,
    /// Whether a root has gone on, which shows the errors of the whole trace.
    root_has_gone: bool,
    /// Requests that are known to be this trace.
    pub requests: Vec<Arc<str>>,
    /// Log records that have gone on before its root span came.
    pub unserved: u64,
    /// Batches that wait for its root span.
    pub waiting: Vec<Weak<Ticket>>,
    /// Bytes of all this beside the struct itself.
    heap: usize,
}

/// Errors among log records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// How many.
    pub count: u64,
    /// The time and text of the last.
    pub last: Option<(u64, Arc<str>)>,
}

/// What is known of one span.
#[derive(Debug, Default)]
pub struct Notes {
    /// Errors among its log records.
    pub errors: Errors,
    /// Whether it has gone on.
    pub has_gone: bool,
}

/// Bytes of a map's entry for a trace and of its place in the order, beside the trace.
const AROUND: usize = 96;

impl Trace {
    /// A trace of which nothing is known.
    pub fn new(now: Instant) -> Trace {
        Trace {
            touched: now,
            has_root: false,
            has_logs: false,
            facts: Arc::default(),
            model: None,
            errors: Errors::default(),
            spans: Vec::new(),
            root_has_gone: false,
            requests: Vec::new(),
            unserved: 0,
            waiting: Vec::new(),
            heap: 0,
        }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Trace>() + AROUND + self.heap
    }

    /// Takes in a fact, if none of that number has a higher rank.
    pub fn fact(&mut self, number: usize, of: usize, rank: u16, field: impl FnOnce() -> Arc<[u8]>) {
        let is_known =
            |facts: &Facts| facts.get(number).and_then(Option::as_ref).is_some_and(|known| known.rank > rank);
        if is_known(&self.facts) {
            return;
        }
        let fact = Fact { rank, field: field() };
        if self.facts.get(number).and_then(Option::as_ref) == Some(&fact) {
            return;
        }
        let facts = Arc::make_mut(&mut self.facts);
        if facts.len() < of {
            self.heap += (of - facts.len()) * size_of::<Option<Fact>>();
            facts.resize(of, None);
        }
        self.heap += fact.field.len();
        if let Some(old) = facts[number].replace(fact) {
            self.heap -= old.field.len();
        }
    }

    /// Takes in the model, likewise.
    pub fn model(&mut self, rank: u16, model: &str) {
        if self.model.as_ref().is_none_or(|(known, text)| *known <= rank && **text != *model) {
            self.heap += model.len();
            if let Some((_, old)) = self.model.replace((rank, model.into())) {
                self.heap -= old.len();
            }
        }
    }

    /// Adds a request that is this trace; `text` is shared with the table of requests, which counts its bytes.
    pub fn request(&mut self, text: Arc<str>) {
        self.heap += size_of::<Arc<str>>();
        self.requests.push(text);
    }

    /// Lets a batch wait for the root span; those that wait no more are forgotten.
    pub fn wait(&mut self, ticket: &Arc<Ticket>) {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.strong_count() > 0);
        self.waiting.push(Arc::downgrade(ticket));
        self.heap += self.waiting.len() * size_of::<Weak<Ticket>>();
        self.heap -= before * size_of::<Weak<Ticket>>();
    }

    /// The batches that wait, which wait no more.
    pub fn take_waiting(&mut self) -> Vec<Weak<Ticket>> {
        self.heap -= self.waiting.len() * size_of::<Weak<Ticket>>();
        std::mem::take(&mut self.waiting)
    }

    /// The errors to show on a span that goes on now: a root shows those of the whole trace.
    pub fn gone(&mut self, span: SpanId, is_root: bool) -> Errors {
        self.root_has_gone |= is_root;
        let notes = self.notes(span);
        notes.has_gone = true;
        let own = notes.errors.clone();
        if is_root { self.errors.clone() } else { own }
    }

    /// Takes in an error of a log record. Answers whether a span has gone on without it that should show it.
    pub fn error(&mut self, span: Option<SpanId>, time: u64, text: &Arc<str>) -> bool {
        let mut is_late = self.root_has_gone;
        let (mut added, mut freed) = self.errors.add(time, text);
        if let Some(span) = span {
            let notes = self.notes(span);
            let (more, less) = notes.errors.add(time, text);
            is_late |= notes.has_gone;
            (added, freed) = (added + more, freed + less);
        }
        self.heap = self.heap + added - freed;
        is_late
    }

    /// Takes an error back. The text of the last stays until there is another.
    pub fn no_error(&mut self, span: Option<SpanId>) {
        self.errors.count = self.errors.count.saturating_sub(1);
        if let Some(span) = span {
            let errors = &mut self.notes(span).errors;
            errors.count = errors.count.saturating_sub(1);
        }
    }

    fn notes(&mut self, span: SpanId) -> &mut Notes {
        let at = self.spans.binary_search_by_key(&span, |(id, _)| *id).unwrap_or_else(|at| {
            self.heap += size_of::<(SpanId, Notes)>();
            self.spans.insert(at, (span, Notes::default()));
            at
        });
        &mut self.spans[at].1
    }
}

impl Errors {
    /// Answers the bytes of texts that it keeps and lets go. A text counts for each that keeps it, shared or not.
    fn add(&mut self, time: u64, text: &Arc<str>) -> (usize, usize) {
        self.count += 1;
        if self.last.as_ref().is_some_and(|(last, _)| *last > time) {
            return (0, 0);
        }
        let old = self.last.replace((time, text.clone()));
        (text.len(), old.map_or(0, |(_, old)| old.len()))
    }
}
