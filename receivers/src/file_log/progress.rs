//! How far a file was read, and how far what was read has arrived: the part of a tail that outlives paths, open files and
//! the process.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use pipeline::doors::FileStat;

use super::contents::Contents;
use super::fingerprint::Print;
use super::operators::Held;

/// Bytes of a file's start that are kept as they are, to find files with the same start quickly.
pub const START: usize = 32;

/// Parts in flight for which room is kept when none is.
const FEW: usize = 4;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The next byte.
    pub offset: u64,
    /// Records before it.
    pub records: u64,
    /// Whether it is in a line whose rest is left out.
    pub in_rest: bool,
    /// The bytes before it, up to the fingerprint's size.
    pub before: Print,
}

impl Position {
    /// The start of a file.
    pub const START: Position = Position { offset: 0, records: 0, in_rest: false, before: Print::EMPTY };
}

/// What was read of one file and where it is. The contents of a file keep their progress when the file is renamed, or
/// copied and cut.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Our own number for it, never used again.
    pub id: u64,
    /// Where the file is, or was last.
    pub path: PathBuf,
    /// Its device, or its last.
    pub device: u64,
    /// Its inode, or its last.
    pub inode: u64,
    /// When it was changed, as last seen.
    pub modified: Duration,
    /// Its first bytes.
    pub start: Vec<u8>,
    /// Its first bytes, up to the fingerprint's size.
    pub head: Print,
    /// Up to here it was read.
    pub read: Position,
    /// Up to here everything has arrived, or was given up with a reason.
    pub arrived: Position,
    /// What is between the two, in the order it was read.
    pub in_flight: VecDeque<InFlight>,
    /// Lines before the place reached that wait for others to make a record with: they arrive with those.
    pub held: Held,
    /// Whether its file was cut or overwritten while it was being read, so that a copy of it may be about.
    pub displaced: bool,
    /// Whether it is known from a checkpoint only: its file may have another inode since.
    pub restored: bool,
}

/// A part of a file in a batch that has not been answered.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// The batch.
    pub batch: u64,
    /// Where the part ends.
    pub end: Position,
    /// Whether the pipeline has taken it over.
    pub taken: bool,
    /// Whether it has arrived though a part before it has not.
    pub arrived: bool,
}

/// What a file shows of itself when it is compared with what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has the bytes that were read.
    Same,
    /// It begins in the same way, but is shorter than what was read.
    Shorter,
    /// It has other bytes.
    Other,
}

impl Progress {
    /// Nothing is read yet of the file at that path.
    pub fn new(id: u64, path: PathBuf, stat: &FileStat) -> Progress {
        Progress {
            id,
            path,
            device: stat.device,
            inode: stat.inode,
            modified: stat.modified,
            start: Vec::new(),
            head: Print::EMPTY,
            read: Position::START,
            arrived: Position::START,
            in_flight: VecDeque::new(),
            held: Held::default(),
            displaced: false,
            restored: false,
        }
    }

    /// A part up to `read` was read into a batch, of which everything up to `end` arrives with the batch.
    pub fn sent(&mut self, batch: u64, read: Position, end: Position) {
        self.read = read;
        self.in_flight.push_back(InFlight { batch, end, taken: false, arrived: false });
    }

    /// The pipeline has taken the part in that batch over: what is read next will not overtake it.
    pub fn taken(&mut self, batch: u64) {
        self.in_flight.iter_mut().filter(|p| p.batch == batch).for_each(|part| part.taken = true);
    }

    /// Whether a part is offered to the pipeline now.
    pub fn is_offered(&self) -> bool {
        self.in_flight.iter().any(|part| !part.taken)
    }

    /// The part in that batch has arrived. The place of arrival moves over everything that has arrived without a gap.
    /// Answers whether it has moved.
    pub fn answered(&mut self, batch: u64) -> bool {
        for part in self.in_flight.iter_mut().filter(|p| p.batch == batch) {
            part.arrived = true;
        }
        let before = self.arrived.offset;
        while let Some(&InFlight { end, arrived: true, .. }) = self.in_flight.front() {
            self.arrived = end;
            self.in_flight.pop_front();
        }
        // Thousands of files that are at rest remember where they are, and no more.
        if self.in_flight.is_empty() && self.in_flight.capacity() > FEW {
            self.in_flight = VecDeque::new();
        }
        self.arrived.offset != before
    }

