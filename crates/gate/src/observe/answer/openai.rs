//! The calls of OpenAI's API that agents make: chat completions, responses, completions, embeddings, models.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::turn::{Asked, Tool, Turn};
use super::{MODEL, Moment, Reply, event, is_true, model, pieces, tokens};

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Chat,
    Responses,
    Completions,
    Embeddings,
    Models,
    Model(String),
}

impl Call {
    pub(super) fn of(method: &str, path: &str) -> Option<Call> {
        let path = path.trim_end_matches('/');
        let last = |name: &str| path.ends_with(name);
        match method {
            "POST" if last("/chat/completions") => Some(Call::Chat),
            "POST" if last("/responses") => Some(Call::Responses),
            "POST" if last("/completions") => Some(Call::Completions),
            "POST" if last("/embeddings") => Some(Call::Embeddings),
            "GET" if last("/v1/models") || path == "/models" => Some(Call::Models),
            "GET" => {
                let (before, name) = path.rsplit_once('/')?;
                let is_one = before.ends_with("/v1/models") && !name.is_empty();
                is_one.then(|| Call::Model(name.chars().take(200).collect()))
            }
            _ => None,
        }
    }

    pub(super) fn reply(&self, asked: &Value, moment: Moment) -> Reply {
        match self {
            Call::Chat => chat(asked, moment),
            Call::Responses => responses(asked, moment),
            Call::Completions => completions(asked, moment),
            Call::Embeddings => embeddings(asked),
            Call::Models => Reply::json(&json!({"object": "list", "data": [one(MODEL)]})),
            Call::Model(name) => Reply::json(&one(name)),
        }
    }
}

fn one(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "observed"})
}

fn chat(asked: &Value, moment: Moment) -> Reply {
    let turn = asked_in_chat(asked).turn();
    let (spent, finish) =
        (tokens(asked), if matches!(turn, Turn::Call { .. }) { "tool_calls" } else { "stop" });
    let usage =
        json!({"prompt_tokens": spent, "completion_tokens": 16, "total_tokens": spent.saturating_add(16)});
    let head = |object: &str| json!({"id": moment.id("chatcmpl"), "object": object, "created": moment.now, "model": model(asked)});
    if !is_true(asked, "stream") {
        let message = match &turn {
            Turn::Say(text) => json!({"role": "assistant", "content": text, "refusal": null}),
            Turn::Call { name, arguments } => json!({
                "role": "assistant", "content": null, "refusal": null,
                "tool_calls": [{
                    "id": moment.id("call"), "type": "function",
                    "function": {"name": name, "arguments": arguments.to_string()}
                }]
            }),
        };
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish});
        return Reply::json(&with(head("chat.completion"), json!({"choices": [choice], "usage": usage})));
    }
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        event(None, &with(head("chat.completion.chunk"), json!({"choices": [choice]})))
    };
    let mut text = chunk(json!({"role": "assistant", "content": ""}), None);
    match &turn {
        Turn::Say(say) => {
            pieces(say).for_each(|piece| text.push_str(&chunk(json!({"content": piece}), None)))
        }
        Turn::Call { name, arguments } => {
            let begin = json!({"index": 0, "id": moment.id("call"), "type": "function", "function": {"name": name, "arguments": ""}});
            let rest = json!({"index": 0, "function": {"arguments": arguments.to_string()}});
            text.push_str(&chunk(json!({"tool_calls": [begin]}), None));
            text.push_str(&chunk(json!({"tool_calls": [rest]}), None));
        }
    }
    text.push_str(&chunk(json!({}), Some(finish)));
    if asked.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true) {
        text.push_str(&event(
            None,
            &with(head("chat.completion.chunk"), json!({"choices": [], "usage": usage})),
        ));
    }
    text.push_str("data: [DONE]\n\n");
    Reply::events(text)
}

