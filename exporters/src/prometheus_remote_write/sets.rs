//! The labels of points as sets of [`Pieces`], straight from the points' bytes. Neighbours mostly have the same attributes
//! but for a value or two: then the others are only compared, and copied from the set before.

use std::ops::Range;

use pipeline::otlp::wire::Fields;
use pipeline::otlp::write::Writer;

use super::encoded::{METRIC_NAME_LABEL, Name, Pair, STEPS, write_header, write_label};
use super::hash::Hash;
use super::pieces::{Pieces, Set, common_start};
use crate::translation::labels::METRIC_NAME;
use crate::translation::names::Namer;

/// Field of labels in `prompb.TimeSeries`.
const LABELS: u32 = 1;

/// Labels that all points of a scope share, in order.
#[derive(Default)]
pub struct Shared {
    labels: Vec<SharedLabel>,
    bytes: Writer,
}

struct SharedLabel {
    name: String,
    head: u64,
    bytes: Range<usize>,
    hash: u64,
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
        self.bytes.clear();
    }

    /// Adds the next label in order.
    pub fn add(&mut self, hash: Hash, name: &str, value: &str) {
        let start = self.bytes.len();
        write_label(&mut self.bytes, name, value);
        let bytes = start..self.bytes.len();
        self.labels.push(SharedLabel {
            name: name.to_owned(),
            head: Name::of(name).head,
            hash: label_hash(hash, Name::of(name), &self.bytes.as_slice()[bytes.clone()]),
            bytes,
            is_nothing: name.is_empty() || value.is_empty() || name == METRIC_NAME,
        });
    }
}

/// Gathers the labels of one point after the other.
#[derive(Default)]
pub struct Sets<'a> {
    number: u32,
    set: Set,
    /// Where it began to write, and where in the set the name and the label more belong.
    start: usize,
    name_at: usize,
    extra_at: usize,
    hash: u64,
    /// The attributes of the point whose set that is, where it was written straight from them, and what it has from the
    /// first of them on.
    attributes: Vec<Attribute<'a>>,
    region: &'a [u8],
    /// For which scope, and how long the name of the label more is: `le`, `quantile` and none have different lengths.
    of: Option<(usize, usize)>,
}

/// An attribute of a point, with its label in the set.
struct Attribute<'a> {
    pair: &'a [u8],
    name_len: usize,
    label: Range<usize>,
    hash: u64,
    /// Where it ends in the region.
    end: usize,
}

/// Where attributes stand, and what becomes of their names.
#[derive(Clone, Copy)]
pub struct From<'a, 'n> {
    /// The point.
    pub point: &'a [u8],
    /// The field of its attributes.
    pub number: u32,
    /// The scope's number.
    pub scope: usize,
    /// The label that its series have beside these and the name, empty if none.
    pub extra: &'static str,
    /// What makes names legal.
    pub namer: Option<&'n Namer>,
}

impl<'a> Sets<'a> {
    /// The number of the set of labels that were gathered last.
    #[inline]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Bytes of its labels.
    #[inline]
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// A hash of what the series of a point have in common, whatever kind of point it is: of all labels but the steps.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Forgets the point before.
    pub fn forget(&mut self) {
        self.of = None;
    }

    /// Begins to gather labels that are added one by one.
    pub fn begin(&mut self, pieces: &Pieces) {
        self.of = None;
        (self.start, self.name_at, self.extra_at, self.hash) = (pieces.len(), 0, 0, 0);
    }

    /// Adds the next label in order.
    pub fn add(&mut self, pieces: &mut Pieces, hash: Hash, (name, value): (&str, &str), extra: &str) {
        let start = pieces.len();
        write_label(pieces.writer(), name, value);
        let name = Name::of(name);
        let own = label_hash(hash, name, &pieces.writer().as_slice()[start..]);
        self.added(name, Name::of(extra), own, pieces.len());
    }

    /// Ends it.
    pub fn end(&mut self, pieces: &mut Pieces) {
        self.number = pieces.add_set(self.start, self.name_at, self.extra_at);
        self.set = pieces.set(self.number);
    }

