//! Why metadata is refused. Each attack has its own variant.

use claw_model::digest::Digest;
use jiff::Timestamp;

/// Why metadata is refused.
#[derive(Debug, thiserror::Error)]
pub enum TufError {
    /// It is too old to be believed: the repository stands still, or is kept from us.
    #[error("{role} has expired at {expires}")]
    Expired {
        /// Which role.
        role: String,
        /// When.
        expires: Timestamp,
    },
    /// Something older than what was trusted before.
    #[error("{role} has version {new}, and version {trusted} was trusted before")]
    Rollback {
        /// Which role.
        role: String,
        /// The highest that was trusted.
        trusted: u64,
        /// What came.
        new: u64,
    },
    /// Something else by a version that was trusted before: whoever signs made two of it.
    #[error("{role} has other content than when its version {version} was trusted")]
    Changed {
        /// Which role.
        role: String,
        /// The version of both.
        version: u64,
    },
    /// A root must follow the one before it.
    #[error("the root after version {trusted} has version {new}")]
    RootVersion {
        /// The one before.
        trusted: u64,
        /// The one after.
        new: u64,
    },
    /// Roots are there that do not lead to the pinned one.
    #[error("the roots before the pinned version {pinned} end with version {last}")]
    RootGap {
        /// The last that is there.
        last: u64,
        /// The pinned one.
        pinned: u64,
    },
    /// The roots lead to another one than is pinned, or than was trusted before.
    #[error("root version {version} is another one than is trusted")]
    OtherRoot {
        /// Of that version.
        version: u64,
    },
    /// It was signed in another keyring, by whoever holds keys of both.
    #[error("{role} belongs to {}, and the pinned root to {}", called(*found), called(*own))]
    OtherKeyring {
        /// Which role.
        role: String,
        /// The keyring of the pinned root.
        own: Option<Digest>,
        /// The keyring that it was signed in.
        found: Option<Digest>,
    },
    /// It says of no keyring, or of more than one, that it belongs to it.
    #[error("{role} does not say as a keyring's does to which it belongs")]
    Unnamed {
        /// Which role.
        role: String,
    },
    /// Too few of those who are asked have signed.
    #[error("{role} is signed by {found} of the {threshold} keys that are needed")]
    Threshold {
        /// Which role.
        role: String,
        /// Distinct valid signatures.
        found: usize,
        /// How many are needed.
        threshold: usize,
    },
    /// One key signed twice.
    #[error("{role} has two signatures by the key `{}`", key.escape_debug())]
    SignedTwice {
        /// Which role.
        role: String,
        /// By this id.
        key: String,
    },
    /// One key stands under two names.
    #[error("{role} counts one key twice, as `{}` and `{}`", one.escape_debug(), other.escape_debug())]
    SameKey {
        /// Which role.
        role: String,
        /// Its one id.
        one: String,
        /// Its other id.
        other: String,
    },
    /// A file differs from what the file above it says.
    #[error("{what}")]
    Integrity {
        /// What differs.
        what: String,
    },
    /// It is no metadata of this kind.
    #[error("{role} is not metadata of its kind: {why}")]
    Malformed {
        /// Which role.
        role: String,
        /// Why.
        why: String,
    },
    /// It is no JSON, too large or deep, or a key stands twice.
    #[error("`{}` is not read", name.escape_debug())]
    Json {
        /// Which file.
        name: String,
        /// Why.
        #[source]
        why: crate::Error,
    },
    /// A file with this name was there already.
    #[error("`{}` is there twice", name.escape_debug())]
    Twice {
        /// Which file.
        name: String,
    },
    /// A file is not there, or too large.
    #[error("`{}` is not there", name.escape_debug())]
    Missing {
        /// What.
        name: String,
    },
    /// The root asks nobody for a role.
    #[error("the root does not say who signs {role}")]
    NoRole {
        /// Which role.
        role: String,
    },
    /// Nobody approved it.
    #[error("no role lists a target `{}`", path.escape_debug())]
    NoTarget {
        /// Its name.
        path: String,
    },
    /// A key whose time cannot be read.
    #[error("a key has a `{field}` that is no time")]
    KeyTime {
        /// Which field.
        field: &'static str,
    },
    /// A key that cannot be used.
    #[error("a key cannot be used: {why}")]
    Key {
        /// Why.
        why: String,
    },
    /// Cannot happen: nothing here waits.
    #[error("reading metadata waits for something")]
    Waits,
}

