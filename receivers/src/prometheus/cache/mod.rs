//! What is remembered of one target between scrapes, and what a scrape makes of it.
//!
//! A body is read into the series it names; series that were there before cost no more than a comparison of their text.
//! Then the series are written as one OTLP request, those that are gone marked stale, and the answer to that request
//! decides what is remembered. Nothing here knows time, sockets or HTTP.

mod families;
mod index;
mod report;
mod store;
mod texts;
mod write;

#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;

use pipeline::otlp::fields::exemplar;
use pipeline::otlp::write::{Scalar, Writer};

use self::families::Families;
use self::index::NONE;
use self::store::{EXPLICIT, KNOWN, LIVE, REPEATED, Series, Store};
use self::texts::{Known, Texts};
use super::exposition::{Entry, Format, Parser, Sample, help_text};
use super::labels::{Labels, METRIC_NAME, NameRule, Text};
use super::relabel::{self, Rule};

use self::report::Report;
pub use self::report::{Extra, Measures};
pub use self::write::SCOPE_NAME;

/// Samples with timestamps further ahead are dropped, as Prometheus does.
const MOST_AHEAD_MS: i64 = 10 * 60 * 1000;
/// So many series, texts or families more than are in use are kept before they are cleared out.
const SLACK: usize = 1000;

/// How the samples of a job become series.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Scraped labels win over the target's.
    pub honor_labels: bool,
    /// Timestamps in the body count.
    pub honor_timestamps: bool,
    /// Series with timestamps of their own can go stale, too.
    pub track_timestamps_staleness: bool,
    /// `metric_relabel_configs`.
    pub metric_relabel: Vec<Rule>,
    /// What names may be.
    pub names: NameRule,
    /// What is too much.
    pub limits: Limits,
    /// Labels that every scraped series gets (`global.external_labels`).
    pub external_labels: Vec<(String, String)>,
    /// Cut units and `_total` off the names (`trim_metric_suffixes`).
    pub trim_suffixes: bool,
}

/// Limits that fail a scrape; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Samples after relabelling.
    pub samples: usize,
    /// Labels of a series, its name included.
    pub labels: usize,
    /// Bytes of a label's name.
    pub label_name_length: usize,
    /// Bytes of a label's value.
    pub label_value_length: usize,
}

/// What a body held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples in it.
    pub scraped: usize,
    /// Samples left after relabelling, duplicates included.
    pub kept: usize,
    /// Series that the last good body did not have.
    pub added: usize,
    /// Samples dropped because their series was there before in the same body, or had another value at that time.
    pub duplicates: usize,
    /// Samples dropped because their timestamp is before one that their series had.
    pub out_of_order: usize,
    /// Samples dropped because their timestamp is too far ahead.
    pub out_of_bounds: usize,
}

/// The samples of one scrape that do not fit into [`Series`].
#[derive(Debug, Default)]
struct Moment {
    /// The scrape's own time.
    at_ms: i64,
    /// Timestamp and value bits of the newest sample of series that have timestamps of their own.
    explicit: HashMap<u32, (i64, u64)>,
    /// Further samples of series that have several in one body.
    extras: Vec<ExtraSample>,
    /// Sorted by series once the body is read.
    exemplars: Vec<OwnedExemplar>,
}

#[derive(Debug)]
struct ExtraSample {
    series: u32,
    ms: i64,
    value: f64,
}

#[derive(Debug)]
struct OwnedExemplar {
    series: u32,
    value: f64,
    ms: Option<i64>,
    /// Attributes and ids, serialized.
    fields: Vec<u8>,
}

impl Moment {
    fn begin(&mut self, at_ms: i64) {
        self.at_ms = at_ms;
        self.extras.clear();
        self.exemplars.clear();
    }

    #[inline]
    fn explicit_ms(&self, number: u32, series: &Series) -> i64 {
        if series.flags & EXPLICIT == 0 {
            return self.at_ms;
        }
        self.explicit.get(&number).map_or(self.at_ms, |(ms, _)| *ms)
    }
}

