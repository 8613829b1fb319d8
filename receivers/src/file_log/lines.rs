//! Cuts bytes into lines: at newlines, at what a pattern says, with a most length, or not at all.

use memchr::memchr;
use pipeline::config::re2;
use regex::bytes::Regex;

use super::config::{Multiline, Oversize};
use super::encoding::{Encoding, Text};

/// Text of two-byte units is looked at in windows of so many bytes, and more as needed.
const WINDOW: usize = 4 << 10;
/// What a pattern matches is about so long at most, where the rest of a line is left out.
const LONGEST_MATCH: usize = 4 << 10;

/// How bytes are cut.
#[derive(Clone, Debug)]
pub struct Cutter {
    /// The longest line, without its end.
    pub most: usize,
    /// What becomes of a longer one.
    pub oversize: Oversize,
    /// What ends lines.
    pub ends: Ends,
    /// What the bytes are.
    pub encoding: Encoding,
}

/// What ends lines.
#[derive(Clone, Debug)]
pub enum Ends {
    /// Newlines.
    Newline,
    /// The start of the next one.
    Start(Pattern),
    /// What stands at their end.
    End(Pattern),
    /// Nothing: whatever is there is one.
    Nothing,
}

/// What stands at the start or end of a line.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Whether it is left out.
    omit: bool,
}

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line.
    Line {
        /// Where it begins.
        from: usize,
        /// Where it ends, without its end.
        to: usize,
        /// Where the next one begins.
        taken: usize,
    },
    /// So many bytes of a line whose start was taken and whose rest is left out.
    Rest(usize),
    /// A line whose end is not there yet.
    Open,
}

/// Where a line ends: its text from and to, the next one's start.
type Found = (usize, usize, usize);

impl Ends {
    /// What the settings say.
    ///
    /// # Errors
    /// The key of a pattern that is none, and why.
    pub fn new(multiline: Option<&Multiline>, encoding: Encoding) -> Result<Ends, (&'static str, String)> {
        let Some(multiline) = multiline else {
            return Ok(if encoding == Encoding::Nop { Ends::Nothing } else { Ends::Newline });
        };
        let pattern = |key, text: &str| {
            let regex = re2::multiline(text).map_err(|why| (key, why))?;
            Ok(Pattern { regex, omit: multiline.omit_pattern })
        };
        match (multiline.line_start_pattern.as_str(), multiline.line_end_pattern.as_str()) {
            ("", "") => Err(("", "needs \"line_start_pattern\" or \"line_end_pattern\"".to_owned())),
            (start, "") => pattern("line_start_pattern", start).map(Ends::Start),
            ("", end) => pattern("line_end_pattern", end).map(Ends::End),
            _ => {
                Err(("line_end_pattern", "lines have a start or an end; leave `line_start_pattern` or this out".into()))
            }
        }
    }
}

impl Cutter {
    /// Bytes that must be there at least for the longest line to be seen whole, with its end.
    pub fn room(&self) -> usize {
        self.most.saturating_add(4)
    }

    /// What stands at the start of `bytes`, which are not empty. `in_rest` says that they are in a line whose rest is left
    /// out, and is kept up; `last` says that nothing will follow, so that a line needs no end.
    pub fn next(&self, bytes: &[u8], in_rest: &mut bool, last: bool) -> Piece {
        if matches!(self.ends, Ends::Nothing) {
            let len = bytes.len().min(self.most);
            return Piece::Line { from: 0, to: len, taken: len };
        }
        if *in_rest {
            return match self.find(bytes, last) {
                Some((_, _, end)) => {
                    *in_rest = false;
                    Piece::Rest(end)
                }
                None => self.rest(bytes, last),
            };
        }
        let seen = &bytes[..bytes.len().min(self.room())];
        let found = self.find(seen, last && seen.len() == bytes.len());
        if let Some((from, to, taken)) = found
            && to - from <= self.most
        {
            return Piece::Line { from, to, taken };
        }
        let could_end = !last && found.is_none() && seen.len() < self.room() && self.may_end_with(seen);
        if bytes.len() > self.most && !could_end {
            let len = self.boundary(bytes, self.most);
            *in_rest = self.oversize == Oversize::Truncate;
            return Piece::Line { from: 0, to: len, taken: len };
        }
        if last { Piece::Line { from: 0, to: bytes.len(), taken: bytes.len() } } else { Piece::Open }
    }

    /// What can be left out of bytes without a line's end in them.
    fn rest(&self, bytes: &[u8], last: bool) -> Piece {
        match &self.ends {
            _ if last => Piece::Rest(bytes.len()),
            Ends::Newline | Ends::Nothing => match bytes.len() / self.unit() * self.unit() {
                0 => Piece::Open,
                whole => Piece::Rest(whole),
            },
            // The first part of a pattern may stand at the end.
            _ if bytes.len() > 2 * LONGEST_MATCH => Piece::Rest((bytes.len() - LONGEST_MATCH) & !1),
            _ => Piece::Open,
        }
    }

