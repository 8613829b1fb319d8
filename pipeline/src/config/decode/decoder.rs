//! The serde deserializer over one node.

use std::collections::HashSet;

use serde::de::{self, Visitor};

use super::access::{Elements, Fields, Pair, Pieces, Word};
use super::failure::{self, BOOLEAN, FLOAT, Failure, LIST, MAP, NUMBER, TEXT};
use super::path::Path;
use super::{Claims, Reference, Session};
use crate::config::report::Diagnostic;
use crate::config::tree::{At, Map, Node, Value, quoted};
use crate::config::{ComponentId, block, duration, id, secret, text};

/// What null means at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// A body: null is an empty map.
    Root,
    /// A struct's field: null is its default.
    Field,
    /// An element of a list or a map: null is nothing, empty text, an empty list or map.
    Element,
}

/// How a node is read, beyond its type.
#[derive(Clone, Copy)]
pub(super) enum Role<'a> {
    /// As it is.
    Plain,
    /// As some of the keys of a map that others read too.
    Squash(&'a Claims),
    /// As a map that may also have this key, which others read.
    Beside(&'static str),
    /// As a secret.
    Secret,
    /// As text, however the scalar is written.
    Verbatim,
    /// As an enum whose word stands in the map's `type`.
    Tagged,
}

/// A node about to become a value.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'a> {
    pub(super) session: &'a Session,
    pub(super) node: &'a Node,
    /// What is taken out when this fails.
    pub(super) id: u32,
    /// Where its key stands, or the node itself: the place for what concerns the whole of a list or map.
    pub(super) at: At,
    pub(super) path: &'a Path<'a>,
    pub(super) slot: Slot,
    pub(super) role: Role<'a>,
}

