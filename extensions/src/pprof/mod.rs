//! Accepted, so that a collector's config loads; does nothing, for there is no Go program here to profile.

use std::sync::Arc;

use pipeline::config::{Problem, Settings};
use pipeline::{Context, Error, Extension, ExtensionFactory};
use serde::Deserialize;

/// `pprof`.
pub struct Factory;

/// What the collector's has; nothing in it has an effect.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "they are accepted, so that a collector's config loads")]
pub struct Config {
    pub endpoint: String,
    pub dialer: Dialer,
    pub block_profile_fraction: i64,
    pub mutex_profile_fraction: i64,
    pub save_to_file: String,
}

/// `dialer`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as above")]
pub struct Dialer {
    pub timeout: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            endpoint: "localhost:1777".to_owned(),
            dialer: Dialer::default(),
            block_profile_fraction: 0,
            mutex_profile_fraction: 0,
            save_to_file: String::new(),
        }
    }
}

impl Settings for Config {
    fn warnings(&self) -> Vec<Problem> {
        vec![Problem::at("", "there are no Go profiles here, so it does nothing and listens nowhere")]
    }
}

impl ExtensionFactory for Factory {
    const TYPES: &'static [&'static str] = &["pprof"];
    const ABOUT: &'static str = "Accepted without effect: there are no Go profiles here.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(_: Config, _: Context) -> Result<Arc<dyn Extension>, Error> {
        Ok(Arc::new(Nothing))
    }
}

struct Nothing;

impl Extension for Nothing {}

#[cfg(test)]
mod tests;
