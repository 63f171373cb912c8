//! The shape of a path: parts that look like the name of one thing become `*`.

/// The path with its ids as `*`. What is no id stays as it is.
pub fn of(path: &str) -> String {
    path.split('/').map(|part| if is_id(part) { "*" } else { part }).collect::<Vec<_>>().join("/")
}

/// Whether a segment looks like the name of one thing rather than of a kind: a number, a UUID, a digest, a long random word,
/// alone or after a prefix (`run_`, `sdk-`).
fn is_id(part: &str) -> bool {
    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
    if digits && !part.is_empty() {
        return true;
    }
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
    if is_uuid(part) || (part.len() >= 8 && has_digit && hex(part)) {
        return true;
    }
    let tail = part.rsplit(['-', '_']).next().unwrap_or(part);
    tail.len() >= 12 && is_random(tail)
}

fn is_uuid(part: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = part.split('-').collect();
    parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Letters of both cases mixed within, or letters and digits: no word reads so.
fn is_random(text: &str) -> bool {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let upper = text.bytes().skip(1).filter(u8::is_ascii_uppercase).count();
    let lower = text.bytes().filter(u8::is_ascii_lowercase).count();
    digits >= 3 || (upper >= 3 && lower >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_stars_and_words_stay() {
        let check = |path: &str, expect: &str| assert_eq!(of(path), expect);
        check("/v1/messages", "/v1/messages");
        check("/api/eval/sdk-zAZezfDKGoZuXXKe", "/api/eval/*");
        check("/runs/6f1c2a3e-1111-4222-8333-444455556666/steps/17", "/runs/*/steps/*");
        check("/v1/threads/thread_abc123def456ghi/runs", "/v1/threads/*/runs");
        check("/blobs/9f86d081884c7d65", "/blobs/*");
        check(
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "/v1beta/models/gemini-2.5-flash:generateContent",
        );
        check("/all-MiniLM-L6-v2/onnx.tar.gz", "/all-MiniLM-L6-v2/onnx.tar.gz");
        check(
            "/api/claude_code/organizations/metrics_enabled",
            "/api/claude_code/organizations/metrics_enabled",
        );
        check("/", "/");
    }
}
