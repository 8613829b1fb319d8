//! Protobuf fields over borrowed bytes: reading, sizes, varints. Knows nothing of OTLP.
//! It accepts what the protobuf encoding allows and prost accepts: varints of up to ten bytes, groups (skipped, up to a
//! depth), unknown fields; field number 0, lone end-group tags and lengths beyond the end are errors.

use std::fmt;

/// How deep groups and nested messages may go, as in prost.
pub const MAX_DEPTH: usize = 100;

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end inside a field.
    Truncated,
    /// A varint is longer than ten bytes or than 64 bits.
    Varint,
    /// A field key is 0, beyond 32 bits, or of an unknown wire type.
    Key,
    /// A known field has another wire type than its type asks for.
    WireType,
    /// A string is not UTF-8.
    Utf8,
    /// Messages or groups are nested too deep.
    Depth,
    /// A group is not closed, or closed without being open.
    Group,
    /// A trace id is not 16 bytes (or empty), or a span id not 8 (or empty).
    IdLength,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WireError::Truncated => "protobuf ends inside a field",
            WireError::Varint => "protobuf varint is longer than 64 bits",
            WireError::Key => "protobuf field key is invalid",
            WireError::WireType => "protobuf field has the wrong wire type",
            WireError::Utf8 => "protobuf string is not UTF-8",
            WireError::Depth => "protobuf is nested too deep, the most is 100 levels",
            WireError::Group => "protobuf group is not balanced",
            WireError::IdLength => "a trace id must have 16 bytes and a span id 8, or none",
        })
    }
}

impl std::error::Error for WireError {}

/// The wire types of protobuf.
pub const VARINT: u32 = 0;
/// Eight bytes, little endian.
pub const FIXED64: u32 = 1;
/// A length and so many bytes.
pub const LEN: u32 = 2;
/// The start of a group.
pub const GROUP_START: u32 = 3;
/// The end of a group.
pub const GROUP_END: u32 = 4;
/// Four bytes, little endian.
pub const FIXED32: u32 = 5;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, as bits.
    Fixed64(u64),
    /// Wire type 2.
    Len(&'a [u8]),
    /// Wire types 3 and 4: the fields in between.
    Group(&'a [u8]),
    /// Wire type 5, as bits.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The bytes of a length-delimited field.
    ///
    /// # Errors
    /// `WireType` when it is of another type; likewise below.
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], WireError> {
        if let Value::Len(b) = self { Ok(b) } else { Err(WireError::WireType) }
    }

    /// The text of a string field.
    #[inline]
    pub fn text(self) -> Result<&'a str, WireError> {
        utf8(self.bytes()?)
    }

    /// A varint as it is.
    #[inline]
    pub fn varint(self) -> Result<u64, WireError> {
        if let Value::Varint(v) = self { Ok(v) } else { Err(WireError::WireType) }
    }

    /// A `fixed64` or `sfixed64` as bits.
    #[inline]
    pub fn fixed64(self) -> Result<u64, WireError> {
        if let Value::Fixed64(v) = self { Ok(v) } else { Err(WireError::WireType) }
    }

    /// A `double`.
    #[inline]
    pub fn double(self) -> Result<f64, WireError> {
        self.fixed64().map(f64::from_bits)
    }

    /// A `fixed32`.
    #[inline]
    pub fn fixed32(self) -> Result<u32, WireError> {
        if let Value::Fixed32(v) = self { Ok(v) } else { Err(WireError::WireType) }
    }

    /// An `int64`.
    #[inline]
    pub fn int64(self) -> Result<i64, WireError> {
        self.varint().map(u64::cast_signed)
    }

    /// A `uint32` or an enum, the upper bits cut off as protobuf says.
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    pub fn uint32(self) -> Result<u32, WireError> {
        self.varint().map(|v| v as u32)
    }

    /// A `sint32` (zigzag).
    #[inline]
    pub fn sint32(self) -> Result<i32, WireError> {
        let v = self.uint32()?;
        Ok((v >> 1).cast_signed() ^ -((v & 1).cast_signed()))
    }
}

/// Text of a string field.
///
/// # Errors
/// `Utf8`.
#[inline]
pub fn utf8(bytes: &[u8]) -> Result<&str, WireError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| WireError::Utf8)
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// The field number, at least 1.
    pub number: u32,
    /// What it holds.
    pub value: Value<'a>,
    /// The whole field, key included, as it stands in the message.
    pub raw: &'a [u8],
}

