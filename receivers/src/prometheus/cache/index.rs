//! A hash index over things that live elsewhere: it knows hashes and numbers only, whoever asks compares the things.
//! There are as many entries as there are series, so an entry is 8 bytes and few are empty.

/// A number that no thing has.
pub(super) const NONE: u32 = u32::MAX;

/// From the hash of a thing to its number. Things are never taken out.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The upper half of the hash and the number, `NONE` where there is nothing; behind its own place stands what found
    /// that taken. The length is a power of two.
    places: Vec<(u32, u32)>,
    used: usize,
}

/// The half of a hash that is kept.
#[allow(clippy::cast_possible_truncation, reason = "half of it is wanted")]
const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Index {
    /// The thing with that hash that `is_it` says it is.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(upper(hash))?;
        loop {
            match self.places[at] {
                (_, NONE) => return None,
                (half, number) if half == upper(hash) && is_it(number) => return Some(number),
                _ => at = (at + 1) & (self.places.len() - 1),
            }
        }
    }

    /// Adds a thing that is not there.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        if self.used >= self.places.len() / 8 * 7 {
            let larger = vec![(0, NONE); (self.places.len() * 2).max(8)];
            let all = std::mem::replace(&mut self.places, larger);
            all.into_iter().filter(|(_, number)| *number != NONE).for_each(|(half, number)| self.put(half, number));
        }
        self.put(upper(hash), number);
        self.used += 1;
    }

    fn put(&mut self, half: u32, number: u32) {
        let Some(mut at) = self.home(half) else { return };
        while self.places[at].1 != NONE {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = (half, number);
    }

    /// Where a thing stands if nothing else does.
    #[inline]
    fn home(&self, half: u32) -> Option<usize> {
        (!self.places.is_empty()).then(|| half as usize & (self.places.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHES: [(u64, u32); 5] = [(7 << 32, 1), (7 << 32, 2), (8 << 32, 3), (u64::MAX, 4), (u64::MAX, 5)];

    #[test]
    fn things_with_the_same_hash_are_told_apart() {
        let mut index = Index::default();
        assert_eq!(index.find(7 << 32, |_| true), None);
        for (hash, number) in HASHES {
            index.insert(hash, number);
        }
        for (hash, number) in HASHES {
            assert_eq!(index.find(hash, |n| n == number), Some(number));
        }
        assert_eq!(index.find(7 << 32, |_| false), None);
        assert_eq!(index.find(9 << 32, |n| n == 1), None);
    }

    #[test]
    fn things_are_found_after_it_has_grown() {
        let mut index = Index::default();
        let hash = |number: u32| u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..1000).for_each(|number| index.insert(hash(number), number));
        assert!((0..1000).all(|number| index.find(hash(number), |n| n == number) == Some(number)));
        assert_eq!(index.places.len(), 2048);
    }
}
