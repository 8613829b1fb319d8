//! The extensions: what serves other components, or whoever operates the process. `file_storage` is the frame's own.

use pipeline::Registry;

mod constant_time;
mod site;

pub mod basicauth;
pub mod bearertokenauth;
pub mod headers_setter;
pub mod health_check;
pub mod oauth2client;
pub mod pprof;
pub mod zpages;

/// Registers all of them.
pub fn register(registry: &mut Registry) {
    registry.extension::<basicauth::Factory>();
    registry.extension::<bearertokenauth::Factory>();
    registry.extension::<headers_setter::Factory>();
    registry.extension::<health_check::Factory>();
    registry.extension::<oauth2client::Factory>();
    registry.extension::<pprof::Factory>();
    registry.extension::<zpages::Factory>();
}
