//! A file system in memory, with identities, links, open files that outlive their names, and faults on demand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::doors::{Clock, File, FileStat, Files, Found, Glob, Start, WriteFile};

/// Files in memory; clone is another handle on the same tree. Paths are absolute. Folders need not be made before files
/// are written into them. The number of an inode that is gone is given to the next new file, as many file systems do.
#[derive(Clone)]
pub struct VirtualFiles {
    tree: Arc<Mutex<Tree>>,
}

struct Tree {
    clock: Clock,
    names: BTreeMap<PathBuf, Node>,
    inodes: HashMap<u64, Inode>,
    faults: HashMap<PathBuf, io::ErrorKind>,
    locks: BTreeSet<PathBuf>,
    /// Inodes that somebody else has for himself.
    taken: BTreeSet<u64>,
    /// Bytes that will not be read again, as somebody has said.
    forgotten: u64,
    /// Bytes that still fit, where that is bounded.
    space: Option<usize>,
    opened: usize,
    /// Standard input, once somebody reads it.
    input: Option<mpsc::Sender<io::Result<Bytes>>>,
}

#[derive(Clone, Debug)]
enum Node {
    File(u64),
    Link(PathBuf),
    Folder,
}

#[derive(Default)]
struct Inode {
    data: Vec<u8>,
    modified: Duration,
    names: usize,
    open: usize,
}

/// The device number of everything in the tree.
const DEVICE: u64 = 42;
/// Links that are followed for one path.
const MOST_LINKS: usize = 40;

impl VirtualFiles {
    /// An empty tree whose files are modified at the times of that clock.
    pub fn new(clock: Clock) -> VirtualFiles {
        let (names, inodes, faults) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        let (locks, taken) = (BTreeSet::new(), BTreeSet::new());
        let tree =
            Tree { clock, names, inodes, faults, locks, taken, forgotten: 0, space: None, opened: 0, input: None };
        VirtualFiles { tree: Arc::new(Mutex::new(tree)) }
    }

    /// Gives a file these contents; a file that is there keeps its identity.
    pub fn put(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
        let mut tree = self.tree();
        let path = tree.follow(path.as_ref()).expect("the links lead somewhere");
        let inode = tree.file_at(&path);
        tree.change(inode, |data| contents.as_ref().clone_into(data));
    }

    /// Writes behind the end of a file, which is made if need be.
    pub fn append(&self, path: impl AsRef<Path>, more: impl AsRef<[u8]>) {
        let mut tree = self.tree();
        let path = tree.follow(path.as_ref()).expect("the links lead somewhere");
        let inode = tree.file_at(&path);
        tree.change(inode, |data| data.extend_from_slice(more.as_ref()));
    }

    /// Cuts a file to that length.
    pub fn truncate(&self, path: impl AsRef<Path>, len: usize) {
        let mut tree = self.tree();
        let inode = tree.inode(path.as_ref()).expect("the file is there");
        tree.change(inode, |data| data.truncate(len));
    }

    /// Copies the contents of a file to a new one.
    pub fn copy(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        self.put(to, self.contents(from));
    }

    /// Gives a file another name.
    pub fn mv(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        self.tree().rename(from.as_ref(), to.as_ref()).expect("the file is there");
    }

    /// Removes a name; the file lives on while it is open or has other names.
    pub fn rm(&self, path: impl AsRef<Path>) {
        self.tree().unname(path.as_ref()).expect("the file is there");
    }

    /// Makes a symbolic link, in place of one that is there.
    pub fn symlink(&self, target: impl AsRef<Path>, link: impl AsRef<Path>) {
        self.tree().names.insert(link.as_ref().to_owned(), Node::Link(target.as_ref().to_owned()));
    }

    /// Gives a file a second name.
    pub fn hard_link(&self, path: impl AsRef<Path>, also: impl AsRef<Path>) {
        let mut tree = self.tree();
        let inode = tree.inode(path.as_ref()).expect("the file is there");
        tree.names.insert(also.as_ref().to_owned(), Node::File(inode));
        tree.inodes.entry(inode).or_default().names += 1;
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<PathBuf> {
        let tree = self.tree();
        tree.names.iter().filter(|(_, node)| matches!(node, Node::File(_))).map(|(path, _)| path.clone()).collect()
    }

    /// The contents of a file.
    pub fn contents(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let tree = self.tree();
        let inode = tree.inode(path.as_ref()).expect("the file is there");
        tree.inodes[&inode].data.clone()
    }

    /// Whether there is a file of that name.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.tree().inode(path.as_ref()).is_ok()
    }