    /// Gathers the labels of a point straight from its bytes, among those that it shares. That is possible where they are
    /// in order, all of them short texts, and none of them is shared or is to be left out or renamed. Where it is not, it
    /// answers false.
    #[inline]
    pub fn straight(&mut self, pieces: &mut Pieces, hash: Hash, from: From<'a, '_>, shared: &Shared) -> bool {
        let start = pieces.len();
        if self.of == Some((from.scope, from.extra.len())) {
            if self.alike(pieces, hash, from) {
                return true;
            }
            pieces.truncate(start);
        }
        self.begin(pieces);
        if self.anew(pieces, hash, from, shared) {
            self.end(pieces);
            self.of = Some((from.scope, from.extra.len()));
            return true;
        }
        pieces.truncate(start);
        false
    }

    /// The same for a point whose attributes have the names of the one before.
    #[inline]
    fn alike(&mut self, pieces: &mut Pieces, hash: Hash, from: From<'a, '_>) -> bool {
        let (base, start) = (Pieces::start(self.set), pieces.len());
        let (mut name_at, mut extra_at) = (self.set.name_at(), self.set.extra_at());
        // How far the set before has been copied, and how much longer the new one is up to there, modulo the word.
        let (mut copied, mut longer) = (0, 0usize);
        let (mut fields, mut next, mut region) = (Fields::new(from.point), 0, from.point);
        loop {
            let rest = fields.rest();
            let Some(field) = fields.next() else { break };
            let Ok(field) = field else { return false };
            if field.number != from.number {
                continue;
            }
            if next == 0 {
                // Nearly all of them are the same as before, and are passed at once.
                region = rest;
                let same = common_start(region, self.region);
                next = self.attributes.iter().take_while(|known| known.end <= same).count();
                if let Some(last) = next.checked_sub(1) {
                    fields = Fields::new(&region[self.attributes[last].end..]);
                    continue;
                }
            }
            let (Ok(bytes), Some(known)) = (field.value.bytes(), self.attributes.get_mut(next)) else { return false };
            next += 1;
            let old = known.label.clone();
            known.label = old.start.wrapping_add(longer)..old.end.wrapping_add(longer);
            known.end = region.len() - fields.rest().len();
            if bytes == known.pair {
                known.pair = bytes;
                continue;
            }
            let Some(pair) = Pair::of(bytes) else { return false };
            if pair.name.text.as_bytes() != known.name() || pair.value.is_empty() {
                return false;
            }
            pieces.writer().again(base + copied..base + old.start);
            let label = pieces.len();
            write_pair(pieces.writer(), bytes, pair.name.text.len());
            let own = label_hash(hash, pair.name, &pieces.writer().as_slice()[label..]);
            self.hash = self.hash.wrapping_sub(known.hash).wrapping_add(own);
            (known.pair, known.hash, known.label) = (bytes, own, label - start..pieces.len() - start);
            copied = old.end;
            let more = known.label.len().wrapping_sub(old.len());
            longer = longer.wrapping_add(more);
            if old.end <= self.set.name_at() {
                name_at = name_at.wrapping_add(more);
            }
            if old.end <= self.set.extra_at() {
                extra_at = extra_at.wrapping_add(more);
            }
        }
        if next != self.attributes.len() {
            return false;
        }
        self.region = region;
        if copied > 0 {
            pieces.writer().again(base + copied..base + self.set.len());
            self.number = pieces.add_set(start, name_at, extra_at);
            self.set = pieces.set(self.number);
        }
        true
    }

