//! The deserializer that finds out what a type reads. Each pass over the type walks one way down that no pass has walked
//! before, and hands out values only to get further; whether the type likes them does not matter.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::{Block, Key, Kind, Shape};
use crate::config::{block, duration, secret, text};

/// Deeper than any config is; a type that holds itself ends here.
const MOST_DEPTH: usize = 24;
/// More ways down than any config has.
const MOST_PASSES: usize = 100_000;

pub(super) fn shape<T: DeserializeOwned>() -> Shape {
    let place = Place::default();
    for _ in 0..MOST_PASSES {
        let _ = T::deserialize(Probe { place: place.clone(), depth: 0, tagged: false });
        if place.is_done() {
            break;
        }
    }
    place.shape()
}

/// What is known of a place; shared between passes.
#[derive(Clone, Default)]
struct Place(Rc<RefCell<Known>>);

#[derive(Default)]
struct Known {
    seen: Seen,
    optional: bool,
    can_be_off: bool,
    text_or: bool,
}

#[derive(Default)]
enum Seen {
    #[default]
    Nothing,
    Leaf(Kind),
    List(Place),
    Map(Place),
    Struct(&'static str, Vec<(&'static str, Place)>),
    /// Words with what stands behind them, or that nothing does.
    Enum(bool, Vec<(&'static str, Option<Place>)>),
}

impl Place {
    fn is_done(&self) -> bool {
        match &self.0.borrow().seen {
            Seen::Nothing => false,
            Seen::Leaf(_) => true,
            Seen::List(inner) | Seen::Map(inner) => inner.is_done(),
            Seen::Struct(_, keys) => keys.iter().all(|(_, place)| place.is_done()),
            Seen::Enum(_, words) => words.iter().all(|(_, place)| place.as_ref().is_none_or(Place::is_done)),
        }
    }

    fn leaf(&self, kind: Kind) {
        let mut known = self.0.borrow_mut();
        if matches!(known.seen, Seen::Nothing) {
            known.seen = Seen::Leaf(kind);
        }
    }

    /// Ends a place that a pass has been offered and has not looked at.
    fn close(&self) {
        self.leaf(Kind::Other("anything".to_owned()));
    }

    /// The place below of a list or map, made on the first visit.
    fn below(&self, make: fn(Place) -> Seen) -> Place {
        let mut known = self.0.borrow_mut();
        if matches!(known.seen, Seen::Nothing) {
            known.seen = make(Place::default());
        }
        match &known.seen {
            Seen::List(inner) | Seen::Map(inner) => inner.clone(),
            _ => Place::default(),
        }
    }

    fn shape(&self) -> Shape {
        let known = self.0.borrow();
        let kind = match &known.seen {
            Seen::Nothing => Kind::Other("anything".to_owned()),
            Seen::Leaf(kind) => kind.clone(),
            Seen::List(inner) => Kind::List(Box::new(inner.shape())),
            Seen::Map(inner) => Kind::Map(Box::new(inner.shape())),
            Seen::Struct(name, keys) => {
                let mut block = Block { name, can_be_off: known.can_be_off, ..Block::default() };
                fields(&mut block, name, keys);
                if known.can_be_off && !block.keys.iter().any(|k| k.name == "enabled") {
                    block.keys.push(Key { name: "enabled", of: "~block", shape: Shape::of(Kind::Bool) });
                }
                Kind::Block(block)
            }
            Seen::Enum(false, words) if words.iter().all(|(_, place)| place.is_none()) => {
                Kind::Words(words.iter().map(|(word, _)| *word).collect())
            }
            Seen::Enum(tagged, words) => {
                let behind = |place: &Option<Place>| {
                    place.as_ref().map_or(Shape::of(Kind::Block(Block::default())), Place::shape)
                };
                let words: Vec<_> = words.iter().map(|(word, place)| (*word, behind(place))).collect();
                match tagged {
                    true => Kind::Tagged(words),
                    false => {
                        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                        Kind::Other(format!("one of {}", names.join(", ")))
                    }
                }
            }
        };
        let shape = Shape { kind, optional: known.optional };
        match known.text_or {
            true => Shape::of(Kind::TextOr(Box::new(shape))),
            false => shape,
        }
    }
}

/// Puts fields into a block, those of squashed ones as if they stood there.
fn fields(block: &mut Block, of: &'static str, keys: &[(&'static str, Place)]) {
    for (name, place) in keys {
        if !name.starts_with('~') {
            if !block.keys.iter().any(|k| k.name == *name) {
                block.keys.push(Key { name, of, shape: place.shape() });
            }
            continue;
        }
        match &place.0.borrow().seen {
            Seen::Struct(inner, keys) => fields(block, inner, keys),
            Seen::Map(_) => block.open = true,
            _ => {}
        }
    }
}

