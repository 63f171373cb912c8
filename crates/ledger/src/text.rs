//! Untrusted text made safe to show: what a terminal would obey or hide is spelled out instead.

use std::fmt::Write as _;
use std::io;

use claw_model::shown::is_hidden;

/// JSON in which control, direction and zero-width characters are always `\uXXXX`.
pub(crate) struct Safe;

impl serde_json::ser::Formatter for Safe {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return out.write_all(text.as_bytes());
        }
        for character in text.chars() {
            if is_hidden(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            } else {
                out.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(())
    }
}

/// One word for a column: hidden characters and backslashes escaped, quoted if it has white space or is empty.
pub fn word(text: &str) -> String {
    let quoted = text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '"');
    let mut out = String::with_capacity(text.len() + 2);
    let quote = if quoted { "\"" } else { "" };
    out.push_str(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            _ if is_hidden(character) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push_str(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_cannot_pass_for_two_or_move_the_cursor() {
        assert_eq!(word("evil.test"), "evil.test");
        assert_eq!(word("bücher"), "bücher");
        assert_eq!(word("a ALLOW"), "\"a ALLOW\"");
        assert_eq!(word(""), "\"\"");
        assert_eq!(word("a\u{1b}[2J\u{202e}\\"), "a\\u{1b}[2J\\u{202e}\\\\");
        assert_eq!(word("say \"x\"\n"), "\"say \\\"x\\\"\\u{a}\"");
    }
}
