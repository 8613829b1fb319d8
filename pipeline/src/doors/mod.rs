//! The doors: the only places where time, network and files come into the process, so that a test can put virtual ones
//! in their place and run the real components. No component mocks live here.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::component::BoxFuture;
use crate::config::ComponentId;
use crate::telemetry::Kind;

#[cfg(target_os = "linux")]
mod changes;
pub mod glob;
mod real;
pub mod simulated;
mod uncached;

pub use glob::Glob;

/// All doors of one process.
#[derive(Clone)]
pub struct Doors {
    /// The wall clock.
    pub clock: Clock,
    /// Sockets.
    pub net: Arc<dyn Net>,
    /// Files that are read as input, written as output or kept as state.
    pub files: Arc<dyn Files>,
}

impl Doors {
    /// The operating system's own.
    pub fn real() -> Doors {
        Doors { clock: Clock::system(), net: Arc::new(real::RealNet), files: Arc::new(real::RealFiles) }
    }

    /// The doors of one component: the same, unless they tell their users apart.
    #[must_use]
    pub fn of(&self, owner: &Owner) -> Doors {
        Doors {
            clock: self.clock,
            net: self.net.of(owner).unwrap_or_else(|| self.net.clone()),
            files: self.files.of(owner).unwrap_or_else(|| self.files.clone()),
        }
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doors")
    }
}