impl<'a> Decoder<'a> {
    /// The same node in another role.
    pub(super) fn role(self, role: Role<'a>) -> Decoder<'a> {
        Decoder { role, ..self }
    }

    /// Gives a failure that has no place yet this node's.
    pub(super) fn settle<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| match failure {
            Failure::Noted => Failure::Noted,
            Failure::Said(message) => self.wrong(&message),
            Failure::Missing(key) => {
                let taken = self.node.as_map().and_then(|m| m.value(key)).is_some_and(|n| self.session.is_bad(n));
                if !taken {
                    self.session.note(Diagnostic::error(self.at, format!("'{}' needs {key:?}", self.path)));
                }
                self.take_out()
            }
        })
    }

    /// Notes what is wrong with this node and takes it out.
    fn wrong(&self, message: &str) -> Failure {
        let at = match self.node.value {
            Value::List(_) | Value::Map(_) | Value::Null => self.at,
            _ => self.node.at,
        };
        let mut diagnostic = Diagnostic::error(at, format!("'{}' {message}", self.path));
        diagnostic.hidden = self.is_secret().then(|| Box::new(self.node.at));
        self.session.note(diagnostic);
        self.take_out()
    }

    fn take_out(&self) -> Failure {
        self.session.bad.borrow_mut().insert(self.id);
        Failure::Noted
    }

    fn is_secret(&self) -> bool {
        matches!(self.role, Role::Secret)
    }

    /// For null where a value of some kind must be.
    fn null(&self, works: &str) -> Failure {
        match self.slot {
            Slot::Field => {
                self.session.absent.borrow_mut().insert(self.id);
                Failure::Noted
            }
            Slot::Root | Slot::Element => self.wrong(&format!("takes {works}, not nothing")),
        }
    }

    fn wrong_kind(&self, works: &str) -> Failure {
        match self.node.value {
            Value::Null => self.null(works),
            _ => self.wrong(&failure::wrong_kind(self.node, works, self.is_secret())),
        }
    }

    /// A bare number in a duration is nanoseconds, which hardly anybody means.
    fn odd_nanoseconds(&self) {
        const ODD: std::ops::Range<i128> = 1..1_000_000;
        if let (Value::Int(n), Some(_)) = (&self.node.value, &self.node.raw)
            && ODD.contains(n)
        {
            let message = format!("'{}' is {n} nanoseconds: a duration without a unit counts those", self.path);
            self.session.note(Diagnostic::warning(self.node.at, message).help(format!("write {n}s or {n}ms")));
        }
    }

    /// Notes that an extension is named here.
    fn refers(&self) {
        if let Value::Text(text) = &self.node.value
            && let Ok(id) = ComponentId::parse(text)
        {
            let reference = Reference { at: self.node.at, path: self.path.to_string(), id };
            self.session.references.borrow_mut().insert(self.node.id, reference);
        }
    }

    /// Marks every scalar below as a secret, whatever becomes of it, except for what `name` holds.
    fn hide_all_but_names(&self) {
        fn walk(node: &Node, secrets: &mut HashSet<u32>) {
            match &node.value {
                Value::List(list) => list.iter().for_each(|n| walk(n, secrets)),
                Value::Map(map) => {
                    map.entries().iter().filter(|e| e.key != "name").for_each(|e| walk(&e.value, secrets));
                }
                _ => drop(secrets.insert(node.id)),
            }
        }
        walk(self.node, &mut self.session.secrets.borrow_mut());
    }

    /// A block's map; nothing at all is a map without keys.
    fn map_or_defaults(&self) -> Result<&'a Map, Failure> {
        Decoder { slot: Slot::Element, ..*self }.map()
    }

    /// The word of an enum.
    pub(super) fn word_text(&self, words: &'static [&'static str]) -> Result<String, Failure> {
        match (&self.node.value, &self.node.raw) {
            (Value::Null, _) => Err(self.null(TEXT)),
            // A word that looks like a number wants quotes.
            (value, raw) if !matches!(value, Value::Text(_)) && !self.node.expanded => {
                let in_quotes = raw.as_ref().is_some_and(|raw| words.contains(&raw.as_str()));
                let works = if in_quotes { TEXT.to_owned() } else { failure::one_of(words) };
                Err(self.wrong_kind(&works))
            }
            _ => self.text(),
        }
    }

    fn text(&self) -> Result<String, Failure> {
        let node = self.node;
        match (&node.value, &node.raw) {
            (_, Some(raw)) if node.expanded => Ok(raw.clone()),
            (Value::Text(text), _) => Ok(text.clone()),
            (Value::Null, _) if self.slot == Slot::Element => Ok(String::new()),
            (Value::Bool(_) | Value::Int(_) | Value::Float(_), _) if matches!(self.role, Role::Verbatim) => {
                Ok(node.scalar_text())
            }
            _ => Err(self.wrong_kind(TEXT)),
        }
    }

    fn integer(&self, least: i128, most: i128) -> Result<i128, Failure> {
        let n = match self.node.value {
            Value::Int(n) => n,
            #[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => x as i128,
            _ => return Err(self.wrong_kind(NUMBER)),
        };
        if n < least {
            return Err(self.wrong(&format!("is {n}, the least is {least}")));
        }
        if n > most {
            return Err(self.wrong(&format!("is {n}, the most is {most}")));
        }
        Ok(n)
    }

    /// The map to read; null is an empty one where that makes sense.
    pub(super) fn map(&self) -> Result<&'a Map, Failure> {
        static EMPTY: Map = Map::empty();
        match &self.node.value {
            Value::Map(map) => Ok(map),
            Value::Null if self.slot != Slot::Field => Ok(&EMPTY),
            Value::Text(text) if text.is_empty() && self.node.expanded => Ok(&EMPTY),
            _ => Err(self.wrong_kind(MAP)),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            let n = self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX))?;
            visitor.$visit(<$type>::try_from(n).map_err(|_| self.wrong_kind(NUMBER))?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Null if self.slot == Slot::Field => Err(self.null("a value")),
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(n) => match (i64::try_from(*n), u64::try_from(*n)) {
                (Ok(n), _) => visitor.visit_i64(n),
                (_, Ok(n)) => visitor.visit_u64(n),
                _ => Err(self.wrong_kind(NUMBER)),
            },
            Value::Float(x) => visitor.visit_f64(*x),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(list) => visitor.visit_seq(Elements::new(self, list)),
            Value::Map(map) => visitor.visit_map(Fields::of_map(self, map)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.node.value {
            Value::Bool(b) => visitor.visit_bool(b),
            _ => Err(self.wrong_kind(BOOLEAN)),
        }
    }

    integers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_f64(visitor)
    }

    #[allow(clippy::cast_precision_loss, reason = "a number that large is not exact in a float field anyway")]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.node.value {
            Value::Float(x) => visitor.visit_f64(x),
            Value::Int(n) => visitor.visit_f64(n as f64),
            _ => Err(self.wrong_kind(FLOAT)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let text = self.text()?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => visitor.visit_char(c),
            _ => Err(self.wrong(&format!("takes one character, not {}", quoted(&text)))),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_byte_buf(self.text()?.into_bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match (&self.node.value, self.role) {
            (Value::Null, Role::Plain) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.node.value {
            Value::Null => visitor.visit_unit(),
            _ => Err(self.wrong("takes nothing")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match name {
            secret::MARK => {
                self.session.secrets.borrow_mut().insert(self.id);
                visitor.visit_newtype_struct(self.role(Role::Secret))
            }
            secret::HEADERS => {
                self.hide_all_but_names();
                visitor.visit_newtype_struct(self)
            }
            id::EXTENSION => {
                self.refers();
                visitor.visit_newtype_struct(self)
            }
            text::OR_MAP => match self.node.value {
                Value::Map(_) => visitor.visit_newtype_struct(self),
                _ => visitor.visit_string(self.role(Role::Verbatim).text()?),
            },
            text::WRITTEN => visitor.visit_u32(self.node.id),
            text::MARK => visitor.visit_newtype_struct(self.role(Role::Verbatim)),
            block::TAGGED => visitor.visit_newtype_struct(self.role(Role::Tagged)),
            duration::MARK => {
                self.odd_nanoseconds();
                visitor.visit_newtype_struct(self)
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::List(list) => visitor.visit_seq(Elements::new(self, list)),
            Value::Text(text) => visitor.visit_seq(Pieces::new(self, text)),
            Value::Null if self.slot != Slot::Field => visitor.visit_seq(Elements::new(self, &[])),
            _ => Err(self.wrong_kind(LIST)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match name {
            block::MARK => visitor.visit_seq(Pair::new(self, self.map_or_defaults()?)),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if let Role::Squash(claims) = self.role {
            claims.add_all();
        }
        visitor.visit_map(Fields::of_map(self, self.map()?))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let map = self.map()?;
        if let Role::Squash(claims) = self.role {
            claims.add(fields);
            return visitor.visit_map(Fields::of_struct(self, map, fields, claims));
        }
        let claims = Claims::default();
        claims.add(fields);
        if let Role::Beside(key) = self.role {
            claims.add_one(key);
        }
        let result = visitor.visit_map(Fields::of_struct(self, map, fields, &claims));
        let whole = !fields.iter().any(|f| f.starts_with('~'));
        if whole || matches!(result, Ok(_) | Err(Failure::Missing(_))) {
            self.session.unknown_keys(self.node, self.path, &claims);
        }
        result
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.role {
            Role::Tagged => visitor.visit_enum(Word::tagged(self, words)?),
            _ => visitor.visit_enum(Word::new(self, words)?),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }
}
