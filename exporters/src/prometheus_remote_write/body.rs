//! What stands in a series beside its labels: samples, native histograms, exemplars, in the fields of either message.

use std::ops::Range;

use pipeline::otlp::WireError;
use pipeline::otlp::write::Writer;

use super::encoded::write_label;
use super::symbols::{Symbol, Symbols};
use super::timeseries::Message;

/// Fields of `TimeSeries`.
pub(super) const SAMPLES: u32 = 2;
pub(super) const HISTOGRAMS_1: u32 = 4;
pub(super) const HISTOGRAMS_2: u32 = 3;
const EXEMPLARS_1: u32 = 3;

/// Fields of `Sample`.
const VALUE: u32 = 1;
const TIMESTAMP: u32 = 2;
const START_TIMESTAMP: u32 = 3;

/// Fields of `Exemplar`.
pub(super) const EXEMPLAR_VALUE: u32 = 2;
pub(super) const EXEMPLAR_TIMESTAMP: u32 = 3;

/// An exemplar of 2.0, whose labels are symbols.
pub(super) struct Exemplar {
    pub labels: Range<usize>,
    pub value: f64,
    pub time: i64,
}

/// Numbers as `Sample`s of 1.0, whose time is mostly that of the number before.
#[derive(Default)]
pub struct Stamp {
    time: i64,
    bytes: Vec<u8>,
}

impl Stamp {
    /// Where the value stands: behind the key and the length of the message and its own key.
    pub const VALUE_AT: Range<usize> = 3..11;

    /// The field of one; the time is milliseconds since 1970.
    #[inline]
    pub fn sample(&mut self, time: i64, bits: u64) -> &[u8] {
        if self.time != time || self.bytes.is_empty() {
            let mut out = Writer::onto(std::mem::take(&mut self.bytes));
            out.clear();
            write_sample(&mut out, time, 0, bits);
            (self.time, self.bytes) = (time, out.into_vec());
        }
        self.bytes[Stamp::VALUE_AT].copy_from_slice(&bits.to_le_bytes());
        &self.bytes
    }
}

fn write_sample(out: &mut Writer, time: i64, start: i64, bits: u64) {
    out.message(SAMPLES, |out| {
        out.fixed64(VALUE, bits);
        out.int64(TIMESTAMP, time);
        if start != 0 {
            out.int64(START_TIMESTAMP, start);
        }
    });
}

/// Takes the sample of a series.
pub struct Body<'a> {
    pub(super) message: Message,
    pub(super) out: &'a mut Writer,
    pub(super) refs: &'a mut Vec<Symbol>,
    pub(super) symbols: &'a mut Symbols,
    pub(super) exemplars: &'a mut Vec<Exemplar>,
    pub(super) is_histogram: bool,
}

impl Body<'_> {
    /// A number, as bits; times are milliseconds since 1970, `start` 0 where it is not known.
    pub fn sample(&mut self, time: i64, start: i64, bits: u64) {
        write_sample(self.out, time, if self.message == Message::V2 { start } else { 0 }, bits);
    }

    /// A native histogram, whose inside is the same in both messages but for the start, which only 2.0 has.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn histogram(&mut self, write: impl FnOnce(&mut Writer) -> Result<(), WireError>) -> Result<(), WireError> {
        self.is_histogram = true;
        let field = if self.message == Message::V1 { HISTOGRAMS_1 } else { HISTOGRAMS_2 };
        self.out.message(field, write)
    }

    /// An exemplar; its labels are sorted.
    pub fn exemplar(&mut self, labels: &[(String, String)], value: f64, time: i64) {
        if self.message == Message::V1 {
            self.out.message(EXEMPLARS_1, |out| {
                labels.iter().for_each(|(name, value)| write_label(out, name, value));
                out.double(EXEMPLAR_VALUE, value);
                out.int64(EXEMPLAR_TIMESTAMP, time);
            });
        } else {
            let start = self.refs.len();
            for (name, value) in labels {
                self.refs.extend([self.symbols.intern(name), self.symbols.intern(value)]);
            }
            self.exemplars.push(Exemplar { labels: start..self.refs.len(), value, time });
        }
    }
}
