//! Small types that read a scalar in a way of their own: verbatim text, one or several texts, sizes in bytes.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::block::newtype;
use super::tree::Node;

/// The name by which the decoder knows a [`Text`].
pub(super) const MARK: &str = "~text";

/// Text, or any other scalar as it is written: Prometheus takes `replacement: 1` for the text `1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Text(pub String);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        newtype(MARK, "text", deserializer).map(Text)
    }
}

/// The name by which the decoder knows a [`TextOr`].
pub(super) const OR_MAP: &str = "~text_or_map";

/// Text (or any other scalar as it is written), or a map that says how to come by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextOr<T> {
    /// The text itself.
    Text(String),
    /// The map.
    Map(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextOr<T>, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a map")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, map: D) -> Result<TextOr<T>, D::Error> {
                T::deserialize(map).map(TextOr::Map)
            }
        }

        deserializer.deserialize_newtype_struct(OR_MAP, Either(PhantomData))
    }
}

/// The name by which the decoder knows a [`Written`].
pub(super) const WRITTEN: &str = "~written";

/// A part of a document that is not decoded: its node is found in the document's tree, with its places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written(u32);

impl Written {
    /// What is written there; null where nothing is.
    pub fn node(self, tree: &Node) -> &Node {
        tree.find(self.0).unwrap_or(&NOTHING)
    }

    /// Whether something is written there.
    pub fn is_there(self) -> bool {
        self.0 != 0
    }
}

static NOTHING: Node = Node::nothing();

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_u32<E: de::Error>(self, id: u32) -> Result<Written, E> {
                Ok(Written(id))
            }
        }

        deserializer.deserialize_newtype_struct(WRITTEN, Number)
    }
}

/// A list of texts; one text alone is a list of one, and commas separate several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StringList(pub Vec<String>);

impl Deref for StringList {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for StringList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StringList, D::Error> {
        Vec::deserialize(deserializer).map(StringList)
    }
}

/// A size in bytes: a whole number, or text with a unit (`1MiB`, `500kB`; 1 kB is 1000 bytes, 1 KiB is 1024).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The size.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads a number with an optional unit.
    ///
    /// # Errors
    /// What is wrong and what works.
    pub fn parse(text: &str) -> Result<ByteSize, String> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit_bytes: f64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kb" => 1e3,
            "m" | "mb" => 1e6,
            "g" | "gb" => 1e9,
            "t" | "tb" => 1e12,
            "ki" | "kib" => 1024.0,
            "mi" | "mib" => 1024.0 * 1024.0,
            "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "ti" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            other => return Err(format!("has the unknown unit {other:?}; units are B, kB, KiB, MB, MiB, GB, GiB")),
        };
        let bytes = number.parse::<f64>().map(|n| n * unit_bytes).unwrap_or(f64::NAN);
        if !(0.0..9e18).contains(&bytes) {
            return Err(format!("is {text:?}, which is no size; a size looks like 1048576 or 1MiB"));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range by the check above")]
        Ok(ByteSize(bytes as u64))
    }
}

/// The name by which the decoder knows a [`ByteSize`].
pub(super) const SIZE: &str = "~size";

const SIZE_WORKS: &str = "a size in bytes, such as 1048576 or 1MiB";

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        newtype::<BytesOrText, D>(SIZE, SIZE_WORKS, deserializer).map(|size| size.0)
    }
}

struct BytesOrText(ByteSize);

impl<'de> Deserialize<'de> for BytesOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BytesOrText, D::Error> {
        struct NumberOrText;

        impl Visitor<'_> for NumberOrText {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SIZE_WORKS)
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(n))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<ByteSize, E> {
                u64::try_from(n).map(ByteSize).map_err(|_| E::custom(format!("is {n}, the least is 0")))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(NumberOrText).map(BytesOrText)
    }
}
