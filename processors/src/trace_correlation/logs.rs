//! Log records: what they say of their trace and request, what they lack, and what their trace gives them.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use foldhash::fast::RandomState;
use pipeline::Signal;
use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::edit::{self, Change};
use pipeline::otlp::fields::log_record;
use pipeline::otlp::view::{AnyValue, KeyValue, View, resources};
use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;

use super::config::Choice;
use super::ids::{Lacks, Said, SpanId, TraceId, len_bit, may_be_known};
use super::memory::{Memory, State};
use super::requests::{self, By};
use super::text::cut;
use super::ticket::Ticket;
use super::trace::Facts;

/// What was found in the records of a batch, in their order.
#[derive(Default)]
pub struct Looked {
    records: Vec<Record>,
    /// The traces that they name, with the number of records of each.
    traces: Vec<(TraceId, u64)>,
    /// The requests of records without a trace, with the number of records of each.
    requests: Vec<(String, u64)>,
    errors: Vec<Error>,
    lacks: bool,
}

struct Record {
    /// Its place in `traces` or [`NONE`]; likewise its requests in `requests`, the server's id and the client's.
    trace: u32,
    requests: [u32; 2],
    span: Option<SpanId>,
    flags: Option<u8>,
    /// Whether trace and span were found elsewhere and are to be written.
    is_new: bool,
    /// Whether it has fields for ids or flags, which say nothing.
    has_ids: bool,
    /// The attributes that it has itself, as bits by number.
    has: u32,
}

const NONE: u32 = u32::MAX;

/// From this severity on it is an error.
const ERROR: u32 = 17;

struct Error {
    record: usize,
    time: u64,
    text: Arc<str>,
}

/// Errors of a batch, with the spans they concern.
#[derive(Default)]
pub struct Errors(Vec<(TraceId, Option<SpanId>, u64, Arc<str>)>);

/// A trace as a batch needs it.
struct Known {
    id: TraceId,
    has_root: bool,
    facts: Arc<Facts>,
    /// All facts, one behind the other, for the records that have none of them.
    all: Vec<u8>,
}

impl Known {
    /// Its facts, which were left out while the memory was locked.
    fn joined(mut self) -> Known {
        self.all = self.facts.iter().flatten().map(|fact| &*fact.field).collect::<Vec<_>>().concat();
        self
    }
}

