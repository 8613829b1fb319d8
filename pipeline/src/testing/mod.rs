//! The testing kit: sinks, scripted exporters, the virtual world, the conformance kit. For tests only (feature `testing`).

mod batches;
pub mod conformance;
mod metrics;
mod scripted;
mod sink;
mod world;

pub use crate::doors::simulated::{Fault, VirtualFiles, VirtualNet};
pub use batches::{batch, logs, names};
pub use metrics::{Series, assert_conserved, count, series};
pub use scripted::{Answer, Attempt, ScriptedExporter};
pub use sink::Sink;
pub use world::{World, context};
