//! The exporters: each takes serialized OTLP and says it in the far side's language, one attempt a call.

use pipeline::Registry;
use pipeline::config::docs::Shared;

#[cfg(test)]
mod conformance;
mod dropped;
mod http_push;
mod otlp_requests;
mod plain;
mod requests;
#[cfg(test)]
mod testing;
mod translation;

pub mod debug;
pub mod file;
pub mod fuzz;
pub mod loki;
pub mod otlp_grpc;
pub mod otlp_http;
pub mod prometheus;
pub mod prometheus_remote_write;

/// Registers all of them.
pub fn register(registry: &mut Registry) {
    registry.exporter::<debug::Factory>();
    registry.exporter::<file::Factory>();
    registry.exporter::<loki::Factory>();
    registry.exporter::<otlp_grpc::Factory>();
    registry.exporter::<otlp_http::Factory>();
    registry.exporter::<prometheus::Factory>();
    registry.exporter::<prometheus_remote_write::Factory>();
    registry.shared(SHARED);
}

/// Where the words about types stand that are read in several places.
const SHARED: &[Shared] = &[Shared {
    name: "Translation",
    readme: include_str!("prometheus_remote_write/README.md"),
    section: "Config",
    under: "",
}];
