//! Finds what an earlier process left, and takes the folder.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::record::{self, Header, Kind};
use super::segments::Segments;
use super::{Committer, Journal, Scan, Settings, Shared, State};
use crate::doors::Files;

/// A journal, what writes it, and what was found in it.
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// To be run as a task.
    pub committer: Committer,
    /// What is waiting from before.
    pub found: Found,
}

/// What an earlier process left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Records that wait.
    pub records: usize,
    /// Their items.
    pub items: u64,
    /// Bytes of their notes and bodies.
    pub bytes: u64,
    /// Items of records that cannot be read any more. Some of them may have been done with.
    pub lost_items: u64,
    /// Bytes that belong to no intact record: damage, or the end of a write that was cut off.
    pub skipped_bytes: u64,
}

/// Opens the journal in a folder, which is made if need be. It blocks, for a time that grows with the number of records.
///
/// # Errors
/// Another process has the folder, or the operating system's.
pub fn open(files: Arc<dyn Files>, settings: Settings) -> io::Result<Opened> {
    let folder = &settings.folder;
    files.create_folder(folder, settings.permissions)?;
    let lock = files.lock(&folder.join("lock"))?;
    let mut segments = Segments::new(folder);
    let mut found = Found::default();
    let mut sizes = Vec::new();
    for (id, len, path) in segment_files(&*files, folder)? {
        segments.found(id, len);
        let file = files.open(&path)?;
        let mut scan = Scan::new(&*file, 0, len);
        while let Some((header, at)) = scan.next()? {
            let expected = header.number == segments.next_number && header.items_before == segments.items;
            let record = if header.kind == Kind::Done || !expected {
                let Some(record) = scan.read(&header, at)? else {
                    found.skipped_bytes += header.record_len();
                    continue;
                };
                Some(record)
            } else {
                None
            };
            match (header.kind, record) {
                (Kind::Done, Some(record)) => record::ranges(&record).for_each(|(a, b)| segments.were_done(a, b)),
                _ => {
                    found.lost_items += segments.add(&header);
                    sizes.push(header);
                }
            }
        }
        found.skipped_bytes += scan.skipped;
    }
    segments.end();
    let waiting = sizes.iter().filter(|header| segments.is_waiting(header.number));
    for Header { items, len, .. } in waiting {
        found.records += 1;
        found.items += u64::from(*items);
        found.bytes += u64::from(*len);
    }
    let state = Mutex::new(State { segments, pending: Vec::new(), closed: false, listens: false });
    let shared = Shared { files, settings, state, wake: Notify::new(), lock: Mutex::new(Some(lock)) };
    let journal = Journal { shared: Arc::new(shared) };
    let committer = Committer::new(&journal);
    // Segments in which nothing waits are removed first of all.
    journal.shared.wake.notify_one();
    Ok(Opened { journal, committer, found })
}

/// The segments in a folder, oldest first: number, length and path.
fn segment_files(files: &dyn Files, folder: &Path) -> io::Result<Vec<(u64, u64, std::path::PathBuf)>> {
    let mut out = Vec::new();
    for path in files.list(folder)? {
        let is_segment = path.extension().is_some_and(|extension| extension == "segment");
        let id = path.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
        if let Some(id) = id.filter(|_| is_segment) {
            out.push((id, files.stat(&path)?.len, path));
        }
    }
    out.sort_unstable();
    Ok(out)
}
