//! Names in Prometheus' language: what the OpenTelemetry compatibility specification makes of metric and attribute
//! names, by the four translation strategies of Prometheus and the collector.

use pipeline::otlp::view::{Metric, MetricKind};
use serde::Deserialize;
use smallvec::SmallVec;

/// `translation_strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Strategy {
    /// Characters that Prometheus did not always allow become `_`; units, `_total` and `_ratio` are appended.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Characters become `_`, nothing is appended.
    UnderscoreEscapingWithoutSuffixes,
    /// Characters stay; units, `_total` and `_ratio` are appended.
    NoUTF8EscapingWithSuffixes,
    /// Everything stays.
    NoTranslation,
}

/// Translates names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namer {
    strategy: Strategy,
    namespace: String,
}

impl Namer {
    /// A namer that puts `namespace` (empty for none) before every metric name.
    pub fn new(strategy: Strategy, namespace: &str) -> Namer {
        let mut out = String::new();
        if strategy.escapes() {
            escape_metric(&mut out, namespace);
        } else {
            out.push_str(namespace);
        }
        Namer { strategy, namespace: out }
    }

    /// Appends the metric's name, without what is said of the kind of series (`_bucket`, `_sum`).
    pub fn write_metric(&self, out: &mut String, metric: &Metric<'_>) {
        let start = out.len();
        self.write_namespace(out);
        match self.strategy {
            Strategy::NoTranslation => out.push_str(metric.name),
            Strategy::UnderscoreEscapingWithoutSuffixes => escape_metric(out, metric.name),
            Strategy::NoUTF8EscapingWithSuffixes => write_with_suffixes(out, metric),
            Strategy::UnderscoreEscapingWithSuffixes => write_tokens(out, metric),
        }
        if self.strategy.escapes() && out[start..].starts_with(|c: char| c.is_ascii_digit()) {
            out.insert(start, '_');
        }
    }

    /// Appends a name of our own, such as `target_info`.
    pub fn write_own(&self, out: &mut String, name: &str) {
        self.write_namespace(out);
        out.push_str(name);
    }

    /// Whether a label may be called so as it is.
    pub fn keeps_label(&self, name: &str) -> bool {
        if !self.strategy.escapes() {
            return true;
        }
        let mut bytes = name.bytes();
        let first = match bytes.next() {
            Some(b'_') => name.starts_with("__"),
            Some(byte) => byte.is_ascii_alphabetic(),
            None => true,
        };
        first && bytes.all(is_label_byte)
    }

    /// Appends the label's name; see [`Namer::keeps_label`] for those that need no change.
    pub fn write_label(&self, out: &mut String, name: &str) {
        if self.keeps_label(name) {
            return out.push_str(name);
        }
        let start = out.len();
        self.write_label_rest(out, name);
        let made = &out[start..];
        if made.starts_with(|c: char| c.is_ascii_digit()) {
            out.insert_str(start, "key_");
        } else if made.starts_with('_') && !made.starts_with("__") {
            out.insert_str(start, "key");
        }
    }

