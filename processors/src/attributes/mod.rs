//! `attributes`: changes the attributes of spans, log records and data points, of all or of those that `include` and
//! `exclude` select.

#[cfg(test)]
mod tests;

use pipeline::Signal;
use pipeline::batch::{Batch, Edited};
use pipeline::component::{Context, Error, Processor, Refused, Stage};
use pipeline::config::{Problem, Settings};
use pipeline::otlp::edit::{self, Level};
use pipeline::registry::ProcessorFactory;
use serde::Deserialize;

use crate::actions::{self, Action, Actions};
use crate::matching::{Cursor, MatchConfig, Properties, Selection};

/// The config of `attributes`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Only what matches this.
    pub include: Option<Properties>,
    /// Nothing that matches this.
    pub exclude: Option<Properties>,
    /// What to do, in this order.
    pub actions: Vec<Action>,
}

impl Config {
    fn selection(&self) -> MatchConfig {
        MatchConfig { include: self.include.clone(), exclude: self.exclude.clone() }
    }
}

impl Settings for Config {
    const REMOVED: &'static [(&'static str, &'static str)] = &[("attributes", "here the list is called `actions`")];

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        actions::check(&self.actions, "actions", &mut problems);
        self.selection().check("", &mut problems);
        problems
    }
}

/// Makes the processor.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["attributes"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Changes the attributes of spans, log records and data points.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Stage, Error> {
        let selection = match context.signal {
            Some(signal) => Selection::new(&config.selection(), signal)?,
            None => Selection::default(),
        };
        Ok(Stage::Plain(Box::new(AttributesOf { actions: Actions::new(&config.actions)?, selection })))
    }
}

/// The processor.
pub struct AttributesOf {
    actions: Actions,
    selection: Selection,
}

impl Processor for AttributesOf {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        let (signal, meta) = (batch.signal(), batch.meta().cloned());
        let actions = self.actions.bind(meta.as_deref());
        batch.map_parts(|part| {
            let mut cursor = Cursor::new(&self.selection, signal);
            let edited = edit::attributes(signal, part, Level::items(signal), &mut |attributes| {
                if cursor.selects(attributes.place(), attributes.message())? {
                    actions.apply(attributes)?;
                }
                Ok(())
            });
            Ok(edited?.map(Edited::from))
        })
    }
}
