//! Values with their place in the file, through serde-saphyr's `Spanned`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::error::Place;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// A key that is not known, and where its value stands.
#[derive(Debug, Clone)]
pub struct Extra {
    /// The key.
    pub key: String,
    /// Where its value stands.
    pub value: Place,
}

/// A word, or something that is not one.
#[derive(Debug, Clone, PartialEq)]
pub enum Loose {
    /// The word.
    Word(String),
    /// A list or a mapping, or nothing.
    Other,
}

/// A key, borrowed from the file where it can be.
#[derive(Debug)]
pub struct Key<'a>(pub Cow<'a, str>);

impl Extra {
    /// Remembers the key; its value is read and forgotten.
    pub fn new(key: String, value: At<IgnoredAny>) -> Extra {
        Extra { key, value: value.place }
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Place {
        let span = location.span();
        let number =
            |bytes: Option<u64>, chars: u64| usize::try_from(bytes.unwrap_or(chars)).unwrap_or(usize::MAX);
        Place {
            start: number(span.byte_offset(), span.offset()),
            length: number(span.byte_len(), span.len()),
            line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(super::quick::PLACED, AtVisitor(PhantomData))
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    /// From the general reader.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<At<T>, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(At { value, place: referenced.into() })
    }

    /// From [`super::quick`]: the place, then the value.
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
        let missing = || serde::de::Error::custom("a place has three numbers");
        let start = parts.next_element()?.ok_or_else(missing)?;
        let length = parts.next_element()?.ok_or_else(missing)?;
        let line = parts.next_element()?.ok_or_else(missing)?;
        let value = parts.next_element()?.ok_or_else(missing)?;
        Ok(At { value, place: Place { start, length, line } })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for Loose {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Word")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": ["string", "integer"]})
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }
    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Word(text.to_owned()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::Word(number.to_string()))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::Word(number.to_string()))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
        Ok(Loose::Word(number.to_string()))
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Loose, E> {
        Ok(Loose::Word(flag.to_string()))
    }
    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }
}

/// A word, or a mapping.
#[derive(Debug)]
pub(crate) enum RawExec {
    Word(String),
    Map(super::RawExecMap),
}

impl JsonSchema for RawExec {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Exec")
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<super::RawExecMap>();
        schemars::json_schema!({"anyOf": [{"enum": ["any"]}, map]})
    }
}

impl<'de> Deserialize<'de> for RawExec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrMap;
        impl<'de> Visitor<'de> for WordOrMap {
            type Value = RawExec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`any` or a mapping of keys to values")
            }
            fn visit_str<E>(self, text: &str) -> Result<RawExec, E> {
                Ok(RawExec::Word(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawExec, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                super::RawExecMap::deserialize(map).map(RawExec::Map)
            }
        }
        deserializer.deserialize_any(WordOrMap)
    }
}

/// A word, or a list of them.
#[derive(Debug)]
pub(crate) enum RawProtect {
    Word(String),
    List(Vec<At<String>>),
}

impl JsonSchema for RawProtect {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Protect")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let list = schemars::json_schema!({"type": "array", "items": {"type": "string"}});
        schemars::json_schema!({"anyOf": [{"enum": ["standard"]}, list]})
    }
}

impl<'de> Deserialize<'de> for RawProtect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrList;
        impl<'de> Visitor<'de> for WordOrList {
            type Value = RawProtect;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`standard` or a list of names")
            }
            fn visit_str<E>(self, text: &str) -> Result<RawProtect, E> {
                Ok(RawProtect::Word(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawProtect, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                Ok(RawProtect::List(names))
            }
        }
        deserializer.deserialize_any(WordOrList)
    }
}
