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
use pipeline::config::docs::Shared;

/// Adds every receiver to a registry.
pub fn register(registry: &mut Registry) {
    registry
        .receiver::<file_log::Factory>()
        .receiver::<otlp::Factory>()
        .receiver::<prometheus::Factory>()
        .receiver::<stdin_log::Factory>();
    #[cfg(feature = "nvml")]
    registry.receiver::<nvml::Factory>();
    registry.shared(SHARED);
}

const fn of_prometheus(name: &'static str, under: &'static str) -> Shared {
    Shared { name, readme: include_str!("prometheus/README.md"), section: "Config", under }
}

/// Where the words about types stand that are read in several places.
const SHARED: &[Shared] = &[
    Shared { name: "Lines", readme: include_str!("file_log/README.md"), section: "Config", under: "" },
    of_prometheus("ScrapeLimits", "config.scrape_configs[]"),
    of_prometheus("ScrapeHttp", "config.scrape_configs[]"),
    of_prometheus("ScrapeProxy", "config.scrape_configs[]"),
    of_prometheus("ScrapeTls", "config.scrape_configs[].tls_config"),
];
