//! The testing kit: sinks, scripted exporters, virtual doors, the conformance kit. For tests only (feature `testing`).

mod metrics;
mod net;
mod scripted;
mod sink;
mod world;

pub use metrics::{Series, count, series};
pub use net::{Fault, VirtualNet};
pub use scripted::{Answer, Attempt, ScriptedExporter};
pub use sink::Sink;
pub use world::{World, context};
