//! What a component read of small files while it was built: a config of its own, a certificate, labels. When one of them
//! has changed, a reload builds the component anew, though its config is the same.

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
    read: Mutex<BTreeMap<PathBuf, Note>>,
}

/// A file as it was.
#[derive(Clone, Copy)]
struct Note {
    print: Option<Print>,
    most: usize,
}

/// What the kernel makes up is different each time.
const MADE_UP: [&str; 2] = ["/proc", "/sys"];

impl Witness {
    pub(super) fn of(files: Arc<dyn Files>) -> Arc<Witness> {
        Arc::new(Witness { files, is_over: AtomicBool::new(false), read: Mutex::default() })
    }

    /// Notes nothing more.
    pub(super) fn is_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether all that was read would be read again.
    pub(super) fn still_holds(&self) -> bool {
        let read = self.read().clone();
        read.iter().all(|(path, note)| print(&self.files.read_small(path, note.most)) == note.print)
    }

    fn read(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Note>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
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
        let read = self.files.read_small(path, most);
        if !self.is_over.load(Ordering::Relaxed) && !MADE_UP.iter().any(|made_up| path.starts_with(made_up)) {
            self.read().insert(path.to_owned(), Note { print: print(&read), most });
        }
        read
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
