//! Where state is kept when the config does not say.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The system's place for state.
const SYSTEM: &str = "/var/lib/slipring";

/// `$SLIPRING_DATA_DIR`; else `/var/lib/slipring` for root and for whoever owns it; else `$XDG_STATE_HOME/slipring` or
/// `~/.local/state/slipring`. Makes nothing.
pub fn default(variables: &BTreeMap<String, String>) -> PathBuf {
    choose(variables, owns_system_folder())
}

/// The choice, given whether the system's place can be used.
pub(super) fn choose(variables: &BTreeMap<String, String>, system: bool) -> PathBuf {
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    if let Some(path) = set("SLIPRING_DATA_DIR") {
        return PathBuf::from(path);
    }
    match (set("XDG_STATE_HOME"), set("HOME")) {
        _ if system => PathBuf::from(SYSTEM),
        (Some(state), _) => Path::new(state).join("slipring"),
        (None, Some(home)) => Path::new(home).join(".local/state/slipring"),
        (None, None) => PathBuf::from(SYSTEM),
    }
}

/// The owner of `/proc/self` is whom this process runs as.
fn owns_system_folder() -> bool {
    let owner = |path: &str| std::fs::metadata(path).ok().map(|m| m.uid());
    match owner("/proc/self") {
        Some(0) => true,
        Some(me) => owner(SYSTEM) == Some(me),
        None => false,
    }
}
