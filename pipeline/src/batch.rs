//! What flows: serialized OTLP export requests of one signal, with their item count.
//! A batch never holds decoded objects.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::fate::Fate;
use crate::otlp;

/// The kind of telemetry a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Spans: `ExportTraceServiceRequest`.
    Traces,
    /// Data points: `ExportMetricsServiceRequest`.
    Metrics,
    /// Log records: `ExportLogsServiceRequest`.
    Logs,
}

impl Signal {
    /// All signals, in the order of the OTLP specification.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    /// The name used in pipeline ids and OTLP/HTTP paths: `traces`, `metrics`, `logs`.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// The name of the items counted in own metrics: `spans`, `metric_points`, `log_records`.
    pub const fn items(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Metrics => "metric_points",
            Signal::Logs => "log_records",
        }
    }

    /// An index below 3, for tables by signal.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The signal of that pipeline-id name.
    pub fn from_name(name: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The payload of a batch: complete serialized export requests, whose concatenation is again one (protobuf merges
/// repeated fields), so several parts are a merge that has not been copied yet.
pub type Parts = SmallVec<[Bytes; 1]>;

/// What a receiver knows about where a batch came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Request headers or gRPC metadata the receiver was told to keep (`include_metadata`), lower-case names.
    pub headers: Vec<(String, String)>,
    /// The address of the sender, as text.
    pub peer: Option<String>,
    /// What an authenticator found out about it, such as `username`.
    pub identity: Vec<(String, String)>,
}

/// What is known of the bytes of a batch. It is true of these bytes only: whoever changes a part makes a batch of which nothing
/// is known. Whoever relies on it saves work by that, and does without where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Every text in it is UTF-8.
    pub texts: bool,
    /// Where a group of items has a scope, that stands in front of them.
    pub scopes_first: bool,
    /// What stands behind the body of each log record are attributes that the body, a JSON object, shows as members, none of
    /// which says how the record is to be treated. Who stores the body need neither read nor store them.
    pub shown_last: bool,
}

impl Known {
    /// What is known of two batches together.
    #[must_use]
    pub fn and(self, other: Known) -> Known {
        Known {
            texts: self.texts && other.texts,
            scopes_first: self.scopes_first && other.scopes_first,
            shown_last: self.shown_last && other.shown_last,
        }
    }
}

/// Serialized OTLP of one signal. Clone is a reference count.
#[derive(Clone)]
pub struct Batch {
    signal: Signal,
    parts: Parts,
    items: usize,
    meta: Option<Arc<Metadata>>,
    fate: Option<Arc<Fate>>,
    known: Known,
}

impl Batch {
    /// A batch of one serialized export request, whose items (spans, data points, log records) are counted here.
    ///
    /// # Errors
    /// When an envelope (resource, scope, metric) is not well-formed protobuf.
    pub fn new(signal: Signal, request: Bytes) -> Result<Batch, otlp::WireError> {
        let items = otlp::count::items(signal, &request)?;
        Ok(Batch::counted(signal, request, items))
    }

    /// A batch of one serialized export request that is known to hold `items` items.
    pub fn counted(signal: Signal, request: Bytes, items: usize) -> Batch {
        let mut parts = Parts::new();
        if !request.is_empty() {
            parts.push(request);
        }
        Batch { signal, parts, items, meta: None, fate: None, known: Known::default() }
    }

    /// A batch of several complete export requests that together hold `items` items; empty parts are left out.
    pub fn from_parts(signal: Signal, parts: impl IntoIterator<Item = Bytes>, items: usize) -> Batch {
        let parts = parts.into_iter().filter(|p| !p.is_empty()).collect();
        Batch { signal, parts, items, meta: None, fate: None, known: Known::default() }
    }

    /// A batch that holds nothing.
    pub fn empty(signal: Signal) -> Batch {
        Batch { signal, parts: Parts::new(), items: 0, meta: None, fate: None, known: Known::default() }
    }

    /// The same batch with what is known about its sender.
    #[must_use]
    pub fn with_meta(mut self, meta: Arc<Metadata>) -> Batch {
        self.meta = Some(meta);
        self
    }

    /// The same batch, of which the sender hears what becomes.
    #[must_use]
    pub fn with_fate(mut self, fate: Arc<Fate>) -> Batch {
        self.fate = Some(fate);
        self
    }

