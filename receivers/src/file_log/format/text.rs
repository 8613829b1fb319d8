//! Lines that are no JSON: terminal colours taken off, a time and a severity guessed. The body stays the line as it is.

use std::borrow::Cow;

use super::civil::{Civil, rfc3339};
use super::record::Record;
use super::severity::guess;

/// Writes the times and the severity that a line of plain text seems to state; its time is the `known` one where it states
/// none. Not the body.
pub fn write(line: &str, (known, observed): (Option<u64>, u64), record: &mut Record<'_>) {
    let plain = without_ansi(line);
    record.times(leading_time(&plain).or(known), observed);
    if let Some((severity, word)) = guess(plain.trim_start()) {
        record.severity(severity, word);
    }
}

/// The time at the start of a line, in brackets or not. A time without a zone is no time: it is in the program's own zone,
/// which the line does not tell.
fn leading_time(line: &str) -> Option<u64> {
    let start = line.trim_start_matches([' ', '\t', '[', '(']);
    let (civil, _) = rfc3339(start.as_bytes())?;
    civil.offset.and_then(|_| Civil::unix_nanos(&civil, 0))
}

/// A text without the escape sequences that colour it (ECMA-48 control sequences).
pub fn without_ansi(line: &str) -> Cow<'_, str> {
    const ESCAPE: char = '\u{1b}';
    if !line.contains(ESCAPE) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(ESCAPE) {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(sequence) = rest.strip_prefix('[') {
            let end = sequence.bytes().position(|b| (0x40..0x7f).contains(&b)).map_or(sequence.len(), |end| end + 1);
            rest = sequence.get(end..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_off() {
        for (line, want) in [
            ("plain é", "plain é"),
            ("\u{1b}[2m2026-11-20\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m x", "2026-11-20  INFO x"),
            ("\u{1b}[38;5;196mred\u{1b}[m", "red"),
            ("cut \u{1b}[3", "cut "),
            ("cut \u{1b}", "cut "),
            ("\u{1b}[é", ""),
        ] {
            assert_eq!(without_ansi(line), want, "{line:?}");
        }
    }

    #[test]
    fn only_a_time_with_a_zone_is_a_time() {
        assert_eq!(leading_time("2025-09-02T15:50:01.770028Z INFO x"), Some(1_756_828_201_770_028_000));
        assert_eq!(leading_time(" [2025-09-02 17:50:01.770028+02:00] x"), Some(1_756_828_201_770_028_000));
        for line in ["2025-09-02 15:50:01,770 INFO x", "INFO 09-02 15:50:01 x", "x 2025-09-02T15:50:01Z", ""] {
            assert_eq!(leading_time(line), None, "{line}");
        }
    }
}
