//! Patterns of paths: `**` is any number of directories, `*` any part of a name. Nothing else has a meaning.

use std::fmt;

use thiserror::Error;

/// Which paths a signer may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`
    Any,
    /// A name, split at its stars.
    Name(Vec<String>),
}

/// Why a pattern of paths is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// Nothing is written.
    #[error("a path pattern is empty")]
    Empty,
    /// It begins with a slash, or holds `.`, `..` or an empty segment.
    #[error("the path pattern `{0}` is not a path below the repository's root")]
    NotBelow(String),
    /// It uses a sign that looks like a wildcard and is none here.
    #[error("the path pattern `{text}` holds `{sign}`, which has no meaning here")]
    Sign {
        /// The pattern.
        text: String,
        /// The sign.
        sign: char,
    },
}

impl Pattern {
    /// Reads a pattern; one that ends with `/` is everything below.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if let Some(sign) = text.chars().find(|c| matches!(c, '?' | '[' | ']' | '{' | '}' | '!' | '\\')) {
            return Err(PatternError::Sign { text: text.to_owned(), sign });
        }
        let whole = if text.ends_with('/') { format!("{text}**") } else { text.to_owned() };
        let mut segments = Vec::new();
        for part in whole.split('/') {
            match part {
                "" | "." | ".." => return Err(PatternError::NotBelow(text.to_owned())),
                "**" => segments.push(Segment::Any),
                name => segments.push(Segment::Name(name.split('*').map(str::to_owned).collect())),
            }
        }
        Ok(Pattern { text: text.to_owned(), segments })
    }

    /// Whether it is every path.
    pub fn is_everything(&self) -> bool {
        self.segments == [Segment::Any]
    }

    /// Whether a path is matched. A path that is not UTF-8 is matched only by `**`.
    pub fn matches(&self, path: &[u8]) -> bool {
        if self.is_everything() {
            return true;
        }
        let Ok(path) = std::str::from_utf8(path) else { return false };
        let names: Vec<&str> = path.split('/').collect();
        matches(&self.segments, &names)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One row of the table at a time, so that no pattern costs more than its length times the path's.
fn matches(segments: &[Segment], names: &[&str]) -> bool {
    let mut reached = vec![false; names.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for (place, segment) in segments.iter().enumerate() {
        let (first, last) = (place == 0, place.saturating_add(1) == segments.len());
        let mut next = vec![false; reached.len()];
        for (index, cell) in next.iter_mut().enumerate() {
            *cell = match segment {
                // what ends with `**` is everything below, and not the name before it
                Segment::Any if last && !first => reached.iter().take(index).any(|reached| *reached),
                Segment::Any => reached.iter().take(index.saturating_add(1)).any(|reached| *reached),
                Segment::Name(pieces) => index
                    .checked_sub(1)
                    .and_then(|before| Some((reached.get(before)?, names.get(before)?)))
                    .is_some_and(|(reached, name)| *reached && fits(pieces, name)),
            };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// Whether a name is the pieces with anything between them.
fn fits(pieces: &[String], name: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|piece| piece == name);
    };
    let Some(rest) = name.strip_prefix(first.as_str()) else { return false };
    let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
    for piece in middle {
        let Some((_, after)) = rest.split_once(piece.as_str()) else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_it_says() {
        let check = |pattern: &str, path: &str, expect: bool| {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(path.as_bytes()), expect, "{pattern} {path}");
        };
        check("**", "a/b/c", true);
        check("src/**", "src/a/b.rs", true);
        check("src/**", "srcs/a", false);
        check("src/", "src/a", true);
        check("src/*.rs", "src/lib.rs", true);
        check("src/*.rs", "src/a/lib.rs", false);
        check("src/*.rs", "src/lib.rs.sh", false);
        check("**/Cargo.toml", "Cargo.toml", true);
        check("**/Cargo.toml", "a/b/Cargo.toml", true);
        check("a*b*c", "abc", true);
        check("a*b*c", "acb", false);
        check("ab*ba", "aba", false);
        check("docs/**", "docs", false);
        check("docs/", "docs", false);
        check("docs/**/**", "docs", false);
        check("docs/**", "docs/a", true);
        check("docs/**/x", "docs/x", true);
        check("docs/**/x", "docs/a/b/y", false);
    }

    #[test]
    fn what_looks_like_a_pattern_and_is_none_is_refused() {
        for (text, expect) in [
            ("", PatternError::Empty),
            ("/etc", PatternError::NotBelow("/etc".into())),
            ("a/../b", PatternError::NotBelow("a/../b".into())),
            ("a?", PatternError::Sign { text: "a?".into(), sign: '?' }),
            ("!a", PatternError::Sign { text: "!a".into(), sign: '!' }),
        ] {
            assert_eq!(Pattern::parse(text), Err(expect));
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_their_number() {
        let pattern = Pattern::parse(&"**/a*a*a*a*/".repeat(200)).unwrap();
        assert!(!pattern.matches("aab/".repeat(300).as_bytes()));
        assert!(pattern.matches("aabaaaa/".repeat(300).as_bytes()));
    }
}
