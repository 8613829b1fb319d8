//! Reads what files have got and makes batches of it: in turn, a batch at a time, so that no file keeps others waiting and
//! nothing but the batches is held in memory. An open line at the end of a file is not held but read again.

use std::io;
use std::path::Path;
use std::time::Duration;

use pipeline::Batch;
use tokio::time::Instant;

use super::complaints::Complaints;
use super::contents::Contents;
use super::facts::Facts;
use super::fingerprint::Print;
use super::format::record::Requests;
use super::header::Header;
use super::lines::Piece;
use super::operators::Trouble;
use super::progress::Position;
use super::recorder::{Line, Source, Tally};
use super::watch::{GONE_PATIENCE, Now, Tail, Watch, print_before};

/// A batch is handed on when it has so many bytes: two of them fit into a push to Loki.
pub const BATCH_BYTES: usize = 480 << 10;
/// The most that is read of a file at once, unless a line is longer: what a full batch leaves of it is read again, and it is
/// worked on while it is in the processor's cache.
const CHUNK: usize = 64 << 10;

/// A batch, and the parts of files in it.
#[derive(Debug)]
pub struct Filled {
    /// The records.
    pub batch: Batch,
    /// Its number.
    pub number: u64,
    /// The numbers of the progresses that it moves.
    pub parts: Vec<u64>,
}

/// Reads files into batches. Keeps its buffer.
#[derive(Debug, Default)]
pub struct Filler {
    buffer: Vec<u8>,
    requests: Requests,
    next_batch: u64,
    /// The file that was read last when a batch was full; the one behind it is next. Otherwise it is the turn of the file
    /// that was found first, so that a renamed file comes before the one that has replaced it.
    last: Option<u64>,
}

/// What was read beside the batch.
#[derive(Debug, Default)]
pub struct Beside {
    /// What became of lines.
    pub tally: Tally,
    /// Whether some place of arrival has moved without a batch, over empty lines.
    pub moved: bool,
}

impl Filler {
    /// Reads until a batch is full or nothing is left to read.
    pub fn fill(&mut self, watch: &mut Watch, now: Now, beside: &mut Beside) -> Option<Filled> {
        let number = self.next_batch;
        let mut parts = self.release(watch, now, number, beside);
        for id in self.in_turn(watch, now.instant) {
            let Some(tail) = watch.tails.remove(&id) else { continue };
            let Some((mut tail, file)) = open(watch, tail, now.instant) else { continue };
            let id = tail.progress.id;
            let before = tail.progress.read.offset;
            let mut at = tail.progress.read;
            if let Err(error) = self.read_locked(watch, &mut tail, &file, &mut at, now, beside) {
                watch.complaints.warn("cannot read file", tail.progress.path.display(), error, now.instant);
            }
            // What was read before an error is in the batch.
            if at.offset != before {
                let print = |at: Position| {
                    let before = print_before(&file, at.offset, watch.settings.fingerprint_size);
                    Position { before: before.unwrap_or(Print::EMPTY), ..at }
                };
                let at = print(at);
                let arrives = tail.progress.held.first().map_or(at, print);
                tail.progress.sent(number, at, arrives);
                if !parts.contains(&tail.progress.id) {
                    parts.push(tail.progress.id);
                }
            }
            watch.keep(&mut tail, file);
            watch.tails.insert(tail.progress.id, tail);
            if self.requests.bytes() >= BATCH_BYTES {
                self.last = Some(id);
                break;
            }
        }
        if self.requests.bytes() < BATCH_BYTES {
            self.last = None;
        }
        if self.requests.items() == 0 {
            for id in parts {
                beside.moved |= watch.progress_mut(id).is_some_and(|p| p.answered(number));
            }
            return None;
        }
        self.next_batch += 1;
        Some(Filled { batch: self.requests.take(), number, parts })
    }

    /// The files that have something to read, from behind the one that was read last.
    fn in_turn(&self, watch: &Watch, now: Instant) -> Vec<u64> {
        let from = self.last.map_or(0, |id| id + 1);
        let tails = watch.tails.range(from..).chain(watch.tails.range(..from));
        tails.filter(|(_, tail)| wants_reading(watch, tail, now)).map(|(id, _)| *id).collect()
    }

