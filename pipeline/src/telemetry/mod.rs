//! About ourselves: own metrics, the drop ledger, own logs.

mod counts;
mod drops;
mod meter;

pub(crate) use counts::{BatchCounts, ExporterCounts, ProcessorCounts, ReceiverCounts};
pub use counts::{Flow, Kind};
pub use drops::{Dropped, Drops};
pub use meter::Meter;
