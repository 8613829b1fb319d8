//! The journal beside the checkpoint: after each step in which batches have arrived, the places that have moved are written
//! behind its end at once. Nothing is synced, so it outlives the process and not the machine; what it says is true only
//! over the checkpoint that its first line names. The next checkpoint makes it void, and it begins anew.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pipeline::doors::{Files, Start, WriteFile};
use serde::{Deserialize, Serialize};

use super::checkpoint::SavedFile;
use super::progress::Progress;

/// The most bytes it has: when they are used up, a checkpoint is due, and nothing more is noted before there is one.
pub const MOST_BYTES: usize = 4 << 20;

/// Its first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// The checkpoint that it extends.
    checkpoint: String,
}

/// Writes the journal of one checkpoint after the other.
pub struct Journal {
    path: PathBuf,
    /// The checkpoint that is extended; `None` while nothing may be noted.
    of: Option<u128>,
    /// Open once something was noted since the checkpoint.
    file: Option<Box<dyn WriteFile>>,
    len: usize,
    is_full: bool,
}

/// Where the journal of a checkpoint is. Its name does not look like a log's.
pub fn path(checkpoint: &Path) -> PathBuf {
    checkpoint.with_extension("journal")
}

/// What a checkpoint says with its journal over it. What belongs to another checkpoint, or is torn, says nothing from there
/// on.
pub fn over(checkpoint: Vec<SavedFile>, of: u128, journal: &[u8]) -> Vec<SavedFile> {
    let mut lines = journal.split_inclusive(|b| *b == b'\n').map_while(|line| line.strip_suffix(b"\n"));
    let head: Option<Head> = lines.next().and_then(|line| serde_json::from_slice(line).ok());
    if head.is_none_or(|head| head.checkpoint != name(of)) {
        return checkpoint;
    }
    let noted = lines.map_while(|line| {
        let file: SavedFile = serde_json::from_slice(line).ok()?;
        Some((file.id.filter(|_| file.is_sound())?, file))
    });
    let mut newest: BTreeMap<u64, SavedFile> = noted.collect();
    let newest_of = |file: SavedFile| file.id.and_then(|id| newest.remove(&id)).unwrap_or(file);
    let known: Vec<_> = checkpoint.into_iter().map(newest_of).collect();
    // Where two were in one file, one after the other, that file is now the later one's.
    newest.into_values().rev().chain(known).collect()
}

fn name(checkpoint: u128) -> String {
    format!("{checkpoint:032x}")
}

impl Journal {
    /// The journal of that checkpoint. Nothing is noted before one was written.
    pub fn new(checkpoint: &Path) -> Journal {
        Journal { path: path(checkpoint), of: None, file: None, len: 0, is_full: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A checkpoint is in place: what is noted from now on extends it, what was noted before is void.
    pub fn begin(&mut self, checkpoint: u128) {
        (self.of, self.file, self.is_full) = (Some(checkpoint), None, false);
    }

    /// Nothing more is noted.
    pub fn close(&mut self) {
        (self.of, self.file) = (None, None);
    }

    /// Whether it has become full since the last time that this was asked, so that a checkpoint is due.
    pub fn was_filled(&mut self) -> bool {
        std::mem::take(&mut self.is_full)
    }

    /// Notes the places of these, with one write.
    ///
    /// # Errors
    /// When it cannot be written, as with a full disk. Nothing more is noted then before the next checkpoint, since part of
    /// it may have been written.
    pub fn note<'a>(&mut self, files: &dyn Files, moved: impl Iterator<Item = &'a Progress>) -> io::Result<()> {
        let Some(of) = self.of else { return Ok(()) };
        let mut bytes = Vec::new();
        for progress in moved.filter(|p| p.head.len > 0) {
            line(&mut bytes, &SavedFile::of(progress))?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            let mut head = Vec::new();
            line(&mut head, &Head { checkpoint: name(of) })?;
            bytes.splice(..0, head);
            self.len = 0;
        }
        if self.len + bytes.len() > MOST_BYTES {
            self.is_full = true;
            self.close();
            return Ok(());
        }
        let written = self.append(files, &bytes);
        if written.is_err() {
            self.close();
        }
        written
    }

    fn append(&mut self, files: &dyn Files, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(files.write(&self.path, Start::Empty)?),
        };
        self.len += bytes.len();
        file.write_all(bytes)?;
        file.flush()
    }
}

