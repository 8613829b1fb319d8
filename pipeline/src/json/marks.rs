//! Where quotes and backslashes stand in JSON text: found 64 bytes at once and kept as bits, so that the end of a string is
//! mostly known when it begins.

use wide::u8x16;

/// Bytes that are looked at together.
const BLOCK: usize = 64;
/// Where no block is.
const NOWHERE: usize = usize::MAX / 2;

/// The marks of a part of a text. The text must be the same at each call.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Where the part begins.
    start: usize,
    /// A bit for each of its bytes, the first the lowest.
    bits: u64,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks { start: NOWHERE, bits: 0 }
    }
}

impl Marks {
    /// Where the next quote or backslash stands, from a place on. Places may come in any order; upwards is fast.
    #[inline]
    pub fn next(&mut self, text: &[u8], from: usize) -> Option<usize> {
        let inside = from.wrapping_sub(self.start);
        if inside >= BLOCK {
            return self.search(text, from);
        }
        match self.bits >> inside {
            0 => self.search(text, self.start + BLOCK),
            left => Some(from + left.trailing_zeros() as usize),
        }
    }

    fn search(&mut self, text: &[u8], from: usize) -> Option<usize> {
        let mut rest = text.get(from..)?;
        self.start = from;
        while let Some((block, behind)) = rest.split_first_chunk() {
            self.bits = marks(block);
            if self.bits != 0 {
                return Some(self.start + self.bits.trailing_zeros() as usize);
            }
            self.start += BLOCK;
            rest = behind;
        }
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        self.bits = marks(&block);
        (self.bits != 0).then(|| self.start + self.bits.trailing_zeros() as usize)
    }
}

fn marks(block: &[u8; BLOCK]) -> u64 {
    let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
    let bits = |part: [u8; 16]| {
        let part = u8x16::new(part);
        u64::from((part.simd_eq(quote) | part.simd_eq(backslash)).to_bitmask())
    };
    match block.as_chunks() {
        ([a, b, c, d], []) => bits(*a) | bits(*b) << 16 | bits(*c) << 32 | bits(*d) << 48,
        _ => unreachable!("64 bytes are four times 16"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_mark_is_the_one_that_a_search_byte_by_byte_finds(
            text in prop::collection::vec(prop::sample::select(b"\"\\a{\xc3".to_vec()), 0..300),
            plain in prop::collection::vec(0usize..300, 0..290),
            mut places in prop::collection::vec(0usize..320, 1..40),
            sorted in any::<bool>(),
        ) {
            let mut text = text;
            for at in plain.into_iter().filter(|at| *at < text.len()).collect::<Vec<_>>() {
                text[at] = b'x';
            }
            if sorted {
                places.sort_unstable();
            }
            let mut marks = Marks::default();
            for from in places {
                let want = (from..text.len()).find(|at| matches!(text[*at], b'"' | b'\\'));
                prop_assert_eq!(marks.next(&text, from), want, "from {}", from);
            }
        }
    }
}
