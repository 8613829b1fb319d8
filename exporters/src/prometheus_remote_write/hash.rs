//! A fast hash for tables that live in one process: of texts for symbols, of labels for lanes.

use std::hash::{BuildHasher, RandomState};

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes with a seed of its own, so that nobody outside can choose texts that collide.
#[derive(Clone, Copy, Debug)]
pub struct Hash {
    seed: u64,
}

impl Default for Hash {
    fn default() -> Hash {
        Hash { seed: RandomState::new().hash_one(0) }
    }
}

impl Hash {
    /// The hash of some numbers.
    #[inline]
    pub fn of_numbers(self, numbers: &[u32]) -> u64 {
        let start = self.seed ^ (numbers.len() as u64).wrapping_mul(ODD);
        numbers.iter().fold(start, |hash, number| mix(hash ^ u64::from(*number)))
    }

    /// One hash of two.
    #[inline]
    pub fn of_both(self, a: u64, b: u64) -> u64 {
        mix(mix(self.seed ^ a) ^ b)
    }

    /// The hash of some bytes.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> u64 {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let start = self.seed ^ (bytes.len() as u64).wrapping_mul(ODD);
        let all = chunks.iter().fold(start, |hash, chunk| mix(hash ^ u64::from_le_bytes(*chunk)));
        mix(all ^ u64::from_le_bytes(last))
    }
}

/// Both halves of a wide product.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves are meant")]
fn mix(value: u64) -> u64 {
    let product = u128::from(value) * u128::from(ODD | 1 << 63);
    product as u64 ^ (product >> 64) as u64
}
