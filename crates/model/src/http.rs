//! HTTP requests as a policy speaks of them: `METHOD /path-pattern`, and the paths that may be compared with one.
//!
//! A path is compared only in its one canonical spelling (RFC 3986, section 6.2.2): two servers must not read it as two
//! different resources. Anything else is refused instead of repaired.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

mod classes;

pub use classes::{Example, classes};

/// `POST /v1/messages`: which requests a rule permits. The query is not compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestPattern {
    method: Option<Box<str>>,
    segments: Box<[Segment]>,
}

/// One part of a path between slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    /// Exactly this text.
    Literal(Box<str>),
    /// `*`: any one segment that is not empty.
    One,
    /// `**`, last: the rest, whatever it is.
    Rest,
}

/// The text is not a request pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestPatternError {
    /// Not two words.
    #[error("`{}` is not a method and a path: write `GET /v1/models`", text.escape_debug())]
    Shape {
        /// What was written.
        text: String,
    },
    /// The method is not one that can be permitted.
    #[error("`{}` is not a method that a rule can permit: write `GET`, `POST`, … in capitals, or `*`", text.escape_debug())]
    Method {
        /// What was written.
        text: String,
    },
    /// The path could never be that of a request.
    #[error("no request ever has the path `{}`: {why}", text.escape_debug())]
    Path {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A path in its canonical spelling, without its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CanonicalPath<'a>(&'a str);

/// The path has more than one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(&'static str);

