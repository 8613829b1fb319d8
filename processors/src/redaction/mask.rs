//! What stands in the place of what is masked: asterisks, or a hash by which equal values can still be told.

use md5::{Digest, Md5};
use pipeline::otlp::hex::write_hex;
use ring::{digest, hmac};
use sha3::Sha3_256;

use super::config::{Config, HashFunction};

/// What is written in place of a text.
#[derive(Clone, Debug)]
pub enum Mask {
    /// Four asterisks.
    Stars,
    /// The hash of the text, in hexadecimal.
    Hash(Hash),
}

/// A hash function with its key.
#[derive(Clone, Debug)]
pub enum Hash {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA3-256.
    Sha3,
    /// HMAC.
    Hmac(hmac::Key),
}

/// What stands for anything.
pub const STARS: &str = "****";

impl Mask {
    /// The mask that a config asks for.
    pub fn new(config: &Config) -> Mask {
        let keyed = |algorithm| Hash::Hmac(hmac::Key::new(algorithm, config.hmac_key.reveal().as_bytes()));
        let Some(function) = config.hash_function else { return Mask::Stars };
        Mask::Hash(match function {
            HashFunction::Md5 => Hash::Md5,
            HashFunction::Sha1 => Hash::Sha1,
            HashFunction::Sha3 => Hash::Sha3,
            HashFunction::HmacSha256 => keyed(hmac::HMAC_SHA256),
            HashFunction::HmacSha512 => keyed(hmac::HMAC_SHA512),
        })
    }

    /// What stands in the place of `text`.
    pub fn of(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        match self {
            Mask::Stars => STARS.to_owned(),
            Mask::Hash(Hash::Md5) => hexadecimal(&Md5::digest(bytes)),
            Mask::Hash(Hash::Sha1) => hexadecimal(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()),
            Mask::Hash(Hash::Sha3) => hexadecimal(&Sha3_256::digest(bytes)),
            Mask::Hash(Hash::Hmac(key)) => hexadecimal(hmac::sign(key, bytes).as_ref()),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut digits = String::new();
    write_hex(&mut digits, bytes);
    digits
}
