//! What stands before every exporter: queue, batching, retry, timeout. It is the only place that answers a batch early.

mod config;
mod settings;

pub use config::DeliveryConfig;
pub use settings::{BatchSettings, QueueSettings, RetrySettings, Settings, Sizer};
