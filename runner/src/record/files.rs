//! Files that are recorded: what a receiver reads of them for the first time, and what comes by standard input.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pipeline::doors::{Changes, File, FileStat, Files, Found, Glob, Owner, Start, WriteFile};
use pipeline::telemetry::Kind;
use tokio::sync::mpsc;

use super::capture::{Capture, Incoming};

/// The files of a process that is recorded.
#[derive(Clone)]
pub(super) struct RecordingFiles {
    real: Arc<dyn Files>,
    capture: Arc<Capture>,
    receiver: Option<String>,
    read: Arc<Mutex<Read>>,
}

/// How far each file was read, and which file a path was last.
#[derive(Default)]
struct Read {
    places: HashMap<(u64, u64), u64>,
    paths: HashMap<PathBuf, (u64, u64)>,
}

impl RecordingFiles {
    pub(super) fn new(real: Arc<dyn Files>, capture: Arc<Capture>) -> RecordingFiles {
        RecordingFiles { real, capture, receiver: None, read: Arc::default() }
    }
}

impl Files for RecordingFiles {
    fn glob(&self, glob: &Glob) -> Found {
        self.real.glob(glob)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = self.real.open(path)?;
        let Some(receiver) = self.receiver.clone() else { return Ok(file) };
        let stat = file.stat()?;
        let number = (stat.device, stat.inode);
        Ok(Box::new(Recorded { file, number, path: path.to_owned(), receiver, files: self.clone() }))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.real.stat(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.real.resolve(path)
    }

    fn read_small(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.real.read_small(path, most)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        self.real.replace(path, contents)
    }

    fn changes(&self) -> Option<Box<dyn Changes>> {
        self.real.changes()
    }

    fn input(&self) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
        let mut input = self.real.input()?;
        let Some(receiver) = self.receiver.clone() else { return Ok(input) };
        let (pieces, taken) = mpsc::channel(2);
        let capture = self.capture.clone();
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(async move {
            while let Some(piece) = input.recv().await {
                if let Ok(bytes) = &piece {
                    capture.add(&receiver, Incoming::Input(bytes.clone()));
                }
                if pieces.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Ok(taken)
    }

    fn write(&self, path: &Path, start: Start) -> io::Result<Box<dyn WriteFile>> {
        self.real.write(path, start)
    }

    fn write_uncached(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.real.write_uncached(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.real.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.real.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.real.sync_folder(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.real.lock(path)
    }

    fn create_folder(&self, path: &Path, permissions: u32) -> io::Result<()> {
        self.real.create_folder(path, permissions)
    }

    fn of(&self, owner: &Owner) -> Option<Arc<dyn Files>> {
        let receiver = (owner.kind == Kind::Receiver).then(|| owner.id.to_string());
        Some(Arc::new(RecordingFiles { receiver, ..self.clone() }))
    }
}

/// An open file of which new bytes are kept.
struct Recorded {
    file: Box<dyn File>,
    number: (u64, u64),
    path: PathBuf,
    receiver: String,
    files: RecordingFiles,
}

impl File for Recorded {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.file.read_at(buf, offset)?;
        let mut read = self.files.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Where a file is first read is where it begins for the recording; what is skipped is skipped there, too.
        let place = read.places.get(&self.number).copied().unwrap_or(offset);
        let end = offset + count as u64;
        if end > place {
            let new = usize::try_from(place.saturating_sub(offset)).unwrap_or(0);
            let anew = read.paths.get(&self.path).is_some_and(|known| *known != self.number);
            read.places.insert(self.number, end);
            read.paths.insert(self.path.clone(), self.number);
            let bytes = Bytes::copy_from_slice(&buf[new..count]);
            self.files.capture.add(&self.receiver, Incoming::Appended { path: self.path.clone(), bytes, anew });
        }
        Ok(count)
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.file.stat()
    }

    fn lock(&self) -> io::Result<bool> {
        self.file.lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    fn forget(&self, from: u64, len: u64) {
        self.file.forget(from, len);
    }
}
