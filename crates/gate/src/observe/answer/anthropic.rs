//! The calls of Anthropic's API that agents make: messages, the counting of their tokens, models.

use http::HeaderMap;
use serde_json::{Value, json};

use super::turn::{Asked, Tool, Turn};
use super::{MODEL, Moment, Reply, event, is_true, model, pieces, tokens};

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Messages,
    Count,
    Models,
}

impl Call {
    pub(super) fn of(method: &str, path: &str, headers: &HeaderMap) -> Option<Call> {
        let path = path.trim_end_matches('/');
        match method {
            "POST" if path.ends_with("/messages/count_tokens") => Some(Call::Count),
            "POST" if path.ends_with("/v1/messages") => Some(Call::Messages),
            // OpenAI's list has the same path
            "GET" if path.ends_with("/v1/models") && headers.contains_key("anthropic-version") => {
                Some(Call::Models)
            }
            _ => None,
        }
    }

    pub(super) fn reply(&self, asked: &Value, moment: Moment) -> Reply {
        match self {
            Call::Messages => messages(asked, moment),
            Call::Count => Reply::json(&json!({"input_tokens": tokens(asked)})),
            Call::Models => {
                let one = json!({
                    "type": "model", "id": MODEL, "display_name": "Observed", "created_at": "2026-01-01T00:00:00Z"
                });
                Reply::json(&json!({"data": [one], "has_more": false, "first_id": MODEL, "last_id": MODEL}))
            }
        }
    }
}

fn messages(asked: &Value, moment: Moment) -> Reply {
    let turn = turn(asked);
    let stop = if matches!(turn, Turn::Call { .. }) { "tool_use" } else { "end_turn" };
    let usage = |output: u64| {
        json!({
            "input_tokens": tokens(asked), "output_tokens": output,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0
        })
    };
    let message = |content: Value, stop: Option<&str>, output: u64| {
        json!({
            "id": moment.id("msg"), "type": "message", "role": "assistant", "model": model(asked), "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": usage(output)
        })
    };
    if !is_true(asked, "stream") {
        let block = match turn {
            Turn::Say(text) => json!({"type": "text", "text": text}),
            Turn::Call { name, arguments } => {
                json!({"type": "tool_use", "id": moment.id("toolu"), "name": name, "input": arguments})
            }
        };
        return Reply::json(&message(json!([block]), Some(stop), 16));
    }
    let mut text = event(
        Some("message_start"),
        &json!({"type": "message_start", "message": message(json!([]), None, 1)}),
    );
    let mut add = |name: &str, data: Value| text.push_str(&event(Some(name), &data));
    let (block, deltas) = match &turn {
        Turn::Say(say) => (
            json!({"type": "text", "text": ""}),
            pieces(say).map(|piece| json!({"type": "text_delta", "text": piece})).collect::<Vec<_>>(),
        ),
        Turn::Call { name, arguments } => (
            json!({"type": "tool_use", "id": moment.id("toolu"), "name": name, "input": {}}),
            vec![json!({"type": "input_json_delta", "partial_json": arguments.to_string()})],
        ),
    };
    add("content_block_start", json!({"type": "content_block_start", "index": 0, "content_block": block}));
    add("ping", json!({"type": "ping"}));
    for delta in deltas {
        add("content_block_delta", json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    }
    add("content_block_stop", json!({"type": "content_block_stop", "index": 0}));
    let delta = json!({"stop_reason": stop, "stop_sequence": null});
    add("message_delta", json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 16}}));
    add("message_stop", json!({"type": "message_stop"}));
    Reply::events(text)
}

fn turn(asked: &Value) -> Turn {
    let list = |name: &str| asked.get(name).and_then(Value::as_array).into_iter().flatten();
    // tools that the service performs itself have no schema, and are not the client's to call
    let tools = list("tools").filter_map(|tool| {
        Some(Tool { name: tool.get("name")?.as_str()?, schema: Some(tool.get("input_schema")?) })
    });
    let kind = |name: &str| asked.pointer(name).and_then(Value::as_str);
    let blocks = list("messages").filter_map(|message| message.get("content")?.as_array()).flatten();
    let results = |block: &Value| block.get("type").and_then(Value::as_str) == Some("tool_result");
    Asked {
        tools: tools.collect(),
        forbids: kind("/tool_choice/type") == Some("none"),
        wants: kind("/tool_choice/name"),
        called: blocks.into_iter().any(results),
        shape: asked
            .pointer("/output_config/format/schema")
            .or_else(|| asked.pointer("/output_format/schema")),
    }
    .turn()
}
