//! What must hold for any metrics request: for the fuzz target and the tests, which share it.

use std::sync::Mutex;

use bytes::Bytes;
use pipeline::component::Processor;
use pipeline::config::ComponentId;
use pipeline::telemetry::{Drops, Meter};
use pipeline::{Batch, Signal, otlp};
use prometheus::IntGauge;

use super::streams::{Limits, Streams};
use super::{Config, DeltaToCumulative};

/// Any bytes as metrics, three times: they are refused or added up, and the count of points is right.
///
/// # Panics
/// When that does not hold.
pub fn metrics(data: &[u8]) {
    let Ok(batch) = Batch::new(Signal::Metrics, Bytes::copy_from_slice(data)) else { return };
    let limits = Limits { stale: Some(Config::default().max_stale.get()), streams: 100, bytes: 1 << 20 };
    let tracked = IntGauge::new("tracked", "streams").expect("a legal name");
    let drops = Drops::new(&Meter::new(), &ComponentId::new("delta_to_cumulative", ""));
    let processor = DeltaToCumulative { streams: Mutex::new(Streams::new(limits)), tracked, drops };
    for _ in 0..3 {
        if let Ok(out) = processor.process(batch.clone()) {
            assert_eq!(otlp::count::items(Signal::Metrics, &out.to_bytes()), Ok(out.items()));
        }
    }
}
