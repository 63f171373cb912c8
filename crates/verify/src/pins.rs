//! A file of pinned public keys: whom to believe, how many of them, and from when until when. TOML, and strict; or the root
//! of a keyring, or a whole one, whose holders then are those keys.
//!
//! It is nobody's word but of whoever can write it: keep it where only an administrator can.

use std::collections::BTreeSet;
use std::ops::Range;

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde::Deserialize;
use toml::Spanned;

use crate::keyring::{self, Keyring};
use crate::pack::REVOCATIONS;
use crate::revocation::{Entry, Revocations};
use crate::tuf::{self, Holders, Known, Trusted};
use crate::{Clock, Error, Keys, PublicKey};

/// Pinned keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    need: usize,
    within: Within,
    keys: Vec<(PublicKey, Within)>,
    keyring: Option<Digest>,
}

/// From when until when; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Within {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Pins {
    /// Reads the file: TOML, or a root of a keyring, which is JSON, or one public key in PEM.
    pub fn read(text: &str) -> Result<Pins, Error> {
        if text.trim_start().starts_with('{') {
            return Pins::of_root(text.as_bytes());
        }
        if text.starts_with(PEM) {
            let key = PublicKey::from_pem(text)?;
            let keys = vec![(key, Within::default())];
            return Ok(Pins { need: 1, within: Within::default(), keys, keyring: None });
        }
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
        Ok(Pins { need, within, keys, keyring: None })
    }

    /// The holders of a keyring as it is now, from the root that is pinned to the newest, without the keys that it took back.
    /// What was followed comes with them, and the version of the list of what was taken back: to be remembered before
    /// anything takes effect.
    pub fn of_keyring(
        pinned: &[u8],
        keyring: &Keyring,
        clock: &Clock,
        known: Option<&Known>,
    ) -> Result<(Pins, Trusted, u64), Error> {
        let wrong = |why: String| Error::Trust { what: "keyring", why };
        let mut trusted = Trusted::refresh(pinned, &keyring.served(), clock, known)
            .map_err(|error| wrong(error.to_string()))?;
        let target = trusted.target(REVOCATIONS).map_err(|error| wrong(error.to_string()))?;
        let list = target.sha256().and_then(|digest| {
            let bytes = keyring.files().get(&format!("targets/{}.{REVOCATIONS}", digest.hex()))?;
            (Digest::of(bytes) == digest).then_some(bytes)
        });
        let list = list.ok_or_else(|| wrong("the list of what was taken back is not there".to_owned()))?;
        let least = known.map(Known::revocations).unwrap_or_default();
        let list = Revocations::read(list, clock.now(), least).map_err(|error| wrong(error.to_string()))?;
        trusted.without(&list.compromised()).map_err(|error| wrong(error.to_string()))?;
        let mut holders = trusted.holders().map_err(|error| wrong(error.to_string()))?;
        // a retired key keeps its word for what was approved in the keyring; nothing else says when it signed
        let gone: BTreeSet<&str> = list.entries.iter().filter_map(Entry::key).collect();
        holders.keys.retain(|(key, ..)| !gone.contains(keyring::id(key).as_str()));
        Ok((Pins::held(holders, trusted.keyring(), wrong)?, trusted, list.version))
    }

    fn of_root(root: &[u8]) -> Result<Pins, Error> {
        let wrong = |why: String| Error::Trust { what: "root of a keyring", why };
        let holders = tuf::holders(root).map_err(|error| wrong(error.to_string()))?;
        let keyring = tuf::keyring(root).map_err(|error| wrong(error.to_string()))?;
        Pins::held(holders, keyring, wrong)
    }

    fn held(
        holders: Holders,
        keyring: Option<Digest>,
        wrong: impl Fn(String) -> Error,
    ) -> Result<Pins, Error> {
        let Holders { keys, threshold, expires } = holders;
        let within = Within { from: None, until: Some(expires) };
        let keys: Vec<_> = keys.into_iter().map(|(key, from, until)| (key, Within { from, until })).collect();
        if threshold == 0 || threshold > keys.len() {
            return Err(wrong(format!("a threshold of {threshold} with {} keys", keys.len())));
        }
        Ok(Pins { need: threshold, within, keys, keyring })
    }

    /// The keys that count now.
    pub fn keys(&self, clock: &Clock) -> Result<Keys, Error> {
        self.within.check(clock.now())?;
        let valid = self.keys.iter().filter(|(_, within)| within.check(clock.now()).is_ok());
        Ok(Keys::new(valid.map(|(key, _)| key.clone()), self.need)?.of(self.keyring))
    }

    /// The keyring whose holders these are; none for keys that are pinned by themselves.
    pub fn keyring(&self) -> Option<Digest> {
        self.keyring
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

/// How a public key begins.
const PEM: &str = "-----BEGIN PUBLIC KEY-----";
const WHAT: &str = "file of pinned keys";
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests;
