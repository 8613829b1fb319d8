//! What the frame counts where batches cross an edge, under the collector's names, with every counter resolved once.
//! For each component and signal `received + made = delivered + dropped + refused + in flight`.

use std::fmt;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::{Drops, Meter};
use crate::batch::{Batch, Signal};
use crate::component::Reason;
use crate::config::ComponentId;

/// The kinds of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Brings telemetry in.
    Receiver,
    /// Changes it.
    Processor,
    /// Sends it out.
    Exporter,
    /// Serves the others, or whoever operates the process.
    Extension,
}

impl Kind {
    /// `receiver`, `processor`, `exporter`, `extension`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Receiver => "receiver",
            Kind::Processor => "processor",
            Kind::Exporter => "exporter",
            Kind::Extension => "extension",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The conservation equation of one component and signal; its drops are in the ledger.
#[derive(Clone)]
pub struct Flow {
    /// Items it was given.
    pub received: IntCounter,
    /// Items it handed on, or that the far side has.
    pub delivered: IntCounter,
    /// Items it gave back with a refusal: they are still whose they were.
    pub refused: IntCounter,
    /// Items it has and that nobody has an answer for yet.
    pub in_flight: IntGauge,
}

impl Flow {
    /// The counters of one component.
    pub fn new(meter: &Meter, kind: Kind, id: &str, signal: Signal) -> Flow {
        let labels = &[("kind", kind.name()), ("component", id), ("signal", signal.name())];
        let flow = Flow {
            received: meter.counter(
                "slipring_received_items_total",
                "Items a component was given; with those it made: delivered + dropped + refused + in flight.",
                labels,
            ),
            delivered: meter.counter(
                "slipring_delivered_items_total",
                "Items a component handed on, or that the far side has.",
                labels,
            ),
            refused: meter.counter(
                "slipring_refused_items_total",
                "Items a component gave back with a refusal; they are still their sender's.",
                labels,
            ),
            in_flight: meter.gauge(
                "slipring_in_flight_items",
                "Items a component has and that are not answered yet.",
                labels,
            ),
        };
        meter.ledger().open(kind, id, signal, &flow);
        flow
    }
}

/// The edge behind a receiver.
#[derive(Clone)]
pub(crate) struct ReceiverCounts {
    flow: Flow,
    accepted: IntCounter,
    refused: IntCounter,
    requests_ok: IntCounter,
    requests_refused: IntCounter,
}

impl ReceiverCounts {
    pub(crate) fn new(meter: &Meter, id: &ComponentId, transport: &str, signal: Signal) -> ReceiverCounts {
        let id = &id.to_string();
        let labels = &[("receiver", id.as_str()), ("transport", transport)];
        let items = |what: &str, help: &str| {
            meter.counter(&format!("otelcol_receiver_{what}_{}_total", signal.items()), help, labels)
        };
        items("failed", "Items that could not be read.");
        let requests = |outcome: &str| {
            let labels = &[labels[0], labels[1], ("outcome", outcome)];
            meter.counter("otelcol_receiver_requests_total", "Batches handed on, by outcome.", labels)
        };
        ReceiverCounts {
            flow: Flow::new(meter, Kind::Receiver, id, signal),
            accepted: items("accepted", "Items that the pipelines took."),
            refused: items("refused", "Items that a pipeline refused."),
            requests_ok: requests("success"),
            requests_refused: requests("refused"),
        }
    }

    pub(crate) fn asked(&self, items: usize) {
        self.flow.received.inc_by(items as u64);
        self.flow.in_flight.add(gauge(items));
    }

    pub(crate) fn accepted(&self, items: usize) {
        self.flow.in_flight.sub(gauge(items));
        self.accepted.inc_by(items as u64);
        self.flow.delivered.inc_by(items as u64);
        self.requests_ok.inc();
    }