/// The memory of one target.
#[derive(Debug)]
pub struct Cache {
    rules: std::sync::Arc<Rules>,
    /// The target's own labels, `job` and `instance` among them.
    target: Vec<(String, String)>,
    scheme: String,
    texts: Texts,
    families: Families,
    store: Store,
    moment: Moment,
    /// Counts scrapes.
    iteration: u32,
    /// The last scrape whose body was good.
    good: u32,
    /// How long the last request was.
    request_bytes: usize,
}

impl Cache {
    /// An empty memory of a target with these labels.
    pub fn new(rules: std::sync::Arc<Rules>, target: Vec<(String, String)>, scheme: &str) -> Cache {
        let mut store = Store::default();
        let value = |name| target.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
        store.resource(value("job"), value("instance"));
        Cache {
            rules,
            scheme: scheme.to_owned(),
            texts: Texts::default(),
            families: Families::default(),
            store,
            moment: Moment::default(),
            iteration: 0,
            good: 0,
            request_bytes: 0,
            target,
        }
    }

    /// Reads the body of a scrape of that time.
    ///
    /// # Errors
    /// Why the scrape failed: then it is as if it had held nothing. What was counted up to there stands in `counts`.
    pub fn read(&mut self, body: &[u8], format: Format, at_ms: i64, counts: &mut Counts) -> Result<(), String> {
        self.begin(at_ms);
        let result = self.read_entries(body, format, counts);
        if result.is_ok() {
            self.good = self.iteration;
            self.texts.commit();
            self.moment.exemplars.sort_by_key(|exemplar| exemplar.series);
            if std::mem::take(&mut self.families.retyped) {
                self.store.retype(&self.families);
            }
        } else {
            self.begin(at_ms);
        }
        result
    }

    /// A scrape of that time brought no body.
    pub fn miss(&mut self, at_ms: i64) {
        self.begin(at_ms);
    }

    fn begin(&mut self, at_ms: i64) {
        self.iteration += 1;
        self.moment.begin(at_ms);
        self.texts.begin();
        self.families.begin();
    }

    fn read_entries(&mut self, body: &[u8], format: Format, counts: &mut Counts) -> Result<(), String> {
        let mut parser = Parser::new(body, format);
        while let Some(entry) = parser.next(self.texts.expected()) {
            match entry.map_err(|error| error.to_string())? {
                Entry::Sample(sample) => self.sample(&parser, &sample, counts)?,
                Entry::Type { family, kind } => self.families.set_kind(family, kind, self.iteration),
                Entry::Help { family, text } => {
                    self.families.set_help(family, &help_text(text, format), self.iteration);
                }
                Entry::Unit { family, unit } => self.families.set_unit(family, unit, self.iteration),
            }
        }
        let limit = self.rules.limits.samples;
        if limit > 0 && counts.kept > limit {
            return Err(format!("the scrape has {} samples, sample_limit is {limit}", counts.kept));
        }
        Ok(())
    }

    #[inline]
    fn sample(&mut self, parser: &Parser<'_>, sample: &Sample<'_>, counts: &mut Counts) -> Result<(), String> {
        counts.scraped += 1;
        let known = if sample.expected { Some(self.texts.take_expected()) } else { self.texts.find(sample.series) };
        let known = match known {
            Some(known) => known,
            None => self.learn(parser, sample)?,
        };
        let Known::Series(number) = known else { return Ok(()) };
        counts.kept += 1;
        let series = &mut self.store.series[number as usize];
        let again = series.seen == self.iteration;
        if series.flags & KNOWN == 0 && !again {
            counts.added += 1;
        }
        match sample.timestamp.filter(|_| self.rules.honor_timestamps) {
            None if again => counts.duplicates += 1,
            None => {
                series.value = sample.value;
                series.seen = self.iteration;
                series.flags &= !(EXPLICIT | REPEATED);
            }
            Some(ms) => self.explicit_sample(number, ms, sample.value, counts),
        }
        if sample.exemplar && !again {
            self.exemplar(number, parser);
        }
        Ok(())
    }

