//! The file in the data directory that says how far each file has arrived. It is replaced as a whole, so that it is always
//! either the old one or the new one. What has moved since is in the journal beside it.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline::config::ComponentId;
use pipeline::doors::Files;
use serde::{Deserialize, Serialize};

use super::fingerprint::Print;
use super::journal;
use super::operators::Held;
use super::progress::{Position, Progress};

/// The layout of the file; another one is not read.
const VERSION: u32 = 1;
/// The most bytes that are read of it: over 100,000 files.
const MOST_BYTES: usize = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    files: Vec<SavedFile>,
}

/// What is kept of a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedFile {
    /// The number it had in the process that wrote this. Checkpoints of before have none.
    pub id: Option<u64>,
    path: String,
    device: u64,
    inode: u64,
    modified_nanos: u64,
    offset: u64,
    records: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    in_rest: bool,
    start: String,
    head: SavedPrint,
    before: SavedPrint,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedPrint {
    len: usize,
    hash: String,
}

/// Where the checkpoint of a receiver is.
pub fn path(data_dir: &Path, id: &ComponentId) -> PathBuf {
    let mut name = String::new();
    for c in id.to_string().chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => name.push(c),
            '/' => name.push('.'),
            other => _ = write!(name, "%{:x}", u32::from(other)),
        }
    }
    data_dir.join(format!("{name}.offsets.json"))
}

/// Reads a checkpoint with its journal. `None` when there is none yet.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn load(files: &dyn Files, path: &Path) -> io::Result<Option<VecDeque<Progress>>> {
    let bytes = match files.read_small(path, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let saved: Saved = serde_json::from_slice(&bytes)?;
    if saved.version != VERSION {
        return Err(io::Error::other(format!(
            "it has version {}, this program reads version {VERSION}",
            saved.version
        )));
    }
    let files = match files.read_small(&journal::path(path), MOST_BYTES) {
        Ok(journal) => journal::over(saved.files, hash(&bytes), &journal),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                let place = journal::path(path);
                let so = "lines that have arrived since the last whole write come again";
                tracing::warn!("cannot read the latest offsets in {}: {error}; {so}", place.display());
            }
            saved.files
        }
    };
    // Those that were found first keep the smaller numbers.
    let mut by_age: Vec<usize> = (0..files.len()).collect();
    by_age.sort_by_key(|at| files[*at].id);
    let mut ids = vec![0; files.len()];
    (0..).zip(by_age).for_each(|(id, at)| ids[at] = id);
    Ok(Some(files.iter().zip(ids).filter_map(|(file, id)| file.progress(id)).collect()))
}

/// Replaces the checkpoint. Answers what [`print`] will say as long as nobody else replaces it.
///
/// # Errors
/// When it cannot be written: a full disk, missing rights.
pub fn save<'a>(files: &dyn Files, path: &Path, all: impl Iterator<Item = &'a Progress>) -> io::Result<u128> {
    let known = all.filter(|p| p.head.len > 0);
    let saved = Saved { version: VERSION, files: known.map(SavedFile::of).collect() };
    let bytes = serde_json::to_vec(&saved)?;
    files.replace(path, &bytes)?;
    Ok(hash(&bytes))
}

/// A hash of the checkpoint that is there.
pub fn print(files: &dyn Files, path: &Path) -> Option<u128> {
    files.read_small(path, MOST_BYTES).ok().map(|bytes| hash(&bytes))
}

fn hash(bytes: &[u8]) -> u128 {
    Print::of(bytes).hash
}

impl SavedFile {
    /// Where that one has arrived.
    pub fn of(progress: &Progress) -> SavedFile {
        let Position { offset, records, in_rest, before } = progress.arrived;
        SavedFile {
            id: Some(progress.id),
            path: progress.path.to_string_lossy().into_owned(),
            device: progress.device,
            inode: progress.inode,
            modified_nanos: u64::try_from(progress.modified.as_nanos()).unwrap_or(u64::MAX),
            offset,
            records,
            in_rest,
            start: hex(&progress.start),
            head: SavedPrint::of(progress.head),
            before: SavedPrint::of(before),
        }
    }

    /// Whether all of it can be read.
    pub fn is_sound(&self) -> bool {
        self.progress(0).is_some()
    }

    fn progress(&self, id: u64) -> Option<Progress> {
        let before = self.before.print()?;
        let at = Position { offset: self.offset, records: self.records, in_rest: self.in_rest, before };
        Some(Progress {
            id,
            path: PathBuf::from(&self.path),
            device: self.device,
            inode: self.inode,
            modified: Duration::from_nanos(self.modified_nanos),
            start: unhex(&self.start)?,
            head: self.head.print()?,
            read: at,
            arrived: at,
            in_flight: VecDeque::new(),
            held: Held::default(),
            displaced: false,
            restored: true,
        })
    }
}

impl SavedPrint {
    fn of(print: Print) -> SavedPrint {
        SavedPrint { len: print.len, hash: format!("{:032x}", print.hash) }
    }

    fn print(&self) -> Option<Print> {
        Some(Print { len: self.len, hash: u128::from_str_radix(&self.hash, 16).ok()? })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        _ = write!(out, "{b:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |i: usize| u8::from_str_radix(text.get(i..i + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use pipeline::doors::Clock;
    use pipeline::testing::VirtualFiles;

    use super::*;

    fn progress() -> Progress {
        Progress {
            id: 0,
            path: PathBuf::from("/var/log/é.log"),
            device: 1,
            inode: u64::MAX,
            modified: Duration::from_nanos(1_767_312_000_123_456_789),
            start: b"2026\xff".to_vec(),
            head: Print::of(b"2026\xff..."),
            read: Position { offset: 99, ..Position::START },
            arrived: Position { offset: 7, records: 3, in_rest: true, before: Print::of(b"before") },
            in_flight: VecDeque::new(),
            held: Held::default(),
            displaced: true,
            restored: false,
        }
    }

    #[test]
    fn what_has_arrived_reads_back_and_what_was_only_read_does_not() {
        let files = VirtualFiles::new(Clock::system());
        let at = path(Path::new("/data"), &ComponentId::new("file_log", "a b/ü"));
        assert_eq!(at, Path::new("/data/file_log.a%20b.%fc.offsets.json"));
        assert!(load(&files, &at).unwrap().is_none());
        let unknown = Progress { head: Print::EMPTY, ..progress() };
        save(&files, &at, [&progress(), &unknown].into_iter()).unwrap();
        let back = load(&files, &at).unwrap().unwrap();
        let want = Progress { read: progress().arrived, displaced: false, restored: true, ..progress() };
        assert_eq!(format!("{back:?}"), format!("{:?}", [want]));
    }

    #[test]
    fn what_is_no_checkpoint_is_an_error() {
        let files = VirtualFiles::new(Clock::system());
        for bad in ["", "{", "{\"version\":2,\"files\":[]}", "[]"] {
            files.put("/c", bad);
            assert!(load(&files, Path::new("/c")).is_err(), "{bad}");
        }
    }
}
