//! The receivers: each brings telemetry in by one protocol.

// The fuzz targets, which a test shares, know this crate by its name.
#[cfg(test)]
extern crate self as receivers;

pub mod file_log;
#[cfg(feature = "nvml")]
pub mod nvml;
pub mod otlp;
pub mod prometheus;
pub mod stdin_log;

#[cfg(test)]
mod conformance;

use pipeline::Registry;

/// Adds every receiver to a registry.
pub fn register(registry: &mut Registry) {
    registry
        .receiver::<file_log::Factory>()
        .receiver::<otlp::Factory>()
        .receiver::<prometheus::Factory>()
        .receiver::<stdin_log::Factory>();
    #[cfg(feature = "nvml")]
    registry.receiver::<nvml::Factory>();
}
