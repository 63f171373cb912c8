//! The terminal's clipboard: OSC 52 of xterm's control sequences, which travels over ssh, as it is only text.
//!
//! tmux takes it with `set-clipboard on`, or passes it on to its own terminal with `allow-passthrough on`. A terminal
//! that knows nothing of it ignores it, and does not say so.

use super::cell;

/// What stands between this program and the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    /// Nothing that matters.
    Nothing,
    /// tmux: it is told, and asked to pass it on.
    Tmux,
}

/// The text that puts a rule into the clipboard. The rule has no control character left: what is pasted into a shell
/// or a file is one line.
pub(crate) fn copy(rule: &str, between: Between) -> String {
    let text: String = cell::clean(rule).chars().take(LONGEST).collect();
    let plain = format!("\x1b]52;c;{}\x07", base64(text.as_bytes()));
    match between {
        Between::Nothing => plain,
        Between::Tmux => format!("{plain}\x1bPtmux;\x1b{plain}\x1b\\"),
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (at, shift) in [18_u32, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from((bits >> shift) & 63).unwrap_or_default();
            let digit = ALPHABET.get(digit).copied().unwrap_or_default();
            text.push(if at > group.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Terminals take some 75,000 bytes; a rule is far shorter.
const LONGEST: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10
        let check = |text: &str, expect: &str| assert_eq!(base64(text.as_bytes()), expect);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foob", "Zm9vYg==");
        check("foobar", "Zm9vYmFy");
        check("\u{ff}\u{3ff}", "w7/Pvw==");
    }

    #[test]
    fn a_copied_rule_is_one_line_without_control_characters() {
        assert_eq!(copy("- {a: b}", Between::Nothing), "\x1b]52;c;LSB7YTogYn0=\x07");
        assert_eq!(
            copy("a\n\x1b]52;\x07b", Between::Nothing),
            copy("a\u{fffd}\u{fffd}]52;\u{fffd}b", Between::Nothing)
        );
        assert_eq!(copy("f", Between::Tmux), "\x1b]52;c;Zg==\x07\x1bPtmux;\x1b\x1b]52;c;Zg==\x07\x1b\\");
        assert!(copy(&"x".repeat(100_000), Between::Nothing).len() < 6_000);
    }
}
