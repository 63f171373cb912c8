//! The file of allowed signers as it is written.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::{Authors, Key, Merges, Role, Signer, object_id};
use crate::pattern::{Pattern, PatternError};
use crate::signature::{Certificate, CertificateError, SshKey, SshKeyError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) version: u64,
    #[serde(default)]
    pub(super) previous: Vec<String>,
    pub(super) threshold: Spanned<u64>,
    #[serde(default)]
    pub(super) merges: Merges,
    #[serde(default)]
    pub(super) authors: Authors,
    #[serde(default)]
    pub(super) signer: Vec<Spanned<RawSigner>>,
    #[serde(default)]
    pub(super) adopt: Vec<Spanned<RawAdopt>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSigner {
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
pub(super) struct RawAdopt {
    pub(super) commit: String,
    pub(super) reason: String,
}

/// What is wrong with one entry.
#[derive(Debug, Error)]
pub(super) enum EntryError {
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
    pub(super) fn read(self) -> Result<Signer, EntryError> {
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