/// The component that goes through a door.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: ComponentId,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// Wall time: the system's, or a virtual one that runs with tokio's clock, so that pausing tokio's time pauses it too.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    virtual_start: Option<(Duration, tokio::time::Instant)>,
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Clock {
        Clock { virtual_start: None }
    }

    /// A clock that shows `unix` (since 1970) now and runs with tokio's time.
    pub fn starting_at(unix: Duration) -> Clock {
        Clock { virtual_start: Some((unix, tokio::time::Instant::now())) }
    }

    /// Time since 1970-01-01T00:00:00Z.
    #[allow(clippy::disallowed_methods, reason = "this is the door that the ban points to")]
    pub fn now(&self) -> Duration {
        match self.virtual_start {
            Some((unix, start)) => unix + start.elapsed(),
            None => std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn now_unix_nanos(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now_unix_millis(&self) -> i64 {
        i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX)
    }
}

/// A byte stream in both directions: a TCP connection or a virtual one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A boxed byte stream.
pub type BoxStream = Box<dyn Stream>;

/// Sockets.
pub trait Net: Send + Sync {
    /// Listens on `address` (`host:port`, port 0 for any).
    ///
    /// # Errors
    /// The operating system's, such as an address in use.
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Connects to `host:port`, or to the Unix socket of `unix:/path`.
    ///
    /// # Errors
    /// The operating system's, name resolution included.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>>;

    /// Sends one datagram to `host:port` and waits, for ever if need be, for one that comes back from there.
    ///
    /// # Errors
    /// The operating system's, name resolution included.
    fn ask<'a>(&'a self, address: &'a str, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>>;

    /// The sockets of one component, where they are not everybody's: a simulation knows by that who connects where.
    fn of(&self, _owner: &Owner) -> Option<Arc<dyn Net>> {
        None
    }

    /// Whether nobody can listen in on its streams, so that TLS over them is left out, and no certificate is read for it.
    fn is_secure(&self) -> bool {
        false
    }
}

/// A listening socket.
pub trait Listener: Send {
    /// The next connection and the peer's address as text.
    ///
    /// # Errors
    /// The operating system's; the listener still listens.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>>;

    /// The address it listens on, with the real port.
    fn local_address(&self) -> String;

    /// Whether TLS over its streams is left out, as by [`Net::is_secure`].
    fn is_secure(&self) -> bool {
        false
    }
}

/// Files. The calls block: a component makes them where blocking is allowed (`tokio::task::spawn_blocking`).
pub trait Files: Send + Sync {
    /// The regular files that match, links followed, sorted and each path once; with the folders that could not be
    /// looked into. A link that leads nowhere is left out.
    fn glob(&self, glob: &Glob) -> Found;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// What a path is, links followed.
    ///
    /// # Errors
    /// The operating system's.
    fn stat(&self, path: &Path) -> io::Result<FileStat>;

    /// The absolute path without links in it.
    ///
    /// # Errors
    /// The operating system's.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// The whole of a small file (a token, a downward-API file, a checkpoint), at most `most` bytes.
    ///
    /// # Errors
    /// The operating system's, and `InvalidData` above `most`.
    fn read_small(&self, path: &Path, most: usize) -> io::Result<Vec<u8>>;

    /// The same of a file that is a part of the config: with other contents it says something else.
    ///
    /// # Errors
    /// Likewise.
    fn read_config(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        self.read_small(path, most)
    }

    /// The files that match and are parts of the config, as [`Files::glob`] finds them.
    fn find_config(&self, glob: &Glob) -> Found {
        self.glob(glob)
    }

    /// Replaces a file as a whole: written beside it, synced, renamed over it. Its folder is made if need be.
    ///
    /// # Errors
    /// The operating system's.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()>;

    /// Hears of changes in folders; `None` where the operating system tells nothing. Must be called inside a runtime.
    fn changes(&self) -> Option<Box<dyn Changes>> {
        None
    }

    /// What comes in by the process' standard input, in pieces of at most 64 KiB, until its end. Only one can take it.
    ///
    /// # Errors
    /// The operating system's.
    fn input(&self) -> io::Result<mpsc::Receiver<io::Result<Bytes>>>;

    /// Opens a file for writing at its end; it is made if need be, its folder is not. `/dev/stdout` and `/dev/stderr`
    /// are the process' own, whatever they are connected to.
    ///
    /// # Errors
    /// The operating system's.
    fn write(&self, path: &Path, start: Start) -> io::Result<Box<dyn WriteFile>>;

    /// Makes a file that is written from its beginning and synced at once, or empties it: past the page cache, where the
    /// operating system has such a way. Until something is written behind it, what is flushed may be followed by zeros up
    /// to the end of a block.
    ///
    /// # Errors
    /// The operating system's.
    fn write_uncached(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Gives a file another name; a file of that name is replaced.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// What is in a folder, in no order.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Waits until the disk has the names in a folder: those of files that were made, renamed or removed.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Takes a lock that one process at a time can have, as long as the answer lives. The file is made if need be.
    ///
    /// # Errors
    /// `WouldBlock` where another process has it, and the operating system's.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// Makes a folder with those permissions (`0o755`) and all above it; it may exist.
    ///
    /// # Errors
    /// The operating system's.
    fn create_folder(&self, path: &Path, permissions: u32) -> io::Result<()>;

    /// The files of one component, where they are not everybody's.
    fn of(&self, _owner: &Owner) -> Option<Arc<dyn Files>> {
        None
    }
}

/// Hears of changes in folders.
pub trait Changes: Send {
    /// Follows these folders from now on, and no others. One that cannot be followed is left out.
    fn follow(&mut self, folders: &BTreeSet<PathBuf>);

    /// Ends when something was written, made or renamed in one of them since the last time.
    fn changed(&mut self) -> BoxFuture<'_, ()>;
}

/// What becomes of a file's contents when it is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// They stay; writing goes on behind them.
    Keep,
    /// They are lost.
    Empty,
}

/// A file open for writing. What `write` has taken outlives the process once it is flushed, the machine once it is synced.
pub trait WriteFile: Write + Send {
    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// The operating system's.
    fn sync(&mut self) -> io::Result<()>;
}

/// What a glob found.
#[derive(Debug, Default)]
pub struct Found {
    /// The files.
    pub paths: Vec<PathBuf>,
    /// The folders that could not be looked into, and why. A folder that is not there is no error.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// An open file. It stays what it is when its path is renamed, removed or given to another file.
pub trait File: Send {
    /// Reads from a place in the file; 0 only at or beyond its end (or for an empty `buf`). May read less than asked.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// What it is now.
    ///
    /// # Errors
    /// The operating system's.
    fn stat(&self) -> io::Result<FileStat>;

    /// Takes a lock that others may share and writers must wait for (`flock`); false where somebody has the file for
    /// himself.
    ///
    /// # Errors
    /// The operating system's.
    fn lock(&self) -> io::Result<bool>;

    /// Gives the lock back.
    ///
    /// # Errors
    /// The operating system's.
    fn unlock(&self) -> io::Result<()>;

    /// Tells the operating system that these bytes will not be read again soon.
    fn forget(&self, from: u64, len: u64);
}

/// What identifies and measures a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Device number.
    pub device: u64,
    /// Inode number: with the device, the file's identity as long as it exists or is held open.
    pub inode: u64,
    /// Length in bytes.
    pub len: u64,
    /// Last change of its contents, since 1970.
    pub modified: Duration,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Permission bits, as `chmod` takes them.
    pub permissions: u32,
    /// User id of its owner.
    pub owner: u32,
    /// Group id of its owner.
    pub group: u32,
}