    fn unit(&self) -> usize {
        self.encoding.unit()
    }

    /// Whether the last of some bytes may be the first of a line's end.
    fn may_end_with(&self, bytes: &[u8]) -> bool {
        let unit = self.unit();
        bytes.len() <= self.most + unit
            && bytes.chunks_exact(unit).last().is_some_and(|last| is(last, b'\r', self.encoding))
    }

    fn find(&self, bytes: &[u8], last: bool) -> Option<Found> {
        match (&self.ends, self.encoding) {
            (Ends::Nothing, _) => None,
            (Ends::Newline, Encoding::Utf16 { .. }) => self.newline_of_units(bytes),
            (Ends::Newline, _) => {
                let end = memchr(b'\n', bytes)?;
                Some((0, end - usize::from(end > 0 && bytes[end - 1] == b'\r'), end + 1))
            }
            (Ends::Start(_) | Ends::End(_), Encoding::Utf16 { .. }) => self.match_of_units(bytes, last),
            (Ends::Start(pattern), _) => pattern.start(bytes, last),
            (Ends::End(pattern), _) => pattern.end(bytes, last),
        }
    }

    fn newline_of_units(&self, bytes: &[u8]) -> Option<Found> {
        let mut from = 0;
        loop {
            let at = from + memchr(b'\n', &bytes[from..])?;
            let at = at & !1;
            let unit = bytes.get(at..at + 2)?;
            if is(unit, b'\n', self.encoding) {
                let returned = at >= 2 && is(&bytes[at - 2..at], b'\r', self.encoding);
                return Some((0, at - if returned { 2 } else { 0 }, at + 2));
            }
            from = at + 2;
        }
    }

    /// Patterns are matched on text, whose places are counted back into units.
    fn match_of_units(&self, bytes: &[u8], last: bool) -> Option<Found> {
        let mut window = WINDOW;
        loop {
            let part = whole_part(bytes, window);
            let all = part.len() == bytes.len() & !1;
            let Text::Text { text, .. } = self.encoding.decode(part, false) else { return None };
            let found = match &self.ends {
                Ends::Start(pattern) => pattern.start(text.as_bytes(), last && all),
                Ends::End(pattern) => pattern.end(text.as_bytes(), last && all),
                _ => None,
            };
            if let Some((from, to, taken)) = found {
                let units = |to: usize| text.get(..to).map_or(0, |t| t.chars().map(char::len_utf16).sum::<usize>()) * 2;
                return Some((units(from), units(to), units(taken)));
            }
            if all {
                return None;
            }
            window *= 2;
        }
    }

    /// The last place up to `at` that is not inside a character, if there is one close by.
    fn boundary(&self, bytes: &[u8], at: usize) -> usize {
        match self.encoding {
            Encoding::Utf16 { big } => {
                let at = (at & !1).max(2);
                let surrogate = |unit: &[u8]| unit[usize::from(!big)] & 0xfc == 0xd8;
                if at > 2 && surrogate(&bytes[at - 2..at]) { at - 2 } else { at }
            }
            Encoding::Utf8 | Encoding::Utf8Raw => {
                (0..4.min(at)).map(|back| at - back).find(|&i| bytes[i] & 0xc0 != 0x80).unwrap_or(at)
            }
            Encoding::Legacy(_) | Encoding::Nop => at,
        }
    }
}

impl Pattern {
    /// A line that begins here and ends where the next one begins.
    fn start(&self, bytes: &[u8], last: bool) -> Option<Found> {
        let first = self.regex.find(bytes)?;
        if first.start() > 0 {
            // What stands before the first one is a line too.
            return Some((0, first.start(), first.start()));
        }
        if first.end() == bytes.len() && !last {
            return None;
        }
        let next = self.regex.find_at(bytes, first.end().max(1)).map(|next| next.start());
        let next = next.or(last.then_some(bytes.len()))?;
        Some((if self.omit { first.end().min(next) } else { 0 }, next, next))
    }

    /// A line that ends with the match.
    fn end(&self, bytes: &[u8], last: bool) -> Option<Found> {
        let found = self.regex.find_iter(bytes).find(|found| found.end() > 0)?;
        // More may belong to the match.
        if found.end() == bytes.len() && !last && !is_newline(found.as_bytes()) {
            return None;
        }
        Some((0, if self.omit { found.start() } else { found.end() }, found.end()))
    }
}

/// A match of a newline alone is whole.
fn is_newline(found: &[u8]) -> bool {
    found.ends_with(b"\n")
}

/// The bytes of whole units, up to a window.
fn whole_part(bytes: &[u8], window: usize) -> &[u8] {
    &bytes[..bytes.len().min(window) & !1]
}

