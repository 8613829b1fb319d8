//! Requests of 1.0 as blocks of snappy, straight from the pieces of their series. What series share is known here, so that
//! nothing of it has to be written first and then be found again: it becomes copies of where it stood last.

use std::ops::Range;

use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;

use super::body::Stamp;
use super::encoded::write_header;
use super::pieces::{NONE, Pieces, Set, common_end, common_start, label_len, place};
use super::snappy::Block;
use super::timeseries::{Entry, LabelsOf, Sample, TimeSeries};
use super::version_1;

/// Where so much of a request is samples that are more than a number (exemplars, native histograms), one part in so many,
/// it is worth while to search for what they share.
const MOST_WRITTEN: usize = 8;
/// How many labels are remembered with their places, by the lowest bits of their hash or number.
const LABELS: usize = 1 << 10;
const OWN: usize = 1 << 6;
/// The same of series, by the numbers of the labels that they have of their own.
const SERIES: usize = 1 << 6;
/// Bytes that are written as they are where labels differ at one place; of more, parts may have stood somewhere.
const LONGEST_DIFFERENCE: usize = 24;

/// Writes a request of these entries; `None` where other means make it smaller.
pub(super) fn write(series: &TimeSeries, numbers: &[u32]) -> Option<Vec<u8>> {
    let (mut bytes, mut written) = (0, 0);
    for entry in series.entries(numbers) {
        bytes += version_1::len(entry.inside as usize);
        written += match entry.sample {
            Sample::Number(_) => 0,
            Sample::Written(span) => span.range().len(),
        };
    }
    if written * MOST_WRITTEN > bytes {
        return None;
    }
    let mut packer = Packer {
        series,
        pieces: &series.texts.pieces,
        block: Block::new(Vec::with_capacity(bytes / 8), bytes),
        stamp: Stamp::default(),
        heads: Default::default(),
        labels: vec![Seen::default(); LABELS],
        own: [Seen::default(); OWN],
        before: None,
        last: [None; SERIES],
        difference: ((NONE, NONE), 0..0),
    };
    series.entries(numbers).for_each(|entry| packer.series(entry));
    Some(packer.block.finish())
}

struct Packer<'a> {
    series: &'a TimeSeries,
    pieces: &'a Pieces,
    block: Block,
    stamp: Stamp,
    /// Room for keys and lengths of series.
    heads: [Writer; 2],
    /// Labels of sets, by their hash: where they are among the pieces.
    labels: Vec<Seen>,
    /// Labels that series have of their own, by their number.
    own: [Seen; OWN],
    before: Option<Placed<'a>>,
    /// Series by the labels that they have of their own.
    last: [Option<Placed<'a>>; SERIES],
    /// Where the sets of these numbers differ.
    difference: ((u32, u32), Range<usize>),
}

/// Something that stood in the message before.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// What it is, and 1.
    what: u32,
    /// Where in the message.
    at: u32,
}

/// A series in the message.
#[derive(Clone, Copy)]
struct Placed<'a> {
    entry: &'a Entry,
    number: u32,
    set: Set,
    name: u32,
    extra: u32,
    name_len: usize,
    extra_len: usize,
    /// Where the series begins, its labels, and its sample.
    at: usize,
    labels_at: usize,
    sample_at: usize,
}

impl Placed<'_> {
    /// Where the label stands that begins at `at` in its set.
    #[inline]
    fn place(&self, at: usize) -> usize {
        let name = if at >= self.set.name_at() { self.name_len } else { 0 };
        let extra = if at >= self.set.extra_at() { self.extra_len } else { 0 };
        self.labels_at + at + name + extra
    }

    /// Where its name stands.
    #[inline]
    fn name_place(&self) -> usize {
        self.labels_at + self.set.name_at()
    }

    /// Where its label more stands, or would stand.
    #[inline]
    fn extra_place(&self) -> usize {
        self.labels_at + self.set.extra_at() + self.name_len
    }
}

impl<'a> Packer<'a> {
    fn series(&mut self, entry: &'a Entry) {
        let LabelsOf::Pieces(number, name, extra) = entry.labels else { return };
        let (set, name_len, extra_len) =
            (self.pieces.set(number), self.pieces.own(name).len(), self.pieces.own(extra).len());
        let at = self.block.at();
        let mut now = Placed { entry, number, set, name, extra, name_len, extra_len, at, labels_at: at, sample_at: at };
        let slot = name.wrapping_add(extra.wrapping_mul(7)) as usize % SERIES;
        let twin = self.last[slot].and_then(|twin| Some((twin, self.difference(&now, &twin)?)));
        let before = self.before;
        let like = twin.as_ref().map(|(twin, _)| twin).or(before.as_ref());
        now.labels_at = self.head(entry, like);
        match (&twin, &before) {
            (Some((twin, difference)), _) => self.twin(&now, twin, difference.clone()),
            (None, Some(before)) if before.number == number => self.same_set(&now, before),
            (None, before) => self.another_set(&now, before.as_ref()),
        }
        now.sample_at = self.block.at();
        self.sample(entry, like);
        (self.before, self.last[slot]) = (Some(now), Some(now));
    }

