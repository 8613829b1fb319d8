//! The frame of Slipring: batches, the component traits, config, graph, delivery, telemetry and the wire layer.
//! It knows no component; the crates `receivers`, `processors`, `exporters` and `extensions` hold those.

// The fuzz targets, which a test shares, know this crate by its name.
#[cfg(test)]
extern crate self as pipeline;

pub mod batch;
pub mod buffers;
pub mod calendar;
pub mod component;
pub mod config;
pub mod delivery;
pub mod doors;
pub mod extensions;
pub mod fate;
pub mod graph;
pub mod journal;
pub mod json;
pub mod net;
pub mod otlp;
pub mod plan;
pub mod registry;
pub mod relabel;
pub mod shared;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use batch::{Batch, Known, Metadata, Parts, Signal};
pub use component::{
    BoxFuture, BuildHolding, Consumer, Context, Ending, Error, Exported, Exporter, Extension, Life, Outcome, Outputs,
    Processor, Reason, Receipt, Receiver, Refused, Stage,
};
pub use registry::{ExporterFactory, ExtensionFactory, ProcessorFactory, ReceiverFactory, Registry, Stability};
