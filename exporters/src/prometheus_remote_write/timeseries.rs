//! The time series of a batch as they will stand in `prompb.WriteRequest`s: encoded once, ordered by time, cut into
//! requests.

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use pipeline::otlp::write::Writer;

use crate::requests::Cut;

/// `prompb.WriteRequest`.
const TIMESERIES: u32 = 1;

/// Encoded time series, one sample each, as Prometheus sends them. In each lane the samples of a series are in the
/// order of their timestamps, and a series is always in the same lane.
#[derive(Default)]
pub struct TimeSeries {
    bytes: Writer,
    entries: Vec<Entry>,
    lanes: Vec<Range<usize>>,
}

#[derive(Clone, Copy)]
struct Entry {
    lane: usize,
    /// Milliseconds since 1970.
    time: i64,
    start: usize,
    end: usize,
    /// Points of the batch that begin here: 1 for the first series of a point, else 0.
    items: usize,
}

/// The most that goes into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Samples.
    pub samples: usize,
    /// Bytes before compression.
    pub bytes: usize,
}

impl TimeSeries {
    /// Adds the series of one sample. `write` writes the labels and then, into the same message, the sample.
    pub fn push(
        &mut self,
        lanes: usize,
        time: i64,
        items: usize,
        labels: impl FnOnce(&mut Writer),
        sample: impl FnOnce(&mut Writer),
    ) {
        let start = self.bytes.len();
        let open = self.bytes.open(TIMESERIES);
        let inside = self.bytes.len();
        labels(&mut self.bytes);
        let lane = if lanes > 1 { hash(&self.bytes.as_slice()[inside..]) % lanes } else { 0 };
        sample(&mut self.bytes);
        self.bytes.close(open);
        self.entries.push(Entry { lane, time, start, end: self.bytes.len(), items });
    }

    /// Bytes of all series.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Orders what was pushed into so many lanes.
    pub fn order(&mut self, lanes: usize) {
        if !self.entries.is_sorted_by_key(|e| (e.lane, e.time)) {
            self.entries.sort_by_key(|e| (e.lane, e.time));
        }
        let mut start = 0;
        self.lanes = (0..lanes)
            .map(|lane| {
                let end = self.entries.partition_point(|e| e.lane <= lane);
                std::mem::replace(&mut start, end)..end
            })
            .collect();
    }

    /// The next request of a lane, of the samples from number `from` on; at least one sample, however large it is.
    pub fn cut(&self, lane: usize, from: usize, most: Most) -> Option<Cut<Vec<u8>>> {
        let entries = self.entries.get(self.lanes.get(lane)?.clone())?.get(from..)?;
        let mut bytes = 0;
        let fitting = entries.iter().take(most.samples).take_while(|e| {
            bytes += e.end - e.start;
            bytes <= most.bytes
        });
        let entries = &entries[..fitting.count().max(1).min(entries.len())];
        if entries.is_empty() {
            return None;
        }
        let mut request = Vec::with_capacity(entries.iter().map(|e| e.end - e.start).sum());
        let mut rest = entries;
        while let Some(first) = rest.first() {
            // Neighbours are copied at once.
            let run = rest.windows(2).take_while(|pair| pair[0].end == pair[1].start).count() + 1;
            request.extend_from_slice(&self.bytes.as_slice()[first.start..rest[run - 1].end]);
            rest = &rest[run..];
        }
        Some(Cut { request, entries: entries.len(), items: entries.iter().map(|e| e.items).sum() })
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a hash has bits to spare")]
fn hash(bytes: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Most = Most { samples: 100, bytes: 1 << 20 };

    /// Series named by a number, at those times; the number is the whole content.
    fn series(lanes: usize, samples: &[(u64, i64)]) -> TimeSeries {
        let mut out = TimeSeries::default();
        for (series, time) in samples {
            out.push(lanes, *time, 1, |w| w.varint(1, *series), |w| w.int64(2, *time));
        }
        out.order(lanes);
        out
    }

    /// Series and time of each sample of a request.
    fn read(cut: &Cut<Vec<u8>>) -> Vec<(u64, i64)> {
        use pipeline::otlp::wire::Fields;
        let field = |bytes, number| Fields::new(bytes).flatten().find(|f| f.number == number).unwrap().value;
        let read = |message| (field(message, 1).varint().unwrap(), field(message, 2).int64().unwrap());
        Fields::new(&cut.request).map(|f| read(f.unwrap().value.bytes().unwrap())).collect()
    }

    #[test]
    fn requests_are_cut_at_samples_and_at_bytes_but_never_empty() {
        let series = series(1, &[(1, 10), (2, 10), (3, 10), (4, 10), (5, 10)]);
        let cuts = |most| {
            let mut from = 0;
            std::iter::from_fn(|| {
                let cut = series.cut(0, from, most)?;
                from += cut.entries;
                Some(cut.entries)
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(cuts(MANY), [5]);
        assert_eq!(cuts(Most { samples: 2, ..MANY }), [2, 2, 1]);
        assert_eq!(cuts(Most { bytes: 19, ..MANY }), [3, 2]);
        assert_eq!(cuts(Most { bytes: 1, ..MANY }), [1, 1, 1, 1, 1]);
    }

    #[test]
    fn samples_are_ordered_by_time_and_otherwise_stay_as_they_came() {
        let series = series(1, &[(2, 20), (1, 10), (2, 10), (1, 20), (3, 5)]);
        let cut = series.cut(0, 0, MANY).unwrap();
        assert_eq!(read(&cut), [(3, 5), (1, 10), (2, 10), (2, 20), (1, 20)]);
        assert_eq!(cut.items, 5);
    }

    #[test]
    fn a_series_is_in_one_lane_and_every_sample_in_some() {
        let samples: Vec<_> = (0..200).map(|i| (i % 20, i64::try_from(200 - i).unwrap())).collect();
        let series = series(3, &samples);
        let lanes: Vec<_> =
            (0..3).map(|lane| read(&series.cut(lane, 0, Most { samples: 1000, ..MANY }).unwrap())).collect();
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), 200);
        for name in 0..20 {
            assert_eq!(lanes.iter().filter(|lane| lane.iter().any(|(s, _)| *s == name)).count(), 1);
        }
        for lane in &lanes {
            assert!(lane.is_sorted_by_key(|(_, time)| *time));
        }
        assert_eq!(series.cut(3, 0, MANY), None);
    }
}
