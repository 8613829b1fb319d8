//! What a snappy block is made of: literals, and copies of what stands up to 64 KiB before. Written into memory that is
//! there, in steps of a fixed size, the surplus of which the next one covers.

/// How far back a copy reaches at most; more would take longer tags.
pub const FARTHEST: usize = 0xffff;
/// Fewer bytes are not worth a copy.
pub const SHORTEST: usize = 4;
/// The longest copy of one tag.
const LONGEST: usize = 64;
/// The longest literal that is written as one piece of that size.
const PIECE: usize = 16;
/// The longest literal whose length stands in its tag; longer ones have it in the one or two bytes behind.
const LONGEST_TAGGED: usize = 60;
/// The longest literal of one tag here.
const LONGEST_LITERAL: usize = 1 << 16;
/// Kind of a copy whose distance takes two bytes.
const COPY: u8 = 2;
/// Copies that are written at once.
const AT_ONCE: usize = 5;

/// Tags being written.
#[derive(Debug)]
pub struct Tags<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl<'o> Tags<'o> {
    /// Writes from the start of `out`, which must have [`Tags::room`].
    pub fn new(out: &'o mut [u8]) -> Tags<'o> {
        Tags { out, len: 0 }
    }

    /// Bytes that tags of so much text take at most, with what is written beyond them. A copy never takes more than what
    /// it stands for, and a literal one byte more, or three if it is long; between two literals stands a copy.
    pub const fn room(text: usize) -> usize {
        text + text / SHORTEST + 3 * (text / LONGEST_LITERAL) + 64
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Text that is new; none is well, too.
    #[inline(always)]
    pub fn literal(&mut self, text: &[u8], from: usize, to: usize) {
        let len = to - from;
        match text[from..].first_chunk::<PIECE>() {
            Some(piece) if len <= PIECE => {
                self.put(self.len, [tag(len.wrapping_sub(1), 0)]);
                self.put(self.len + 1, *piece);
                self.len += len + usize::from(len > 0);
            }
            _ => text[from..to].chunks(LONGEST_LITERAL).for_each(|piece| self.long_literal(piece)),
        }
    }

    #[inline(never)]
    fn long_literal(&mut self, text: &[u8]) {
        let last = text.len() - 1;
        let [low, high, ..] = last.to_le_bytes();
        let (head, wide) = match last {
            0..LONGEST_TAGGED => ([tag(last, 0), 0, 0], 1),
            LONGEST_TAGGED..=0xff => ([tag(LONGEST_TAGGED, 0), low, 0], 2),
            _ => ([tag(LONGEST_TAGGED + 1, 0), low, high], 3),
        };
        self.put(self.len, head);
        let start = self.len + wide;
        self.out[start..start + text.len()].copy_from_slice(text);
        self.len = start + text.len();
    }

    /// Text of at least one byte that is the same as that so many bytes before, at most [`FARTHEST`].
    #[inline(always)]
    pub fn copy(&mut self, back: usize, len: usize) {
        let [low, high, ..] = back.to_le_bytes();
        let whole = u128::from(u32::from_le_bytes([tag(LONGEST - 1, COPY), low, high, 0]));
        let whole = (whole | whole << 24 | whole << 48 | whole << 72 | whole << 96).to_le_bytes();
        let before = (len - 1) / LONGEST;
        let mut done = 0;
        loop {
            self.put(self.len + done * 3, whole);
            done += AT_ONCE;
            if done >= before {
                break;
            }
        }
        self.put(self.len + before * 3, [tag((len - 1) % LONGEST, COPY), low, high]);
        self.len += before * 3 + 3;
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        let Some(place) = self.out[at..].first_chunk_mut() else {
            unreachable!("there is room for more than is written")
        };
        *place = bytes;
    }
}

/// A tag of six bits of length and two of kind.
#[inline(always)]
fn tag(length: usize, kind: u8) -> u8 {
    length.to_le_bytes()[0] << 2 | kind
}

#[cfg(test)]
mod tests {
    use super::super::super::{Coding, decompress};
    use super::*;

    fn unpacked(len: usize, write: impl FnOnce(&mut Tags<'_>)) -> Vec<u8> {
        let mut out = vec![0xee; Tags::room(len)];
        let mut tags = Tags::new(&mut out);
        write(&mut tags);
        let written = tags.len();
        let mut body = Vec::new();
        crate::otlp::wire::write_varint(&mut body, len as u64);
        body.extend_from_slice(&out[..written]);
        decompress(Coding::Snappy, &body, 1 << 20).unwrap()
    }

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251).to_le_bytes()[0]).collect()
    }

    #[test]
    fn literals_of_every_length_come_back() {
        for len in [0, 1, 15, 16, 17, 59, 60, 61, 256, 257, 65_535, 65_536, 65_537, 200_000] {
            let text = text(len);
            assert_eq!(unpacked(len, |tags| tags.literal(&text, 0, len)), text, "{len}");
        }
    }

    #[test]
    fn copies_of_every_length_come_back() {
        let text = text(70_000);
        for back in [1, 7, 64, 2047, 2048, FARTHEST] {
            for len in [1, 3, 4, 63, 64, 65, 128, 256, 257, 320, 321, 700, 9000] {
                let want: Vec<u8> = (0..70_000 + len)
                    .map(|i| text[if i < 70_000 { i } else { 70_000 - back + (i - 70_000) % back }])
                    .collect();
                let got = unpacked(70_000 + len, |tags| {
                    tags.literal(&text, 0, 70_000);
                    tags.copy(back, len);
                });
                assert!(got == want, "{len} from {back}");
            }
        }
    }
}
