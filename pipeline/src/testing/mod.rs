//! The testing kit: sinks, scripted exporters, virtual doors, the conformance kit. For tests only (feature `testing`).

mod batches;
pub mod conformance;
mod files;
mod metrics;
mod net;
mod scripted;
mod sink;
mod world;

pub use batches::{batch, logs, names};
pub use files::VirtualFiles;
pub use metrics::{Series, assert_conserved, count, series};
pub use net::{Fault, VirtualNet};
pub use scripted::{Answer, Attempt, ScriptedExporter};
pub use sink::Sink;
pub use world::{World, context};
