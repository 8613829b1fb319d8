//! Ids as people and other formats write them: in hexadecimal.

/// So many bytes out of exactly twice as many hex digits, of either case.
#[inline]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    let mut all = 0;
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        *byte = high << 4 | low;
        all |= high | low;
    }
    (all < 16).then_some(out)
}

/// What a byte is as a hex digit; 255 for none.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digits[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_as_many_digits_as_are_asked_for_are_read() {
        assert_eq!(from_hex("09afAF"), Some([0x09, 0xaf, 0xaf]));
        for text in ["", "0", "09a", "09afA", "09afAF0", "09afAg", "+9afAF", "09 fAF", "ü9af"] {
            assert_eq!(from_hex::<3>(text), None, "{text}");
        }
    }
}
