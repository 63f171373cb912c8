//! Lists of allowed signers: who may sign what, and when (ssh-keygen(1), ALLOWED SIGNERS).
//!
//! An option that is not known is refused: an entry that is read as less strict than it was written would let someone in.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use ssh_key::PublicKey;

use super::{Asked, LineError, SshKey, Unlisted};
use crate::{Clock, Error};

/// A list of allowed signers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed(Vec<Entry>);

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    line: usize,
    principals: String,
    namespaces: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    key: SshKey,
}

impl Allowed {
    /// Reads a list.
    pub fn read(text: &str) -> Result<Allowed, Error> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let number = index.saturating_add(1);
            let entry = entry(number, trimmed).map_err(|why| Error::Trust {
                what: "list of allowed signers",
                why: format!("line {number}: {why}"),
            })?;
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(Error::Trust { what: "list of allowed signers", why: "it lists nobody".to_owned() });
        }
        Ok(Allowed(entries))
    }

    /// The first entry that lets this key sign, or why none does.
    pub(super) fn find(&self, key: &SshKey, asked: &Asked<'_>, clock: &Clock) -> Result<&Entry, Unlisted> {
        let mut why = Unlisted::Key;
        for entry in self.0.iter().filter(|entry| entry.key == *key) {
            match entry.lets(asked, clock) {
                Ok(()) => return Ok(entry),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }
}

impl Entry {
    /// The names it is for, as they are written.
    pub fn principals(&self) -> &str {
        &self.principals
    }

    /// Not before.
    pub fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// Not after.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    fn lets(&self, asked: &Asked<'_>, clock: &Clock) -> Result<(), Unlisted> {
        let line = self.line;
        if let Some(principal) = asked.principal.filter(|principal| !listed(&self.principals, principal)) {
            return Err(Unlisted::Principal {
                line,
                listed: self.principals.clone(),
                asked: principal.to_owned(),
            });
        }
        if let Some(namespaces) = self.namespaces.as_ref().filter(|list| !listed(list, asked.namespace)) {
            return Err(Unlisted::Namespace {
                line,
                listed: namespaces.clone(),
                asked: asked.namespace.to_owned(),
            });
        }
        let now = clock.now();
        if let Some(from) = self.from.filter(|&from| now < from) {
            return Err(Unlisted::Early { line, from, now });
        }
        if let Some(until) = self.until.filter(|&until| until < now) {
            return Err(Unlisted::Late { line, until, now });
        }
        Ok(())
    }
}

fn entry(line: usize, text: &str) -> Result<Entry, LineError> {
    let (principals, mut rest) = word(text)?;
    let principals = principals.trim_matches('"').to_owned();
    if principals.is_empty() {
        return Err(LineError::Nobody);
    }
    let (mut namespaces, mut from, mut until) = (None, None, None);
    let (first, after) = word(rest)?;
    if !is_key_type(first) {
        for option in options(first)? {
            let (name, value) = option.split_once('=').unwrap_or((&option, ""));
            let value = value.trim_matches('"');
            match name.to_ascii_lowercase().as_str() {
                "namespaces" if namespaces.is_none() => namespaces = Some(value.to_owned()),
                "valid-after" if from.is_none() => from = Some(time(value)?),
                "valid-before" if until.is_none() => until = Some(time(value)?),
                "cert-authority" => return Err(LineError::Certificate),
                _ => return Err(LineError::Option(name.to_owned())),
            }
        }
        rest = after;
    }
    let mut parts = rest.split_whitespace();
    let (Some(kind), Some(blob)) = (parts.next(), parts.next()) else {
        return Err(LineError::NoKey);
    };
    let key = PublicKey::from_openssh(&format!("{kind} {blob}"))
        .map_err(|error| LineError::Key(error.to_string()))?;
    Ok(Entry { line, principals, namespaces, from, until, key: SshKey::of(key.key_data()) })
}

