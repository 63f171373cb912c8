//! A file of pinned public keys: whom to believe, how many of them, and from when until when. TOML, and strict.
//!
//! It is nobody's word but of whoever can write it: keep it where only an administrator can.

use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;
use toml::Spanned;

use crate::{Clock, Error, Keys, PublicKey};

/// Pinned keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    need: usize,
    within: Within,
    keys: Vec<(PublicKey, Within)>,
}

/// From when until when; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Within {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Pins {
    /// Reads the file.
    pub fn read(text: &str) -> Result<Pins, Error> {
        if text.len() > LARGEST {
            return Err(Error::Large { what: WHAT, most: LARGEST });
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line(text, &span));
            unusable(line, error.message())
        })?;
        if *file.version.get_ref() != 1 {
            return Err(unusable(line(text, &file.version.span()), "version 1 is known"));
        }
        let within = Within::read(text, file.not_before, file.expires)?;
        let mut keys: Vec<(PublicKey, Within)> = Vec::new();
        for key in file.key {
            let at = line(text, &key.public.span());
            let public = PublicKey::from_pem(key.public.get_ref().trim())
                .map_err(|error| unusable(at, &error.to_string()))?;
            if keys.iter().any(|(other, _)| other.id() == public.id()) {
                return Err(unusable(at, &format!("the key {} stands twice", public.id())));
            }
            keys.push((public, Within::read(text, key.not_before, key.expires)?));
        }
        let need = *file.threshold.get_ref();
        if need == 0 || need > keys.len() {
            let why = format!("a threshold of {need} with {} keys", keys.len());
            return Err(unusable(line(text, &file.threshold.span()), &why));
        }
        Ok(Pins { need, within, keys })
    }

    /// The keys that count now.
    pub fn keys(&self, clock: &Clock) -> Result<Keys, Error> {
        self.within.check(clock.now())?;
        let valid = self.keys.iter().filter(|(_, within)| within.check(clock.now()).is_ok());
        Keys::new(valid.map(|(key, _)| key.clone()), self.need)
    }
}

impl Within {
    fn read(
        text: &str,
        from: Option<Spanned<String>>,
        until: Option<Spanned<String>>,
    ) -> Result<Within, Error> {
        let time = |written: Option<Spanned<String>>| -> Result<Option<Timestamp>, Error> {
            let Some(written) = written else { return Ok(None) };
            let wrong =
                |_| unusable(line(text, &written.span()), "it is no time; hint: \"2027-01-31T00:00:00Z\"");
            written.get_ref().parse().map(Some).map_err(wrong)
        };
        Ok(Within { from: time(from)?, until: time(until)? })
    }

    fn check(&self, now: Timestamp) -> Result<(), Error> {
        match (self.from, self.until) {
            (Some(from), _) if now < from => Err(Error::NotYet { from, now }),
            (_, Some(until)) if until < now => Err(Error::Expired { until, now }),
            _ => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u64>,
    threshold: Spanned<usize>,
    not_before: Option<Spanned<String>>,
    expires: Option<Spanned<String>>,
    key: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(rename = "name")]
    _name: String,
    public: Spanned<String>,
    not_before: Option<Spanned<String>>,
    expires: Option<Spanned<String>>,
}

fn line(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    before.iter().filter(|&&byte| byte == b'\n').count().saturating_add(1)
}

fn unusable(line: usize, why: &str) -> Error {
    Error::Trust { what: WHAT, why: format!("line {line}: {}", why.trim()) }
}

const WHAT: &str = "file of pinned keys";
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests;
