//! What is known of the segments in memory: a byte for each record, and where reading goes on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Ranges;
use super::record::{Header, Kind};

/// All segments, oldest first.
#[derive(Debug, Default)]
pub(super) struct Segments {
    folder: PathBuf,
    all: VecDeque<Segment>,
    /// The number of the next record, and the items of all before it.
    pub(super) next_number: u64,
    pub(super) items: u64,
    next_id: u64,
    waiting: usize,
    /// Ranges of numbers that are done with, which is not written yet.
    done: Vec<(u64, u64)>,
    /// Where the next record that waits is looked for.
    cursor: (u64, u64),
}

#[derive(Debug)]
struct Segment {
    id: u64,
    /// Bytes in it that are written.
    len: u64,
    /// The number of its first record.
    first: u64,
    records: Vec<Mark>,
    /// Records in it that are not done with.
    left: usize,
    /// When its first record was made.
    at: Option<Duration>,
    /// Whether it still grows.
    open: bool,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nobody has taken it out.
    Waiting,
    /// Somebody works on it.
    Out,
    /// It is done with, or cannot be read.
    Done,
}

/// A place to read on from.
#[derive(Clone, Debug)]
pub(super) struct Place {
    id: u64,
    pub(super) path: PathBuf,
    pub(super) at: u64,
    pub(super) end: u64,
}

/// What became of a record that was found.
pub(super) enum Taken {
    /// It does not wait.
    Skipped,
    /// It is out now.
    Out,
    /// Reading goes on elsewhere.
    Moved,
}

impl Segments {
    pub(super) fn new(folder: &Path) -> Segments {
        Segments { folder: folder.to_owned(), next_number: 1, next_id: 1, ..Segments::default() }
    }

