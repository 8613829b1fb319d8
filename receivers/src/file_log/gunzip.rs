//! Reads gzip files that may still grow, as text at places: any number of members behind each other, the last one as far
//! as it is there. What was read lately is kept, so that reading on and looking back a little cost nothing; any other place is
//! reached by reading again from the start of a member. Memory is bounded whatever the file claims.

use std::io;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use pipeline::doors::File;

use super::progress::START;

/// Bytes of compressed data that are read at once.
const INPUT: usize = 64 << 10;
/// Text that is made at once.
const OUTPUT: usize = 64 << 10;
/// Text that is kept at least while a file is read.
const KEPT: usize = 512 << 10;
/// The start of the text, which tells files apart, is always kept.
const HEAD: usize = 1 << 10;
/// The longest header of a member.
const MOST_HEADER: usize = 64 << 10;
/// The trailer of a member: checksum and length.
const TRAILER: usize = 8;

/// Where reading stands.
pub struct Gunzip {
    /// Compressed bytes that were used.
    used: u64,
    /// Text that was made.
    made: u64,
    state: State,
    /// The start of the present member, in the file and in the text.
    member: (u64, u64),
    damage: Option<String>,
    /// Text before `made`.
    kept: Vec<u8>,
    /// The start of the text, up to [`HEAD`].
    head: Vec<u8>,
    /// The first compressed bytes, to tell when the file holds something else.
    start: Vec<u8>,
    at_end: bool,
}

enum State {
    Header,
    Body { inflate: Box<Decompress>, crc: Crc },
    Trailer { crc: Crc },
}

impl Default for Gunzip {
    fn default() -> Gunzip {
        Gunzip {
            used: 0,
            made: 0,
            state: State::Header,
            member: (0, 0),
            damage: None,
            kept: Vec::new(),
            head: Vec::new(),
            start: Vec::new(),
            at_end: false,
        }
    }
}