    pub(crate) fn refused(&self, items: usize) {
        self.flow.in_flight.sub(gauge(items));
        self.refused.inc_by(items as u64);
        self.flow.refused.inc_by(items as u64);
        self.requests_refused.inc();
    }
}

/// The edges before and behind a processor.
#[derive(Clone)]
pub(crate) struct ProcessorCounts {
    pub(crate) flow: Flow,
    incoming: IntCounter,
    outgoing: IntCounter,
}

impl ProcessorCounts {
    pub(crate) fn new(meter: &Meter, id: &ComponentId, signal: Signal) -> ProcessorCounts {
        let id = &id.to_string();
        let labels = &[("processor", id.as_str()), ("otel_signal", signal.name())];
        ProcessorCounts {
            flow: Flow::new(meter, Kind::Processor, id, signal),
            incoming: meter.counter("otelcol_processor_incoming_items_total", "Items given to the processor.", labels),
            outgoing: meter.counter("otelcol_processor_outgoing_items_total", "Items it handed on.", labels),
        }
    }

    pub(crate) fn incoming(&self, items: usize) {
        self.flow.received.inc_by(items as u64);
        self.flow.in_flight.add(gauge(items));
        self.incoming.inc_by(items as u64);
    }

    /// Items that came in are no longer here, whatever became of them.
    pub(crate) fn gone(&self, items: usize) {
        self.flow.in_flight.sub(gauge(items));
    }

    pub(crate) fn outgoing(&self, items: usize) {
        self.flow.delivered.inc_by(items as u64);
        self.outgoing.inc_by(items as u64);
    }

    pub(crate) fn refused(&self, items: usize) {
        self.flow.refused.inc_by(items as u64);
    }
}

/// Delivery before one exporter and signal.
#[derive(Clone)]
pub(crate) struct ExporterCounts {
    pub(crate) flow: Flow,
    pub(crate) drops: Drops,
    signal: Signal,
    sent: IntCounter,
    send_failed: IntCounter,
    enqueue_failed: IntCounter,
    pub(crate) queue_size: IntGauge,
    pub(crate) queue_capacity: IntGauge,
    pub(crate) queue_bytes: IntGauge,
    pub(crate) queue_bytes_capacity: IntGauge,
    pub(crate) queue_age: IntGauge,
    pub(crate) until_drop: Gauge,
    pub(crate) in_flight_requests: IntGauge,
    batch_items: Histogram,
    batch_bytes: Histogram,
}

impl ExporterCounts {
    pub(crate) fn new(meter: &Meter, id: &ComponentId, signal: Signal) -> ExporterCounts {
        let drops = Drops::new(meter, id).of(Kind::Exporter);
        let id = &id.to_string();
        let labels = &[("exporter", id.as_str())];
        let items = |what: &str, help: &str| {
            meter.counter(&format!("otelcol_exporter_{what}_{}_total", signal.items()), help, labels)
        };
        let labels = &[("exporter", id.as_str()), ("data_type", signal.name())];
        let gauge = |name: &str, help: &str| meter.gauge(name, help, labels);
        ExporterCounts {
            flow: Flow::new(meter, Kind::Exporter, id, signal),
            drops,
            signal,
            sent: items("sent", "Items that the far side has."),
            send_failed: items("send_failed", "Items that were given up after an attempt."),
            enqueue_failed: items("enqueue_failed", "Items that the queue had no room for."),
            queue_size: gauge("otelcol_exporter_queue_size", "What the queue holds, in its sizer's unit."),
            queue_capacity: gauge("otelcol_exporter_queue_capacity", "The queue's bound, in its sizer's unit."),
            queue_bytes: gauge("slipring_exporter_queue_bytes", "Bytes of serialized OTLP that the queue holds."),
            queue_bytes_capacity: gauge("slipring_exporter_queue_bytes_capacity", "The queue's bound in bytes."),
            queue_age: gauge("slipring_exporter_queue_age_seconds", "How long the oldest batch in the queue waits."),
            until_drop: meter.level(
                "slipring_exporter_time_until_drop_seconds",
                "When the queue is full, or its oldest batch too old, if all goes on as of late; +Inf if never.",
                labels,
            ),
            in_flight_requests: gauge("otelcol_exporter_in_flight_requests", "Exports that run now."),
            batch_items: meter.histogram(
                "otelcol_exporter_queue_batch_send_size",
                "Items in each export.",
                SIZES,
                labels,
            ),
            batch_bytes: meter.histogram(
                "otelcol_exporter_queue_batch_send_size_bytes",
                "Bytes of serialized OTLP in each export.",
                BYTES,
                labels,
            ),
        }
    }

