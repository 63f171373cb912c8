//! What is taken back: artefacts, keys, identities, releases. A signed list with a version, which a node never goes below.
//!
//! A key that was stolen is worth nothing, whenever it is said to have signed. A key that was retired keeps its word up to a
//! position that its holder did not choose: in a log, or among the approvals. A date that the signer wrote decides nothing.

use std::collections::BTreeSet;

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json;

/// The list. Its signatures are those of the metadata that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// Grows with each change.
    pub version: u64,
    /// After this nobody knows whether more was taken back.
    pub expires: Timestamp,
    /// What is taken back.
    pub entries: Vec<Entry>,
}

/// One thing that is taken back, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// Exactly these bytes.
    Artefact {
        /// Their digest.
        digest: Digest,
        /// Why.
        why: String,
    },
    /// A key that somebody else may have: all it signed, but for what was looked at and found good.
    Compromised {
        /// Its id.
        key: String,
        /// What stays good.
        #[serde(default)]
        except: BTreeSet<Digest>,
        /// Why.
        why: String,
    },
    /// A key that is used no longer: what it signed before a position stays good.
    Retired {
        /// Its id.
        key: String,
        /// The position.
        before: Position,
        /// Why.
        why: String,
    },
    /// Whoever had this identity between two times, by the word of a log or a timestamp authority.
    Identity {
        /// As the certificate names it.
        identity: String,
        /// Who says so.
        issuer: String,
        /// From.
        from: Timestamp,
        /// Until.
        until: Timestamp,
        /// Why.
        why: String,
    },
    /// Releases of one name.
    Releases {
        /// The name.
        name: String,
        /// The first of them.
        from: u64,
        /// The last of them.
        until: u64,
        /// Why.
        why: String,
    },
}

/// A place in an order that the signer does not choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Position {
    /// The index in the transparency log.
    Log(u64),
    /// The version of the approvals that listed it first.
    Approval(u64),
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Which release of it, if that is said.
    pub release: Option<u64>,
    /// What it contains.
    pub digest: Digest,
    /// How many have to vouch for it.
    pub need: usize,
}

/// Somebody who vouches for it, whose signature was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    /// The key's id.
    pub key: Option<String>,
    /// Identity and issuer, in a certificate.
    pub identity: Option<(String, String)>,
    /// Where it stands in orders that the signer does not choose.
    pub positions: Vec<Position>,
    /// When it existed, on a third party's word.
    pub time: Option<Timestamp>,
}

/// It is taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// These bytes.
    #[error("`{}` ({digest}) was taken back: {}", name.escape_debug(), why.escape_debug())]
    Artefact {
        /// What it is called.
        name: String,
        /// What it contains.
        digest: Digest,
        /// Why.
        why: String,
    },
    /// This release, or one that does not say which it is.
    #[error("releases {from} to {until} of `{}` were taken back: {}", name.escape_debug(), why.escape_debug())]
    Release {
        /// What it is called.
        name: String,
        /// The first.
        from: u64,
        /// The last.
        until: u64,
        /// Why.
        why: String,
    },
    /// Too few of those who vouch for it still count.
    #[error("of those who vouch for `{}`, {left} of {need} are left: {}", name.escape_debug(), why.escape_debug())]
    Signers {
        /// What it is called.
        name: String,
        /// How many are left.
        left: usize,
        /// How many are needed.
        need: usize,
        /// Why the first of the others does not count.
        why: String,
    },
}

/// The list cannot be used. Then nothing is believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// It is no such list.
    #[error(transparent)]
    Json(#[from] crate::Error),
    /// Nobody knows what was taken back since.
    #[error("the list of what was taken back has expired at {expires}")]
    Expired {
        /// When.
        expires: Timestamp,
    },
    /// A newer one was seen.
    #[error("the list of what was taken back has version {new}, and version {trusted} was trusted before")]
    Rollback {
        /// The one seen.
        trusted: u64,
        /// This one.
        new: u64,
    },
}

