//! The operating system's sockets and files behind the doors.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::sync::mpsc;

use super::glob::{Glob, Segment};
use super::uncached::Uncached;
use super::{BoxStream, Changes, File, FileStat, Files, Found, Listener, Net, Start, WriteFile};
use crate::component::BoxFuture;

/// The longest datagram there is.
const MOST_DATAGRAM_BYTES: usize = 65_535;

/// TCP, and UDP for what is asked and answered in one datagram.
pub(super) struct RealNet;

impl Net for RealNet {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(RealListener(listener)) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            if let Some(path) = address.strip_prefix("unix:") {
                return Ok(Box::new(UnixStream::connect(path).await?) as BoxStream);
            }
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn ask<'a>(&'a self, address: &'a str, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let to = tokio::net::lookup_host(address).await?.next().ok_or(io::ErrorKind::NotFound)?;
            let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(from).await?;
            socket.connect(to).await?;
            socket.send(datagram).await?;
            let mut answer = vec![0; MOST_DATAGRAM_BYTES];
            let read = socket.recv(&mut answer).await?;
            answer.truncate(read);
            Ok(answer)
        })
    }
}

struct RealListener(TcpListener);

impl Listener for RealListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxStream, peer.to_string()))
        })
    }

    fn local_address(&self) -> String {
        self.0.local_addr().map(|a| a.to_string()).unwrap_or_default()
    }
}

/// The file system.
pub(super) struct RealFiles;

impl Files for RealFiles {
    fn glob(&self, glob: &Glob) -> Found {
        let mut walk = Walk::default();
        for pattern in glob.patterns() {
            walk.below(if pattern.absolute { PathBuf::from("/") } else { PathBuf::new() }, &pattern.segments);
        }
        walk.found.paths.sort_unstable();
        walk.found.paths.dedup();
        walk.found
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        Ok(stat(&std::fs::metadata(path)?))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn read_small(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let read = std::fs::File::open(path)?.take(most as u64 + 1).read_to_end(&mut out)?;
        if read > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {most} bytes")));
        }
        Ok(out)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".new");
        let beside = folder.join(name);
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        std::fs::File::open(folder)?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn changes(&self) -> Option<Box<dyn Changes>> {
        match super::changes::Inotify::new() {
            Ok(changes) => Some(Box::new(changes)),
            Err(error) => {
                tracing::debug!("changes of files are found by looking: {error}");
                None
            }
        }
    }

    /// A thread of its own reads, which nobody waits for: a read of a pipe that nothing comes through cannot be ended.
    fn input(&self) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
        const PIECE: usize = 64 << 10;
        let (pieces, taken) = mpsc::channel(2);
        let read = move || {
            let mut buffer = vec![0; PIECE];
            loop {
                let piece = match io::stdin().lock().read(&mut buffer) {
                    Ok(0) => return,
                    Ok(len) => Ok(Bytes::copy_from_slice(&buffer[..len])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let over = piece.is_err();
                if pieces.blocking_send(piece).is_err() || over {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("stdin".to_owned()).spawn(read)?;
        Ok(taken)
    }

    fn write(&self, path: &Path, start: Start) -> io::Result<Box<dyn WriteFile>> {
        match path.to_str() {
            Some("/dev/stdout") => return Ok(Box::new(io::stdout())),
            Some("/dev/stderr") => return Ok(Box::new(io::stderr())),
            _ => {}
        }
        let mut options = std::fs::OpenOptions::new();
        options.create(true);
        match start {
            Start::Keep => options.append(true),
            Start::Empty => options.write(true).truncate(true),
        };
        Ok(Box::new(options.open(path)?))
    }

    fn write_uncached(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(Uncached::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        std::fs::File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, format!("another process uses {}", path.display()))
            }
            TryLockError::Error(error) => error,
        })?;
        Ok(Box::new(file))
    }

    fn create_folder(&self, path: &Path, permissions: u32) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(permissions).create(path)
    }
}

