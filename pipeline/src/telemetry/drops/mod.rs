//! The drop ledger: every item that is not handed on is counted here with its reason. It keeps the latest drops, and
//! refusals, with what is known of their items, so that it can be asked why something is missing; and it logs at most one
//! line a minute about each component and reason.

mod books;
mod evidence;
mod page;
mod query;
mod ring;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

pub use self::evidence::{Evidence, Witness};
pub(super) use self::page::page;
pub use self::ring::{Dropped, What};

use self::books::Books;
use self::ring::{Key, Ring};
use super::{Flow, Kind, Meter, gauge};
use crate::batch::{Batch, Signal};
use crate::component::Reason;
use crate::config::ComponentId;
use crate::doors::Clock;
use crate::otlp::view::ResourceGroup;

/// The drop ledger as one component sees it: every item that is not handed on has a reason here.
#[derive(Clone)]
pub struct Drops {
    meter: Meter,
    component: Arc<str>,
    kind: Option<Kind>,
    on_purpose: bool,
    /// What the component holds, where the frame counts that: a drop takes from it.
    held: Arc<OnceLock<IntGauge>>,
}

impl Drops {
    /// The ledger for one component.
    pub fn new(meter: &Meter, component: &ComponentId) -> Drops {
        let component = component.to_string().into();
        Drops { meter: meter.clone(), component, kind: None, on_purpose: false, held: Arc::default() }
    }

    /// The same for a component of that kind.
    #[must_use]
    pub fn of(self, kind: Kind) -> Drops {
        Drops { kind: Some(kind), ..self }
    }

    /// The same for a component that drops because the config says so: that is logged at debug level only.
    #[must_use]
    pub fn on_purpose(self) -> Drops {
        Drops { on_purpose: true, ..self }
    }

    /// From now on what is dropped was counted in that gauge before.
    pub(crate) fn takes_from(&self, held: IntGauge) {
        let _ = self.held.set(held);
    }

    /// The component's id.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// Counts `items` of `signal` that the component made beyond those it was given, as where one becomes several.
    pub fn made(&self, signal: Signal, items: usize) {
        if items > 0 {
            let labels = &[self.kind.map_or("", Kind::name), &*self.component, signal.name()];
            let ledger = self.meter.ledger();
            ledger.made.with_label_values(labels).inc_by(items as u64);
            ledger.books.made(self.kind, &self.component, signal, items);
        }
    }

    /// Counts `items` of a batch as dropped for `reason`; where that is not all of it, nobody knows which.
    pub fn record_batch(&self, batch: &Batch, items: usize, reason: &Reason) {
        let of = (items < batch.items()).then(|| batch.items());
        self.enter(batch.signal(), items, of, reason, |allowance| Evidence::of_batch(batch, allowance));
    }

    /// Counts a line as dropped for `reason` that never became a log record.
    pub fn record_line(&self, line: &str, reason: &Reason) {
        self.enter(Signal::Logs, 1, None, reason, |_| Evidence::of_line(line));
    }

    /// As much of a line as is kept of it.
    pub fn beginning(line: &str) -> Box<str> {
        evidence::beginning(line, evidence::LINE_BYTES).into()
    }

    /// Counts so many lines as dropped for `reason` that never became log records; some of them are known.
    pub fn record_lines(&self, items: usize, lines: &[Box<str>], reason: &Reason) {
        self.enter(Signal::Logs, items, None, reason, |allowance| Evidence::of_lines(lines, items, allowance));
    }

    /// Counts `items` as dropped for `reason`, of which only the labels of their source are known (`job="a",…`), perhaps
    /// without knowing how many these are: 0 is entered, too.
    pub fn record_source(&self, signal: Signal, items: usize, labels: &str, reason: &Reason) {
        if items > 0 {
            self.enter(signal, items, None, reason, |_| Evidence::of_source(labels));
        } else {
            let gather = |_| Evidence::of_source(labels);
            self.meter.ledger().remember(self, What::Dropped, signal, 0, None, reason, gather);
        }
    }

    /// Counts `items` of `signal` as dropped for `reason`, of which nothing else is known.
    pub fn record(&self, signal: Signal, items: usize, reason: &Reason) {
        self.enter(signal, items, None, reason, |_| Evidence::default());
    }

    /// Sees which items are dropped where each is looked at; for [`Drops::record_seen`].
    pub fn witness(&self, signal: Signal) -> Witness {
        Witness::new(signal)
    }

    /// That span, metric or log record is being dropped for the reason of that code.
    #[inline]
    pub fn see(&self, witness: &mut Witness, group: ResourceGroup<'_>, item: &[u8], code: &'static str) {
        witness.see(group, item, |signal| {
            self.meter.ledger().ring().allowance(&self.key(What::Dropped, signal, code), self.on_purpose)
        });
    }

