//! Texts that are kept: short ones.

/// The most bytes of a text that is remembered of a trace.
pub const MOST: usize = 256;

/// The text, or its beginning where it is long.
pub fn cut(text: &str) -> &str {
    let mut end = text.len().min(MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