fn asked_in_chat(asked: &Value) -> Asked<'_> {
    let function = |tool: &'_ Value| tool.get("function").map(|_| ()).is_some();
    let tools =
        list(asked, "tools").filter(|tool| function(tool)).filter_map(|tool| named(tool.get("function")?));
    let choice = asked.get("tool_choice");
    let called = list(asked, "messages")
        .any(|message| matches!(message.get("role").and_then(Value::as_str), Some("tool" | "function")));
    let format = asked.get("response_format");
    Asked {
        tools: tools.collect(),
        forbids: choice.and_then(Value::as_str) == Some("none"),
        wants: choice.and_then(|choice| choice.pointer("/function/name")).and_then(Value::as_str),
        called,
        shape: shape(format, format.and_then(|format| format.pointer("/json_schema/schema"))),
    }
}

fn named(function: &Value) -> Option<Tool<'_>> {
    Some(Tool { name: function.get("name")?.as_str()?, schema: function.get("parameters") })
}

/// What the answer must look like, if it must.
fn shape<'a>(format: Option<&'a Value>, schema: Option<&'a Value>) -> Option<&'a Value> {
    match format?.get("type")?.as_str()? {
        "json_schema" => schema,
        "json_object" => Some(&Value::Null),
        _ => None,
    }
}

fn responses(asked: &Value, moment: Moment) -> Reply {
    let tools =
        list(asked, "tools").filter(|tool| tool.get("type").and_then(Value::as_str) == Some("function"));
    let choice = asked.get("tool_choice");
    let called = list(asked, "input").any(|item| {
        item.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("_call_output"))
    });
    let format = asked.pointer("/text/format");
    let turn = Asked {
        tools: tools.filter_map(named).collect(),
        forbids: choice.and_then(Value::as_str) == Some("none"),
        wants: choice.and_then(|choice| choice.get("name")).and_then(Value::as_str),
        called,
        shape: shape(format, format.and_then(|format| format.get("schema"))),
    }
    .turn();
    let whole = |status: &str, output: Value, usage: Value| {
        json!({
            "id": moment.id("resp"), "object": "response", "created_at": moment.now, "status": status, "background": false,
            "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
            "model": model(asked), "output": output, "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "store": false, "temperature": 1.0,
            "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "truncation": "disabled", "usage": usage, "user": null, "metadata": {}
        })
    };
    let spent = tokens(asked);
    let usage = json!({
        "input_tokens": spent, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 16,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": spent.saturating_add(16)
    });
    let item = item(&turn, moment);
    let done = whole("completed", json!([item]), usage);
    if !is_true(asked, "stream") {
        return Reply::json(&done);
    }
    let begun = whole("in_progress", json!([]), Value::Null);
    let mut events = Events::default();
    events.add("response.created", json!({"response": begun}));
    events.add("response.in_progress", json!({"response": begun}));
    match &turn {
        Turn::Say(text) => {
            let at = json!({"item_id": moment.id("msg"), "output_index": 0, "content_index": 0});
            let part =
                |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
            let empty = json!({"id": moment.id("msg"), "type": "message", "status": "in_progress", "role": "assistant", "content": []});
            events.add("response.output_item.added", json!({"output_index": 0, "item": empty}));
            events.add("response.content_part.added", with(at.clone(), json!({"part": part("")})));
            for piece in pieces(text) {
                events.add(
                    "response.output_text.delta",
                    with(at.clone(), json!({"delta": piece, "logprobs": []})),
                );
            }
            events.add("response.output_text.done", with(at.clone(), json!({"text": text, "logprobs": []})));
            events.add("response.content_part.done", with(at, json!({"part": part(text)})));
        }
        Turn::Call { name, arguments } => {
            let (at, arguments) =
                (json!({"item_id": moment.id("fc"), "output_index": 0}), arguments.to_string());
            let empty = json!({
                "id": moment.id("fc"), "type": "function_call", "status": "in_progress", "call_id": moment.id("call"), "name": name,
                "arguments": ""
            });
            events.add("response.output_item.added", json!({"output_index": 0, "item": empty}));
            events
                .add("response.function_call_arguments.delta", with(at.clone(), json!({"delta": arguments})));
            let last = json!({"arguments": arguments, "name": name});
            events.add("response.function_call_arguments.done", with(at, last));
        }
    }
    events.add("response.output_item.done", json!({"output_index": 0, "item": item}));
    events.add("response.completed", json!({"response": done}));
    Reply::events(events.text)
}