/// The fields of a message, in the order they stand. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of that message.
    #[inline]
    pub fn new(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    /// What has not been read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads the field at the start: the shapes that nearly all fields have here, the others out of line.
    #[inline(always)]
    fn read(&mut self) -> Result<Field<'a>, WireError> {
        let start = self.rest;
        let Some((value, rest)) = usual(start) else { return self.read_unusual() };
        self.rest = rest;
        Ok(Field { number: u32::from(start[0]) >> 3, value, raw: &start[..start.len() - rest.len()] })
    }

    #[cold]
    #[inline(never)]
    fn read_unusual(&mut self) -> Result<Field<'a>, WireError> {
        let start = std::mem::take(&mut self.rest);
        let mut at = 0;
        let key = read_varint(start, &mut at)?;
        let key = u32::try_from(key).map_err(|_| WireError::Key)?;
        let number = key >> 3;
        if number == 0 {
            return Err(WireError::Key);
        }
        let value = match key & 7 {
            VARINT => Value::Varint(read_varint(start, &mut at)?),
            FIXED64 => {
                let b = start[at..].first_chunk().ok_or(WireError::Truncated)?;
                at += 8;
                Value::Fixed64(u64::from_le_bytes(*b))
            }
            LEN => {
                let mut rest = &start[at..];
                let inside = delimited(&mut rest)?;
                at = start.len() - rest.len();
                Value::Len(inside)
            }
            FIXED32 => {
                let b = start[at..].first_chunk().ok_or(WireError::Truncated)?;
                at += 4;
                Value::Fixed32(u32::from_le_bytes(*b))
            }
            GROUP_START => {
                let (inside, len) = group(&start[at..], number, MAX_DEPTH)?;
                at += len;
                Value::Group(inside)
            }
            GROUP_END => return Err(WireError::Group),
            _ => return Err(WireError::Key),
        };
        self.rest = &start[at..];
        Ok(Field { number, value, raw: &start[..at] })
    }
}

/// The value and what is behind it, for a field with a key of one byte, and a length or varint of one or two.
#[inline(always)]
pub(super) fn usual(field: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let [key @ 8..0x80, rest @ ..] = field else { return None };
    match u32::from(*key) & 7 {
        LEN => {
            let (len, rest) = short_varint(rest)?;
            let (inside, rest) = rest.split_at_checked(usize::from(len))?;
            Some((Value::Len(inside), rest))
        }
        VARINT => short_varint(rest).map(|(value, rest)| (Value::Varint(u64::from(value)), rest)),
        FIXED64 => rest.split_first_chunk().map(|(value, rest)| (Value::Fixed64(u64::from_le_bytes(*value)), rest)),
        FIXED32 => rest.split_first_chunk().map(|(value, rest)| (Value::Fixed32(u32::from_le_bytes(*value)), rest)),
        _ => None,
    }
}

/// A varint of one or two bytes.
#[inline(always)]
pub(super) fn short_varint(bytes: &[u8]) -> Option<(u16, &[u8])> {
    match bytes {
        [value @ 0..0x80, rest @ ..] => Some((u16::from(*value), rest)),
        [low, high @ 0..0x80, rest @ ..] => Some((u16::from(*low & 0x7f) | u16::from(*high) << 7, rest)),
        _ => None,
    }
}

/// Takes a length and so many bytes.
///
/// # Errors
/// When the length is malformed or goes beyond the end.
#[inline]
pub fn delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let (len, behind) = match short_varint(rest) {
        Some((len, behind)) => (usize::from(len), behind),
        None => {
            let mut at = 0;
            let len = read_varint(rest, &mut at)?;
            (usize::try_from(len).map_err(|_| WireError::Truncated)?, &rest[at..])
        }
    };
    let (inside, behind) = behind.split_at_checked(len).ok_or(WireError::Truncated)?;
    *rest = behind;
    Ok(inside)
}

/// Moves behind a varint.
#[inline]
pub(super) fn skip_varint(rest: &mut &[u8]) -> Result<(), WireError> {
    *rest = match short_varint(rest) {
        Some((_, behind)) => behind,
        None => {
            let mut at = 0;
            read_varint(rest, &mut at)?;
            &rest[at..]
        }
    };
    Ok(())
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.read())
    }
}

