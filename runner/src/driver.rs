//! NVIDIA's driver as a script plays it: a library that is loaded in place of the real one, and the script beside it. The
//! library is given by the test (such as the one that `tests/fake-nvml` makes); it lies in a folder of its own, so that it has
//! a state of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipeline::doors::Doors;

/// No library is larger.
const MOST_BYTES: usize = 64 << 20;

/// A library in a folder of its own, which is gone with it.
#[derive(Debug)]
pub struct Driver {
    folder: PathBuf,
    /// Held while a test uses it: its script changes with the test's time.
    pub in_use: Mutex<()>,
}

impl Driver {
    /// A copy of a library.
    ///
    /// # Errors
    /// The operating system's.
    pub fn copied(library: &Path) -> io::Result<Driver> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("slipring-test-{}-{number}", std::process::id()));
        let files = Doors::real().files;
        let contents = files.read_small(library, MOST_BYTES)?;
        files.create_folder(&folder, 0o700)?;
        let driver = Driver { folder, in_use: Mutex::default() };
        files.replace(&driver.library(), &contents)?;
        Ok(driver)
    }

    /// Where it is.
    pub fn library(&self) -> PathBuf {
        self.folder.join("libnvidia-ml.so.1")
    }

    /// Plays this from now on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn play(&self, script: &str) -> io::Result<()> {
        Doors::real().files.replace(&self.folder.join("libnvidia-ml.so.1.script"), script.as_bytes())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A folder that stays in the system's temporary folder costs nobody a test.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
