//! Values that are never printed: passwords, tokens, headers.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::block::newtype;

/// The name by which the decoder knows a secret.
pub(super) const MARK: &str = "~secret";
/// The name by which the decoder knows a map or list of names and secrets.
pub(super) const HEADERS: &str = "~headers";
/// What is printed instead.
pub const REDACTED: &str = "[REDACTED]";

/// Where users and passwords stand in the URLs of a text, in bytes.
pub(super) fn userinfo(text: &str) -> Vec<Range<usize>> {
    let starts = text.match_indices("://").map(|(at, mark)| at + mark.len());
    let authority = |start: usize| {
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'<>,}".contains(c)).unwrap_or(rest.len());
        rest[..end].rfind('@').map(|at| start..start + at)
    };
    starts.filter_map(authority).filter(|range| !range.is_empty()).collect()
}

/// The text with users and passwords in its URLs masked.
pub fn without_userinfo(text: &str) -> Cow<'_, str> {
    let found = userinfo(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut done) = (String::new(), 0);
    for range in found {
        out.push_str(&text[done..range.start]);
        out.push_str(REDACTED);
        done = range.end;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_in_urls_are_masked() {
        let check = |text: &str, expected: &str| assert_eq!(without_userinfo(text), expected);
        check("proxy_url: http://me:p@ss@proxy:3128/x, more", "proxy_url: http://[REDACTED]@proxy:3128/x, more");
        check("http://a/b@c https://token@d", "http://a/b@c https://[REDACTED]@d");
        check("me@example.org ://@x", "me@example.org ://@x");
    }
}
