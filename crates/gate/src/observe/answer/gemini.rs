//! The calls of Gemini's API that agents make: content, whole or streamed, the counting of tokens, embeddings, models.

use serde_json::{Value, json};

use super::turn::{Asked, Tool, Turn};
use super::{MODEL, Moment, Reply, event, pieces, tokens};

/// A call of the API, and the model that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Whole(String),
    Streamed { model: String, events: bool },
    Count,
    Embed,
    EmbedAll,
    Models,
}

impl Call {
    pub(super) fn of(method: &str, path: &str, query: &str) -> Option<Call> {
        if method == "GET" && path.trim_end_matches('/').ends_with("/v1beta/models") {
            return Some(Call::Models);
        }
        let (before, verb) = path.rsplit_once(':')?;
        let (before, name) = before.rsplit_once('/')?;
        if method != "POST" || !before.ends_with("/models") {
            return None;
        }
        let model = || name.chars().take(200).collect();
        match verb {
            "generateContent" => Some(Call::Whole(model())),
            "streamGenerateContent" => {
                let events = query.split('&').any(|part| part == "alt=sse");
                Some(Call::Streamed { model: model(), events })
            }
            "countTokens" => Some(Call::Count),
            "embedContent" => Some(Call::Embed),
            "batchEmbedContents" => Some(Call::EmbedAll),
            _ => None,
        }
    }

    pub(super) fn reply(&self, asked: &Value, moment: Moment) -> Reply {
        match self {
            Call::Whole(model) => {
                let parts = match turn(asked) {
                    Turn::Say(text) => json!([{"text": text}]),
                    Turn::Call { name, arguments } => {
                        json!([{"functionCall": {"name": name, "args": arguments}}])
                    }
                };
                Reply::json(&content(asked, (model, moment), &parts, Some("STOP")))
            }
            Call::Streamed { model, events } => {
                let parts: Vec<Value> = match turn(asked) {
                    Turn::Say(text) => pieces(&text).map(|piece| json!([{"text": piece}])).collect(),
                    Turn::Call { name, arguments } => {
                        vec![json!([{"functionCall": {"name": name, "args": arguments}}])]
                    }
                };
                let last = parts.len().saturating_sub(1);
                let whole = parts.iter().enumerate();
                let whole = whole.map(|(at, parts)| {
                    content(asked, (model, moment), parts, (at == last).then_some("STOP"))
                });
                match events {
                    true => Reply::events(whole.map(|one| event(None, &one)).collect()),
                    false => Reply::json(&Value::Array(whole.collect())),
                }
            }
            Call::Count => Reply::json(&json!({"totalTokens": tokens(asked)})),
            Call::Embed => Reply::json(&json!({"embedding": values(asked)})),
            Call::EmbedAll => {
                let all =
                    asked.get("requests").and_then(Value::as_array).into_iter().flatten().take(MOST_TEXTS);
                Reply::json(&json!({"embeddings": all.map(values).collect::<Vec<_>>()}))
            }
            Call::Models => {
                let one = json!({
                    "name": format!("models/{MODEL}"), "version": "1", "displayName": "Observed",
                    "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"]
                });
                Reply::json(&json!({"models": [one]}))
            }
        }
    }
}

fn content(asked: &Value, (model, moment): (&str, Moment), parts: &Value, finish: Option<&str>) -> Value {
    let spent = tokens(asked);
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let (Some(finish), Some(candidate)) = (finish, candidate.as_object_mut()) {
        candidate.insert("finishReason".to_owned(), json!(finish));
    }
    json!({
        "candidates": [candidate], "modelVersion": model, "responseId": moment.id("gen"),
        "usageMetadata": {
            "promptTokenCount": spent, "candidatesTokenCount": 16, "totalTokenCount": spent.saturating_add(16)
        }
    })
}

fn values(asked: &Value) -> Value {
    let width = asked.get("outputDimensionality").and_then(Value::as_u64).unwrap_or(768).clamp(1, 3_072);
    json!({"values": super::vector(asked.to_string().len(), usize::try_from(width).unwrap_or(1))})
}

fn turn(asked: &Value) -> Turn {
    let list = |value: Option<&'_ Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let declared = asked.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(|tool| {
        either(tool, "functionDeclarations", "function_declarations").and_then(Value::as_array)
    });
    let tools = declared.flatten().filter_map(|function| {
        let schema = either(function, "parametersJsonSchema", "parameters_json_schema")
            .or_else(|| function.get("parameters"));
        Some(Tool { name: function.get("name")?.as_str()?, schema })
    });
    let results = |content: &Value| {
        list(content.get("parts")).iter().any(|part| part.get("functionResponse").is_some())
    };
    let calling = asked.pointer("/toolConfig/functionCallingConfig");
    let mode = calling.and_then(|calling| calling.get("mode")).and_then(Value::as_str);
    let format = asked.get("generationConfig");
    let is_json = format.and_then(|format| format.get("responseMimeType")).and_then(Value::as_str)
        == Some("application/json");
    let schema = format.and_then(|format| {
        either(format, "responseJsonSchema", "response_json_schema").or_else(|| format.get("responseSchema"))
    });
    Asked {
        tools: tools.collect(),
        forbids: mode == Some("NONE"),
        wants: calling.and_then(|calling| calling.pointer("/allowedFunctionNames/0")).and_then(Value::as_str),
        called: list(asked.get("contents")).iter().any(results),
        shape: if is_json { schema.or(Some(&Value::Null)) } else { None },
    }
    .turn()
}

/// A field in the service's spelling, or in that of its Python client.
fn either<'a>(value: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    value.get(camel).or_else(|| value.get(snake))
}

const MOST_TEXTS: usize = 256;
