//! The time series of a batch as they will stand in requests: encoded once, one sample each, ordered by time, spread over
//! lanes, cut into requests. In each lane the samples of a series are in the order of their timestamps, and a series is
//! always in the same lane.

use std::collections::HashSet;
use std::fmt::Write;
use std::ops::Range;

use pipeline::buffers::Buffers;
use pipeline::otlp::WireError;
use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;
use pipeline::relabel::labels::Labels;

use super::body::{Body, Exemplar, Stamp};
use super::encoded::{Encoded, write_header, write_label};
use super::hash::Hash;
use super::own::Own;
use super::symbols::{Symbol, Symbols};
use super::version_2;
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

/// `prompb.WriteRequest`.
const TIMESERIES: u32 = 1;

/// A batch that became more does not leave its allocations to the next.
const MOST_KEPT_BYTES: usize = 4 << 20;
const MOST_KEPT_ENTRIES: usize = 20_000;

/// Encoded time series.
#[derive(Default)]
pub struct TimeSeries {
    pub(super) message: Message,
    /// Of 1.0: whole series; of 2.0: samples.
    pub(super) bytes: Writer,
    /// Of 2.0: labels, of series and exemplars.
    pub(super) refs: Vec<Symbol>,
    pub(super) symbols: Symbols,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) families: Vec<Family>,
    entries: Vec<Entry>,
    lanes: Vec<Range<usize>>,
    hash: Hash,
    stamp: Stamp,
    /// Where the entries are ordered.
    ordered: Vec<Entry>,
    /// For requests.
    buffers: Buffers,
}

/// Type, help text and unit, of 2.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub kind: u64,
    pub help: Symbol,
    pub unit: Symbol,
}

#[derive(Clone)]
pub(super) struct Entry {
    /// Milliseconds since 1970.
    time: i64,
    pub bytes: Span,
    /// Among `bytes` in 1.0, among `refs` in 2.0.
    pub labels: Span,
    pub exemplars: Span,
    pub family: u32,
    /// The same for all samples of a series; it decides about the lane.
    hash: u32,
    /// Points of the batch that begin here: 1 for the first series of a point, else 0.
    items: u16,
    pub is_histogram: bool,
}

/// A range in what a batch became, which is less than 4 GiB.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(range: Range<usize>) -> Span {
        let end = |at| u32::try_from(at).expect("a batch is bounded far below 4 GiB");
        Span { start: end(range.start), end: end(range.end) }
    }

    /// As it indexes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// Where the labels of a series come from.
