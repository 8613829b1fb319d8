//! Lists, maps and enums as serde reads them.

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::Claims;
use super::decoder::{Decoder, Role, Slot};
use super::failure::{self, Failure};
use super::path::Path;
use crate::config::tree::{At, Entry, Map, Node, Value};

/// The elements of a list, without those taken out.
pub(super) struct Elements<'a> {
    of: Decoder<'a>,
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'a> Elements<'a> {
    pub(super) fn new(of: Decoder<'a>, list: &'a [Node]) -> Elements<'a> {
        Elements { of, rest: list.iter().enumerate() }
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let session = self.of.session;
        let Some((index, node)) = self.rest.find(|(_, n)| !session.is_out(n)) else { return Ok(None) };
        let path = self.of.path.index(index);
        let element =
            Decoder { node, id: node.id, at: node.at, path: &path, slot: Slot::Element, role: Role::Plain, session };
        element.settle(seed.deserialize(element)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len().min(1024))
    }
}

/// The pieces between the commas of a text that stands for a list.
pub(super) struct Pieces<'a> {
    of: Decoder<'a>,
    rest: std::iter::Enumerate<std::str::Split<'a, char>>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(of: Decoder<'a>, text: &'a str) -> Pieces<'a> {
        let mut rest = text.split(',').enumerate();
        if text.trim().is_empty() {
            rest.next();
        }
        Pieces { of, rest }
    }
}

impl<'de> de::SeqAccess<'de> for Pieces<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some((index, piece)) = self.rest.next() else { return Ok(None) };
        let node = Node::new(Value::Text(piece.trim().to_owned()), self.of.node.at);
        let path = self.of.path.index(index);
        let element = Decoder { node: &node, path: &path, slot: Slot::Element, role: Role::Plain, ..self.of };
        element.settle(seed.deserialize(element)).map(Some)
    }
}

/// The entries of a map, or the fields of a struct, squashed ones included.
pub(super) struct Fields<'a> {
    of: Decoder<'a>,
    rest: std::slice::Iter<'a, Entry>,
    /// `None` for a map: every key is taken.
    fields: Option<&'static [&'static str]>,
    squashed: std::slice::Iter<'static, &'static str>,
    claims: Option<&'a Claims>,
    value: Option<Next<'a>>,
}

enum Next<'a> {
    Entry(&'a Entry),
    Squashed,
}

impl<'a> Fields<'a> {
    pub(super) fn of_map(of: Decoder<'a>, map: &'a Map) -> Fields<'a> {
        Fields { of, rest: map.entries().iter(), fields: None, squashed: [].iter(), claims: None, value: None }
    }

    pub(super) fn of_struct(
        of: Decoder<'a>,
        map: &'a Map,
        fields: &'static [&'static str],
        claims: &'a Claims,
    ) -> Fields<'a> {
        let rest = map.entries().iter();
        Fields { of, rest, fields: Some(fields), squashed: fields.iter(), claims: Some(claims), value: None }
    }
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let (session, fields) = (self.of.session, self.fields);
        let known = |e: &Entry| fields.is_none_or(|f| !e.key.starts_with('~') && f.contains(&e.key.as_str()));
        if let Some(entry) = self.rest.find(|e| known(e) && !session.is_out(&e.value)) {
            self.value = Some(Next::Entry(entry));
            let key = Node::new(Value::Text(entry.key.clone()), entry.at);
            let path = self.of.path.key(&entry.key);
            let decoder = Decoder {
                node: &key,
                id: entry.value.id,
                at: entry.at,
                path: &path,
                slot: Slot::Element,
                role: Role::Plain,
                session,
            };
            return decoder.settle(seed.deserialize(decoder)).map(Some);
        }
        let Some(name) = self.squashed.find(|f| f.starts_with('~')) else { return Ok(None) };
        self.value = Some(Next::Squashed);
        let name: StrDeserializer<'_, Failure> = (*name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        match (self.value.take(), self.claims) {
            (Some(Next::Entry(entry)), _) => {
                let slot = if self.fields.is_some() { Slot::Field } else { Slot::Element };
                let path = self.of.path.key(&entry.key);
                entry_decoder(self.of, entry, &path, slot).take(seed)
            }
            (Some(Next::Squashed), Some(claims)) => {
                let squashed = self.of.role(Role::Squash(claims));
                squashed.take(seed)
            }
            _ => Err(Failure::Said("has no value".to_owned())),
        }
    }
}

fn entry_decoder<'b>(of: Decoder<'b>, entry: &'b Entry, path: &'b Path<'b>, slot: Slot) -> Decoder<'b> {
    let node = &entry.value;
    Decoder { session: of.session, node, id: node.id, at: entry.at, path, slot, role: Role::Plain }
}

impl Decoder<'_> {
    fn take<'de, V: DeserializeSeed<'de>>(self, seed: V) -> Result<V::Value, Failure> {
        self.settle(seed.deserialize(self))
    }
}

