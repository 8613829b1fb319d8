//! What the bytes of a line are: text in some encoding, or bytes.

use std::borrow::Cow;

use encoding_rs::{Encoding as Legacy, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};
use memchr::memrchr;
use pipeline::otlp::wire::utf8;

/// What works, for messages.
pub const KNOWN: &str = "utf-8, utf-8-raw, utf-16le, utf-16be, ascii, nop, and the legacy encodings of the WHATWG by name (big5, \
                         shift_jis, euc-jp, euc-kr, gbk, gb18030, windows-1252, iso-8859-2, koi8-r, …)";

/// What the bytes of a line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Text; what is no UTF-8 is replaced.
    Utf8,
    /// Text; a line that is no UTF-8 becomes a body of bytes.
    Utf8Raw,
    /// Text in units of two bytes.
    Utf16 {
        /// Whether the more significant byte comes first.
        big: bool,
    },
    /// Text in an encoding in which the bytes of a line's end stand for nothing else.
    Legacy(&'static Legacy),
    /// Bytes, not cut into lines.
    Nop,
}

/// A line as text or as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Text, with something replaced in it or not.
    Text {
        /// The text.
        text: Cow<'a, str>,
        /// Whether something in it was no text in its encoding.
        replaced: bool,
    },
    /// Bytes.
    Bytes(&'a [u8]),
}

impl Text<'_> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Text::Text { text, .. } => text.is_empty(),
            Text::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

impl Encoding {
    /// The encoding of that name.
    pub fn from_name(name: &str) -> Option<Encoding> {
        match name.to_ascii_lowercase().as_str() {
            "" | "utf-8" | "utf8" | "ascii" | "us-ascii" => Some(Encoding::Utf8),
            "utf-8-raw" => Some(Encoding::Utf8Raw),
            "nop" => Some(Encoding::Nop),
            name => match Legacy::for_label(name.as_bytes())? {
                encoding if encoding == UTF_16LE => Some(Encoding::Utf16 { big: false }),
                encoding if encoding == UTF_16BE => Some(Encoding::Utf16 { big: true }),
                encoding if [UTF_8, ISO_2022_JP, REPLACEMENT, X_USER_DEFINED].contains(&encoding) => None,
                encoding => Some(Encoding::Legacy(encoding)),
            },
        }
    }

    /// The lines in some bytes as one text, where all of them are: whoever looks at many has each for less. The last one may
    /// be missing.
    pub fn text_of<'a>(&self, bytes: &'a [u8]) -> Option<&'a str> {
        match self {
            Encoding::Utf8 | Encoding::Utf8Raw => utf8(&bytes[..=memrchr(b'\n', bytes)?]).ok(),
            _ => None,
        }
    }

    /// A line as text or bytes; of the first line of a file, without the mark of the byte order.
    pub fn decode<'a>(&self, mut bytes: &'a [u8], first: bool) -> Text<'a> {
        let mark: &[u8] = match self {
            Encoding::Utf8 | Encoding::Utf8Raw => b"\xef\xbb\xbf",
            Encoding::Utf16 { big: false } => b"\xff\xfe",
            Encoding::Utf16 { big: true } => b"\xfe\xff",
            Encoding::Legacy(_) | Encoding::Nop => b"",
        };
        if first {
            bytes = bytes.strip_prefix(mark).unwrap_or(bytes);
        }
        let legacy = match self {
            Encoding::Nop => return Text::Bytes(bytes),
            Encoding::Utf8 | Encoding::Utf8Raw => {
                return match utf8(bytes) {
                    Ok(text) => Text::Text { text: Cow::Borrowed(text), replaced: false },
                    Err(_) if *self == Encoding::Utf8Raw => Text::Bytes(bytes),
                    Err(_) => Text::Text { text: String::from_utf8_lossy(bytes), replaced: true },
                };
            }
            Encoding::Utf16 { big: false } => UTF_16LE,
            Encoding::Utf16 { big: true } => UTF_16BE,
            Encoding::Legacy(legacy) => legacy,
        };
        let (text, replaced) = legacy.decode_without_bom_handling(bytes);
        Text::Text { text, replaced }
    }

    /// Bytes of the smallest unit.
    pub fn unit(&self) -> usize {
        if matches!(self, Encoding::Utf16 { .. }) { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_collector_and_of_the_whatwg() {
        for (name, want) in [
            ("UTF-8", Some(Encoding::Utf8)),
            ("utf-16le", Some(Encoding::Utf16 { big: false })),
            ("utf-16be", Some(Encoding::Utf16 { big: true })),
            ("big5", Some(Encoding::Legacy(encoding_rs::BIG5))),
            ("latin1", Some(Encoding::Legacy(encoding_rs::WINDOWS_1252))),
            ("iso-2022-jp", None),
            ("ebcdic", None),
        ] {
            assert_eq!(Encoding::from_name(name), want, "{name}");
        }
    }

    #[test]
    fn many_lines_are_one_text_where_each_is_one() {
        for (bytes, text) in [
            (&b"a\n\xc3\xa9\nb"[..], Some("a\né\n")),
            (b"a\n\xc3", Some("a\n")),
            (b"a\n\xc3\nb\n", None),
            (b"a", None),
            (b"", None),
        ] {
            assert_eq!(Encoding::Utf8.text_of(bytes), text);
            assert_eq!(Encoding::Utf16 { big: false }.text_of(bytes), None);
        }
    }

    #[test]
    fn lines_become_text_and_the_byte_order_mark_goes() {
        let big5 = Encoding::from_name("big5").unwrap();
        for (encoding, bytes, text, replaced) in [
            (Encoding::Utf16 { big: false }, &b"\xff\xfea\0\xe9\0"[..], "aé", false),
            (Encoding::Utf16 { big: true }, b"\xfe\xff\0a\xd8\x3d\xde\x00", "a😀", false),
            (Encoding::Utf16 { big: true }, b"\0a\xd8\x3d", "a\u{fffd}", true),
            (big5, b"\xa4\xa4\xa4\xe5!", "中文!", false),
            (Encoding::Utf8, b"\xef\xbb\xbfa", "a", false),
        ] {
            assert_eq!(encoding.decode(bytes, true), Text::Text { text: text.into(), replaced }, "{text}");
        }
    }
}
