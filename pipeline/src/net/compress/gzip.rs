//! gzip of any number of members by libdeflate, which reads one member and does not say where it ended.

use libdeflater::{DecompressionError, Decompressor, crc32};
use memchr::memmem;

use super::Error;

/// Magic bytes and method of a member.
const MAGIC: &[u8] = b"\x1f\x8b\x08";
/// Header and trailer of a member without any data.
const LEAST_MEMBER: usize = 18;
/// deflate makes at most about 1032 bytes of one.
const BEST_RATIO: usize = 1032;
/// Places inside a member that look in 11 bytes like its end and the next one's start: one is an accident, more is not.
const MOST_FALSE_ENDS: usize = 8;

pub(super) fn decompress(tool: &mut Decompressor, body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; guess(body, most)];
    let mut filled = 0;
    let mut false_ends = 0;
    let mut rest = body;
    loop {
        let len = match tool.gzip_decompress(rest, &mut out[filled..]) {
            Ok(len) => len,
            Err(DecompressionError::BadData) => return Err(Error::Corrupt("gzip")),
            Err(DecompressionError::InsufficientSpace) if out.len() >= most => return Err(Error::TooLarge { most }),
            Err(DecompressionError::InsufficientSpace) => {
                out.resize((out.len() * 2).min(most), 0);
                continue;
            }
        };
        let member = &out[filled..filled + len];
        filled += len;
        match next_member(tool, rest, member, &mut false_ends)? {
            Some(next) => rest = next,
            None => {
                out.truncate(filled);
                return if filled > most { Err(Error::TooLarge { most }) } else { Ok(out) };
            }
        }
    }
}

/// The size that the last four bytes tell (modulo 4 GiB, of the last member, and only if they do not lie), within what
/// the body could become at all.
fn guess(body: &[u8], most: usize) -> usize {
    let told = body.last_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b) as usize);
    told.max(body.len()).min(body.len().saturating_mul(BEST_RATIO)).clamp(1, most.max(1))
}

/// What follows the member at the start of `body`, which holds `data`. A member ends with the checksum and the length
/// of its data; where those 8 bytes stand before a magic number, that is the end if the bytes up to there decompress
/// (libdeflate refuses a member without its end). Nothing with a magic number means that this member was the last.
fn next_member<'a>(
    tool: &mut Decompressor,
    body: &'a [u8],
    data: &[u8],
    false_ends: &mut usize,
) -> Result<Option<&'a [u8]>, Error> {
    let mut trailer = None;
    for at in memmem::find_iter(body.get(LEAST_MEMBER..).unwrap_or_default(), MAGIC) {
        let at = at + LEAST_MEMBER;
        let trailer = *trailer.get_or_insert_with(|| {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&crc32(data).to_le_bytes());
            #[allow(clippy::cast_possible_truncation, reason = "gzip keeps the length modulo 2^32")]
            bytes[4..].copy_from_slice(&(data.len() as u32).to_le_bytes());
            bytes
        });
        if body[..at].last_chunk::<8>() != Some(&trailer) {
            continue;
        }
        let mut again = vec![0; data.len().max(1)];
        if tool.gzip_decompress(&body[..at], &mut again).is_ok() {
            return Ok(Some(&body[at..]));
        }
        *false_ends += 1;
        if *false_ends > MOST_FALSE_ENDS {
            return Err(Error::Corrupt("gzip"));
        }
    }
    Ok(None)
}