/// A block that can be off: whether it is on, then its value.
pub(super) struct Pair<'a> {
    of: Decoder<'a>,
    map: &'a Map,
    next: u8,
}

impl<'a> Pair<'a> {
    pub(super) fn new(of: Decoder<'a>, map: &'a Map) -> Pair<'a> {
        Pair { of, map, next: 0 }
    }
}

impl<'de> de::SeqAccess<'de> for Pair<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        self.next += 1;
        match self.next {
            1 => match self.map.entry("enabled").filter(|e| !self.of.session.is_out(&e.value)) {
                Some(entry) if !entry.value.is_null() => {
                    let path = self.of.path.key("enabled");
                    entry_decoder(self.of, entry, &path, Slot::Field).take(seed).map(Some)
                }
                _ => {
                    let on: de::value::BoolDeserializer<Failure> = true.into_deserializer();
                    seed.deserialize(on).map(Some)
                }
            },
            2 => {
                let value = Decoder { slot: Slot::Element, role: Role::Beside("enabled"), ..self.of };
                value.take(seed).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// An enum: a word, or a map of one word and its content, or a map that names its word in `type`.
pub(super) struct Word<'a> {
    word: String,
    content: Content<'a>,
}

enum Content<'a> {
    None(Decoder<'a>),
    Value(Decoder<'a>, &'a Entry),
    Beside(Decoder<'a>),
}

impl<'a> Word<'a> {
    pub(super) fn new(of: Decoder<'a>, words: &'static [&'static str]) -> Result<Word<'a>, Failure> {
        if let Value::Map(map) = &of.node.value
            && let [entry] = map.entries()
        {
            let word = entry.key.clone();
            return match words.contains(&word.as_str()) {
                true => Ok(Word { word, content: Content::Value(of, entry) }),
                false => Err(Failure::Said(failure::unknown_word(&word, words))),
            };
        }
        let word = of.word_text(words)?;
        match words.contains(&word.as_str()) {
            true => Ok(Word { word, content: Content::None(of) }),
            false => Err(Failure::Said(failure::unknown_word(&word, words))),
        }
    }

    pub(super) fn tagged(of: Decoder<'a>, words: &'static [&'static str]) -> Result<Word<'a>, Failure> {
        const TAG: &str = "type";
        let Some(entry) = of.map()?.entry(TAG) else { return Err(Failure::Missing(TAG)) };
        if of.session.is_bad(&entry.value) {
            return Err(Failure::Missing(TAG));
        }
        let path = of.path.key(TAG);
        let tag = entry_decoder(of, entry, &path, Slot::Element);
        let word = tag.settle(tag.word_text(words))?;
        if !words.contains(&word.as_str()) {
            return tag.settle(Err(Failure::Said(failure::unknown_word(&word, words))));
        }
        Ok(Word { word, content: Content::Beside(of) })
    }
}

impl<'de, 'a> de::EnumAccess<'de> for Word<'a> {
    type Error = Failure;
    type Variant = Inside<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Inside<'a>), Failure> {
        let word: StringDeserializer<Failure> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, Inside(self.content)))
    }
}

/// What an enum's word has beside it.
pub(super) struct Inside<'a>(Content<'a>);

impl<'de> de::VariantAccess<'de> for Inside<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        match self.0 {
            Content::None(_) => Ok(()),
            Content::Value(_, entry) if entry.value.is_null() => Ok(()),
            Content::Value(..) => Err(Failure::Said("takes only the word, without settings".to_owned())),
            Content::Beside(of) => {
                let claims = Claims::default();
                claims.add(&["type"]);
                of.session.unknown_keys(of.node, of.path, &claims);
                Ok(())
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        match self.0 {
            Content::None(of) => {
                let nothing = Node::new(Value::Null, At { ..of.node.at });
                Decoder { node: &nothing, slot: Slot::Element, role: Role::Plain, ..of }.take(seed)
            }
            Content::Value(of, entry) => {
                let path = of.path.key(&entry.key);
                entry_decoder(of, entry, &path, Slot::Element).take(seed)
            }
            Content::Beside(of) => Decoder { slot: Slot::Element, role: Role::Beside("type"), ..of }.take(seed),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Failure> {
        Err(Failure::Said("is of a kind that a config cannot hold".to_owned()))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        use serde::Deserializer as _;
        match self.0 {
            Content::None(of) => {
                let nothing = Node::new(Value::Null, of.node.at);
                Decoder { node: &nothing, slot: Slot::Element, role: Role::Plain, ..of }
                    .deserialize_struct("", fields, visitor)
            }
            Content::Value(of, entry) => {
                let path = of.path.key(&entry.key);
                let inside = entry_decoder(of, entry, &path, Slot::Element);
                inside.settle(inside.deserialize_struct("", fields, visitor))
            }
            Content::Beside(of) => Decoder { slot: Slot::Element, role: Role::Beside("type"), ..of }
                .deserialize_struct("", fields, visitor),
        }
    }
}
