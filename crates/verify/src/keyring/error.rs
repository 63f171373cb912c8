//! Why a keyring is not changed or signed.

use crate::revocation::RevocationError;

/// Why a keyring is not changed or signed.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Nothing is there.
    #[error("there is no root, and no draft of one")]
    None,
    /// A file that is not read.
    #[error("`{}` is not read", path.escape_debug())]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        why: crate::Error,
    },
    /// Keys that are not read.
    #[error("its keys are not read: {why}")]
    Keys {
        /// Why.
        why: String,
    },
    /// A key did not sign.
    #[error("it is not signed")]
    Sign(#[source] crate::Error),
    /// A threshold that nobody can meet.
    #[error("{need} of {have} holders can never sign")]
    Impossible {
        /// How many are asked for.
        need: usize,
        /// How many there are.
        have: usize,
    },
    /// A root without a role.
    #[error("its root does not say who signs {role}")]
    NoRole {
        /// Which.
        role: &'static str,
    },
    /// Not a holder's key.
    #[error("no holder has the key `{}`", key.escape_debug())]
    NoKey {
        /// Its id.
        key: String,
    },
    /// A key that was taken back.
    #[error("the key {key} was taken back as compromised")]
    Compromised {
        /// Its id.
        key: String,
    },
    /// A name that could pass for something else.
    #[error("`{}` is no name of a holder", name.escape_debug())]
    Name {
        /// What was given.
        name: String,
    },
    /// Two names that cannot both be files.
    #[error("`{}` cannot be approved: `{}` would be a file and a directory", name.escape_debug(), above.escape_debug())]
    Clash {
        /// What was to be approved.
        name: String,
        /// The name above another.
        above: String,
    },
    /// Not approved.
    #[error("`{}` is not approved", name.escape_debug())]
    NoTarget {
        /// Its name.
        name: String,
    },
    /// A draft of another keyring lies among these files.
    #[error("the draft of {role} is not one of this keyring")]
    Elsewhere {
        /// Which role.
        role: &'static str,
    },
    /// A draft that does not follow what was published.
    #[error("the draft of {role} has version {version}, and {next} is next")]
    Stale {
        /// Which role.
        role: &'static str,
        /// Its version.
        version: u64,
        /// The one that it must have.
        next: u64,
    },
    /// The list of what is to be taken back is not the one that the drafted approvals name.
    #[error(
        "`draft/revocations.json` is not the list that the drafted approvals name, or not version {next}"
    )]
    List {
        /// The version that it must have.
        next: u64,
    },
    /// What lies there as published is not signed.
    #[error("`{}` is signed by {have} who may, and {need} must: nothing is based on it", path.escape_debug())]
    Unsigned {
        /// Which file.
        path: String,
        /// How many who may have signed it.
        have: usize,
        /// How many must.
        need: usize,
    },
    /// What lies there as published was signed for another keyring.
    #[error("`{}` was published in another keyring", path.escape_debug())]
    Other {
        /// Which file.
        path: String,
    },
    /// A file has another role or version than its name.
    #[error("`{}` is not what its name says: another role or version", path.escape_debug())]
    Misnamed {
        /// Which file.
        path: String,
    },
    /// A root without the ones before it.
    #[error("`{}` does not follow the root before it", path.escape_debug())]
    Gap {
        /// Which file.
        path: String,
    },
    /// A file that is named by its digest has another.
    #[error("`{}` is not what its name says: another content", path.escape_debug())]
    Changed {
        /// Which file.
        path: String,
    },
    /// What was published last is less than what was seen.
    #[error("{role} version {seen} was seen here before, and version {version} is the last that is there")]
    Older {
        /// Which role.
        role: &'static str,
        /// What was seen.
        seen: u64,
        /// What is there.
        version: u64,
    },
    /// What was published last is something else than what was seen by the same version.
    #[error("{role} version {version} is not what was seen here before by that version")]
    Forked {
        /// Which role.
        role: &'static str,
        /// Its version.
        version: u64,
    },
    /// A key has signed the highest version that there can be.
    #[error("the key {key} has signed the last version that {role} can have")]
    Spent {
        /// Which role.
        role: &'static str,
        /// Whose key.
        key: String,
    },
    /// No version can follow.
    #[error("{role} has the last version that there can be")]
    Last {
        /// Which role.
        role: &'static str,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness for the mark of a new keyring")]
    NoMark,
    /// The list of what was taken back is not there.
    #[error("the list of what was taken back is missing")]
    NoRevocations,
    /// The list of what was taken back is not read.
    #[error("the list of what was taken back is not read")]
    Revocations(#[source] RevocationError),
    /// Nothing asks for this key.
    #[error("no draft and no role asks for the key {key}")]
    NotAsked {
        /// Its id.
        key: String,
    },
}

impl KeyringError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            KeyringError::None => "make one with `claw keyring new`",
            KeyringError::Impossible { .. } => {
                "add a holder first, or lower the threshold with `claw keyring add --threshold`"
            }
            KeyringError::Compromised { .. } => "make the holder a new one with `claw keyring key`",
            KeyringError::Name { .. } => {
                "1 to 80 of a-z, A-Z, 0-9, space, `.`, `-`, `_`, `@`, `+`, no space at an end"
            }
            KeyringError::Clash { .. } => "approve it by another name, or withdraw the other",
            KeyringError::Elsewhere { .. } => "delete it, and draft the change in this keyring",
            KeyringError::Stale { .. } | KeyringError::List { .. } => {
                "delete the files in `draft`, and draft the change anew"
            }
            KeyringError::Unsigned { .. }
            | KeyringError::Other { .. }
            | KeyringError::Misnamed { .. }
            | KeyringError::Gap { .. }
            | KeyringError::Changed { .. }
            | KeyringError::Older { .. }
            | KeyringError::Forked { .. }
            | KeyringError::NoRevocations => {
                "somebody changed the directory: fetch it again from where the other holders keep it, and compare"
            }
            KeyringError::Spent { .. } => {
                "it is stolen: take it back with `claw keyring revoke --key ID --compromised`, which frees the versions"
            }
            KeyringError::NoKey { .. } => "`claw keyring verify` lists the keys",
            KeyringError::NotAsked { .. } => "`claw keyring verify` tells who is asked",
            _ => return None,
        })
    }
}
