//! About ourselves: own metrics and where they are shown, the drop ledger, own logs, the state of each component.

mod counts;
mod drops;
mod endpoint;
mod health;
pub mod html;
pub mod logs;
mod meter;
mod pages;
pub mod process;
mod seldom;
mod status;

#[cfg(test)]
mod tests;

pub(crate) use counts::{BatchCounts, ExporterCounts, ProcessorCounts, ReceiverCounts, gauge};
pub use counts::{Flow, Kind};
pub use drops::{Dropped, Drops, Evidence, MESSAGE_BYTES, What, Witness};
pub use endpoint::Endpoint;
pub use health::{Health, Reporter, State, Status, Who};
pub(crate) use meter::Look;
pub use meter::Meter;
pub use pages::{Page, PageGuard, Pages};
pub use seldom::Seldom;