impl Gunzip {
    /// Reads text from a place; less than asked only at the end of what is there by now.
    pub fn read_at(&mut self, file: &dyn File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64);
        if end <= self.head.len() as u64 {
            let from = usize::try_from(offset).unwrap_or(0);
            buf.copy_from_slice(&self.head[from..from + buf.len()]);
            return Ok(buf.len());
        }
        if offset < self.made - self.kept.len() as u64 {
            self.go_back(offset);
        }
        let keep = KEPT.max(buf.len() * 2);
        while self.made < end {
            if !self.step(file)? {
                break;
            }
            // What is asked for stays, and what stands before it a little.
            let before = usize::try_from(self.made.saturating_sub(offset)).unwrap_or(keep).max(keep);
            if self.kept.len() > before * 2 {
                self.kept.drain(..self.kept.len() - before);
            }
        }
        let Some(from) = self.kept.len().checked_sub(usize::try_from(self.made.saturating_sub(offset)).unwrap_or(0))
        else {
            return Ok(0);
        };
        if offset >= self.made {
            return Ok(0);
        }
        let len = buf.len().min(self.kept.len() - from);
        buf[..len].copy_from_slice(&self.kept[from..from + len]);
        Ok(len)
    }

    /// How much text there is by now.
    pub fn len(&mut self, file: &dyn File) -> io::Result<u64> {
        while self.step(file)? {
            if self.kept.len() > KEPT * 2 {
                self.kept.drain(..self.kept.len() - KEPT);
            }
        }
        Ok(self.made)
    }

    /// Begins anew if the file is shorter than what was read of it, or begins with something else.
    pub fn check(&mut self, file: &dyn File, len: u64) -> io::Result<()> {
        let mut start = [0; START];
        let read = file.read_at(&mut start, 0)?;
        if len < self.used || !start[..read].starts_with(&self.start) {
            *self = Gunzip::default();
        }
        if read > self.start.len() {
            self.start = start[..read].to_vec();
        }
        Ok(())
    }

    /// Whether the last member has no end yet.
    pub fn breaks_off(&self) -> bool {
        self.damage.is_none() && self.at_end && (!matches!(self.state, State::Header) || self.used == 0)
    }

    /// What is wrong with the data behind what was made.
    pub fn damage(&self) -> Option<String> {
        self.damage.as_ref().map(|what| format!("{what} at byte {}", self.used))
    }

    /// Text before that place need not be kept.
    pub fn done_before(&mut self, offset: u64) {
        let from = (self.made - self.kept.len() as u64).max(offset);
        let keep = usize::try_from(self.made.saturating_sub(from)).unwrap_or(0).min(self.kept.len());
        self.kept.drain(..self.kept.len() - keep);
        self.kept.shrink_to(keep);
    }

    /// Back to the start of the member that holds a place, or to that of the file.
    fn go_back(&mut self, offset: u64) {
        let (used, made) = if self.member.1 <= offset { self.member } else { (0, 0) };
        (self.used, self.made, self.member) = (used, made, (used, made));
        self.state = State::Header;
        self.damage = None;
        self.kept.clear();
    }

    /// Reads on a little. Answers whether there was something.
    fn step(&mut self, file: &dyn File) -> io::Result<bool> {
        if self.damage.is_some() {
            return Ok(false);
        }
        let mut input = vec![0; INPUT];
        let read = file.read_at(&mut input, self.used)?;
        self.at_end = read < INPUT;
        let mut input = &input[..read];
        let made = self.made;
        while !input.is_empty() && self.damage.is_none() && self.made - made < OUTPUT as u64 {
            let taken = match &self.state {
                State::Header => self.header(input),
                State::Body { .. } => self.body(input),
                State::Trailer { .. } => self.trailer(input),
            };
            if taken == 0 {
                // What is there is too little, or gives nothing yet.
                return Ok(self.made > made);
            }
            self.used += taken as u64;
            input = &input[taken..];
        }
        // With input left it was the output that was enough.
        Ok(self.damage.is_none() && (self.made > made || read == INPUT))
    }

    fn header(&mut self, input: &[u8]) -> usize {
        if self.used > 0 && input[0] == 0 {
            // Some tools fill up the last block with zeros.
            return input.iter().take_while(|b| **b == 0).count();
        }
        match header_len(input) {
            Ok(Some(len)) => {
                self.member = (self.used, self.made);
                self.state = State::Body { inflate: Box::new(Decompress::new(false)), crc: Crc::new() };
                len
            }
            Ok(None) if input.len() < MOST_HEADER => 0,
            _ => {
                self.damage = Some("there is no gzip data".to_owned());
                0
            }
        }
    }

    fn body(&mut self, input: &[u8]) -> usize {
        let State::Body { inflate, crc } = &mut self.state else { return 0 };
        let before = self.kept.len();
        self.kept.resize(before + OUTPUT, 0);
        let (total_in, total_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(input, &mut self.kept[before..], FlushDecompress::Sync);
        let taken = usize::try_from(inflate.total_in() - total_in).unwrap_or(0);
        let made = usize::try_from(inflate.total_out() - total_out).unwrap_or(0);
        self.kept.truncate(before + made);
        crc.update(&self.kept[before..]);
        if self.made < HEAD as u64 && self.head.len() as u64 == self.made {
            let more = made.min(HEAD - self.head.len());
            self.head.extend_from_slice(&self.kept[before..before + more]);
        }
        self.made += made as u64;
        match status {
            Ok(Status::StreamEnd) => {
                let State::Body { crc, .. } = std::mem::replace(&mut self.state, State::Header) else { return taken };
                self.state = State::Trailer { crc };
            }
            Ok(_) => {}
            Err(_) => self.damage = Some("the gzip data are damaged".to_owned()),
        }
        taken
    }

    fn trailer(&mut self, input: &[u8]) -> usize {
        let (State::Trailer { crc }, Some(trailer)) = (&self.state, input.first_chunk::<TRAILER>()) else { return 0 };
        let [a, b, c, d, ..] = *trailer;
        if u32::from_le_bytes([a, b, c, d]) != crc.sum() {
            self.damage = Some("the checksum of the gzip data is another one than that of the text".to_owned());
        }
        self.state = State::Header;
        self.member = (self.used + TRAILER as u64, self.made);
        TRAILER
    }
}

