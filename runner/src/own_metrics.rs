//! Own metrics as a test sees them: single assertions, the drop ledger, and that nothing is lost.

use std::collections::BTreeMap;

use pipeline::config::tree::At;
use pipeline::telemetry::Meter;
use prometheus::proto::MetricType;
use regex::Regex;

use crate::series;

/// What is expected of an own metric.
#[derive(Clone, Debug)]
pub struct Assertion {
    text: String,
    name: String,
    labels: Vec<(String, Wanted)>,
    is: Comparison,
    value: f64,
    /// Where it stands.
    pub at: At,
}

#[derive(Clone, Debug)]
enum Wanted {
    Value(String),
    Pattern(Regex),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::MoreOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::More),
];

impl Assertion {
    /// `name{label="value"} == 3`; without a comparison it is `==`. Series that fit are added up.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, at: At) -> Result<Assertion, String> {
        let wrong = || format!("{text:?} says nothing of an own metric");
        let (rest, number) = text.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
        let value = number.parse().map_err(|_| format!("{number:?} is no number"))?;
        let rest = rest.trim();
        let found = COMPARISONS.iter().find_map(|(word, is)| Some((rest.strip_suffix(word)?, *is)));
        let (series, is) = found.unwrap_or((rest, Comparison::Equal));
        let parsed = series::parse(series)?;
        if parsed.value.is_some() || parsed.name.is_empty() {
            return Err(wrong());
        }
        let mut labels = Vec::new();
        for label in parsed.labels {
            let wanted = if label.is_pattern {
                Wanted::Pattern(Regex::new(&format!("^(?s:{})$", label.value)).map_err(|error| error.to_string())?)
            } else {
                Wanted::Value(label.value)
            };
            labels.push((label.name, wanted));
        }
        Ok(Assertion { text: text.trim().to_owned(), name: parsed.name, labels, is, value, at })
    }

    /// What is wrong, if it does not hold.
    pub fn check(&self, metrics: &Metrics) -> Option<String> {
        let fits = |labels: &BTreeMap<String, String>| {
            self.labels.iter().all(|(name, wanted)| {
                let value = labels.get(name).map(String::as_str).unwrap_or_default();
                match wanted {
                    Wanted::Value(wanted) => value == wanted,
                    Wanted::Pattern(pattern) => pattern.is_match(value),
                }
            })
        };
        let got: f64 = metrics.of(&self.name).filter(|(labels, _)| fits(labels)).map(|(_, value)| value).sum();
        let holds = match self.is {
            #[allow(clippy::float_cmp, reason = "counts, and what a test writes on purpose")]
            Comparison::Equal => got == self.value,
            #[allow(clippy::float_cmp, reason = "the same")]
            Comparison::Unequal => got != self.value,
            Comparison::Less => got < self.value,
            Comparison::LessOrEqual => got <= self.value,
            Comparison::More => got > self.value,
            Comparison::MoreOrEqual => got >= self.value,
        };
        (!holds).then(|| format!("own metric: {} does not hold: it is {got}", self.text))
    }
}

/// The own metrics of all processes of a test, added up.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    series: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

/// An entry of the drop ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drop {
    /// The component's kind.
    pub kind: String,
    /// Its id.
    pub component: String,
    /// The reason.
    pub reason: String,
    /// How many items.
    pub items: u64,
}

impl From<&Meter> for Metrics {
    fn from(meter: &Meter) -> Metrics {
        let mut metrics = Metrics::default();
        metrics.add(meter);
        metrics
    }
}

impl Metrics {
    /// Adds what a process counted.
    pub fn add(&mut self, meter: &Meter) {
        for family in meter.registry().gather() {
            for metric in family.get_metric() {
                let labels = metric.get_label().iter().map(|l| (l.name().to_owned(), l.value().to_owned())).collect();
                let (value, adds) = match family.get_field_type() {
                    MetricType::COUNTER => (metric.get_counter().get_value(), true),
                    #[allow(clippy::cast_precision_loss, reason = "counts of a test")]
                    MetricType::HISTOGRAM => (metric.get_histogram().get_sample_count() as f64, true),
                    _ => (metric.get_gauge().get_value(), false),
                };
                let held = self.series.entry((family.name().to_owned(), labels)).or_default();
                *held = if adds { *held + value } else { value };
            }
        }
    }

    /// Adds what other processes counted.
    pub fn merge(&mut self, other: &Metrics) {
        for (key, value) in &other.series {
            *self.series.entry(key.clone()).or_default() += value;
        }
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        self.series.iter().filter(move |((n, _), _)| n == name).map(|((_, labels), value)| (labels, *value))
    }

    /// The items that a component of that kind took, or was given.
    pub fn items_of(&self, kind: &str, id: &str) -> u64 {
        let fits = |labels: &BTreeMap<String, String>| {
            labels.get("kind").is_some_and(|k| k == kind) && labels.get("component").is_some_and(|c| c == id)
        };
        let received = self.of("slipring_received_items_total").filter(|(labels, _)| fits(labels));
        count(received.map(|(_, value)| value).sum())
    }

    /// The drop ledger; signals are added up.
    pub fn drops(&self) -> Vec<Drop> {
        let mut out = BTreeMap::new();
        for (labels, value) in self.of("slipring_dropped_items_total") {
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            *out.entry((label("kind"), label("component"), label("reason"))).or_insert(0) += count(value);
        }
        let drop = |((kind, component, reason), items)| Drop { kind, component, reason, items };
        out.into_iter().map(drop).filter(|drop| drop.items > 0).collect()
    }

    /// Where `received + made = delivered + dropped + refused + in flight` does not hold, with the numbers.
    pub fn unbalanced(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (labels, received) in self.of("slipring_received_items_total") {
            let has_all = |have: &BTreeMap<String, String>| labels.iter().all(|(k, v)| have.get(k) == Some(v));
            let of = |name: &str| count(self.of(name).filter(|(have, _)| has_all(have)).map(|(_, v)| v).sum());
            let (made, delivered) = (of("slipring_made_items_total"), of("slipring_delivered_items_total"));
            let (dropped, refused) = (of("slipring_dropped_items_total"), of("slipring_refused_items_total"));
            let in_flight = of("slipring_in_flight_items");
            if count(received) + made != delivered + dropped + refused + in_flight {
                let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
                out.push(format!(
                    "{} {} ({}): received {received} + made {made} is not delivered {delivered} + dropped {dropped} + \
                     refused {refused} + in flight {in_flight}",
                    label("kind"),
                    label("component"),
                    label("signal"),
                ));
            }
        }
        out
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
fn count(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_compare_the_sum_of_the_series_that_fit() {
        let meter = Meter::new();
        for (exporter, count) in [("loki", 3), ("loki/two", 4), ("file", 9)] {
            meter.counter("sent_total", "Sent.", &[("exporter", exporter)]).inc_by(count);
        }
        let mut metrics = Metrics::default();
        metrics.add(&meter);
        let check = |text: &str| Assertion::parse(text, At::default()).unwrap().check(&metrics);
        assert_eq!(check(r#"sent_total{exporter=~"loki.*"} 7"#), None);
        assert_eq!(check("sent_total >= 16"), None);
        assert_eq!(check("sent_total != 15"), None);
        assert_eq!(check("nothing_total == 0"), None);
        let error = check(r#"sent_total{exporter="file"} < 9"#).unwrap();
        assert!(error.contains("it is 9"), "{error}");
        for text in ["", "sent_total", "sent_total x", "sent_total{a} 1", "3"] {
            assert!(Assertion::parse(text, At::default()).is_err(), "{text}");
        }
    }
}
