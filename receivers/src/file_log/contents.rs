//! What an open file holds: its bytes, or, where it is compressed, the text that they stand for. The rest of the receiver
//! sees no difference but that the length of a compressed one is not known before it was read.

use std::cell::RefCell;
use std::io;

use pipeline::doors::{File, FileStat};

use super::gunzip::Gunzip;

/// An open file's contents.
pub struct Contents {
    file: Box<dyn File>,
    gunzip: Option<RefCell<Gunzip>>,
}

impl Contents {
    /// Those of a file, compressed with gzip or not.
    pub fn of(file: Box<dyn File>, gzip: bool) -> Contents {
        Contents { file, gunzip: gzip.then(RefCell::default) }
    }

    /// Reads from a place; less than asked only at the end of what is there by now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(gunzip) = &self.gunzip else {
            let mut filled = 0;
            while filled < buf.len() {
                match self.file.read_at(&mut buf[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(filled);
        };
        gunzip.borrow_mut().read_at(&*self.file, buf, offset)
    }

    /// What the file is now; its length and time of change are those of its bytes.
    ///
    /// # Errors
    /// The operating system's.
    pub fn stat(&self) -> io::Result<FileStat> {
        let stat = self.file.stat()?;
        if let Some(gunzip) = &self.gunzip {
            gunzip.borrow_mut().check(&*self.file, stat.len)?;
        }
        Ok(stat)
    }

    /// The most that there can be in a file of that length.
    pub fn most(&self, stat: &FileStat) -> u64 {
        if self.gunzip.is_some() { u64::MAX } else { stat.len }
    }

    /// How much there is in a file of that length. What is compressed is read to its end for it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn len(&self, stat: &FileStat) -> io::Result<u64> {
        match &self.gunzip {
            Some(gunzip) => gunzip.borrow_mut().len(&*self.file),
            None => Ok(stat.len),
        }
    }

    /// Whether more must come because what is compressed breaks off.
    pub fn breaks_off(&self) -> bool {
        self.gunzip.as_ref().is_some_and(|gunzip| gunzip.borrow().breaks_off())
    }

    /// What is wrong with the compressed bytes behind what could be read of them.
    pub fn damage(&self) -> Option<String> {
        self.gunzip.as_ref().and_then(|gunzip| gunzip.borrow().damage())
    }

    /// Takes a lock that others may share; false where somebody has the file for himself.
    ///
    /// # Errors
    /// The operating system's.
    pub fn lock(&self) -> io::Result<bool> {
        self.file.lock()
    }

    /// Gives the lock back.
    pub fn unlock(&self) {
        // A lock ends with its file at the latest.
        _ = self.file.unlock();
    }

    /// Bytes that were read and may leave the page cache. Those of compressed files are read ahead, and stay.
    pub fn forget(&self, from: u64, to: u64) {
        if self.gunzip.is_none() {
            self.file.forget(from, to - from);
        }
    }

    /// What stands before that place will not be read again soon.
    pub fn done_before(&self, offset: u64) {
        if let Some(gunzip) = &self.gunzip {
            gunzip.borrow_mut().done_before(offset);
        }
    }
}
