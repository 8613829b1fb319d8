//! Entry point for fuzzing and property tests: any text as a log line with prompts in it.

use super::content;

/// Any bytes as a line. What is masked of it stays valid JSON if it was, and masking again changes nothing.
///
/// # Panics
/// When that does not hold.
pub fn line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for is_row in [false, true] {
        let Some(new) = content::without(&text, is_row, &|_| false) else { continue };
        assert_eq!(content::without(&new, is_row, &|_| false), None, "{text:?} became {new:?}");
    }
}