/// The deserializer of one place.
struct Probe {
    place: Place,
    depth: usize,
    /// Whether an enum's word stands in the map's `type`.
    tagged: bool,
}

impl Probe {
    fn below(&self, place: Place) -> Probe {
        Probe { place, depth: self.depth + 1, tagged: false }
    }

    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.place.leaf(Kind::Other((&visitor as &dyn de::Expected).to_string()));
        visitor.visit_str("")
    }
}

/// Why a pass ends; nobody reads it.
#[derive(Debug)]
struct Enough;

impl fmt::Display for Enough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("enough")
    }
}

impl std::error::Error for Enough {}

impl de::Error for Enough {
    fn custom<T: fmt::Display>(_: T) -> Enough {
        Enough
    }
}

macro_rules! leaves {
    ($($method:ident $kind:expr, $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
            self.place.leaf($kind);
            visitor.$visit($value)
        }
    )*};
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
            self.place.leaf(Kind::Integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX)));
            visitor.$visit(1)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Probe {
    type Error = Enough;

    leaves! {
        deserialize_bool Kind::Bool, visit_bool true;
        deserialize_f32 Kind::Number, visit_f64 1.0;
        deserialize_f64 Kind::Number, visit_f64 1.0;
        deserialize_char Kind::Text, visit_char ',';
        deserialize_str Kind::Text, visit_str "";
        deserialize_string Kind::Text, visit_str "";
        deserialize_bytes Kind::Text, visit_str "";
        deserialize_byte_buf Kind::Text, visit_str "";
        deserialize_identifier Kind::Text, visit_str "";
    }

    integers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.place.0.borrow_mut().optional = true;
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.place.close();
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Enough> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Enough> {
        let kind = match name {
            secret::MARK => Kind::Secret,
            secret::HEADERS => Kind::Headers,
            text::MARK => Kind::Scalar,
            text::SIZE => Kind::Size,
            duration::MARK => Kind::Duration,
            duration::PROM => Kind::PromDuration,
            text::OR_MAP => {
                self.place.0.borrow_mut().text_or = true;
                return visitor.visit_newtype_struct(self);
            }
            block::TAGGED => {
                self.tagged = true;
                return visitor.visit_newtype_struct(self);
            }
            _ => return visitor.visit_newtype_struct(self),
        };
        self.place.leaf(kind);
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        let element = self.place.below(Seen::List);
        visitor.visit_seq(One(Some(self.below(element))))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Enough> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Enough> {
        if name != block::MARK {
            return self.deserialize_seq(visitor);
        }
        self.place.0.borrow_mut().can_be_off = true;
        visitor.visit_seq(OnAnd { on: false, value: Some(self) })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        let value = self.place.below(Seen::Map);
        visitor.visit_map(Entry { key: Some("key"), value: Some(self.below(value)) })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Enough> {
        if self.depth > MOST_DEPTH {
            self.place.close();
            return Err(Enough);
        }
        let next = {
            let mut known = self.place.0.borrow_mut();
            if matches!(known.seen, Seen::Nothing) {
                known.seen = Seen::Struct(name, fields.iter().map(|f| (*f, Place::default())).collect());
            }
            match &known.seen {
                Seen::Struct(_, keys) => keys.iter().find(|(_, place)| !place.is_done()).cloned(),
                _ => None,
            }
        };
        let key = next.as_ref().map(|(name, _)| *name);
        let value = next.map(|(_, place)| self.below(place));
        visitor.visit_map(Entry { key, value })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Enough> {
        let next = {
            let mut known = self.place.0.borrow_mut();
            if matches!(known.seen, Seen::Nothing) {
                let words = words.iter().map(|w| (*w, Some(Place::default()))).collect();
                known.seen = Seen::Enum(self.tagged, words);
            }
            match &known.seen {
                Seen::Enum(_, words) => {
                    let next = words.iter().position(|(_, p)| p.as_ref().is_some_and(|p| !p.is_done()));
                    next.or_else(|| words.iter().position(|(_, p)| p.is_none())).or((!words.is_empty()).then_some(0))
                }
                _ => None,
            }
        };
        match next {
            Some(index) => visitor.visit_enum(Word { of: self, index }),
            None => Err(Enough),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.place.close();
        visitor.visit_unit()
    }
}

/// A list of one.
struct One(Option<Probe>);

impl<'de> de::SeqAccess<'de> for One {
    type Error = Enough;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Enough> {
        self.0.take().map(|probe| offer(probe, seed)).transpose()
    }
}

/// Lets a seed look at a place; afterwards it has been looked at.
fn offer<'de, T: DeserializeSeed<'de>>(probe: Probe, seed: T) -> Result<T::Value, Enough> {
    let place = probe.place.clone();
    let value = seed.deserialize(probe);
    place.close();
    value
}

/// A block that can be off: that it is on, then its value.
struct OnAnd {
    on: bool,
    value: Option<Probe>,
}

impl<'de> de::SeqAccess<'de> for OnAnd {
    type Error = Enough;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Enough> {
        if !std::mem::replace(&mut self.on, true) {
            let on: de::value::BoolDeserializer<Enough> = true.into_deserializer();
            return seed.deserialize(on).map(Some);
        }
        self.value.take().map(|probe| seed.deserialize(probe)).transpose()
    }
}

/// A map of one entry, or of none.
struct Entry {
    key: Option<&'static str>,
    value: Option<Probe>,
}

impl<'de> de::MapAccess<'de> for Entry {
    type Error = Enough;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Enough> {
        let Some(key) = self.key.take() else { return Ok(None) };
        let key: StrDeserializer<'_, Enough> = key.into_deserializer();
        let result = seed.deserialize(key);
        if result.is_err()
            && let Some(value) = &self.value
        {
            value.place.close();
        }
        result.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Enough> {
        offer(self.value.take().ok_or(Enough)?, seed)
    }
}

/// One word of an enum.
struct Word {
    of: Probe,
    index: usize,
}

impl Word {
    fn word(&self) -> &'static str {
        match &self.of.place.0.borrow().seen {
            Seen::Enum(_, words) => words.get(self.index).map_or("", |(word, _)| word),
            _ => "",
        }
    }

    /// What stands behind the word.
    fn behind(&self) -> Probe {
        let place = match &self.of.place.0.borrow().seen {
            Seen::Enum(_, words) => words.get(self.index).and_then(|(_, place)| place.clone()),
            _ => None,
        };
        self.of.below(place.unwrap_or_default())
    }
}

impl<'de> de::EnumAccess<'de> for Word {
    type Error = Enough;
    type Variant = Word;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Word), Enough> {
        let word: StrDeserializer<'_, Enough> = self.word().into_deserializer();
        match seed.deserialize(word) {
            Ok(value) => Ok((value, self)),
            Err(enough) => {
                self.behind().place.close();
                Err(enough)
            }
        }
    }
}

impl<'de> de::VariantAccess<'de> for Word {
    type Error = Enough;

    fn unit_variant(self) -> Result<(), Enough> {
        if let Seen::Enum(_, words) = &mut self.of.place.0.borrow_mut().seen
            && let Some((_, place)) = words.get_mut(self.index)
        {
            *place = None;
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Enough> {
        offer(self.behind(), seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Enough> {
        self.behind().place.close();
        Err(Enough)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Enough> {
        use serde::Deserializer as _;
        self.behind().deserialize_struct("", fields, visitor)
    }
}
