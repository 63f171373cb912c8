//! JSON Schemas of what tools take and give, as far as they are judged before they are used.

use serde_json::Value;

/// A schema, if it is one that can be used offline and lets nothing through that it does not name.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > crate::LARGEST {
        return Err(format!("it has more than {} bytes", crate::LARGEST));
    }
    let value = claw_verify::json::value("schema", bytes).map_err(|error| error.to_string())?;
    if value.get("type").and_then(Value::as_str) != Some("object") {
        return Err("it is no schema of an object; hint: \"type\": \"object\"".to_owned());
    }
    if value.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err("it lets through what it does not name; hint: \"additionalProperties\": false".to_owned());
    }
    match value.get("$schema").map(Value::as_str) {
        None | Some(Some(DIALECT)) => {}
        Some(_) => return Err(format!("its `$schema` is not `{DIALECT}`")),
    }
    remote(&value).map_or(Ok(()), |reference| {
        Err(format!("it refers to `{}`; hint: only to itself, as `#/$defs/…`", reference.escape_debug()))
    })?;
    Ok(value)
}

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
