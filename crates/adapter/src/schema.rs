//! JSON Schemas of what tools take and give, as far as they are judged before they are used.

use claw_model::shown::is_hidden;
use serde_json::Value;

/// Why a schema, or what is said in one, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SchemaError {
    /// Too large.
    #[error("it has more than {} bytes", crate::LARGEST)]
    Large,
    /// Not JSON as it must be.
    #[error("{0}")]
    Json(String),
    /// Of something else than an object.
    #[error("it is no schema of an object; hint: \"type\": \"object\"")]
    NoObject,
    /// Open to more than it names.
    #[error("it lets through what it does not name; hint: \"additionalProperties\": false")]
    Open,
    /// Another language.
    #[error("its `$schema` is not `{DIALECT}`")]
    Dialect,
    /// It needs another document.
    #[error("it refers to `{}`; hint: only to itself, as `#/$defs/…`", _0.escape_debug())]
    Remote(String),
    /// People would not see what a model reads.
    #[error("it has the character U+{:04X}, which is not shown as it is", u32::from(*_0))]
    Hidden(char),
    /// Readers would not agree on it.
    #[error(
        "the number {0} is not the same to every reader; hint: a whole number up to 2^53 - 1, or a fraction"
    )]
    Drifting(serde_json::Number),
}

/// A schema, if it is one that can be used offline and lets nothing through that it does not name.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, SchemaError> {
    if bytes.len() > crate::LARGEST {
        return Err(SchemaError::Large);
    }
    let value =
        claw_verify::json::value("schema", bytes).map_err(|error| SchemaError::Json(error.to_string()))?;
    if value.get("type").and_then(Value::as_str) != Some("object") {
        return Err(SchemaError::NoObject);
    }
    if value.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(SchemaError::Open);
    }
    if !matches!(value.get("$schema").map(Value::as_str), None | Some(Some(DIALECT))) {
        return Err(SchemaError::Dialect);
    }
    if let Some(reference) = remote(&value) {
        return Err(SchemaError::Remote(reference.to_owned()));
    }
    said(&value)?;
    Ok(value)
}

/// Refuses texts and names with characters that are not shown as they are, which a model reads and people do not, and
/// numbers that are not the same to every reader.
pub(crate) fn said(value: &Value) -> Result<(), SchemaError> {
    shown(value)?;
    drifting(value).map_or(Ok(()), |number| Err(SchemaError::Drifting(number.clone())))
}

fn shown(value: &Value) -> Result<(), SchemaError> {
    let plain = |text: &str| {
        let hidden = text.chars().find(|one| is_hidden(*one) && *one != '\n');
        hidden.map_or(Ok(()), |bad| Err(SchemaError::Hidden(bad)))
    };
    match value {
        Value::String(text) => plain(text),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| plain(key).and_then(|()| shown(value))),
        Value::Array(list) => list.iter().try_for_each(shown),
        _ => Ok(()),
    }
}

/// The first number that does not survive being read as a double, as RFC 8785 spells it.
fn drifting(value: &Value) -> Option<&serde_json::Number> {
    match value {
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            let same = match whole {
                Some(whole) => whole <= HIGHEST,
                None => number.as_f64().is_some_and(|double| double.abs() < HIGHEST_FLOAT),
            };
            (!same).then_some(number)
        }
        Value::Object(map) => map.values().find_map(drifting),
        Value::Array(list) => list.iter().find_map(drifting),
        _ => None,
    }
}

/// The highest whole number up to which every one is a double.
const HIGHEST: u64 = (1 << 53) - 1;
/// The first double that reads as a whole number above it.
const HIGHEST_FLOAT: f64 = 9_007_199_254_740_992.0;

/// The first reference that leads out of the document. Its depth is bounded by the reader.
fn remote(value: &Value) -> Option<&str> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| match (key.as_str(), value) {
            ("$ref" | "$dynamicRef", Value::String(to)) if !to.starts_with('#') => Some(to.as_str()),
            ("$id" | "$anchor" | "$dynamicAnchor" | "$vocabulary", Value::String(to)) => Some(to.as_str()),
            _ => remote(value),
        }),
        Value::Array(list) => list.iter().find_map(remote),
        _ => None,
    }
}

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