impl WriteFile for std::fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl WriteFile for io::Stdout {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl WriteFile for io::Stderr {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// A walk along the patterns of a glob. Links are followed; the folders on the way down are remembered, so that a link
/// back to one of them ends there.
#[derive(Default)]
struct Walk {
    found: Found,
    way: Vec<(u64, u64)>,
}

impl Walk {
    fn below(&mut self, path: PathBuf, segments: &[Segment]) {
        let Some((first, rest)) = segments.split_first() else { return self.take(path) };
        match first {
            Segment::Literal(name) => self.below(path.join(name), rest),
            Segment::Wild(wild) => {
                for name in self.names(&path) {
                    if wild.matches(&name.to_string_lossy()) {
                        self.below(path.join(name), rest);
                    }
                }
            }
            Segment::AnyDepth => self.any_depth(path, rest),
        }
    }

    fn any_depth(&mut self, path: PathBuf, rest: &[Segment]) {
        let Ok(meta) = std::fs::metadata(folder(&path)) else { return };
        if !meta.is_dir() {
            if rest.is_empty() {
                self.take(path);
            }
            return;
        }
        let id = (meta.dev(), meta.ino());
        if self.way.contains(&id) {
            return;
        }
        self.way.push(id);
        if !rest.is_empty() {
            self.below(path.clone(), rest);
        }
        for name in self.names(&path) {
            self.any_depth(path.join(name), rest);
        }
        self.way.pop();
    }

    fn take(&mut self, path: PathBuf) {
        if std::fs::metadata(&path).is_ok_and(|meta| meta.is_file()) {
            self.found.paths.push(path);
        }
    }

    fn names(&mut self, path: &Path) -> Vec<OsString> {
        match std::fs::read_dir(folder(path)) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect(),
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                    self.found.unreadable.push((path.to_owned(), error));
                }
                Vec::new()
            }
        }
    }
}

/// The folder to look into for a path that may be empty (the working directory).
fn folder(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

impl File for std::fs::File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn stat(&self) -> io::Result<FileStat> {
        Ok(stat(&self.metadata()?))
    }

    fn lock(&self) -> io::Result<bool> {
        match self.try_lock_shared() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        std::fs::File::unlock(self)
    }

    fn forget(&self, from: u64, len: u64) {
        // No more than advice: where it is not taken, the cache does what it always does.
        _ = fadvise(self, from, NonZeroU64::new(len), Advice::DontNeed);
    }
}

