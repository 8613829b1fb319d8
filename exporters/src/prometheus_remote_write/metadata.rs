//! Types, help texts and units of metrics, as remote write 1.0 sends them: apart from the series, now and then.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipeline::otlp::write::Writer;
use tokio::time::Instant;

use super::hash::Hash;
use crate::translation::Family;

/// `prompb.WriteRequest`, and the fields of `prompb.MetricMetadata`.
const METADATA: u32 = 3;
mod fields {
    pub const TYPE: u32 = 1;
    pub const NAME: u32 = 2;
    pub const HELP: u32 = 4;
    pub const UNIT: u32 = 5;
}

/// Entries in a request, and how often one is sent: Prometheus' defaults.
const MOST_ENTRIES: usize = 2000;
const EVERY: Duration = Duration::from_secs(60);
/// So many entries are remembered as sent; beyond that all are forgotten and sent again.
const MOST_REMEMBERED: usize = 100_000;

/// Entries of a batch, each metric once.
#[derive(Default)]
pub struct MetadataEntries {
    bytes: Writer,
    /// Where each entry ends.
    ends: Vec<usize>,
    seen: HashSet<String>,
}

impl MetadataEntries {
    /// Adds what a metric says of itself; `name` is what it is called in Prometheus.
    pub fn add(&mut self, name: &str, family: &Family<'_>) {
        if self.seen.contains(name) {
            return;
        }
        self.seen.insert(name.to_owned());
        self.bytes.message(METADATA, |w| {
            w.varint(fields::TYPE, family.kind as u64);
            w.text(fields::NAME, name);
            w.text_unless_empty(fields::HELP, family.help);
            w.text_unless_empty(fields::UNIT, &family.unit);
        });
        self.ends.push(self.bytes.len());
    }

    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes.as_slice()[start..*end])
    }
}

/// Remembers what the far side was told, and when.
#[derive(Default)]
pub struct Told {
    hash: Hash,
    by_entry: Mutex<HashMap<u64, Instant>>,
}

/// A request of metadata that is due.
pub struct Due {
    /// The serialized `WriteRequest`.
    pub body: Vec<u8>,
    entries: Vec<u64>,
}

impl Told {
    /// Requests with the entries that the far side was not told within the last minute.
    pub fn due(&self, entries: &MetadataEntries) -> Vec<Due> {
        let now = Instant::now();
        let mut out: Vec<Due> = Vec::new();
        let told = self.told();
        for entry in entries.entries() {
            let hash = self.hash.of(entry);
            if told.get(&hash).is_some_and(|then| now < *then + EVERY) {
                continue;
            }
            match out.last_mut() {
                Some(due) if due.entries.len() < MOST_ENTRIES => {
                    due.body.extend_from_slice(entry);
                    due.entries.push(hash);
                }
                _ => out.push(Due { body: entry.to_vec(), entries: vec![hash] }),
            }
        }
        out
    }

    /// Remembers that the far side took a request, or will never take it.
    pub fn remember(&self, due: &Due) {
        let now = Instant::now();
        let mut told = self.told();
        if told.len() + due.entries.len() > MOST_REMEMBERED {
            told.clear();
        }
        told.extend(due.entries.iter().map(|entry| (*entry, now)));
    }

    fn told(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.by_entry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
