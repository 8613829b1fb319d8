//! Counts what had to be changed so that Loki takes it, and says so now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pipeline::Context;
use prometheus::IntCounter;
use tokio::time::Instant;

use super::config::LongLines;

/// At most one line in the log about each kind of change in this time.
const QUIET: Duration = Duration::from_secs(60);

/// Counters of changes, as `slipring_loki_adjusted_total{exporter,what}`.
pub struct Adjusted {
    label_moved: Counted,
    metadata_dropped: Counted,
    line_split: Counted,
    line_cut: Counted,
    time_missing: Counted,
    backfilled: Counted,
}

impl Adjusted {
    /// The counters of one exporter.
    pub fn new(context: &Context) -> Adjusted {
        let id = context.id.to_string();
        let counted = |what: &str, message| Counted {
            counter: context.meter.counter(
                "slipring_loki_adjusted_total",
                "Changes to records so that Loki takes them.",
                &[("exporter", &id), ("what", what)],
            ),
            message,
            logged: Mutex::new(None),
        };
        Adjusted {
            label_moved: counted("label_moved", "a stream has too many or too long labels"),
            metadata_dropped: counted("metadata_dropped", "a record has more structured metadata than Loki takes"),
            line_split: counted("line_split", "a line is longer than max_line_bytes and was split"),
            line_cut: counted("line_cut", "a line is longer than max_line_bytes and was cut"),
            time_missing: counted("time_missing", "a record has no time and was given the present one"),
            backfilled: counted(
                "backfilled",
                "an entry is too old for its stream and went to one with backfill=\"true\"",
            ),
        }
    }

    /// Labels that are not labels of their stream, of which there may be so many.
    pub fn labels_moved(&self, labels: &[(String, String)], most: usize) {
        self.label_moved.add_with(labels.len(), || {
            let names: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
            format!(
                ": {} became structured metadata; the most is {most} labels, with values of 2048 bytes (max_labels)",
                names.join(", ")
            )
        });
    }

    /// Keys of structured metadata for which there was no room.
    pub fn metadata_dropped(&self, keys: usize) {
        self.metadata_dropped.add(keys);
    }

    /// A line that is too long.
    pub fn line_too_long(&self, what_follows: LongLines) {
        match what_follows {
            LongLines::Split => self.line_split.add(1),
            LongLines::Cut => self.line_cut.add(1),
        }
    }

    /// An entry that is too old for its stream.
    pub fn backfilled(&self) {
        self.backfilled.add(1);
    }

    /// A record without any time.
    pub fn time_missing(&self) {
        self.time_missing.add(1);
    }
}

struct Counted {
    counter: IntCounter,
    message: &'static str,
    logged: Mutex<Option<Instant>>,
}

impl Counted {
    fn add(&self, count: usize) {
        self.add_with(count, String::new);
    }

    /// The same with more words for the log.
    fn add_with(&self, count: usize, more: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        self.counter.inc_by(count as u64);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|at| at.elapsed() >= QUIET) {
            *logged = Some(Instant::now());
            tracing::warn!(so_far = self.counter.get(), "{}{}", self.message, more());
        }
    }
}