    /// The same for any point.
    fn anew(&mut self, pieces: &mut Pieces, hash: Hash, from: From<'a, '_>, shared: &Shared) -> bool {
        self.attributes.clear();
        let extra = Name::of(from.extra);
        let mut before = Name::of("");
        let mut rest = shared.labels.iter();
        let mut next = rest.next();
        let mut fields = Fields::new(from.point);
        self.region = &[];
        loop {
            let begins = fields.rest();
            let Some(field) = fields.next() else { break };
            let Ok(field) = field else { return false };
            if field.number != from.number {
                continue;
            }
            if self.attributes.is_empty() {
                self.region = begins;
            }
            let Some(pair) = field.value.bytes().ok().and_then(Pair::of) else { return false };
            let Pair { bytes, name, value } = pair;
            while let Some(label) = next.filter(|label| label.name() < name) {
                self.add_shared(pieces, shared, label, extra);
                next = rest.next();
            }
            let is_odd = name <= before || value.is_empty() || name.is_short(METRIC_NAME_LABEL) || name.is_short(extra);
            let is_shared = next.is_some_and(|label| label.name() == name);
            if is_odd || is_shared || from.namer.is_some_and(|namer| !namer.keeps_label(name.text)) {
                return false;
            }
            let start = pieces.len();
            write_pair(pieces.writer(), bytes, name.text.len());
            let own = label_hash(hash, name, &pieces.writer().as_slice()[start..]);
            self.added(name, extra, own, pieces.len());
            let label = start - self.start..pieces.len() - self.start;
            let end = self.region.len() - fields.rest().len();
            self.attributes.push(Attribute { pair: bytes, name_len: name.text.len(), label, hash: own, end });
            before = name;
        }
        next.into_iter().chain(rest).for_each(|label| self.add_shared(pieces, shared, label, extra));
        true
    }

    fn add_shared(&mut self, pieces: &mut Pieces, shared: &Shared, label: &SharedLabel, extra: Name<'_>) {
        if !label.is_nothing && !label.name().is_short(extra) {
            pieces.writer().raw(&shared.bytes.as_slice()[label.bytes.clone()]);
            self.added(label.name(), extra, label.hash, pieces.len());
        }
    }

    /// A label was written that ends there.
    #[inline]
    fn added(&mut self, name: Name<'_>, extra: Name<'_>, hash: u64, end: usize) {
        let is_before_name = name.is_before_short(METRIC_NAME_LABEL);
        if is_before_name {
            self.name_at = end - self.start;
        }
        if is_before_name || name.is_before_short(extra) {
            self.extra_at = end - self.start;
        }
        self.hash = self.hash.wrapping_add(hash);
    }
}

impl Attribute<'_> {
    /// The bytes of its name.
    #[inline]
    fn name(&self) -> &[u8] {
        &self.pair[2..2 + self.name_len]
    }
}

/// What a label adds to the hash of a point's: nothing, where it tells the series of one point apart.
#[inline]
fn label_hash(hash: Hash, name: Name<'_>, label: &[u8]) -> u64 {
    if STEPS.iter().any(|step| name.is_short(*step)) { 0 } else { hash.of(label) }
}

