//! JSON in which every key stands once, of bounded size and depth.
//!
//! Two readers that take a key written twice differently would see two documents under one signature.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::Error;

/// Bytes of a document, unless its reader says otherwise.
pub const LARGEST: usize = 16 << 20;

/// Values of a document. Each takes many times the bytes that it is written with.
pub const MOST: usize = 1 << 19;

/// Lists and objects inside each other.
pub const DEEPEST: usize = 64;

/// Reads one document of a type that refuses fields it does not know. `what` names it in the error.
pub fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    let value = value(what, bytes)?;
    serde_json::from_value(value).map_err(|error| Error::Json { what, why: error.to_string() })
}

/// Reads one document of any shape.
pub fn value(what: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    if bytes.len() > LARGEST {
        return Err(Error::Large { what, most: LARGEST });
    }
    let flaw = Cell::new(None);
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let read = Any { left: DEEPEST, count: &Cell::new(0), flaw: &flaw }.deserialize(&mut parser);
    let value = read.and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| match flaw.take() {
        Some(Flaw::Twice(key)) => Error::Twice { what, key },
        Some(Flaw::Many) => Error::Malformed { what, why: format!("it has more than {MOST} values") },
        Some(Flaw::Deep) => Error::Deep { what, most: DEEPEST },
        None => Error::Json { what, why: error.to_string() },
    })
}

enum Flaw {
    Twice(String),
    Deep,
    Many,
}

/// One value, with so many levels left below it.
struct Any<'a> {
    left: usize,
    count: &'a Cell<usize>,
    flaw: &'a Cell<Option<Flaw>>,
}

impl Any<'_> {
    fn below<E: serde::de::Error>(&self) -> Result<Self, E> {
        let Some(left) = self.left.checked_sub(1) else {
            self.flaw.set(Some(Flaw::Deep));
            return Err(E::custom("too deep"));
        };
        Ok(Any { left, count: self.count, flaw: self.flaw })
    }
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.count.get() == MOST {
            self.flaw.set(Some(Flaw::Many));
            return Err(D::Error::custom("too many"));
        }
        self.count.set(self.count.get().saturating_add(1));
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let below = self.below::<A::Error>()?;
        while let Some(item) = items.next_element_seed(Any { ..below })? {
            list.push(item);
        }
        Ok(list.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let below = self.below::<A::Error>()?;
        while let Some(key) = items.next_key::<String>()? {
            if map.contains_key(&key) {
                self.flaw.set(Some(Flaw::Twice(key)));
                return Err(A::Error::custom("twice"));
            }
            map.insert(key, items.next_value_seed(Any { ..below })?);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_written_twice_is_refused_and_named() {
        let error = value("it", br#"{"a": {"b": 1, "\u0062": 2}}"#).unwrap_err();
        assert_eq!(error, Error::Twice { what: "it", key: "b".into() });
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(value("it", nested(DEEPEST).as_bytes()).is_ok());
        let error = value("it", nested(DEEPEST + 1).as_bytes()).unwrap_err();
        assert_eq!(error, Error::Deep { what: "it", most: DEEPEST });
        assert!(value("it", "[".repeat(1 << 20).as_bytes()).is_err());
    }

    #[test]
    fn values_are_bounded() {
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert!(value("it", list(MOST - 1).as_bytes()).is_ok());
        assert_eq!(value("it", list(MOST).as_bytes()).unwrap_err().code(), "malformed");
    }

    #[test]
    fn size_is_bounded_and_nothing_may_follow() {
        let error = value("it", &vec![b' '; LARGEST + 1]).unwrap_err();
        assert_eq!(error, Error::Large { what: "it", most: LARGEST });
        assert!(value("it", b"{} {}").is_err());
    }
}
