//! The time series of a batch as they will stand in requests: one sample each, ordered by time, spread over lanes, cut into
//! requests. In each lane the samples of a series are in the order of their timestamps, and a series is always in the same
//! lane, unless all samples are of one moment.

use std::collections::HashSet;
use std::fmt::Write;
use std::ops::Range;

use pipeline::buffers::Buffers;
use pipeline::otlp::WireError;
use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;
use pipeline::relabel::labels::Labels;

use super::body::{Body, Exemplar, Stamp};
use super::encoded::{Encoded, write_label};
use super::hash::Hash;
use super::own::Own;
use super::pieces::{NONE, Pieces, place};
use super::symbols::{Symbol, Symbols};
use super::{packed, version_1, version_2};
use crate::requests::Cut;

/// Which of the two messages: that of remote write 1.0 (`prometheus.WriteRequest`) or of 2.0
/// (`io.prometheus.write.v2.Request`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Message {
    /// 1.0.
    #[default]
    V1,
    /// 2.0.
    V2,
}

/// A batch that became more does not leave its allocations to the next.
const MOST_KEPT_BYTES: usize = 4 << 20;
const MOST_KEPT_ENTRIES: usize = 32 << 10;

/// Encoded time series.
#[derive(Default)]
pub struct TimeSeries {
    pub(super) message: Message,
    pub(super) texts: Texts,
    /// Samples, but for plain numbers of 1.0.
    pub(super) bytes: Writer,
    /// Of 2.0: labels, of series and exemplars.
    pub(super) refs: Vec<Symbol>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) families: Vec<Family>,
    pub(super) entries: Vec<Entry>,
    /// Bytes of all series.
    byte_len: usize,
    /// Whether the entries came in the order of their times.
    is_sorted: bool,
    /// The numbers of the entries, lane by lane, and where each lane is.
    order: Vec<u32>,
    lanes: Vec<Range<usize>>,
    hash: Hash,
    stamp: Stamp,
    /// For requests.
    pub(super) buffers: Buffers,
}

/// Texts that many series have, each once.
#[derive(Default)]
pub struct Texts {
    /// Of 1.0.
    pub pieces: Pieces,
    /// Of 2.0.
    pub symbols: Symbols,
}

/// Type, help text and unit, of 2.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub kind: u64,
    pub help: Symbol,
    pub unit: Symbol,
}

/// A series with its sample.
#[derive(Clone)]
pub(super) struct Entry {
    /// Milliseconds since 1970.
    pub time: i64,
    pub labels: LabelsOf,
    pub sample: Sample,
    pub exemplars: Span,
    pub family: u32,
    /// Bytes of what is in the series, its labels and its sample.
    pub inside: u32,
    /// The same for all samples of a series; it decides about the lane.
    hash: u32,
    /// Points of the batch that begin here: 1 for the first series of a point, else 0.
    items: u16,
    pub is_histogram: bool,
}

/// The labels of a series.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelsOf {
    /// In 1.0: the numbers of a set, and of the labels that stand in it, the name and one more.
    Pieces(u32, u32, u32),
    /// In 2.0: among `refs`.
    Refs(Span),
}

/// The sample of a series.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// A number, as bits.
    Number(u64),
    /// Among `bytes`.
    Written(Span),
}

/// A range in what a batch became, which is less than 4 GiB.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(range: Range<usize>) -> Span {
        Span { start: place(range.start), end: place(range.end) }
    }

    /// As it indexes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where the labels of a series come from.
#[derive(Clone, Copy)]
pub enum Series<'a, 'b> {
    /// Those of a point, with the name of the series and perhaps one more, and a hash that is the same for all samples
    /// of the series; in 1.0, where the first is a set's number and how many bytes it has.
    Set((u32, usize), &'a Own, Option<&'a Own>, u64),
    /// The same in 2.0.
    Encoded(&'a Encoded, &'a Own, Option<&'a Own>, u64),
    /// Sorted.
    Labels(&'a Labels<'b>),
}

/// What is said of a sample beside labels and value.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Milliseconds since 1970.
    pub time: i64,
    /// The same of its start, 0 where it is not known or the message has no place for it.
    pub start: i64,
    /// Points of the batch that begin with it.
    pub items: usize,
}

/// The most that goes into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Samples.
    pub samples: usize,
    /// Bytes before compression.
    pub bytes: usize,
}

