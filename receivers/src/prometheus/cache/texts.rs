//! From the text of a series in a body to what is known of it. Targets expose their series in the same order each time,
//! so the text that followed last time is what is tried first; then nothing is hashed and no label is read.
//!
//! Neighbours are mostly alike, so of a text only what differs from the one learnt before it is kept, and in full every
//! now and then.

use std::hash::{BuildHasher, RandomState};

use super::index::{Index, NONE};
use crate::prometheus::exposition::Expected;

/// So many texts at most stand on one that is there in full.
const FULL_EVERY: usize = 16;

/// What is known of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Relabelling drops it.
    Dropped,
    /// It is the series of that number.
    Series(u32),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where what differs begins; it ends where that of the next entry begins.
    start: u32,
    /// How much it shares with the text of the entry before.
    shared: u32,
    /// `NONE` for a dropped one.
    series: u32,
    /// Where it stands in `order`; `NONE` if the last good body did not have it.
    place: u32,
}

/// All texts of one target.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    index: Index,
    hasher: RandomState,
    /// The text of the last entry.
    learnt: Vec<u8>,
    /// Entries as they stood in the last good body.
    order: Vec<u32>,
    /// Entries as they stand in this body so far, once it has gone another way than the last.
    next_order: Vec<u32>,
    /// The place in `order` that is expected next.
    at: usize,
    /// Whether this body has gone another way than the last.
    changed: bool,
    /// Texts of this body that were not expected.
    unexpected: usize,
    /// Whether the order has come to be another than that in which the texts were learnt.
    scattered: bool,
    /// The entry of the text that came last.
    last: u32,
    /// The text that is expected next, where what came last is not what it stands on.
    whole: Vec<u8>,
}

impl Texts {
    /// A new body begins.
    pub(super) fn begin(&mut self) {
        self.next_order = Vec::new();
        (self.at, self.changed, self.unexpected, self.last) = (0, false, 0, NONE);
    }