/// The first word, in which quotes hold spaces together, and what follows.
fn word(text: &str) -> Result<(&str, &str), LineError> {
    let text = text.trim_start();
    let mut quoted = false;
    for (place, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                return text.split_at_checked(place).ok_or(LineError::Early);
            }
            _ => {}
        }
    }
    if quoted { Err(LineError::Quote) } else { Ok((text, "")) }
}

fn options(text: &str) -> Result<Vec<String>, LineError> {
    let (mut list, mut quoted, mut one) = (Vec::new(), false, String::new());
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => list.push(std::mem::take(&mut one)),
            '\\' => return Err(LineError::Backslash),
            _ => one.push(character),
        }
    }
    list.push(one);
    Ok(list)
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-", "rsa-"].iter().any(|start| word.starts_with(start))
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with `Z`. Without it, the time would be of the machine's zone.
fn time(text: &str) -> Result<Timestamp, LineError> {
    let wrong = || LineError::Time(text.to_owned());
    let digits = text.strip_suffix(['Z', 'z']).ok_or_else(wrong)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || ![8, 12, 14].contains(&digits.len()) {
        return Err(wrong());
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse::<i16>().ok());
    let small = |from: usize, to: usize| part(from, to).and_then(|value| i8::try_from(value).ok());
    let date = Date::new(
        part(0, 4).ok_or_else(wrong)?,
        small(4, 6).ok_or_else(wrong)?,
        small(6, 8).ok_or_else(wrong)?,
    );
    let time = Time::new(
        small(8, 10).ok_or_else(wrong)?,
        small(10, 12).ok_or_else(wrong)?,
        small(12, 14).ok_or_else(wrong)?,
        0,
    );
    let (date, time) = (date.map_err(|_| wrong())?, time.map_err(|_| wrong())?);
    let zoned = DateTime::from_parts(date, time).to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    Ok(zoned.timestamp())
}

/// Whether a comma-separated list of patterns (`*`, `?`, `!` for not) has this name (ssh_config(5), PATTERNS).
fn listed(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern, name) => return false,
            None if matches(pattern, name) => found = true,
            _ => {}
        }
    }
    found
}

fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for character in pattern.chars() {
        let before = |reached: &[bool], place: usize| {
            place.checked_sub(1).is_some_and(|before| reached.get(before).copied().unwrap_or_default())
        };
        let mut next = vec![false; reached.len()];
        let mut carried = false;
        for (place, next) in next.iter_mut().enumerate() {
            let here = reached.get(place).copied().unwrap_or_default();
            let passed = place.checked_sub(1).and_then(|before| name.get(before)).copied();
            *next = match character {
                '*' => {
                    carried |= here;
                    carried
                }
                '?' => before(&reached, place),
                character => before(&reached, place) && passed == Some(character),
            };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn what_is_not_known_is_refused() {
        let check = |line: &str, expect: bool| assert_eq!(Allowed::read(line).is_ok(), expect, "{line}");
        check(&format!("a@b {KEY} comment"), true);
        check(&format!("a@b,*@c namespaces=\"file,git\",valid-before=\"20300101Z\" {KEY}"), true);
        check(&format!("a@b namespaces=\"file {KEY}"), false);
        check(&format!("a@b cert-authority {KEY}"), false);
        check(&format!("a@b no-touch-required {KEY}"), false);
        check(&format!("a@b valid-before=\"20300101\" {KEY}"), false);
        check(&format!("a@b valid-before=\"20301301Z\" {KEY}"), false);
        check(&format!("a@b valid-before=20300101Z,valid-before=20400101Z {KEY}"), false);
        check(KEY, false);
        check("# nobody", false);
    }

    #[test]
    fn lists_of_patterns_match_as_ssh_does() {
        let check = |patterns: &str, name: &str, expect: bool| {
            assert_eq!(listed(patterns, name), expect, "{patterns} {name}")
        };
        check("a@b", "a@b", true);
        check("*@b,!a@b", "a@b", false);
        check("*@b,!a@b", "c@b", true);
        check("!a@b", "c@b", false);
        check("?@b", "a@b", true);
        check("?@b", "aa@b", false);
    }
}