    /// Appends what stands in a label's name behind a legal start.
    pub fn write_label_rest(&self, out: &mut String, rest: &str) {
        if self.strategy.escapes() {
            out.extend(rest.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
        } else {
            out.push_str(rest);
        }
    }

    /// Appends a metric's unit in words, as it stands in its name (`By/s` is `bytes_per_second`).
    pub fn write_unit(out: &mut String, unit: &str) {
        let (main, per) = Unit::of(unit).words();
        escape_metric(out, main);
        let per = escaped(per);
        if !per.is_empty() {
            out.push_str(if out.is_empty() { "per_" } else { "_per_" });
            out.push_str(&per);
        }
    }

    fn write_namespace(&self, out: &mut String) {
        if !self.namespace.is_empty() {
            out.push_str(&self.namespace);
            out.push('_');
        }
    }
}

impl Strategy {
    fn escapes(self) -> bool {
        matches!(self, Strategy::UnderscoreEscapingWithSuffixes | Strategy::UnderscoreEscapingWithoutSuffixes)
    }
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Runs of characters that are not allowed become one `_`, none at the ends.
fn escape_metric(out: &mut String, name: &str) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
    let start = out.len();
    for run in name.split(|c| !allowed(c)).filter(|run| !run.is_empty()) {
        if out.len() > start {
            out.push('_');
        }
        out.push_str(run);
    }
}

/// The name's words and what follows from unit and kind, each word once, joined with `_`.
fn write_tokens(out: &mut String, metric: &Metric<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let (unit, per) = Unit::of(metric.unit).words();
    let (unit, per) = (escaped(unit), escaped(per));
    let mut tokens: SmallVec<[&str; 16]> = metric.name.split(|c| !allowed(c)).filter(|t| !t.is_empty()).collect();
    if !unit.is_empty() && !tokens.contains(&unit.as_str()) {
        tokens.push(&unit);
    }
    if !per.is_empty() && !tokens.contains(&per.as_str()) {
        tokens.extend(["per", &per]);
    }
    if let Some(last) = kind_suffix(metric) {
        tokens.retain(|token| *token != last);
        tokens.push(last);
    }
    for (i, token) in tokens.iter().enumerate() {
        if i > 0 {
            out.push('_');
        }
        out.push_str(token);
    }
}

/// The name as it is with what follows from unit and kind at its end, unless it is there already.
fn write_with_suffixes(out: &mut String, metric: &Metric<'_>) {
    let last = kind_suffix(metric);
    let ends_with = |name: &str, word: &str| name.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'));
    let mut name = metric.name;
    if let Some(last) = last
        && ends_with(name, last)
    {
        name = &name[..name.len() - last.len() - 1];
    }
    out.push_str(name);
    let (unit, per) = Unit::of(metric.unit).words();
    if !unit.is_empty() && !ends_with(name, unit) && !name.contains("_per_") {
        out.extend(["_", unit]);
    }
    if !per.is_empty() && !ends_with(name, per) {
        out.extend(["_per_", per]);
    }
    if let Some(last) = last {
        out.extend(["_", last]);
    }
}

/// What the kind of a metric adds to its name.
fn kind_suffix(metric: &Metric<'_>) -> Option<&'static str> {
    match metric.kind {
        MetricKind::Sum if metric.is_monotonic => Some("total"),
        MetricKind::Gauge if metric.unit == "1" => Some("ratio"),
        _ => None,
    }
}

fn escaped(word: &str) -> String {
    let mut out = String::new();
    escape_metric(&mut out, word);
    out.trim_matches('_').to_owned()
}

/// A UCUM unit: what is counted, and per what.
struct Unit<'a> {
    main: &'a str,
    per: &'a str,
}

impl<'a> Unit<'a> {
    fn of(unit: &'a str) -> Unit<'a> {
        let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
        // Annotations in braces are for people.
        let plain = |part: &'a str| if part.contains(['{', '}']) { "" } else { part.trim() };
        Unit { main: plain(main), per: plain(per) }
    }

    fn words(&self) -> (&'a str, &'a str) {
        let main = match self.main {
            "1" => "",
            "d" => "days",
            "h" => "hours",
            "min" => "minutes",
            "s" => "seconds",
            "ms" => "milliseconds",
            "us" => "microseconds",
            "ns" => "nanoseconds",
            "By" => "bytes",
            "KiBy" => "kibibytes",
            "MiBy" => "mebibytes",
            "GiBy" => "gibibytes",
            "TiBy" => "tibibytes",
            "KBy" => "kilobytes",
            "MBy" => "megabytes",
            "GBy" => "gigabytes",
            "TBy" => "terabytes",
            "m" => "meters",
            "V" => "volts",
            "A" => "amperes",
            "J" => "joules",
            "W" => "watts",
            "g" => "grams",
            "Cel" => "celsius",
            "Hz" => "hertz",
            "%" => "percent",
            other => other,
        };
        let per = match self.per {
            "s" => "second",
            "m" => "minute",
            "h" => "hour",
            "d" => "day",
            "w" => "week",
            "mo" => "month",
            "y" => "year",
            other => other,
        };
        (main, per)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Strategy::*;

    fn metric<'a>(name: &'a str, unit: &'a str, kind: MetricKind, is_monotonic: bool) -> Metric<'a> {
        Metric { name, unit, kind, is_monotonic, ..Metric::default() }
    }

    fn check(strategy: Strategy, metric: Metric<'_>, expected: &str) {
        let mut out = String::new();
        Namer::new(strategy, "").write_metric(&mut out, &metric);
        assert_eq!(out, expected, "{} {:?}", metric.name, metric.unit);
    }

    #[test]
    fn units_and_kinds_are_appended_unless_they_are_among_the_words() {
        let check = |metric, expected| check(UnderscoreEscapingWithSuffixes, metric, expected);
        let gauge = |name, unit| metric(name, unit, MetricKind::Gauge, false);
        let counter = |name, unit| metric(name, unit, MetricKind::Sum, true);
        let histogram = |name, unit| metric(name, unit, MetricKind::Histogram, false);
        check(histogram("http.server.request.duration", "s"), "http_server_request_duration_seconds");
        check(gauge("system.memory.usage", "By"), "system_memory_usage_bytes");
        check(counter("system.network.io", "By"), "system_network_io_bytes_total");
        check(counter("requests_total", "{request}"), "requests_total");
        check(counter("total.requests", ""), "requests_total");
        check(gauge("cpu.utilization", "1"), "cpu_utilization_ratio");
        check(counter("hw.things", "1"), "hw_things_total");
        check(gauge("disk.speed", "By/s"), "disk_speed_bytes_per_second");
        check(gauge("fuel.use", "l/km"), "fuel_use_l_per_km");
        check(gauge("queue.rate", "{item}/s"), "queue_rate_per_second");
        check(gauge("a__b..c", ""), "a_b_c");
        check(gauge("vllm:running", ""), "vllm:running");
        check(gauge("2xx.count", ""), "_2xx_count");
        check(gauge("temperature", "°F"), "temperature_F");
        check(metric("up.down", "By", MetricKind::Sum, false), "up_down_bytes");
    }

    #[test]
    fn the_other_strategies_keep_what_they_say() {
        let counter = |name, unit| metric(name, unit, MetricKind::Sum, true);
        check(UnderscoreEscapingWithoutSuffixes, counter("http.requests..in", "By"), "http_requests_in");
        check(UnderscoreEscapingWithoutSuffixes, counter("a__b", ""), "a__b");
        check(NoUTF8EscapingWithSuffixes, counter("http.requests", "By"), "http.requests_bytes_total");
        check(NoUTF8EscapingWithSuffixes, counter("io_bytes_total", "By"), "io_bytes_total");
        check(NoUTF8EscapingWithSuffixes, metric("load", "1", MetricKind::Gauge, false), "load_ratio");
        check(NoTranslation, counter("http.requests", "By"), "http.requests");
    }

    #[test]
    fn units_have_words() {
        for (unit, expected) in [
            ("By", "bytes"),
            ("By/s", "bytes_per_second"),
            ("{item}/s", "per_second"),
            ("1", ""),
            ("{request}", ""),
            ("seconds", "seconds"),
            ("°F", "F"),
        ] {
            let mut out = String::new();
            Namer::write_unit(&mut out, unit);
            assert_eq!(out, expected, "{unit}");
        }
    }

    #[test]
    fn a_namespace_comes_first() {
        let mut out = String::new();
        let namer = Namer::new(UnderscoreEscapingWithSuffixes, "my-app");
        namer.write_metric(&mut out, &metric("2xx", "", MetricKind::Gauge, false));
        out.push(' ');
        namer.write_own(&mut out, "target_info");
        assert_eq!(out, "my_app_2xx my_app_target_info");
    }

    #[test]
    fn labels_become_legal_character_by_character() {
        let namer = Namer::new(UnderscoreEscapingWithSuffixes, "");
        for (name, expected) in [
            ("http.method", "http_method"),
            ("label:with:colons", "label_with_colons"),
            ("a__b", "a__b"),
            ("123label", "key_123label"),
            ("_private", "key_private"),
            (".hidden", "key_hidden"),
            ("..", "__"),
            ("__meta", "__meta"),
            ("größe", "gr__e"),
            ("Ok", "Ok"),
        ] {
            let mut out = String::new();
            namer.write_label(&mut out, name);
            assert_eq!(out, expected);
            assert_eq!(namer.keeps_label(name), name == expected, "{name}");
        }
        assert!(Namer::new(NoTranslation, "").keeps_label("http.method"));
    }
}