    /// The inode number of a file.
    pub fn inode(&self, path: impl AsRef<Path>) -> u64 {
        self.tree().inode(path.as_ref()).expect("the file is there")
    }

    /// Somebody else locks a file for himself.
    pub fn take_lock(&self, path: impl AsRef<Path>) {
        let inode = self.inode(path);
        self.tree().taken.insert(inode);
    }

    /// He gives the lock back.
    pub fn give_lock(&self, path: impl AsRef<Path>) {
        let inode = self.inode(path);
        self.tree().taken.remove(&inode);
    }

    /// Bytes of all files that will not be read again, as was said of them.
    pub fn forgotten(&self) -> u64 {
        self.tree().forgotten
    }

    /// Lets everything that is done with that path fail so: opening, replacing, looking into the folder.
    pub fn fail(&self, path: impl AsRef<Path>, kind: io::ErrorKind) {
        self.tree().faults.insert(path.as_ref().to_owned(), kind);
    }

    /// Takes a fault back.
    pub fn heal(&self, path: impl AsRef<Path>) {
        self.tree().faults.remove(path.as_ref());
    }

    /// Lets so many more bytes be written to open files, then the disk is full; `None` is no limit.
    pub fn leave_space(&self, bytes: Option<usize>) {
        self.tree().space = bytes;
    }

    /// What the disk has now, as another one: what a crash would leave. Locks are free.
    #[must_use]
    pub fn crashed(&self) -> VirtualFiles {
        let tree = self.tree();
        let copy = VirtualFiles::new(tree.clock);
        for (path, node) in &tree.names {
            match node {
                Node::File(inode) => copy.put(path, &tree.inodes[inode].data),
                other => _ = copy.tree().names.insert(path.clone(), other.clone()),
            }
        }
        copy
    }

    /// The same disk in a process that starts now, by another clock.
    pub fn set_clock(&self, clock: Clock) {
        self.tree().clock = clock;
    }

    /// Files that are open now.
    pub fn open_files(&self) -> usize {
        self.tree().inodes.values().map(|i| i.open).sum()
    }

    /// How often files were opened for reading.
    pub fn opened(&self) -> usize {
        self.tree().opened
    }

