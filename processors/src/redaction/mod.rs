//! `redaction`: takes away attributes that are not allowed, masks values, and keeps the prompts and completions of language
//! models from going on. It looks at the attributes of resources, scopes, spans, events, links, log records, data points
//! and exemplars, and at the bodies of log records; not at names, status messages and units.

mod config;
mod content;
pub mod fuzz;
mod json;
mod keys;
mod mask;
mod records;
mod summary;
mod values;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use pipeline::Signal;
use pipeline::batch::{Batch, Edited};
use pipeline::component::{Context, Error, Processor, Refused, Stage};
use pipeline::otlp::WireError;
use pipeline::otlp::edit::{self, Attributes, Level, Rewrite};
use pipeline::otlp::fields::event;
use pipeline::otlp::view::{AnyValue, KeyValue, View};
use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;
use pipeline::registry::ProcessorFactory;
use prometheus::IntCounter;

pub use config::Config;
use keys::{Keys, Known, Verdict};
use records::Bodies;
use summary::{Deeds, Done};
use values::{Values, Work, is_plain, may_be_nested};

use crate::text;

/// Makes the processor.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["redaction"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Takes away or masks what must not be seen: keys, values, prompts and completions.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Stage, Error> {
        Ok(Stage::Plain(Box::new(Redaction::new(&config, &context)?)))
    }
}

/// The processor.
struct Redaction {
    keys: Keys,
    values: Values,
    drops_content: bool,
    /// What the preset alone does is nothing where it is told to keep content.
    does_nothing: bool,
    deleted: IntCounter,
    masked: IntCounter,
}

impl Redaction {
    fn new(config: &Config, context: &Context) -> Result<Redaction, String> {
        let keys = Keys::new(config)?;
        let id = context.id.to_string();
        let counter = |what: &str, help: &str| {
            context.meter.counter(&format!("slipring_redaction_{what}_total"), help, &[("processor", &id)])
        };
        Ok(Redaction {
            does_nothing: keys.are_all_the_same() == Some(Verdict::Pass),
            keys,
            values: Values::new(config)?,
            drops_content: config.drops_content(),
            deleted: counter("deleted", "Attributes, entries and bodies taken away."),
            masked: counter("masked", "Attributes, entries and bodies masked in whole or in part."),
        })
    }
}

impl Processor for Redaction {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        if self.does_nothing {
            return Ok(batch);
        }
        let signal = batch.signal();
        let mut known = self.keys.known();
        Ok(batch.map_parts(|part| self.part(signal, part, &mut known).map(|new| new.map(Edited::from)))?)
    }
}

impl Redaction {
    /// One request; `None` when nothing is redacted in it.
    fn part(&self, signal: Signal, part: &Bytes, known: &mut Known<'_>) -> Result<Option<Bytes>, WireError> {
        let mut new: Option<Bytes> = None;
        let values_pass = self.values.pass(part);
        if values_pass && signal != Signal::Logs && self.keys.are_all_the_same() == Some(Verdict::Look) {
            return Ok(None);
        }
        let mut bodies = Bodies::new(values_pass);
        if signal == Signal::Logs {
            new = bodies.rewrite(self, part, known)?;
        }
        for &level in Level::all(signal) {
            let edited = edit::attributes(signal, new.as_ref().unwrap_or(part), level, &mut |attributes| {
                self.attributes(level, signal, attributes, known, &mut bodies)
            })?;
            new = edited.or(new);
        }
        Ok(new)
    }

    fn attributes(
        &self,
        level: Level,
        signal: Signal,
        attributes: &mut Attributes<'_>,
        known: &mut Known<'_>,
        bodies: &mut Bodies,
    ) -> Result<(), WireError> {
        let of_record = level == Level::Item && signal == Signal::Logs;
        let body = if of_record { bodies.next() } else { None };
        let is_message = self.drops_content
            && match level {
                Level::Event => content::is_message(event_name(attributes.message())?),
                _ => body.as_ref().is_some_and(|body| body.is_message),
            };
        let is_row = self.drops_content && of_record && bodies.is_trace(attributes.place())?;
        let mut deeds = Deeds::default();
        attributes.rewrite(|key, attribute, out| {
            let verdict = known.of(key)?;
            let passes = match verdict {
                Verdict::Pass => !(self.drops_content && may_be_nested(key, attribute)),
                Verdict::Look => !may_be_nested(key, attribute) && (bodies.values_pass || self.values.pass(attribute)),
                _ => false,
            };
            if passes && !is_message {
                return Ok(Rewrite::Keep);
            }
            let attribute = KeyValue::view(attribute)?;
            let mut work = Work { keys: &mut *known, deeds: &mut deeds, prunes: false };
            self.attribute(verdict, is_message, is_row, attribute, &mut work, out)
        })?;
        if !deeds.are_none() {
            self.count(&deeds);
            deeds.write(self.values.summary, false, attributes)?;
        }
        if let Some(body) = body
            && !body.deeds.are_none()
        {
            body.deeds.write(self.values.summary, true, attributes)?;
        }
        Ok(())
    }

    fn attribute(
        &self,
        verdict: Verdict,
        is_message: bool,
        is_row: bool,
        attribute: KeyValue<'_>,
        work: &mut Work<'_, '_>,
        out: &mut Writer,
    ) -> Result<Rewrite, WireError> {
        let KeyValue { key, value, .. } = attribute;
        let (values, summary) = (&self.values, self.values.summary);
        let name = || key.to_owned();
        let is_content = verdict == Verdict::Content
            || (is_message && verdict != Verdict::Ignored && !content::stays_in_message(key));
        if verdict == Verdict::Ignored {
            work.deeds.add(summary, Done::Ignored, name);
            return Ok(Rewrite::Keep);
        }
        if verdict == Verdict::Delete || (is_content && !is_plain(value)) {
            work.deeds.add(summary, Done::Redacted, name);
            return Ok(Rewrite::Delete);
        }
        let looked_at = match value {
            AnyValue::Text(text) => Some(text.into()),
            value if values.all_types || verdict == Verdict::Mask => Some(text::of(value)?),
            _ => None,
        };
        if let Some(text) = &looked_at
            && values.allow(text)
        {
            work.deeds.add(summary, Done::Allowed, name);
            return Ok(Rewrite::Keep);
        }
        let new = match (looked_at, verdict) {
            (Some(text), Verdict::Mask) => Some(values.mask.of(&text)),
            (Some(text), Verdict::Line) => values.line(&text, is_row && key == "payload", work),
            (Some(text), _) => values.masked(&text),
            (None, _) => {
                let changed = values.write(value, &name, Values::depth(), work, out)?;
                if !changed {
                    out.clear();
                }
                return Ok(if changed { Rewrite::Value } else { Rewrite::Keep });
            }
        };
        let Some(new) = new else { return Ok(Rewrite::Keep) };
        work.deeds.add(summary, Done::Masked, name);
        out.value(AnyValue::Text(&new));
        Ok(Rewrite::Value)
    }

    fn count(&self, deeds: &Deeds) {
        self.deleted.inc_by(u64::from(deeds.count(Done::Redacted)));
        self.masked.inc_by(u64::from(deeds.count(Done::Masked)));
    }
}

/// The name of an event of a span.
fn event_name(event: &[u8]) -> Result<&str, WireError> {
    let mut name = "";
    for field in Fields::new(event) {
        let field = field?;
        if field.number == event::NAME {
            name = field.value.text()?;
        }
    }
    Ok(name)
}
