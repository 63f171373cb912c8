//! The JSON Schema of the policy file, for editors.

use serde_json::Value;

use crate::raw::RawPolicy;

/// The JSON Schema, generated from the types that read the file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawPolicy);
    schema.insert("title".into(), "agent_runtime.yaml".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::{Keyed, RawRule};

    #[test]
    fn the_schema_describes_every_key_and_refuses_others() {
        let schema = schema();
        assert_eq!(schema["title"], "agent_runtime.yaml");
        assert_eq!(schema["additionalProperties"], false);
        let rule = &schema["$defs"]["RawRule"];
        assert_eq!(rule["additionalProperties"], false);
        assert_eq!(rule["required"], serde_json::json!(["destination"]));
        let properties = rule["properties"].as_object().unwrap();
        assert_eq!(properties.len(), RawRule::KEYS.len());
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{key}: {property}");
        }
        assert!(!schema.to_string().contains("extra"));
    }
}
