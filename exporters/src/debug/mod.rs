//! Shows what arrives: a line a batch, a line an item, or everything, in our own log or on standard output.

mod config;
mod lines;
mod output;
mod sampler;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use pipeline::delivery;
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Receipt, Refused, Signal};

pub use config::{Config, Verbosity};
use output::Output;
use sampler::Sampler;

/// `debug`.
pub struct Factory;

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["debug"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Shows what arrives, in the log or on standard output.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        Ok(Box::new(Debug {
            verbosity: config.verbosity,
            sampler: Sampler::new(config.sampling_initial, config.sampling_thereafter),
            output: Arc::new(Output::new(&config, &context)),
        }))
    }

    fn delivery() -> delivery::Settings {
        delivery::Settings::direct()
    }
}

/// The exporter.
struct Debug {
    verbosity: Verbosity,
    sampler: Sampler,
    output: Arc<Output>,
}

impl Exporter for Debug {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(async move {
            if self.sampler.takes() {
                let mut lines = vec![lines::summary(batch)?];
                match self.verbosity {
                    Verbosity::Basic => {}
                    Verbosity::Normal => lines.extend(lines::items(batch)?),
                    Verbosity::Detailed => lines.extend(lines::everything(batch)?),
                }
                self.output.show(lines).await.map_err(|error| Refused::retry("output", error))?;
            }
            Ok(Receipt::default())
        })
    }
}
