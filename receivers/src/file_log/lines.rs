//! Cuts bytes into lines: at newlines, with a most length, or not at all.

use memchr::memchr;

use super::config::Oversize;

/// How bytes are cut.
#[derive(Clone, Copy, Debug)]
pub struct Cutter {
    /// The longest line, without its end.
    pub most: usize,
    /// What becomes of a longer one.
    pub oversize: Oversize,
    /// Whether newlines end lines; otherwise whatever is there is one.
    pub at_newlines: bool,
}

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line of `len` bytes; with its end it takes `taken`.
    Line {
        /// Bytes of the line itself.
        len: usize,
        /// Bytes until the next one.
        taken: usize,
    },
    /// So many bytes of a line whose start was taken and whose rest is left out.
    Rest(usize),
    /// A line whose end is not there yet.
    Open,
}

impl Cutter {
    /// Bytes that must be there at least for the longest line to be seen whole, with its end.
    pub fn room(&self) -> usize {
        self.most.saturating_add(2)
    }

    /// What stands at the start of `bytes`, which are not empty. `in_rest` says that they are in a line whose rest is left
    /// out, and is kept up; `last` says that nothing will follow, so that a line needs no end.
    pub fn next(&self, bytes: &[u8], in_rest: &mut bool, last: bool) -> Piece {
        if !self.at_newlines {
            let len = bytes.len().min(self.most);
            return Piece::Line { len, taken: len };
        }
        if *in_rest {
            let Some(end) = memchr(b'\n', bytes) else { return Piece::Rest(bytes.len()) };
            *in_rest = false;
            return Piece::Rest(end + 1);
        }
        let seen = &bytes[..bytes.len().min(self.room())];
        if let Some(end) = memchr(b'\n', seen) {
            let len = end - usize::from(end > 0 && bytes[end - 1] == b'\r');
            if len <= self.most {
                return Piece::Line { len, taken: end + 1 };
            }
        }
        if bytes.len() > self.most && !(seen.len() < self.room() && seen.ends_with(b"\r") && !last) {
            let len = char_boundary(bytes, self.most);
            *in_rest = self.oversize == Oversize::Truncate;
            return Piece::Line { len, taken: len };
        }
        if last { Piece::Line { len: bytes.len(), taken: bytes.len() } } else { Piece::Open }
    }
}

/// The last place up to `at` that is not inside a character, if there is one within three bytes.
fn char_boundary(bytes: &[u8], at: usize) -> usize {
    (0..4.min(at)).map(|back| at - back).find(|&i| bytes[i] & 0xc0 != 0x80).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(most: usize, oversize: Oversize, bytes: &str, last: bool) -> Vec<String> {
        let cutter = Cutter { most, oversize, at_newlines: true };
        let (mut out, mut rest, mut in_rest) = (Vec::new(), bytes.as_bytes(), false);
        while !rest.is_empty() {
            match cutter.next(rest, &mut in_rest, last) {
                Piece::Line { len, taken } => {
                    out.push(String::from_utf8(rest[..len].to_vec()).unwrap());
                    rest = &rest[taken..];
                }
                Piece::Rest(taken) => rest = &rest[taken..],
                Piece::Open => {
                    out.push(format!("({})", String::from_utf8(rest.to_vec()).unwrap()));
                    break;
                }
            }
        }
        out
    }

    #[test]
    fn newlines_end_lines_with_or_without_a_carriage_return() {
        assert_eq!(cut(10, Oversize::Split, "a\r\n\nb\rc\nd", false), ["a", "", "b\rc", "(d)"]);
        assert_eq!(cut(10, Oversize::Split, "a\nd", true), ["a", "d"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_split_or_cut_between_characters() {
        assert_eq!(cut(4, Oversize::Split, "abcdefghi\nxyzw\r\nklmn\n", false), ["abcd", "efgh", "i", "xyzw", "klmn"]);
        assert_eq!(cut(4, Oversize::Truncate, "abcdefghi\nxyzw\r\nklmn\n", false), ["abcd", "xyzw", "klmn"]);
        assert_eq!(cut(4, Oversize::Split, "abcéd\n", false), ["abc", "éd"]);
        assert_eq!(cut(4, Oversize::Truncate, "abcde", false), ["abcd"]);
        assert_eq!(cut(4, Oversize::Split, "abcd\r", false), ["(abcd\r)"]);
        assert_eq!(cut(4, Oversize::Split, "abcd\r", true), ["abcd", "\r"]);
    }

    #[test]
    fn a_limit_below_the_size_of_a_character_still_gets_on() {
        let cutter = Cutter { most: 1, oversize: Oversize::Split, at_newlines: true };
        assert_eq!(cutter.next("é".as_bytes(), &mut false, false), Piece::Line { len: 1, taken: 1 });
    }

    #[test]
    fn without_newlines_whatever_is_there_is_one_piece() {
        let cutter = Cutter { most: 4, oversize: Oversize::Split, at_newlines: false };
        assert_eq!(cutter.next(b"a\nb", &mut false, false), Piece::Line { len: 3, taken: 3 });
        assert_eq!(cutter.next(b"a\nbcd", &mut false, false), Piece::Line { len: 4, taken: 4 });
    }
}
