//! `filter`: keeps or drops spans, log records and metrics by their names and properties. Whole metrics are decided by
//! their name alone, without a look at their points.

mod config;
mod cut;
mod gauges;
mod names;
#[cfg(test)]
mod tests;

use pipeline::Signal;
use pipeline::batch::Batch;
use pipeline::component::{Context, Error, Processor, Reason, Refused, Stage};
use pipeline::otlp::edit::{self, Change};
use pipeline::otlp::view::{Metric, View};
use pipeline::otlp::{Place, WireError, filter};
use pipeline::registry::ProcessorFactory;
use pipeline::telemetry::Drops;

pub use config::Config;

use crate::matching::{Cursor, Selection};
use names::{Known, Names};

/// Makes the processor.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["filter"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Keeps or drops spans, log records and metrics by their names and properties.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Stage, Error> {
        let rules = match context.signal {
            Some(Signal::Metrics) => Rules::Metrics(Box::new(Names::new(&config.metrics)?)),
            Some(Signal::Logs) => Rules::Items(Box::new(Selection::new(&config.logs.matching(), Signal::Logs)?)),
            _ => Rules::Items(Box::new(Selection::new(&config.spans, Signal::Traces)?)),
        };
        Ok(Stage::Plain(Box::new(Filter { rules, drops: context.drops.on_purpose() })))
    }
}

/// The code of what is not kept.
const FILTERED: &str = "filtered";

/// The processor.
pub struct Filter {
    rules: Rules,
    drops: Drops,
}

enum Rules {
    /// For spans and log records.
    Items(Box<Selection>),
    Metrics(Box<Names>),
}

impl Rules {
    fn keep_everything(&self) -> bool {
        match self {
            Rules::Items(selection) => selection.is_everything(),
            Rules::Metrics(names) => names.keep_everything(),
        }
    }
}

impl Processor for Filter {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        if self.rules.keep_everything() {
            return Ok(batch);
        }
        let signal = batch.signal();
        let (mut dropped, mut made) = (0, 0);
        let mut witness = self.drops.witness(signal);
        let edited = batch.map_parts(|part| -> Result<_, Refused> {
            let edited = match &self.rules {
                Rules::Items(selection) => {
                    let mut cursor = Cursor::new(selection, signal);
                    filter::items(signal, part, |place, item| {
                        let keeps = cursor.selects(place, item)?;
                        if !keeps {
                            self.drops.see(&mut witness, place.resource, item, FILTERED);
                        }
                        Ok(keeps)
                    })?
                }
                Rules::Metrics(names) => {
                    let mut known = names.known();
                    if names.per_sample() {
                        edit::items(signal, part, |place, raw, out| {
                            let change = cut_metric(&mut known, place, raw, out)?;
                            if matches!(change, Change::Drop) {
                                self.drops.see(&mut witness, place.resource, raw, FILTERED);
                            }
                            Ok(change)
                        })?
                    } else {
                        filter::metrics(part, |place, name, raw| {
                            let keeps = known.keeps(place, name)?;
                            if !keeps {
                                self.drops.see(&mut witness, place.resource, raw, FILTERED);
                            }
                            Ok(keeps)
                        })?
                    }
                }
            };
            if let Some(edited) = &edited {
                dropped += edited.items_removed;
                made += edited.items_added;
            }
            Ok(edited)
        })?;
        self.drops.made(signal, made);
        let reason = Reason::new(FILTERED, "the filter's config does not keep it");
        self.drops.record_seen(signal, dropped, &reason, witness);
        Ok(edited)
    }
}

fn cut_metric(
    known: &mut Known<'_>,
    place: &Place<'_>,
    raw: &[u8],
    out: &mut pipeline::otlp::write::Writer,
) -> Result<Change, WireError> {
    let metric = Metric::view(raw)?;
    let samples = known.samples(place, metric.name)?;
    cut::cut(&metric, samples, known.is_scraped(place)?, out)
}