impl RequestPattern {
    /// Parses `METHOD /path`, where `*` stands for one segment and a last `**` for the rest.
    pub fn parse(text: &str) -> Result<RequestPattern, RequestPatternError> {
        let (method, path) = match text.split(' ').collect::<Vec<_>>().as_slice() {
            [method, path] => (*method, *path),
            _ => return Err(RequestPatternError::Shape { text: text.to_owned() }),
        };
        let fail = |why| RequestPatternError::Path { text: path.to_owned(), why };
        let known = method == "*" || (is_method(method) && may_be_permitted(method));
        if !known {
            return Err(RequestPatternError::Method { text: method.to_owned() });
        }
        if path.contains(['?', '#']) {
            return Err(fail("the query is not compared; leave it out"));
        }
        let rest = path.strip_prefix('/').ok_or_else(|| fail("it begins with `/`"))?;
        let parts: Vec<&str> = rest.split('/').collect();
        let last = parts.len().saturating_sub(1);
        let mut segments = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            segments.push(match *part {
                "*" => Segment::One,
                "**" if at == last => Segment::Rest,
                "**" => return Err(fail("`**` stands for the rest, so it comes last")),
                part if part.contains('*') => {
                    return Err(fail("`*` stands for a whole segment, not for a part of one"));
                }
                // patterns that match alike are equal
                part => Segment::Literal(upper_escapes(part).into()),
            });
        }
        // what is left must be a path that a request can have
        let sample: String = segments.iter().map(|segment| format!("/{}", segment.sample())).collect();
        CanonicalPath::parse(&sample).map_err(|error| fail(error.0))?;
        let method = (method != "*").then(|| method.into());
        Ok(RequestPattern { method, segments: segments.into() })
    }

    /// Whether a request is one of these.
    pub fn matches(&self, method: &str, path: CanonicalPath<'_>) -> bool {
        if self.method.as_deref().map_or(!may_be_permitted(method), |own| own != method) {
            return false;
        }
        let mut parts = path.segments();
        for segment in &self.segments {
            match (segment, parts.next()) {
                (Segment::Rest, Some(_)) => return true,
                (Segment::Literal(own), Some(part)) if same(own, part) => {}
                (Segment::One, Some(part)) if !part.is_empty() && !holds_separator(part) => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    /// Whether some request is one of both.
    pub fn overlaps(&self, other: &RequestPattern) -> bool {
        let methods = match (&self.method, &other.method) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        methods && overlap(&self.segments, &other.segments)
    }

    /// Whether every request of `other` is one of these.
    pub fn covers(&self, other: &RequestPattern) -> bool {
        let methods = self.method.is_none() || self.method == other.method;
        methods && cover(&self.segments, &other.segments)
    }

    /// The more specific of two patterns that one request matches comes first: a literal before `*` before `**` at the
    /// first place where they differ, then a named method before any.
    pub fn specificity(&self, other: &RequestPattern) -> Ordering {
        let rank = |segment: Option<&Segment>| match segment {
            Some(Segment::Literal(_)) => 0u8,
            Some(Segment::One) => 1,
            Some(Segment::Rest) => 2,
            None => 3,
        };
        let places = self.segments.len().max(other.segments.len());
        (0..places)
            .map(|at| rank(self.segments.get(at)).cmp(&rank(other.segments.get(at))))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
            .then(self.method.is_none().cmp(&other.method.is_none()))
    }
}

impl Segment {
    fn sample(&self) -> &str {
        match self {
            Segment::Literal(text) => text,
            Segment::One | Segment::Rest => "x",
        }
    }
}

impl<'a> CanonicalPath<'a> {
    /// Takes a request's path as it was sent, if it has one reading only.
    pub fn parse(path: &'a str) -> Result<CanonicalPath<'a>, PathError> {
        let Some(rest) = path.strip_prefix('/') else {
            return Err(PathError("the path does not begin with `/`"));
        };
        if path.len() > LONGEST_PATH {
            return Err(PathError("the path is longer than 8 KiB"));
        }
        let last = rest.bytes().filter(|byte| *byte == b'/').count();
        for (at, segment) in rest.split('/').enumerate() {
            if segment.is_empty() && at != last {
                return Err(PathError("the path holds an empty segment (`//`)"));
            }
            check(segment)?;
        }
        Ok(CanonicalPath(path))
    }

    /// The path as it was sent.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    fn segments(self) -> impl Iterator<Item = &'a str> {
        self.0.strip_prefix('/').unwrap_or(self.0).split('/')
    }
}

/// One segment: characters of RFC 3986 only, escapes only where they are needed, and nothing that some server turns into
/// `.`, `..`, or the end of the path.
fn check(segment: &str) -> Result<(), PathError> {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            if !is_pchar(*first) {
                return Err(PathError("the path holds a character that must be escaped"));
            }
            decoded.push(*first);
            continue;
        }
        let Some((&[high, low], after)) = rest.split_first_chunk::<2>() else {
            return Err(PathError("the path ends within an escape"));
        };
        let (Some(high), Some(low)) = (hex(high), hex(low)) else {
            return Err(PathError("the path holds `%` without two hexadecimal digits"));
        };
        rest = after;
        let byte = high << 4 | low;
        match byte {
            b'.' | b'-' | b'_' | b'~' => {
                return Err(PathError("the path escapes a character that needs none"));
            }
            byte if byte.is_ascii_alphanumeric() => {
                return Err(PathError("the path escapes a character that needs none"));
            }
            // never a part of UTF-8: some servers read them as a longer way to write `.` and `/`
            0xc0 | 0xc1 => return Err(PathError("the path escapes bytes that are no text")),
            byte if byte < b' ' || byte == 0x7f => {
                return Err(PathError("the path escapes a control character"));
            }
            b'%' if matches!(rest, [high, low, ..] if hex(*high).is_some() && hex(*low).is_some()) => {
                return Err(PathError("the path is escaped twice"));
            }
            byte => decoded.push(byte),
        }
    }
    // what some servers cut off or split at must not leave a dot segment behind
    let dots = |part: &[u8]| matches!(part.trim_ascii_end(), b"." | b"..");
    let cut = |part: &[u8]| part.split(|byte| *byte == b';').next().is_some_and(dots);
    if decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(cut) {
        return Err(PathError("the path holds a dot segment (`.` or `..`)"));
    }
    Ok(())
}

/// The same segment: escapes are compared without regard to the case of their digits.
fn same(own: &str, part: &str) -> bool {
    if own == part {
        return true;
    }
    own.len() == part.len() && own.contains('%') && upper_escapes(own) == upper_escapes(part)
}

fn upper_escapes(text: &str) -> String {
    let mut left = 0u8;
    text.chars()
        .map(|character| {
            let shown = if left > 0 { character.to_ascii_uppercase() } else { character };
            left = if character == '%' { 2 } else { left.saturating_sub(1) };
            shown
        })
        .collect()
}

