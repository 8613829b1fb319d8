//! Blocks that can be off, and lists of differently shaped maps.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name by which the decoder knows a [`Block`].
pub(super) const MARK: &str = "~block";
/// The name by which the decoder knows a [`Tagged`].
pub(super) const TAGGED: &str = "~tagged";

/// A block of settings that can be off. Where the key is absent it is as the surrounding default says (usually off);
/// `key:` with nothing behind it is on with `T`'s defaults; `enabled: false` inside turns it off whatever else stands
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<T>(Option<T>);

impl<T> Block<T> {
    /// Not there.
    pub const fn off() -> Block<T> {
        Block(None)
    }

    /// There, with these settings.
    pub const fn on(settings: T) -> Block<T> {
        Block(Some(settings))
    }

    /// Whether it is there.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The settings, if it is on.
    pub const fn as_ref(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// The settings, if it is on.
    pub fn into_option(self) -> Option<T> {
        self.0
    }
}

impl<T> Default for Block<T> {
    fn default() -> Block<T> {
        Block::off()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Block<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Block<T>, D::Error> {
        struct OnAndValue<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnAndValue<T> {
            type Value = Block<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut pair: A) -> Result<Block<T>, A::Error> {
                let on = pair.next_element::<bool>()?.unwrap_or(true);
                let settings = pair.next_element::<T>()?;
                Ok(Block(settings.filter(|_| on)))
            }
        }

        deserializer.deserialize_tuple_struct(MARK, 2, OnAndValue(PhantomData))
    }
}

impl<T: Serialize> Serialize for Block<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A map whose key `type` says what it is: an enum with one newtype variant for each type. Unlike serde's own
/// `tag = "type"`, it keeps the places of its values for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tagged<T>(pub T);

impl<T> Deref for Tagged<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tagged<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tagged<T>, D::Error> {
        newtype(TAGGED, "a map with a type", deserializer).map(Tagged)
    }
}

/// Decodes a value behind a name that the decoder knows.
pub(super) fn newtype<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    mark: &'static str,
    works: &'static str,
    deserializer: D,
) -> Result<T, D::Error> {
    struct Behind<T>(&'static str, PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Behind<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            T::deserialize(deserializer)
        }
    }

    deserializer.deserialize_newtype_struct(mark, Behind(works, PhantomData))
}