    pub(crate) fn received(&self, items: usize) {
        self.flow.received.inc_by(items as u64);
    }

    /// Given and given back.
    pub(crate) fn not_taken(&self, items: usize) {
        self.received(items);
        self.not_queued(items);
    }

    /// Given back, because there was no room.
    pub(crate) fn not_queued(&self, items: usize) {
        self.flow.refused.inc_by(items as u64);
        self.enqueue_failed.inc_by(items as u64);
    }

    /// Given back after an attempt, or because the caller went away.
    pub(crate) fn returned(&self, items: usize) {
        self.flow.refused.inc_by(items as u64);
        self.send_failed.inc_by(items as u64);
    }

    pub(crate) fn sent(&self, items: usize) {
        self.flow.delivered.inc_by(items as u64);
        self.sent.inc_by(items as u64);
    }

    /// Given up after an attempt, or lost: so many items of that batch.
    pub(crate) fn dropped(&self, batch: &Batch, items: usize, reason: &Reason) {
        self.drops.record_batch(batch, items, reason);
        self.send_failed.inc_by(items as u64);
    }

    /// Lost, and nobody can say what it was.
    pub(crate) fn lost(&self, items: usize, reason: &Reason) {
        self.drops.record(self.signal, items, reason);
        self.send_failed.inc_by(items as u64);
    }

    /// Dropped for want of room.
    pub(crate) fn overflowed(&self, batch: &Batch, reason: &Reason) {
        self.drops.record_batch(batch, batch.items(), reason);
        self.enqueue_failed.inc_by(batch.items() as u64);
    }

    /// Delivered, but the far side dropped so many.
    pub(crate) fn dropped_by_far_side(&self, batch: &Batch, items: usize, reason: &Reason) {
        self.drops.record_batch(batch, items, reason);
    }

    pub(crate) fn exporting(&self, batch: &Batch) {
        self.batch_items.observe(batch.items() as f64);
        self.batch_bytes.observe(batch.byte_len() as f64);
    }
}

/// What the `batch` processor counts, wherever its batches are made.
#[derive(Clone)]
pub(crate) struct BatchCounts {
    items: Histogram,
    bytes: Histogram,
    by_size: IntCounter,
    by_timeout: IntCounter,
}

impl BatchCounts {
    pub(crate) fn new(meter: &Meter, id: &ComponentId) -> BatchCounts {
        let id = id.to_string();
        let labels = &[("processor", id.as_str())];
        BatchCounts {
            items: meter.histogram(
                "otelcol_processor_batch_batch_send_size",
                "Items in each batch that was made.",
                SIZES,
                labels,
            ),
            bytes: meter.histogram(
                "otelcol_processor_batch_batch_send_size_bytes",
                "Bytes in each batch that was made.",
                BYTES,
                labels,
            ),
            by_size: meter.counter(
                "otelcol_processor_batch_batch_size_trigger_send_total",
                "Batches made because there was enough.",
                labels,
            ),
            by_timeout: meter.counter(
                "otelcol_processor_batch_timeout_trigger_send_total",
                "Batches made because the wait was over.",
                labels,
            ),
        }
    }

    pub(crate) fn made(&self, batch: &Batch, full: bool) {
        self.items.observe(batch.items() as f64);
        self.bytes.observe(batch.byte_len() as f64);
        if full { self.by_size.inc() } else { self.by_timeout.inc() }
    }
}

/// A gauge's value.
pub(crate) fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The collector's buckets for batch sizes in items.
const SIZES: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2e3, 3e3, 4e3, 5e3, 6e3, 7e3, 8e3, 9e3, 1e4, 2e4, 3e4,
    5e4, 1e5,
];
/// The collector's buckets for batch sizes in bytes.
const BYTES: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2e3, 3e3, 4e3, 5e3, 6e3, 7e3, 8e3, 9e3, 1e4, 2e4, 3e4,
    5e4, 1e5, 2e5, 3e5, 4e5, 5e5, 6e5, 7e5, 8e5, 9e5, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6, 7e6, 8e6, 9e6,
];
