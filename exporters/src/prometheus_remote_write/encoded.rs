//! The labels of a point as they will stand in each of its series of 2.0, or as they are, for rules to change: gathered
//! once, with room for `__name__` and for one more (`le`, `quantile`). Those of 1.0 are [`Sets`](super::sets::Sets).

use std::ops::Range;

use pipeline::otlp::wire::{Fields, utf8};
use pipeline::otlp::write::Writer;
use pipeline::relabel::labels::Labels;

use super::hash::Hash;
use super::own::Own;
use super::symbols::{Symbol, Symbols};
use super::timeseries::Message;
use crate::translation::labels::METRIC_NAME;
use crate::translation::names::Namer;

/// `prompb.Label`, and its place in `prompb.TimeSeries` and `prompb.Exemplar`.
const LABELS: u32 = 1;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// The label that all series have, and those that tell the series of one point apart.
pub(super) const METRIC_NAME_LABEL: Name<'_> = Name::of(METRIC_NAME);
pub(super) const STEPS: [Name<'_>; 2] = [Name::of("le"), Name::of("quantile")];

/// A label's name, with its first eight bytes as a number: names are compared a lot, and few begin alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a> {
    pub(super) head: u64,
    pub(super) text: &'a str,
}

impl<'a> Name<'a> {
    pub(super) const fn of(text: &'a str) -> Name<'a> {
        let bytes = text.as_bytes();
        let (mut head, mut at) = (0, 0);
        while at < 8 {
            head = head << 8 | if at < bytes.len() { bytes[at] as u64 } else { 0 };
            at += 1;
        }
        Name { head, text }
    }

    /// Whether it is a short name; told without looking at the text.
    #[inline]
    pub(super) fn is_short(self, other: Name<'_>) -> bool {
        self.head == other.head && self.text.len() == other.text.len()
    }

    /// Whether it stands before a name of at most eight bytes.
    #[inline]
    pub(super) fn is_before_short(self, other: Name<'_>) -> bool {
        (self.head, self.text.len()) < (other.head, other.text.len())
    }
}

/// Encoded labels.
#[derive(Default)]
pub struct Encoded {
    /// Names and values in turn.
    refs: Vec<Symbol>,
    /// Those of the point before, whose labels are often the same.
    before: Vec<Symbol>,
    /// As they are, where rules are yet to change them.
    plain: Vec<(String, String)>,
    name_at: usize,
    extra_at: usize,
    /// Where `le` and `quantile` stand among them, as labels of a point like any other.
    steps: Vec<Range<usize>>,
}

/// What labels are encoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A message.
    Message(Message),
    /// Rules that change them first.
    Plain,
}

/// Labels that all points of a scope share, in order.
#[derive(Default)]
pub struct Shared {
    labels: Vec<SharedLabel>,
}

struct SharedLabel {
    name: String,
    head: u64,
    refs: [Symbol; 2],
    /// Whether there is nothing to write: its value is empty, or its name is `__name__`.
    is_nothing: bool,
}

impl SharedLabel {
    #[inline]
    fn name(&self) -> Name<'_> {
        Name { head: self.head, text: &self.name }
    }
}

impl Shared {
    /// Forgets them.
    pub fn clear(&mut self) {
        self.labels.clear();
    }

    /// Adds the next label in order.
    pub fn add(&mut self, symbols: &mut Symbols, name: &str, value: &str) {
        self.labels.push(SharedLabel {
            name: name.to_owned(),
            head: Name::of(name).head,
            refs: [symbols.intern(name), symbols.intern(value)],
            is_nothing: name.is_empty() || value.is_empty() || name == METRIC_NAME,
        });
    }
}

impl Encoded {
    /// Forgets the labels.
    pub fn clear(&mut self) {
        std::mem::swap(&mut self.refs, &mut self.before);
        self.refs.clear();
        self.plain.clear();
        self.steps.clear();
        (self.name_at, self.extra_at) = (0, 0);
    }

    /// Bytes of the labels, roughly.
    pub fn len(&self) -> usize {
        let plain: usize = self.plain.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
        self.refs.len() * size_of::<Symbol>() + plain
    }

    /// Adds the next label in order.
    pub fn add(&mut self, symbols: &mut Symbols, name: &str, value: &str, extra: &str) {
        let start = self.refs.len();
        self.refer(symbols, name, value);
        self.added(Name::of(name), Name::of(extra), start);
    }