    /// The file of a segment.
    pub(super) fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("{id:016x}.segment"))
    }

    /// A segment that was found on the disk.
    pub(super) fn found(&mut self, id: u64, len: u64) {
        let first = self.next_number;
        self.all.push_back(Segment { id, len, first, records: Vec::new(), left: 0, at: None, open: false });
        self.next_id = self.next_id.max(id + 1);
    }

    /// A new segment that grows.
    pub(super) fn begin(&mut self) -> u64 {
        self.end();
        let id = self.next_id;
        self.found(id, 0);
        if let Some(last) = self.all.back_mut() {
            last.open = true;
        }
        id
    }

    /// The segment that grows does so no longer.
    pub(super) fn end(&mut self) {
        if let Some(last) = self.all.back_mut() {
            last.open = false;
        }
    }

    /// A record in the last segment. Numbers between the last one and its own are records that cannot be read. Answers
    /// how many items these had.
    pub(super) fn add(&mut self, header: &Header) -> u64 {
        let mut lost = 0;
        let begins_anew = self.next_number == 1 && self.items == 0;
        if header.number < self.next_number {
            self.forget_from(header.number);
        } else if header.number > self.next_number && !begins_anew {
            lost = header.items_before.saturating_sub(self.items);
        }
        let Some(last) = self.all.back_mut() else { return lost };
        if last.records.is_empty() {
            last.first = header.number;
        }
        let index = usize::try_from(header.number.saturating_sub(last.first)).unwrap_or(usize::MAX);
        // A number from nowhere would make room for all before it.
        if index - last.records.len().min(index) <= MOST_MISSING {
            last.records.resize(index.max(last.records.len()), Mark::Done);
            last.records.push(Mark::Waiting);
            last.left += 1;
            last.at.get_or_insert(header.at());
            self.waiting += 1;
        }
        self.next_number = header.number + 1;
        self.items = header.items_before + u64::from(header.items);
        lost
    }

    /// Records from that number on were written, but nobody was told so; others have their numbers.
    fn forget_from(&mut self, number: u64) {
        for segment in &mut self.all {
            let keep = usize::try_from(number.saturating_sub(segment.first)).unwrap_or(usize::MAX);
            for mark in segment.records.iter_mut().skip(keep) {
                self.waiting -= usize::from(*mark == Mark::Waiting);
                segment.left -= usize::from(*mark != Mark::Done);
                *mark = Mark::Done;
            }
        }
    }

    /// A record that was written just now; it is out.
    pub(super) fn written(&mut self, header: &Header) {
        if header.kind == Kind::Data {
            self.add(header);
            self.mark(header.number, Mark::Out);
        }
        if let Some(last) = self.all.back_mut() {
            last.len += header.record_len();
        }
    }

    pub(super) fn done(&mut self, number: u64) {
        if self.mark(number, Mark::Done) {
            self.done.push((number, number));
        }
    }

    pub(super) fn put_back(&mut self, number: u64) {
        if self.mark(number, Mark::Waiting)
            && let Some(segment) = self.of(number)
        {
            self.cursor = self.cursor.min((segment, 0));
        }
    }

    fn of(&self, number: u64) -> Option<u64> {
        let has = |s: &&Segment| number >= s.first && number - s.first < s.records.len() as u64;
        self.all.iter().find(has).map(|segment| segment.id)
    }

    /// Whether there is such a record and it was not done with.
    fn mark(&mut self, number: u64, to: Mark) -> bool {
        for segment in &mut self.all {
            let index = usize::try_from(number.wrapping_sub(segment.first)).unwrap_or(usize::MAX);
            let Some(mark) = segment.records.get_mut(index).filter(|mark| **mark != Mark::Done) else { continue };
            self.waiting -= usize::from(*mark == Mark::Waiting);
            self.waiting += usize::from(to == Mark::Waiting);
            segment.left -= usize::from(to == Mark::Done);
            *mark = to;
            return true;
        }
        false
    }

    /// What is done with and not written as such yet, as ranges.
    pub(super) fn take_done(&mut self) -> Ranges {
        self.done.sort_unstable();
        let mut ranges = Ranges::new();
        for (first, to) in self.done.drain(..) {
            match ranges.last_mut() {
                Some(last) if last.1 + 1 == first => last.1 = to,
                _ => ranges.push((first, to)),
            }
        }
        ranges
    }

    /// What was taken to be written was not.
    pub(super) fn give_back_done(&mut self, ranges: impl Iterator<Item = (u64, u64)>) {
        self.done.extend(ranges);
    }

    pub(super) fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// They are done with, as the disk says.
    pub(super) fn were_done(&mut self, first: u64, last: u64) {
        for segment in &mut self.all {
            let from = usize::try_from(first.saturating_sub(segment.first)).unwrap_or(usize::MAX);
            let to = usize::try_from((last + 1).saturating_sub(segment.first)).unwrap_or(usize::MAX);
            let to = to.min(segment.records.len());
            for mark in segment.records.get_mut(from.min(to)..to).into_iter().flatten() {
                self.waiting -= usize::from(*mark == Mark::Waiting);
                segment.left -= usize::from(*mark != Mark::Done);
                *mark = Mark::Done;
            }
        }
    }

    /// Whether there are such as nobody needs any longer.
    pub(super) fn has_drained(&self) -> bool {
        self.all.front().is_some_and(|s| s.left == 0 && !s.open)
    }

    /// Forgets the segments before the first with something left, and answers with their files.
    pub(super) fn drained(&mut self) -> Vec<PathBuf> {
        let mut out = Vec::new();
        while let Some(first) = self.all.front().filter(|s| s.left == 0 && !s.open) {
            out.push(self.path(first.id));
            self.all.pop_front();
        }
        out
    }

    /// Where to look for a record that waits.
    pub(super) fn reading(&self) -> Option<Place> {
        if self.waiting == 0 {
            return None;
        }
        let (id, at) = self.cursor;
        let segment = self.all.iter().find(|s| s.id >= id && s.records.contains(&Mark::Waiting))?;
        let at = if segment.id == id { at } else { 0 };
        (at < segment.len).then(|| Place { id: segment.id, path: self.path(segment.id), at, end: segment.len })
    }

    /// A record was found at a place, and reading goes on at `behind`.
    pub(super) fn take(&mut self, place: &Place, header: &Header, behind: u64) -> Taken {
        if self.cursor > (place.id, behind) {
            return Taken::Moved;
        }
        self.cursor = (place.id, behind);
        let Some(segment) = self.all.iter_mut().find(|s| s.id == place.id) else { return Taken::Moved };
        let index = usize::try_from(header.number.wrapping_sub(segment.first)).unwrap_or(usize::MAX);
        match segment.records.get_mut(index).filter(|mark| header.kind == Kind::Data && **mark == Mark::Waiting) {
            Some(mark) => {
                *mark = Mark::Out;
                self.waiting -= 1;
                Taken::Out
            }
            None => Taken::Skipped,
        }
    }

    /// Everything up to the end of a place was read. What waits there still was not found: it is lost. Answers how many
    /// records that were, for want of knowing their items.
    pub(super) fn read_through(&mut self, place: &Place) -> u64 {
        let mut lost = 0;
        if let Some(segment) = self.all.iter_mut().find(|s| s.id == place.id && s.len == place.end)
            && self.cursor <= (place.id, place.end)
        {
            for mark in segment.records.iter_mut().filter(|mark| **mark == Mark::Waiting) {
                *mark = Mark::Done;
                lost += 1;
            }
            segment.left -= lost;
            self.waiting -= lost;
        }
        self.cursor = self.cursor.max((place.id, place.end));
        lost as u64
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nobody has taken that record out.
    pub(super) fn is_waiting(&self, number: u64) -> bool {
        let marks = self
            .all
            .iter()
            .filter_map(|s| s.records.get(usize::try_from(number.wrapping_sub(s.first)).unwrap_or(usize::MAX)));
        marks.into_iter().any(|mark| *mark == Mark::Waiting)
    }

    pub(super) fn first_waiting(&self) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        let in_segment = |s: &Segment| Some(s.first + s.records.iter().position(|m| *m == Mark::Waiting)? as u64);
        self.all.iter().find_map(in_segment)
    }

    pub(super) fn oldest(&self) -> Option<Duration> {
        self.all.iter().find(|s| s.left > 0).and_then(|s| s.at)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.all.iter().map(|s| s.len).sum()
    }

    /// Bytes of the segment that grows, if one does.
    pub(super) fn growing(&self) -> Option<u64> {
        self.all.back().filter(|s| s.open).map(|s| s.len)
    }
}

/// Records that may be missing before one, so that a damaged number does not cost memory.
const MOST_MISSING: usize = 1 << 20;
