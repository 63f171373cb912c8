//! A value that fits a JSON Schema: what a model would fill in, without one. Bounded, whatever the schema.

use serde_json::{Map, Value, json};

/// An object for the parameters of a tool.
pub(super) fn arguments(schema: &Value) -> Value {
    let mut left = MOST_VALUES;
    match (Sampler { root: schema }).value(schema, 0, &mut left) {
        Value::Object(object) => Value::Object(object),
        _ => Value::Object(Map::new()),
    }
}

struct Sampler<'a> {
    root: &'a Value,
}

impl Sampler<'_> {
    fn value(&self, schema: &Value, depth: usize, left: &mut usize) -> Value {
        *left = left.saturating_sub(1);
        if depth >= DEEPEST || *left == 0 {
            return Value::Null;
        }
        let field = |name: &str| schema.get(name);
        if let Some(target) = field("$ref").and_then(Value::as_str).and_then(|text| self.target(text)) {
            return self.value(target, depth.saturating_add(1), left);
        }
        if let Some(value) = field("const").or_else(|| field("enum")?.get(0)).or_else(|| field("default")) {
            return value.clone();
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            let Some(choices) = field(choice).and_then(Value::as_array) else { continue };
            let filled = |one: &&Value| one.get("type").and_then(Value::as_str) != Some("null");
            if let Some(one) = choices.iter().find(filled) {
                return self.value(one, depth.saturating_add(1), left);
            }
        }
        let kind = match field("type") {
            Some(Value::String(kind)) => kind.to_ascii_lowercase(),
            Some(Value::Array(kinds)) => {
                let mut kinds = kinds.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase);
                kinds.find(|kind| kind != "null").unwrap_or_default()
            }
            _ if field("properties").is_some() => "object".to_owned(),
            _ => String::new(),
        };
        match kind.as_str() {
            "object" => self.object(schema, depth, left),
            "array" => self.array(schema, depth, left),
            "integer" | "number" => number(schema),
            "boolean" => Value::Bool(false),
            "null" => Value::Null,
            _ => Value::String(text(schema)),
        }
    }

    fn object(&self, schema: &Value, depth: usize, left: &mut usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let names = required.into_iter().flatten().filter_map(Value::as_str).take(MOST_FIELDS);
        let mut object = Map::new();
        for name in names {
            let value = match schema.get("properties").and_then(|properties| properties.get(name)) {
                Some(property) => self.value(property, depth.saturating_add(1), left),
                None => Value::Null,
            };
            object.insert(name.to_owned(), value);
        }
        Value::Object(object)
    }

    fn array(&self, schema: &Value, depth: usize, left: &mut usize) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or_default().min(8);
        let items = schema.get("items").unwrap_or(&Value::Null);
        Value::Array((0..least).map(|_| self.value(items, depth.saturating_add(1), left)).collect())
    }

    /// A place in the same schema: `#/$defs/Name`.
    fn target(&self, text: &str) -> Option<&Value> {
        self.root.pointer(text.strip_prefix('#')?)
    }
}

fn number(schema: &Value) -> Value {
    let least = schema.get("minimum").filter(|least| least.is_number()).cloned();
    let above = schema.get("exclusiveMinimum").and_then(Value::as_f64).map(f64::floor);
    least.or_else(|| above.map(|above| json!(above as i64 + 1))).unwrap_or_else(|| json!(1))
}

fn text(schema: &Value) -> String {
    let form = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let example = match form {
        "date" => "2026-01-01",
        "date-time" => "2026-01-01T00:00:00Z",
        "time" => "00:00:00Z",
        "email" => "nobody@example.com",
        "uri" | "url" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "ipv4" => "192.0.2.1",
        _ => "observed",
    };
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default().min(1_000);
    let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(1_000).min(1_000);
    let (least, most) =
        (usize::try_from(least).unwrap_or_default(), usize::try_from(most).unwrap_or_default());
    let filled = format!("{example}{}", "x".repeat(least.saturating_sub(example.len())));
    filled.chars().take(most).collect()
}

const DEEPEST: usize = 16;
const MOST_VALUES: usize = 1_000;
const MOST_FIELDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_schema_requires_is_filled_in() {
        let schema = json!({
            "type": "object",
            "required": ["city", "days", "unit", "where", "tags", "deep", "maybe", "strict"],
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 3},
                "unit": {"enum": ["C", "F"]},
                "where": {"$ref": "#/$defs/Place"},
                "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
                "deep": {"anyOf": [{"type": "null"}, {"type": "number", "exclusiveMinimum": 0}]},
                "maybe": {"type": ["null", "STRING"], "maxLength": 3},
                "strict": {"const": 7},
                "left": {"type": "string"}
            },
            "$defs": {"Place": {"type": "object", "required": ["on"], "properties": {"on": {"type": "string", "format": "date"}}}}
        });
        let expect = json!({
            "city": "observed", "days": 3, "unit": "C", "where": {"on": "2026-01-01"}, "tags": [false, false],
            "deep": 1, "maybe": "obs", "strict": 7
        });
        assert_eq!(arguments(&schema), expect);
        for other in [json!(null), json!({}), json!({"type": "string"}), json!(["x"])] {
            assert_eq!(arguments(&other), json!({}), "{other}");
        }
    }

    #[test]
    fn a_schema_that_never_ends_does() {
        let cycle = json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}});
        assert!(arguments(&cycle).to_string().len() < 200);
        let wide = json!({
            "$defs": {"w": {"type": "array", "minItems": 8, "items": {"$ref": "#/$defs/w"}}},
            "type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/w"}}
        });
        assert!(arguments(&wide).to_string().len() < 100_000);
    }
}
