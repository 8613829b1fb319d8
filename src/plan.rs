//! `slipring plan`: what a reload would change, in a running process or between two configs.

use std::path::Path;

use pipeline::config::{Comparison, Loaded, Portrait, SealingKey};
use serde_json::Value;

use crate::{ask, seal};

/// The page of a running process that shows its config.
pub const PAGE: &str = "/api/v1/status/config";

/// What another config would change.
///
/// # Errors
/// A config is not right.
pub fn against(old: &Loaded, new: &Loaded) -> Result<Comparison, String> {
    let key = SealingKey::new(&seal::chance());
    let portrait = |loaded| Portrait::of(loaded, &key).ok_or_else(|| "the config is not right".to_owned());
    Ok(Comparison::between(&portrait(old)?, &portrait(new)?))
}

/// What a config would change in the process at `url`; where that is not given, at the address of own metrics that the
/// config has.
///
/// # Errors
/// The process does not answer, or not as it should.
pub fn running(url: Option<&str>, new: &Loaded) -> Result<Comparison, String> {
    let plan = new.plan.as_ref().ok_or("the config is not right")?;
    let url = match (url, &plan.telemetry.metrics_address) {
        (Some(url), _) => url.to_owned(),
        (None, Some(address)) => format!("http://{}", address.replace("0.0.0.0:", "127.0.0.1:")),
        (None, None) => {
            return Err("the config has no own metrics: say with --running where the process is, or with --against \
                 what to compare with"
                .to_owned());
        }
    };
    let body = ask::page(&url, PAGE).map_err(|error| format!("{url}: {error}"))?;
    let theirs = read(&body).ok_or_else(|| format!("{url}: that is not the config of a slipring"))?;
    // The key is where the process has it, which is where its config says.
    let places = [theirs.data_dir.clone(), plan.data_dir.display().to_string()];
    let keys = places.iter().filter_map(|place| seal::there(Path::new(place)).ok());
    let key = keys.into_iter().find(|key| key.name() == theirs.key);
    let key = key.unwrap_or_else(|| SealingKey::new(&seal::chance()));
    let ours = Portrait::of(new, &key).ok_or("the config is not right")?;
    Ok(Comparison::between(&theirs, &ours))
}

fn read(body: &str) -> Option<Portrait> {
    let mut answer: Value = serde_json::from_str(body).ok()?;
    serde_json::from_value(answer.get_mut("data")?.get_mut("slipring")?.take()).ok()
}
