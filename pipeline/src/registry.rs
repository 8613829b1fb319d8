//! The explicit list of components that a binary has.

use crate::batch::Signal;
use crate::component::{Context, Error, Exporter, Receiver, Stage};
use crate::config::Settings;
use crate::delivery;

/// Builds receivers of one type: one instance for each id, whatever signals its pipelines take.
pub trait ReceiverFactory: 'static {
    /// The type's name, then its aliases (older names, which work with a warning).
    const TYPES: &'static [&'static str];
    /// The signals it can bring in.
    const SIGNALS: &'static [Signal];
    /// One sentence for `slipring components`.
    const ABOUT: &'static str;
    /// Its config.
    type Config: Settings;

    /// Builds it; opens nothing yet.
    ///
    /// # Errors
    /// What the config alone does not show, such as an unreadable certificate.
    fn build(config: Self::Config, context: Context) -> Result<Box<dyn Receiver>, Error>;
}

/// Builds processors of one type: one instance for each pipeline.
pub trait ProcessorFactory: 'static {
    /// The type's name, then its aliases.
    const TYPES: &'static [&'static str];
    /// The signals it can process.
    const SIGNALS: &'static [Signal];
    /// One sentence for `slipring components`.
    const ABOUT: &'static str;
    /// Its config.
    type Config: Settings;

    /// Builds it; `context.signal` is its pipeline's.
    ///
    /// # Errors
    /// What the config alone does not show.
    fn build(config: Self::Config, context: Context) -> Result<Stage, Error>;
}

/// Builds exporters of one type: one instance for each id and signal.
pub trait ExporterFactory: 'static {
    /// The type's name, then its aliases.
    const TYPES: &'static [&'static str];
    /// The signals it can send.
    const SIGNALS: &'static [Signal];
    /// One sentence for `slipring components`.
    const ABOUT: &'static str;
    /// Its config, without `timeout`, `retry_on_failure` and `sending_queue`, which delivery reads from the same body.
    type Config: Settings;

    /// Builds it; `context.signal` is its signal. Connects to nothing yet.
    ///
    /// # Errors
    /// What the config alone does not show.
    fn build(config: Self::Config, context: Context) -> Result<Box<dyn Exporter>, Error>;

    /// What delivery does where the config says nothing.
    fn delivery() -> delivery::Settings {
        delivery::Settings::default()
    }
}

/// The components of a binary.
#[derive(Default)]
pub struct Registry {}
