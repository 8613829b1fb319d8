//! `batch`: the collector's batch processor as a front for delivery. Nothing happens at its place in the pipeline: the
//! queues of the pipeline's exporters merge and split as it says, so that no acknowledgement is lost and no receiver
//! waits for a timeout.

#[cfg(test)]
mod tests;

use pipeline::Signal;
use pipeline::component::{Context, Error, Stage};
use pipeline::config::{GoDuration, Problem, Settings};
use pipeline::delivery::{BatchSettings, Sizer};
use pipeline::registry::ProcessorFactory;
use serde::Deserialize;

/// The config of `batch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The longest that data wait for more; zero sends at once.
    pub timeout: GoDuration,
    /// Send as soon as so many items are there; zero sends at once.
    pub send_batch_size: u32,
    /// Split what is larger, in items; zero is no limit.
    pub send_batch_max_size: u32,
    /// Batches that differ in these request headers are not merged.
    pub metadata_keys: Vec<String>,
    /// Accepted: memory is bounded by the queue's bytes, not by the number of header combinations.
    pub metadata_cardinality_limit: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            timeout: GoDuration::from_millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let (size, max) = (self.send_batch_size, self.send_batch_max_size);
        if max != 0 && max < size {
            problems.push(Problem::at(
                "send_batch_max_size",
                format!("is {max}, it must be at least send_batch_size ({size}), or 0 for no limit"),
            ));
        }
        for (i, key) in self.metadata_keys.iter().enumerate() {
            let path = format!("metadata_keys.{i}");
            if key.is_empty() {
                problems.push(Problem::at(path, "is empty, name a request header"));
            } else if self.metadata_keys[..i].iter().any(|k| k.eq_ignore_ascii_case(key)) {
                problems.push(Problem::at(path, format!("names {key} again; letter case does not matter")));
            }
        }
        problems
    }
}

/// Makes the stage.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["batch"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Lets the exporters behind it send larger batches.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, _: Context) -> Result<Stage, Error> {
        // In the collector a timeout of zero sends at once whatever the size.
        let at_once = config.timeout.get().is_zero();
        Ok(Stage::Batching(BatchSettings {
            flush_timeout: config.timeout.get(),
            min_size: if at_once { 0 } else { config.send_batch_size as usize },
            max_size: config.send_batch_max_size as usize,
            sizer: Some(Sizer::Items),
            metadata_keys: config.metadata_keys.iter().map(|k| k.to_ascii_lowercase()).collect(),
        }))
    }
}