/// A request, ready to be compressed, with what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The message.
    pub body: Vec<u8>,
    /// Samples that are numbers.
    pub samples: usize,
    /// Samples that are native histograms.
    pub histograms: usize,
    /// Points of the batch that begin in it.
    pub items: usize,
    /// Where its samples stand: their lane, and the number of the first.
    pub place: (usize, usize),
}

impl TimeSeries {
    /// Forgets everything but its allocations, which are not kept where they are very large, and takes series anew.
    pub fn begin(&mut self, message: Message) {
        let bytes = self.bytes.len().max(self.texts.pieces.len());
        if bytes > MOST_KEPT_BYTES || self.entries.len() > MOST_KEPT_ENTRIES {
            *self = TimeSeries { buffers: self.buffers.clone(), ..TimeSeries::default() };
        }
        self.message = message;
        self.bytes.clear();
        self.refs.clear();
        self.texts.pieces.clear();
        self.texts.symbols.clear();
        self.exemplars.clear();
        self.families.clear();
        self.entries.clear();
        self.lanes.clear();
        (self.byte_len, self.is_sorted) = (0, true);
    }

    /// What is said of the series to come, in 2.0.
    pub fn family(&mut self, kind: u64, help: &str, unit: &str) {
        let symbols = &mut self.texts.symbols;
        let family = Family { kind, help: symbols.intern(help), unit: symbols.intern(unit) };
        if self.families.last() != Some(&family) {
            self.families.push(family);
        }
    }

    /// Adds the series of one number, as bits, in the family told last.
    #[inline]
    pub fn push_number(&mut self, when: When, series: Series<'_, '_>, bits: u64) {
        if self.message == Message::V2 {
            let written = self.push(when, series, |out| {
                out.sample(when.time, when.start, bits);
                Ok(())
            });
            debug_assert_eq!(written, Ok(()), "a number can always be written");
            return;
        }
        let (labels, label_bytes, hash) = self.labels_of(series);
        let inside = label_bytes + self.stamp.sample(when.time, bits).len();
        self.add(when, (labels, hash), Sample::Number(bits), inside, (self.exemplars.len(), false));
    }

