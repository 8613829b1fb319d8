//! The config of this process: where it is read from, again and again, and which files it was read from the last time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::Registry;
use pipeline::config::{Inputs, Loaded, Surroundings, load};
use pipeline::doors::{Doors, Files, Glob};
use pipeline::graph::ConfigFiles;
use pipeline::plan::Print;

/// Reads the config that the command line names.
pub struct Config<'a> {
    inputs: &'a Inputs,
    registry: &'a Registry,
    files: Arc<dyn Files>,
    read: Read,
}

/// The files that a config was read from, and those that its components read as parts of it. Clone is another handle on the
/// same.
#[derive(Clone, Default)]
pub struct Read {
    files: Arc<Mutex<Contents>>,
    /// What further files would match.
    globs: Arc<Mutex<Vec<Glob>>>,
}

/// What is in files; `None` for one that could not be read.
pub type Contents = BTreeMap<PathBuf, Option<Print>>;

/// The most that a file of a config may have, in bytes; what is beyond is refused when it is read.
const MOST_BYTES: usize = 64 << 20;

impl<'a> Config<'a> {
    /// What the command line says.
    pub fn new(inputs: &'a Inputs, registry: &'a Registry) -> Config<'a> {
        Config { inputs, registry, files: Doors::real().files, read: Read::default() }
    }

    /// Reads it as it is now.
    pub fn load(&self) -> Loaded {
        let found = Read::default();
        let mut surroundings = Surroundings::real(self.files.clone());
        let (read_file, seen) = (surroundings.read_file.clone(), found.clone());
        surroundings.read_file = Arc::new(move |path| {
            let read = read_file(path);
            seen.contents().insert(path.to_owned(), read.as_ref().ok().map(|bytes| Print::of(bytes)));
            read
        });
        let loaded = load(self.inputs, self.registry, &surroundings);
        *self.read.contents() = std::mem::take(&mut *found.contents());
        self.read.globs().clear();
        loaded
    }

    /// The files of the last time.
    pub fn read(&self) -> &Read {
        &self.read
    }
}

impl Read {
    /// What was in the files.
    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The components that run read these.
    pub fn also(&self, read: ConfigFiles) {
        self.contents().extend(read.files);
        *self.globs() = read.globs;
    }

    /// The components that run read these, and those that were to run in their place may have read something else there:
    /// what is there now.
    pub fn also_as_they_are(&self, read: ConfigFiles, files: &dyn Files) {
        self.also(read);
        let now = self.now(files);
        *self.contents() = now;
    }

    /// Where further files would be.
    pub fn globs(&self) -> MutexGuard<'_, Vec<Glob>> {
        self.globs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in the same files now, and in those that have come. It blocks.
    pub fn now(&self, files: &dyn Files) -> Contents {
        let mut paths: BTreeSet<_> = self.contents().keys().cloned().collect();
        let globs = self.globs().clone();
        paths.extend(globs.iter().flat_map(|glob| files.glob(glob).paths));
        let print = |path: &PathBuf| files.read_small(path, MOST_BYTES).ok().map(|bytes| Print::of(&bytes));
        paths.into_iter().map(|path| (path.clone(), print(&path))).collect()
    }
}
