//! Text from elsewhere in pictures, pages and terminals: it is shown, and does nothing.

use claw_model::shown::is_hidden;

/// The text without characters that cannot be seen but change what is: controls, and marks that turn its direction.
pub fn shown(text: &str) -> String {
    let hidden = |c: char| is_hidden(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// For XML text and attributes.
pub fn xml(text: &str) -> String {
    let mut escaped = String::new();
    for c in shown(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// For a Mermaid label in quotes: everything that could be syntax or HTML is a numbered entity.
pub fn mermaid(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | ':' | '/' | '-' | '+');
    let each = |c: char| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) };
    shown(text).chars().map(each).collect()
}

/// For Markdown, tables included.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in shown(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '|' | '#' | '!' | '~' | '$' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // a bare address would become a link
            ':' => escaped.push_str("&#58;"),
            '@' => escaped.push_str("&#64;"),
            c => escaped.push(c),
        }
    }
    escaped
}