    /// Nothing was skipped or is under way: reading may begin at that place.
    pub fn jump(&mut self, to: Position) {
        self.held.move_to(to);
        self.in_flight.clear();
        self.read = to;
        self.arrived = to;
    }

    /// Whether a file has the bytes that were read: those at its start, and those before the place reached. Takes the
    /// prints of a longer start along while the file grows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn compare(&mut self, file: &Contents, len: u64, size: usize) -> std::io::Result<Verdict> {
        let first = bytes_at(file, 0, size.max(self.head.len))?;
        let start = &first[..first.len().min(START)];
        if len < self.read.offset {
            let alike = self.start.starts_with(start) || start.starts_with(&self.start);
            return Ok(if alike && !start.is_empty() { Verdict::Shorter } else { Verdict::Other });
        }
        let same_head = first.get(..self.head.len).is_some_and(|head| self.head.is_of(head));
        if !same_head || !self.ends_here(file)? {
            return Ok(Verdict::Other);
        }
        if first.len() > self.head.len {
            self.head = Print::of(&first);
            self.start = start.to_vec();
        }
        Ok(Verdict::Same)
    }

    /// Whether a file has the bytes before the place reached at the same place.
    fn ends_here(&self, file: &Contents) -> std::io::Result<bool> {
        let Position { offset, before, .. } = self.read;
        let from = offset.saturating_sub(before.len as u64);
        Ok(before.is_of(&bytes_at(file, from, before.len)?))
    }

    /// Whether everything of it that was read stands in that file too, at the same place.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_in(&self, file: &Contents, len: u64) -> std::io::Result<bool> {
        Ok(self.head.len > 0
            && len >= self.read.offset
            && self.head.is_of(&bytes_at(file, 0, self.head.len)?)
            && self.ends_here(file)?)
    }
}

/// Up to `len` bytes at a place; fewer only at the file's end.
///
/// # Errors
/// When the file cannot be read.
pub fn bytes_at(file: &Contents, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let filled = file.read_at(&mut bytes, offset)?;
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        let stat = FileStat {
            device: 1,
            inode: 2,
            len: 0,
            modified: Duration::ZERO,
            is_file: true,
            permissions: 0,
            owner: 0,
            group: 0,
        };
        Progress::new(1, PathBuf::from("/a"), &stat)
    }

    fn at(offset: u64) -> Position {
        Position { offset, ..Position::START }
    }

    #[test]
    fn the_place_of_arrival_moves_only_without_gaps() {
        let mut progress = progress();
        for (batch, offset) in [(1, 10), (2, 20), (3, 30)] {
            progress.sent(batch, at(offset), at(offset));
        }
        assert_eq!(progress.read.offset, 30);
        assert!(!progress.answered(2));
        assert_eq!(progress.arrived.offset, 0);
        assert!(progress.answered(1));
        assert_eq!(progress.arrived.offset, 20);
        assert!(!progress.answered(7));
        assert!(progress.answered(3));
        assert_eq!((progress.arrived.offset, progress.in_flight.len()), (30, 0));
    }

    #[test]
    fn no_room_is_kept_for_parts_that_have_arrived() {
        let mut progress = progress();
        (1..100).for_each(|batch| progress.sent(batch, at(batch), at(batch)));
        (1..99).for_each(|batch| assert!(progress.answered(batch)));
        assert!(progress.in_flight.capacity() >= 99);
        assert!(progress.answered(99));
        assert_eq!(progress.in_flight.capacity(), 0);
    }

    #[test]
    fn a_part_is_offered_until_the_pipeline_has_taken_it() {
        let mut progress = progress();
        assert!(!progress.is_offered());
        progress.sent(1, at(10), at(10));
        progress.taken(7);
        assert!(progress.is_offered());
        progress.taken(1);
        assert!(!progress.is_offered());
        assert_eq!((progress.arrived.offset, progress.in_flight.len()), (0, 1));
    }

    #[test]
    fn answers_that_come_after_a_jump_change_nothing() {
        let mut progress = progress();
        progress.sent(1, at(10), at(10));
        progress.jump(at(5));
        assert!(!progress.answered(1));
        assert_eq!((progress.read.offset, progress.arrived.offset), (5, 5));
    }
}
