//! The bodies of log records.

use std::collections::VecDeque;

use bytes::Bytes;
use pipeline::Signal;
use pipeline::otlp::edit::{self, Change};
use pipeline::otlp::fields::log_record;
use pipeline::otlp::view::{AnyValue, KeyValues, View};
use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;
use pipeline::otlp::{Place, WireError};

use super::keys::Known;
use super::summary::{Deeds, Done};
use super::values::{Values, Work};
use super::{Redaction, content};

/// What was found in the bodies of a request, for their records' attributes, which are rewritten afterwards.
pub struct Bodies {
    found: VecDeque<(usize, Body)>,
    /// Records seen by [`Bodies::next`].
    seen: usize,
    /// The scope asked about last, and whether it is that of Dynamo's request trace.
    trace: Option<(usize, bool)>,
    /// There is nothing for the rules for values in any text of the request.
    pub values_pass: bool,
}

/// What was found in one body.
#[derive(Default)]
pub struct Body {
    /// Whether the record is a message to or from a language model.
    pub is_message: bool,
    /// What was done.
    pub deeds: Deeds,
}

impl Bodies {
    /// Of a request in whose texts the rules for values find nothing, or may find something.
    pub fn new(values_pass: bool) -> Bodies {
        Bodies { found: VecDeque::new(), seen: 0, trace: None, values_pass }
    }

    /// Rewrites the bodies of all records; `None` when nothing changes.
    ///
    /// # Errors
    /// When the request is malformed.
    pub fn rewrite(
        &mut self,
        redaction: &Redaction,
        request: &Bytes,
        known: &mut Known<'_>,
    ) -> Result<Option<Bytes>, WireError> {
        let mut index = 0;
        let edited = edit::items(Signal::Logs, request, |_, record, out| {
            let mut found = Body::default();
            let changes = redaction.body(record, &mut found, self.values_pass, known, out)?;
            if found.is_message || !found.deeds.are_none() {
                redaction.count(&found.deeds);
                self.found.push_back((index, found));
            }
            index += 1;
            Ok(if changes { Change::Replace } else { Change::Keep })
        })?;
        Ok(edited.map(|edited| edited.bytes))
    }

    /// What was found in the body of the next record.
    pub fn next(&mut self) -> Option<Body> {
        let index = self.seen;
        self.seen += 1;
        self.found.front().filter(|(at, _)| *at == index)?;
        self.found.pop_front().map(|(_, body)| body)
    }

    /// Whether records of that place are rows of Dynamo's request trace.
    ///
    /// # Errors
    /// When the scope is malformed.
    pub fn is_trace(&mut self, place: &Place<'_>) -> Result<bool, WireError> {
        match self.trace {
            Some((scope, is_trace)) if scope == place.scope_index => Ok(is_trace),
            _ => {
                let is_trace = place.scope.name_and_version()?.0 == content::TRACE_SCOPE;
                self.trace = Some((place.scope_index, is_trace));
                Ok(is_trace)
            }
        }
    }
}

impl Redaction {
    /// Writes the record with its new body, if it is to have another.
    fn body(
        &self,
        record: &[u8],
        found: &mut Body,
        values_pass: bool,
        known: &mut Known<'_>,
        out: &mut Writer,
    ) -> Result<bool, WireError> {
        let (mut body, mut name) = (None, "");
        for field in Fields::new(record) {
            let field = field?;
            match field.number {
                log_record::BODY => body = Some(field.value.bytes()?),
                log_record::EVENT_NAME => name = field.value.text()?,
                _ => {}
            }
        }
        if self.drops_content {
            found.is_message = content::is_message(name) || (name.is_empty() && is_named_message(record)?);
        }
        let Some(body) = body.map(AnyValue::view).transpose()? else { return Ok(false) };
        if values_pass && matches!(body, AnyValue::Text(_)) && known.keys().are_all_the_same().is_some() {
            return Ok(false);
        }
        let mut work = Work { keys: known, deeds: &mut found.deeds, prunes: true };
        let mut new = Writer::new();
        if found.is_message {
            if body == AnyValue::Empty {
                return Ok(false);
            }
            work.deeds.add(self.values.summary, Done::Redacted, || "body".to_owned());
            out.fields_except(record, |number| number == log_record::BODY)?;
            return Ok(true);
        }
        let path = || match body {
            AnyValue::Map(_) | AnyValue::Array(_) => String::new(),
            _ => "body".to_owned(),
        };
        if !self.values.write(body, &path, Values::depth(), &mut work, &mut new)? {
            return Ok(false);
        }
        out.fields_except(record, |number| number == log_record::BODY)?;
        out.bytes(log_record::BODY, new.as_slice());
        Ok(true)
    }
}

/// Whether a record says in its attributes, as older conventions had it, that it is a message.
fn is_named_message(record: &[u8]) -> Result<bool, WireError> {
    let name = KeyValues::new(record, log_record::ATTRIBUTES).find("event.name")?;
    Ok(matches!(name, Some(AnyValue::Text(name)) if content::is_message(name)))
}
