//! Snappy's block format of a body that comes in pieces. The format compresses 64 KiB at a time, none of which refers to
//! another, so each is compressed while it is still in the processor's cache, and the body need never be there as a whole.
//! Bodies of many records that are alike are better written with [`records`].

use std::io;

mod alike;
pub mod records;
mod tags;

pub use alike::Places;

use super::TOOLS;

/// Bytes that are compressed at once.
pub const BLOCK: usize = 64 << 10;
/// Bytes of the longest length in front of a body.
const LONGEST_LENGTH: usize = 5;

/// A compressor whose output grows.
#[derive(Debug)]
pub struct Blocks {
    out: Vec<u8>,
    /// Bytes that are still to come.
    left: usize,
}

impl Blocks {
    /// For a body of so many bytes.
    ///
    /// # Errors
    /// When that is more than the format has, 4 GiB.
    pub fn new(len: usize) -> io::Result<Blocks> {
        let mut rest = u32::try_from(len).map_err(|_| io::Error::other("snappy has at most 4 GiB"))?;
        let mut out = Vec::with_capacity(LONGEST_LENGTH + len / 4);
        while rest >= 0x80 {
            out.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        out.push(rest.to_le_bytes()[0]);
        Ok(Blocks { out, left: len })
    }

    /// Takes whole blocks out of the start of `bytes`; what is too little for one stays for the next time.
    ///
    /// # Errors
    /// When there is more than was announced.
    pub fn take(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let whole = bytes.len() / BLOCK * BLOCK;
        if whole > 0 {
            self.compress(&bytes[..whole])?;
            bytes.copy_within(whole.., 0);
            bytes.truncate(bytes.len() - whole);
        }
        Ok(())
    }

    /// Takes what stands for the next `text` bytes, compressed by now.
    fn add(&mut self, compressed: &[u8], text: usize) -> io::Result<()> {
        self.count(text)?;
        self.out.extend_from_slice(compressed);
        Ok(())
    }

    fn count(&mut self, text: usize) -> io::Result<()> {
        let left = self.left.checked_sub(text);
        self.left = left.ok_or_else(|| io::Error::other("more was compressed than was announced"))?;
        Ok(())
    }

    /// The compressed body, with the last of its bytes.
    ///
    /// # Errors
    /// When there is less or more than was announced.
    pub fn finish(mut self, rest: &[u8]) -> io::Result<Vec<u8>> {
        self.compress(rest)?;
        if self.left == 0 { Ok(self.out) } else { Err(io::Error::other("less was compressed than was announced")) }
    }

    fn compress(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(bytes.len())?;
        TOOLS.with_borrow_mut(|tools| {
            for block in bytes.chunks(BLOCK) {
                let most = snap::raw::max_compress_len(block.len());
                if tools.scratch.len() < most {
                    tools.scratch.resize(most, 0);
                }
                let len = tools.snappy.compress(block, &mut tools.scratch).map_err(io::Error::other)?;
                // Each comes with its own length in front.
                let own = tools.scratch.iter().position(|byte| *byte < 0x80).map_or(len, |last| last + 1);
                self.out.extend_from_slice(&tools.scratch[own..len]);
            }
            Ok(())
        })
    }
}

/// Compresses a body that is there as a whole.
///
/// # Errors
/// When it is longer than the format has.
pub fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    Blocks::new(body.len())?.finish(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251 * (i / 4096)).to_le_bytes()[0]).collect()
    }

    #[test]
    fn pieces_make_the_same_block_as_the_whole() {
        for len in [0, 1, 127, 128, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77] {
            let body = body(len);
            let whole = snap::raw::Encoder::new().compress_vec(&body).unwrap();
            assert_eq!(compress(&body).unwrap(), whole, "{len}");
            let mut blocks = Blocks::new(len).unwrap();
            let mut pending = Vec::new();
            for piece in body.chunks(30_011) {
                pending.extend_from_slice(piece);
                blocks.take(&mut pending).unwrap();
                assert!(pending.len() < BLOCK);
            }
            assert_eq!(blocks.finish(&pending).unwrap(), whole, "{len}");
        }
    }

    #[test]
    fn another_length_than_was_announced_is_an_error() {
        assert!(Blocks::new(3).unwrap().finish(b"ab").is_err());
        assert!(Blocks::new(1).unwrap().finish(b"ab").is_err());
        assert!(Blocks::new(1).unwrap().take(&mut vec![0; BLOCK]).is_err());
        assert!(Blocks::new(1 << 32).is_err());
    }
}
