//! Writes protobuf messages straight into bytes, nested as deep as needed, with minimal lengths and no objects.
//!
//! ```
//! use pipeline::otlp::{fields::*, write::{Scalar, Writer}};
//!
//! let mut w = Writer::new();
//! w.message(request::RESOURCES, |w| {
//!     w.message(resource_group::RESOURCE, |w| w.attribute(resource::ATTRIBUTES, "service.name", Scalar::Text("dynamo")));
//!     w.message(resource_group::SCOPES, |w| {
//!         w.message(scope_group::ITEMS, |w| {
//!             w.fixed64(log_record::TIME, 1_000);
//!             w.any_value(log_record::BODY, Scalar::Text("hello"));
//!         });
//!     });
//! });
//! let request = w.into_bytes();
//! # assert_eq!(pipeline::otlp::count::items(pipeline::Signal::Logs, &request), Ok(1));
//! ```

use bytes::Bytes;

use super::fields::{any_value, key_value};
use super::view::AnyValue;
use super::wire::{FIXED32, FIXED64, Fields, LEN, VARINT, WireError, varint_len, write_varint};

/// An attribute value or body without inner structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// `string_value`.
    Text(&'a str),
    /// `bool_value`.
    Bool(bool),
    /// `int_value`.
    Int(i64),
    /// `double_value`.
    Double(f64),
    /// `bytes_value`.
    Bytes(&'a [u8]),
}

impl<'a> From<Scalar<'a>> for AnyValue<'a> {
    #[inline]
    fn from(value: Scalar<'a>) -> AnyValue<'a> {
        match value {
            Scalar::Text(v) => AnyValue::Text(v),
            Scalar::Bool(v) => AnyValue::Bool(v),
            Scalar::Int(v) => AnyValue::Int(v),
            Scalar::Double(v) => AnyValue::Double(v),
            Scalar::Bytes(v) => AnyValue::Bytes(v),
        }
    }
}

impl<'a> From<&'a str> for AnyValue<'a> {
    #[inline]
    fn from(value: &'a str) -> AnyValue<'a> {
        AnyValue::Text(value)
    }
}

/// Appends fields to one growing buffer. Zero and empty values are written like any other: leave them out where the
/// field is not optional and its default is meant.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

/// The fields of a text as the value of an attribute.
#[allow(clippy::cast_possible_truncation, reason = "both are below 128")]
const VALUE: u8 = (key_value::VALUE << 3 | LEN) as u8;
#[allow(clippy::cast_possible_truncation, reason = "both are below 128")]
const STRING: u8 = (any_value::STRING << 3 | LEN) as u8;

/// The longest [`ShortKey`], as a field.
const SHORT_KEY: usize = 32;
/// The longest text of [`Writer::short_attribute`].
pub const SHORT_TEXT: usize = 64;

/// A key as the field of a `KeyValue`, with room behind it: it is copied whole, whatever its length, and cut off after that.
#[derive(Clone, Copy, Debug)]
pub struct ShortKey {
    bytes: [u8; SHORT_KEY],
    len: usize,
}

impl ShortKey {
    /// That key, if it is short enough.
    pub fn new(key: &str) -> Option<ShortKey> {
        let mut field = Writer::new();
        field.text(key_value::KEY, key);
        let (mut bytes, len) = ([0; SHORT_KEY], field.len());
        bytes.get_mut(..len)?.copy_from_slice(field.as_slice());
        Some(ShortKey { bytes, len })
    }
}

/// Where an open message began, and how many bytes there are for its length; see [`Writer::open`].
#[derive(Debug)]
#[must_use = "a message that was opened must be closed"]
pub struct Open(usize, usize);

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// An empty writer with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { out: Vec::with_capacity(bytes) }
    }

    /// A writer that goes on behind `bytes`, whose allocation it uses.
    pub fn onto(bytes: Vec<u8>) -> Writer {
        Writer { out: bytes }
    }

    /// What was written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.out
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes back everything behind `len`, for a message that turned out empty.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// Forgets what was written and keeps the allocation.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.out)
    }

    /// The bytes written, as they lie in the writer's allocation.
    pub fn into_vec(self) -> Vec<u8> {
        self.out
    }

    /// Opens a nested message in field `number`; close it with [`Writer::close`], innermost first.
    #[inline]
    pub fn open(&mut self, number: u32) -> Open {
        self.key(number, LEN);
        self.out.push(0);
        Open(self.out.len(), 1)
    }

    /// The same for a message that is expected to be of 128 to 16,383 bytes; of another size, it is moved when it is closed.
    #[inline]
    pub fn open_long(&mut self, number: u32) -> Open {
        self.key(number, LEN);
        self.out.extend_from_slice(&[0; 2]);
        Open(self.out.len(), 2)
    }

    /// Closes the message: its length is filled in, with what was written since moved if the length takes more or fewer
    /// bytes than were expected.
    #[inline]
    #[allow(clippy::cast_possible_truncation, clippy::needless_pass_by_value, reason = "a message is closed once")]
    pub fn close(&mut self, open: Open) {
        let Open(start, width) = open;
        let len = self.out.len() - start;
        match (len, width) {
            (..0x80, 1) => self.out[start - 1] = len as u8,
            (0x80..0x4000, 2) => {
                // One after the other: a copy of two bytes would be a call.
                self.out[start - 2] = len as u8 | 0x80;
                self.out[start - 1] = (len >> 7) as u8;
            }
            _ => self.move_and_close(start, width, len),
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn move_and_close(&mut self, start: usize, width: usize, len: usize) {
        let wanted = varint_len(len as u64);
        let (from, to) = (start - width, start - width + wanted);
        self.out.resize(self.out.len().max(to + len), 0);
        self.out.copy_within(start..start + len, to);
        self.out.truncate(to + len);
        let mut rest = len;
        for byte in &mut self.out[from..to] {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
        }
        self.out[to - 1] &= 0x7f;
    }

    /// A nested message in field `number`.
    #[inline]
    pub fn message<T>(&mut self, number: u32, inside: impl FnOnce(&mut Writer) -> T) -> T {
        let open = self.open(number);
        let out = inside(self);
        self.close(open);
        out
    }

    /// A nested message that is already serialized, or a bytes field.
    #[inline]
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        self.header(number, value.len());
        self.out.extend_from_slice(value);
    }

    /// A string field.
    #[inline]
    pub fn text(&mut self, number: u32, value: &str) {
        self.bytes(number, value.as_bytes());
    }

    /// A string field, left out when empty.
    #[inline]
    pub fn text_unless_empty(&mut self, number: u32, value: &str) {
        if !value.is_empty() {
            self.text(number, value);
        }
    }

    /// `uint32`, `uint64`, `bool` and enum fields.
    #[inline]
    pub fn varint(&mut self, number: u32, value: u64) {
        self.key(number, VARINT);
        write_varint(&mut self.out, value);
    }

    /// An `int64` or `int32` field.
    #[inline]
    pub fn int64(&mut self, number: u32, value: i64) {
        self.varint(number, value.cast_unsigned());
    }

    /// A `sint32` field (zigzag).
    #[inline]
    pub fn sint32(&mut self, number: u32, value: i32) {
        self.varint(number, u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
    }

    /// A `fixed64` or `sfixed64` field, as bits.
    #[inline]
    pub fn fixed64(&mut self, number: u32, bits: u64) {
        self.key(number, FIXED64);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    /// A `double` field.
    #[inline]
    pub fn double(&mut self, number: u32, value: f64) {
        self.fixed64(number, value.to_bits());
    }

    /// A `fixed32` field.
    #[inline]
    pub fn fixed32(&mut self, number: u32, bits: u32) {
        self.key(number, FIXED32);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    /// A packed repeated `fixed64` or `double` field, as bits; left out when empty.
    pub fn packed_fixed64(&mut self, number: u32, bits: impl ExactSizeIterator<Item = u64>) {
        if bits.len() > 0 {
            self.key(number, LEN);
            write_varint(&mut self.out, bits.len() as u64 * 8);
            bits.for_each(|b| self.out.extend_from_slice(&b.to_le_bytes()));
        }
    }

    /// A packed repeated varint field; left out when empty.
    pub fn packed_varint(&mut self, number: u32, values: impl Iterator<Item = u64>) {
        let before = self.out.len();
        let open = self.open(number);
        let Open(start, _) = open;
        values.for_each(|v| write_varint(&mut self.out, v));
        if self.out.len() == start {
            self.out.truncate(before);
        } else {
            self.close(open);
        }
    }

    /// Whole fields as they stand, such as [`Field::raw`](super::wire::Field::raw).
    #[inline]
    pub fn raw(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    /// What was written there before, once more.
    ///
    /// # Panics
    /// When nothing was written there.
    #[inline]
    pub fn again(&mut self, range: std::ops::Range<usize>) {
        self.out.extend_from_within(range);
    }

    /// The fields of a message as they stand, but those that `skip` names by their number.
    ///
    /// # Errors
    /// When the message is malformed; what was copied until then stays.
    pub fn fields_except(&mut self, message: &[u8], skip: impl Fn(u32) -> bool) -> Result<(), WireError> {
        for field in Fields::new(message) {
            let field = field?;
            if !skip(field.number) {
                self.raw(field.raw);
            }
        }
        Ok(())
    }

    /// A `KeyValue` in field `number`.
    #[inline]
    pub fn attribute<'v>(&mut self, number: u32, key: &str, value: impl Into<AnyValue<'v>>) {
        let value = value.into();
        let value_len = value_len(value);
        let len = field_len(key_value::KEY, key.len()) + field_len(key_value::VALUE, value_len);
        self.out.reserve(field_len(number, len));
        self.header(number, len);
        self.text(key_value::KEY, key);
        self.header(key_value::VALUE, value_len);
        self.value(value);
    }

    /// The same with a key that is written by now, as the field of a `KeyValue`.
    #[inline]
    pub fn attribute_of<'v>(&mut self, number: u32, key: &[u8], value: impl Into<AnyValue<'v>>) {
        let value = value.into();
        if let AnyValue::Text(text) = value
            && number < 16
            && key.len() + text.len() < 0x78
        {
            return self.short_attribute_of(number, key, text);
        }
        let value_len = value_len(value);
        let len = key.len() + field_len(key_value::VALUE, value_len);
        self.out.reserve(field_len(number, len));
        self.header(number, len);
        self.out.extend_from_slice(key);
        self.header(key_value::VALUE, value_len);
        self.value(value);
    }

    /// The same with a short key and a text of at most [`SHORT_TEXT`] bytes, which are the first of `text`. Both are copied
    /// with what stands behind them, which is cut off: that is sooner done than to copy a few bytes.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "all of it is below 128")]
    pub fn short_attribute(&mut self, number: u32, key: &ShortKey, text: &[u8; SHORT_TEXT], len: usize) {
        debug_assert!(number < 16 && len <= SHORT_TEXT, "{number}, {len}");
        self.out.extend_from_slice(&[(number << 3 | LEN) as u8, (key.len + 4 + len) as u8]);
        let key_at = self.out.len();
        self.out.extend_from_slice(&key.bytes);
        self.out.truncate(key_at + key.len);
        self.out.extend_from_slice(&[VALUE, len as u8 + 2, STRING, len as u8]);
        let text_at = self.out.len();
        self.out.extend_from_slice(text);
        self.out.truncate(text_at + len);
    }

    /// An attribute all of whose keys and lengths take a byte.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "all of it is below 128")]
    fn short_attribute_of(&mut self, number: u32, key: &[u8], text: &str) {
        let (len, inside) = (text.len() as u8, key.len() as u8 + text.len() as u8 + 4);
        self.out.extend_from_slice(&[(number << 3 | LEN) as u8, inside]);
        self.out.extend_from_slice(key);
        self.out.extend_from_slice(&[VALUE, len + 2, STRING, len]);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// An `AnyValue` in field `number`.
    #[inline]
    pub fn any_value<'v>(&mut self, number: u32, value: impl Into<AnyValue<'v>>) {
        let value = value.into();
        self.header(number, value_len(value));
        self.value(value);
    }

    /// The inside of an `AnyValue`.
    #[inline]
    pub fn value(&mut self, value: AnyValue<'_>) {
        match value {
            AnyValue::Empty => {}
            AnyValue::Text(v) => self.text(any_value::STRING, v),
            AnyValue::Bool(v) => self.varint(any_value::BOOL, u64::from(v)),
            AnyValue::Int(v) => self.int64(any_value::INT, v),
            AnyValue::Double(v) => self.double(any_value::DOUBLE, v),
            AnyValue::Array(v) => self.bytes(any_value::ARRAY, v),
            AnyValue::Map(v) => self.bytes(any_value::KVLIST, v),
            AnyValue::Bytes(v) => self.bytes(any_value::BYTES, v),
        }
    }

    /// The inside of an `AnyValue`.
    #[inline]
    pub fn scalar(&mut self, value: Scalar<'_>) {
        self.value(value.into());
    }

    /// A varint without a key, as in packed fields.
    #[inline]
    pub(super) fn raw_varint(&mut self, value: u64) {
        write_varint(&mut self.out, value);
    }

    /// Key and length of a message of which `len` bytes follow.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "both are below 128")]
    pub fn header(&mut self, number: u32, len: usize) {
        if number < 16 && len < 0x80 {
            self.out.extend_from_slice(&[(number << 3 | LEN) as u8, len as u8]);
            return;
        }
        self.key(number, LEN);
        write_varint(&mut self.out, len as u64);
    }

    #[inline]
    fn key(&mut self, number: u32, wire_type: u32) {
        write_varint(&mut self.out, u64::from(number << 3 | wire_type));
    }
}

/// The length of an `AnyValue` that holds a value.
fn value_len(value: AnyValue<'_>) -> usize {
    match value {
        AnyValue::Empty => 0,
        AnyValue::Text(v) => field_len(any_value::STRING, v.len()),
        AnyValue::Bool(_) => 2,
        AnyValue::Int(v) => 1 + varint_len(v.cast_unsigned()),
        AnyValue::Double(_) => 9,
        AnyValue::Array(v) | AnyValue::Map(v) | AnyValue::Bytes(v) => field_len(any_value::BYTES, v.len()),
    }
}

/// The length of a message field with `len` bytes inside.
#[inline]
pub fn field_len(number: u32, len: usize) -> usize {
    varint_len(u64::from(number << 3)) + varint_len(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::wire::{Fields, Value};

    #[test]
    fn lengths_are_minimal_at_every_size() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let mut w = Writer::new();
            w.message(3, |w| w.raw(&vec![7; len]));
            w.varint(4, 1);
            let mut long = Writer::new();
            let open = long.open_long(3);
            long.raw(&vec![7; len]);
            long.close(open);
            long.varint(4, 1);
            assert_eq!(long.as_slice(), w.as_slice());
            let fields: Vec<_> = Fields::new(w.as_slice()).collect::<Result<_, _>>().unwrap();
            assert_eq!(fields[0].value, Value::Len(&vec![7; len]));
            assert_eq!(fields[0].raw.len(), 1 + varint_len(len as u64) + len);
            assert_eq!(fields[1].value, Value::Varint(1));
        }
    }

    #[test]
    fn an_attribute_is_the_same_whether_its_key_was_written_before_or_not() {
        let mut key = Writer::new();
        key.text(key_value::KEY, "a.key");
        for len in [0, 1, 100, 112, 113, 114, 120, 127, 128, 5000] {
            let text = "x".repeat(len);
            for value in [Scalar::Text(&text), Scalar::Bytes(text.as_bytes()), Scalar::Int(-1), Scalar::Double(1.5)] {
                for number in [6, 16] {
                    let (mut whole, mut of) = (Writer::new(), Writer::new());
                    whole.attribute(number, "a.key", value);
                    of.attribute_of(number, key.as_slice(), value);
                    assert_eq!(of.as_slice(), whole.as_slice(), "{len} {number}");
                }
            }
        }
    }

    #[test]
    fn negative_numbers_read_back() {
        let mut w = Writer::new();
        w.sint32(1, -5);
        w.int64(2, -5);
        let fields: Vec<_> = Fields::new(w.as_slice()).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields[0].value.sint32(), Ok(-5));
        assert_eq!(fields[1].value.int64(), Ok(-5));
    }

    #[test]
    fn an_empty_packed_field_leaves_nothing() {
        let mut w = Writer::new();
        w.packed_varint(2, [].into_iter());
        w.packed_fixed64(2, [].into_iter());
        assert!(w.is_empty());
    }

    #[test]
    fn a_short_attribute_is_written_as_any_other() {
        let text = "0123456789abcdef".repeat(4);
        for (key_len, len) in (0..40).flat_map(|key| (0..=SHORT_TEXT).map(move |len| (key, len))) {
            let key = "k".repeat(key_len);
            let Some(short) = ShortKey::new(&key) else {
                assert!(key_len > 30, "{key_len}");
                continue;
            };
            let (mut got, mut want) = (Writer::new(), Writer::new());
            for w in [&mut got, &mut want] {
                w.varint(1, 7);
            }
            got.short_attribute(6, &short, text.as_bytes().first_chunk().unwrap(), len);
            want.attribute(6, &key, Scalar::Text(&text[..len]));
            assert_eq!(got.as_slice(), want.as_slice());
        }
    }
}
