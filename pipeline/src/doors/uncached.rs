//! A file whose contents go to the disk past the page cache, in whole blocks: for what is written once and synced at once,
//! which a cache only copies once more.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};

use super::WriteFile;

/// Where such writes begin and end, in memory and on the disk: no disk has larger blocks that can do without.
const BLOCK: usize = 4096;
/// What is written with one call of the operating system at most.
const MOST: usize = 1 << 20;
/// What is set aside for the first of it.
const LEAST: usize = 64 << 10;

/// A file that is written from its beginning. What is flushed is followed by zeros up to the end of its last block, which
/// the next flush writes once more, with what came.
pub(super) struct Uncached {
    file: File,
    blocks: Blocks,
    /// Where in the file the blocks belong.
    at: u64,
    /// Something came since the last flush.
    is_new: bool,
}

impl Uncached {
    /// Makes the file, or empties it. Where the file system has no way past its cache, it is one like all others.
    pub(super) fn create(path: &Path) -> io::Result<Uncached> {
        let open = |flags: OFlags| {
            let flags = i32::try_from(flags.bits()).unwrap_or(0);
            OpenOptions::new().create(true).write(true).truncate(true).custom_flags(flags).open(path)
        };
        let file = match open(OFlags::DIRECT) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => open(OFlags::empty())?,
            opened => opened?,
        };
        Ok(Uncached { file, blocks: Blocks::new(LEAST), at: 0, is_new: false })
    }

    /// Writes what there is, and keeps the block that is not full.
    fn put(&mut self) -> io::Result<()> {
        let padded = self.blocks.padded();
        if let Err(error) = self.file.write_all_at(padded, self.at) {
            if error.kind() != io::ErrorKind::InvalidInput {
                return Err(error);
            }
            // It may be opened so and not be written so, as where blocks are larger.
            fcntl_setfl(&self.file, OFlags::empty())?;
            self.file.write_all_at(padded, self.at)?;
        }
        self.at += self.blocks.keep_the_last() as u64;
        self.is_new = false;
        Ok(())
    }
}

impl Write for Uncached {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.blocks.push(bytes);
        self.is_new |= taken > 0;
        if self.blocks.are_full() {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_new { self.put() } else { Ok(()) }
    }
}

impl WriteFile for Uncached {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Memory that begins where a block does.
struct Blocks {
    memory: Vec<u8>,
    /// Where in it the first block begins.
    from: usize,
    len: usize,
}

impl Blocks {
    fn new(capacity: usize) -> Blocks {
        let memory = vec![0; capacity + BLOCK];
        let from = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        Blocks { memory, from, len: 0 }
    }

    fn capacity(&self) -> usize {
        self.memory.len() - BLOCK
    }

    fn are_full(&self) -> bool {
        self.len == MOST
    }

    /// Takes as much as there is room for; answers how much that was.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(MOST - self.len);
        let needed = self.len + taken;
        if needed > self.capacity() {
            let mut larger = Blocks::new(needed.next_power_of_two().min(MOST));
            larger.push(&self.memory[self.from..][..self.len]);
            *self = larger;
        }
        self.memory[self.from + self.len..][..taken].copy_from_slice(&bytes[..taken]);
        self.len = needed;
        taken
    }

    /// What there is, with zeros up to the end of the last block.
    fn padded(&mut self) -> &[u8] {
        let end = self.len.next_multiple_of(BLOCK);
        self.memory[self.from + self.len..self.from + end].fill(0);
        &self.memory[self.from..self.from + end]
    }

    /// Forgets all full blocks; answers how many bytes they have.
    fn keep_the_last(&mut self) -> usize {
        let full = self.len - self.len % BLOCK;
        self.memory.copy_within(self.from + full..self.from + self.len, self.from);
        self.len -= full;
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_in_the_file_with_each_flush_and_zeros_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment");
        std::fs::write(&path, "what was there before, which goes").unwrap();
        let mut file = Uncached::create(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        let mut expected = Vec::new();
        let sizes = [0, 1, 47, 4000, 48, 4096, 1, 100_000, 8191, 3 * MOST + 5, MOST, 12, MOST - 17, 5, BLOCK, 1];
        for (round, len) in sizes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 7 + round) as u8 | 1).collect();
            expected.extend_from_slice(&bytes);
            file.write_all(&bytes).unwrap();
            if round % 3 < 2 {
                file.flush().unwrap();
                file.flush().unwrap();
                file.sync().unwrap();
                let there = std::fs::read(&path).unwrap();
                assert!(there.len() < expected.len() + BLOCK, "round {round}");
                assert!(there.starts_with(&expected), "round {round}");
                assert!(there[expected.len()..].iter().all(|byte| *byte == 0), "round {round}");
            }
        }
    }

    #[test]
    fn it_sets_aside_what_it_needs_and_no_more() {
        let mut blocks = Blocks::new(LEAST);
        assert_eq!(blocks.push(&[1; 100]), 100);
        assert_eq!(blocks.capacity(), LEAST);
        assert_eq!(blocks.push(&vec![2; 2 * MOST]), MOST - 100, "the rest comes with the next call");
        assert_eq!((blocks.capacity(), blocks.are_full()), (MOST, true));
        assert_eq!(blocks.padded().as_ptr().align_offset(BLOCK), 0);
        assert_eq!((blocks.keep_the_last(), blocks.len), (MOST, 0));
    }
}
