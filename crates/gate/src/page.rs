//! `http://policy.internal/`: what was refused and why, for the agent itself. It never shows the rest of the policy.

use std::fmt::Write as _;
use std::time::Duration;

use claw_wire::http::{self, Head};
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
    let summary = shared.journal.summary();
    match target {
        "/" => http::response(200, TEXT, text(&summary).as_bytes()),
        "/denied.json" => {
            let body = serde_json::to_vec(&summary.denied).unwrap_or_default();
            http::response(200, "application/json", &body)
        }
        _ => http::response(404, TEXT, b"nothing here: / and /denied.json\n"),
    }
}

fn text(summary: &claw_ledger::summary::Summary) -> String {
    let mut page = "This agent runs in a Claw sandbox. What no rule names is refused.\n\n".to_owned();
    if summary.denied.is_empty() {
        page.push_str("Nothing was refused so far.\n");
        return page;
    }
    page.push_str("Refused so far:\n");
    for denied in &summary.denied {
        let _ = writeln!(page, "  {}  {}  {} times", denied.destination, denied.reason, denied.count);
    }
    page.push_str("\nAsk whoever owns the policy for what is needed.\n");
    page
}

const TEXT: &str = "text/plain; charset=utf-8";
const PATIENCE: Duration = Duration::from_secs(5);
