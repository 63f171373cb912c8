//! JSON in which every key stands once, of bounded size and depth.
//!
//! Two readers that take a key written twice differently would see two documents under one signature.

use claw_model::json::{Bounds, Flaw};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
    claw_model::json::value(bytes, Bounds { values: MOST, depth: DEEPEST }).map_err(|flaw| match flaw {
        Flaw::Twice(key) => Error::Twice { what, key },
        Flaw::Many => Error::Malformed { what, why: format!("it has more than {MOST} values") },
        Flaw::Deep => Error::Deep { what, most: DEEPEST },
        Flaw::Json(why) => Error::Json { what, why },
    })
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