#[derive(Clone, Copy)]
pub enum Series<'a, 'b> {
    /// Those of a point, with the name of the series and perhaps one more, and a hash that is the same for all samples
    /// of the series.
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
        if self.bytes.as_slice().len() > MOST_KEPT_BYTES || self.entries.len() > MOST_KEPT_ENTRIES {
            *self = TimeSeries { buffers: self.buffers.clone(), ..TimeSeries::default() };
        }
        self.message = message;
        self.bytes.clear();
        self.refs.clear();
        self.symbols.clear();
        self.exemplars.clear();
        self.families.clear();
        self.entries.clear();
        self.lanes.clear();
        self.stamp = Stamp::default();
    }

    /// What is said of the series to come, in 2.0.
    pub fn family(&mut self, kind: u64, help: &str, unit: &str) {
        let family = Family { kind, help: self.symbols.intern(help), unit: self.symbols.intern(unit) };
        if self.families.last() != Some(&family) {
            self.families.push(family);
        }
    }

    /// Adds the series of one number, as bits, in the family told last.
    #[inline]
    pub fn push_number(&mut self, when: When, series: Series<'_, '_>, bits: u64) {
        let Series::Encoded(encoded, name, extra, hash) = series else { return self.push_plainly(when, series, bits) };
        if self.message == Message::V2 {
            return self.push_plainly(when, series, bits);
        }
        // All lengths are known, so that nothing is moved later.
        let pieces = encoded.pieces(name, extra);
        let label_bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let start = self.bytes.len();
        let sample = self.stamp.sample(when.time, bits);
        write_header(&mut self.bytes, TIMESERIES, label_bytes + sample.len());
        let labels = self.bytes.len();
        pieces.iter().filter(|piece| !piece.is_empty()).for_each(|piece| self.bytes.raw(piece));
        self.bytes.raw(sample);
        self.add(when, hash, start, labels..labels + label_bytes, (self.exemplars.len(), false));
    }

    fn push_plainly(&mut self, when: When, series: Series<'_, '_>, bits: u64) {
        let written = self.push(when, series, |out| {
            out.sample(when.time, when.start, bits);
            Ok(())
        });
        debug_assert_eq!(written, Ok(()), "a number can always be written");
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
        let start = self.bytes.len();
        let open = (self.message == Message::V1).then(|| self.bytes.open(TIMESERIES));
        let mut labels = self.write_labels(series);
        let first_exemplar = self.exemplars.len();
        let mut body = Body {
            message: self.message,
            out: &mut self.bytes,
            refs: &mut self.refs,
            symbols: &mut self.symbols,
            exemplars: &mut self.exemplars,
            is_histogram: false,
        };
        let written = sample(&mut body);
        let is_histogram = body.is_histogram;
        if let Some(open) = open {
            let before = self.bytes.len();
            self.bytes.close(open);
            // The length may take more room than was left for it.
            let moved = self.bytes.len() - before;
            labels = labels.start + moved..labels.end + moved;
        }
        let hash = match series {
            Series::Encoded(_, _, _, hash) => hash,
            Series::Labels(_) => self.labels_hash(&labels),
        };
        self.add(when, hash, start, labels, (first_exemplar, is_histogram));
        written
    }

    #[inline]
    fn add(
        &mut self,
        when: When,
        hash: u64,
        start: usize,
        labels: Range<usize>,
        (first_exemplar, is_histogram): (usize, bool),
    ) {
        self.entries.push(Entry {
            time: when.time,
            bytes: Span::new(start..self.bytes.len()),
            labels: Span::new(labels),
            exemplars: Span::new(first_exemplar..self.exemplars.len()),
            family: u32::try_from(self.families.len().saturating_sub(1)).unwrap_or(0),
            #[allow(clippy::cast_possible_truncation, reason = "half of it is wanted")]
            hash: (hash >> 32) as u32,
            items: u16::try_from(when.items).unwrap_or(u16::MAX),
            is_histogram,
        });
    }

    fn write_labels(&mut self, series: Series<'_, '_>) -> Range<usize> {
        match self.message {
            Message::V1 => {
                let start = self.bytes.len();
                match series {
                    Series::Encoded(encoded, name, extra, _) => {
                        encoded.pieces(name, extra).iter().for_each(|piece| self.bytes.raw(piece));
                    }
                    Series::Labels(labels) => {
                        labels.iter().for_each(|(name, value)| write_label(&mut self.bytes, name, value));
                    }
                }
                start..self.bytes.len()
            }
            Message::V2 => {
                let start = self.refs.len();
                match series {
                    Series::Encoded(encoded, name, extra, _) => encoded.write_refs(&mut self.refs, name, extra),
                    Series::Labels(labels) => {
                        for (name, value) in labels.iter() {
                            self.refs.extend([self.symbols.intern(name), self.symbols.intern(value)]);
                        }
                    }
                }
                start..self.refs.len()
            }
        }
    }

    /// The symbols of this batch, for [`Encoded::add`].
    pub fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    /// How texts and labels of this batch are hashed.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Bytes of all series.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.refs.len() * size_of::<Symbol>()
    }

    /// Spreads what was pushed over as many lanes as it fills with so many samples each, at most `lanes`, and orders it.
    pub fn order(&mut self, lanes: usize, samples: usize) {
        if !self.entries.is_sorted_by_key(|e| e.time) {
            self.entries.sort_by_key(|e| e.time);
        }
        let lanes = self.entries.len().div_ceil(samples).clamp(1, lanes.max(1));
        if lanes == 1 {
            self.lanes = std::iter::once(0..self.entries.len()).collect();
            return;
        }
        let lane_of = |entry: &Entry| entry.hash as usize % lanes;
        let mut ends = vec![0; lanes];
        self.entries.iter().for_each(|entry| ends[lane_of(entry)] += 1);
        let mut end = 0;
        for lane in &mut ends {
            let start = end;
            end += *lane;
            *lane = start;
        }
        self.ordered.clone_from(&self.entries);
        for entry in &self.entries {
            let place = &mut ends[lane_of(entry)];
            self.ordered[*place] = entry.clone();
            *place += 1;
        }
        std::mem::swap(&mut self.entries, &mut self.ordered);
        self.lanes.clear();
        for end in ends {
            let start = self.lanes.last().map_or(0, |lane| lane.end);
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
        let entries = self.rest(lane, from);
        let count = entries.partition_point(|e| e.time < oldest).min(most);
        (count, items(&entries[..count]))
    }

    /// The next request of a lane, of the samples from number `from` on; at least one sample, however large it is.
    pub fn cut(&self, lane: usize, from: usize, most: Most) -> Option<Cut<Request>> {
        let entries = self.rest(lane, from);
        let entries = &entries[..most.samples.max(1).min(entries.len())];
        if entries.is_empty() {
            return None;
        }
        let (body, count) = match self.message {
            Message::V1 => self.version_1(entries, most.bytes),
            Message::V2 => version_2::write(self, entries, most.bytes),
        };
        let entries = &entries[..count];
        let histograms = entries.iter().filter(|e| e.is_histogram).count();
        let items = items(entries);
        let request = Request { body, samples: entries.len() - histograms, histograms, items, place: (lane, from) };
        Some(Cut { request, entries: count, items })
    }

    /// Takes back the body of a request that is not needed any more.
    pub fn reuse(&self, body: Vec<u8>) {
        self.buffers.keep(body);
    }

    /// The name of a sample's series, for a person.
    pub fn name(&self, lane: usize, at: usize) -> Option<String> {
        let entry = self.rest(lane, at).first()?;
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
        if self.message == Message::V2 {
            let pairs = self.refs[entry.labels.range()].chunks_exact(2);
            return Ok(pairs.map(|pair| (self.symbols.text(pair[0]), self.symbols.text(pair[1]))).collect());
        }
        let mut out = Vec::new();
        for label in Fields::new(&self.bytes.as_slice()[entry.labels.range()]) {
            let (mut name, mut value) = ("", "");
            for field in Fields::new(label?.value.bytes()?) {
                let field = field?;
                *(if field.number == 1 { &mut name } else { &mut value }) = field.value.text()?;
            }
            out.push((name, value));
        }
        Ok(out)
    }

    fn rest(&self, lane: usize, from: usize) -> &[Entry] {
        let lane = self.lanes.get(lane).cloned().unwrap_or_default();
        self.entries.get(lane).and_then(|entries| entries.get(from..)).unwrap_or_default()
    }

    fn version_1(&self, entries: &[Entry], most_bytes: usize) -> (Vec<u8>, usize) {
        let mut bytes = 0;
        let fitting = entries.iter().take_while(|e| {
            bytes += e.bytes.len();
            bytes <= most_bytes
        });
        let entries = &entries[..fitting.count().max(1)];
        let mut request = self.buffers.take(entries.iter().map(|e| e.bytes.len()).sum());
        let mut rest = entries;
        while let Some(first) = rest.first() {
            // Neighbours are copied at once.
            let run = rest.windows(2).take_while(|pair| pair[0].bytes.end == pair[1].bytes.start).count() + 1;
            let bytes = first.bytes.range().start..rest[run - 1].bytes.range().end;
            request.extend_from_slice(&self.bytes.as_slice()[bytes]);
            rest = &rest[run..];
        }
        (request, entries.len())
    }

    /// Whether a series is in a request twice.
    pub fn repeats(&self, request: &Request) -> bool {
        let (lane, from) = request.place;
        let entries = self.rest(lane, from);
        let entries = &entries[..entries.len().min(request.samples + request.histograms)];
        let mut seen = HashSet::with_capacity(entries.len());
        !entries.iter().all(|entry| seen.insert(self.labels_hash(&entry.labels.range())))
    }

    fn labels_hash(&self, labels: &Range<usize>) -> u64 {
        match self.message {
            Message::V1 => self.hash.of(&self.bytes.as_slice()[labels.clone()]),
            Message::V2 => self.hash.of_numbers(&self.refs[labels.clone()]),
        }
    }
}

fn items(entries: &[Entry]) -> usize {
    entries.iter().map(|e| usize::from(e.items)).sum()
}
