//! About ourselves: own metrics, the drop ledger, own logs.

mod drops;
mod meter;

pub use drops::{Dropped, Drops};
pub use meter::Meter;
