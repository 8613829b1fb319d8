//! Requests of remote write 1.0 (`prometheus.WriteRequest`), in which every series has all its labels.

use pipeline::otlp::wire::varint_len;
use pipeline::otlp::write::Writer;

use super::body::Stamp;
use super::encoded::write_header;
use super::pieces::Pieces;
use super::timeseries::{Entry, LabelsOf, Sample, TimeSeries};

/// Field of `WriteRequest`.
pub(super) const TIMESERIES: u32 = 1;

/// The bytes of a series of which so many are its labels and samples.
#[inline]
pub(super) fn len(inside: usize) -> usize {
    1 + varint_len(inside as u64) + inside
}

/// The labels of a series in their order, in pieces.
#[inline]
pub(super) fn runs(pieces: &Pieces, (set, name, extra): (u32, u32, u32)) -> [&[u8]; 5] {
    let set = pieces.set(set);
    let labels = pieces.labels(set);
    let (name_at, extra_at) = (set.name_at(), set.extra_at());
    [&labels[..name_at], pieces.own(name), &labels[name_at..extra_at], pieces.own(extra), &labels[extra_at..]]
}

/// Writes a request of these entries.
pub(super) fn write(series: &TimeSeries, numbers: &[u32]) -> Vec<u8> {
    let bytes = series.entries(numbers).map(|entry| len(entry.inside as usize)).sum();
    let mut out = Writer::onto(series.buffers.take(bytes));
    let mut stamp = Stamp::default();
    series.entries(numbers).for_each(|entry| write_series(&mut out, series, entry, &mut stamp));
    out.into_vec()
}

fn write_series(out: &mut Writer, series: &TimeSeries, entry: &Entry, stamp: &mut Stamp) {
    write_header(out, TIMESERIES, entry.inside as usize);
    if let LabelsOf::Pieces(set, name, extra) = entry.labels {
        runs(&series.texts.pieces, (set, name, extra)).iter().for_each(|run| out.raw(run));
    }
    out.raw(sample(series, entry, stamp));
}

/// The sample of a series, as it stands in it.
#[inline]
pub(super) fn sample<'a>(series: &'a TimeSeries, entry: &Entry, stamp: &'a mut Stamp) -> &'a [u8] {
    match entry.sample {
        Sample::Number(bits) => stamp.sample(entry.time, bits),
        Sample::Written(bytes) => &series.bytes.as_slice()[bytes.range()],
    }
}
