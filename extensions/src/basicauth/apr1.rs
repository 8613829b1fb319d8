//! Apache's hash of passwords, the default of the tool `htpasswd`: a thousand rounds of MD5. Weak, but common.

use pipeline::relabel::md5;

const ROUNDS: usize = 1000;
const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Which bytes of the digest become four letters together.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];

/// What stands behind the salt.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> String {
    let salt = &salt[..salt.len().min(8)];
    let mut digest = md5::digest(&[password, salt, password].concat());
    let mut text = [password, b"$apr1$", salt].concat();
    text.extend((0..password.len()).map(|n| digest[n % 16]));
    let mut bits = password.len();
    while bits > 0 {
        text.push(if bits & 1 == 1 { 0 } else { password[0] });
        bits >>= 1;
    }
    digest = md5::digest(&text);
    for round in 0..ROUNDS {
        let (first, last) = if round % 2 == 1 { (password, &digest[..]) } else { (&digest[..], password) };
        let mut text = first.to_vec();
        if round % 3 != 0 {
            text.extend_from_slice(salt);
        }
        if round % 7 != 0 {
            text.extend_from_slice(password);
        }
        text.extend_from_slice(last);
        digest = md5::digest(&text);
    }
    let mut out = String::with_capacity(22);
    for [high, middle, low] in ORDER {
        letters(u32::from_be_bytes([0, digest[high], digest[middle], digest[low]]), 4, &mut out);
    }
    letters(u32::from(digest[11]), 2, &mut out);
    out
}

/// Six bits a letter, the lowest first.
fn letters(mut bits: u32, count: usize, out: &mut String) {
    for _ in 0..count {
        out.push(char::from(LETTERS[(bits & 63) as usize]));
        bits >>= 6;
    }
}