    /// The text that is expected next, if one is.
    #[inline]
    pub(super) fn expected(&mut self) -> Expected<'_> {
        let Some(&number) = self.order.get(self.at) else { return Expected::default() };
        let shared = self.entries[number as usize].shared as usize;
        if shared == 0 || self.last.wrapping_add(1) == number {
            return Expected { shared, rest: self.differs(number) };
        }
        let mut whole = std::mem::take(&mut self.whole);
        self.write(number, &mut whole);
        self.whole = whole;
        Expected::whole(&self.whole)
    }

    /// Whether that is the text that is expected next.
    pub(super) fn is_expected(&self, text: &[u8]) -> bool {
        self.order.get(self.at).is_some_and(|&number| self.is(number, text))
    }

    /// The expected text came. Answers what it is.
    #[inline]
    pub(super) fn take_expected(&mut self) -> Known {
        let number = self.order[self.at];
        self.at += 1;
        if self.changed {
            self.next_order.push(number);
        }
        self.last = number;
        self.known(number)
    }

    /// Another text came. Answers what it is, if it is known.
    pub(super) fn find(&mut self, text: &[u8]) -> Option<Known> {
        self.change();
        let hash = self.hasher.hash_one(text);
        let number = self.index.find(hash, |number| self.is(number, text))?;
        let place = self.entries[number as usize].place;
        if place != NONE {
            self.at = place as usize + 1;
        }
        self.next_order.push(number);
        self.last = number;
        Some(self.known(number))
    }

    /// Learns a new text, unless there is no room for its number.
    pub(super) fn insert(&mut self, text: &[u8], known: Known) {
        self.change();
        let entry = number(self.entries.len());
        let is_full = self.entries.len().is_multiple_of(FULL_EVERY);
        let shared = if is_full { 0 } else { text.iter().zip(&self.learnt).take_while(|(a, b)| a == b).count() };
        let start = self.bytes.len();
        if u32::try_from(start + text.len()).is_err() {
            self.last = NONE;
            return;
        }
        grow(&mut self.bytes, text.len() - shared);
        grow(&mut self.entries, 1);
        self.bytes.extend_from_slice(&text[shared..]);
        let series = match known {
            Known::Dropped => NONE,
            Known::Series(number) => number,
        };
        self.entries.push(Entry { start: number(start), shared: number(shared), series, place: NONE });
        self.index.insert(self.hasher.hash_one(text), entry);
        self.learnt.clear();
        self.learnt.extend_from_slice(text);
        self.next_order.push(entry);
        self.last = entry;
    }

    /// This body goes another way than the last.
    fn change(&mut self) {
        self.unexpected += 1;
        if !self.changed {
            self.changed = true;
            self.next_order.extend_from_slice(&self.order[..self.at]);
        }
    }

    /// The body was good: the next one is expected to look like it.
    pub(super) fn commit(&mut self) {
        self.settle();
        if self.changed {
            let follows = |pair: &&[u32]| pair[1] != pair[0] + 1;
            self.scattered = self.order.windows(2).filter(follows).count() > self.order.len() / 8;
        }
        // Once the order keeps still it is worth while to learn the texts anew in it.
        if self.scattered && self.unexpected <= self.order.len() / 4 {
            *self = self.rebuilt(|series| series);
        }
    }

    fn settle(&mut self) {
        if !self.changed {
            let gone = self.order.split_off(self.at);
            gone.into_iter().for_each(|entry| self.entries[entry as usize].place = NONE);
            return;
        }
        self.order = std::mem::take(&mut self.next_order);
        self.entries.iter_mut().for_each(|entry| entry.place = NONE);
        for (place, &entry) in self.order.iter().enumerate() {
            self.entries[entry as usize].place = number(place);
        }
    }

    /// How many there are, and how many of them the last good body had.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.entries.len(), self.order.len())
    }

    /// The same with only the texts of the last good body, in its order, and with new numbers for the series.
    pub(super) fn rebuilt(&self, renumber: impl Fn(u32) -> u32) -> Texts {
        let mut new = Texts { hasher: self.hasher.clone(), ..Texts::default() };
        let mut text = Vec::new();
        let mut seen = vec![NONE; self.entries.len()];
        for &old in &self.order {
            let known = match self.known(old) {
                Known::Series(series) => Known::Series(renumber(series)),
                Known::Dropped => Known::Dropped,
            };
            if known == Known::Series(NONE) {
                continue;
            }
            let entry = &mut seen[old as usize];
            if *entry == NONE {
                *entry = number(new.entries.len());
                self.write(old, &mut text);
                new.insert(&text, known);
            } else {
                new.next_order.push(*entry);
            }
        }
        new.settle();
        new
    }

    #[inline]
    fn known(&self, number: u32) -> Known {
        let entry = self.entries[number as usize];
        if entry.series == NONE { Known::Dropped } else { Known::Series(entry.series) }
    }

    /// What an entry does not share with the one before.
    #[inline]
    fn differs(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let end = self.entries.get(at + 1).map_or(self.bytes.len(), |next| next.start as usize);
        &self.bytes[self.entries[at].start as usize..end]
    }

    /// Goes through the pieces of a text, from its end to its start: where each begins, and its bytes.
    fn pieces(&self, number: u32) -> impl Iterator<Item = (usize, &[u8])> {
        let mut number = number;
        let shared = self.entries[number as usize].shared as usize;
        let mut left = shared + self.differs(number).len();
        std::iter::from_fn(move || {
            while left > 0 {
                let shared = self.entries[number as usize].shared as usize;
                let piece = self.differs(number);
                number = number.wrapping_sub(1);
                if shared < left {
                    let piece = &piece[..left - shared];
                    left = shared;
                    return Some((shared, piece));
                }
            }
            None
        })
    }

    fn is(&self, number: u32, text: &[u8]) -> bool {
        let entry = self.entries[number as usize];
        text.len() == entry.shared as usize + self.differs(number).len()
            && self.pieces(number).all(|(at, piece)| &text[at..at + piece.len()] == piece)
    }

    fn write(&self, number: u32, text: &mut Vec<u8>) {
        text.clear();
        text.resize(self.entries[number as usize].shared as usize + self.differs(number).len(), 0);
        self.pieces(number).for_each(|(at, piece)| text[at..at + piece.len()].copy_from_slice(piece));
    }
}