    /// The same as [`Filler::read`], under a lock where that is asked for: what somebody has for himself is left for later.
    fn read_locked(
        &mut self,
        watch: &mut Watch,
        tail: &mut Tail,
        file: &Contents,
        at: &mut Position,
        now: Now,
        beside: &mut Beside,
    ) -> io::Result<()> {
        let (locks, forgets) = (watch.settings.acquire_fs_lock, watch.settings.file_cache_advise);
        if locks && !file.lock()? {
            return Ok(());
        }
        let from = at.offset;
        let read = self.read(watch, tail, file, at, now, beside);
        if locks {
            file.unlock();
        }
        if forgets && at.offset > from {
            file.forget(from, at.offset);
        }
        read
    }

    /// Reads lines from `at` on, which moves, until the batch is full or the file is at its end.
    fn read(
        &mut self,
        watch: &mut Watch,
        tail: &mut Tail,
        file: &Contents,
        at: &mut Position,
        now: Now,
        beside: &mut Beside,
    ) -> io::Result<()> {
        let settings = watch.settings.clone();
        let take_open_line = open_line_is_due(settings.lines.flush_after, tail, now.instant);
        tail.looked = None;
        if let Some(header) = settings.header.as_ref().filter(|_| !tail.header_read) {
            let path = tail.progress.path.clone();
            let mut trouble = |t: Trouble<'_>| complain(&mut watch.complaints, &t, &path, now.instant);
            if !tail.read_header(header, file, at, &mut trouble)? {
                return Ok(());
            }
        }
        let mut want = settings.buffer_size;
        loop {
            let left = usize::try_from(file.most(&tail.stat).saturating_sub(at.offset)).unwrap_or(CHUNK);
            want = want.max(left.saturating_add(1).min(CHUNK));
            if self.buffer.len() < want {
                self.buffer.resize(want, 0);
            }
            let read = file.read_at(&mut self.buffer[..want], at.offset)?;
            let at_end = read < want;
            let used = self.cut(watch, tail, read, take_open_line && at_end, at, now, beside);
            if self.requests.bytes() >= BATCH_BYTES {
                break;
            }
            if at_end {
                tail.at_end(at.offset, read - used, now.instant);
                if file.breaks_off() && tail.gone_since.is_none() {
                    tail.open_line = None;
                }
                if let Some(damage) = file.damage() {
                    watch.complaints.warn("cannot read on in file", tail.progress.path.display(), damage, now.instant);
                }
                break;
            }
            if used == 0 {
                want = want.saturating_mul(2).min(settings.lines.cutter.room().max(want + 1));
            }
        }
        if self.buffer.len() > CHUNK.max(settings.buffer_size) {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Makes records of the lines at the start of the buffer. Answers how many bytes they take.
    #[allow(clippy::too_many_arguments)]
    fn cut(
        &mut self,
        watch: &mut Watch,
        tail: &mut Tail,
        read: usize,
        last: bool,
        at: &mut Position,
        now: Now,
        beside: &mut Beside,
    ) -> usize {
        let Watch { settings, complaints, .. } = watch;
        let Tail { progress, facts, .. } = tail;
        let source = Source { facts, observed: now.unix_nanos(), now: now.instant };
        let path = &progress.path;
        let mut used = 0;
        let text = settings.lines.cutter.encoding.text_of(&self.buffer[..read]);
        while used < read && self.requests.bytes() < BATCH_BYTES {
            let bytes = &self.buffer[used..read];
            let taken = match settings.lines.cutter.next(bytes, &mut at.in_rest, last) {
                Piece::Open => break,
                Piece::Rest(taken) => taken,
                Piece::Line { from, to, taken } => {
                    let text = text.and_then(|text| text.get(used + from..used + to));
                    let line = Line { bytes: &bytes[from..to], text, place: *at };
                    let written =
                        settings.lines.recorder.write(line, source, &mut progress.held, &mut self.requests, &mut |t| {
                            complain(complaints, &t, path, now.instant);
                        });
                    at.records += u64::from(written.is_some());
                    beside.tally += written.unwrap_or_default();
                    taken
                }
            };
            used += taken;
            at.offset += taken as u64;
        }
        used
    }

    /// Takes in what has waited for long enough to be put together with what comes. Answers the numbers of the progresses
    /// that it moves.
    fn release(&mut self, watch: &mut Watch, now: Now, number: u64, beside: &mut Beside) -> Vec<u64> {
        let nothing = Facts::default();
        let mut parts = Vec::new();
        for id in watch.held_due(now.instant) {
            let settings = watch.settings.clone();
            let Some(progress) = watch.progress_mut(id) else { continue };
            if progress.is_offered() {
                continue;
            }
            let (mut held, path) = (std::mem::take(&mut progress.held), progress.path.clone());
            let facts = watch.tails.get(&id).map_or(&nothing, |tail| &tail.facts);
            let source = Source { facts, observed: now.unix_nanos(), now: now.instant };
            let complaints = &mut watch.complaints;
            let mut trouble = |t: Trouble<'_>| complain(complaints, &t, &path, now.instant);
            let due = Some(now.instant);
            beside.tally += settings.lines.recorder.release(due, source, &mut held, &mut self.requests, &mut trouble);
            let Some(progress) = watch.progress_mut(id) else { continue };
            progress.held = held;
            let read = progress.read;
            // What was printed before the first line that waits was printed for another place.
            let arrives = progress.held.first().map_or(read, |at| Position { before: Print::EMPTY, ..at });
            progress.sent(number, read, arrives);
            parts.push(id);
        }
        parts
    }
}

/// Says that an operator could not work on a line, if it is to be said.
pub fn complain(complaints: &mut Complaints, trouble: &Trouble<'_>, path: &Path, now: Instant) {
    if trouble.loud {
        let whom = format_args!("{} in {}", trouble.operator, path.display());
        complaints.warn("an operator cannot work on a line", whom, &trouble.why, now);
    }
}

/// Opens a file if it is not open, and compares it with what was read. `None` when the file is not there, so that the tail
/// rests, or cannot be read now.
fn open(watch: &mut Watch, mut tail: Tail, now: Instant) -> Option<(Tail, Contents)> {
    let size = watch.settings.fingerprint_size;
    let was_open = watch.take_file(&mut tail);
    let opened = was_open.map_or_else(|| watch.settings.open(&tail.progress.path, &*watch.files), Ok);
    let compared = opened.and_then(|file| Ok((file.stat()?, file))).and_then(|(stat, file)| {
        if (stat.device, stat.inode) != (tail.stat.device, tail.stat.inode) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        tail.stat = stat;
        let verdict = tail.progress.compare(&file, file.most(&stat), size)?;
        Ok((verdict, file))
    });
    let error = match compared {
        Ok((verdict, file)) => return Some((watch.settle(tail, verdict, &file), file)),
        Err(error) => error,
    };
    let id = tail.progress.id;
    if error.kind() == io::ErrorKind::NotFound {
        watch.tails.insert(id, tail);
        watch.rest(id);
    } else {
        watch.complaints.warn("cannot read file", tail.progress.path.display(), error, now);
        watch.tails.insert(id, tail);
    }
    None
}

impl Tail {
    /// Reads the header; reading begins behind it. Answers whether it is whole.
    fn read_header(
        &mut self,
        header: &Header,
        file: &Contents,
        at: &mut Position,
        trouble: &mut dyn FnMut(Trouble<'_>),
    ) -> io::Result<bool> {
        let read = header.read(file, trouble)?;
        self.header_read = read.whole;
        if read.whole {
            self.facts.add(read.attributes);
            at.offset = at.offset.max(read.end);
        } else {
            self.looked = Some((self.stat.len, self.stat.modified));
        }
        Ok(read.whole)
    }

    /// Everything was read but the bytes of an open line behind `offset`.
    fn at_end(&mut self, offset: u64, open: usize, now: Instant) {
        self.looked = Some((self.stat.len, self.stat.modified));
        let len = offset + open as u64;
        self.open_line = match self.open_line {
            _ if open == 0 => None,
            Some((before, since)) if before == len => Some((before, since)),
            _ => Some((len, now)),
        };
    }
}

fn wants_reading(watch: &Watch, tail: &Tail, now: Instant) -> bool {
    // One batch of a file at a time is offered, so that its lines arrive in their order, whatever is refused.
    !tail.progress.is_offered() && (tail.changed() || open_line_is_due(watch.settings.lines.flush_after, tail, now))
}

/// Whether the open line at the end of a file is taken as it is: nothing has come for long enough, or nothing will come
/// because the file is gone.
fn open_line_is_due(flush_after: Option<Duration>, tail: &Tail, now: Instant) -> bool {
    let Some((_, since)) = tail.open_line else { return false };
    let gone = tail.gone_since.is_some_and(|gone| now - gone >= GONE_PATIENCE);
    gone || flush_after.is_some_and(|after| now - since >= after)
}
