//! Spans: what they teach about their traces, and what their log records' errors add to them.

use std::mem::size_of;
use std::sync::Arc;

use pipeline::Signal;
use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::edit::{self, Change};
use pipeline::otlp::fields::{log_record, span as field};
use pipeline::otlp::view::{AnyValue, KeyValue, ResourceGroup, Span, View, resources};
use pipeline::otlp::write::{Scalar, Writer};

use super::config::{Choice, SpanFact, Target};
use super::ids::{Said, SpanId, TraceId};
use super::memory::{Memory, State};
use super::requests::{self, By};
use super::text::cut;
use super::trace::Errors;
use super::worker;

/// What is needed of the spans of a batch once it goes on, in their order.
pub struct Looked {
    spans: Vec<Seen>,
}

struct Seen {
    ids: Option<(TraceId, SpanId)>,
    is_root: bool,
}

/// How well a source speaks for its trace; its place among the sources comes second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Voice {
    /// A span that is no root.
    Other = 1,
    /// An event of a root.
    RootEvent,
    /// A root that has a parent somewhere else.
    Root,
    /// The span without a parent.
    First,
}

impl Looked {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.spans.len() * size_of::<Seen>()
    }

    /// Learns from the spans of a batch.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn new(choice: &Choice, memory: &Memory, batch: &Batch) -> Result<Looked, WireError> {
        let mut looked = Looked { spans: Vec::with_capacity(batch.items()) };
        memory.with(|state| {
            for part in batch.parts() {
                for group in resources(part) {
                    let group = group?;
                    for scope in group.scopes() {
                        for span in scope?.items::<Span<'_>>() {
                            looked.spans.push(Lesson { choice, state, group: &group, span: &span? }.learn()?);
                        }
                    }
                }
            }
            Ok(looked)
        })
    }

    /// The batch with what the spans' log records add.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn edit(&self, choice: &Choice, memory: &Memory, batch: Batch) -> Result<Batch, WireError> {
        if choice.span_attributes.is_empty() {
            return Ok(batch);
        }
        let (mut hits, mut misses) = (0, 0);
        let errors: Vec<Errors> = memory.with(|state| {
            let gone = |seen: &Seen| {
                let Some((trace, span)) = seen.ids else { return Errors::default() };
                state.trace(trace, |trace| {
                    *(if trace.has_logs { &mut hits } else { &mut misses }) += 1;
                    trace.gone(span, seen.is_root)
                })
            };
            self.spans.iter().map(gone).collect()
        });
        memory.counts().looked_up(Signal::Traces, hits, misses);
        if errors.iter().all(|errors| errors.count == 0) {
            return Ok(batch);
        }
        let mut errors = errors.iter();
        batch.map_parts(|part| {
            edit::items(Signal::Traces, part, |_, item, out| {
                let Some(errors) = errors.next().filter(|errors| errors.count > 0) else { return Ok(Change::Keep) };
                add(choice, errors, item, out)
            })
        })
    }
}

/// What a span has measured, and when it ended.
pub type Measured = ((TraceId, SpanId), u64, Vec<(usize, f64)>);

/// What the spans of a batch have measured.
///
/// # Errors
/// When it is malformed.
pub fn measured(choice: &Choice, batch: &Batch) -> Result<Vec<Measured>, WireError> {
    let mut measured = Vec::new();
    for part in batch.parts() {
        for group in resources(part) {
            for scope in group?.scopes() {
                for span in scope?.items::<Span<'_>>() {
                    let span = span?;
                    let values = choice.rules.values(&span)?;
                    if !values.is_empty()
                        && let (Some(trace), Some(id)) = (span.trace_id()?, span.span_id()?)
                    {
                        measured.push(((trace, id), span.end, values));
                    }
                }
            }
        }
    }
    Ok(measured)
}

