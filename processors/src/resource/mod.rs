//! `resource`: changes the attributes of resources.

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

/// The config of `resource`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What to do with each resource's attributes, in this order.
    pub attributes: Vec<Action>,
}

impl Settings for Config {
    const REMOVED: &'static [(&'static str, &'static str)] = &[("actions", "here the list is called `attributes`")];

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        actions::check(&self.attributes, "attributes", &mut problems);
        problems
    }
}

/// Makes the processor.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["resource"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Changes the attributes of resources.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, _: Context) -> Result<Stage, Error> {
        Ok(Stage::Plain(Box::new(Resource { actions: Actions::new(&config.attributes)? })))
    }
}

/// The processor.
pub struct Resource {
    actions: Actions,
}

impl Processor for Resource {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        let (signal, meta) = (batch.signal(), batch.meta().cloned());
        let actions = self.actions.bind(meta.as_deref());
        batch.map_parts(|part| {
            let edited = edit::attributes(signal, part, Level::Resource, &mut |attributes| actions.apply(attributes));
            Ok(edited?.map(Edited::from))
        })
    }
}