fn line(out: &mut Vec<u8>, what: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use pipeline::doors::{Clock, FileStat};
    use pipeline::testing::VirtualFiles;

    use super::*;
    use crate::file_log::checkpoint::{load, save};
    use crate::file_log::fingerprint::Print;
    use crate::file_log::progress::Position;

    fn at(id: u64, offset: u64) -> Progress {
        let path = PathBuf::from(format!("/logs/{id}"));
        let (device, inode, len, permissions) = (1, 7, 0, 0o644);
        let stat = FileStat {
            device,
            inode,
            len,
            modified: Default::default(),
            is_file: true,
            permissions,
            owner: 0,
            group: 0,
        };
        let arrived = Position { offset, ..Position::START };
        Progress { head: Print::of(b"x"), read: arrived, arrived, ..Progress::new(id, path, &stat) }
    }

    fn known(files: &VirtualFiles) -> Vec<(String, u64)> {
        let known = load(files, Path::new("/c.json")).unwrap().unwrap();
        known.iter().map(|p| (p.path.display().to_string(), p.arrived.offset)).collect()
    }

    fn noted() -> (VirtualFiles, Journal) {
        let (files, checkpoint) = (VirtualFiles::new(Clock::system()), Path::new("/c.json"));
        let mut journal = Journal::new(checkpoint);
        journal.note(&files, [at(3, 1)].iter()).unwrap();
        assert!(!files.exists("/c.journal"), "there is no checkpoint to extend");
        journal.begin(save(&files, checkpoint, [at(3, 10), at(5, 20)].iter()).unwrap());
        journal.note(&files, [at(3, 11), at(8, 1)].iter()).unwrap();
        journal.note(&files, [at(3, 12), at(9, 2)].iter()).unwrap();
        (files, journal)
    }

    fn places<const N: usize>(places: [(u64, u64); N]) -> Vec<(String, u64)> {
        places.map(|(id, offset)| (format!("/logs/{id}"), offset)).into()
    }

    #[test]
    fn what_was_noted_counts_over_the_checkpoint_and_the_youngest_of_one_inode_comes_first() {
        let (files, mut journal) = noted();
        assert_eq!(known(&files), places([(9, 2), (8, 1), (3, 12), (5, 20)]));
        let ids: Vec<_> = load(&files, Path::new("/c.json")).unwrap().unwrap().iter().map(|p| p.id).collect();
        assert_eq!(ids, [3, 2, 0, 1], "the oldest has the smallest number");
        journal.begin(save(&files, Path::new("/c.json"), [at(5, 21)].iter()).unwrap());
        assert_eq!(known(&files), places([(5, 21)]), "what extends another checkpoint is void");
        journal.note(&files, [at(5, 22)].iter()).unwrap();
        assert_eq!(known(&files), places([(5, 22)]));
        journal.close();
        journal.note(&files, [at(5, 23)].iter()).unwrap();
        assert_eq!(known(&files), places([(5, 22)]));
    }

    #[test]
    fn a_torn_end_is_left_out_wherever_it_is_torn() {
        let whole = noted().0.contents("/c.journal");
        let states = [
            places([(3, 10), (5, 20)]),
            places([(3, 11), (5, 20)]),
            places([(8, 1), (3, 11), (5, 20)]),
            places([(8, 1), (3, 12), (5, 20)]),
            places([(9, 2), (8, 1), (3, 12), (5, 20)]),
        ];
        let files = noted().0;
        for len in 0..=whole.len() {
            let lines = whole[..len].iter().filter(|b| **b == b'\n').count();
            files.put("/c.journal", &whole[..len]);
            assert_eq!(known(&files), states[lines.saturating_sub(1)], "{len} of {} bytes", whole.len());
        }
        let text = String::from_utf8(whole).unwrap();
        files.put("/c.journal", text.replacen("\"offset\":1,", "\"offset\":-1,", 1));
        assert_eq!(known(&files), states[1], "nothing counts behind a line that is none");
    }

    #[test]
    fn a_checkpoint_without_numbers_and_without_a_journal_is_read_in_its_order() {
        let (files, _) = noted();
        let text = String::from_utf8(files.contents("/c.json")).unwrap();
        files.rm("/c.journal");
        files.put("/c.json", text.replace("\"id\":3,", "").replace("\"id\":5,", ""));
        assert_eq!(known(&files), places([(3, 10), (5, 20)]));
    }
}