    /// The same as it is.
    pub fn add_plain(&mut self, name: &str, value: &str) {
        self.plain.push((name.to_owned(), value.to_owned()));
    }

    /// Adds the labels of a point straight from its bytes: the attributes in field `number` of `point`, among those that
    /// it shares. That is possible where they are in order, all of them short texts, and none of them is shared or is to
    /// be left out or renamed. Where it is not, it answers false, and the labels must be forgotten.
    pub fn add_point(
        &mut self,
        symbols: &mut Symbols,
        (point, number): (&[u8], u32),
        shared: &Shared,
        (extra, namer): (&str, Option<&Namer>),
    ) -> bool {
        let extra = Name::of(extra);
        let mut before = Name::of("");
        let mut rest = shared.labels.iter();
        let mut next = rest.next();
        for field in Fields::new(point) {
            let Ok(field) = field else { return false };
            if field.number != number {
                continue;
            }
            let Some(Pair { name, value, .. }) = field.value.bytes().ok().and_then(Pair::of) else { return false };
            while let Some(label) = next.filter(|label| label.name() < name) {
                self.add_shared(label, extra);
                next = rest.next();
            }
            let is_odd = name <= before || value.is_empty() || name.is_short(METRIC_NAME_LABEL) || name.is_short(extra);
            let is_shared = next.is_some_and(|label| label.name() == name);
            if is_odd || is_shared || namer.is_some_and(|namer| !namer.keeps_label(name.text)) {
                return false;
            }
            let start = self.refs.len();
            self.refer(symbols, name.text, value);
            self.added(name, extra, start);
            before = name;
        }
        next.into_iter().chain(rest).for_each(|label| self.add_shared(label, extra));
        true
    }

    fn add_shared(&mut self, label: &SharedLabel, extra: Name<'_>) {
        if label.is_nothing || label.name().is_short(extra) {
            return;
        }
        let start = self.refs.len();
        self.refs.extend(label.refs);
        self.added(label.name(), extra, start);
    }

    #[inline]
    fn added(&mut self, name: Name<'_>, extra: Name<'_>, start: usize) {
        let end = self.refs.len();
        let is_before_name = name.is_before_short(METRIC_NAME_LABEL);
        if is_before_name {
            self.name_at = end;
        }
        if is_before_name || name.is_before_short(extra) {
            self.extra_at = end;
        }
        if STEPS.iter().any(|step| name.is_short(*step)) {
            self.steps.push(start..end);
        }
    }

    /// A label by its symbols.
    fn refer(&mut self, symbols: &mut Symbols, name: &str, value: &str) {
        for text in [name, value] {
            let symbol = match self.before.get(self.refs.len()) {
                Some(&symbol) if symbols.text(symbol) == text => symbol,
                _ => symbols.intern(text),
            };
            self.refs.push(symbol);
        }
    }

    /// A hash of what the series of a point have in common, whatever kind of point it is: of all labels but the steps.
    pub fn hash(&self, hash: Hash) -> u64 {
        if self.steps.is_empty() {
            hash.of_numbers(&self.refs)
        } else {
            hash.of_numbers(&without(&self.refs, &self.steps))
        }
    }

    /// The labels of a series in 2.0.
    pub fn write_refs(&self, out: &mut Vec<Symbol>, name: &Own, extra: Option<&Own>) {
        out.extend_from_slice(&self.refs[..self.name_at]);
        out.extend(name.refs());
        match extra {
            None => out.extend_from_slice(&self.refs[self.name_at..]),
            Some(extra) => {
                out.extend_from_slice(&self.refs[self.name_at..self.extra_at]);
                out.extend(extra.refs());
                out.extend_from_slice(&self.refs[self.extra_at..]);
            }
        }
    }

    /// The labels of a series for rules to change.
    pub fn to_labels<'l>(&'l self, name: &'l Own, extra: Option<&'l Own>) -> Labels<'l> {
        let own = std::iter::once(name).chain(extra).map(|own| (own.name, own.value.as_str()));
        let plain = self.plain.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        own.chain(plain).map(|(name, value)| (name.into(), value.into())).collect()
    }
}

/// An attribute as nearly all are: its key and then a text, both short.
pub(super) struct Pair<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) name: Name<'a>,
    pub(super) value: &'a str,
}