impl Looked {
    /// Reads a batch, and learns which request is which trace.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn new(choice: &Choice, memory: &Memory, batch: &Batch) -> Result<Looked, WireError> {
        let mut reading = Reading::new(choice, batch.items());
        for part in batch.parts() {
            for group in resources(part) {
                for scope in group?.scopes() {
                    for record in scope?.items::<&[u8]>() {
                        reading.record(record?)?;
                    }
                }
            }
        }
        let Reading { mut looked, learned, .. } = reading;
        if !looked.traces.is_empty() || !looked.requests.is_empty() {
            let wants_roots = choice.wants_roots();
            looked.lacks = memory.with(|state| {
                looked.traces.iter().for_each(|(id, _)| state.trace(*id, |trace| trace.has_logs = true));
                for (trace, [server, client]) in looked.traces.iter().zip(learned) {
                    for (by, text) in [(By::Server, server), (By::Client, client)] {
                        if let Some(text) = text {
                            state.learn_request(&requests::key(by, text), trace.0, wants_roots);
                        }
                    }
                }
                !looked.missing(choice, state).is_empty()
            });
        }
        Ok(looked)
    }

    /// Whether something may still come that it lacks.
    pub fn lacks_something(&self) -> bool {
        self.lacks
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.records.len() * size_of::<Record>()
            + self.traces.len() * size_of::<(TraceId, u64)>()
            + self.requests.iter().map(|(text, _)| text.len() + size_of::<(String, u64)>()).sum::<usize>()
            + self.errors.iter().map(|error| error.text.len() + size_of::<Error>()).sum::<usize>()
    }

    /// A ticket for what it lacks.
    pub fn ticket(&self, choice: &Choice, memory: &Memory) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::default());
        memory.with(|state| {
            let missing = self.missing(choice, state);
            // One more, so that it is not complete before everything is counted, and at once where nothing is missing any
            // more.
            ticket.misses();
            for missing in missing {
                ticket.misses();
                match missing {
                    Missing::Root(id) => state.trace(id, |trace| trace.wait(&ticket)),
                    Missing::Request(text) => state.await_request(text, &ticket),
                }
            }
            ticket.came();
        });
        ticket
    }

    fn missing(&self, choice: &Choice, state: &State) -> Vec<Missing<'_>> {
        let lacks_root = |id: &TraceId| choice.wants_roots() && !state.known(id).is_some_and(|trace| trace.has_root);
        let roots = self.traces.iter().map(|(id, _)| *id).filter(lacks_root).map(Missing::Root);
        let requests = self.requests.iter().filter_map(|(text, _)| match state.request(text) {
            None => Some(Missing::Request(text)),
            Some(id) => Some(id).filter(lacks_root).map(Missing::Root),
        });
        roots.chain(requests).collect()
    }

    /// The errors whose traces are known by now. They are no longer among those that [`Looked::edit`] answers.
    pub fn take_known_errors(&mut self, memory: &Memory) -> Errors {
        let mut known = Vec::new();
        if self.errors.is_empty() {
            return Errors(known);
        }
        let Looked { records, traces, requests, errors, .. } = self;
        let requests: Vec<_> = memory.with(|state| requests.iter().map(|(text, _)| state.request(text)).collect());
        let trace_of = |record: &Record| {
            let named = traces.get(record.trace as usize).map(|(id, _)| *id);
            named.or_else(|| record.requests.iter().find_map(|number| *requests.get(*number as usize)?))
        };
        errors.retain(|Error { record, time, text }| {
            let of = records.get(*record).and_then(|record| Some((trace_of(record)?, record.span)));
            known.extend(of.map(|(trace, span)| (trace, span, *time, text.clone())));
            of.is_none()
        });
        Errors(known)
    }

    /// The batch with what is known now, and its errors.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn edit(&self, choice: &Choice, memory: &Memory, batch: Batch) -> Result<(Batch, Errors), WireError> {
        if self.traces.is_empty() && self.requests.is_empty() {
            return Ok((batch, Errors(Vec::new())));
        }
        let (traces, requests) = memory.with(|state| self.known(choice, state));
        let traces: Vec<_> = traces.into_iter().map(Known::joined).collect();
        let requests: Vec<_> = requests.into_iter().map(|known| known.map(Known::joined)).collect();
        let of = |record: &Record| {
            let named = traces.get(record.trace as usize);
            named.or_else(|| record.requests.iter().find_map(|number| requests.get(*number as usize)?.as_ref()))
        };
        let (mut hits, mut lookups, mut is_changed) = (0, 0, false);
        for record in &self.records {
            let known = of(record);
            let is_hit = known.is_some_and(|known| known.has_root || !choice.wants_roots());
            hits += u64::from(is_hit);
            lookups += u64::from(known.is_some() || record.requests != [NONE; 2]);
            is_changed |= record.is_new || known.is_some_and(|known| record.trace == NONE || !known.facts.is_empty());
        }
        memory.counts().looked_up(Signal::Logs, hits, lookups - hits);
        let with_trace = |error: &Error| {
            let record = self.records.get(error.record)?;
            Some((of(record)?.id, record.span, error.time, error.text.clone()))
        };
        let errors = Errors(self.errors.iter().filter_map(with_trace).collect());
        if !is_changed {
            return Ok((batch, errors));
        }
        let mut records = self.records.iter();
        let batch = batch.map_parts(|part| {
            edit::items(Signal::Logs, part, |_, item, out| match records.next() {
                Some(record) => record.edit(of(record), item, out),
                None => Ok(Change::Keep),
            })
        })?;
        Ok((batch, errors))
    }

    /// What is known of its traces and requests. What is not is remembered to have been missing.
    fn known(&self, choice: &Choice, state: &mut State) -> (Vec<Known>, Vec<Option<Known>>) {
        let look_up = |state: &mut State, id: TraceId, records: u64| {
            state.trace(id, |trace| {
                if choice.wants_roots() && !trace.has_root {
                    trace.unserved += records;
                }
                Known { id, has_root: trace.has_root, facts: trace.facts.clone(), all: Vec::new() }
            })
        };
        let traces = self.traces.iter().map(|(id, records)| look_up(state, *id, *records)).collect();
        let requests = self.requests.iter().map(|(text, records)| match state.request(text) {
            Some(id) => Some(look_up(state, id, *records)),
            None => {
                state.request_unserved(text, *records);
                None
            }
        });
        (traces, requests.collect())
    }
}

