//! A log record while operators work on it.

use std::borrow::Cow;

use super::field::{Field, Root};
use super::value::{Map, Value};
use crate::file_log::format::severity::Severity;

/// What operators read and change. Borrows from the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    body: Value<'a>,
    /// Always a map.
    attributes: Value<'a>,
    /// Always a map.
    resource: Value<'a>,
    /// Whether an operator has touched the resource.
    pub resource_changed: bool,
    /// Nanoseconds since 1970, once an operator has read it.
    pub time: Option<u64>,
    /// Unspecified until an operator has read it.
    pub severity: Severity,
    /// The program's own word for it.
    pub severity_text: Cow<'a, str>,
    /// Trace context.
    pub trace_id: Option<[u8; 16]>,
    /// Trace context.
    pub span_id: Option<[u8; 8]>,
    /// Trace context.
    pub trace_flags: Option<u8>,
    /// The name of its scope, once an operator has read it.
    pub scope_name: Option<Cow<'a, str>>,
    /// When its line was read, in nanoseconds since 1970.
    pub observed: u64,
}

/// A value cannot stand at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace;

impl<'a> Entry<'a> {
    /// An entry with what the receiver knows.
    pub fn new(body: Value<'a>, attributes: Map<'a>, resource: Map<'a>, observed: u64) -> Entry<'a> {
        Entry {
            body,
            attributes: Value::Map(attributes),
            resource: Value::Map(resource),
            resource_changed: false,
            time: None,
            severity: Severity::default(),
            severity_text: Cow::Borrowed(""),
            trace_id: None,
            span_id: None,
            trace_flags: None,
            scope_name: None,
            observed,
        }
    }

    /// The same, with everything that is borrowed copied.
    pub fn into_owned(self) -> Entry<'static> {
        Entry {
            body: self.body.into_owned(),
            attributes: self.attributes.into_owned(),
            resource: self.resource.into_owned(),
            resource_changed: self.resource_changed,
            time: self.time,
            severity: self.severity,
            severity_text: Cow::Owned(self.severity_text.into_owned()),
            trace_id: self.trace_id,
            span_id: self.span_id,
            trace_flags: self.trace_flags,
            scope_name: self.scope_name.map(|name| Cow::Owned(name.into_owned())),
            observed: self.observed,
        }
    }

    /// Its body.
    pub fn body(&self) -> &Value<'a> {
        &self.body
    }

    /// Its attributes.
    pub fn attributes(&self) -> &Map<'a> {
        map_of(&self.attributes)
    }

    /// The attributes of its resource.
    pub fn resource(&self) -> &Map<'a> {
        map_of(&self.resource)
    }

    /// The value at a place.
    pub fn get(&self, field: &Field) -> Option<&Value<'a>> {
        let root = match field.root {
            Root::Body => &self.body,
            Root::Attributes => &self.attributes,
            Root::Resource => &self.resource,
        };
        field.keys.iter().try_fold(root, |value, key| match value {
            Value::Map(map) => map.get(key),
            _ => None,
        })
    }

    /// The value at a place, to change.
    pub fn get_mut(&mut self, field: &Field) -> Option<&mut Value<'a>> {
        let root = self.root_mut(field.root);
        field.keys.iter().try_fold(root, |value, key| match value {
            Value::Map(map) => map.get_mut(key),
            _ => None,
        })
    }

    /// Sets the value at a place. A map is merged into a map that stands there; what stands in the way to the place is
    /// replaced by maps.
    ///
    /// # Errors
    /// When the place is all attributes or the whole resource, and the value is no map.
    pub fn set(&mut self, field: &Field, value: Value<'a>) -> Result<(), NoPlace> {
        if !field.takes(&value) {
            return Err(NoPlace);
        }
        let mut place = self.root_mut(field.root);
        for key in &field.keys {
            if !matches!(place, Value::Map(_)) {
                *place = Value::Map(Map::default());
            }
            let Value::Map(map) = place else { return Err(NoPlace) };
            if map.get(key).is_none() {
                map.set(key.clone(), Value::Null);
            }
            place = map.get_mut(key).ok_or(NoPlace)?;
        }
        match (place, value) {
            (Value::Map(map), Value::Map(more)) => map.merge(more),
            (place, value) => *place = value,
        }
        Ok(())
    }

    /// Takes the value at a place out. Of the body as a whole, nothing is left; of all attributes, an empty map.
    pub fn remove(&mut self, field: &Field) -> Option<Value<'a>> {
        let mut place = self.root_mut(field.root);
        let Some((last, way)) = field.keys.split_last() else {
            let empty = if field.root == Root::Body { Value::Null } else { Value::Map(Map::default()) };
            return Some(std::mem::replace(place, empty));
        };
        for key in way {
            let Value::Map(map) = place else { return None };
            place = map.get_mut(key)?;
        }
        let Value::Map(map) = place else { return None };
        map.remove(last)
    }

    fn root_mut(&mut self, root: Root) -> &mut Value<'a> {
        match root {
            Root::Body => &mut self.body,
            Root::Attributes => &mut self.attributes,
            Root::Resource => {
                self.resource_changed = true;
                &mut self.resource
            }
        }
    }
}

fn map_of<'v, 'a>(value: &'v Value<'a>) -> &'v Map<'a> {
    static EMPTY: Map<'static> = Map::EMPTY;
    if let Value::Map(map) = value { map } else { &EMPTY }
}

#[cfg(test)]
mod tests {
    use super::super::value::from_json;
    use super::*;

    fn entry() -> Entry<'static> {
        let Ok(Value::Map(attributes)) = from_json(r#"{"a":{"b":1},"c":"x"}"#, true) else { panic!("no map") };
        Entry::new(Value::text("line"), attributes, Map::default(), 0)
    }

    fn field(text: &str) -> Field {
        text.parse().unwrap()
    }

    fn json(text: &'static str) -> Value<'static> {
        from_json(text, true).unwrap()
    }

    #[test]
    fn values_are_found_set_and_removed_at_any_depth() {
        let mut entry = entry();
        assert_eq!(entry.get(&field("attributes.a.b")), Some(&Value::Int(1)));
        assert_eq!(entry.get(&field("attributes.c.d")), None);
        entry.set(&field("attributes.c.d.e"), Value::Bool(true)).unwrap();
        assert_eq!(entry.get(&field("attributes.c")), Some(&json(r#"{"d":{"e":true}}"#)));
        assert_eq!(entry.remove(&field("attributes.a.b")), Some(Value::Int(1)));
        assert_eq!(entry.remove(&field("attributes.a.b")), None);
        assert!(!entry.resource_changed);
        entry.set(&field("resource.x"), Value::Int(2)).unwrap();
        assert!(entry.resource_changed);
    }

    #[test]
    fn maps_are_merged_into_maps_and_replace_all_else() {
        let mut entry = entry();
        entry.set(&field("attributes"), json(r#"{"a":3,"z":4}"#)).unwrap();
        assert_eq!(entry.get(&field("attributes")), Some(&json(r#"{"a":3,"c":"x","z":4}"#)));
        entry.set(&field("body"), json(r#"{"m":1}"#)).unwrap();
        entry.set(&field("body"), json(r#"{"n":2}"#)).unwrap();
        assert_eq!(entry.body(), &json(r#"{"m":1,"n":2}"#));
        assert_eq!(entry.set(&field("attributes"), Value::Int(1)), Err(NoPlace));
        assert_eq!(entry.remove(&field("body")), Some(json(r#"{"m":1,"n":2}"#)));
        assert_eq!(entry.body(), &Value::Null);
    }
}