    /// Adds the series of one sample, in the family told last.
    ///
    /// # Errors
    /// Those of `sample`.
    pub fn push(
        &mut self,
        when: When,
        series: Series<'_, '_>,
        sample: impl FnOnce(&mut Body<'_>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let (labels, label_bytes, hash) = self.labels_of(series);
        let (start, first_exemplar) = (self.bytes.len(), self.exemplars.len());
        let mut body = Body {
            message: self.message,
            out: &mut self.bytes,
            refs: &mut self.refs,
            symbols: &mut self.texts.symbols,
            exemplars: &mut self.exemplars,
            is_histogram: false,
        };
        let written = sample(&mut body);
        let is_histogram = body.is_histogram;
        let inside = label_bytes + self.bytes.len() - start;
        let sample = Sample::Written(Span::new(start..self.bytes.len()));
        self.add(when, (labels, hash), sample, inside, (first_exemplar, is_histogram));
        written
    }

    #[inline]
    fn add(
        &mut self,
        when: When,
        (labels, hash): (LabelsOf, u64),
        sample: Sample,
        inside: usize,
        (first_exemplar, is_histogram): (usize, bool),
    ) {
        self.is_sorted &= self.entries.last().is_none_or(|last| last.time <= when.time);
        self.byte_len += version_1::len(inside);
        self.entries.push(Entry {
            time: when.time,
            labels,
            sample,
            exemplars: Span::new(first_exemplar..self.exemplars.len()),
            family: u32::try_from(self.families.len().saturating_sub(1)).unwrap_or(0),
            inside: place(inside),
            #[allow(clippy::cast_possible_truncation, reason = "half of it is wanted")]
            hash: (hash >> 32) as u32,
            items: u16::try_from(when.items).unwrap_or(u16::MAX),
            is_histogram,
        });
    }

    /// The labels of a series, the bytes that they take, and their hash.
    #[inline]
    fn labels_of(&mut self, series: Series<'_, '_>) -> (LabelsOf, usize, u64) {
        let hash = self.hash;
        match (self.message, series) {
            (_, Series::Set((set, set_len), name, extra, hash)) => {
                let ((name, name_len), (extra, extra_len)) = (name.piece(), extra.map_or((NONE, 0), Own::piece));
                (LabelsOf::Pieces(set, name, extra), set_len + name_len + extra_len, hash)
            }
            (Message::V1, Series::Labels(labels)) => {
                let pieces = &mut self.texts.pieces;
                let start = pieces.len();
                labels.iter().for_each(|(name, value)| write_label(pieces.writer(), name, value));
                let number = pieces.add_set(start, 0, 0);
                let labels = pieces.labels(pieces.set(number));
                (LabelsOf::Pieces(number, NONE, NONE), labels.len(), hash.of(labels))
            }
            (_, Series::Labels(labels)) => {
                let start = self.refs.len();
                for (name, value) in labels.iter() {
                    self.refs.extend([self.texts.symbols.intern(name), self.texts.symbols.intern(value)]);
                }
                self.refs_from(start, None)
            }
            (_, Series::Encoded(encoded, name, extra, hash)) => {
                let start = self.refs.len();
                encoded.write_refs(&mut self.refs, name, extra);
                self.refs_from(start, Some(hash))
            }
        }
    }

    fn refs_from(&self, start: usize, hash: Option<u64>) -> (LabelsOf, usize, u64) {
        let refs = &self.refs[start..];
        let labels = LabelsOf::Refs(Span::new(start..self.refs.len()));
        (labels, size_of_val(refs), hash.unwrap_or_else(|| self.hash.of_numbers(refs)))
    }

    /// Texts of this batch.
    pub fn texts(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// How texts and labels of this batch are hashed.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Bytes of all series.
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// Spreads what was pushed over as many lanes as it fills with so many samples each, at most `lanes`, and orders it.
    pub fn order(&mut self, lanes: usize, samples: usize) {
        let requests = self.entries.len().div_ceil(samples).max(1);
        let lanes = requests.min(lanes.max(1));
        let times = (self.entries.first().map(|e| e.time), self.entries.last().map(|e| e.time));
        if lanes == 1 || !self.is_sorted || times.0 != times.1 {
            return self.order_by_series(lanes);
        }
        // Everything is of one moment, as what one scrape brings: it does not matter which sample is sent before which, and
        // neighbours stay together.
        self.order.clear();
        self.order.extend(0..place(self.entries.len()));
        self.lanes.clear();
        for lane in 0..lanes {
            let start = self.lanes.last().map_or(0, |lane| lane.end);
            let own = requests / lanes + usize::from(lane < requests % lanes);
            self.lanes.push(start..(start + own * samples).min(self.entries.len()));
        }
    }

    fn order_by_series(&mut self, lanes: usize) {
        let entries = &self.entries;
        let lane_of = |entry: &Entry| if lanes == 1 { 0 } else { entry.hash as usize % lanes };
        let mut ends = vec![0; lanes];
        entries.iter().for_each(|entry| ends[lane_of(entry)] += 1);
        let mut end = 0;
        for lane in &mut ends {
            let start = end;
            end += *lane;
            *lane = start;
        }
        self.order.clear();
        self.order.resize(entries.len(), 0);
        for (number, entry) in (0u32..).zip(entries) {
            let place = &mut ends[lane_of(entry)];
            self.order[*place] = number;
            *place += 1;
        }
        self.lanes.clear();
        for end in ends {
            let start = self.lanes.last().map_or(0, |lane| lane.end);
            if !self.is_sorted {
                self.order[start..end].sort_by_key(|number| entries[*number as usize].time);
            }
            self.lanes.push(start..end);
        }
    }

    /// How many lanes there are.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// In which message they are written.
    pub fn message(&self) -> Message {
        self.message
    }

    /// How many samples from number `from` of a lane on, at most `most`, are older than `oldest` (milliseconds since
    /// 1970), and the points that begin there.
    pub fn expired(&self, lane: usize, from: usize, most: usize, oldest: i64) -> (usize, usize) {
        let numbers = self.rest(lane, from);
        let count = numbers.partition_point(|number| self.entries[*number as usize].time < oldest).min(most);
        (count, self.entries(&numbers[..count]).map(|e| usize::from(e.items)).sum())
    }

    /// The next request of a lane, of the samples from number `from` on; at least one sample, however large it is.
    pub fn cut(&self, lane: usize, from: usize, most: Most) -> Option<Cut<Request>> {
        let numbers = self.most(lane, from, most)?;
        let (body, count) = match self.message {
            Message::V1 => (version_1::write(self, numbers), numbers.len()),
            Message::V2 => version_2::write(self, numbers, most.bytes),
        };
        Some(self.request(body, (lane, from), &numbers[..count]))
    }

    /// The same with a body that is a block of snappy already; `None` where that has to be made of the plain one.
    pub fn cut_packed(&self, lane: usize, from: usize, most: Most) -> Option<Cut<Request>> {
        if self.message != Message::V1 {
            return None;
        }
        let numbers = self.most(lane, from, most)?;
        Some(self.request(packed::write(self, numbers)?, (lane, from), numbers))
    }

    /// The numbers of the entries of the next request; in 2.0 perhaps more.
    fn most(&self, lane: usize, from: usize, most: Most) -> Option<&[u32]> {
        let numbers = self.rest(lane, from);
        let mut numbers = &numbers[..most.samples.max(1).min(numbers.len())];
        if self.message == Message::V1 {
            let mut bytes = 0;
            let fitting = self.entries(numbers).take_while(|e| {
                bytes += version_1::len(e.inside as usize);
                bytes <= most.bytes
            });
            numbers = &numbers[..fitting.count().max(1).min(numbers.len())];
        }
        (!numbers.is_empty()).then_some(numbers)
    }

    fn request(&self, body: Vec<u8>, place: (usize, usize), numbers: &[u32]) -> Cut<Request> {
        let histograms = self.entries(numbers).filter(|e| e.is_histogram).count();
        let items = self.entries(numbers).map(|e| usize::from(e.items)).sum();
        let request = Request { body, samples: numbers.len() - histograms, histograms, items, place };
        Cut { request, entries: numbers.len(), items }
    }

    /// The entries with these numbers.
    #[inline]
    pub(super) fn entries(&self, numbers: &[u32]) -> impl Iterator<Item = &Entry> {
        numbers.iter().map(|number| &self.entries[*number as usize])
    }

    /// Takes back the body of a request that is not needed any more.
    pub fn reuse(&self, body: Vec<u8>) {
        self.buffers.keep(body);
    }

    /// The name of a sample's series, for a person.
    pub fn name(&self, lane: usize, at: usize) -> Option<String> {
        let entry = self.entries(self.rest(lane, at)).next()?;
        let labels = self.labels(entry).ok()?;
        let mut out = labels.iter().find(|(name, _)| *name == "__name__").map_or("", |(_, value)| value).to_owned();
        let mut rest = labels.iter().filter(|(name, _)| *name != "__name__").peekable();
        if rest.peek().is_some() {
            out.push('{');
            while let Some((name, value)) = rest.next() {
                let comma = if rest.peek().is_some() { "," } else { "}" };
                write!(out, "{name}={value:?}{comma}").unwrap_or_default();
            }
        }
        write!(out, " @{}", entry.time).unwrap_or_default();
        Some(out)
    }

    fn labels(&self, entry: &Entry) -> Result<Vec<(&str, &str)>, WireError> {
        let (set, name, extra) = match entry.labels {
            LabelsOf::Pieces(set, name, extra) => (set, name, extra),
            LabelsOf::Refs(refs) => {
                let (pairs, symbols) = (self.refs[refs.range()].chunks_exact(2), &self.texts.symbols);
                return Ok(pairs.map(|pair| (symbols.text(pair[0]), symbols.text(pair[1]))).collect());
            }
        };
        let mut out = Vec::new();
        for run in version_1::runs(&self.texts.pieces, (set, name, extra)) {
            for label in Fields::new(run) {
                let (mut name, mut value) = ("", "");
                for field in Fields::new(label?.value.bytes()?) {
                    let field = field?;
                    *(if field.number == 1 { &mut name } else { &mut value }) = field.value.text()?;
                }
                out.push((name, value));
            }
        }
        Ok(out)
    }

    fn rest(&self, lane: usize, from: usize) -> &[u32] {
        let lane = self.lanes.get(lane).cloned().unwrap_or_default();
        self.order.get(lane).and_then(|numbers| numbers.get(from..)).unwrap_or_default()
    }

    /// Whether a series is in a request of 2.0 twice.
    pub fn repeats(&self, request: &Request) -> bool {
        let (lane, from) = request.place;
        let numbers = self.rest(lane, from);
        let numbers = &numbers[..numbers.len().min(request.samples + request.histograms)];
        let mut seen = HashSet::with_capacity(numbers.len());
        !self.entries(numbers).all(|entry| match entry.labels {
            LabelsOf::Refs(refs) => seen.insert(&self.refs[refs.range()]),
            LabelsOf::Pieces(..) => true,
        })
    }
}