    /// Key and length of a series; answers where its labels begin.
    #[inline]
    fn head(&mut self, entry: &Entry, like: Option<&Placed<'a>>) -> usize {
        let (mut head, mut old) = (std::mem::take(&mut self.heads[0]), std::mem::take(&mut self.heads[1]));
        head.clear();
        write_header(&mut head, version_1::TIMESERIES, entry.inside as usize);
        match like {
            Some(like) if like.entry.inside == entry.inside => self.block.again(like.at, head.as_slice()),
            Some(like) => {
                old.clear();
                write_header(&mut old, version_1::TIMESERIES, like.entry.inside as usize);
                self.differing(head.as_slice(), like.at, old.as_slice());
            }
            None => self.block.literal(head.as_slice()),
        }
        self.heads = [head, old];
        self.block.at()
    }

    /// Where the set of a series differs from that of its twin, which has the same labels of its own: in a few bytes of
    /// one run, and none is longer. `None` where that is not so.
    #[inline]
    fn difference(&mut self, now: &Placed<'a>, twin: &Placed<'a>) -> Option<Range<usize>> {
        let (set, old) = (now.set, twin.set);
        let places = |set: Set| (set.len(), set.name_at(), set.extra_at());
        if (now.name, now.extra) != (twin.name, twin.extra) || places(set) != places(old) {
            return None;
        }
        // The series of two points mostly come in the same order.
        if self.difference.0 != (now.number, twin.number) {
            let (labels, old) = (self.pieces.labels(set), self.pieces.labels(old));
            let start = common_start(labels, old);
            let end = labels.len() - common_end(&labels[start..], &old[start..]);
            self.difference = ((now.number, twin.number), start..end);
        }
        let Range { start, end } = self.difference.1.clone();
        let is_within = [set.name_at(), set.extra_at()].into_iter().all(|at| at <= start || at >= end);
        (end - start <= LONGEST_DIFFERENCE && is_within).then_some(start..end)
    }

    /// The labels of a series that differs from that one there.
    #[inline]
    fn twin(&mut self, now: &Placed<'a>, twin: &Placed<'a>, difference: Range<usize>) {
        let labels = self.pieces.labels(now.set);
        let (name_at, extra_at, mut place) = (now.set.name_at(), now.set.extra_at(), twin.labels_at);
        let mut run = |block: &mut Block, run: Range<usize>, own: &[u8]| {
            if difference.start >= run.start && difference.end <= run.end {
                let (before, behind) = (run.start..difference.start, difference.end..run.end);
                block.again(place, &labels[before]);
                block.literal(&labels[difference.clone()]);
                block.again(place + difference.end - run.start, &labels[behind]);
            } else {
                block.again(place, &labels[run.clone()]);
            }
            block.again(place + run.len(), own);
            place += run.len() + own.len();
        };
        run(&mut self.block, 0..name_at, self.pieces.own(now.name));
        run(&mut self.block, name_at..extra_at, self.pieces.own(now.extra));
        run(&mut self.block, extra_at..labels.len(), &[]);
    }

    /// The labels of a series of the same point as the one before.
    #[inline]
    fn same_set(&mut self, now: &Placed<'a>, before: &Placed<'a>) {
        let labels = self.pieces.labels(now.set);
        let (name_at, extra_at) = (now.set.name_at(), now.set.extra_at());
        self.block.again(before.labels_at, &labels[..name_at]);
        self.own(now.name, Some((before.name, before.name_place())));
        self.block.again(before.place(name_at), &labels[name_at..extra_at]);
        if now.extra != NONE {
            self.own(now.extra, Some((before.extra, before.extra_place())));
        }
        self.block.again(before.place(extra_at), &labels[extra_at..]);
    }

    /// The labels of a series of any other point.
    fn another_set(&mut self, now: &Placed<'a>, before: Option<&Placed<'a>>) {
        let labels = self.pieces.labels(now.set);
        let (start, name_at, extra_at) = (Pieces::start(now.set), now.set.name_at(), now.set.extra_at());
        let mut cursor = 0;
        self.labels(start, &labels[..name_at], before, &mut cursor);
        self.own(now.name, before.map(|before| (before.name, before.name_place())));
        self.labels(start + name_at, &labels[name_at..extra_at], before, &mut cursor);
        if now.extra != NONE {
            self.own(now.extra, before.map(|before| (before.extra, before.extra_place())));
        }
        self.labels(start + extra_at, &labels[extra_at..], before, &mut cursor);
    }

