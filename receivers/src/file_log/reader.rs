//! The blocking half of the receiver, one step at a time: take answers in and note them, look, read, keep the checkpoint. It
//! runs where blocking is allowed and is handed back after each step; between steps it is nowhere.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use pipeline::component::Context;
use pipeline::doors::Files;
use pipeline::telemetry::{Drops, Meter};
use tokio::time::Instant;

use super::checkpoint;
use super::journal::Journal;
use super::read::{Beside, Filled, Filler};
use super::watch::{Now, Watch};

/// While reading goes on without a pause, the checkpoint is written, which waits for the disk, after so many bytes of batches
/// have arrived.
const UNSAVED_BYTES: usize = 8 << 20;

const CANNOT_WRITE: &str = "cannot write the offsets, lines would come again after a restart";

/// Everything about files.
pub struct Reader {
    watch: Watch,
    filler: Filler,
    files: Arc<dyn Files>,
    checkpoint: PathBuf,
    /// What has arrived since the checkpoint was written.
    journal: Journal,
    drops: Drops,
    gauges: Gauges,
    /// Bytes of batches that have arrived since the checkpoint was written, if there is anything to write.
    unsaved: Option<usize>,
    /// What the checkpoint is that was written last. From the first one on, files that are found are new ones, which are read
    /// from their beginning.
    saved: Option<u128>,
    /// Whether its receiver is gone, so that another one may have the checkpoint by now.
    is_parted: bool,
}

/// What a step is to do.
#[derive(Debug)]
pub struct Step {
    /// Batches that the pipeline has taken over since the last step, or that were given up.
    pub taken: Vec<Sent>,
    /// Batches of which nothing is on its way any more.
    pub arrived: Vec<Sent>,
    /// Whether that is all there is to do.
    pub only_note: bool,
    /// Whether to look which files there are.
    pub look: bool,
    /// How many batches to make at most.
    pub batches: usize,
    /// Whether nothing comes after this step, so that the checkpoint is written in any case.
    pub last: bool,
    /// The time.
    pub now: Now,
}

/// What is remembered of a batch.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The batch's number.
    pub batch: u64,
    /// The progresses it moves.
    pub parts: Vec<u64>,
    /// Its size.
    pub bytes: usize,
}

impl Reader {
    /// Reads the files of `watch`, with its checkpoint there.
    pub fn new(watch: Watch, checkpoint: PathBuf, context: &Context) -> Reader {
        Reader {
            watch,
            filler: Filler::default(),
            files: context.doors.files.clone(),
            journal: Journal::new(&checkpoint),
            checkpoint,
            drops: context.drops.clone(),
            gauges: Gauges { meter: context.meter.clone(), receiver: context.id.to_string() },
            unsaved: Some(0),
            saved: None,
            is_parted: false,
        }
    }

    /// The folders in which something may change.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        self.watch.folders()
    }

    /// Its receiver is gone. What it knows is kept only if no other one, which a reload has started, keeps the checkpoint.
    #[must_use]
    pub fn parted(mut self) -> Reader {
        self.journal.close();
        Reader { is_parted: true, ..self }
    }

    /// One step. Answers the batches made.
    pub fn step(&mut self, step: Step) -> Vec<Filled> {
        for sent in step.taken {
            for id in sent.parts {
                if let Some(progress) = self.watch.progress_mut(id) {
                    progress.taken(sent.batch);
                }
            }
        }
        let mut moved = BTreeSet::new();
        for sent in step.arrived {
            for id in sent.parts {
                if self.watch.progress_mut(id).is_some_and(|progress| progress.answered(sent.batch)) {
                    moved.insert(id);
                }
            }
            self.unsaved = Some(self.unsaved.unwrap_or(0) + sent.bytes);
        }
        self.note(moved, step.now.instant);
        if step.only_note {
            return Vec::new();
        }
        if step.look {
            let watched = self.watch.watched();
            self.watch.look(step.now);
            if self.watch.watched() != watched {
                self.unsaved.get_or_insert(0);
            }
        }
        let mut beside = Beside::default();
        let mut filled = Vec::new();
        while filled.len() < step.batches {
            let Some(batch) = self.filler.fill(&mut self.watch, step.now, &mut beside) else { break };
            filled.push(batch);
        }
        if step.look {
            self.gauges.set(self.watch.held_open(), self.watch.watched());
        }
        beside.tally.count(&self.drops);
        if step.look && self.watch.settings.delete_after_read {
            self.remove_finished(step.now.instant);
        }
        if beside.moved {
            self.unsaved.get_or_insert(0);
        }
        let much = self.journal.was_filled() || self.unsaved.is_some_and(|bytes| bytes >= UNSAVED_BYTES);
        if step.last || filled.is_empty() || much || self.saved.is_none() {
            self.save(step.now.instant);
        }
        filled
    }

    fn remove_finished(&mut self, now: Instant) {
        for path in self.watch.finished() {
            match self.files.remove(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed a file that was read to its end"),
                Err(error) => self.watch.complaints.warn("cannot remove file", path.display(), error, now),
            }
        }
    }

    /// Notes how far these have arrived.
    fn note(&mut self, moved: BTreeSet<u64>, now: Instant) {
        let moved = moved.into_iter().filter_map(|id| self.watch.progress_of(id));
        if let Err(error) = self.journal.note(&*self.files, moved) {
            self.watch.complaints.warn(CANNOT_WRITE, self.journal.path().display(), error, now);
        }
    }

    fn save(&mut self, now: Instant) {
        let is_others = || checkpoint::print(&*self.files, &self.checkpoint) != self.saved;
        if self.unsaved.is_none() || self.is_parted && is_others() {
            return;
        }
        match checkpoint::save(&*self.files, &self.checkpoint, self.watch.progress()) {
            Ok(saved) => {
                (self.unsaved, self.saved) = (None, Some(saved));
                self.journal.begin(saved);
            }
            Err(error) => {
                self.watch.complaints.warn(CANNOT_WRITE, self.checkpoint.display(), error, now);
                self.unsaved = Some(0);
            }
        }
    }
}

/// The collector's metrics of its file consumer.
struct Gauges {
    meter: Meter,
    receiver: String,
}

impl Gauges {
    fn set(&self, open: usize, reading: usize) {
        let labels = [("receiver", self.receiver.as_str())];
        for (name, help, value) in [
            ("otelcol_fileconsumer_open_files", "Files that are held open.", open),
            ("otelcol_fileconsumer_reading_files", "Files that are read.", reading),
        ] {
            self.meter.gauge(name, help, &labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}