fn stat(meta: &std::fs::Metadata) -> FileStat {
    FileStat {
        device: meta.dev(),
        inode: meta.ino(),
        len: meta.len(),
        modified: Duration::new(meta.mtime().unsigned_abs(), u32::try_from(meta.mtime_nsec()).unwrap_or(0)),
        is_file: meta.is_file(),
        permissions: meta.mode() & 0o7777,
        owner: meta.uid(),
        group: meta.gid(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn a_datagram_is_answered_by_a_datagram() {
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = far.local_addr().unwrap().to_string();
        let answering = async {
            let mut asked = [0; 16];
            let (read, from) = far.recv_from(&mut asked).await.unwrap();
            asked[..read].reverse();
            far.send_to(&asked[..read], from).await.unwrap();
        };
        let (answer, ()) = tokio::join!(RealNet.ask(&address, b"abc"), answering);
        assert_eq!(answer.unwrap(), b"cba");
    }

    #[tokio::test]
    async fn a_unix_socket_is_connected_to_by_its_path() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let far = tokio::net::UnixListener::bind(&path).unwrap();
        let mut near = RealNet.connect(&format!("unix:{}", path.display())).await.unwrap();
        let (mut taken, _) = far.accept().await.unwrap();
        taken.write_all(b"abc").await.unwrap();
        let mut read = [0; 3];
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abc");
        let nowhere = RealNet.connect(&format!("unix:{}/none", folder.path().display())).await;
        assert_eq!(nowhere.err().unwrap().kind(), io::ErrorKind::NotFound);
    }

    fn glob(root: &Path, pattern: &str) -> Vec<String> {
        let glob = Glob::new(&format!("{}/{pattern}", root.display())).unwrap();
        let found = RealFiles.glob(&glob);
        assert!(found.unreadable.is_empty());
        found.paths.iter().map(|p| p.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn a_glob_finds_files_through_links_and_once_each() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("pods/a/0")).unwrap();
        fs::create_dir_all(at("pods/b.log")).unwrap();
        for name in ["pods/a/0/x.log", "pods/a/y.log", "pods/a/y.txt"] {
            fs::write(at(name), "line\n").unwrap();
        }
        symlink(at("pods/a/0/x.log"), at("pods/link.log")).unwrap();
        symlink(at("nowhere"), at("pods/dangling.log")).unwrap();
        symlink(at("pods"), at("pods/a/back")).unwrap();

        assert_eq!(glob(root.path(), "pods/*.log"), ["pods/link.log"]);
        assert_eq!(glob(root.path(), "pods/{a,*}/*.log"), ["pods/a/y.log"]);
        assert_eq!(glob(root.path(), "pods/**/*.log"), ["pods/a/0/x.log", "pods/a/y.log", "pods/link.log"]);
        assert_eq!(
            glob(root.path(), "pods/a/**"),
            ["pods/a/0/x.log", "pods/a/back/link.log", "pods/a/y.log", "pods/a/y.txt"]
        );
        assert_eq!(glob(root.path(), "nothing/*/here"), [""; 0]);
    }

    #[test]
    fn an_open_file_stays_itself_when_its_path_is_renamed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.log");
        fs::write(&path, "first").unwrap();
        let file = RealFiles.open(&path).unwrap();
        fs::rename(&path, root.path().join("a.log.1")).unwrap();
        fs::write(&path, "second").unwrap();

        let mut buf = [0; 16];
        assert_eq!((file.read_at(&mut buf, 2).unwrap(), &buf[..3]), (3, b"rst".as_slice()));
        assert_eq!(file.read_at(&mut buf, 5).unwrap(), 0);
        assert_eq!(file.stat().unwrap(), RealFiles.stat(&root.path().join("a.log.1")).unwrap());
        assert_ne!(file.stat().unwrap().inode, RealFiles.stat(&path).unwrap().inode);
    }

    #[test]
    fn replace_makes_the_folder_and_leaves_one_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state/offsets");
        for contents in [&b"one"[..], b"two"] {
            RealFiles.replace(&path, contents).unwrap();
            assert_eq!(RealFiles.read_small(&path, 3).unwrap(), contents);
        }
        assert_eq!(RealFiles.read_small(&path, 2).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_dir(root.path().join("state")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_written_behind_what_it_holds_or_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let write = |start, text: &[u8]| {
            let mut file = RealFiles.write(&path, start).unwrap();
            file.write_all(text).unwrap();
            file.sync().unwrap();
            RealFiles.read_small(&path, 100).unwrap()
        };
        assert_eq!(write(Start::Keep, b"one\n"), b"one\n");
        assert_eq!(write(Start::Keep, b"two\n"), b"one\ntwo\n");
        assert_eq!(write(Start::Empty, b"three\n"), b"three\n");
    }

    #[test]
    fn files_are_renamed_and_removed_and_folders_made_down_to_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let (deep, old, new) =
            (folder.path().join("a/b"), folder.path().join("a/b/old"), folder.path().join("a/b/new"));
        assert!(RealFiles.write(&old, Start::Keep).is_err());
        RealFiles.create_folder(&deep, 0o755).unwrap();
        RealFiles.create_folder(&deep, 0o755).unwrap();
        RealFiles.write(&old, Start::Keep).unwrap().write_all(b"x").unwrap();
        RealFiles.rename(&old, &new).unwrap();
        assert_eq!((RealFiles.stat(&old).is_err(), RealFiles.stat(&new).unwrap().len), (true, 1));
        RealFiles.remove(&new).unwrap();
        assert!(RealFiles.stat(&new).is_err());
    }
}
