//! Comparing secrets without telling by the time it takes where, or in what length, they differ.

use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

/// Whether two texts are the same.
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    same(a, b).into()
}

/// Whether a text is one of some; all of them are looked at.
pub fn is_one_of(shown: &[u8], expected: impl Iterator<Item = String>) -> bool {
    expected.fold(Choice::from(0), |found, expected| found | same(shown, expected.as_bytes())).into()
}

fn same(a: &[u8], b: &[u8]) -> Choice {
    digest(&SHA256, a).as_ref().ct_eq(digest(&SHA256, b).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_is_the_same() {
        assert!(is_same(b"", b"") && is_same(b"ab", b"ab"));
        assert!(!is_same(b"ab", b"aB") && !is_same(b"ab", b"abc") && !is_same(b"", b"a"));
        let some = || ["a".to_owned(), "b".to_owned()].into_iter();
        assert!(is_one_of(b"b", some()) && is_one_of(b"a", some()) && !is_one_of(b"c", some()));
        assert!(!is_one_of(b"", std::iter::empty()));
    }
}
