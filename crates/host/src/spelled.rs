//! Names and texts of others, for people and for a shell: what cannot be seen is spelled out, and nothing of it acts.

use std::fmt::Write as _;

use claw_model::shown::is_hidden;

/// The text with each character that moves, hides or turns what is around it spelled as `\u{…}`: one line stays one line.
pub fn spelled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            // writing to a String cannot fail
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// A path as a shell takes it: a file's name is its maker's choice.
pub(crate) fn quoted(path: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+".contains(character);
    if !path.is_empty() && path.chars().all(plain) {
        return path.to_owned();
    }
    let printable = |character: char| character == ' ' || character.is_ascii_graphic();
    if path.chars().all(printable) {
        return format!("'{}'", path.replace('\'', "'\\''"));
    }
    // bash(1), QUOTING: bytes by their number
    let mut out = String::from("$'");
    for byte in path.bytes() {
        match byte {
            b'\'' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::{quoted, spelled};

    #[test]
    fn a_text_stays_on_its_line_and_shows_what_it_holds() {
        assert_eq!(spelled("/srv/büro a"), "/srv/büro a");
        assert_eq!(
            spelled("a\n  pass: all\r\u{1b}[2J\u{9b}\u{202e}\u{200b}\u{2028}"),
            "a\\u{a}  pass: all\\u{d}\\u{1b}[2J\\u{9b}\\u{202e}\\u{200b}\\u{2028}"
        );
    }

    #[test]
    fn a_path_is_quoted_as_far_as_it_must_be() {
        assert_eq!(quoted("/usr/bin/sudo"), "/usr/bin/sudo");
        assert_eq!(quoted("/it's $(id)"), "'/it'\\''s $(id)'");
        assert_eq!(quoted("/a\n'\\\u{202e}"), "$'/a\\x0a\\'\\\\\\xe2\\x80\\xae'");
    }
}
