//! Whether bytes are an export request: what the door asks before it lets them in.
//!
//! [`full`] accepts what prost accepts for these messages and refuses what it refuses: field shapes, UTF-8, varints,
//! packed fields, groups, nesting. The one exception is stricter: a trace id must have 16 bytes or none, a span id 8 or
//! none. It is linear in the bytes and nests no deeper than protobuf's 100 levels.

mod table;

use super::count;
use super::schema::Type;
use super::wire::{
    FIXED32, FIXED64, GROUP_START, LEN, MAX_DEPTH, VARINT, WireError, delimited, read_varint, skip_group, skip_varint,
    utf8,
};
use crate::batch::Signal;
use table::{ACTIONS, Action, Actions, ENVELOPE_ACTIONS};

/// What a request that passed the check is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Spans, data points or log records.
    pub items: usize,
    /// Whether a message that should occur once occurs more often; see [`canonical`](super::canonical).
    pub needs_joining: bool,
}

/// Checks everything.
///
/// # Errors
/// The first thing that is wrong.
pub fn full(signal: Signal, request: &[u8]) -> Result<Checked, WireError> {
    check(signal, request, &ACTIONS)
}

/// Checks resources, scopes, schema urls and the borders of what they hold, down to data points; not the inside of
/// spans, log records and data points.
///
/// # Errors
/// The first thing that is wrong.
pub fn envelope(signal: Signal, request: &[u8]) -> Result<Checked, WireError> {
    check(signal, request, &ENVELOPE_ACTIONS)
}

fn check(signal: Signal, request: &[u8], actions: &'static Actions) -> Result<Checked, WireError> {
    let mut checker = Checker { actions, items: 0, needs_joining: false };
    checker.message(Type::request(signal) as u8, request, MAX_DEPTH)?;
    let Checker { mut items, needs_joining, .. } = checker;
    if needs_joining && signal == Signal::Metrics {
        items = count::items(signal, request)?;
    }
    Ok(Checked { items, needs_joining })
}

struct Checker {
    actions: &'static Actions,
    items: usize,
    needs_joining: bool,
}

impl Checker {
    /// Checks the fields of a message that may hold `depth` more levels.
    fn message(&mut self, message: u8, bytes: &[u8], depth: usize) -> Result<(), WireError> {
        let actions = &self.actions[usize::from(message)];
        let mut seen = 0u32;
        let mut rest = bytes;
        while let [key, behind @ ..] = rest {
            let (mut key, mut action) = (u32::from(*key), Action::LONG_KEY);
            if key < 0x80 {
                rest = behind;
                action = actions[key as usize];
            }
            if action == Action::LONG_KEY {
                (key, action) = long_key(message, actions, &mut rest)?;
            }
            match action {
                Action::VARINT => skip_varint(&mut rest)?,
                Action::FIXED64 => skip(&mut rest, 8)?,
                Action::FIXED32 => skip(&mut rest, 4)?,
                Action::BYTES => drop(delimited(&mut rest)?),
                Action::TEXT => text(delimited(&mut rest)?)?,
                Action::TRACE_ID => id(delimited(&mut rest)?, 16)?,
                Action::SPAN_ID => id(delimited(&mut rest)?, 8)?,
                Action::PACKED_FIXED64 => packed_fixed64(delimited(&mut rest)?)?,
                Action::PACKED_VARINT => packed_varint(delimited(&mut rest)?)?,
                Action::KEY_VALUE => self.key_value(delimited(&mut rest)?, depth)?,
                Action::OPAQUE_ITEM => {
                    delimited(&mut rest)?;
                    self.items += 1;
                }
                Action::UNKNOWN => skip_unknown(key, &mut rest, depth)?,
                Action::WRONG_TYPE => return Err(WireError::WireType),
                Action::BAD_KEY | Action::LONG_KEY => return Err(WireError::Key),
                Action::BAD_GROUP => return Err(WireError::Group),
                nested => {
                    let inside = delimited(&mut rest)?;
                    if nested.is_once() {
                        // All data of a metric exclude each other.
                        let bit = if message == Type::Metric as u8 { 1 } else { 1 << (key >> 3) };
                        self.needs_joining |= seen & bit != 0;
                        seen |= bit;
                    }
                    self.items += usize::from(nested.is_item());
                    self.message(nested.message(), inside, depth.checked_sub(1).ok_or(WireError::Depth)?)?;
                }
            }
        }
        Ok(())
    }

    /// Checks an attribute; those of the usual form without going through the tables.
    #[inline]
    fn key_value(&mut self, bytes: &[u8], depth: usize) -> Result<(), WireError> {
        if depth >= 2
            && let [0x0a, len @ 0..0x80, rest @ ..] = bytes
            && let Some((key, [0x12, len @ 0..0x80, value @ ..])) = rest.split_at_checked(usize::from(*len))
            && value.len() == usize::from(*len)
        {
            text(key)?;
            match value {
                [0x0a, len @ 0..0x80, value @ ..] if value.len() == usize::from(*len) => return text(value),
                [0x10 | 0x18, 0..0x80] | [0x18, 0x80..=0xff, 0..0x80] | [0x21, _, _, _, _, _, _, _, _] => return Ok(()),
                _ => return self.message(Type::AnyValue as u8, value, depth - 2),
            }
        }
        self.message(Type::KeyValue as u8, bytes, depth.checked_sub(1).ok_or(WireError::Depth)?)
    }
}

/// Reads a key of more than one byte.
#[inline(never)]
fn long_key(message: u8, actions: &[Action; 128], rest: &mut &[u8]) -> Result<(u32, Action), WireError> {
    let mut at = 0;
    let key = u32::try_from(read_varint(rest, &mut at)?).map_err(|_| WireError::Key)?;
    *rest = &rest[at..];
    Ok((key, table::long(message, actions, key)))
}

fn skip_unknown(key: u32, rest: &mut &[u8], depth: usize) -> Result<(), WireError> {
    if depth == 0 {
        return Err(WireError::Depth);
    }
    match key & 7 {
        VARINT => skip_varint(rest),
        FIXED64 => skip(rest, 8),
        FIXED32 => skip(rest, 4),
        LEN => delimited(rest).map(drop),
        GROUP_START => skip_group(rest, key >> 3, depth),
        _ => Err(WireError::Key),
    }
}

#[inline]
fn skip(rest: &mut &[u8], len: usize) -> Result<(), WireError> {
    *rest = rest.get(len..).ok_or(WireError::Truncated)?;
    Ok(())
}

#[inline]
fn id(bytes: &[u8], len: usize) -> Result<(), WireError> {
    if bytes.len() == len || bytes.is_empty() { Ok(()) } else { Err(WireError::IdLength) }
}

fn packed_fixed64(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len().is_multiple_of(8) { Ok(()) } else { Err(WireError::Truncated) }
}

fn packed_varint(mut bytes: &[u8]) -> Result<(), WireError> {
    while !bytes.is_empty() {
        skip_varint(&mut bytes)?;
    }
    Ok(())
}

/// Checks UTF-8; most text is short ASCII.
#[inline]
fn text(bytes: &[u8]) -> Result<(), WireError> {
    if is_ascii(bytes) { Ok(()) } else { utf8(bytes).map(drop) }
}

#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = |eight: &[u8; 8]| u64::from_le_bytes(*eight);
    match bytes.last_chunk::<8>() {
        Some(last) => {
            let (eights, _) = bytes.as_chunks::<8>();
            eights.iter().fold(word(last), |all, eight| all | word(eight)) & HIGH == 0
        }
        None => bytes.iter().fold(0, |all, byte| all | byte) < 0x80,
    }
}