    /// The same batch, in which the sender has no part any more: it is safe, or somebody keeps it who is no part of the
    /// pipeline.
    #[must_use]
    pub fn without_fate(mut self) -> Batch {
        self.fate = None;
        self
    }

    /// The same batch, of whose bytes so much is known.
    #[must_use]
    pub fn with_known(mut self, known: Known) -> Batch {
        self.known = known;
        self
    }

    /// What is known of its bytes.
    pub fn known(&self) -> Known {
        self.known
    }

    /// What tells the sender what becomes of it, where it wants to know.
    pub fn fate(&self) -> Option<&Arc<Fate>> {
        self.fate.as_ref()
    }

    /// This batch as a piece of `whole`, whose items stand in it as they were, with what is known of that one and its sender.
    #[must_use]
    pub fn of(mut self, whole: &Batch) -> Batch {
        self.meta.clone_from(&whole.meta);
        self.fate.clone_from(&whole.fate);
        self.known = whole.known;
        self
    }

    /// What is known about the sender.
    pub fn meta(&self) -> Option<&Arc<Metadata>> {
        self.meta.as_ref()
    }

    /// The kind of telemetry.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Spans, data points or log records in it.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Bytes of serialized OTLP in it.
    pub fn byte_len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing to send: no items.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The complete export requests it consists of.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// One serialized export request; copies only if there are several parts.
    pub fn to_bytes(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let mut out = BytesMut::with_capacity(self.byte_len());
                many.iter().for_each(|p| out.extend_from_slice(p));
                out.freeze()
            }
        }
    }

    /// Takes in `other`, of the same signal and sender, without copying.
    ///
    /// # Panics
    /// When the signals differ; the graph never joins different signals.
    pub fn append(&mut self, other: Batch) {
        assert_eq!(self.signal, other.signal, "batches of different signals cannot be merged");
        self.parts.extend(other.parts);
        self.items += other.items;
        self.known = self.known.and(other.known);
    }

    /// The batch with each part replaced by what `edit` makes of it. `edit` answers the new bytes and item count, or
    /// `None` for "unchanged". What is known of the sender is kept.
    ///
    /// # Errors
    /// The first error of `edit`.
    pub fn map_parts<E>(self, mut edit: impl FnMut(&Bytes) -> Result<Option<Edited>, E>) -> Result<Batch, E> {
        let Batch { signal, parts, mut items, meta, fate, mut known } = self;
        let mut out = Parts::with_capacity(parts.len());
        for part in parts {
            match edit(&part)? {
                None => out.push(part),
                Some(new) => {
                    known = Known::default();
                    items = (items + new.items_added).saturating_sub(new.items_removed);
                    if !new.bytes.is_empty() {
                        out.push(new.bytes);
                    }
                }
            }
        }
        Ok(Batch { signal, parts: out, items, meta, fate, known })
    }
}

/// A part after an edit, with the change in its item count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// The new serialized export request; empty when nothing is left.
    pub bytes: Bytes,
    /// Items the edit took away.
    pub items_removed: usize,
    /// Items the edit added.
    pub items_added: usize,
}

impl From<Bytes> for Edited {
    fn from(bytes: Bytes) -> Edited {
        Edited { bytes, items_removed: 0, items_added: 0 }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Batch({}, {} items, {} bytes in {} parts)",
            self.signal,
            self.items,
            self.byte_len(),
            self.parts.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::logs;

    #[test]
    fn what_is_known_of_the_bytes_of_a_batch_is_lost_with_them() {
        let all = Known { texts: true, scopes_first: true, shown_last: true };
        let known = || logs(["a", "b"]).with_known(all);
        let edit = |new: bool| known().map_parts(|part| Ok::<_, ()>(new.then(|| part.clone().into()))).unwrap();
        assert_eq!((edit(false).known(), edit(true).known()), (all, Known::default()));
        let appended = |other: Known| {
            let mut batch = known();
            batch.append(logs(["c"]).with_known(other));
            batch.known()
        };
        let less = [
            Known { texts: false, ..all },
            Known { scopes_first: false, ..all },
            Known { shown_last: false, ..all },
            Known::default(),
        ];
        for other in less.into_iter().chain([all]) {
            assert_eq!(appended(other), other);
        }
        assert_eq!(logs(["a"]).of(&known()).known(), all);
    }
}
