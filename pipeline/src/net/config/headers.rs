//! `headers:` in both of its forms: a map, or a list of `{name, value}`.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::join;
use crate::config::{Opaque, Problem};

/// Headers to send, in the order of the config; the values are secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Opaque)>);

impl Headers {
    /// Everything that cannot be a header.
    pub fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, value) in &self.0 {
            if HeaderName::try_from(name).is_err() {
                problems.push(Problem::at(join(path, name), format!("{name:?} cannot be a header name")));
            }
            if HeaderValue::try_from(&value.0).is_err() {
                problems.push(Problem::at(
                    join(path, name),
                    "the value has characters that a header cannot have, such as a line break at its end",
                ));
            }
        }
        problems
    }

    /// The headers, values marked sensitive; what cannot be one is left out (see [`Headers::check`]).
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(&value.0)) {
                value.set_sensitive(true);
                map.insert(name, value);
            }
        }
        map
    }
}

#[derive(Deserialize)]
struct NameValue {
    name: String,
    #[serde(default)]
    value: Opaque,
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        deserializer.deserialize_any(Forms)
    }
}

struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of header names to values, or a list of {name, value}")
    }

    fn visit_unit<E>(self) -> Result<Headers, E> {
        Ok(Headers::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Vec::new();
        while let Some(entry) = map.next_entry::<String, Opaque>()? {
            headers.push(entry);
        }
        Ok(Headers(headers))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
        let mut headers = Vec::new();
        while let Some(entry) = list.next_element::<NameValue>()? {
            headers.push((entry.name, entry.value));
        }
        Ok(Headers(headers))
    }
}
