//! `http://policy.internal/`: what was refused and why, for the agent itself. It never shows the rest of the policy.

use std::fmt::Write as _;
use std::time::Duration;

use claw_ledger::summary::{Denied, Summary};
use claw_policy::Reason;
use claw_wire::http::{self, Head};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Shared;

/// Answers one request.
pub(crate) async fn answer(shared: &Shared, mut stream: TcpStream) {
    let mut received = Vec::new();
    let response = loop {
        match http::head(&received) {
            Head::Request { method, target, .. } => break respond(shared, &method, &target),
            Head::Bad | Head::TooLong => break http::response(400, TEXT, b"not an HTTP request\n"),
            Head::More => {}
        }
        let mut buffer = [0u8; 2048];
        match tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => {
                received.extend_from_slice(buffer.get(..length).unwrap_or_default());
            }
            _ => return,
        }
    };
    let _ = tokio::time::timeout(PATIENCE, stream.write_all(&response)).await;
    let _ = stream.shutdown().await;
}

fn respond(shared: &Shared, method: &str, target: &str) -> Vec<u8> {
    if method != "GET" && method != "HEAD" {
        return http::response(405, TEXT, b"only GET\n");
    }
    let refused = Refused::of(&shared.journal.summary());
    let response = match target {
        "/" => http::response(200, TEXT, text(&refused).as_bytes()),
        "/index.html" => http::response(200, "text/html; charset=utf-8", html(&refused).as_bytes()),
        "/denied.json" => {
            let body = serde_json::to_vec(&refused).unwrap_or_default();
            http::response(200, "application/json", &body)
        }
        _ => http::response(404, TEXT, b"nothing here: / and /index.html and /denied.json\n"),
    };
    if method == "HEAD" { http::head_only(response) } else { response }
}

/// One refusal, as the agent may know it: what was refused and why, and nothing of the policy that it did not ask for.
#[derive(Debug, Serialize)]
struct Refused {
    destination: String,
    port: Option<u16>,
    reason: String,
    why: &'static str,
    count: u64,
}

impl Refused {
    fn of(summary: &Summary) -> Vec<Refused> {
        let one = |denied: &Denied| Refused {
            destination: denied.destination.clone(),
            port: denied.port,
            why: Reason::ALL
                .iter()
                .find(|reason| reason.code() == denied.reason)
                .map_or("", |reason| reason.sentence()),
            reason: denied.reason.clone(),
            count: denied.count,
        };
        summary.denied.iter().map(one).collect()
    }

    fn target(&self) -> String {
        self.port.map_or_else(|| self.destination.clone(), |port| format!("{}:{port}", self.destination))
    }
}

fn text(refused: &[Refused]) -> String {
    let mut page = format!("{LEAD}\n\n");
    if refused.is_empty() {
        page.push_str("Nothing was refused so far.\n");
        return page;
    }
    page.push_str("Refused so far:\n");
    for one in refused {
        let _ = writeln!(page, "  {}  {}  {} times\n    {}", one.destination, one.reason, one.count, one.why);
    }
    let _ = writeln!(page, "\n{ADVICE}");
    page
}

fn html(refused: &[Refused]) -> String {
    let mut rows = String::new();
    for one in refused {
        let (target, reason) = (escaped(&one.target()), escaped(&one.reason));
        let _ = writeln!(
            rows,
            "<tr><td><code>{target}</code><td>{reason}<td>{}<td>{}",
            escaped(one.why),
            one.count
        );
    }
    let table = match rows.is_empty() {
        true => "<p>Nothing was refused so far.".to_owned(),
        false => format!("<table><tr><th>What<th>Reason<th>Why<th>Times\n{rows}</table><p>{ADVICE}"),
    };
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Refused by policy</title>\
         <meta name=viewport content=\"width=device-width\"><style>:root{{color-scheme:light dark}}\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.4rem .8rem .4rem 0;\
         border-bottom:1px solid #8884;vertical-align:top}}code{{overflow-wrap:anywhere}}</style>\
         <h1>Refused by policy</h1><p>{LEAD}</p>{table}\n"
    )
}

/// What an agent asked for stands in the page as text, whatever it looks like.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            '"' => "&quot;".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

const LEAD: &str = "This agent runs in a Claw sandbox. What no rule names is refused.";
const ADVICE: &str = "Ask whoever owns the policy for what is needed.";
const TEXT: &str = "text/plain; charset=utf-8";
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Vec<Refused> {
        let denied = Denied {
            destination: "GET api.test:443/<script>".to_owned(),
            port: None,
            reason: "path".to_owned(),
            count: 3,
            suggestion: Some("- {destination: \"*.test:443\"}".to_owned()),
        };
        let mut summary = Summary::default();
        summary.denied.push(denied);
        Refused::of(&summary)
    }

    #[test]
    fn a_refusal_is_told_with_its_why_and_without_the_rule() {
        let (plain, page) = (text(&refused()), html(&refused()));
        let json = serde_json::to_string(&refused()).unwrap();
        for page in [&plain, &page, &json] {
            assert!(page.contains("do not permit this path"), "{page}");
            assert!(!page.contains("*.test"), "the rest of the policy is not the agent's: {page}");
        }
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    }

    #[test]
    fn nothing_refused_is_said_too() {
        assert!(text(&[]).contains("Nothing was refused") && html(&[]).contains("Nothing was refused"));
    }
}