    /// Labels that begin at `start` among the pieces, beside those of the series before, in which `cursor` goes along.
    fn labels(&mut self, start: usize, labels: &'a [u8], before: Option<&Placed<'a>>, cursor: &mut usize) {
        let old = before.map_or(&[][..], |before| self.pieces.labels(before.set));
        let mut at = 0;
        while at < labels.len() {
            let label = &labels[at..at + label_len(&labels[at..])];
            let rest = &old[*cursor..];
            if let Some(before) = before
                && rest.starts_with(label)
            {
                self.block.again(before.place(*cursor), label);
                *cursor += label.len();
                at += label.len();
                continue;
            }
            let other = &rest[..label_len(rest)];
            match before {
                // A label that this series does not have.
                Some(_) if !other.is_empty() && name_of(other) < name_of(label) => {
                    *cursor += other.len();
                    continue;
                }
                Some(before) if !other.is_empty() && name_of(other) == name_of(label) => {
                    self.other_label(start + at, label, Some((before.place(*cursor), other)));
                    *cursor += other.len();
                }
                _ => self.other_label(start + at, label, None),
            }
            at += label.len();
        }
    }

    /// A label that begins at `start` among the pieces, and that the series before does not have. It may have one that
    /// differs, at that place in the message.
    fn other_label(&mut self, start: usize, label: &'a [u8], like: Option<(usize, &[u8])>) {
        let slot = self.series.hash().of(label) as usize % LABELS;
        let seen =
            std::mem::replace(&mut self.labels[slot], Seen { what: place(start) + 1, at: place(self.block.at()) });
        let is_it = seen.what > 0 && self.pieces.from(seen.what as usize - 1).starts_with(label);
        if is_it {
            self.block.again(seen.at as usize, label);
        } else if let Some((at, like)) = like {
            self.differing_label(label, at, like);
        } else {
            self.block.literal(label);
        }
    }

    /// A label of the series' own; where the series before has which one.
    #[inline]
    fn own(&mut self, number: u32, before: Option<(u32, usize)>) {
        let label = self.pieces.own(number);
        let now = Seen { what: number.wrapping_add(1), at: place(self.block.at()) };
        let seen = std::mem::replace(&mut self.own[number as usize % OWN], now);
        match before {
            Some((same, at)) if same == number => self.block.again(at, label),
            _ if seen.what == now.what && seen.what != 0 => self.block.again(seen.at as usize, label),
            Some((other, at)) => self.differing_label(label, at, self.pieces.own(other)),
            None => self.block.literal(label),
        }
    }

    /// A label beside one that may have the same name, at that place.
    fn differing_label(&mut self, label: &[u8], at: usize, like: &[u8]) {
        // Key and length, then the same of the name and of the value.
        let name = name_of(label);
        let value = 4 + name.len() + 2;
        let is_short = label.len() < 0x80 && like.len() < 0x80;
        if !is_short || label.len() == like.len() || name != name_of(like) {
            return self.differing(label, at, like);
        }
        self.block.again(at, &label[..1]);
        self.block.literal(&label[1..2]);
        self.block.again(at + 2, &label[2..value - 1]);
        self.block.literal(&label[value - 1..value]);
        self.differing(&label[value..], at + value, &like[value..]);
    }

    /// Bytes of which the beginning and the end may stand at that place.
    fn differing(&mut self, bytes: &[u8], at: usize, like: &[u8]) {
        let start = common_start(bytes, like);
        let end = common_end(&bytes[start..], &like[start..]);
        self.block.again(at, &bytes[..start]);
        self.block.literal(&bytes[start..bytes.len() - end]);
        self.block.again(at + like.len() - end, &bytes[bytes.len() - end..]);
    }

    #[inline]
    fn sample(&mut self, entry: &'a Entry, before: Option<&Placed<'a>>) {
        let sample = version_1::sample(self.series, entry, &mut self.stamp);
        let (Sample::Number(bits), Some(before)) = (entry.sample, before) else { return self.block.literal(sample) };
        let (Sample::Number(old), true) = (before.entry.sample, before.entry.time == entry.time) else {
            return self.block.literal(sample);
        };
        // Only the value differs, and of that often not all bytes.
        let differs = bits ^ old;
        let (from, to) = if differs == 0 {
            (sample.len(), sample.len())
        } else {
            let value = Stamp::VALUE_AT;
            (value.start + differs.trailing_zeros() as usize / 8, value.end - differs.leading_zeros() as usize / 8)
        };
        self.block.again(before.sample_at, &sample[..from]);
        self.block.literal(&sample[from..to]);
        self.block.again(before.sample_at + to, &sample[to..]);
    }
}

/// The name of a label; labels of a series are in the order of these.
fn name_of(label: &[u8]) -> &[u8] {
    let inside = match label {
        [_, 0..0x80, inside @ ..] => inside,
        _ => Fields::new(label).next().and_then(Result::ok).and_then(|field| field.value.bytes().ok()).unwrap_or(label),
    };
    match inside {
        [_, len @ 0..0x80, name @ ..] => name.get(..usize::from(*len)).unwrap_or(name),
        _ => {
            Fields::new(inside).next().and_then(Result::ok).and_then(|field| field.value.bytes().ok()).unwrap_or(inside)
        }
    }
}