    /// Where what comes in by standard input is written, once somebody reads it. Dropped, the input is at its end.
    pub fn take_input(&self) -> Option<mpsc::Sender<io::Result<Bytes>>> {
        self.tree().input.take()
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => _ = out.pop(),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

impl Tree {
    /// The path without links, in any of its folders too.
    fn follow(&self, path: &Path) -> io::Result<PathBuf> {
        let mut path = plain(path);
        for _ in 0..MOST_LINKS {
            let found = path.ancestors().find_map(|a| match self.names.get(a) {
                Some(Node::Link(target)) => Some((a.to_owned(), target.clone())),
                _ => None,
            });
            let Some((link, target)) = found else { return Ok(path) };
            let rest = path.strip_prefix(&link).map(Path::to_owned).unwrap_or_default();
            let folder = link.parent().unwrap_or(Path::new("/"));
            path = plain(&folder.join(target).join(rest));
        }
        Err(io::Error::other("too many links"))
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.check(path)?;
        match self.names.get(&self.follow(path)?) {
            Some(Node::File(inode)) => Ok(*inode),
            _ => Err(not_found()),
        }
    }

    fn check(&self, path: &Path) -> io::Result<()> {
        self.faults.get(path).map_or(Ok(()), |kind| Err(io::Error::from(*kind)))
    }

    /// The file of that name, made if need be.
    fn file_at(&mut self, path: &Path) -> u64 {
        if let Some(Node::File(inode)) = self.names.get(path) {
            return *inode;
        }
        let number = (1..).find(|n| !self.inodes.contains_key(n)).unwrap_or(u64::MAX);
        let inode = Inode { modified: self.clock.now(), names: 1, ..Inode::default() };
        self.inodes.insert(number, inode);
        self.names.insert(path.to_owned(), Node::File(number));
        number
    }

    fn change(&mut self, inode: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let modified = self.clock.now();
        let inode = self.inodes.entry(inode).or_default();
        change(&mut inode.data);
        inode.modified = modified;
    }

    fn unname(&mut self, path: &Path) -> io::Result<()> {
        match self.names.remove(path) {
            Some(Node::File(number)) => {
                self.inodes.entry(number).or_default().names -= 1;
                self.forget(number);
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err(not_found()),
        }
    }

    fn forget(&mut self, number: u64) {
        if self.inodes.get(&number).is_some_and(|i| i.names == 0 && i.open == 0) {
            self.inodes.remove(&number);
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.names.remove(from).ok_or_else(not_found)?;
        if self.names.contains_key(to) {
            self.unname(to)?;
        }
        self.names.insert(to.to_owned(), node);
        Ok(())
    }

    fn stat(&self, inode: u64) -> FileStat {
        let file = &self.inodes[&inode];
        FileStat {
            device: DEVICE,
            inode,
            len: file.data.len() as u64,
            modified: file.modified,
            is_file: true,
            permissions: 0o644,
            owner: 1000,
            group: 100,
        }
    }

    /// Every path by which a file can be reached, those through links to folders included.
    fn paths(&self) -> BTreeSet<PathBuf> {
        let mut paths: BTreeSet<_> = self.names.keys().filter(|p| self.inode(p).is_ok()).cloned().collect();
        for (link, _) in self.names.iter().filter(|(_, n)| matches!(n, Node::Link(_))) {
            let Ok(target) = self.follow(link) else { continue };
            let below = self.names.keys().filter_map(|p| p.strip_prefix(&target).ok());
            paths.extend(below.filter(|rest| rest.parent().is_some()).map(|rest| link.join(rest)));
        }
        paths
    }
}

impl Files for VirtualFiles {
    fn glob(&self, glob: &Glob) -> Found {
        let tree = self.tree();
        let mut found = Found::default();
        for path in tree.paths() {
            match path.ancestors().skip(1).find_map(|folder| Some((folder, tree.check(folder).err()?))) {
                Some((folder, error)) if !found.unreadable.iter().any(|(known, _)| known == folder) => {
                    found.unreadable.push((folder.to_owned(), error));
                }
                None if glob.matches(&path) => found.paths.push(path),
                _ => {}
            }
        }
        found
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut tree = self.tree();
        let inode = tree.inode(path)?;
        tree.inodes.entry(inode).or_default().open += 1;
        tree.opened += 1;
        Ok(Box::new(Opened { files: self.clone(), inode }))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let tree = self.tree();
        // A file that cannot be opened can still be looked at.
        match tree.names.get(&tree.follow(path)?) {
            Some(Node::File(inode)) => Ok(tree.stat(*inode)),
            _ => Err(not_found()),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.tree().follow(path)
    }

    fn read_small(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let tree = self.tree();
        let data = &tree.inodes[&tree.inode(path)?].data;
        if data.len() > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {most} bytes")));
        }
        Ok(data.clone())
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut tree = self.tree();
        tree.check(path)?;
        if tree.names.contains_key(path) {
            tree.unname(path)?;
        }
        let inode = tree.file_at(path);
        tree.change(inode, |data| contents.clone_into(data));
        Ok(())
    }

    fn input(&self) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
        let (pieces, taken) = mpsc::channel(2);
        self.tree().input = Some(pieces);
        Ok(taken)
    }

    fn write(&self, path: &Path, start: Start) -> io::Result<Box<dyn WriteFile>> {
        let mut tree = self.tree();
        tree.check(path)?;
        let path = tree.follow(path)?;
        let inode = tree.file_at(&path);
        if start == Start::Empty {
            tree.change(inode, Vec::clear);
        }
        tree.inodes.entry(inode).or_default().open += 1;
        Ok(Box::new(Opened { files: self.clone(), inode }))
    }

    fn write_uncached(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.write(path, Start::Empty)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        tree.check(from)?;
        tree.check(to)?;
        tree.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        tree.check(path)?;
        tree.unname(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let tree = self.tree();
        tree.check(folder)?;
        Ok(tree.names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.tree().check(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut tree = self.tree();
        tree.check(path)?;
        if !tree.locks.insert(path.to_owned()) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, format!("another process uses {}", path.display())));
        }
        Ok(Box::new(Locked { files: self.clone(), path: path.to_owned() }))
    }

    fn create_folder(&self, path: &Path, _permissions: u32) -> io::Result<()> {
        let mut tree = self.tree();
        tree.check(path)?;
        tree.names.entry(path.to_owned()).or_insert(Node::Folder);
        Ok(())
    }
}

struct Locked {
    files: VirtualFiles,
    path: PathBuf,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.files.tree().locks.remove(&self.path);
    }
}

struct Opened {
    files: VirtualFiles,
    inode: u64,
}

impl File for Opened {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let tree = self.files.tree();
        let data = &tree.inodes[&self.inode].data;
        let rest = usize::try_from(offset).ok().and_then(|at| data.get(at..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn stat(&self) -> io::Result<FileStat> {
        Ok(self.files.tree().stat(self.inode))
    }

    fn lock(&self) -> io::Result<bool> {
        Ok(!self.files.tree().taken.contains(&self.inode))
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self, _: u64, len: u64) {
        self.files.tree().forgotten += len;
    }
}

impl Write for Opened {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut tree = self.files.tree();
        let len = buf.len().min(tree.space.unwrap_or(usize::MAX));
        if len == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        tree.space = tree.space.map(|space| space - len);
        tree.change(self.inode, |data| data.extend_from_slice(&buf[..len]));
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteFile for Opened {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut tree = self.files.tree();
        tree.inodes.entry(self.inode).or_default().open -= 1;
        tree.forget(self.inode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> VirtualFiles {
        VirtualFiles::new(Clock::system())
    }

    fn glob(files: &VirtualFiles, pattern: &str) -> Vec<String> {
        files.glob(&Glob::new(pattern).unwrap()).paths.iter().map(|p| p.display().to_string()).collect()
    }

    #[test]
    fn an_open_file_outlives_its_name_and_keeps_its_number_from_others() {
        let files = files();
        files.put("/l/a", "first");
        let number = files.inode("/l/a");
        let open = files.open(Path::new("/l/a")).unwrap();
        files.rm("/l/a");
        files.put("/l/a", "second");
        assert_ne!(files.inode("/l/a"), number);
        let mut buf = [0; 8];
        assert_eq!((open.read_at(&mut buf, 1).unwrap(), &buf[..4]), (4, &b"irst"[..]));
        drop(open);
        files.put("/l/b", "third");
        assert_eq!(files.inode("/l/b"), number);
        assert_eq!((files.open_files(), files.opened()), (0, 1));
    }

    #[test]
    fn links_are_followed_to_files_and_folders() {
        let files = files();
        files.put("/pods/a/0.log", "x");
        files.symlink("/pods/a", "/logs/a");
        files.symlink("../pods/a/0.log", "/logs/b.log");
        files.symlink("/nowhere", "/logs/c.log");
        assert_eq!(glob(&files, "/logs/**/*.log"), ["/logs/a/0.log", "/logs/b.log"]);
        assert_eq!(files.resolve(Path::new("/logs/a/0.log")).unwrap(), Path::new("/pods/a/0.log"));
        files.append("/logs/b.log", "y");
        assert_eq!(files.contents("/pods/a/0.log"), b"xy");
    }

    #[test]
    fn faults_fail_what_is_done_with_a_path_until_they_are_healed() {
        let files = files();
        files.put("/l/a", "x");
        files.fail("/l/a", io::ErrorKind::PermissionDenied);
        assert_eq!(files.open(Path::new("/l/a")).err().unwrap().kind(), io::ErrorKind::PermissionDenied);
        assert!(files.stat(Path::new("/l/a")).is_ok());
        files.heal("/l/a");
        files.fail("/l", io::ErrorKind::PermissionDenied);
        let found = files.glob(&Glob::new("/l/*").unwrap());
        assert_eq!((found.paths.len(), found.unreadable.len()), (0, 1));
    }
}
