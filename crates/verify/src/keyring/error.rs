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
        role: String,
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
            KeyringError::NoKey { .. } => "`claw keyring verify` lists the keys",
            KeyringError::NotAsked { .. } => "`claw keyring verify` tells who is asked",
            _ => return None,
        })
    }
}
