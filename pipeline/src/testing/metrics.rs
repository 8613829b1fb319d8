//! Reads own metrics back, for assertions.

use std::collections::BTreeMap;

use prometheus::proto::MetricType;

use crate::telemetry::Meter;

/// One series of an own metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value; of a histogram its count.
    pub value: f64,
}

impl Series {
    /// The value as a whole number.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn count(&self) -> u64 {
        self.value as u64
    }
}

/// All series of that name.
pub fn series(meter: &Meter, name: &str) -> Vec<Series> {
    let families = meter.gather();
    let mut out = Vec::new();
    for family in families.iter().filter(|f| f.name() == name) {
        for metric in family.get_metric() {
            let labels = metric.get_label().iter().map(|l| (l.name().to_owned(), l.value().to_owned())).collect();
            let value = match family.get_field_type() {
                MetricType::COUNTER => metric.get_counter().get_value(),
                MetricType::HISTOGRAM => metric.get_histogram().get_sample_count() as f64,
                _ => metric.get_gauge().get_value(),
            };
            out.push(Series { labels, value });
        }
    }
    out
}

/// The sum of the series of that name that have at least these labels; 0 where there is none.
pub fn count(meter: &Meter, name: &str, labels: &[(&str, &str)]) -> u64 {
    let has = |s: &Series| labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|have| have == v));
    series(meter, name).iter().filter(|s| has(s)).map(Series::count).sum()
}

/// Checks that nothing is missing in the books, and `received + made = delivered + dropped + refused + in flight` for every component and signal.
///
/// # Panics
/// When it does not hold somewhere; the message has the numbers.
pub fn assert_conserved(meter: &Meter) {
    // What two readings miss is missing.
    meter.gather();
    for books in series(meter, "slipring_unaccounted_items") {
        assert_eq!(books.value, 0.0, "{:?}: items are unaccounted for", books.labels);
    }
    for received in series(meter, "slipring_received_items_total") {
        let labels: Vec<_> = received.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let of = |name: &str| count(meter, name, &labels);
        let (delivered, refused) = (of("slipring_delivered_items_total"), of("slipring_refused_items_total"));
        let (dropped, in_flight) = (of("slipring_dropped_items_total"), of("slipring_in_flight_items"));
        assert_eq!(
            received.count() + of("slipring_made_items_total"),
            delivered + dropped + refused + in_flight,
            "{labels:?}: delivered {delivered}, dropped {dropped}, refused {refused}, in flight {in_flight}"
        );
    }
}