/// An escaped slash or backslash: some servers would see two segments, so `*` does not stand for it.
fn holds_separator(part: &str) -> bool {
    part.contains('%') && {
        let upper = part.to_ascii_uppercase();
        upper.contains("%2F") || upper.contains("%5C")
    }
}

fn overlap(one: &[Segment], other: &[Segment]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([Segment::Rest, ..], [_, ..]) | ([_, ..], [Segment::Rest, ..]) => true,
        ([first, one @ ..], [second, other @ ..]) => meets(first, second) && overlap(one, other),
        _ => false,
    }
}

fn meets(one: &Segment, other: &Segment) -> bool {
    match (one, other) {
        (Segment::Literal(one), Segment::Literal(other)) => same(one, other),
        (Segment::Literal(text), _) | (_, Segment::Literal(text)) => {
            !text.is_empty() && !holds_separator(text)
        }
        _ => true,
    }
}

fn cover(one: &[Segment], other: &[Segment]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([Segment::Rest, ..], [_, ..]) => true,
        ([first, one @ ..], [second, other @ ..]) => {
            let here = match (first, second) {
                (Segment::One, Segment::One) => true,
                (_, Segment::Rest | Segment::One) => false,
                (first, second) => meets(first, second),
            };
            here && cover(one, other)
        }
        _ => false,
    }
}

/// Whether a rule can permit a method at all: not one that asks for a proxy, nor one that has the request, with what the
/// client may not read of it, sent back (RFC 9110, sections 9.3.6 and 9.3.8). Lenient servers take them in small letters.
pub fn may_be_permitted(method: &str) -> bool {
    !["CONNECT", "TRACE"].iter().any(|never| method.eq_ignore_ascii_case(never))
}

/// RFC 9110, section 5.6.2: a token; methods are written in capitals.
fn is_method(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

/// RFC 3986, section 3.3.
fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Display for RequestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.as_deref().unwrap_or("*"))?;
        f.write_str(" ")?;
        for segment in &self.segments {
            f.write_str("/")?;
            f.write_str(match segment {
                Segment::Literal(text) => text,
                Segment::One => "*",
                Segment::Rest => "**",
            })?;
        }
        Ok(())
    }
}

impl FromStr for RequestPattern {
    type Err = RequestPatternError;
    fn from_str(text: &str) -> Result<Self, RequestPatternError> {
        RequestPattern::parse(text)
    }
}

crate::text::as_text!(RequestPattern);