enum Missing<'l> {
    Root(TraceId),
    Request(&'l str),
}

impl Record {
    /// Writes what the record gets behind itself, or all of it where it says something of the ids already.
    fn edit(&self, known: Option<&Known>, item: &[u8], out: &mut Writer) -> Result<Change, WireError> {
        let Some(known) = known else { return Ok(Change::Keep) };
        let gives_trace = self.is_new || self.trace == NONE;
        if gives_trace {
            if self.has_ids {
                let is_id = |number| matches!(number, log_record::TRACE_ID | log_record::SPAN_ID | log_record::FLAGS);
                out.fields_except(item, |number| {
                    is_id(number) && (number != log_record::FLAGS || self.flags.is_some())
                })?;
            }
            out.bytes(log_record::TRACE_ID, &known.id);
            if let Some(span) = &self.span {
                out.bytes(log_record::SPAN_ID, span);
            }
            if let Some(flags) = self.flags {
                out.fixed32(log_record::FLAGS, flags.into());
            }
        }
        let mut is_changed = gives_trace;
        if self.has == 0 {
            out.raw(&known.all);
            is_changed |= !known.all.is_empty();
        }
        for (number, fact) in known.facts.iter().enumerate().filter(|_| self.has != 0) {
            if let Some(fact) = fact
                && self.has >> number & 1 == 0
            {
                out.raw(&fact.field);
                is_changed = true;
            }
        }
        Ok(match (is_changed, gives_trace && self.has_ids) {
            (false, _) => Change::Keep,
            (true, false) => Change::Append,
            (true, true) => Change::Replace,
        })
    }
}

impl Errors {
    /// Remembers them for the spans that they concern.
    pub fn remember(&self, memory: &Memory) {
        if self.0.is_empty() {
            return;
        }
        memory.with(|state| {
            for (trace, span, time, text) in &self.0 {
                if state.trace(*trace, |trace| trace.error(*span, *time, text)) {
                    state.late();
                }
            }
        });
    }

    /// They have not happened, or are told once more.
    pub fn forget(&self, memory: &Memory) {
        if self.0.is_empty() {
            return;
        }
        memory.with(|state| self.0.iter().for_each(|(id, span, ..)| state.trace(*id, |trace| trace.no_error(*span))));
    }
}

/// A batch that is being read.
struct Reading<'c, 'a> {
    choice: &'c Choice,
    looked: Looked,
    /// For one batch, with seeds of its own: those who choose the ids cannot learn them.
    traces: HashMap<TraceId, u32, RandomState>,
    requests: HashMap<(By, &'a str), u32, RandomState>,
    /// The requests that each trace is, as the last record has said, the server's id and the client's.
    learned: Vec<[Option<&'a str>; 2]>,
    last: Option<(TraceId, u32)>,
}

impl<'c, 'a> Reading<'c, 'a> {
    fn new(choice: &'c Choice, items: usize) -> Reading<'c, 'a> {
        let looked = Looked { records: Vec::with_capacity(items), ..Looked::default() };
        let (traces, requests) = Default::default();
        Reading { choice, looked, traces, requests, learned: Vec::new(), last: None }
    }

    fn record(&mut self, raw: &'a [u8]) -> Result<(), WireError> {
        let mut said = Said::default();
        let (mut trace, mut span, mut body): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let (mut severity, mut time, mut observed, mut flags) = (0, 0, 0, None);
        let mut has = 0u32;
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                log_record::ATTRIBUTES => {
                    // A message matters only of errors; the severity mostly stands before it.
                    let is_quiet = (1..ERROR).contains(&severity);
                    self.attribute(field.value.bytes()?, is_quiet, &mut said, &mut has)?;
                }
                log_record::BODY => body = field.value.bytes()?,
                log_record::TRACE_ID => trace = field.value.bytes()?,
                log_record::SPAN_ID => span = field.value.bytes()?,
                log_record::SEVERITY_NUMBER => severity = field.value.uint32()?,
                log_record::TIME => time = field.value.fixed64()?,
                log_record::OBSERVED_TIME => observed = field.value.fixed64()?,
                log_record::FLAGS => flags = Some(field.value.fixed32()?),
                _ => {}
            }
        }
        let (own, own_span) = (id::<16>(trace)?, id::<8>(span)?);
        let number = self.number_of(own);
        let is_error = severity >= ERROR;
        let lacks = Lacks {
            trace: own.is_none() && said.trace.is_none() && self.choice.log_ids,
            request: !said.has_request()
                && (self.teaches_nothing_yet(number) || (number == NONE && self.choice.log_ids)),
        };
        let mut text = None;
        let lacks_message = is_error && said.message.is_none();
        if lacks_message || ((lacks.trace || lacks.request) && lacks.may_be_in(body)) {
            let body = AnyValue::view(body)?;
            text = body.as_text();
            said.body(body)?;
        }
        let is_new = own.is_none() && said.trace.is_some() && self.choice.log_ids;
        let number = if is_new { self.number_of(said.trace) } else { number };
        let requests = self.of_requests(number, &said);
        if is_error {
            let text = cut(said.message.or(text).unwrap_or_default()).into();
            let time = if time == 0 { observed } else { time };
            self.looked.errors.push(Error { record: self.looked.records.len(), time, text });
        }
        self.looked.records.push(Record {
            trace: number,
            requests,
            span: if is_new { said.span } else { own_span.filter(|_| own.is_some()) },
            flags: said.flags.filter(|_| is_new && flags.unwrap_or(0) == 0),
            is_new,
            has_ids: !trace.is_empty() || !span.is_empty() || flags.is_some(),
            has,
        });
        Ok(())
    }

