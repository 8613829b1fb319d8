//! Values that are never printed: passwords, tokens, headers.

use std::fmt;
use std::ops::Deref;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::block::newtype;

/// The name by which the decoder knows a secret.
pub(super) const MARK: &str = "~secret";
/// The name by which the decoder knows a map or list of names and secrets.
pub(super) const HEADERS: &str = "~headers";
/// What is printed instead.
pub const REDACTED: &str = "[REDACTED]";

/// A secret: decoded like text, never printed.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Opaque(pub String);

impl Opaque {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Opaque, D::Error> {
        newtype(MARK, "text", deserializer).map(Opaque)
    }
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// Header names and their values, as a map or as a list of `{name, value}`, in the order written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Opaque)>);

impl Deref for Headers {
    type Target = [(String, Opaque)];

    fn deref(&self) -> &[(String, Opaque)] {
        &self.0
    }
}

#[derive(Deserialize)]
struct NameAndValue {
    name: String,
    #[serde(default)]
    value: Opaque,
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        newtype::<NamesAndValues, D>(HEADERS, WORKS, deserializer).map(|h| h.0)
    }
}

const WORKS: &str = "a map of names and values, or a list of maps with name and value";

struct NamesAndValues(Headers);

impl<'de> Deserialize<'de> for NamesAndValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NamesAndValues, D::Error> {
        struct MapOrList;

        impl<'de> Visitor<'de> for MapOrList {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WORKS)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Headers, E> {
                Ok(Headers::default())
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    headers.push(entry);
                }
                Ok(Headers(headers))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(NameAndValue { name, value }) = list.next_element()? {
                    headers.push((name, value));
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_any(MapOrList).map(NamesAndValues)
    }
}