const LONGEST_PATH: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> RequestPattern {
        RequestPattern::parse(text).unwrap()
    }

    fn matches(text: &str, method: &str, path: &str) -> bool {
        pattern(text).matches(method, CanonicalPath::parse(path).unwrap())
    }

    #[test]
    fn a_pattern_matches_what_it_says() {
        for (text, method, path, expect) in [
            ("POST /v1/messages", "POST", "/v1/messages", true),
            ("POST /v1/messages", "GET", "/v1/messages", false),
            ("POST /v1/messages", "post", "/v1/messages", false),
            ("POST /v1/messages", "POST", "/v1/messages/", false),
            ("POST /v1/messages", "POST", "/v1/messages/batches", false),
            ("POST /v1/messages", "POST", "/V1/messages", false),
            ("GET /v1/*/files", "GET", "/v1/a/files", true),
            ("GET /v1/*/files", "GET", "/v1/a/b/files", false),
            ("GET /v1/*/files", "GET", "/v1/a%2Fb/files", false),
            ("GET /v1/*", "GET", "/v1/", false),
            ("GET /v1/**", "GET", "/v1/", true),
            ("GET /v1/**", "GET", "/v1/a/b%2fc", true),
            ("GET /v1/**", "GET", "/v1", false),
            ("* /**", "PATCH", "/", true),
            ("GET /", "GET", "/", true),
            ("GET /", "GET", "/a", false),
            ("GET /a%2Fb", "GET", "/a%2fb", true),
            ("GET /a%2Fb", "GET", "/a/b", false),
            ("* /**", "TRACE", "/", false),
            ("* /**", "CONNECT", "/", false),
            ("* /**", "trace", "/", false),
        ] {
            assert_eq!(matches(text, method, path), expect, "{text} {method} {path}");
        }
    }

    #[test]
    fn patterns_that_match_alike_are_equal() {
        assert_eq!(pattern("GET /a%2fb"), pattern("GET /a%2Fb"));
        assert_eq!(pattern("GET /%e2%82%ac/*").to_string(), "GET /%E2%82%AC/*");
        assert_ne!(pattern("GET /a%2fb"), pattern("GET /A%2fb"));
    }

    #[test]
    fn a_path_with_a_second_reading_is_refused() {
        for path in [
            "",
            "v1",
            "*",
            "//",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/..",
            "/%2e%2e/b",
            "/%2E/b",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a%2f..%2fb",
            "/a/..%2fb",
            "/a%5c..%5cb",
            "/a\\b",
            "/%61",
            "/a%00",
            "/a%0d%0a",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a b",
            "/é",
            "/a%252e",
            "/%c0%ae%c0%ae/b",
            "/..%20/b",
            "/.%20",
            "/a#b",
            "/a?b",
            "/a\"b",
            "/[",
        ] {
            assert!(CanonicalPath::parse(path).is_err(), "{path}");
        }
        for path in
            ["/", "/a", "/a/", "/a.b/..c/...", "/@scope%2Fname", "/a%20b", "/%E2%82%AC", "/100%25", "/a;b=1"]
        {
            assert!(CanonicalPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_bad_pattern_says_what_is_wrong() {
        for (text, part) in [
            ("", "not a method and a path"),
            ("/v1", "not a method and a path"),
            ("GET  /v1", "not a method and a path"),
            ("get /v1", "not a method that a rule can permit"),
            ("CONNECT /", "not a method that a rule can permit"),
            ("GET v1", "begins with `/`"),
            ("GET /v1?x", "query is not compared"),
            ("GET /a/**/b", "comes last"),
            ("GET /a*", "whole segment"),
            ("GET /a/../b", "dot segment"),
            ("GET /a//b", "empty segment"),
        ] {
            let error = RequestPattern::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_more_specific_pattern_comes_first() {
        let mut patterns = ["* /**", "GET /v1/**", "* /v1/a", "GET /v1/*", "GET /v1/a"].map(pattern);
        patterns.sort_by(RequestPattern::specificity);
        let shown: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["GET /v1/a", "* /v1/a", "GET /v1/*", "GET /v1/**", "* /**"]);
    }

    fn any_pattern() -> impl Strategy<Value = RequestPattern> {
        let segment = prop_oneof![Just("a"), Just("b"), Just("*")];
        let parts = proptest::collection::vec(segment, 1..4);
        (prop_oneof![Just("GET"), Just("POST"), Just("*")], parts, any::<bool>()).prop_map(
            |(method, parts, rest)| {
                let end = if rest { "/**" } else { "" };
                pattern(&format!("{method} /{}{end}", parts.join("/")))
            },
        )
    }

    fn any_path() -> impl Strategy<Value = String> {
        let segment = prop_oneof![Just("a"), Just("b"), Just("c"), Just("a%2Fb")];
        proptest::collection::vec(segment, 1..5).prop_map(|parts| format!("/{}", parts.join("/")))
    }

    proptest! {
        #[test]
        fn overlap_and_cover_agree_with_matching(
            one in any_pattern(), other in any_pattern(), path in any_path(), post in any::<bool>()
        ) {
            let method = if post { "POST" } else { "GET" };
            let path = CanonicalPath::parse(&path).unwrap();
            let (first, second) = (one.matches(method, path), other.matches(method, path));
            if first && second {
                prop_assert!(one.overlaps(&other));
            }
            if second && !first {
                prop_assert!(!one.covers(&other));
            }
            prop_assert_eq!(one.overlaps(&other), other.overlaps(&one));
            if one.covers(&other) && one != other && second {
                prop_assert_eq!(one.specificity(&other), Ordering::Greater, "{} covers {}", one, other);
            }
        }

        #[test]
        fn a_pattern_prints_what_was_written(one in any_pattern()) {
            prop_assert_eq!(RequestPattern::parse(&one.to_string()).unwrap(), one);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,80}") {
            let _ = CanonicalPath::parse(&text);
            let _ = RequestPattern::parse(&text);
        }
    }
}