    /// A sample with a timestamp of its own: only newer ones than before are handed on.
    fn explicit_sample(&mut self, number: u32, ms: i64, value: f64, counts: &mut Counts) {
        if ms > self.moment.at_ms + MOST_AHEAD_MS {
            counts.out_of_bounds += 1;
            return;
        }
        let before = self.moment.explicit.get(&number).copied();
        let series = &mut self.store.series[number as usize];
        let again = series.seen == self.iteration;
        match before {
            Some((last, _)) if ms < last => {
                counts.out_of_order += 1;
                return;
            }
            Some((last, bits)) if ms == last => {
                if bits != value.to_bits() {
                    counts.duplicates += 1;
                }
                if !again {
                    series.seen = self.iteration;
                    series.flags |= EXPLICIT | REPEATED;
                }
                return;
            }
            _ => {}
        }
        if again && series.flags & EXPLICIT == 0 {
            counts.duplicates += 1;
            return;
        }
        if again && series.flags & REPEATED == 0 {
            let earlier = before.map_or(self.moment.at_ms, |(ms, _)| ms);
            self.moment.extras.push(ExtraSample { series: number, ms: earlier, value: series.value });
        }
        series.value = value;
        series.seen = self.iteration;
        series.flags = series.flags & !REPEATED | EXPLICIT;
        self.moment.explicit.insert(number, (ms, value.to_bits()));
    }

    /// A text that was not seen before: its labels are read, joined with the target's, relabelled and checked.
    fn learn(&mut self, parser: &Parser<'_>, sample: &Sample<'_>) -> Result<Known, String> {
        let name = parser.name();
        let named: (Text<'_>, Text<'_>) = (METRIC_NAME.into(), name.clone());
        let mut labels = Labels::scraped(std::iter::once(named).chain(parser.labels()));
        labels.add_target(&self.target, self.rules.honor_labels);
        if !relabel::apply(&self.rules.metric_relabel, &mut labels) || labels.is_empty() {
            self.texts.insert(sample.series, Known::Dropped);
            return Ok(Known::Dropped);
        }
        self.check(&mut labels)?;
        for (name, value) in &self.rules.external_labels {
            labels.set(name.as_str(), value.as_str());
        }
        labels.sort();
        let (family, piece) = self.families.of_sample(&name);
        let known = Known::Series(self.store.series(&labels, family, piece, &self.families));
        self.texts.insert(sample.series, known);
        Ok(known)
    }

    /// What makes a scrape fail as a whole.
    fn check(&self, labels: &mut Labels<'_>) -> Result<(), String> {
        labels.sort();
        let name = labels.value(METRIC_NAME);
        if name.is_empty() {
            return Err("metric relabelling leaves a series without a name".to_owned());
        }
        if !self.rules.names.metric(name) {
            return Err(format!("{name:?} cannot be a metric name under metric_name_validation_scheme legacy"));
        }
        if let Some(bad) = labels.iter().map(|(n, _)| n).find(|n| !self.rules.names.label(n)) {
            return Err(format!("{bad:?} cannot be a label name (metric {name})"));
        }
        if let Some(twice) = labels.repeated() {
            return Err(format!("label {twice} is there twice in a series of metric {name}"));
        }
        let limits = &self.rules.limits;
        let exceeds = |value: usize, limit: usize| limit > 0 && value > limit;
        if exceeds(labels.len(), limits.labels) {
            let (has, limit) = (labels.len(), limits.labels);
            return Err(format!("metric {name} has {has} labels, label_limit is {limit}"));
        }
        for (label, value) in labels.iter() {
            if exceeds(label.len(), limits.label_name_length) {
                let (has, limit) = (label.len(), limits.label_name_length);
                return Err(format!(
                    "a label of metric {name} has a name of {has} bytes, label_name_length_limit is {limit}"
                ));
            }
            if exceeds(value.len(), limits.label_value_length) {
                let (has, limit) = (value.len(), limits.label_value_length);
                return Err(format!(
                    "label {label} of metric {name} has {has} bytes, label_value_length_limit is {limit}"
                ));
            }
        }
        Ok(())
    }

