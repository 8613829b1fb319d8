//! What only the correlation knows of itself.

use pipeline::Signal;
use pipeline::component::Context;
use prometheus::{IntCounter, IntGauge};

/// Its metrics, `slipring_trace_correlation_…{processor}`; the same ones for all its pipelines.
pub struct Counts {
    hits: [IntCounter; 3],
    misses: [IntCounter; 3],
    /// Items that had gone on when what they lacked came.
    pub late: IntCounter,
    /// Traces, requests and observations forgotten for want of room.
    pub evicted: IntCounter,
    index: IntGauge,
    batches: IntGauge,
}

impl Counts {
    /// The metrics of the processor of that context.
    pub fn new(context: &Context) -> Counts {
        let id = context.id.to_string();
        let counter = |what: &str, help: &str, labels: &[(&str, &str)]| {
            context.meter.counter(&format!("slipring_trace_correlation_{what}_total"), help, labels)
        };
        let by_signal = |what: &str, help: &str| {
            Signal::ALL.map(|signal| counter(what, help, &[("processor", &id), ("signal", signal.name())]))
        };
        let held = |what: &str| {
            let help = "Bytes of what the correlation remembers and of the batches it holds.";
            let labels = &[("processor", id.as_str()), ("what", what)];
            context.meter.gauge("slipring_trace_correlation_held_bytes", help, labels)
        };
        let own = &[("processor", id.as_str())];
        Counts {
            hits: by_signal("hits", "Items for which something was known."),
            misses: by_signal("misses", "Items for which nothing was known."),
            late: counter("late", "Items that had gone on when what they lacked came.", own),
            evicted: counter("evicted", "Traces, requests and observations forgotten for want of room.", own),
            index: held("index"),
            batches: held("batches"),
        }
    }

    /// Lookups of items of that signal.
    pub fn looked_up(&self, signal: Signal, hits: u64, misses: u64) {
        self.hits[signal.index()].inc_by(hits);
        self.misses[signal.index()].inc_by(misses);
    }

    /// What is held now.
    pub fn held(&self, index: usize, batches: usize) {
        self.index.set(i64::try_from(index).unwrap_or(i64::MAX));
        self.batches.set(i64::try_from(batches).unwrap_or(i64::MAX));
    }
}
