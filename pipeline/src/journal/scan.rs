//! Reads a segment record by record, and past what is not intact. Headers are taken at their word as long as each is
//! followed by another; where the chain breaks, the checksum decides. Zeros up to a segment's end are no damage: files are
//! written in whole blocks.

use std::io;

use bytes::Bytes;

use super::Record;
use super::record::{HEADER, Header, MAGIC};
use crate::doors::File;

/// Bytes that are read at once while headers are looked at.
const WINDOW: usize = 64 << 10;

/// A place in a segment.
pub(super) struct Scan<'a> {
    file: &'a dyn File,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    /// Bytes that belong to no record that is intact.
    pub(super) skipped: u64,
}

impl<'a> Scan<'a> {
    /// Reads from `at` to `end`.
    pub(super) fn new(file: &'a dyn File, at: u64, end: u64) -> Scan<'a> {
        Scan { file, at, end, window: Vec::new(), window_at: 0, skipped: 0 }
    }

    /// Behind the last record that was found.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next record's header, and where it is.
    pub(super) fn next(&mut self) -> io::Result<Option<(Header, u64)>> {
        while self.at + HEADER as u64 <= self.end {
            let at = self.at;
            let header = Header::parse(self.peek(at, HEADER)?);
            if let Some(header) = header.filter(|h| at + h.record_len() <= self.end) {
                let behind = at + header.record_len();
                let chained = behind == self.end || self.peek(behind, MAGIC.len())? == MAGIC;
                if chained || self.read(&header, at)?.is_some() {
                    self.at = behind;
                    return Ok(Some((header, at)));
                }
            }
            if self.rest_is_empty()? {
                break;
            }
            self.at = self.next_magic(at + 1)?;
            self.skipped += self.at - at;
        }
        if !self.rest_is_empty()? {
            self.skipped += self.end.saturating_sub(self.at);
        }
        self.at = self.end;
        Ok(None)
    }

    /// A record as a whole; `None` when it is not intact.
    pub(super) fn read(&self, header: &Header, at: u64) -> io::Result<Option<Record>> {
        let mut content = vec![0; header.len as usize];
        let got = fill(self.file, &mut content, at + HEADER as u64)?;
        content.truncate(got);
        Ok(header.record(&Bytes::from(content)))
    }

    /// Whether nothing was ever written from here on.
    fn rest_is_empty(&mut self) -> io::Result<bool> {
        let mut at = self.at;
        while at < self.end {
            let window = self.peek(at, WINDOW)?;
            if window.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if window.is_empty() {
                break;
            }
            at += window.len() as u64;
        }
        Ok(true)
    }

    /// The first place from there on where a record may begin.
    fn next_magic(&mut self, mut at: u64) -> io::Result<u64> {
        while at + MAGIC.len() as u64 <= self.end {
            let most = usize::try_from(self.end - at).unwrap_or(WINDOW).min(WINDOW);
            let window = self.peek(at, most)?;
            if let Some(found) = memchr::memmem::find(window, &MAGIC) {
                return Ok(at + found as u64);
            }
            if window.len() < MAGIC.len() {
                break;
            }
            at += (window.len() - MAGIC.len() + 1) as u64;
        }
        Ok(self.end)
    }

    /// Up to `len` bytes at that place, fewer at the end.
    fn peek(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let len = usize::try_from(self.end.saturating_sub(at)).unwrap_or(len).min(len);
        let known = at >= self.window_at && at + len as u64 <= self.window_at + self.window.len() as u64;
        if !known {
            self.window.resize(WINDOW.max(len), 0);
            let got = fill(self.file, &mut self.window, at)?;
            self.window.truncate(got);
            self.window_at = at;
        }
        let from = usize::try_from(at - self.window_at).unwrap_or(usize::MAX).min(self.window.len());
        Ok(&self.window[from..(from + len).min(self.window.len())])
    }
}

/// Reads until `buf` is full or the file ends.
fn fill(file: &dyn File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        match file.read_at(&mut buf[got..], at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