/// The length of the header at the start; `None` where it is not whole yet, an error where there is none.
fn header_len(input: &[u8]) -> Result<Option<usize>, ()> {
    let magic = [0x1f, 0x8b, 8];
    if !input.iter().zip(&magic).all(|(a, b)| a == b) {
        return Err(());
    }
    let Some(&flags) = input.get(3) else { return Ok(None) };
    let mut len = 10;
    if flags & 4 != 0 {
        let Some(extra) = input.get(len..len + 2) else { return Ok(None) };
        len += 2 + usize::from(u16::from_le_bytes([extra[0], extra[1]]));
    }
    for text in [8, 16] {
        if flags & text != 0 {
            let Some(end) = input.get(len..).and_then(|rest| memchr::memchr(0, rest)) else { return Ok(None) };
            len += end + 1;
        }
    }
    if flags & 2 != 0 {
        len += 2;
    }
    Ok((input.len() >= len).then_some(len))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use pipeline::doors::{Clock, Files};
    use pipeline::testing::VirtualFiles;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Text that does not compress to nothing.
    fn text(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 60) as u8 + b'a'
        };
        (0..len).map(|_| next()).collect()
    }

    fn open(files: &VirtualFiles) -> Box<dyn File> {
        files.open(Path::new("/a.gz")).unwrap()
    }

    #[test]
    fn any_place_of_a_growing_file_of_several_members_is_read() {
        let files = VirtualFiles::new(Clock::system());
        let parts = [text(700_000, 1), text(1_800_000, 2), text(10, 3)];
        let all = parts.concat();
        let compressed: Vec<u8> = parts.iter().flat_map(|p| gzip(p)).collect();
        files.put("/a.gz", "");
        let (file, mut gunzip) = (open(&files), Gunzip::default());
        let (mut got, mut written) = (Vec::new(), 0);
        for piece in [0, 1, 5, 9, 30_000, 400_000, 7, 800_000, usize::MAX] {
            let end = compressed.len().min(written + piece.min(compressed.len()));
            files.append("/a.gz", &compressed[written..end]);
            written = end;
            gunzip.check(&*file, written as u64).unwrap();
            let mut buf = vec![0; 300_000];
            loop {
                let read = gunzip.read_at(&*file, &mut buf, got.len() as u64).unwrap();
                got.extend_from_slice(&buf[..read]);
                if read < buf.len() {
                    break;
                }
            }
            assert_eq!(gunzip.breaks_off(), written < compressed.len(), "{written}");
        }
        assert!(got == all);
        for offset in [0, 500, 699_999, 1_000_000, 2_400_000, all.len() - 4, all.len(), all.len() + 9] {
            let mut buf = vec![0; 1500];
            let read = gunzip.read_at(&*file, &mut buf, offset as u64).unwrap();
            let want = all.get(offset..).unwrap_or_default();
            assert!(buf[..read] == want[..want.len().min(1500)], "{offset}");
            gunzip.done_before(offset as u64);
        }
        assert_eq!(gunzip.len(&*file).unwrap(), all.len() as u64);
        assert_eq!(gunzip.damage(), None);
    }

    #[test]
    fn what_stands_before_damage_is_read_and_the_damage_is_named() {
        let files = VirtualFiles::new(Clock::system());
        let good = gzip(b"good\n");
        let mut checksum = good.clone();
        let at = checksum.len() - 8;
        checksum[at] ^= 1;
        for (bytes, want, why) in [
            ([&good[..], b"rest"].concat(), "good\n", Some("there is no gzip data at byte 25")),
            ([&good[..], &[0; 512]].concat(), "good\n", None),
            (checksum, "good\n", Some("the checksum of the gzip data is another one than that of the text at byte 25")),
            (b"plain text".to_vec(), "", Some("there is no gzip data at byte 0")),
            ([&good[..10], b"\xff\xff\xff\xff"].concat(), "", Some("the gzip data are damaged at byte 11")),
        ] {
            files.put("/a.gz", &bytes);
            let mut gunzip = Gunzip::default();
            let mut buf = [0; 100];
            let read = gunzip.read_at(&*open(&files), &mut buf, 0).unwrap();
            assert_eq!(&buf[..read], want.as_bytes());
            assert_eq!(gunzip.damage().as_deref(), why);
        }
    }

    #[test]
    fn a_file_that_holds_something_else_is_begun_anew() {
        let files = VirtualFiles::new(Clock::system());
        let mut gunzip = Gunzip::default();
        let mut buf = [0; 100];
        for text in ["one\n", "another\n", "x\n"] {
            files.put("/a.gz", gzip(text.as_bytes()));
            let file = open(&files);
            gunzip.check(&*file, files.contents("/a.gz").len() as u64).unwrap();
            let read = gunzip.read_at(&*file, &mut buf, 0).unwrap();
            assert_eq!(&buf[..read], text.as_bytes());
        }
    }
}
