//! Ids as people and other formats write them: in hexadecimal. Many digits are worked on at once.

/// So many bytes out of exactly twice as many hex digits, of either case.
#[inline]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    let (words, rest) = text.as_chunks();
    let (quads, last) = out.as_chunks_mut();
    let mut wrong = 0;
    for i in 0..quads.len().min(words.len()) {
        let (bytes, not_digits) = four_of(u64::from_le_bytes(words[i]));
        quads[i] = bytes.to_le_bytes();
        wrong |= not_digits;
    }
    if !rest.is_empty() {
        let mut digits = [b'0'; 8];
        digits[..rest.len()].copy_from_slice(rest);
        let (bytes, not_digits) = four_of(u64::from_le_bytes(digits));
        last.copy_from_slice(&bytes.to_le_bytes()[..last.len()]);
        wrong |= not_digits;
    }
    (wrong == 0).then_some(out)
}

/// The digits of so many bytes.
#[inline]
pub fn to_hex<const N: usize>(bytes: &[u8; N]) -> [[u8; 2]; N] {
    let mut out = [[0; 2]; N];
    out.iter_mut().zip(bytes).for_each(|(digits, byte)| *digits = digits_of(*byte));
    out
}

/// The digits of any number of bytes, as ASCII.
pub fn digits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|byte| digits_of(*byte))
}

/// Appends the digits of bytes.
pub fn write_hex(out: &mut String, bytes: &[u8]) {
    out.reserve(2 * bytes.len());
    out.extend(digits(bytes).map(char::from));
}

#[inline]
fn digits_of(byte: u8) -> [u8; 2] {
    // Without a table: so the compiler makes vectors of it.
    let digit = |nibble: u8| nibble + b'0' + u8::from(nibble > 9) * (b'a' - b'0' - 10);
    [digit(byte >> 4), digit(byte & 0x0f)]
}

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The four bytes that eight digits stand for, the first the lowest; and bits where a byte is no digit.
#[inline]
fn four_of(digits: u64) -> (u32, u64) {
    const HIGH: u64 = each(0x80);
    // The highest bit of a byte tells whether the seven below it are at least so much.
    let plain = digits & !HIGH;
    let at_least = |bytes: u64, least: u8| bytes + each(0x80 - least);
    let small = plain | each(0x20);
    let decimal = at_least(plain, b'0') & !at_least(plain, b'9' + 1);
    let letter = at_least(small, b'a') & !at_least(small, b'f' + 1);
    let nibbles = (digits & each(0x0f)) + (digits >> 6 & each(1)) * 9;
    let bytes = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    let low_half = (pairs | pairs >> 16) & 0xffff_ffff;
    (u32::try_from(low_half).unwrap_or_default(), (!(decimal | letter) | digits) & HIGH)
}

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

    #[test]
    fn each_byte_is_a_digit_or_none_at_every_place() {
        for byte in 0..0x80_u8 {
            for place in 0..10 {
                let mut text = *b"0123456789";
                text[place] = byte;
                let text = std::str::from_utf8(&text).unwrap();
                let want =
                    (0..5).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16)).collect::<Result<Vec<_>, _>>();
                let want = want.ok().filter(|_| byte != b'+');
                assert_eq!(from_hex::<5>(text).map(|bytes| bytes.to_vec()), want, "{text:?}");
            }
        }
        assert_eq!(from_hex::<4>("ü\u{80}0000"), None);
    }

    #[test]
    fn digits_are_written_as_they_are_read() {
        for byte in 0..=u8::MAX {
            let bytes = [byte, !byte, 0x0f, byte, byte];
            let want = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            assert_eq!(str::from_utf8(to_hex(&bytes).as_flattened()), Ok(&*want));
            let mut out = "0x".to_owned();
            write_hex(&mut out, &bytes);
            assert_eq!(out[2..], want);
        }
    }
}
