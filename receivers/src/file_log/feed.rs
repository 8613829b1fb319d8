//! Lines from a stream instead of a file: what `stdin_log` shares with `file_log`, the way from bytes to records.

use std::path::Path;

use pipeline::Batch;
use pipeline::component::Context;
use pipeline::telemetry::Drops;
use tokio::time::Instant;

use super::complaints::Complaints;
pub use super::config::{IncludeFile, Lines as LineConfig, Retry};
use super::facts::Facts;
use super::format::record::Requests;
use super::lines::Piece;
pub use super::offer::Offer;
use super::operators::{Held, Trouble};
use super::progress::Position;
use super::read::{BATCH_BYTES, complain};
use super::recorder::{Line, Source, Tally};
pub use super::settings::Lines as LineSettings;
pub use super::watch::Now;

/// Bytes of a stream on their way to records. It holds the longest line and what was pushed last, what waits for other
/// lines, and a batch.
pub struct Feed {
    lines: LineSettings,
    facts: Facts,
    complaints: Complaints,
    drops: Drops,
    /// Bytes that are no records yet, from `used` on.
    buffer: Vec<u8>,
    used: usize,
    /// The place of the first of them.
    at: Position,
    /// When bytes came last.
    grown: Option<Instant>,
    held: Held,
    requests: Requests,
}

impl Feed {
    /// For a receiver with these settings.
    pub fn new(lines: LineSettings, context: &Context) -> Feed {
        Feed {
            facts: Facts::new(lines.attributes()),
            lines,
            complaints: Complaints::of(&context.id),
            drops: context.drops.clone(),
            buffer: Vec::new(),
            used: 0,
            at: Position::START,
            grown: None,
            held: Held::default(),
            requests: Requests::default(),
        }
    }

    /// Bytes have come.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
        self.grown = Some(now);
    }

    /// Makes records of whole lines, of an open one after which nothing has come for long enough, and of what has waited for
    /// long enough, until the batch is full.
    pub fn cut(&mut self, now: Now) {
        let flush = self.flush_at().is_some_and(|at| now.instant >= at);
        self.cut_lines(now, flush);
        if self.held.is_due(now.instant) {
            self.release(Some(now.instant), now);
        }
    }

    /// Makes records of everything, since nothing more will come.
    pub fn end(&mut self, now: Now) {
        self.cut_lines(now, true);
        self.release(None, now);
    }

    /// When there is something to do even if nothing comes.
    pub fn due(&self) -> Option<Instant> {
        self.flush_at().into_iter().chain(self.held.due()).min()
    }

    /// Whether the batch is full.
    pub fn is_full(&self) -> bool {
        self.requests.bytes() >= BATCH_BYTES
    }

    /// Whether there is a record in the batch.
    pub fn has_records(&self) -> bool {
        self.requests.items() > 0
    }

    /// The batch; another one begins.
    pub fn take(&mut self) -> Batch {
        self.requests.take()
    }

    fn flush_at(&self) -> Option<Instant> {
        let open = self.used < self.buffer.len();
        self.grown.filter(|_| open).zip(self.lines.flush_after).map(|(grown, after)| grown + after)
    }

    fn cut_lines(&mut self, now: Now, last: bool) {
        let source = Source { facts: &self.facts, observed: now.unix_nanos(), now: now.instant };
        let complaints = &mut self.complaints;
        let mut trouble = |t: Trouble<'_>| complain(complaints, &t, Path::new("standard input"), now.instant);
        let mut tally = Tally::default();
        while self.used < self.buffer.len() && (self.requests.bytes() < BATCH_BYTES || last) {
            let bytes = &self.buffer[self.used..];
            let taken = match self.lines.cutter.next(bytes, &mut self.at.in_rest, last) {
                Piece::Open => break,
                Piece::Rest(taken) => taken,
                Piece::Line { from, to, taken } => {
                    let line = Line { bytes: &bytes[from..to], text: None, place: self.at };
                    let recorder = &self.lines.recorder;
                    let written = recorder.write(line, source, &mut self.held, &mut self.requests, &mut trouble);
                    self.at.records += u64::from(written.is_some());
                    tally += written.unwrap_or_default();
                    taken
                }
            };
            self.used += taken;
            self.at.offset += taken as u64;
        }
        tally.count(&self.drops);
    }

    fn release(&mut self, due: Option<Instant>, now: Now) {
        let source = Source { facts: &self.facts, observed: now.unix_nanos(), now: now.instant };
        let complaints = &mut self.complaints;
        let mut trouble = |t: Trouble<'_>| complain(complaints, &t, Path::new("standard input"), now.instant);
        let tally = self.lines.recorder.release(due, source, &mut self.held, &mut self.requests, &mut trouble);
        tally.count(&self.drops);
    }
}
