//! What the gate itself answers: a status, a stable code, and one sentence that a program and a person understand.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::Passed;

/// The request is refused.
pub(super) fn refused(code: &str, sentence: &str) -> Response<Passed> {
    told(StatusCode::FORBIDDEN, "policy_denied", code, sentence)
}

/// The request is permitted, and the destination does not answer as it should.
pub(super) fn failed(code: &str, sentence: &str) -> Response<Passed> {
    told(StatusCode::BAD_GATEWAY, "upstream_failed", code, sentence)
}

/// The request cannot be read in one way only.
pub(super) fn unreadable(code: &str, sentence: &str) -> Response<Passed> {
    told(StatusCode::BAD_REQUEST, "bad_request", code, sentence)
}

fn told(status: StatusCode, kind: &str, code: &str, sentence: &str) -> Response<Passed> {
    // the shape that the large model APIs use for errors, so that their clients show the sentence
    let body = json!({
        "error": { "type": kind, "code": code, "message": sentence, "see": "http://policy.internal/" }
    });
    let mut response = Response::new(Passed::Own(Some(Bytes::from(format!("{body}\n")))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(code) = HeaderValue::from_str(code) {
        headers.insert("claw-denied", code);
    }
    response
}
