//! What a component read of small files while it was built: a config of its own, a certificate, labels. When one of them
//! has changed, a reload builds the component anew, though its config is the same. Files that are parts of the config are
//! told apart, so that somebody can watch them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::doors::{Changes, File, FileStat, Files, Found, Glob, Owner, Start, WriteFile};
use crate::plan::Print;

/// Files as they are, with a note of what is read until the component is built.
pub(super) struct Witness {
    files: Arc<dyn Files>,
    is_over: AtomicBool,
    seen: Mutex<Seen>,
}

/// What there was.
#[derive(Clone, Default)]
struct Seen {
    files: BTreeMap<PathBuf, Note>,
    /// Which files there were that are parts of the config.
    found: Vec<(Glob, Vec<PathBuf>)>,
}

/// A file as it was.
#[derive(Clone, Copy)]
struct Note {
    print: Option<Print>,
    most: usize,
    is_config: bool,
}

/// The files beside the config itself that say what components do: when one has other contents, or there is another that
/// one of the globs matches, the config is another one.
#[derive(Clone, Debug, Default)]
pub struct ConfigFiles {
    /// What was in them when they were read; `None` for one that could not be read.
    pub files: BTreeMap<PathBuf, Option<Print>>,
    /// What further ones would match.
    pub globs: Vec<Glob>,
}

/// What the kernel makes up is different each time.
const MADE_UP: [&str; 2] = ["/proc", "/sys"];

impl Witness {
    pub(super) fn of(files: Arc<dyn Files>) -> Arc<Witness> {
        Arc::new(Witness { files, is_over: AtomicBool::new(false), seen: Mutex::default() })
    }

    /// Notes nothing more.
    pub(super) fn is_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether all that was read would be read again.
    pub(super) fn still_holds(&self) -> bool {
        let seen = self.seen().clone();
        seen.files.iter().all(|(path, note)| print(&self.files.read_small(path, note.most)) == note.print)
            && seen.found.iter().all(|(glob, paths)| self.files.glob(glob).paths == *paths)
    }

    /// Adds the files that are parts of the config.
    pub(super) fn tell(&self, told: &mut ConfigFiles) {
        let seen = self.seen();
        let of_config = seen.files.iter().filter(|(_, note)| note.is_config);
        told.files.extend(of_config.map(|(path, note)| (path.clone(), note.print)));
        told.globs.extend(seen.found.iter().map(|(glob, _)| glob.clone()));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, path: &Path, most: usize, is_config: bool) -> io::Result<Vec<u8>> {
        let read = self.files.read_small(path, most);
        if !self.is_over.load(Ordering::Relaxed) && !MADE_UP.iter().any(|made_up| path.starts_with(made_up)) {
            self.seen().files.insert(path.to_owned(), Note { print: print(&read), most, is_config });
        }
        read
    }
}

fn print(read: &io::Result<Vec<u8>>) -> Option<Print> {
    read.as_ref().ok().map(|bytes| Print::of(bytes))
}

impl Files for Witness {
    fn of(&self, owner: &Owner) -> Option<Arc<dyn Files>> {
        self.files.of(owner)
    }

    fn read_small(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.note(path, most, false)
    }

    fn read_config(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.note(path, most, true)
    }

    fn find_config(&self, glob: &Glob) -> Found {
        let found = self.files.glob(glob);
        if !self.is_over.load(Ordering::Relaxed) {
            self.seen().found.push((glob.clone(), found.paths.clone()));
        }
        found
    }

    fn glob(&self, glob: &Glob) -> Found {
        self.files.glob(glob)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.files.open(path)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.files.stat(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.resolve(path)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        self.files.replace(path, contents)
    }

    fn changes(&self) -> Option<Box<dyn Changes>> {
        self.files.changes()
    }

    fn input(&self) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
        self.files.input()
    }

    fn write(&self, path: &Path, start: Start) -> io::Result<Box<dyn WriteFile>> {
        self.files.write(path, start)
    }

    fn write_uncached(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.files.write_uncached(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.files.sync_folder(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.files.lock(path)
    }

    fn create_folder(&self, path: &Path, permissions: u32) -> io::Result<()> {
        self.files.create_folder(path, permissions)
    }
}