impl<'a> Pair<'a> {
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Option<Pair<'a>> {
        let [0x0a, name_len @ 0..0x80, behind @ ..] = bytes else { return None };
        let [0x12, len @ 0..0x80, 0x0a, value_len @ 0..0x80, value @ ..] = behind.get(usize::from(*name_len)..)? else {
            return None;
        };
        if value.len() != usize::from(*value_len) || value.len() + 2 != usize::from(*len) {
            return None;
        }
        // What stands between the texts is ASCII, so that they are UTF-8 if all of it is, and are cut at characters.
        let text = utf8(bytes).ok()?;
        let name = text.get(2..2 + usize::from(*name_len))?;
        // A name that is shorter has other bytes behind it.
        let head = match bytes[2..].first_chunk() {
            Some(chunk) if name.len() < 8 => u64::from_be_bytes(*chunk) & !(u64::MAX >> (8 * name.len())),
            Some(chunk) => u64::from_be_bytes(*chunk),
            None => Name::of(name).head,
        };
        Some(Pair { bytes, name: Name { head, text: name }, value: text.get(bytes.len() - value.len()..)? })
    }
}

/// What is not in one of the ranges, which are in order.
fn without<T: Clone>(all: &[T], ranges: &[Range<usize>]) -> Vec<T> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain([all.len()]);
    starts.zip(ends).flat_map(|(start, end)| all[start..end].iter().cloned()).collect()
}

/// Writes one `prompb.Label` into a `TimeSeries` or an `Exemplar`.
pub fn write_label(out: &mut Writer, name: &str, value: &str) {
    out.message(LABELS, |out| {
        out.text(NAME, name);
        out.text(VALUE, value);
    });
}

/// Key and length of a message in a field below 16 of which `len` bytes follow.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "cut to its lowest seven bits, a byte at a time")]
pub fn write_header(out: &mut Writer, field: u32, len: usize) {
    const LEN: u8 = 2;
    let key = (field as u8) << 3 | LEN;
    if len < 0x80 {
        return out.raw(&[key, len as u8]);
    }
    if len < 0x4000 {
        return out.raw(&[key, len as u8 | 0x80, (len >> 7) as u8]);
    }
    out.raw(&[key]);
    let mut rest = len;
    while rest >= 0x80 {
        out.raw(&[rest as u8 | 0x80]);
        rest >>= 7;
    }
    out.raw(&[rest as u8]);
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::fields::number_point::ATTRIBUTES;
    use pipeline::otlp::write::Scalar;

    use super::*;

    /// The names and values that are written straight from a point with these attributes, beside `job` and `zone`.
    fn straight(attributes: &[(&str, Scalar<'_>)], extra: &str) -> Option<String> {
        let mut point = Writer::new();
        attributes.iter().for_each(|(name, value)| point.attribute(ATTRIBUTES, name, *value));
        let (mut encoded, mut symbols, mut shared) = (Encoded::default(), Symbols::default(), Shared::default());
        shared.add(&mut symbols, "job", "j");
        shared.add(&mut symbols, "zone", "");
        let from = (point.as_slice(), ATTRIBUTES);
        let is_there = encoded.add_point(&mut symbols, from, &shared, (extra, None));
        is_there.then(|| encoded.refs.iter().map(|symbol| symbols.text(*symbol)).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn labels_in_order_are_written_straight_from_the_point() {
        let text = |text| Scalar::Text(text);
        let long = "x".repeat(121);
        let written = straight(&[("a", text("ä")), ("b", text(&long)), ("x", text("1"))], "le");
        assert_eq!(written, Some(format!("a ä b {long} job j x 1")));
        assert_eq!(straight(&[], ""), Some("job j".to_owned()));
        for (attributes, extra) in [
            (&[("b", text("1")), ("a", text("1"))][..], ""),
            (&[("a", text(""))], ""),
            (&[("zone", text("1"))], ""),
            (&[("__name__", text("1"))], ""),
            (&[("le", text("1"))], "le"),
            (&[("a", Scalar::Int(1))], ""),
        ] {
            assert_eq!(straight(attributes, extra), None, "{attributes:?}");
        }
    }

    #[test]
    fn a_step_does_not_count_in_the_hash_wherever_it_stands() {
        let (hash, mut symbols) = (Hash::default(), Symbols::default());
        let mut of = |labels: &[&str]| {
            let mut encoded = Encoded::default();
            labels.iter().for_each(|name| encoded.add(&mut symbols, name, "value", ""));
            encoded.hash(hash)
        };
        assert_eq!(of(&["a", "le", "m", "quantile", "z"]), of(&["a", "m", "z"]));
        assert_ne!(of(&["a", "m", "z"]), of(&["a", "z"]));
    }
}
