//! Where quotes and backslashes stand in JSON text: found 64 bytes at once and kept as bits, so that the end of a string is
//! mostly known when it begins.

use wide::u8x16;

/// Bytes that are looked at together.
const BLOCK: usize = 64;
/// Where no block is.
const NOWHERE: usize = usize::MAX / 2;

/// The marks of a part of a text. The text must be the same at each call.
#[derive(Clone, Debug)]
pub struct Marks<'a> {
    /// Where the part begins.
    start: usize,
    /// A bit for each of its bytes, the first the lowest.
    bits: u64,
    /// Those of the whole text, where they were looked for before.
    all: &'a [u64],
}

impl Default for Marks<'_> {
    fn default() -> Self {
        Marks::known(&[])
    }
}

/// All marks of a text: a bit for each of its bytes, 64 in a word.
pub fn all_marks(text: &[u8], out: &mut Vec<u64>) {
    out.clear();
    let (blocks, rest) = text.as_chunks();
    out.extend(blocks.iter().map(marks));
    if !rest.is_empty() {
        out.push(match text.last_chunk() {
            // The end of it, with what stands before once more.
            Some(last) => marks(last) >> (BLOCK - rest.len()),
            None => marks_of_few(rest),
        });
    }
}

impl<'a> Marks<'a> {
    /// All that [`all_marks`] has found in a text.
    pub fn known(all: &'a [u64]) -> Marks<'a> {
        Marks { start: NOWHERE, bits: 0, all }
    }

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
        if !self.all.is_empty() {
            return self.look_up(from);
        }
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
        self.bits = marks_of_few(rest);
        (self.bits != 0).then(|| self.start + self.bits.trailing_zeros() as usize)
    }

    fn look_up(&mut self, from: usize) -> Option<usize> {
        let mut index = from / BLOCK;
        let mut left = self.all.get(index)? & u64::MAX << (from % BLOCK);
        while left == 0 {
            index += 1;
            left = *self.all.get(index)?;
        }
        (self.start, self.bits) = (index * BLOCK, self.all[index]);
        Some(self.start + left.trailing_zeros() as usize)
    }
}

/// The marks of less than a block.
fn marks_of_few(bytes: &[u8]) -> u64 {
    let mut block = [0; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    marks(&block)
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
            let mut all = vec![7];
            all_marks(&text, &mut all);
            let (mut marks, mut known) = (Marks::default(), Marks::known(&all));
            for from in places {
                let want = (from..text.len()).find(|at| matches!(text[*at], b'"' | b'\\'));
                prop_assert_eq!(marks.next(&text, from), want, "from {}", from);
                prop_assert_eq!(known.next(&text, from), want, "from {}, known", from);
            }
        }
    }
}
