//! A block of snappy, written for somebody who knows himself what stands in a message twice: literals, and copies of what
//! went before. It searches for nothing.

use pipeline::otlp::wire::write_varint;

/// How far back a copy reaches at most; more would take longer tags.
const FARTHEST: usize = 0xffff;
/// Fewer bytes are written again, which takes no more than to say where they are.
const SHORTEST: usize = 4;
/// The longest copy that one tag says.
const LONGEST: usize = 64;
/// The longest literal whose length stands in its tag.
const LONGEST_SHORT_LITERAL: usize = 60;
/// The longest copy, and how far back it reaches, for the shortest kind of tag.
const NEAR: (usize, usize) = (11, 0x7ff);

/// Kinds of tags.
const NEAR_COPY: u8 = 1;
const COPY: u8 = 2;

/// A block being written.
pub struct Block {
    out: Vec<u8>,
    /// Bytes of the message so far.
    at: usize,
    /// Where the tag of the open literal stands.
    literal: Option<usize>,
    /// The open copy: how far back it reaches, and its length, which is 0 if there is none.
    copy: (usize, usize),
}

impl Block {
    /// A block of a message of so many bytes, in the place of `out`.
    pub fn new(mut out: Vec<u8>, bytes: usize) -> Block {
        out.clear();
        write_varint(&mut out, bytes as u64);
        Block { out, at: 0, literal: None, copy: (0, 0) }
    }

    /// Bytes of the message so far.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Bytes that come next.
    #[inline]
    pub fn literal(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.end_copy();
        if self.literal.is_none() {
            self.literal = Some(self.out.len());
            self.out.push(0);
        }
        self.out.extend_from_slice(bytes);
        self.at += bytes.len();
    }

    /// The same of bytes that stand at `from` in the message already.
    #[inline(always)]
    pub fn again(&mut self, from: usize, bytes: &[u8]) {
        let back = self.at - from;
        if self.copy.0 == back && self.copy.1 > 0 {
            self.copy.1 += bytes.len();
            self.at += bytes.len();
        } else {
            self.begin_copy(back, bytes);
        }
    }

    fn begin_copy(&mut self, back: usize, bytes: &[u8]) {
        if bytes.len() < SHORTEST || back > FARTHEST {
            return self.literal(bytes);
        }
        self.end_copy();
        self.end_literal();
        self.copy = (back, bytes.len());
        self.at += bytes.len();
    }

    /// The block.
    pub fn finish(mut self) -> Vec<u8> {
        self.end_copy();
        self.end_literal();
        self.out
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "lengths and distances are cut to what a tag says")]
    fn end_literal(&mut self) {
        let Some(tag) = self.literal.take() else { return };
        let start = tag + 1;
        let last = self.out.len() - start - 1;
        if last < LONGEST_SHORT_LITERAL {
            self.out[tag] = (last as u8) << 2;
            return;
        }
        let bytes = (last as u32).to_le_bytes();
        let wide = bytes.iter().rposition(|b| *b != 0).unwrap_or(0) + 1;
        self.out[tag] = ((LONGEST_SHORT_LITERAL + wide - 1) as u8) << 2;
        self.out.splice(start..start, bytes[..wide].iter().copied());
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "lengths and distances are cut to what a tag says")]
    fn end_copy(&mut self) {
        let (back, mut left) = std::mem::take(&mut self.copy);
        let [low, high] = (back as u16).to_le_bytes();
        while left > 0 {
            if left <= NEAR.0 && left >= SHORTEST && back <= NEAR.1 {
                self.out.extend_from_slice(&[high << 5 | (left as u8 - 4) << 2 | NEAR_COPY, low]);
                return;
            }
            // What is left must not be too short for a tag.
            let len = if left > LONGEST && left < LONGEST + SHORTEST { LONGEST - SHORTEST } else { left.min(LONGEST) };
            self.out.extend_from_slice(&[(len as u8 - 1) << 2 | COPY, low, high]);
            left -= len;
        }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::net::compress::{Coding, decompress};
    use proptest::prelude::*;

    use super::*;

    fn unpacked(block: &[u8]) -> Vec<u8> {
        decompress(Coding::Snappy, block, 1 << 20).unwrap()
    }

    #[test]
    fn literals_of_every_length_come_back() {
        for len in [0, 1, 59, 60, 61, 256, 257, 65_536, 65_537, 70_000] {
            let message: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut block = Block::new(Vec::new(), len);
            message.chunks(50).for_each(|chunk| block.literal(chunk));
            assert_eq!(unpacked(&block.finish()), message);
        }
    }

    /// Bytes of a copy, how far back they stand, and bytes that this takes.
    const COSTS: [(usize, usize, usize); 10] = [
        (4, 10, 2),
        (11, 2047, 2),
        (12, 10, 3),
        (11, 2048, 3),
        (64, 10, 3),
        (65, 10, 5),
        (67, 10, 5),
        (68, 10, 5),
        (128, 10, 6),
        (200, 10, 11),
    ];

    #[test]
    fn copies_take_as_few_bytes_as_they_can() {
        for (len, back, expected) in COSTS {
            let before = vec![7; back];
            let mut block = Block::new(Vec::new(), back + len);
            block.literal(&before);
            let literal = block.out.len();
            block.again(0, &vec![7; len]);
            let tag = if back > 256 { 2 } else { usize::from(back > 60) };
            let whole = block.finish();
            assert_eq!(whole.len() - literal - tag, expected, "{len} bytes, {back} back");
            assert_eq!(unpacked(&whole), vec![7; back + len]);
        }
    }

    /// Bytes of a message: new ones, or those from some place on.
    fn said() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
        prop::collection::vec((any::<u16>().prop_map(usize::from), 0..300usize, any::<bool>()), 0..500)
    }

    proptest! {
        #[test]
        fn what_is_said_comes_back(said in said()) {
            let mut message: Vec<u8> = Vec::new();
            let mut parts = Vec::new();
            for (seed, len, again) in said {
                let from = seed % (message.len() + 1);
                let (start, is_copy) = (message.len(), again && from < message.len());
                for i in 0..len {
                    message.push(if is_copy { message[from + i] } else { (seed + i * i) as u8 });
                }
                parts.push((start..message.len(), is_copy.then_some(from)));
            }
            let mut block = Block::new(b"something old".to_vec(), message.len());
            for (range, from) in parts {
                match from {
                    Some(from) => block.again(from, &message[range]),
                    None => block.literal(&message[range]),
                }
            }
            prop_assert_eq!(unpacked(&block.finish()), message);
        }
    }
}
