//! Footprints as one page that opens from disk and asks nobody for anything.
//!
//! Picture and table are written here; the script only sorts and filters what is there, so the page is whole without it.
//! A content security policy forbids everything but this style and this script, by their digests: text that an agent chose
//! is escaped, and could not run if it were not.

use claw_model::digest::Digest;
use data_encoding::BASE64;

use crate::footprint::{Footprint, Lane};
use crate::show::{about, bytes, duration, minute, plain, switches};

mod compared;
mod picture;
mod table;
mod timeline;

pub use compared::comparison;

/// A footprint as a page.
pub fn page(footprint: &Footprint) -> String {
    let mut body = String::new();
    let command = footprint.runs.iter().map(|run| run.command.join(" ")).find(|text| !text.is_empty());
    let title = command.unwrap_or_else(|| "Network footprint".to_owned());
    body.push_str("<header><p class=\"kicker\">Network footprint</p>");
    body.push_str(&format!("<h1><bdi>{}</bdi></h1>", text(&short(&title, 120))));
    body.push_str(&format!("<p class=\"sub\">{}</p>", text(&subtitle(footprint))));
    for stamp in &footprint.stamps {
        body.push_str(&format!(
            "<p class=\"stamp\" role=\"note\"><strong>{}</strong> {}</p>",
            text(&stamp.code),
            text(&stamp.text)
        ));
    }
    body.push_str("</header><main>");
    body.push_str(&numbers(footprint));
    body.push_str(&picture::figure(footprint));
    body.push_str(&timeline::figure(footprint));
    body.push_str(&table::section(footprint));
    body.push_str(&off(footprint));
    body.push_str("</main>");
    body.push_str(&footer(footprint));
    frame(&format!("Footprint: {}", short(&title, 60)), &body, SCRIPT)
}

/// The frame around a body.
fn frame(title: &str, body: &str, script: &str) -> String {
    let digest = |text: &str| BASE64.encode(Digest::of(text.as_bytes()).as_bytes());
    let scripts = match script {
        "" => String::new(),
        script => format!(" script-src 'sha256-{}';", digest(script)),
    };
    let csp = format!(
        "default-src 'none'; style-src 'sha256-{}';{scripts} base-uri 'none'; form-action 'none'",
        digest(STYLE)
    );
    let script = if script.is_empty() { String::new() } else { format!("<script>{script}</script>") };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{csp}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"referrer\" content=\"no-referrer\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{}</title><style>{STYLE}</style></head>\n<body>{body}{script}</body></html>\n",
        text(title)
    )
}

fn subtitle(footprint: &Footprint) -> String {
    let modes: Vec<&str> = footprint.runs.iter().map(|run| run.mode.as_str()).collect();
    let how = match modes.as_slice() {
        [] => "no run".to_owned(),
        ["run"] => "held to its policy".to_owned(),
        ["sink"] => "observed: everything was answered by Claw, nothing left the machine".to_owned(),
        ["deny"] => "observed: everything was refused".to_owned(),
        ["allow"] => "observed: everything was let through".to_owned(),
        several => format!("{} runs", several.len()),
    };
    match footprint.span() {
        Some((first, last)) => format!("{how} · {} · {}", minute(first), duration(first, last)),
        None => how,
    }
}

fn numbers(footprint: &Footprint) -> String {
    let mut targets: Vec<String> = footprint.flows.iter().map(|flow| flow.destination.clone()).collect();
    targets.sort();
    targets.dedup();
    let sum = |field: fn(&crate::Flow) -> u64| footprint.flows.iter().map(field).fold(0, u64::saturating_add);
    let unsplit = footprint.unsplit.iter().fold((0_u64, 0_u64), |sum, one| {
        (sum.0.saturating_add(one.bytes_out), sum.1.saturating_add(one.bytes_in))
    });
    let telemetry = footprint.flows.iter().filter(|flow| flow.lane() == Lane::Telemetry);
    let out = sum(|flow| flow.bytes_out).saturating_add(unsplit.0);
    let back = sum(|flow| flow.bytes_in).saturating_add(unsplit.1);
    let counted = footprint.counted.values().copied().fold(0, u64::saturating_add);
    let refused = sum(|flow| flow.denied).saturating_add(counted);
    let tiles = [
        ("hosts", targets.len().to_string()),
        ("let through", sum(|flow| flow.allowed).to_string()),
        ("answered by Claw", sum(|flow| flow.sunk).to_string()),
        ("refused", refused.to_string()),
        ("telemetry flows", telemetry.count().to_string()),
        ("sent", bytes(out)),
        ("received", bytes(back)),
    ];
    let tile = |(name, value): &(&str, String)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    let shown = tiles
        .iter()
        .filter(|(name, value)| value != "0" || !matches!(*name, "let through" | "answered by Claw"));
    format!("<dl class=\"numbers\">{}</dl>", shown.map(tile).collect::<String>())
}

fn off(footprint: &Footprint) -> String {
    let switches = switches(footprint);
    if switches.is_empty() {
        return String::new();
    }
    let items: String = switches
        .iter()
        .map(|line| {
            let (switch, note) = line.split_once("  ").unwrap_or((line, ""));
            format!("<li><code>{}</code> <span>{}</span></li>", text(switch), text(note))
        })
        .collect();
    format!("<section class=\"off\"><h2>What turns telemetry off</h2><ul>{items}</ul></section>")
}

fn footer(footprint: &Footprint) -> String {
    let mut lines: String =
        footprint.runs.iter().map(|run| format!("<li>{}</li>", text(&about(run)))).collect();
    for unsplit in &footprint.unsplit {
        lines.push_str(&format!(
            "<li>{}:{}: {} sent and {} received are heads and answers that are not told apart by plane</li>",
            text(&unsplit.destination),
            unsplit.port,
            bytes(unsplit.bytes_out),
            bytes(unsplit.bytes_in)
        ));
    }
    for (reason, count) in &footprint.counted {
        lines.push_str(&format!("<li>{count} more were refused and only counted: {}</li>", text(reason)));
    }
    format!("<footer><h2>Made from</h2><ul>{lines}</ul></footer>")
}

/// Text in which nothing means something to HTML, and nothing moves, reorders or hides text.
fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in plain(text).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// At most so many characters: the middle goes, since both ends of a host name tell something.
fn short(text: &str, most: usize) -> String {
    let text = plain(text);
    let count = text.chars().count();
    if count <= most {
        return text;
    }
    let tail = most / 2;
    let head = most.saturating_sub(tail).saturating_sub(1);
    let end: String = text.chars().skip(count.saturating_sub(tail)).collect();
    format!("{}…{end}", text.chars().take(head).collect::<String>())
}

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
