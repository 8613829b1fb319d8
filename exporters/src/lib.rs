//! The exporters: each takes serialized OTLP and says it in the far side's language, one attempt a call.

use pipeline::Registry;

mod dropped;
mod http_push;
mod plain;
mod requests;
#[cfg(test)]
mod testing;

pub mod prometheus_remote_write;

/// Registers all of them.
pub fn register(registry: &mut Registry) {
    registry.exporter::<prometheus_remote_write::Factory>();
}