    /// Counts `items` of `signal` as dropped for `reason`, which were seen.
    pub fn record_seen(&self, signal: Signal, items: usize, reason: &Reason, witness: Witness) {
        self.enter(signal, items, None, reason, |_| witness.into_evidence());
    }

    /// Remembers that a batch was given back: whoever sent it still has it. The frame counts that at its edges.
    pub fn refused(&self, batch: &Batch, reason: &Reason) {
        let gather = |allowance| Evidence::of_batch(batch, allowance);
        self.meter.ledger().remember(self, What::Refused, batch.signal(), batch.items(), None, reason, gather);
    }

    /// Remembers that a request was given back before anybody read what is in it.
    pub fn refused_unread(&self, signal: Signal, reason: &Reason) {
        self.meter.ledger().remember(self, What::Refused, signal, 0, None, reason, |_| Evidence::default());
    }

    fn enter(
        &self,
        signal: Signal,
        items: usize,
        of: Option<usize>,
        reason: &Reason,
        gather: impl FnOnce(usize) -> Evidence,
    ) {
        if items == 0 {
            return;
        }
        if let Some(held) = self.held.get() {
            held.sub(gauge(items));
        }
        let ledger = self.meter.ledger();
        let labels = &[self.kind.map_or("", Kind::name), &*self.component, signal.name(), reason.code];
        ledger.counters.with_label_values(labels).inc_by(items as u64);
        ledger.books.dropped(self.kind, &self.component, signal, items);
        ledger.remember(self, What::Dropped, signal, items, of, reason, gather);
    }

    fn key(&self, what: What, signal: Signal, code: &'static str) -> Key {
        Key { what, kind: self.kind, component: self.component.clone(), signal, code }
    }
}

/// The most of a reason's text that the ledger keeps.
pub const MESSAGE_BYTES: usize = 512;

pub(super) struct Ledger {
    clock: Clock,
    /// When it began, since 1970.
    began: Duration,
    counters: IntCounterVec,
    made: IntCounterVec,
    books: Books,
    ring: Mutex<Ring>,
}

impl Ledger {
    pub(super) fn new(registry: &Registry, clock: Clock) -> Ledger {
        let opts = Opts::new("slipring_dropped_items_total", "Items that were not handed on, by reason.");
        let counters = IntCounterVec::new(opts, &["kind", "component", "signal", "reason"])
            .expect("names and labels are constants");
        registry.register(Box::new(counters.clone())).expect("the registry is new");
        let opts = Opts::new("slipring_made_items_total", "Items that a component made beyond those it was given.");
        let made = IntCounterVec::new(opts, &["kind", "component", "signal"]).expect("names and labels are constants");
        registry.register(Box::new(made.clone())).expect("the registry is new");
        Ledger { clock, began: clock.now(), counters, made, books: Books::new(registry), ring: Mutex::default() }
    }

    #[allow(clippy::too_many_arguments, reason = "each is one column of the entry")]
    fn remember(
        &self,
        who: &Drops,
        what: What,
        signal: Signal,
        items: usize,
        of: Option<usize>,
        reason: &Reason,
        gather: impl FnOnce(usize) -> Evidence,
    ) {
        let (key, at) = (who.key(what, signal, reason.code), self.clock.now());
        let (line, allowance) = {
            let mut ring = self.ring();
            let line = ring.count(&key, items, who.on_purpose);
            let allowance = ring.allowance(&key, who.on_purpose);
            if allowance == 0 && line.is_none() && ring.add_to_last(&key, items, at) {
                return;
            }
            (line, allowance)
        };
        // Without the lock: others drop meanwhile.
        let evidence = if allowance == 0 { Evidence::default() } else { gather(allowance) };
        let dropped = Dropped {
            what,
            at,
            until: at,
            times: 1,
            kind: who.kind,
            component: who.component.clone(),
            signal,
            items,
            of,
            code: reason.code,
            message: evidence::beginning(&reason.message, MESSAGE_BYTES).to_owned(),
            on_purpose: who.on_purpose,
            evidence,
        };
        if let Some(items) = line {
            log(&dropped, items);
        }
        self.ring().push(&key, dropped);
    }

    /// From now on that flow is checked.
    pub(super) fn open(&self, kind: Kind, component: &str, signal: Signal, flow: &Flow) {
        self.books.open(kind, component, signal, flow);
    }

    /// Shows what is missing in the books.
    pub(super) fn balance(&self) {
        self.books.balance();
    }

    pub(super) fn recent(&self) -> Vec<Dropped> {
        self.ring().entries().into_iter().cloned().collect()
    }

    pub(super) fn flush_log(&self) {
        let lines = self.ring().take_unlogged();
        lines.iter().for_each(|(last, items)| log(last, *items));
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(last: &Dropped, items: usize) {
    let Dropped { component, signal, code, message, .. } = last;
    if last.on_purpose {
        tracing::debug!(%component, %signal, items, reason = code, "dropped: {message}");
    } else {
        tracing::warn!(%component, %signal, items, reason = code, "dropped: {message}");
    }
}
