//! JSON in which every key stands once, of bounded depth and number of values.
//!
//! Two readers that take a key written twice differently would see two documents in one text.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What a document may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Values, lists and objects among them. Each takes many times the bytes that it is written with.
    pub values: usize,
    /// Lists and objects inside each other.
    pub depth: usize,
}

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A key stands twice in one object.
    #[error("`{}` stands twice in one object", _0.escape_debug())]
    Twice(String),
    /// Deeper than it may be.
    #[error("it is nested too deep")]
    Deep,
    /// More values than there may be.
    #[error("it has too many values")]
    Many,
    /// Not JSON.
    #[error("{0}")]
    Json(String),
}

/// Reads one document of any shape, and nothing after it.
pub fn value(bytes: &[u8], bounds: Bounds) -> Result<Value, Flaw> {
    let flaw = Cell::new(None);
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let any = Any { left: bounds.depth, most: bounds.values, count: &Cell::new(0), flaw: &flaw };
    let read = any.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    read.map_err(|error| flaw.take().unwrap_or_else(|| Flaw::Json(error.to_string())))
}

/// One value, with so many levels left below it.
struct Any<'a> {
    left: usize,
    most: usize,
    count: &'a Cell<usize>,
    flaw: &'a Cell<Option<Flaw>>,
}

impl Any<'_> {
    fn below<E: serde::de::Error>(&self) -> Result<Self, E> {
        let Some(left) = self.left.checked_sub(1) else {
            self.flaw.set(Some(Flaw::Deep));
            return Err(E::custom("too deep"));
        };
        Ok(Any { left, ..*self })
    }
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.count.get() == self.most {
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

    const BOUNDS: Bounds = Bounds { values: 100, depth: 8 };

    #[test]
    fn a_key_written_twice_is_refused_and_named() {
        let error = value(br#"{"a": {"b": 1, "\u0062": 2}}"#, BOUNDS).unwrap_err();
        assert_eq!(error, Flaw::Twice("b".into()));
    }

    #[test]
    fn depth_and_values_are_bounded_and_nothing_may_follow() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert!(value(nested(8).as_bytes(), BOUNDS).is_ok() && value(list(99).as_bytes(), BOUNDS).is_ok());
        assert_eq!(value(nested(9).as_bytes(), BOUNDS), Err(Flaw::Deep));
        assert_eq!(value(list(100).as_bytes(), BOUNDS), Err(Flaw::Many));
        assert!(matches!(value(b"{} {}", BOUNDS), Err(Flaw::Json(_))));
    }
}
