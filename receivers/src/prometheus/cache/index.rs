//! A hash index over things that live elsewhere: it knows hashes and numbers only, whoever asks compares the things.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A number that no thing has.
pub(super) const NONE: u32 = u32::MAX;

/// From the hash of a thing to its number. Things whose hashes are equal stand behind each other.
#[derive(Debug, Default)]
pub(super) struct Index {
    numbers: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
}

impl Index {
    /// The thing with that hash that `is_it` says it is.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash;
        while let Some(&number) = self.numbers.get(&at) {
            if is_it(number) {
                return Some(number);
            }
            at = at.wrapping_add(1);
        }
        None
    }

    /// Adds a thing that is not there.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        let mut at = hash;
        while self.numbers.contains_key(&at) {
            at = at.wrapping_add(1);
        }
        self.numbers.insert(at, number);
    }
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.0 = self.0.rotate_left(8) ^ u64::from(b));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_with_the_same_hash_are_told_apart() {
        let mut index = Index::default();
        for (hash, number) in [(7, 1), (7, 2), (8, 3), (u64::MAX, 4), (u64::MAX, 5)] {
            index.insert(hash, number);
        }
        for (hash, number) in [(7, 1), (7, 2), (8, 3), (u64::MAX, 4), (u64::MAX, 5)] {
            assert_eq!(index.find(hash, |n| n == number), Some(number));
        }
        assert_eq!(index.find(7, |_| false), None);
        assert_eq!(index.find(9, |n| n == 1), None);
    }
}
