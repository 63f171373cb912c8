//! Host names and host patterns: one parser, one algebra of match, overlap and cover.
//!
//! A host name is lower-case IDNA A-labels without a trailing dot. Whatever a C library or a browser would read
//! as an address (`127.1`, `0x7f000001`, `1.2.3.0377`) is never a name, so a name can never be a hidden address.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A host name: lower-case A-labels, no trailing dot, 1 to 253 bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// The text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing was written.
    #[error("the host name is empty")]
    Empty,
    /// Longer than DNS can carry.
    #[error("the host name has {length} bytes: at most 253 fit in DNS")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// A label that is empty or longer than 63 bytes.
    #[error("`{}` has a label of {length} bytes: each part between dots has 1 to 63", text.escape_debug())]
    Label {
        /// What was written.
        text: String,
        /// How long the label is.
        length: usize,
    },
    /// A character no host name holds.
    #[error("`{}` holds {character:?}: a host name has letters, digits, `-`, `_` and dots", text.escape_debug())]
    Character {
        /// What was written.
        text: String,
        /// The character.
        character: char,
    },
    /// A label that begins or ends with a hyphen.
    #[error("`{}` has a label that begins or ends with `-`", text.escape_debug())]
    Hyphen {
        /// What was written.
        text: String,
    },
    /// Something a C library or a browser would read as an address.
    #[error("`{}` is read as an address by some programs, so it cannot be a name", text.escape_debug())]
    Numeric {
        /// What was written.
        text: String,
    },
    /// Not valid under IDNA (RFC 5891, UTS 46).
    #[error("`{}` is not a valid international name (IDNA)", text.escape_debug())]
    Idna {
        /// What was written.
        text: String,
    },
}

impl HostName {
    /// Parses a name in any case, with or without a trailing dot, in Unicode or A-labels.
    pub fn parse(text: &str) -> Result<HostName, HostError> {
        // Bound the work before IDNA: one character maps to at most a few, and 253 bytes is all DNS takes.
        if text.len() > 1024 {
            return Err(HostError::TooLong { length: text.len() });
        }
        if let Some(character) = text.chars().find(|c| forbidden(*c)) {
            return Err(HostError::Character { text: text.to_owned(), character });
        }
        let ascii = to_ascii(text)?;
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        check(name, text)?;
        Ok(HostName(Arc::from(name)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names above this one, nearest first: `b.c` and `c` for `a.b.c`.
    pub fn parents(&self) -> impl Iterator<Item = &str> + '_ {
        std::iter::successors(self.0.split_once('.').map(|(_, rest)| rest), |name| {
            name.split_once('.').map(|(_, rest)| rest)
        })
    }

    /// The name one label below this one; `None` if the label cannot stand there or the whole does not fit in DNS.
    pub fn child(&self, label: &str) -> Option<HostName> {
        let plain = !label.contains("xn--") && check_label(label, label).is_ok();
        let fits = plain && label.len() + 1 + self.0.len() <= LONGEST;
        fits.then(|| HostName(format!("{label}.{}", self.0).into()))
    }

    /// Whether this name is one or more labels below `suffix`.
    pub fn is_below(&self, suffix: &HostName) -> bool {
        below(self.as_str(), suffix.as_str())
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for HostName {
    type Err = HostError;
    fn from_str(text: &str) -> Result<Self, HostError> {
        HostName::parse(text)
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for HostName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

crate::text::as_text!(HostName);

/// One host, or every host below a suffix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This host only.
    Exact(HostName),
    /// One or more labels below this name, never the name itself.
    Below(HostName),
}

/// The text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `*` alone: every host.
    #[error("`*` names every host: name the hosts, or a suffix as `*.example.com`")]
    Everything,
    /// A `*` somewhere else than as the whole first label.
    #[error("`{}` has a `*` that is not the whole first label: write `*.example.com`", text.escape_debug())]
    Star {
        /// What was written.
        text: String,
    },
    /// The name itself is wrong.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl HostPattern {
    /// Parses `host` or `*.suffix`.
    pub fn parse(text: &str) -> Result<HostPattern, PatternError> {
        if matches!(text, "*" | "*." | "**" | "*.*") {
            return Err(PatternError::Everything);
        }
        let (name, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(PatternError::Star { text: text.to_owned() });
        }
        let name = HostName::parse(name)?;
        Ok(if below { HostPattern::Below(name) } else { HostPattern::Exact(name) })
    }

    /// Whether this host is meant.
    pub fn matches(&self, host: &HostName) -> bool {
        match self {
            HostPattern::Exact(name) => name == host,
            HostPattern::Below(suffix) => host.is_below(suffix),
        }
    }

    /// Whether some host is meant by both.
    pub fn overlaps(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Exact(a), b) | (b, HostPattern::Exact(a)) => b.matches(a),
            (HostPattern::Below(a), HostPattern::Below(b)) => a == b || a.is_below(b) || b.is_below(a),
        }
    }

    /// Whether every host meant by `other` is meant by this pattern.
    pub fn covers(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (pattern, HostPattern::Exact(name)) => pattern.matches(name),
            (HostPattern::Exact(_), HostPattern::Below(_)) => false,
            (HostPattern::Below(a), HostPattern::Below(b)) => a == b || b.is_below(a),
        }
    }

    /// The name without the star.
    pub fn name(&self) -> &HostName {
        match self {
            HostPattern::Exact(name) | HostPattern::Below(name) => name,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => write!(f, "{name}"),
            HostPattern::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        HostPattern::parse(text)
    }
}

crate::text::as_text!(HostPattern);

/// Refused before IDNA, so that the error names the character written and not what it maps to.
fn forbidden(c: char) -> bool {
    c.is_control() || c.is_whitespace() || "@#\\/%:?[]<>^|\"'`*,;=&!$()+~{}".contains(c)
}

/// Lower-case A-labels. Plain ASCII without `xn--` needs no mapping.
fn to_ascii(text: &str) -> Result<Cow<'_, str>, HostError> {
    let lower = text.to_ascii_lowercase();
    if lower.is_ascii() && !lower.contains("xn--") {
        return Ok(Cow::Owned(lower));
    }
    // UTS 46 with its own deny list off: `_` is allowed and everything else is checked on the result.
    idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::EMPTY)
        .map_err(|_| HostError::Idna { text: text.to_owned() })
}

fn check(name: &str, text: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > LONGEST {
        return Err(HostError::TooLong { length: name.len() });
    }
    name.split('.').try_for_each(|label| check_label(label, text))?;
    match name.rsplit('.').next() {
        Some(last) if numeric(last) => Err(HostError::Numeric { text: text.to_owned() }),
        _ => Ok(()),
    }
}

fn check_label(label: &str, text: &str) -> Result<(), HostError> {
    if label.is_empty() || label.len() > 63 {
        return Err(HostError::Label { text: text.to_owned(), length: label.len() });
    }
    let ldh = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if let Some(character) = label.chars().find(|c| !ldh(c)) {
        return Err(HostError::Character { text: text.to_owned(), character });
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Hyphen { text: text.to_owned() });
    }
    Ok(())
}

/// WHATWG URL "ends in a number" (host parsing, step 8): every spelling `inet_aton` takes ends so too.
fn numeric(label: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits(label) || label.strip_prefix("0x").is_some_and(hex)
}

fn below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
}

/// What fits in a DNS message (RFC 1035, section 2.3.4), written with dots.
const LONGEST: usize = 253;

#[cfg(test)]
mod tests;
