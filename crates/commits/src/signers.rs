//! The allowed signers: who may sign, for which paths, from which commit to which, and who may change this file.
//!
//! Read strictly: an unknown key, a key twice, a name that is no path is refused with its line. There are no dates in it. A date in a commit is
//! what its signer wrote; a place in the history is not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};
use claw_model::nearest::nearest;
use gix_hash::ObjectId;
use serde::Deserialize;
use thiserror::Error;

use crate::pattern::Pattern;
use crate::signature::{Certificate, SshKey};

use raw::{EntryError, Raw};

mod raw;
#[cfg(test)]
mod tests;

/// One version of the allowed signers.
#[derive(Debug, Clone, PartialEq)]
pub struct Signers {
    /// The number of this version; each change adds one.
    pub version: u64,
    /// Digests of the versions that this one follows.
    pub previous: Vec<String>,
    /// How many different people with the role `policy` a change of this file takes.
    pub threshold: usize,
    /// What is done with what a merge changes beside its parents.
    pub merges: Merges,
    /// What is done with an author who is not the signer.
    pub authors: Authors,
    /// The keys.
    pub keys: Vec<Signer>,
    /// Commits that count although they should not, with the reason.
    pub adopted: BTreeMap<ObjectId, String>,
    /// The digest of its text.
    pub digest: String,
    /// Where each key's entry is.
    index: BTreeMap<String, usize>,
}

/// A person's key and what it is good for.
#[derive(Debug, Clone, PartialEq)]
pub struct Signer {
    /// Whose it is; a person with two keys is one person.
    pub name: String,
    /// Addresses that this person writes as author.
    pub principals: Vec<String>,
    /// The key.
    pub key: Key,
    /// What it may sign.
    pub roles: BTreeSet<Role>,
    /// Paths that it may touch.
    pub paths: Vec<Pattern>,
    /// It counts for this commit and what follows it.
    pub from: Option<ObjectId>,
    /// It counts for this commit and what came before it.
    pub until: Option<ObjectId>,
    /// Why it counts no more, not even for what it signed; `until` keeps what came before.
    pub revoked: Option<String>,
}

/// A key of one of the kinds that are verified.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// An SSH public key.
    Ssh(SshKey),
    /// An OpenPGP certificate.
    OpenPgp(Box<Certificate>),
    /// An identity that an issuer vouched for, in a certificate of Fulcio.
    X509 {
        /// The address, or the workflow.
        identity: String,
        /// Who vouched for it.
        issuer: String,
    },
}

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Commits.
    Commit,
    /// Tags.
    Tag,
    /// Changes of the allowed signers.
    Policy,
}

/// What is done with what a merge changes beside its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merges {
    /// It needs the paths of its signer, and is told.
    #[default]
    Report,
    /// What no side changed like this is refused.
    Refuse,
}

/// What is done with an author who is not the signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authors {
    /// It is told.
    #[default]
    Report,
    /// It is refused.
    Refuse,
}

/// What is wrong with a file of allowed signers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct SignersError {
    /// The line.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Signers {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Signers, SignersError> {
        if text.len() > LARGEST {
            return Err(SignersError {
                line: 1,
                what: format!("the file has {} bytes: at most {LARGEST} are read", text.len()),
                hint: None,
            });
        }
        let raw: Raw = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let at = |span: Range<usize>, what: String| SignersError {
            line: line(text, span.start),
            what,
            hint: None,
        };
        let mut keys: Vec<Signer> = Vec::new();
        for raw in raw.signer {
            let span = raw.span();
            keys.push(raw.into_inner().read().map_err(|error| at(span, error.to_string()))?);
        }
        let mut index = BTreeMap::new();
        for (place, key) in keys.iter().enumerate() {
            if index.insert(key.key.id(), place).is_some() {
                return Err(at(0..0, format!("the key {} is there twice", key.key.id())));
            }
        }
        let mut adopted = BTreeMap::new();
        for raw in raw.adopt {
            let span = raw.span();
            let adopt = raw.into_inner();
            let commit = object_id(&adopt.commit).map_err(|error| at(span.clone(), error.to_string()))?;
            if adopt.reason.trim().is_empty() {
                return Err(at(span, "an adopted commit has no reason".into()));
            }
            adopted.insert(commit, adopt.reason);
        }
        let deciding: BTreeSet<&str> = keys
            .iter()
            .filter(|key| key.roles.contains(&Role::Policy) && key.revoked.is_none() && key.until.is_none())
            .map(|key| key.name.as_str())
            .collect();
        let threshold = usize::try_from(*raw.threshold.get_ref()).unwrap_or(usize::MAX);
        if threshold == 0 || threshold > deciding.len() {
            let what = format!(
                "`threshold` is {threshold}, and {} people have a key with the role `policy` that counts",
                deciding.len()
            );
            return Err(SignersError {
                hint: Some(
                    "nobody could ever change this file: a threshold is 1 or more, and at most their number"
                        .into(),
                ),
                ..at(raw.threshold.span(), what)
            });
        }
        Ok(Signers {
            version: raw.version,
            previous: raw.previous,
            threshold,
            merges: raw.merges,
            authors: raw.authors,
            keys,
            adopted,
            digest: digest_of(text.as_bytes()),
            index,
        })
    }

    /// The entry of a key.
    pub fn by_id(&self, id: &str) -> Option<&Signer> {
        self.index.get(id).and_then(|place| self.keys.get(*place))
    }

    /// People who may change this file.
    pub fn deciding(&self) -> BTreeSet<&str> {
        self.keys
            .iter()
            .filter(|key| key.roles.contains(&Role::Policy))
            .map(|key| key.name.as_str())
            .collect()
    }
}

impl Signer {
    /// Whether it may touch a path.
    pub fn may_touch(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether it may touch every path.
    pub fn may_touch_everything(&self) -> bool {
        self.paths.iter().any(Pattern::is_everything)
    }
}

impl Key {
    /// What it is known by.
    pub fn id(&self) -> String {
        match self {
            Key::Ssh(key) => key.to_string(),
            Key::OpenPgp(certificate) => certificate.fingerprint().to_owned(),
            Key::X509 { identity, issuer } => format!("{identity} by {issuer}"),
        }
    }
}

/// `sha256:` and the digest.
pub fn digest_of(bytes: &[u8]) -> String {
    let hex: String = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn object_id(text: &str) -> Result<ObjectId, EntryError> {
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = ObjectId::from_hex(text.as_bytes()).ok().filter(|_| lower);
    id.ok_or_else(|| EntryError::Id(text.escape_debug().to_string()))
}

/// The parser's words, with the nearest name where one is unknown.
fn unreadable(text: &str, error: &toml::de::Error) -> SignersError {
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    let unknown = message.strip_prefix("unknown field `").or(message.strip_prefix("unknown variant `"));
    let word = unknown.and_then(|rest| rest.split('`').next());
    let names = message.split('`').skip(3).step_by(2);
    let near = word.and_then(|word| nearest(word, names));
    SignersError {
        line: line(text, error.span().map_or(0, |span| span.start)),
        hint: near.map(|near| format!("did you mean `{near}`?")),
        what: message,
    }
}

fn line(text: &str, start: usize) -> usize {
    text.bytes().take(start).filter(|byte| *byte == b'\n').count().saturating_add(1)
}

/// A file of signers is never larger.
const LARGEST: usize = 1 << 20;
