//! Whom a certificate must name: exactly, or by a pattern that leaves no doubt about the authority.

use std::fmt;

use crate::Error;

/// A name that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// This one.
    Exact(String),
    /// One of these.
    Pattern(Pattern),
}

/// `*` stands for any characters but `/` and `@`, `**` for any characters. The whole name must match.
///
/// No pattern stands for everybody: scheme, host and first part of the path of a URI, and what follows the `@` of an address, are written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// Whom a certificate must name, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Address or URI in the certificate.
    pub identity: Name,
    /// Who knew the signer by it.
    pub issuer: Name,
}

impl Pattern {
    /// Reads a pattern. Of a URI, scheme, host and the first part of the path (on forges: the owner) are written out.
    pub fn new(text: &str) -> Result<Pattern, Error> {
        let unusable =
            |why: &str| Error::Trust { what: "pattern", why: format!("`{}` {why}", text.escape_debug()) };
        if text.is_empty() || text.contains("***") || text.chars().any(char::is_control) {
            return Err(unusable("is none"));
        }
        let fixed = if let Some((scheme, rest)) = text.split_once("://") {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            ![scheme, host, path.split('/').next().unwrap_or_default()].iter().any(|part| part.contains('*'))
                && !host.is_empty()
        } else if let Some((person, domain)) = text.rsplit_once('@') {
            // An address: what names a ref or a path behind or before its `@` is the end of a URI, of whichever host.
            !domain.is_empty()
                && !domain.contains(['*', '/'])
                && !person.contains("**")
                && !person.contains('/')
        } else {
            !text.contains('*')
        };
        if !fixed {
            return Err(unusable(
                "would stand for anybody; hint: write the host and the owner out, or the part after `@`",
            ));
        }
        Ok(Pattern(text.to_owned()))
    }

    /// A pattern for what has no authority of its own.
    pub(crate) fn loose(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    /// Whether this is the whole of it.
    pub fn matches(&self, name: &str) -> bool {
        let uri = |text: &str| text.contains("://");
        (uri(&self.0) || !uri(name)) && matches(self.0.as_bytes(), name.as_bytes())
    }
}

impl Name {
    /// Whether it is asked for.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Name::Exact(exact) => exact == name,
            Name::Pattern(pattern) => pattern.matches(name),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Exact(text) | Name::Pattern(Pattern(text)) => f.write_str(text),
        }
    }
}

/// Every place of the name that the pattern can have come to, step by step: time is their product, never more.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut reached = vec![false; name.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    let mut rest = pattern;
    while let Some((&byte, after)) = rest.split_first() {
        let all = byte == b'*' && after.first() == Some(&b'*');
        rest = if all { after.get(1..).unwrap_or_default() } else { after };
        let mut next = vec![false; reached.len()];
        let mut carried = false;
        for (place, next) in next.iter_mut().enumerate() {
            let here = reached.get(place).copied().unwrap_or_default();
            let before = place.checked_sub(1);
            let passed = before.and_then(|before| name.get(before)).copied();
            if byte == b'*' {
                let through = passed.is_some_and(|byte| all || (byte != b'/' && byte != b'@'));
                carried = here || (carried && through);
                *next = carried;
            } else {
                let was = before.and_then(|before| reached.get(before)).copied().unwrap_or_default();
                *next = was && passed == Some(byte);
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_whole_name() {
        let check = |pattern: &str, name: &str, expect: bool| {
            assert_eq!(Pattern::new(pattern).unwrap().matches(name), expect, "{pattern} {name}");
        };
        check(
            "https://github.com/o/r/.github/workflows/*@refs/tags/**",
            "https://github.com/o/r/.github/workflows/b.yml@refs/tags/v1/x",
            true,
        );
        check(
            "https://github.com/o/r/.github/workflows/*@refs/tags/*",
            "https://github.com/o/r/.github/workflows/b.yml@refs/tags/v1/x",
            false,
        );
        check("https://github.com/o/*", "https://github.com/o/r", true);
        check("https://github.com/o/*", "https://github.com/o/r/x", false);
        check("https://github.com/o/*", "https://github.com/o2/r", false);
        check("https://github.com/o/*", "xhttps://github.com/o/r", false);
        check("https://github.com/o/**", "https://github.com/o/r@x/y", true);
        check("*@example.com", "a@example.com", true);
        check("*@example.com", "a@evil@example.com", false);
        check("*@example.com", "a@example.com.evil", false);
        check("https://github.com/o/r", "https://github.com/o/r", true);
        // An address is no URI, wherever the URI ends.
        check("*@main", "https:x@main", true);
        check("*@main", "a://x@main", false);
    }

    #[test]
    fn no_pattern_stands_for_everybody() {
        for text in [
            "",
            "*",
            "**",
            "https://*",
            "https://**",
            "https://*/x",
            "**://x/y",
            "https://github.com/**",
            "https://github.com/*",
            "a@*",
            "a@b*",
            "***",
            "x*",
            "**@refs/heads/main",
            "**/release.yml@refs/heads/main",
            "*/release.yml@main",
            "**@x",
            "a**@example.com",
            "*@example.com/x",
        ] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = Pattern::new(&format!("https://h/o/{}x", "a**".repeat(200))).unwrap();
        assert!(!pattern.matches(&format!("https://h/o/{}", "a".repeat(4000))));
    }
}
