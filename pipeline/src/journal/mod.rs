//! A journal: records that must outlive the process, appended to segment files, each taken out when it is done with.
//!
//! An append is answered when its record is on the disk; appends that come while one is written share the next write and
//! sync. That a record is done with is written too, with what comes next, and never waited for: after a crash a few records
//! come again. A segment is removed when all records in it and before it are done with.
//!
//! What a crash, a full disk or a bad sector leaves behind is read as far as it is intact: every record carries a
//! checksum, its number and the running total of items, so that what is missing can be counted.

mod commit;
mod open;
mod record;
mod scan;
mod segments;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot};

pub use self::commit::Committer;
pub use self::open::{Found, Opened, open};
use self::scan::Scan;
use self::segments::{Segments, Taken};
use crate::batch::Parts;
use crate::doors::Files;

/// Where a journal is and how it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its own folder; made if need be.
    pub folder: PathBuf,
    /// Permissions of the folder, as `chmod` takes them.
    pub permissions: u32,
    /// A segment that has become so large is followed by the next, in bytes.
    pub segment_bytes: u64,
    /// Whether an append waits until the disk has it (else the operating system, which loses it with the power only).
    pub fsync: bool,
}

/// What a record is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When it was made, since 1970.
    pub at: Duration,
    /// How many items it stands for.
    pub items: usize,
    /// What its reader needs to know beside the body.
    pub note: Bytes,
    /// The body, whose parts are read back as one.
    pub body: Parts,
}

/// A record that was taken out to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number, with which it is reported as done.
    pub number: u64,
    /// The record; its body is one part.
    pub record: Record,
}

/// What [`Journal::next`] found.
#[derive(Debug, Default)]
pub struct Next {
    /// The oldest record that nobody has taken out.
    pub stored: Option<Stored>,
    /// Items before it that can no longer be read.
    pub lost_items: u64,
}

/// An open journal; clone is another handle.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    files: Arc<dyn Files>,
    settings: Settings,
    state: Mutex<State>,
    wake: Notify,
    /// Nobody else may use the folder as long as this lives: until nobody writes here any longer.
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

struct State {
    segments: Segments,
    pending: Vec<Pending>,
    closed: bool,
    /// Whoever writes is to be told when a record is done with; it looks for itself otherwise.
    listens: bool,
}

/// A record on its way to the disk.
struct Pending {
    record: Record,
    answer: oneshot::Sender<Result<u64, Arc<io::Error>>>,
}

impl Journal {
    /// Writes a record and answers with its number once it is there; it is taken out at once. A caller that goes away
    /// leaves it as one that nobody has taken out.
    ///
    /// # Errors
    /// The disk's; the record is not kept then, though a crash may bring it back.
    pub async fn append(&self, record: Record) -> Result<u64, Arc<io::Error>> {
        let (answer, written) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if state.closed {
                return Err(Arc::new(io::Error::other("the journal is closed")));
            }
            state.pending.push(Pending { record, answer });
        }
        self.shared.wake.notify_one();
        written.await.unwrap_or_else(|_| Err(Arc::new(io::Error::other("the journal is closed"))))
    }

    /// The record is done with; it will not come again, but after a crash.
    pub fn done(&self, number: u64) {
        let mut state = self.shared.state();
        state.segments.done(number);
        if std::mem::take(&mut state.listens) {
            drop(state);
            self.shared.wake.notify_one();
        }
    }

    /// Puts a record back as one that nobody has taken out.
    pub fn put_back(&self, number: u64) {
        self.shared.state().segments.put_back(number);
    }

    /// Takes out the oldest record that nobody has taken out. It reads a file: call it where blocking is allowed, and one
    /// at a time.
    ///
    /// # Errors
    /// The disk's; it may be tried again.
    pub fn next(&self) -> io::Result<Next> {
        let mut lost_items = 0;
        loop {
            let Some(place) = self.shared.state().segments.reading() else {
                return Ok(Next { stored: None, lost_items });
            };
            let file = self.shared.files.open(&place.path)?;
            let mut scan = Scan::new(&*file, place.at, place.end);
            while let Some((header, at)) = scan.next()? {
                let taken = self.shared.state().segments.take(&place, &header, scan.at());
                match taken {
                    Taken::Skipped => {}
                    Taken::Moved => break,
                    Taken::Out => match scan.read(&header, at)? {
                        Some(record) => {
                            return Ok(Next { stored: Some(Stored { number: header.number, record }), lost_items });
                        }
                        None => {
                            lost_items += u64::from(header.items);
                            self.done(header.number);
                        }
                    },
                }
            }
            lost_items += self.shared.state().segments.read_through(&place);
        }
    }

    /// Records that nobody has taken out.
    pub fn waiting(&self) -> usize {
        self.shared.state().segments.waiting()
    }

    /// The number of the first record that nobody has taken out.
    pub fn first_waiting(&self) -> Option<u64> {
        self.shared.state().segments.first_waiting()
    }

    /// When the oldest record that is not done with was made, since 1970.
    pub fn oldest(&self) -> Option<Duration> {
        self.shared.state().segments.oldest()
    }

    /// Bytes of all segments.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.state().segments.bytes()
    }

    /// Lets the committer write what is pending and end.
    pub fn close(&self) {
        self.shared.state().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ranges of numbers, both ends included.
type Ranges = SmallVec<[(u64, u64); 4]>;
