//! Writes what is pending, one group after the other: whatever comes while a group is written is the next group.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use super::record::{self, Header, Kind};
use super::{Journal, Pending, Ranges, Record, Settings, Shared};
use crate::doors::{Files, Start, WriteFile};

/// The part of a journal that writes: a task's future.
pub struct Committer {
    shared: Arc<Shared>,
}

/// What is written and synced together.
struct Group {
    records: Vec<(Header, Record)>,
    answers: Vec<oneshot::Sender<Result<u64, Arc<io::Error>>>>,
    /// The number and the items before that say which numbers are done with.
    done: Option<(Header, Record)>,
    /// The segment to begin, where one is to be.
    begin: Option<u64>,
    /// Segments that nobody needs any longer.
    drained: Vec<std::path::PathBuf>,
}

/// What is to be done.
enum Next {
    /// That, now.
    Write(Box<Group>),
    /// Something that can wait for what comes.
    Later,
    /// Nothing.
    Nothing,
}

/// How long that records are done with may wait to be written: with the next records, if any come.
const DONE_WITHIN: Duration = Duration::from_millis(100);

/// How long a disk that failed is left alone where nobody waits for it.
const PAUSE: Duration = Duration::from_secs(1);
/// What is written with one call of the operating system.
const AT_ONCE: usize = 128 << 10;

/// Nobody writes any longer: whoever waits for an answer is told so, and another may have the folder.
impl Drop for Committer {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        state.pending.clear();
        drop(state);
        self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Committer {
    pub(super) fn new(journal: &Journal) -> Committer {
        Committer { shared: journal.shared.clone() }
    }

    /// Writes until the journal is closed.
    pub async fn run(self) {
        let mut file: Option<Box<dyn WriteFile>> = None;
        // When what can wait has waited long enough.
        let mut due: Option<Instant> = None;
        loop {
            let woken = self.shared.wake.notified();
            let mut group = match self.next(file.is_some(), due.is_some_and(|due| due <= Instant::now())) {
                Next::Write(group) => group,
                Next::Later => {
                    let due = *due.get_or_insert_with(|| Instant::now() + DONE_WITHIN);
                    let _ = timeout_at(due, woken).await;
                    continue;
                }
                Next::Nothing if self.is_over() => return,
                Next::Nothing => {
                    woken.await;
                    continue;
                }
            };
            due = None;
            let shared = self.shared.clone();
            let current = file.take();
            let wrote = spawn_blocking(move || {
                let result = write(&*shared.files, &shared.settings, &shared, &group, current);
                (group, result)
            });
            let Ok((written, result)) = wrote.await else { return };
            group = written;
            let failed = result.is_err();
            self.settle(*group, result, &mut file);
            if failed {
                if self.is_over() {
                    return;
                }
                // What is done with can wait for the disk; an append is tried at once.
                let _ = timeout(PAUSE, self.shared.wake.notified()).await;
            }
        }
    }

    /// Whether the journal is closed and nobody waits for an answer.
    fn is_over(&self) -> bool {
        let state = self.shared.state();
        state.closed && state.pending.is_empty()
    }

    /// What is to be done; `is_due` does what can wait, too.
    fn next(&self, is_open: bool, is_due: bool) -> Next {
        let mut state = self.shared.state();
        let state = &mut *state;
        let can_wait = !is_due && !state.closed;
        let waits = state.segments.has_done() || state.segments.has_drained();
        state.listens = false;
        if state.pending.is_empty() && (can_wait || !waits) {
            state.listens = !waits;
            return if waits { Next::Later } else { Next::Nothing };
        }
        let pending = std::mem::take(&mut state.pending);
        let drained = state.segments.drained();
        let mut group = Group { records: Vec::new(), answers: Vec::new(), done: None, begin: None, drained };
        let (mut number, mut items) = (state.segments.next_number, state.segments.items);
        for Pending { record, answer } in pending {
            let Some(header) = Header::of(Kind::Data, number, items, &record) else {
                let _ = answer.send(Err(Arc::new(io::Error::other("a record of more than 4 GiB"))));
                continue;
            };
            number += 1;
            items += record.items as u64;
            group.records.push((header, record));
            group.answers.push(answer);
        }
        let ranges: Ranges = state.segments.take_done();
        // With nothing on the disk there is nothing to say it of.
        if !ranges.is_empty() && state.segments.bytes() > 0 {
            let record = record::done(&ranges);
            group.done = Header::of(Kind::Done, number, items, &record).map(|header| (header, record));
        }
        let full = state.segments.growing().is_none_or(|len| len >= self.shared.settings.segment_bytes);
        let writes = !group.records.is_empty() || group.done.is_some();
        if writes && (!is_open || full && !group.records.is_empty()) {
            group.begin = Some(state.segments.begin());
        }
        Next::Write(Box::new(group))
    }

    /// Tells everybody how it went.
    fn settle(
        &self,
        group: Group,
        result: io::Result<Option<Box<dyn WriteFile>>>,
        file: &mut Option<Box<dyn WriteFile>>,
    ) {
        match result {
            Ok(current) => {
                *file = current;
                let mut state = self.shared.state();
                for ((header, _), answer) in group.records.iter().zip(group.answers) {
                    state.segments.written(header);
                    if answer.send(Ok(header.number)).is_err() {
                        state.segments.put_back(header.number);
                    }
                }
                if let Some((header, _)) = &group.done {
                    state.segments.written(header);
                }
            }
            Err(error) => {
                // What is there of the group is the end of a segment, and nobody was told of it.
                let mut state = self.shared.state();
                state.segments.end();
                if let Some((_, record)) = &group.done {
                    state.segments.give_back_done(record::ranges(record));
                }
                drop(state);
                let error = Arc::new(error);
                for answer in group.answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Writes a group to the segment that grows, or to a new one, and waits for the disk where records were written.
fn write(
    files: &dyn Files,
    settings: &Settings,
    shared: &Shared,
    group: &Group,
    current: Option<Box<dyn WriteFile>>,
) -> io::Result<Option<Box<dyn WriteFile>>> {
    for path in &group.drained {
        // What cannot be removed now is found empty of use at the next start.
        if let Err(error) = files.remove(path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
    let mut current = match group.begin {
        Some(id) => {
            let path = shared.state().segments.path(id);
            if settings.fsync {
                let file = files.write_uncached(&path)?;
                files.sync_folder(&settings.folder)?;
                Some(file)
            } else {
                Some(files.write(&path, Start::Empty)?)
            }
        }
        None => current,
    };
    if let Some(file) = &mut current {
        let mut small = Vec::new();
        for (header, record) in group.records.iter().chain(&group.done) {
            put(&mut **file, &mut small, &header.bytes())?;
            put(&mut **file, &mut small, &record.note)?;
            record.body.iter().try_for_each(|part: &Bytes| put(&mut **file, &mut small, part))?;
        }
        file.write_all(&small)?;
        file.flush()?;
        if settings.fsync && !group.records.is_empty() {
            file.sync()?;
        }
    }
    Ok(current)
}

/// Writes bytes, small ones together.
fn put(file: &mut dyn WriteFile, small: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    if small.len() + bytes.len() > AT_ONCE {
        file.write_all(small)?;
        small.clear();
        if bytes.len() >= AT_ONCE / 2 {
            return file.write_all(bytes);
        }
    }
    small.extend_from_slice(bytes);
    Ok(())
}
