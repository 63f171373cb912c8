//! Package indexes that have nothing: of Python (the simple API, and the older JSON one), and of Node.

use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::json;

use super::Reply;

/// A call of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Every project, as JSON or as HTML.
    Projects { json: bool },
    /// One project.
    Project { json: bool },
    /// Something of a Node registry that is answered with nothing.
    Nothing,
    /// A package of a Node registry.
    Package,
}

impl Call {
    pub(super) fn of(method: &str, path: &str, headers: &HeaderMap) -> Option<Call> {
        let accepts = |what: &str| {
            headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains(what)))
        };
        let json = accepts("application/vnd.pypi.simple");
        let reads = matches!(method, "GET" | "HEAD");
        let below = |root: &str| path.split_once(root).map(|(_, rest)| rest.trim_end_matches('/'));
        match (below("/simple/"), below("/pypi/")) {
            (Some(""), _) if reads => return Some(Call::Projects { json }),
            (Some(name), _) if reads && !name.contains('/') => return Some(Call::Project { json }),
            (_, Some(name)) if reads && name.ends_with("/json") => return Some(Call::Project { json: true }),
            _ => {}
        }
        let node = accepts("application/vnd.npm.") || headers.contains_key("npm-command");
        match path {
            _ if path.starts_with("/-/") && (node || path.starts_with("/-/npm/") || path == "/-/ping") => {
                Some(Call::Nothing)
            }
            _ if node && reads => Some(Call::Package),
            _ => None,
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let simple = "application/vnd.pypi.simple.v1+json";
        match self {
            Call::Projects { json: true } => {
                let body = json!({"meta": {"api-version": "1.0"}, "projects": []});
                Reply { kind: simple, ..Reply::json(&body) }
            }
            Call::Projects { json: false } => Reply {
                status: 200,
                kind: "text/html; charset=utf-8",
                body: b"<!doctype html><title>Simple index</title>\n".to_vec(),
            },
            Call::Project { json: true } => {
                let body = json!({"message": "Not Found: the run is observed, and this index has nothing"});
                Reply { status: 404, ..Reply::json(&body) }
            }
            Call::Project { json: false } => Reply {
                status: 404,
                kind: "text/plain; charset=utf-8",
                body: b"Not Found: the run is observed, and this index has nothing\n".to_vec(),
            },
            Call::Nothing => Reply::json(&json!({})),
            Call::Package => {
                let body = json!({"error": "Not found", "reason": "the run is observed, and this index has nothing"});
                Reply { status: 404, ..Reply::json(&body) }
            }
        }
    }
}