impl Revocations {
    /// A list without entries.
    pub fn new(expires: Timestamp) -> Revocations {
        Revocations { version: 1, expires, entries: Vec::new() }
    }

    /// Reads a list and refuses one that is older than what was seen, or too old to be believed.
    pub fn read(bytes: &[u8], now: Timestamp, seen: u64) -> Result<Revocations, RevocationError> {
        let list: Revocations = json::read("list of what was taken back", bytes)?;
        if list.version < seen {
            return Err(RevocationError::Rollback { trusted: seen, new: list.version });
        }
        if list.expires < now {
            return Err(RevocationError::Expired { expires: list.expires });
        }
        Ok(list)
    }

    /// As it is signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Keys that count nowhere any more, but for what is excepted by name.
    pub fn compromised(&self) -> BTreeSet<String> {
        let keys = self.entries.iter().filter_map(|entry| match entry {
            Entry::Compromised { key, .. } => Some(key.clone()),
            _ => None,
        });
        keys.collect()
    }

    /// Whether enough of those who vouch for it are left, and it was not itself taken back.
    pub fn judge(&self, claim: &Claim<'_>, witnesses: &[Witness]) -> Result<(), Revoked> {
        self.entries.iter().try_for_each(|entry| itself(entry, claim))?;
        let against = |witness: &Witness| {
            self.entries.iter().find(|entry| takes_back(entry, claim, witness)).map(Entry::why)
        };
        let reasons: Vec<Option<&str>> = witnesses.iter().map(against).collect();
        let left = reasons.iter().filter(|reason| reason.is_none()).count();
        if left >= claim.need {
            return Ok(());
        }
        let why = reasons.into_iter().flatten().next().unwrap_or("too few signed").to_owned();
        Err(Revoked::Signers { name: claim.name.to_owned(), left, need: claim.need, why })
    }
}

impl Entry {
    /// The key that it takes back, if it is a key.
    pub fn key(&self) -> Option<&str> {
        match self {
            Entry::Compromised { key, .. } | Entry::Retired { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Why.
    pub fn why(&self) -> &str {
        match self {
            Entry::Artefact { why, .. }
            | Entry::Compromised { why, .. }
            | Entry::Retired { why, .. }
            | Entry::Identity { why, .. }
            | Entry::Releases { why, .. } => why,
        }
    }
}

fn itself(entry: &Entry, claim: &Claim<'_>) -> Result<(), Revoked> {
    let called = claim.name.to_owned();
    match entry {
        Entry::Artefact { digest, why } if *digest == claim.digest => {
            Err(Revoked::Artefact { name: called, digest: *digest, why: why.clone() })
        }
        // a release that is not said may be one of them
        Entry::Releases { name, from, until, why }
            if name == claim.name
                && claim.release.is_none_or(|release| (*from..=*until).contains(&release)) =>
        {
            Err(Revoked::Release { name: called, from: *from, until: *until, why: why.clone() })
        }
        _ => Ok(()),
    }
}

fn takes_back(entry: &Entry, claim: &Claim<'_>, witness: &Witness) -> bool {
    match entry {
        Entry::Compromised { key, except, .. } => {
            witness.key.as_ref() == Some(key) && !except.contains(&claim.digest)
        }
        Entry::Retired { key, before, .. } => {
            witness.key.as_ref() == Some(key)
                && !witness.positions.iter().any(|place| place.is_before(before))
        }
        Entry::Identity { identity, issuer, from, until, .. } => {
            let same = witness.identity.as_ref().is_some_and(|(name, by)| name == identity && by == issuer);
            // without a third party's time it may have been then
            same && witness.time.is_none_or(|time| *from <= time && time <= *until)
        }
        Entry::Artefact { .. } | Entry::Releases { .. } => false,
    }
}

impl Position {
    /// Positions in different orders do not compare.
    fn is_before(&self, other: &Position) -> bool {
        match (self, other) {
            (Position::Log(one), Position::Log(other))
            | (Position::Approval(one), Position::Approval(other)) => one < other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
