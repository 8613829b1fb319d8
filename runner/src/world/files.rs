//! The disk as one component sees it: the world's, but what it writes is remembered as its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use pipeline::doors::{File, FileStat, Files, Found, Glob, Owner, Start, WriteFile};
use tokio::sync::mpsc;

use super::World;

/// The world's files.
#[derive(Clone)]
pub struct SimulatedFiles {
    world: Arc<World>,
    owner: Option<Owner>,
}

impl SimulatedFiles {
    pub(super) fn new(world: Arc<World>) -> SimulatedFiles {
        SimulatedFiles { world, owner: None }
    }

    /// The process' own outputs, one for each component.
    fn own(&self, path: &Path) -> PathBuf {
        match (path.to_str(), &self.owner) {
            (Some("/dev/stdout" | "/dev/stderr"), Some(owner)) => {
                PathBuf::from(format!("{}.{}.{}", path.display(), owner.kind, owner.id))
            }
            _ => path.to_owned(),
        }
    }
}

impl Files for SimulatedFiles {
    fn glob(&self, glob: &Glob) -> Found {
        self.world.files.glob(glob)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.world.files.open(path)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.world.files.stat(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.world.files.resolve(path)
    }

    fn read_small(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.world.files.read_small(path, most)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        self.world.files.replace(path, contents)
    }

    fn input(&self) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
        self.world.files.input()
    }

    fn write(&self, path: &Path, start: Start) -> io::Result<Box<dyn WriteFile>> {
        let path = self.own(path);
        if let Some(owner) = &self.owner {
            self.world.seen().written.push((owner.clone(), path.clone()));
        }
        self.world.files.write(&path, start)
    }

    fn write_uncached(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.world.files.write_uncached(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(owner) = &self.owner {
            self.world.seen().written.push((owner.clone(), to.to_owned()));
        }
        self.world.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.world.files.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.world.files.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.world.files.sync_folder(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.world.files.lock(path)
    }

    fn create_folder(&self, path: &Path, permissions: u32) -> io::Result<()> {
        self.world.files.create_folder(path, permissions)
    }

    fn of(&self, owner: &Owner) -> Option<Arc<dyn Files>> {
        Some(Arc::new(SimulatedFiles { owner: Some(owner.clone()), ..self.clone() }))
    }
}
