//! The drop ledger: every item that is not handed on is counted here with its reason. It keeps the latest drops for
//! people to look at, and logs at most one line a minute about each component and reason.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::time::Instant;

use super::{Kind, Meter, gauge};
use crate::batch::{Batch, Signal};
use crate::component::Reason;
use crate::config::ComponentId;
use crate::doors::Clock;

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
            self.meter.ledger().made.with_label_values(labels).inc_by(items as u64);
        }
    }

    /// Counts `items` of a batch as dropped for `reason`.
    pub fn record_batch(&self, batch: &Batch, items: usize, reason: &Reason) {
        self.record(batch.signal(), items, reason);
    }

    /// Counts `items` of `signal` as dropped for `reason`.
    pub fn record(&self, signal: Signal, items: usize, reason: &Reason) {
        if items > 0 {
            if let Some(held) = self.held.get() {
                held.sub(gauge(items));
            }
            self.meter.ledger().record(self, signal, items, reason);
        }
    }
}

/// One drop, as the ledger remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When, since 1970.
    pub at: Duration,
    /// The component's kind, where the ledger was told.
    pub kind: Option<Kind>,
    /// The component's id.
    pub component: Arc<str>,
    /// What was dropped.
    pub signal: Signal,
    /// How much of it.
    pub items: usize,
    /// The reason's short stable word.
    pub code: &'static str,
    /// What a person should read, cut after [`MESSAGE_BYTES`].
    pub message: String,
}

/// The most of a reason's text that the ledger keeps.
pub const MESSAGE_BYTES: usize = 512;
/// The drops that the ledger keeps of each component, signal and reason.
const KEPT: usize = 16;
/// How often a component's drops for one reason are logged at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Ledger {
    clock: Clock,
    counters: IntCounterVec,
    made: IntCounterVec,
    entries: Mutex<HashMap<Key, Entry>>,
}

/// Bounded by the config and the code: reasons are constants.
type Key = (Option<Kind>, Arc<str>, Signal, &'static str);

struct Entry {
    latest: VecDeque<Dropped>,
    on_purpose: bool,
    logged: Instant,
    unlogged_items: usize,
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
        Ledger { clock, counters, made, entries: Mutex::default() }
    }

    fn record(&self, who: &Drops, signal: Signal, items: usize, reason: &Reason) {
        let labels = &[who.kind.map_or("", Kind::name), &*who.component, signal.name(), reason.code];
        self.counters.with_label_values(labels).inc_by(items as u64);
        let dropped = Dropped {
            at: self.clock.now(),
            kind: who.kind,
            component: who.component.clone(),
            signal,
            items,
            code: reason.code,
            message: cut(&reason.message).to_owned(),
        };
        if let Some(items) = self.remember(dropped.clone(), who.on_purpose) {
            log(&dropped, items, who.on_purpose);
        }
    }

    /// Keeps it, and answers the items to log where it is time for a line.
    fn remember(&self, dropped: Dropped, on_purpose: bool) -> Option<usize> {
        let now = Instant::now();
        let mut entries = self.entries();
        let key = (dropped.kind, dropped.component.clone(), dropped.signal, dropped.code);
        let mut first = false;
        let entry = entries.entry(key).or_insert_with(|| {
            first = true;
            Entry { latest: VecDeque::new(), on_purpose, logged: now, unlogged_items: 0 }
        });
        entry.unlogged_items += dropped.items;
        if entry.latest.len() == KEPT {
            entry.latest.pop_front();
        }
        entry.latest.push_back(dropped);
        if !first && now - entry.logged < LOG_EVERY {
            return None;
        }
        entry.logged = now;
        Some(std::mem::take(&mut entry.unlogged_items))
    }

    pub(super) fn recent(&self) -> Vec<Dropped> {
        let mut all: Vec<_> = self.entries().values().flat_map(|e| &e.latest).cloned().collect();
        all.sort_by_key(|d| d.at);
        all
    }

    pub(super) fn flush_log(&self) {
        let mut lines = Vec::new();
        for entry in self.entries().values_mut().filter(|e| e.unlogged_items > 0) {
            let items = std::mem::take(&mut entry.unlogged_items);
            lines.extend(entry.latest.back().map(|last| (last.clone(), items, entry.on_purpose)));
        }
        lines.iter().for_each(|(last, items, on_purpose)| log(last, *items, *on_purpose));
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(last: &Dropped, items: usize, on_purpose: bool) {
    let Dropped { component, signal, code, message, .. } = last;
    if on_purpose {
        tracing::debug!(%component, %signal, items, reason = code, "dropped: {message}");
    } else {
        tracing::warn!(%component, %signal, items, reason = code, "dropped: {message}");
    }
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drops(meter: &Meter) -> Drops {
        Drops::new(meter, &ComponentId::new("loki", "a")).of(Kind::Exporter)
    }

    #[test]
    fn drops_are_counted_by_component_signal_and_reason() {
        let meter = Meter::new();
        let drops = drops(&meter);
        drops.record(Signal::Logs, 3, &Reason::new("too_old", "entry too far behind"));
        drops.record(Signal::Logs, 4, &Reason::new("too_old", "entry too far behind"));
        drops.record(Signal::Traces, 1, &Reason::new("http_400", "bad request"));
        drops.record(Signal::Traces, 0, &Reason::new("never", "nothing"));
        let text = meter.text();
        let series: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(
            series,
            [
                "slipring_dropped_items_total{component=\"loki/a\",kind=\"exporter\",reason=\"http_400\",signal=\"traces\"} 1",
                "slipring_dropped_items_total{component=\"loki/a\",kind=\"exporter\",reason=\"too_old\",signal=\"logs\"} 7",
            ]
        );
    }

    #[test]
    fn the_latest_drops_of_each_reason_are_remembered_with_their_words() {
        let meter = Meter::new();
        let drops = drops(&meter);
        drops.record(Signal::Logs, 1, &Reason::new("rare", "ä".repeat(400)));
        for i in 0..100 {
            drops.record(Signal::Logs, 1, &Reason::new("often", format!("the {i}th")));
        }
        let recent = meter.recent_drops();
        assert_eq!(recent.len(), 17);
        assert_eq!(recent[0].message, "ä".repeat(256));
        assert_eq!(recent[16].message, "the 99th");
    }

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute_is_logged_about_a_reason_and_nothing_is_left_out() {
        let meter = Meter::new();
        let ledger = meter.ledger();
        let drop = |items| {
            let dropped = Dropped {
                at: Duration::ZERO,
                kind: None,
                component: "x".into(),
                signal: Signal::Logs,
                items,
                code: "why",
                message: String::new(),
            };
            ledger.remember(dropped, false)
        };
        assert_eq!(drop(1), Some(1));
        assert_eq!(drop(2), None);
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert_eq!(drop(3), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(drop(4), Some(9));
    }
}
