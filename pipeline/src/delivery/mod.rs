//! What stands before every exporter: queue, batching, retry, timeout. It is the only place that answers a batch early.

use serde::Deserialize;

use crate::config::GoDuration;

/// How small batches are merged and large ones split before an export (`sending_queue.batch`, the `batch` processor).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BatchSettings {
    /// The longest that data wait for more.
    pub flush_timeout: GoDuration,
    /// Send as soon as so much is there, in `sizer` units.
    pub min_size: usize,
    /// Split what is larger, in `sizer` units; 0 is no limit.
    pub max_size: usize,
    /// What the sizes count.
    pub sizer: Option<Sizer>,
}

impl Default for BatchSettings {
    fn default() -> BatchSettings {
        BatchSettings { flush_timeout: GoDuration::from_millis(200), min_size: 8192, max_size: 0, sizer: None }
    }
}

/// What a size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizer {
    /// Batches as they came.
    Requests,
    /// Spans, data points, log records.
    Items,
    /// Bytes of serialized OTLP.
    Bytes,
}

/// What delivery reads from an exporter's body: `timeout`, `retry_on_failure`, `sending_queue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {}
