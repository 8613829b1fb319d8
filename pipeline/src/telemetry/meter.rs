//! Own metrics: one registry for the process, in which a metric can be asked for as often as needed, so that a graph can
//! be built beside a running one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::drops::{Dropped, Ledger};
use crate::doors::Clock;

/// Own metrics of the process; clone is a reference count.
#[derive(Clone)]
pub struct Meter {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    families: Mutex<HashMap<String, Family>>,
    ledger: Ledger,
    looks: Mutex<Vec<Weak<dyn Look>>>,
}

/// Sets gauges that are worth it only when somebody reads them.
pub(crate) trait Look: Send + Sync {
    /// Sets them.
    fn look(&self);
}

#[derive(Clone)]
enum Family {
    Counter(IntCounterVec),
    Gauge(IntGaugeVec),
    Level(GaugeVec),
    Histogram(HistogramVec),
}

impl Meter {
    /// A fresh set of metrics, whose drop ledger shows the system's time.
    pub fn new() -> Meter {
        Meter::with_clock(Clock::system())
    }

    /// A fresh set of metrics, whose drop ledger shows that clock's time.
    pub fn with_clock(clock: Clock) -> Meter {
        let registry = Registry::new();
        let ledger = Ledger::new(&registry, clock);
        Meter { inner: Arc::new(Inner { registry, families: Mutex::default(), ledger, looks: Mutex::default() }) }
    }

    /// The counter of that name and labels; the same one each time it is asked for. Resolve it once, not for each batch.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> IntCounter {
        self.counters(name, help, &names(labels)).with_label_values(&values(labels))
    }

    /// The counters of that name, for label values that are known only later.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let make = || IntCounterVec::new(Opts::new(name, help), labels);
        self.family(name, make, Family::Counter, |f| if let Family::Counter(c) = f { Some(c) } else { None })
    }

    /// The gauge of that name and labels; the same one each time it is asked for.
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> IntGauge {
        let make = || IntGaugeVec::new(Opts::new(name, help), &names(labels));
        let family = self.family(name, make, Family::Gauge, |f| if let Family::Gauge(g) = f { Some(g) } else { None });
        family.with_label_values(&values(labels))
    }

    /// The gauge of that name and labels where it is no whole number; the same one each time it is asked for.
    pub fn level(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        let make = || GaugeVec::new(Opts::new(name, help), &names(labels));
        let family = self.family(name, make, Family::Level, |f| if let Family::Level(g) = f { Some(g) } else { None });
        family.with_label_values(&values(labels))
    }

    /// The histogram of that name and labels; the same one each time it is asked for. `buckets` are upper bounds.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64], labels: &[(&str, &str)]) -> Histogram {
        let make = || HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &names(labels));
        let family =
            self.family(name, make, Family::Histogram, |f| if let Family::Histogram(h) = f { Some(h) } else { None });
        family.with_label_values(&values(labels))
    }

    /// The registry itself, for collectors that read their values when they are asked.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Lets `look` set its gauges before each reading, as long as it lives.
    pub(crate) fn look_before_reading<L: Look + 'static>(&self, look: &Arc<L>) {
        let mut looks = self.inner.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|look| look.strong_count() > 0);
        let weak: Weak<L> = Arc::downgrade(look);
        looks.push(weak);
    }

    /// All metrics as they are now.
    pub fn gather(&self) -> Vec<MetricFamily> {
        let looks = self.inner.looks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        looks.iter().filter_map(Weak::upgrade).for_each(|look| look.look());
        self.inner.ledger.balance();
        self.inner.registry.gather()
    }

    /// Everything in Prometheus' text format 0.0.4.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.gather(), &mut out) {
            tracing::error!(%error, "own metrics cannot be written");
        }
        out
    }

    /// The latest drops of every component and reason, oldest first.
    pub fn recent_drops(&self) -> Vec<Dropped> {
        self.inner.ledger.recent()
    }

    /// Logs the drops that were not logged yet because the last line about them is younger than a minute.
    pub fn flush_drop_log(&self) {
        self.inner.ledger.flush_log();
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The family of that name; made and registered where it is new.
    ///
    /// # Panics
    /// When the code (never the input) uses a name for two kinds of metrics or with two sets of labels.
    fn family<T: Collector + Clone + 'static>(
        &self,
        name: &str,
        make: impl FnOnce() -> prometheus::Result<T>,
        wrap: fn(T) -> Family,
        unwrap: fn(Family) -> Option<T>,
    ) -> T {
        let mut families = self.inner.families.lock().unwrap_or_else(PoisonError::into_inner);
        match families.entry(name.to_owned()) {
            Entry::Occupied(known) => {
                unwrap(known.get().clone()).expect("a metric's name is used for one kind of metric only")
            }
            Entry::Vacant(new) => {
                let family = make().expect("a metric's name and labels are constants of the code");
                new.insert(wrap(family.clone()));
                self.inner.registry.register(Box::new(family.clone())).expect("the name is not taken");
                family
            }
        }
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new()
    }
}

fn names<'a>(labels: &[(&'a str, &str)]) -> Vec<&'a str> {
    labels.iter().map(|(name, _)| *name).collect()
}

fn values<'a>(labels: &[(&str, &'a str)]) -> Vec<&'a str> {
    labels.iter().map(|(_, value)| *value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_asked_for_twice_is_the_same_one() {
        let meter = Meter::new();
        meter.counter("seen_total", "Seen.", &[("a", "1")]).inc_by(2);
        meter.counter("seen_total", "Seen.", &[("a", "1")]).inc();
        meter.counter("seen_total", "Seen.", &[("a", "2")]).inc();
        meter.gauge("level", "Level.", &[]).set(-4);
        meter.histogram("sizes", "Sizes.", &[1.0, 10.0], &[]).observe(5.0);
        let text = meter.text();
        let expected = "\
# HELP level Level.
# TYPE level gauge
level -4
# HELP seen_total Seen.
# TYPE seen_total counter
seen_total{a=\"1\"} 3
seen_total{a=\"2\"} 1
# HELP sizes Sizes.
# TYPE sizes histogram
sizes_bucket{le=\"1\"} 0
sizes_bucket{le=\"10\"} 1
sizes_bucket{le=\"+Inf\"} 1
sizes_sum 5
sizes_count 1
";
        assert_eq!(text, expected);
    }
}
