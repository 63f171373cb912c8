//! Text of what is written: values as YAML, comments on one line each, strings in quotes.

use serde_json::Value;

use super::flow::{Asked, Flows};
use crate::import::write::scalar;
use crate::loss::LossKind;

/// What is said at the head of a file: where it comes from, and what is not in it.
pub(super) fn head(asked: &Asked<'_>, flows: &Flows, more: &[&str]) -> Vec<String> {
    let mut lines = vec![format!(
        "exported by claw as {} from {}, phase {}, as it stood on {}",
        asked.format,
        asked.policy.name(),
        asked.phase,
        asked.now.to_zoned(jiff::tz::TimeZone::UTC).date()
    )];
    lines.extend(more.iter().map(|line| (*line).to_owned()));
    let left = flows.losses.iter().filter(|loss| loss.kind == LossKind::LeftOut);
    lines.extend(left.map(|loss| format!("line {}: {}", loss.line, loss.what)));
    lines
        .iter()
        .map(|line| line.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\""))
        .collect()
}

/// Lines as comments.
pub(super) fn comments(sign: &str, lines: &[String]) -> String {
    lines.iter().map(|line| format!("{sign} {line}\n")).collect()
}

/// A value as YAML in blocks, two spaces deep.
pub(super) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let lead = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                text.push_str(&format!("{lead}{}:", key_text(key)));
                below(value, depth, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                if !is_block(item) {
                    text.push_str(&format!("{lead}- {}\n", one(item)));
                    continue;
                }
                let mut inner = String::new();
                block(item, depth.saturating_add(1), &mut inner);
                let inner = inner.strip_prefix(&format!("{lead}  ")).unwrap_or(&inner);
                text.push_str(&format!("{lead}- {inner}"));
            }
        }
        other => text.push_str(&format!("{lead}{}\n", one(other))),
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn below(value: &Value, depth: usize, text: &mut String) {
    if is_block(value) {
        text.push('\n');
        block(value, depth.saturating_add(1), text);
    } else {
        text.push_str(&format!(" {}\n", one(value)));
    }
}

fn one(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

fn key_text(key: &str) -> String {
    let plain = !key.is_empty()
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    if plain { key.to_owned() } else { scalar(key) }
}

/// A string in quotes as JSON and TOML both read it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || u32::from(c) > 0xffff => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(c).min(0xfffd)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of strings in quotes.
pub(super) fn quoted_list(items: &[String]) -> String {
    items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ")
}

/// At most so many bytes, on a character's border, without control characters.
pub(super) fn short(text: &str, most: usize) -> String {
    let mut short = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if short.len().saturating_add(c.len_utf8()) > most {
            break;
        }
        short.push(c);
    }
    short
}
