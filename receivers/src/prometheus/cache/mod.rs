//! What is remembered of one target between scrapes, and what a scrape makes of it.
//!
//! A body is read into the series it names; series that were there before cost no more than a comparison of their text.
//! Then the series are written as one OTLP request, those that are gone marked stale, and the answer to that request
//! decides what is remembered. Nothing here knows time, sockets or HTTP.

mod families;
mod index;
mod metric;
mod native;
mod place;
mod protobuf;
mod read;
mod report;
mod store;
mod texts;
mod write;

#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;

use pipeline::buffers::Buffers;
use pipeline::otlp::write::Writer;

use self::families::Families;
use self::index::NONE;
use self::store::{EXPLICIT, KNOWN, LIVE, Series, Store};
use self::texts::Texts;
use super::exposition::Format;
use super::labels::NameRule;
use super::relabel::Rule;

use self::report::Report;
pub use self::report::{Extra, Measures};
pub use self::write::{NATIVE_FORM, SCOPE_NAME};

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
    /// What becomes of histograms.
    pub histograms: Histograms,
    /// Labels that every scraped series gets (`global.external_labels`).
    pub external_labels: Vec<(String, String)>,
    /// Cut units and `_total` off the names (`trim_metric_suffixes`).
    pub trim_suffixes: bool,
}

/// What becomes of histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histograms {
    /// Native histograms are taken (`scrape_native_histograms`); else only the classic ones beside them.
    pub native: bool,
    /// Classic histograms are taken where there are native ones, too (`always_scrape_classic_histograms`).
    pub always_classic: bool,
    /// Classic histograms become native ones with custom buckets (`convert_classic_histograms_to_nhcb`).
    pub custom_buckets: bool,
    /// Buckets of a native histogram, 0 for any number: more are merged until they fit, or fail the scrape.
    pub bucket_limit: usize,
    /// The finest resolution that native histograms keep, as `native_histogram_min_bucket_factor` asks for.
    pub finest_schema: i32,
}

impl Default for Histograms {
    fn default() -> Histograms {
        Histograms {
            native: false,
            always_classic: false,
            custom_buckets: false,
            bucket_limit: 0,
            finest_schema: native::FINEST,
        }
    }
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
    /// Native histograms, serialized; a series' value is the number of its own in `natives`.
    native_bytes: Vec<u8>,
    natives: Vec<(u32, u32)>,
    /// When points began, in nanoseconds since 1970.
    starts: HashMap<u32, u64>,
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
        self.native_bytes.clear();
        self.natives.clear();
        self.starts.clear();
    }

    /// The native histogram that a series' value stands for, serialized.
    fn native(&self, value: f64) -> &[u8] {
        let place = usize::try_from(value.to_bits()).ok().and_then(|number| self.natives.get(number));
        place.map_or(&[], |&(start, end)| &self.native_bytes[start as usize..end as usize])
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
        let result = match format {
            Format::Protobuf => self.read_families(body, counts),
            Format::Text | Format::OpenMetrics => self.read_entries(body, format, counts),
        };
        let result = result.and_then(|()| self.check_samples(counts));
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

    /// The export request of the scrape just read or missed, and the number of its data points.
    pub fn write(&mut self, measures: &Measures) -> (Vec<u8>, usize) {
        self.write_into(measures, &Buffers::default())
    }

    /// The same in one of these buffers.
    pub fn write_into(&mut self, measures: &Measures, buffers: &Buffers) -> (Vec<u8>, usize) {
        for metric in &mut self.store.metrics {
            metric::refresh_head(metric, &self.families, self.rules.trim_suffixes);
        }
        let report = Report { target: &self.target, measures };
        let mut w = Writer::onto(buffers.take(self.request_bytes + self.request_bytes / 8));
        let request = write::Request {
            store: &self.store,
            families: &self.families,
            moment: &self.moment,
            iteration: self.iteration,
            histograms: self.rules.histograms,
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
