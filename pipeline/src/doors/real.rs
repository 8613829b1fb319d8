//! The operating system's sockets and files behind the doors.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::{BoxStream, File, FileStat, Files, Listener, Net};
use crate::component::BoxFuture;

/// TCP.
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
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
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
    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let path = PathBuf::from(pattern);
        if path.exists() { vec![path] } else { Vec::new() }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        Ok(stat(&std::fs::metadata(path)?))
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
}

impl File for std::fs::File {
    fn stat(&self) -> io::Result<FileStat> {
        Ok(stat(&self.metadata()?))
    }
}

fn stat(meta: &std::fs::Metadata) -> FileStat {
    FileStat {
        device: meta.dev(),
        inode: meta.ino(),
        len: meta.len(),
        modified: Duration::new(meta.mtime().unsigned_abs(), u32::try_from(meta.mtime_nsec()).unwrap_or(0)),
        is_file: meta.is_file(),
    }
}
