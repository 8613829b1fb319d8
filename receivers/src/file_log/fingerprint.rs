//! What tells files apart: prints of their bytes. A print says which bytes a file had at a place when it was taken.

/// A hash of some bytes (FNV-1a over words, 128 bits) and how many they were. Not for hostile input: whoever can write the
/// files can write their lines as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// How many bytes.
    pub len: usize,
    /// Their hash.
    pub hash: u128,
}

const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Print {
    /// The print of no bytes.
    pub const EMPTY: Print = Print { len: 0, hash: BASIS };

    /// The print of these bytes.
    pub fn of(bytes: &[u8]) -> Print {
        let mut words = bytes.chunks_exact(8);
        let mut hash = BASIS;
        for word in &mut words {
            let word: [u8; 8] = word.try_into().unwrap_or_default();
            hash = (hash ^ u128::from(u64::from_le_bytes(word))).wrapping_mul(PRIME);
        }
        for &byte in words.remainder() {
            hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        }
        Print { len: bytes.len(), hash }
    }

    /// Whether these are the bytes it was taken of.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        self.len == bytes.len() && *self == Print::of(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_have_other_prints() {
        let text = b"2026-11-20T15:31:26.681620Z INFO started";
        let print = Print::of(text);
        assert!(print.is_of(text));
        for i in 0..text.len() {
            let mut other = *text;
            other[i] ^= 1;
            assert!(!print.is_of(&other), "byte {i}");
            assert!(!print.is_of(&text[..i]), "length {i}");
        }
        assert!(Print::EMPTY.is_of(b""));
    }
}
