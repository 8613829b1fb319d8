//! Looks whether files have changed, for running tests again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pipeline::doors::Doors;
use tokio::runtime::Builder;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(300);

/// When each file was changed, and how long it is; nothing for one that is not there.
pub(crate) fn stamps(paths: &[PathBuf]) -> BTreeMap<PathBuf, Option<(Duration, u64)>> {
    let files = Doors::real().files;
    let stamp = |path: &PathBuf| files.stat(path).ok().map(|stat| (stat.modified, stat.len));
    paths.iter().map(|path| (path.clone(), stamp(path))).collect()
}

/// Waits until one of the files is another than it was.
pub(crate) fn changed(paths: &[PathBuf], before: &BTreeMap<PathBuf, Option<(Duration, u64)>>) {
    let Ok(runtime) = Builder::new_current_thread().enable_time().build() else { return };
    // A timer belongs to the runtime that it is made in.
    let _inside = runtime.enter();
    while stamps(paths) == *before {
        runtime.block_on(tokio::time::sleep(EVERY));
    }
}