/// The inside of the group `number` that starts at `bytes`, and the length up to and with its end tag. Linear and
/// without recursion. It may hold fields down to `depth` more levels.
fn group(bytes: &[u8], number: u32, depth: usize) -> Result<(&[u8], usize), WireError> {
    let mut open = smallvec::SmallVec::<[u32; 8]>::from_slice(&[number]);
    let mut at = 0;
    loop {
        let before = at;
        let key = u32::try_from(read_varint(bytes, &mut at)?).map_err(|_| WireError::Key)?;
        if key >> 3 == 0 {
            return Err(WireError::Key);
        }
        if open.len() > depth && key & 7 != GROUP_END {
            return Err(WireError::Depth);
        }
        let skip = match key & 7 {
            VARINT => {
                read_varint(bytes, &mut at)?;
                0
            }
            FIXED64 => 8,
            FIXED32 => 4,
            LEN => usize::try_from(read_varint(bytes, &mut at)?).map_err(|_| WireError::Truncated)?,
            GROUP_START => {
                open.push(key >> 3);
                0
            }
            GROUP_END => {
                if open.pop() != Some(key >> 3) {
                    return Err(WireError::Group);
                }
                if open.is_empty() {
                    return Ok((&bytes[..before], at));
                }
                0
            }
            _ => return Err(WireError::Key),
        };
        at = at.checked_add(skip).filter(|&end| end <= bytes.len()).ok_or(WireError::Truncated)?;
    }
}

/// Moves behind the group `number` whose start has been read; fields in it may nest `depth` levels deep.
pub(super) fn skip_group(rest: &mut &[u8], number: u32, depth: usize) -> Result<(), WireError> {
    let (_, len) = group(rest, number, depth - 1)?;
    *rest = &rest[len..];
    Ok(())
}

/// Reads a varint at `*at` and moves `*at` behind it.
///
/// # Errors
/// `Truncated` or `Varint`.
#[inline]
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Result<u64, WireError> {
    match bytes.get(*at) {
        Some(&b) if b < 0x80 => {
            *at += 1;
            Ok(u64::from(b))
        }
        Some(_) => read_long_varint(bytes, at),
        None => Err(WireError::Truncated),
    }
}

fn read_long_varint(bytes: &[u8], at: &mut usize) -> Result<u64, WireError> {
    let mut value = 0u64;
    for (i, &b) in bytes[*at..].iter().take(10).enumerate() {
        if i == 9 && b > 1 {
            return Err(WireError::Varint);
        }
        value |= u64::from(b & 0x7f) << (7 * i);
        if b < 0x80 {
            *at += i + 1;
            return Ok(value);
        }
    }
    Err(if bytes.len() - *at >= 10 { WireError::Varint } else { WireError::Truncated })
}

/// Bytes that a varint takes.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a varint.
#[inline]
#[allow(clippy::cast_possible_truncation)]
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_read_back() {
        for v in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            write_varint(&mut out, v);
            assert_eq!(out.len(), varint_len(v));
            let mut at = 0;
            assert_eq!(read_varint(&out, &mut at), Ok(v));
            assert_eq!(at, out.len());
        }
    }

    #[test]
    fn varints_beyond_64_bits_are_refused() {
        let mut at = 0;
        assert_eq!(read_varint(&[0xff; 11], &mut at), Err(WireError::Varint));
        assert_eq!(read_varint(&[0xff; 3], &mut at), Err(WireError::Truncated));
    }

    #[test]
    fn groups_are_skipped_as_one_field() {
        let message = [0x0b, 0x10, 0x01, 0x0c, 0x18, 0x05];
        let fields: Vec<_> = Fields::new(&message).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields[0].value, Value::Group(&[0x10, 0x01]));
        assert_eq!((fields[1].number, fields[1].value), (3, Value::Varint(5)));
    }

    #[test]
    fn a_group_that_is_not_closed_is_an_error_and_ends_the_iteration() {
        let mut fields = Fields::new(&[0x0b, 0x10, 0x01]);
        assert_eq!(fields.next(), Some(Err(WireError::Truncated)));
        assert_eq!(fields.next(), None);
        assert_eq!(Fields::new(&[0x0c]).next(), Some(Err(WireError::Group)));
    }
}