/// Writes a [`Pair`] as a `prompb.Label`, which is the same but for the frame around the value.
#[inline]
fn write_pair(out: &mut Writer, pair: &[u8], name_len: usize) {
    let (name, value) = pair.split_at(name_len + 3);
    write_header(out, LABELS, name.len() + value.len() - 2);
    out.raw(name);
    out.raw(&value[2..]);
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::fields::number_point::ATTRIBUTES;
    use pipeline::otlp::write::Scalar;
    use proptest::prelude::*;

    use super::*;

    const NO_NAME: &str = "";

    fn point(attributes: &[(&str, Scalar<'_>)]) -> Vec<u8> {
        let mut point = Writer::new();
        point.fixed64(1, 5);
        attributes.iter().for_each(|(name, value)| point.attribute(ATTRIBUTES, name, *value));
        point.into_vec()
    }

    fn from<'a>(point: &'a [u8], extra: &'static str) -> From<'a, 'a> {
        From { point, number: ATTRIBUTES, scope: 1, extra, namer: None }
    }

    /// `job` and `zone`, which is empty.
    fn shared(hash: Hash) -> Shared {
        let mut shared = Shared::default();
        shared.add(hash, "job", "j");
        shared.add(hash, "zone", "");
        shared
    }

    /// The names and values of a set, with `|` for the places of the name and the label more.
    fn shown(pieces: &Pieces, set: Set) -> String {
        let runs = [0..set.name_at(), set.name_at()..set.extra_at(), set.extra_at()..set.len()].map(|run| {
            let labels = Fields::new(&pieces.labels(set)[run]).map(|label| label.unwrap().value.bytes().unwrap());
            labels
                .flat_map(|label| Fields::new(label).map(|text| text.unwrap().value.text().unwrap()))
                .collect::<Vec<_>>()
                .join(" ")
        });
        runs.join("|")
    }

    /// What is written straight from a point with these attributes.
    fn straight(attributes: &[(&str, Scalar<'_>)], extra: &'static str) -> Option<String> {
        let (mut pieces, mut sets, hash) = (Pieces::default(), Sets::default(), Hash::default());
        let point = point(attributes);
        let is_there = sets.straight(&mut pieces, hash, from(&point, extra), &shared(hash));
        assert!(is_there || pieces.len() == 0);
        is_there.then(|| shown(&pieces, sets.set))
    }

    #[test]
    fn labels_in_order_are_written_straight_from_the_point() {
        let text = |text| Scalar::Text(text);
        let long = "x".repeat(121);
        let written = straight(&[("A", text("ä")), ("b", text(&long)), ("x", text("1"))], "le");
        assert_eq!(written, Some(format!("A ä|b {long} job j|x 1")));
        assert_eq!(straight(&[], NO_NAME), Some("||job j".to_owned()));
        for (attributes, extra) in [
            (&[("b", text("1")), ("a", text("1"))][..], NO_NAME),
            (&[("a", text("1")), ("a", text("2"))], NO_NAME),
            (&[("a", text(""))], NO_NAME),
            (&[("", text("1"))], NO_NAME),
            (&[("job", text("1"))], NO_NAME),
            (&[("zone", text("1"))], NO_NAME),
            (&[("__name__", text("1"))], NO_NAME),
            (&[("le", text("1"))], "le"),
            (&[("a", Scalar::Int(1))], NO_NAME),
        ] {
            assert_eq!(straight(attributes, extra), None, "{attributes:?}");
        }
    }

    #[test]
    fn a_step_does_not_count_in_the_hash_wherever_it_stands() {
        let hash = Hash::default();
        let of = |labels: &[&str]| {
            let (mut pieces, mut sets) = (Pieces::default(), Sets::default());
            sets.begin(&pieces);
            labels.iter().for_each(|name| sets.add(&mut pieces, hash, (name, "value"), ""));
            sets.hash()
        };
        assert_eq!(of(&["a", "le", "m", "quantile", "z"]), of(&["a", "m", "z"]));
        assert_ne!(of(&["a", "m", "z"]), of(&["a", "z"]));
    }

    proptest! {
        #[test]
        fn a_point_that_is_like_the_one_before_becomes_what_it_would_become_alone(
            points in prop::collection::vec(prop::collection::vec("[a-b]{0,3}", 6), 1..8),
            names in prop::sample::subsequence(vec!["A", "a", "k", "le", "n", "zz"], 0..6),
            extra in prop::sample::select(vec![NO_NAME, "le", "quantile"]),
        ) {
            let hash = Hash::default();
            let shared = shared(hash);
            let points: Vec<_> = points
                .iter()
                .map(|values| point(&names.iter().zip(values).map(|(n, v)| (*n, Scalar::Text(v))).collect::<Vec<_>>()))
                .collect();
            let (mut pieces, mut sets) = (Pieces::default(), Sets::default());
            for point in &points {
                let (mut own_pieces, mut own_sets) = (Pieces::default(), Sets::default());
                let is_there = sets.straight(&mut pieces, hash, from(point, extra), &shared);
                prop_assert_eq!(own_sets.straight(&mut own_pieces, hash, from(point, extra), &shared), is_there);
                if is_there {
                    prop_assert_eq!(shown(&pieces, sets.set), shown(&own_pieces, own_sets.set));
                    prop_assert_eq!(sets.hash(), own_sets.hash());
                }
            }
        }
    }
}
