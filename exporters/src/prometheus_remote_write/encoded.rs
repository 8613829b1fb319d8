//! The labels of a point as they will stand in each of its series: encoded once, with room for `__name__` and for one
//! more (`le`, `quantile`).

use pipeline::otlp::write::Writer;
use pipeline::relabel::labels::Labels;

use super::symbols::{Symbol, Symbols};
use super::timeseries::Message;
use crate::translation::labels::METRIC_NAME;

/// `prompb.Label`, and its place in `prompb.TimeSeries` and `prompb.Exemplar`.
const LABELS: u32 = 1;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// Encoded labels.
#[derive(Default)]
pub struct Encoded {
    /// Of 1.0.
    bytes: Writer,
    /// Of 2.0: names and values in turn.
    refs: Vec<Symbol>,
    /// Those of the point before, whose labels are often the same.
    before: Vec<Symbol>,
    /// As they are, where rules are yet to change them.
    plain: Vec<(String, String)>,
    name_at: usize,
    extra_at: usize,
}

/// What labels are encoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A message.
    Message(Message),
    /// Rules that change them first.
    Plain,
}

impl Encoded {
    /// Forgets the labels.
    pub fn clear(&mut self) {
        self.bytes.clear();
        std::mem::swap(&mut self.refs, &mut self.before);
        self.refs.clear();
        self.plain.clear();
        (self.name_at, self.extra_at) = (0, 0);
    }

    /// Bytes of the labels, roughly.
    pub fn len(&self) -> usize {
        let plain: usize = self.plain.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
        self.bytes.len() + self.refs.len() * size_of::<Symbol>() + plain
    }

    /// Adds the next label in order.
    pub fn add(&mut self, form: Form, symbols: &mut Symbols, name: &str, value: &str, extra: &str) {
        let end = match form {
            Form::Message(Message::V1) => {
                write_label(&mut self.bytes, name, value);
                self.bytes.len()
            }
            Form::Message(Message::V2) => {
                let at = self.refs.len();
                for (text, at) in [(name, at), (value, at + 1)] {
                    let symbol = match self.before.get(at) {
                        Some(&symbol) if symbols.text(symbol) == text => symbol,
                        _ => symbols.intern(text),
                    };
                    self.refs.push(symbol);
                }
                at + 2
            }
            Form::Plain => return self.plain.push((name.to_owned(), value.to_owned())),
        };
        if name < METRIC_NAME {
            self.name_at = end;
        }
        if name < extra || name < METRIC_NAME {
            self.extra_at = end;
        }
    }

    /// Writes the labels of a series into a `TimeSeries` of 1.0.
    pub fn write(&self, out: &mut Writer, name: &str, extra: Option<(&str, &str)>) {
        let bytes = self.bytes.as_slice();
        out.raw(&bytes[..self.name_at]);
        write_label(out, METRIC_NAME, name);
        match extra {
            None => out.raw(&bytes[self.name_at..]),
            Some((extra, value)) => {
                out.raw(&bytes[self.name_at..self.extra_at]);
                write_label(out, extra, value);
                out.raw(&bytes[self.extra_at..]);
            }
        }
    }

    /// The labels of a series in 2.0.
    pub fn write_refs(&self, out: &mut Vec<Symbol>, symbols: &mut Symbols, name: &str, extra: Option<(&str, &str)>) {
        out.extend_from_slice(&self.refs[..self.name_at]);
        out.extend([symbols.intern(METRIC_NAME), symbols.intern(name)]);
        match extra {
            None => out.extend_from_slice(&self.refs[self.name_at..]),
            Some((extra, value)) => {
                out.extend_from_slice(&self.refs[self.name_at..self.extra_at]);
                out.extend([symbols.intern(extra), symbols.intern(value)]);
                out.extend_from_slice(&self.refs[self.extra_at..]);
            }
        }
    }

    /// The labels of a series for rules to change.
    pub fn to_labels<'l>(&'l self, name: &'l str, extra: Option<(&'l str, &'l str)>) -> Labels<'l> {
        let own = std::iter::once((METRIC_NAME, name)).chain(extra);
        let plain = self.plain.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        own.chain(plain).map(|(name, value)| (name.into(), value.into())).collect()
    }
}

/// Writes one `prompb.Label` into a `TimeSeries` or an `Exemplar`.
pub fn write_label(out: &mut Writer, name: &str, value: &str) {
    out.message(LABELS, |out| {
        out.text(NAME, name);
        out.text(VALUE, value);
    });
}