    #[inline]
    fn attribute(&self, inside: &'a [u8], is_quiet: bool, said: &mut Said<'a>, has: &mut u32) -> Result<(), WireError> {
        // Nearly everyone writes keys first, and most say nothing here.
        if let [0x0a, len @ 0..0x80, rest @ ..] = inside
            && let Some(key) = rest.get(..usize::from(*len))
            && (!may_be_known(key) || (is_quiet && matches!(key, b"message" | b"msg")))
            && self.choice.log_attribute_lens & len_bit(key.len()) == 0
        {
            return Ok(());
        }
        let attribute = KeyValue::view(inside)?;
        for (number, name) in self.choice.log_attributes.iter().enumerate() {
            *has |= u32::from(name == attribute.key) << number;
        }
        if let AnyValue::Text(text) = attribute.value {
            said.field(attribute.key, text);
        }
        Ok(())
    }

    /// The number of a trace, of which one more record is there.
    fn number_of(&mut self, trace: Option<TraceId>) -> u32 {
        let Some(trace) = trace else { return NONE };
        let number = match self.last {
            Some((last, number)) if last == trace => number,
            _ => *self.traces.entry(trace).or_insert_with(|| {
                self.looked.traces.push((trace, 0));
                self.learned.push([None; 2]);
                count(self.looked.traces.len())
            }),
        };
        self.last = Some((trace, number));
        self.looked.traces[number as usize].1 += 1;
        number
    }

    fn teaches_nothing_yet(&self, trace: u32) -> bool {
        self.learned.get(trace as usize).is_some_and(|learned| *learned == [None; 2])
    }

    /// Notes which requests a trace is; or, without a trace, the numbers of the requests to look up.
    fn of_requests(&mut self, trace: u32, said: &Said<'a>) -> [u32; 2] {
        let ids = [(By::Server, said.request), (By::Client, said.client_request)];
        if let Some(learned) = self.learned.get_mut(trace as usize) {
            learned.iter_mut().zip(ids).for_each(|(slot, (_, text))| *slot = text.or(*slot));
            return [NONE; 2];
        }
        if !self.choice.log_ids {
            return [NONE; 2];
        }
        let mut is_first = true;
        ids.map(|(by, text)| {
            let Some(text) = text else { return NONE };
            let number = *self.requests.entry((by, text)).or_insert_with(|| {
                self.looked.requests.push((requests::key(by, text), 0));
                count(self.looked.requests.len())
            });
            // A record that names both counts once.
            self.looked.requests[number as usize].1 += u64::from(std::mem::take(&mut is_first));
            number
        })
    }
}

/// The number of the last of so many.
fn count(len: usize) -> u32 {
    u32::try_from(len - 1).unwrap_or(NONE - 1)
}

/// An id, unless absent or all zero.
fn id<const N: usize>(bytes: &[u8]) -> Result<Option<[u8; N]>, WireError> {
    match <[u8; N]>::try_from(bytes) {
        Ok(id) => Ok(Some(id).filter(|id| *id != [0; N])),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(WireError::IdLength),
    }
}