/// A keyring, by its name.
pub(crate) fn called(keyring: Option<Digest>) -> String {
    keyring.map_or_else(|| "no keyring".to_owned(), |name| format!("the keyring {name}"))
}

impl TufError {
    /// A word for this class that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            TufError::Expired { .. } => "expired",
            TufError::Rollback { .. } => "rollback",
            TufError::Changed { .. } => "changed",
            TufError::RootVersion { .. } | TufError::RootGap { .. } => "root-version",
            TufError::OtherRoot { .. } => "other-root",
            TufError::OtherKeyring { .. } => "other-keyring",
            TufError::Unnamed { .. } => "malformed",
            TufError::Threshold { .. } => "threshold",
            TufError::SignedTwice { .. } => "signed-twice",
            TufError::SameKey { .. } => "same-key",
            TufError::Integrity { .. } => "integrity",
            TufError::Malformed { .. } | TufError::Json { .. } | TufError::KeyTime { .. } => "malformed",
            TufError::Twice { .. } => "twice",
            TufError::Missing { .. } => "missing",
            TufError::NoRole { .. } => "no-role",
            TufError::NoTarget { .. } => "not-approved",
            TufError::Key { .. } => "key",
            TufError::Waits => "waits",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            TufError::Expired { .. } => {
                "get a newer pack; whoever keeps the keyring signs it again with `claw keyring sign`"
            }
            TufError::Rollback { .. } => {
                "get the newest pack; what was trusted once is not followed by something older"
            }
            TufError::Changed { .. } => {
                "whoever keeps the keyring signs it again with `claw keyring sign`: a new version counts everywhere"
            }
            TufError::Threshold { .. } => "more holders of keys have to sign: `claw keyring sign`",
            TufError::OtherKeyring { .. } => {
                "what holders sign in one keyring counts in no other: sign it in this one"
            }
            TufError::OtherRoot { .. } | TufError::RootGap { .. } => {
                "check that the pinned root belongs to whoever made this"
            }
            _ => return None,
        })
    }

    pub(super) fn of(role: &str, error: sigstore_tuf::Error) -> TufError {
        use sigstore_tuf::Error as Tuf;
        let role = role.to_owned();
        match error {
            Tuf::Expired { role, expires } => TufError::Expired { role, expires },
            Tuf::Rollback { role, trusted, new } => TufError::Rollback { role, trusted, new },
            Tuf::EqualVersion { role, version } => {
                TufError::Rollback { role, trusted: version, new: version }
            }
            Tuf::BadRootVersion { trusted, new } => TufError::RootVersion { trusted, new },
            Tuf::ThresholdNotMet { role, found, threshold } => TufError::Threshold { role, found, threshold },
            Tuf::DuplicateSignature { role, key_id } => TufError::SignedTwice { role, key: key_id },
            Tuf::IntegrityMismatch(what) => TufError::Integrity { what },
            Tuf::UnknownRole(role) => TufError::NoRole { role },
            Tuf::TargetNotFound(path) => TufError::NoTarget { path },
            Tuf::Transport { message, .. } => {
                TufError::Missing { name: message.trim_end_matches(" not found").to_owned() }
            }
            Tuf::UnusableKey { reason, .. } => TufError::Key { why: reason },
            Tuf::UnsupportedScheme { scheme, .. } => {
                TufError::Key { why: format!("unknown scheme `{scheme}`") }
            }
            other => {
                let mut why = other.to_string();
                let mut cause = std::error::Error::source(&other);
                while let Some(error) = cause {
                    why.push_str(&format!(": {error}"));
                    cause = error.source();
                }
                TufError::Malformed { role, why }
            }
        }
    }
}