/// Whether a unit is that character of ASCII.
fn is(unit: &[u8], ascii: u8, encoding: Encoding) -> bool {
    match encoding {
        Encoding::Utf16 { big: false } => unit == [ascii, 0],
        Encoding::Utf16 { big: true } => unit == [0, ascii],
        _ => unit == [ascii],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cutter(most: usize, oversize: Oversize, multiline: &str, encoding: &str) -> Cutter {
        let encoding = Encoding::from_name(encoding).unwrap();
        let multiline: Option<Multiline> =
            (!multiline.is_empty()).then(|| pipeline::config::testing::decode_block(multiline).unwrap());
        Cutter { most, oversize, ends: Ends::new(multiline.as_ref(), encoding).unwrap(), encoding }
    }

    fn pieces(cutter: &Cutter, bytes: &[u8], last: bool) -> Vec<String> {
        let (mut out, mut rest, mut in_rest) = (Vec::new(), bytes, false);
        let show = |bytes: &[u8]| match cutter.encoding.decode(bytes, false) {
            Text::Text { text, .. } => text.into_owned(),
            Text::Bytes(bytes) => format!("{bytes:?}"),
        };
        while !rest.is_empty() {
            match cutter.next(rest, &mut in_rest, last) {
                Piece::Line { from, to, taken } => {
                    out.push(show(&rest[from..to]));
                    rest = &rest[taken..];
                }
                Piece::Rest(taken) => rest = &rest[taken..],
                Piece::Open => {
                    out.push(format!("({})", show(rest)));
                    break;
                }
            }
        }
        out
    }

    fn cut(most: usize, oversize: Oversize, text: &str, last: bool) -> Vec<String> {
        let of_bytes = pieces(&cutter(most, oversize, "", "utf-8"), text.as_bytes(), last);
        if text.is_ascii() {
            for (name, wide) in [("utf-16le", wide(text, u16::to_le_bytes)), ("utf-16be", wide(text, u16::to_be_bytes))]
            {
                assert_eq!(pieces(&cutter(most * 2, oversize, "", name), &wide, last), of_bytes, "{name}");
            }
        }
        of_bytes
    }

    fn wide(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
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
        let wide = wide("ab😀\n", u16::to_le_bytes);
        assert_eq!(pieces(&cutter(6, Oversize::Split, "", "utf-16le"), &wide, false), ["ab", "😀"]);
    }

    #[test]
    fn a_limit_below_the_size_of_a_character_still_gets_on() {
        let cutter = cutter(1, Oversize::Split, "", "utf-8");
        assert_eq!(cutter.next("é".as_bytes(), &mut false, false), Piece::Line { from: 0, to: 1, taken: 1 });
    }

    #[test]
    fn without_newlines_whatever_is_there_is_one_piece() {
        let cutter = cutter(4, Oversize::Split, "", "nop");
        assert_eq!(cutter.next(b"a\nb", &mut false, false), Piece::Line { from: 0, to: 3, taken: 3 });
        assert_eq!(cutter.next(b"a\nbcd", &mut false, false), Piece::Line { from: 0, to: 4, taken: 4 });
    }

    #[test]
    fn patterns_say_where_lines_begin_or_end() {
        for (multiline, text, last, want) in [
            ("line_start_pattern: '^\\d'", "1 a\n b\n2 c\n", false, &["1 a\n b\n", "(2 c\n)"][..]),
            ("line_start_pattern: '^\\d'", "1 a\n b\n2 c\n", true, &["1 a\n b\n", "2 c\n"]),
            ("line_start_pattern: 'LOG \\d+'", "x LOG 1 a LOG 2 b", true, &["x ", "LOG 1 a ", "LOG 2 b"]),
            ("line_start_pattern: 'LOG \\d+'\nomit_pattern: true", "LOG 1 a LOG 2 b", true, &[" a ", " b"]),
            ("line_start_pattern: 'LOG \\d+'", "LOG 1 a LOG 2", false, &["LOG 1 a ", "(LOG 2)"]),
            ("line_start_pattern: 'LOG \\d+'", "none", false, &["(none)"]),
            ("line_end_pattern: ';'", "é a; b;", true, &["é a;", " b;"]),
            ("line_end_pattern: ';+\\n'\nomit_pattern: true", "a;\nb;;\nc", false, &["a", "b", "(c)"]),
            ("line_end_pattern: ';+'", "a; b;", false, &["a;", "( b;)"]),
        ] {
            let want: Vec<_> = want.iter().map(ToString::to_string).collect();
            assert_eq!(
                pieces(&cutter(100, Oversize::Split, multiline, "utf-8"), text.as_bytes(), last),
                want,
                "{text}"
            );
            let wide = wide(text, u16::to_be_bytes);
            assert_eq!(pieces(&cutter(200, Oversize::Split, multiline, "utf-16be"), &wide, last), want, "{text}");
        }
    }

    #[test]
    fn a_line_of_a_pattern_that_is_too_long_is_split_or_cut() {
        let text = b"1aaaaaa2b3";
        let pattern = "line_start_pattern: '\\d'";
        assert_eq!(pieces(&cutter(4, Oversize::Split, pattern, "utf-8"), text, true), ["1aaa", "aaa", "2b", "3"]);
        assert_eq!(pieces(&cutter(4, Oversize::Truncate, pattern, "utf-8"), text, true), ["1aaa", "2b", "3"]);
    }
}
