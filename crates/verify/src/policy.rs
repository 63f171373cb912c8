//! Signed policies: whose word a policy is, under which name and number, from when until when, and with which files.
//!
//! The signature is a DSSE envelope over an in-toto statement. Its one subject is the policy's bytes; its predicate says
//! everything else. The files that a policy names (ceilings, certificates, a seccomp profile, a list of executables) are
//! in the predicate with their digests, so that nothing a policy stands on can be exchanged under its signature.
//!
//! The version says which of two policies of one name is newer. Whether an older one was offered is for whoever remembers.

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, IN_TOTO};
use crate::statement::{Digests, Statement, V1};
use crate::{Clock, Error, Keys, Verified};

/// What the statement's predicate is.
pub const PREDICATE: &str = "urn:claw:predicate:policy:v1";

/// What is signed of a policy, beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Which policy it is: letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// Its number among those of this name.
    pub version: u64,
    /// The keyring whose holders sign it; none for keys that are pinned by themselves. It counts for no other.
    pub keyring: Option<Digest>,
    /// Not to be taken before.
    pub not_before: Timestamp,
    /// Not to be taken after.
    pub expires: Timestamp,
    /// The files that the policy names.
    pub files: Vec<File>,
}

/// A file that a policy names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What for.
    pub role: Role,
    /// As the policy writes it.
    pub path: String,
    /// What it must contain.
    pub digest: Digest,
}

/// What a policy names a file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A policy that this one may only narrow.
    Ceiling,
    /// Whom to believe as destination.
    Certificates,
    /// A seccomp profile.
    Seccomp,
    /// A list of executables.
    Executables,
}

impl Release {
    /// The statement that is to be signed for this policy.
    pub fn statement(&self, file: &str, policy: &[u8]) -> Result<Statement, Error> {
        self.sound()?;
        let raw = Raw {
            name: self.name.clone(),
            version: self.version,
            keyring: self.keyring,
            not_before: self.not_before.to_string(),
            expires: self.expires.to_string(),
            files: self.files.clone(),
        };
        let predicate = serde_json::to_value(raw).map_err(|error| malformed(error.to_string()))?;
        Ok(Statement::about(file, Digest::of(policy), PREDICATE, predicate))
    }

    /// What an envelope says of a policy, on nobody's word.
    pub fn unverified(envelope: &Envelope) -> Result<(Release, Statement), Error> {
        let (_, payload) = envelope.unverified();
        let statement = Statement::read(payload)?;
        Ok((Release::read(&statement)?, statement))
    }

    /// What is signed of exactly this policy, by as many keys as are needed, if it holds now.
    pub fn verify(
        policy: &[u8],
        envelope: &[u8],
        keys: &Keys,
        clock: &Clock,
    ) -> Result<Verified<Release>, Error> {
        let payload = Envelope::read(envelope)?.verify(IN_TOTO, keys)?;
        let release = payload.try_map(|payload| {
            let statement = Statement::read(&payload.bytes)?;
            let release = Release::read(&statement)?;
            keys.asked(release.keyring)?;
            statement.subject(&Digests { sha256: Digest::of(policy), sha384: None, sha512: None })?;
            Ok(release)
        })?;
        let (from, until) = (release.value().not_before, release.value().expires);
        let release = release.within(Some(from), Some(until));
        release.check(clock)?;
        Ok(release)
    }

    /// Whether a file that the policy names has the content that was signed.
    pub fn holds(&self, role: Role, path: &str, content: &[u8]) -> Result<(), Error> {
        let found = Digest::of(content);
        let signed = self.files.iter().find(|file| file.role == role && file.path == path);
        let why = match signed {
            Some(signed) if signed.digest == found => return Ok(()),
            Some(signed) => format!("`{path}` has {found}, and {} was signed with it", signed.digest),
            None => format!("`{path}`, which it names, was not signed with it"),
        };
        Err(Error::Artifact { why })
    }

    fn read(statement: &Statement) -> Result<Release, Error> {
        if statement.kind != V1 {
            let (found, hint) = (statement.kind.clone(), "in-toto statements of version 1 are");
            return Err(Error::Unsupported { what: "type of statement", found, hint });
        }
        if statement.predicate_type != PREDICATE {
            let (found, hint) = (statement.predicate_type.clone(), "`claw policy sign` writes it");
            return Err(Error::Unsupported { what: "predicate of a signed policy", found, hint });
        }
        if statement.subject.len() != 1 {
            return Err(malformed("it is of more than one file".to_owned()));
        }
        let raw: Raw = serde_json::from_value(statement.predicate.clone())
            .map_err(|error| malformed(error.to_string()))?;
        let time = |text: &str| {
            text.parse::<Timestamp>().map_err(|_| malformed(format!("`{}` is no time", text.escape_debug())))
        };
        let release = Release {
            not_before: time(&raw.not_before)?,
            expires: time(&raw.expires)?,
            name: raw.name,
            version: raw.version,
            keyring: raw.keyring,
            files: raw.files,
        };
        release.sound()?;
        Ok(release)
    }

    fn sound(&self) -> Result<(), Error> {
        if !is_name(&self.name) {
            let name = self.name.escape_debug();
            return Err(malformed(format!(
                "the name `{name}` is not 1 to {LONGEST} of a-z, 0-9, `.`, `-`, `_`, the first a letter or digit"
            )));
        }
        if !(1..=HIGHEST).contains(&self.version) {
            return Err(malformed(format!("the version {} is not from 1 to {HIGHEST}", self.version)));
        }
        if self.expires <= self.not_before {
            return Err(malformed(format!("it ends at {}, before it begins", self.expires)));
        }
        let mut files: Vec<_> = self.files.iter().map(|file| (file.role, &file.path)).collect();
        files.sort();
        if let Some([(_, path), _]) = files.array_windows().find(|[one, other]| one == other) {
            return Err(malformed(format!("it names `{}` twice", path.escape_debug())));
        }
        Ok(())
    }
}

/// Whether it can be the name of a policy. It becomes the name of a file.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= LONGEST
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b".-_".contains(&byte))
}

impl Role {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Ceiling => "ceiling",
            Role::Certificates => "certificates",
            Role::Seccomp => "seccomp",
            Role::Executables => "executables",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Raw {
    name: String,
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyring: Option<Digest>,
    not_before: String,
    expires: String,
    files: Vec<File>,
}

fn malformed(why: String) -> Error {
    Error::Malformed { what: "signed policy's statement", why }
}

const LONGEST: usize = 80;
/// The highest number that every reader of JSON reads alike.
const HIGHEST: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests;