/// Makes room for more by an eighth instead of doubling: what is kept for long should not be half empty.
pub(super) fn grow<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(list.len() / 8).max(16));
    }
}

/// A length or place as a number: there are less than 2³² of everything, because a body has less than 4 GiB.
fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body of one-letter series; gives those that were not expected.
    fn read(texts: &mut Texts, body: &str) -> String {
        let mut unexpected = String::new();
        texts.begin();
        for (i, letter) in body.bytes().enumerate() {
            let text = [letter];
            if texts.is_expected(&text) {
                texts.take_expected();
                continue;
            }
            unexpected.push(char::from(letter));
            if texts.find(&text).is_none() {
                texts.insert(&text, Known::Series(i as u32));
            }
        }
        texts.commit();
        unexpected
    }

    #[test]
    fn the_same_order_is_expected_again() {
        let mut texts = Texts::default();
        assert_eq!(read(&mut texts, "abcd"), "abcd");
        assert_eq!(read(&mut texts, "abcd"), "");
        assert_eq!(read(&mut texts, "abxcd"), "x", "a new line between others does not disturb them");
        assert_eq!(read(&mut texts, "abxcd"), "");
        assert_eq!(read(&mut texts, "acd"), "c", "behind lines that are gone it finds its place");
        assert_eq!(read(&mut texts, "acd"), "");
        assert_eq!(read(&mut texts, "ac"), "");
        assert_eq!(read(&mut texts, "acd"), "d");
        assert_eq!(read(&mut texts, "dca"), "dca");
        assert_eq!(read(&mut texts, "dca"), "");
    }

    #[test]
    fn texts_that_share_their_beginnings_are_found_whole() {
        let texts_of = |numbers: &[u32]| {
            let text = |n: &u32| format!("request_stage_{}_seconds_bucket{{le=\"{}\"}}", n / 7, n % 7).into_bytes();
            numbers.iter().map(text).collect::<Vec<_>>()
        };
        let mut texts = Texts::default();
        let mut read = |numbers: &[u32], expected: usize| {
            texts.begin();
            let mut parsed: Vec<u8> = Vec::new();
            let mut came = 0;
            for text in texts_of(numbers) {
                let Expected { shared, rest } = texts.expected();
                let whole = [&parsed[..shared], rest].concat();
                assert_eq!(texts.is_expected(&text), whole == text);
                if whole == text {
                    texts.take_expected();
                    came += 1;
                } else if texts.find(&text).is_none() {
                    texts.insert(&text, Known::Dropped);
                }
                parsed = text;
            }
            texts.commit();
            assert_eq!(came, expected, "{numbers:?}");
            texts.bytes.len()
        };
        let all: Vec<u32> = (0..100).collect();
        let bytes = read(&all, 0);
        assert!(bytes < 100 * 10, "{bytes}");
        read(&all, 100);
        let odd: Vec<u32> = (0..100).filter(|n| n % 2 == 1).collect();
        read(&odd, 0);
        assert!(read(&odd, 50) < bytes, "what is gone was forgotten when it was learnt anew");
        let back: Vec<u32> = (0..100).rev().collect();
        read(&back, 0);
        read(&back, 100);
    }

    #[test]
    fn what_was_not_seen_is_left_behind_when_it_is_rebuilt() {
        let mut texts = Texts::default();
        read(&mut texts, "abcd");
        read(&mut texts, "bd");
        let mut new = texts.rebuilt(|series| series + 10);
        assert_eq!(new.len(), (2, 2));
        assert_eq!(new.find(b"a"), None);
        assert_eq!(new.find(b"d"), Some(Known::Series(13)));
        assert_eq!(read(&mut new, "bd"), "");
    }
}
