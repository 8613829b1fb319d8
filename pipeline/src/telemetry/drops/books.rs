//! The books of all components: `received + made = delivered + dropped + refused + in flight`. Where that does not hold,
//! items are gone and nobody can say why; own metrics show how many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntGaugeVec, Opts, Registry};

use crate::batch::Signal;
use crate::telemetry::{Flow, Kind};

/// All books.
pub(super) struct Books {
    all: Mutex<HashMap<Account, Arc<Book>>>,
    unaccounted: IntGaugeVec,
}

/// Whose a book is.
type Account = (Kind, Arc<str>, Signal);

/// The counters of one component and signal.
struct Book {
    flow: Flow,
    dropped: AtomicU64,
    made: AtomicU64,
    /// What was missing at the reading before.
    before: AtomicI64,
}

/// Readings of a book that is in use, one of which is to meet it between two entries.
const READINGS: usize = 64;

impl Books {
    pub(super) fn new(registry: &Registry) -> Books {
        let help = "Items a component was given and that are neither delivered nor dropped nor refused nor in flight, at \
                    this reading and the one before; anything but 0 is a bug.";
        let opts = Opts::new("slipring_unaccounted_items", help);
        let unaccounted =
            IntGaugeVec::new(opts, &["kind", "component", "signal"]).expect("names and labels are constants");
        registry.register(Box::new(unaccounted.clone())).expect("the registry is new");
        Books { all: Mutex::default(), unaccounted }
    }

    /// From now on that flow is checked.
    pub(super) fn open(&self, kind: Kind, component: &str, signal: Signal, flow: &Flow) {
        let new = || {
            let (dropped, made, before) = (AtomicU64::new(0), AtomicU64::new(0), AtomicI64::new(0));
            Arc::new(Book { flow: flow.clone(), dropped, made, before })
        };
        self.all().entry((kind, component.into(), signal)).or_insert_with(new);
    }

    /// A component dropped items. What a receiver drops has not come to its edge, where the frame counts, or is its own
    /// again: it counts as received here.
    pub(super) fn dropped(&self, kind: Option<Kind>, component: &Arc<str>, signal: Signal, items: usize) {
        let Some(book) = self.book(kind, component, signal) else { return };
        if kind == Some(Kind::Receiver) {
            book.flow.received.inc_by(items as u64);
        }
        book.dropped.fetch_add(items as u64, Ordering::Relaxed);
    }

    /// A component made items beyond those it was given.
    pub(super) fn made(&self, kind: Option<Kind>, component: &Arc<str>, signal: Signal, items: usize) {
        if let Some(book) = self.book(kind, component, signal) {
            book.made.fetch_add(items as u64, Ordering::Relaxed);
        }
    }

    /// Shows what is missing.
    pub(super) fn balance(&self) {
        for ((kind, component, signal), book) in &*self.all() {
            let missing = book.missing();
            let before = book.before.swap(missing, Ordering::Relaxed);
            self.unaccounted.with_label_values(&[kind.name(), component, signal.name()]).set(common(before, missing));
        }
    }

    fn book(&self, kind: Option<Kind>, component: &Arc<str>, signal: Signal) -> Option<Arc<Book>> {
        self.all().get(&(kind?, component.clone(), signal)).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Account, Arc<Book>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// What is missing, over several readings: what one of them does not miss is on its way between two counters.
    fn missing(&self) -> i64 {
        let mut missing = self.read();
        for _ in 1..READINGS {
            if missing == 0 {
                break;
            }
            std::thread::yield_now();
            missing = common(missing, self.read());
        }
        missing
    }

    fn read(&self) -> i64 {
        let Flow { received, delivered, refused, in_flight } = &self.flow;
        let count = |counter: u64| i64::try_from(counter).unwrap_or(i64::MAX);
        let out = count(delivered.get())
            + count(refused.get())
            + count(self.dropped.load(Ordering::Relaxed))
            + in_flight.get();
        count(received.get()) + count(self.made.load(Ordering::Relaxed)) - out
    }
}

/// What two readings have in common.
fn common(one: i64, other: i64) -> i64 {
    if one.signum() == other.signum() { if one.abs() < other.abs() { one } else { other } } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::component::Reason;
    use crate::config::ComponentId;
    use crate::telemetry::{Drops, Meter};
    use crate::testing::series;

    fn unaccounted(meter: &Meter) -> f64 {
        let found = series(meter, "slipring_unaccounted_items");
        assert_eq!(found.len(), 1);
        found[0].value
    }

    #[test]
    fn what_nobody_can_account_for_is_shown_from_the_second_reading_on() {
        let meter = Meter::new();
        let flow = Flow::new(&meter, Kind::Exporter, "far", Signal::Logs);
        flow.received.inc_by(10);
        flow.delivered.inc_by(4);
        flow.in_flight.add(3);
        Drops::new(&meter, &ComponentId::new("far", "")).of(Kind::Exporter).record(
            Signal::Logs,
            1,
            &Reason::new("why", "so"),
        );
        assert_eq!(unaccounted(&meter), 0.0);
        assert_eq!(unaccounted(&meter), 2.0);
        flow.refused.inc_by(2);
        assert_eq!(unaccounted(&meter), 0.0);
    }

    #[test]
    fn what_a_receiver_drops_before_its_edge_or_after_a_refusal_balances() {
        let meter = Meter::new();
        Flow::new(&meter, Kind::Receiver, "in", Signal::Logs);
        let drops = Drops::new(&meter, &ComponentId::new("in", "")).of(Kind::Receiver);
        drops.record(Signal::Logs, 5, &Reason::new("unreadable", "so"));
        assert_eq!((unaccounted(&meter), unaccounted(&meter)), (0.0, 0.0));
        crate::testing::assert_conserved(&meter);
    }

    #[test]
    fn books_that_are_in_use_balance() {
        let meter = Meter::new();
        let flow = Flow::new(&meter, Kind::Processor, "busy", Signal::Traces);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        flow.received.inc_by(7);
                        flow.in_flight.add(7);
                        std::hint::black_box((0..50).sum::<usize>());
                        flow.delivered.inc_by(7);
                        flow.in_flight.sub(7);
                    }
                });
            }
            let shown: Vec<_> = (0..100).map(|_| unaccounted(&meter)).collect();
            stop.store(true, Ordering::Relaxed);
            assert!(shown.iter().all(|missing| *missing == 0.0), "{shown:?}");
        });
    }
}
