//! The processors of Slipring: one folder for each, and what several of them share.

mod actions;
mod matching;
mod patterns;
mod text;
mod value;

#[cfg(test)]
mod dynamo_golden;
#[cfg(test)]
mod testing;

pub mod attributes;
pub mod batch;
pub mod delta_to_cumulative;
pub mod dynamo_labels;
pub mod filter;
pub mod memory_limiter;
pub mod redaction;
pub mod resource;
pub mod trace_correlation;

use pipeline::Registry;
use pipeline::config::docs::Shared;

/// Adds every processor to a binary's components.
pub fn register(registry: &mut Registry) {
    registry
        .processor::<attributes::Factory>()
        .processor::<batch::Factory>()
        .processor::<delta_to_cumulative::Factory>()
        .processor::<dynamo_labels::Factory>()
        .processor::<filter::Factory>()
        .processor::<memory_limiter::Factory>()
        .processor::<redaction::Factory>()
        .processor::<resource::Factory>()
        .processor::<trace_correlation::Factory>();
    registry.shared(SHARED);
}

const fn of_attributes(name: &'static str, under: &'static str) -> Shared {
    Shared { name, readme: include_str!("attributes/README.md"), section: "Config", under }
}

/// Where the words about types stand that are read in several places.
const SHARED: &[Shared] = &[
    of_attributes("Action", "actions[]"),
    of_attributes("Properties", "include"),
    of_attributes("Attribute", "include.attributes[]"),
    of_attributes("RegexpCache", "include.regexp"),
    Shared { name: "FromFile", readme: include_str!("dynamo_labels/README.md"), section: "Config", under: "labels.*" },
];
