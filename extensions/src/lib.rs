//! The extensions: what serves other components, or whoever operates the process. `file_storage` is the frame's own.

use pipeline::Registry;

pub mod pprof;

/// Registers all of them.
pub fn register(registry: &mut Registry) {
    registry.extension::<pprof::Factory>();
}
