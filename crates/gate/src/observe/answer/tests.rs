//! Which requests are answered, and what every answer holds. Whether the real clients read it, they say themselves.

use http::HeaderValue;

use super::*;

const AT: Moment = Moment { now: 1, number: 1 };

fn all() -> Answers {
    "all".parse().unwrap()
}

fn part(method: &str, path: &str) -> Option<Part> {
    all().part(method, path, "", &HeaderMap::new())
}

fn reply(path: &str, asked: &Value) -> Value {
    let reply = part("POST", path).unwrap().reply(asked.to_string().as_bytes(), AT);
    assert_eq!(reply.status, 200);
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn parts_are_named_or_refused() {
    assert_eq!("openai, index".parse(), Ok(Answers { openai: true, index: true, ..Answers::default() }));
    assert_eq!(all(), "gemini,index,anthropic,openai".parse().unwrap());
    assert!(
        "".parse::<Answers>().is_err()
            && "opnai".parse::<Answers>().unwrap_err().to_string().contains("opnai")
    );
}

#[test]
fn requests_are_known_by_their_path_and_only_where_the_part_is_played() {
    for path in
        ["/v1/chat/completions", "/openai/deployments/x/chat/completions", "/v1/responses/", "/v1/embeddings"]
    {
        assert!(matches!(part("POST", path), Some(Part::OpenAi(_))), "{path}");
        assert_eq!(part("GET", path), None, "{path}");
    }
    for path in ["/v1/messages", "/proxy/v1/messages", "/v1/messages/count_tokens"] {
        assert!(matches!(part("POST", path), Some(Part::Anthropic(_))), "{path}");
    }
    assert!(matches!(part("POST", "/v1beta/models/g:generateContent"), Some(Part::Gemini(_))));
    assert!(matches!(part("GET", "/v1/models"), Some(Part::OpenAi(_))));
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    assert!(matches!(all().part("GET", "/v1/models", "", &headers), Some(Part::Anthropic(_))));
    assert!(matches!(part("GET", "/simple/requests/"), Some(Part::Index(_))));
    for path in ["/", "/v1/traces/ingest", "/api/event_logging/v2/batch", "/v1/messages/batches", "/left-pad"]
    {
        assert_eq!(part("POST", path), None, "{path}");
        assert_eq!(part("GET", path), None, "{path}");
    }
    assert_eq!(Answers::default().part("POST", "/v1/messages", "", &HeaderMap::new()), None);
}

#[test]
fn the_first_tool_is_called_once_and_then_something_is_said() {
    let schema = json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}});
    let asked = json!({
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    });
    let first = reply("/v1/chat/completions", &asked);
    assert_eq!(first.pointer("/choices/0/finish_reason").unwrap(), "tool_calls");
    let call = first.pointer("/choices/0/message/tool_calls/0/function").unwrap();
    assert_eq!(call, &json!({"name": "weather", "arguments": "{\"city\":\"observed\"}"}));
    let mut asked = asked;
    asked["messages"] = json!([{"role": "tool", "tool_call_id": "call_observed0001", "content": "snow"}]);
    let then = reply("/v1/chat/completions", &asked);
    assert!(then.pointer("/choices/0/message/content").unwrap().as_str().unwrap().contains("made up"));
    asked["tool_choice"] = json!("none");
    asked["messages"] = json!([]);
    assert_eq!(reply("/v1/chat/completions", &asked).pointer("/choices/0/finish_reason").unwrap(), "stop");
}

#[test]
fn hostile_bodies_are_answered_too() {
    let long = format!("[{}]", "[],".repeat(1_000));
    let deep = "[".repeat(100_000);
    let bodies = ["", "null", "[]", "7", "\"x\"", "{", "\u{0}", long.as_str(), deep.as_str()];
    let paths = [
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1beta/models/g:generateContent",
    ];
    for (path, body) in paths.into_iter().flat_map(|path| bodies.map(|body| (path, body))) {
        let reply = part("POST", path).unwrap().reply(body.as_bytes(), AT);
        assert!(matches!(reply.status, 200 | 400), "{path} {body:.20}");
        serde_json::from_slice::<Value>(&reply.body).unwrap();
    }
    let many = json!({"input": vec!["x"; 2_000], "dimensions": 8_192});
    assert_eq!(part("POST", "/v1/embeddings").unwrap().reply(many.to_string().as_bytes(), AT).status, 400);
}