fn item(turn: &Turn, moment: Moment) -> Value {
    match turn {
        Turn::Say(text) => json!({
            "id": moment.id("msg"), "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        }),
        Turn::Call { name, arguments } => json!({
            "id": moment.id("fc"), "type": "function_call", "status": "completed", "call_id": moment.id("call"), "name": name,
            "arguments": arguments.to_string()
        }),
    }
}

/// Events that carry their name and their number.
#[derive(Default)]
struct Events {
    text: String,
    next: u64,
}

impl Events {
    fn add(&mut self, name: &str, data: Value) {
        let data = with(json!({"type": name, "sequence_number": self.next}), data);
        self.text.push_str(&event(Some(name), &data));
        self.next = self.next.saturating_add(1);
    }
}

fn completions(asked: &Value, moment: Moment) -> Reply {
    let Turn::Say(text) =
        (Asked { tools: Vec::new(), forbids: true, wants: None, called: false, shape: None }).turn()
    else {
        return Reply::error(500, "a completion calls no tool");
    };
    let head = json!({"id": moment.id("cmpl"), "object": "text_completion", "created": moment.now, "model": model(asked)});
    let choice = |text: &str, finish: Option<&str>| {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish});
        with(head.clone(), json!({"choices": [choice]}))
    };
    if !is_true(asked, "stream") {
        let spent = tokens(asked);
        let usage = json!({"prompt_tokens": spent, "completion_tokens": 16, "total_tokens": spent.saturating_add(16)});
        return Reply::json(&with(choice(&text, Some("stop")), json!({"usage": usage})));
    }
    let mut events: String = pieces(&text).map(|piece| event(None, &choice(piece, None))).collect();
    events.push_str(&event(None, &choice("", Some("stop"))));
    events.push_str("data: [DONE]\n\n");
    Reply::events(events)
}

fn embeddings(asked: &Value) -> Reply {
    let texts: Vec<usize> = match asked.get("input") {
        Some(Value::Array(list)) if list.iter().all(Value::is_number) => vec![list.len()],
        Some(Value::Array(list)) => list.iter().map(|text| text.to_string().len()).collect(),
        Some(text) => vec![text.to_string().len()],
        None => return Reply::error(400, "`input` is missing"),
    };
    let width = asked.get("dimensions").and_then(Value::as_u64).unwrap_or(1_536).clamp(1, 8_192);
    let width = usize::try_from(width).unwrap_or(1);
    if texts.len().saturating_mul(width) > MOST_NUMBERS {
        return Reply::error(400, "too many texts at once for an observed run");
    }
    let packed = asked.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let one = |(index, length): (usize, &usize)| {
        let numbers = super::vector(*length, width);
        let embedding = if packed {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::String(BASE64.encode(&bytes))
        } else {
            json!(numbers)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(one).collect();
    let spent = tokens(asked);
    let usage = json!({"prompt_tokens": spent, "total_tokens": spent});
    Reply::json(&json!({"object": "list", "data": data, "model": model(asked), "usage": usage}))
}

fn list<'a>(asked: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    asked.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The fields of two objects.
fn with(mut one: Value, more: Value) -> Value {
    if let (Value::Object(one), Value::Object(more)) = (&mut one, more) {
        one.extend(more);
    }
    one
}

/// Numbers in all vectors of one answer.
const MOST_NUMBERS: usize = 1 << 20;
