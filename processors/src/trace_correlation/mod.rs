//! `trace_correlation`: one trace id through all three signals. Used under one name in several pipelines, it remembers what
//! they see of each trace, bounded in bytes and time, and gives log records ids and facts of their trace, spans the errors of
//! their log records, histograms exemplars, and worker ids one form.

mod config;
mod counts;
mod exemplars;
pub mod fuzz;
mod hold;
mod ids;
mod json;
mod logs;
mod memory;
mod observations;
mod requests;
mod spans;
mod text;
mod ticket;
mod trace;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use pipeline::Signal;
use pipeline::component::{Context, Error, Stage};
use pipeline::registry::ProcessorFactory;

use config::Choice;
pub use config::Config;
use counts::Counts;
use hold::Correlation;
use memory::Memory;

/// Makes the stage.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["trace_correlation"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Joins logs, spans and metrics by their traces.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Stage, Error> {
        let most_bytes = usize::try_from(config.max_bytes.0).unwrap_or(usize::MAX);
        let keep = config.keep.get();
        let memory = context.shared.of(|| Memory::new(most_bytes, keep, Counts::new(&context)));
        let choice = Choice::new(config, context.signal.unwrap_or(Signal::Logs));
        Ok(Stage::Holding(Box::new(move |next| Arc::new(Correlation::new(choice, memory, next, context)))))
    }
}