    fn exemplar(&mut self, series: u32, parser: &Parser<'_>) {
        let Some(of) = parser.exemplar() else { return };
        let mut w = Writer::new();
        for (name, value) in parser.exemplar_labels() {
            match (&*name, hex(&value)) {
                ("trace_id", Some(id)) if id.len() == 16 => w.bytes(exemplar::TRACE_ID, &id),
                ("span_id", Some(id)) if id.len() == 8 => w.bytes(exemplar::SPAN_ID, &id),
                _ => w.attribute(exemplar::FILTERED_ATTRIBUTES, &name, Scalar::Text(&value)),
            }
        }
        self.moment.exemplars.push(OwnedExemplar { series, value: of.value, ms: of.timestamp, fields: w.into_vec() });
    }

    /// The export request of the scrape just read or missed, and the number of its data points.
    pub fn write(&mut self, measures: &Measures) -> (Vec<u8>, usize) {
        for metric in &mut self.store.metrics {
            write::refresh_head(metric, &self.families, self.rules.trim_suffixes);
        }
        let report = Report { target: &self.target, measures };
        let mut w = Writer::with_capacity(self.request_bytes + self.request_bytes / 8);
        let request = write::Request {
            store: &self.store,
            families: &self.families,
            moment: &self.moment,
            iteration: self.iteration,
            items: 0,
        };
        let items = request.write(&self.scheme, &report, &mut w);
        self.request_bytes = w.len();
        (w.into_vec(), items)
    }

    /// Remembers what the scrape has shown. `delivered` is whether the request was taken over; if not, series that it
    /// marked stale will be marked again.
    pub fn commit(&mut self, delivered: bool) {
        let was_good = self.good == self.iteration;
        let track = self.rules.track_timestamps_staleness;
        for series in &mut self.store.series {
            if series.seen == self.iteration {
                let live = if series.flags & EXPLICIT == 0 || track { LIVE } else { 0 };
                series.flags = series.flags & !LIVE | live | KNOWN;
                continue;
            }
            if delivered {
                series.flags &= !LIVE;
            }
            if was_good {
                series.flags &= !KNOWN;
            }
        }
        self.clear_out();
    }

    /// Forgets what is not in use once that is much.
    fn clear_out(&mut self) {
        let in_use = |series: &Series| series.flags & (LIVE | KNOWN) != 0;
        let used = self.store.series.iter().filter(|series| in_use(series)).count();
        let (texts, ordered) = self.texts.len();
        let is_much = |all: usize, used: usize| all > used + used / 2 + SLACK;
        let families = self.families.len();
        if !is_much(self.store.series.len(), used) && !is_much(texts, ordered) && !is_much(families, used) {
            return;
        }
        let of_point = |series: &Series| self.store.points[series.point as usize].metric as usize;
        let family_in_use: std::collections::HashSet<u32> =
            self.store.series.iter().filter(|s| in_use(s)).map(|s| self.store.metrics[of_point(s)].family).collect();
        let (families, numbers) = self.families.rebuilt(self.good, |family| family_in_use.contains(&family));
        let (store, renumbered) = self.store.rebuilt(in_use, &families, &numbers);
        let renumber = |series: u32| renumbered.get(series as usize).copied().unwrap_or(NONE);
        self.texts = self.texts.rebuilt(renumber);
        let explicit = std::mem::take(&mut self.moment.explicit);
        self.moment.explicit =
            explicit.into_iter().map(|(series, last)| (renumber(series), last)).filter(|(s, _)| *s != NONE).collect();
        (self.store, self.families) = (store, families);
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        self.store.series.iter().filter(|series| series.flags & KNOWN != 0).count()
    }
}

/// The bytes of a hexadecimal id.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && !digits.is_empty())?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