/// Writes what a span gets: the errors of its log records.
fn add(choice: &Choice, errors: &Errors, item: &[u8], out: &mut Writer) -> Result<Change, WireError> {
    let span = Span::view(item)?;
    for (name, fact) in &choice.span_attributes {
        let value = match (fact, &errors.last) {
            (SpanFact::ErrorCount, _) => Scalar::Int(i64::try_from(errors.count).unwrap_or(i64::MAX)),
            (SpanFact::LastError, Some((_, text))) => Scalar::Text(text),
            (SpanFact::LastError, None) => continue,
        };
        if span.attributes().find(name)?.is_none() {
            out.attribute(field::ATTRIBUTES, name, value);
        }
    }
    Ok(Change::Append)
}

/// What one span teaches.
struct Lesson<'l, 'a> {
    choice: &'l Choice,
    state: &'l mut State,
    group: &'l ResourceGroup<'a>,
    span: &'l Span<'a>,
}

impl<'a> Lesson<'_, 'a> {
    fn learn(&mut self) -> Result<Seen, WireError> {
        let span = self.span;
        let (Some(trace), Some(id)) = (span.trace_id()?, span.span_id()?) else {
            return Ok(Seen { ids: None, is_root: false });
        };
        let voice = match span.parent_span_id()? {
            None => Voice::First,
            Some(_) if self.choice.root_spans.iter().any(|name| name == span.name) => Voice::Root,
            Some(_) => Voice::Other,
        };
        let is_root = voice != Voice::Other;
        let mut said = Said::default();
        for attribute in span.attributes() {
            let attribute = attribute?;
            if let AnyValue::Text(text) = attribute.value {
                said.field(attribute.key, text);
            }
            self.fact(trace, voice, &attribute);
        }
        for event in span.events() {
            for attribute in event?.attributes() {
                self.fact(trace, voice.min(Voice::RootEvent), &attribute?);
            }
        }
        if is_root {
            for attribute in self.group.attributes() {
                self.fact(trace, voice, &attribute?);
            }
            self.state.root_came(trace);
        }
        for (by, text) in [(By::Server, said.request), (By::Client, said.client_request)] {
            if let Some(text) = text {
                self.state.learn_request(&requests::key(by, text), trace, self.choice.wants_roots());
            }
        }
        Ok(Seen { ids: Some((trace, id)), is_root })
    }

    fn fact(&mut self, trace: TraceId, voice: Voice, attribute: &KeyValue<'a>) {
        let choice = self.choice;
        for source in choice.sources(attribute.key) {
            let rank = voice as u16 * 256 + 255u16.saturating_sub(source.place);
            match (source.target, attribute.value) {
                (Target::Model, AnyValue::Text(model)) => {
                    self.state.trace(trace, |trace| trace.model(rank, cut(model)));
                }
                (Target::LogAttribute(number), value) if is_plain(value) => self.state.trace(trace, |trace| {
                    trace.fact(number, choice.log_attributes.len(), rank, || written(choice, number, attribute));
                }),
                _ => {}
            }
        }
    }
}

fn is_plain(value: AnyValue<'_>) -> bool {
    matches!(value, AnyValue::Text(_) | AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Double(_))
}

/// A fact as a log record's attribute.
fn written(choice: &Choice, number: usize, attribute: &KeyValue<'_>) -> Arc<[u8]> {
    let mut out = Writer::new();
    let name = &choice.log_attributes[number];
    let id = match attribute.value {
        AnyValue::Text(text) if choice.worker_id_keys.iter().any(|key| key == attribute.key) => {
            worker::converted(choice.worker_id, text, false)
        }
        _ => None,
    };
    let value = match (&id, attribute.value) {
        (Some(id), _) => AnyValue::Text(id),
        (None, AnyValue::Text(text)) => AnyValue::Text(cut(text)),
        (None, other) => other,
    };
    out.attribute(log_record::ATTRIBUTES, name, value);
    out.into_vec().into()
}
