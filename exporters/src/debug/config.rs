//! The exporter's config: the collector's `debug`.

use pipeline::config::{Problem, Settings};
use serde::Deserialize;

/// `debug`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How much is shown.
    pub verbosity: Verbosity,
    /// So many batches are shown in a second.
    pub sampling_initial: u64,
    /// Of further ones in that second every so manieth; 0 shows none.
    pub sampling_thereafter: u64,
    /// Write into our own log.
    pub use_internal_logger: bool,
    /// Where to write otherwise: `stdout`, `stderr`, or paths.
    pub output_paths: Vec<String>,
}

/// `verbosity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verbosity {
    /// One line a batch.
    #[default]
    Basic,
    /// And one line an item.
    Normal,
    /// And everything in it.
    Detailed,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            verbosity: Verbosity::default(),
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
            output_paths: vec!["stdout".to_owned()],
        }
    }
}

impl Settings for Config {
    const REMOVED: &'static [(&'static str, &'static str)] =
        &[("loglevel", "the collector has removed it: use `verbosity`: basic, normal or detailed")];

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.use_internal_logger && self.output_paths.is_empty() {
            let message = "output_paths is empty, name stdout, stderr or a file, or use_internal_logger: true";
            problems.push(Problem::at("output_paths", message));
        }
        for (i, path) in self.output_paths.iter().enumerate().filter(|(_, path)| path.is_empty()) {
            let message = format!("{path:?} is not a path, name stdout, stderr or a file");
            problems.push(Problem::at(format!("output_paths.{i}"), message));
        }
        problems
    }
}
