//! The files that tests were read from, and whether they are others by now.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipeline::doors::Doors;
use tokio::runtime::Builder;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(300);

/// Reads files, and remembers what they were like just before. Clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    before: Arc<Mutex<BTreeMap<PathBuf, Stamp>>>,
}

/// When a file was changed since 1970, and its length in bytes; nothing for one that is not there.
type Stamp = Option<(Duration, u64)>;

impl Watch {
    /// A file's contents, of at most so many bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        // What it was like the first time counts: a change between two readings is a change.
        self.before().entry(path.to_owned()).or_insert_with(|| stamp(path));
        Doors::real().files.read_small(path, most)
    }

    /// How many files were read.
    pub fn count(&self) -> usize {
        self.before().len()
    }

    /// Waits until one of them is another than it was.
    pub fn changed(&self) {
        let Ok(runtime) = Builder::new_current_thread().enable_time().build() else { return };
        // A timer belongs to the runtime that it is made in.
        let _inside = runtime.enter();
        while self.before().iter().all(|(path, before)| stamp(path) == *before) {
            runtime.block_on(tokio::time::sleep(EVERY));
        }
    }

    fn before(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Stamp>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Stamp {
    Doors::real().files.stat(path).ok().map(|stat| (stat.modified, stat.len))
}
