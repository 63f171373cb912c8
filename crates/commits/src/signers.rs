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
use toml::Spanned;

use crate::pattern::{Pattern, PatternError};
use crate::signature::{Certificate, CertificateError, SshKey, SshKeyError};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u64,
    #[serde(default)]
    previous: Vec<String>,
    threshold: Spanned<u64>,
    #[serde(default)]
    merges: Merges,
    #[serde(default)]
    authors: Authors,
    #[serde(default)]
    signer: Vec<Spanned<RawSigner>>,
    #[serde(default)]
    adopt: Vec<Spanned<RawAdopt>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSigner {
    name: String,
    #[serde(default)]
    principals: Vec<String>,
    ssh: Option<String>,
    openpgp: Option<String>,
    identity: Option<String>,
    issuer: Option<String>,
    roles: Option<BTreeSet<Role>>,
    paths: Option<Vec<String>>,
    from: Option<String>,
    until: Option<String>,
    revoked: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdopt {
    commit: String,
    reason: String,
}

/// What is wrong with one entry.
#[derive(Debug, Error)]
enum EntryError {
    #[error("a signer has no name")]
    Nameless,
    #[error("signer `{0}` needs one of `ssh`, `openpgp`, and `identity` with `issuer`, and only one")]
    OneKey(String),
    #[error("signer `{0}` has no role: leave `roles` out for `commit`")]
    NoRole(String),
    #[error("signer `{0}` is revoked without a reason")]
    NoReason(String),
    #[error(transparent)]
    Ssh(#[from] SshKeyError),
    #[error(transparent)]
    OpenPgp(#[from] CertificateError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error("`{0}` is no full commit id in lower case")]
    Id(String),
}

impl RawSigner {
    fn read(self) -> Result<Signer, EntryError> {
        if self.name.trim().is_empty() {
            return Err(EntryError::Nameless);
        }
        let key = match (&self.ssh, &self.openpgp, &self.identity, &self.issuer) {
            (Some(ssh), None, None, None) => Key::Ssh(SshKey::parse(ssh)?),
            (None, Some(openpgp), None, None) => Key::OpenPgp(Box::new(Certificate::parse(openpgp)?)),
            (None, None, Some(identity), Some(issuer)) if !identity.is_empty() && !issuer.is_empty() => {
                Key::X509 { identity: identity.clone(), issuer: issuer.clone() }
            }
            _ => return Err(EntryError::OneKey(self.name)),
        };
        let roles = self.roles.unwrap_or_else(|| BTreeSet::from([Role::Commit]));
        if roles.is_empty() {
            return Err(EntryError::NoRole(self.name));
        }
        if self.revoked.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
            return Err(EntryError::NoReason(self.name));
        }
        let paths = self.paths.unwrap_or_else(|| vec!["**".to_owned()]);
        let paths = paths.iter().map(|path| Pattern::parse(path)).collect::<Result<_, _>>()?;
        let id = |text: &Option<String>| text.as_deref().map(object_id).transpose();
        let (from, until) = (id(&self.from)?, id(&self.until)?);
        Ok(Signer {
            name: self.name,
            principals: self.principals,
            key,
            roles,
            paths,
            from,
            until,
            revoked: self.revoked,
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn file(extra: &str) -> String {
        format!(
            "version = 1\nthreshold = 1\n\n[[signer]]\nname = \"ada\"\nssh = \"{KEY}\"\nroles = [\"policy\"]\n{extra}"
        )
    }

    #[test]
    fn a_file_says_who_may_sign_what() {
        let read = Signers::parse(&file("paths = [\"src/**\"]\n")).unwrap();
        let ada = read.keys.first().unwrap();
        assert!(ada.may_touch(b"src/a") && !ada.may_touch(b"docs/a"));
        assert_eq!(read.by_id("SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ"), Some(ada));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let check = |text: &str, line: usize, what: &str, hint: Option<&str>| {
            let error = Signers::parse(text).unwrap_err();
            assert!(error.what.contains(what), "{error:?}");
            assert_eq!((error.line, error.hint.as_deref()), (line, hint), "{error:?}");
        };
        check(&file("pahts = [\"a\"]\n"), 8, "unknown field `pahts`", Some("did you mean `paths`?"));
        check(&file("from = \"HEAD\"\n"), 4, "`HEAD` is no full commit id", None);
        check(&file("paths = [\"/etc\"]\n"), 4, "is not a path below", None);
        check(&file("openpgp = \"x\"\n"), 4, "only one", None);
        check(&file(&format!("[[signer]]\nname = \"b\"\nssh = \"{KEY}\"\n")), 1, "is there twice", None);
        check(
            &file("").replace("threshold = 1", "threshold = 2"),
            2,
            "`threshold` is 2, and 1 people",
            Some("nobody could ever change this file: a threshold is 1 or more, and at most their number"),
        );
        check(
            &file("").replace("[\"policy\"]", "[\"polcy\"]"),
            7,
            "unknown variant `polcy`",
            Some("did you mean `policy`?"),
        );
        check(&file("name = \"x\"\n"), 8, "duplicate key", None);
        check(
            &file("[[adopt]]\ncommit = \"4b825dc642cb6eb9a060e54bf8d69288fbee4904\"\nreason = \" \"\n"),
            8,
            "no reason",
            None,
        );
    }
}
