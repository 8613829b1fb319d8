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
}
