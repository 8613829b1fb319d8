//! From the text of a series in a body to what is known of it. Targets expose their series in the same order each time,
//! so the text that followed last time is what is tried first; then nothing is hashed and no label is read.

use std::hash::{BuildHasher, RandomState};

use super::index::{Index, NONE};

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
    start: u32,
    len: u32,
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
    /// Entries as they stood in the last good body.
    order: Vec<u32>,
    /// Entries as they stand in this body so far.
    next_order: Vec<u32>,
    /// The place in `order` that is expected next.
    at: usize,
    /// Whether this body has gone another way than the last.
    changed: bool,
}

impl Texts {
    /// A new body begins.
    pub(super) fn begin(&mut self) {
        self.next_order.clear();
        self.at = 0;
        self.changed = false;
    }

    /// The text that is expected next; empty if none is.
    #[inline]
    pub(super) fn expected(&self) -> &[u8] {
        match self.order.get(self.at) {
            Some(&entry) => self.text(self.entries[entry as usize]),
            None => &[],
        }
    }

    /// The expected text came. Answers what it is.
    #[inline]
    pub(super) fn take_expected(&mut self) -> Known {
        let number = self.order[self.at];
        self.at += 1;
        self.next_order.push(number);
        self.known(number)
    }

    /// Another text came. Answers what it is, if it is known.
    pub(super) fn find(&mut self, text: &[u8]) -> Option<Known> {
        self.changed = true;
        let hash = self.hasher.hash_one(text);
        let number = self.index.find(hash, |number| self.text(self.entries[number as usize]) == text)?;
        let place = self.entries[number as usize].place;
        if place != NONE {
            self.at = place as usize + 1;
        }
        self.next_order.push(number);
        Some(self.known(number))
    }

    /// Learns a new text, unless there is no room for its number.
    pub(super) fn insert(&mut self, text: &[u8], known: Known) {
        self.changed = true;
        let Ok(end) = u32::try_from(self.bytes.len() + text.len()) else { return };
        let hash = self.hasher.hash_one(text);
        let series = match known {
            Known::Dropped => NONE,
            Known::Series(number) => number,
        };
        let len = number(text.len());
        let start = end - len;
        self.bytes.extend_from_slice(text);
        let entry = number(self.entries.len());
        self.entries.push(Entry { start, len, series, place: NONE });
        self.index.insert(hash, entry);
        self.next_order.push(entry);
    }

    /// The body was good: the next one is expected to look like it.
    pub(super) fn commit(&mut self) {
        if self.changed || self.at != self.order.len() {
            std::mem::swap(&mut self.order, &mut self.next_order);
            self.entries.iter_mut().for_each(|entry| entry.place = NONE);
            for (place, &entry) in self.order.iter().enumerate() {
                self.entries[entry as usize].place = number(place);
            }
        }
    }

    /// How many there are, and how many of them the last good body had.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.entries.len(), self.order.len())
    }

    /// The same with only the texts of the last good body, and with new numbers for the series.
    pub(super) fn rebuilt(&self, renumber: impl Fn(u32) -> u32) -> Texts {
        let mut new = Texts { hasher: self.hasher.clone(), ..Texts::default() };
        let mut entries = vec![NONE; self.entries.len()];
        for (old, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.place != NONE) {
            let known = if entry.series == NONE { Known::Dropped } else { Known::Series(renumber(entry.series)) };
            if known != Known::Series(NONE) {
                entries[old] = number(new.entries.len());
                new.insert(self.text(*entry), known);
            }
        }
        new.next_order = self.order.iter().map(|&old| entries[old as usize]).filter(|&entry| entry != NONE).collect();
        new.commit();
        new
    }

    #[inline]
    fn known(&self, number: u32) -> Known {
        let entry = self.entries[number as usize];
        if entry.series == NONE { Known::Dropped } else { Known::Series(entry.series) }
    }

    #[inline]
    fn text(&self, entry: Entry) -> &[u8] {
        &self.bytes[entry.start as usize..(entry.start + entry.len) as usize]
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
            if texts.expected() == text {
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
