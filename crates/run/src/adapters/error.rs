//! Why something cannot be done with an adapter.

use std::io;
use std::path::PathBuf;

use claw_adapter::{ManifestError, PackageError};
use claw_verify::Error;

use crate::{SeenError, SignedError};

/// Why something cannot be done with an adapter.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A file is not what it may be.
    #[error("`{file}`: {why}")]
    File {
        /// Which, below the directory.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A blob is not what is named.
    #[error("`blobs/sha256/{hex}`, which {by} names: {why}")]
    Blob {
        /// Its name.
        hex: String,
        /// What names it.
        by: String,
        /// What is wrong.
        why: String,
    },
    /// A document of the package is wrong.
    #[error("{place}")]
    Document {
        /// Which.
        place: String,
        /// What is wrong.
        #[source]
        source: PackageError,
    },
    /// The adapter's own manifest is wrong.
    #[error("the adapter's manifest cannot be used")]
    Manifest(#[from] ManifestError),
    /// The signature does not hold.
    #[error("the signature of the adapter does not hold")]
    Signature(#[source] Error),
    /// The keys cannot be used.
    #[error("cannot use the keys in `{}`", .path.display())]
    Keys {
        /// Their file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// The file of keys cannot be read.
    #[error(transparent)]
    Keyring(Box<SignedError>),
    /// A private key cannot be used.
    #[error("cannot sign with `{}`", .path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// A release is not let in.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// Something is there already.
    #[error("`{}` is there already", .path.display())]
    There {
        /// What.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {what} `{}`", .path.display())]
    System {
        /// What was to be done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl AdapterError {
    /// A word for it that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            AdapterError::File { .. } => "file",
            AdapterError::Blob { .. } => "blob",
            AdapterError::Document { .. } => "document",
            AdapterError::Manifest(_) => "manifest",
            AdapterError::Signature(error) => error.code(),
            AdapterError::Seen(SeenError::Rollback { .. }) => "rollback",
            AdapterError::Seen(SeenError::Twofold { .. }) => "release-twice",
            AdapterError::Keys { .. } | AdapterError::Keyring(_) => "keyring",
            AdapterError::Key { .. } => "key",
            AdapterError::There { .. } => "there",
            AdapterError::Seen(_) | AdapterError::System { .. } => "system",
        }
    }

    /// Whether the answer is no, rather than that something cannot be used.
    pub fn is_answer(&self) -> bool {
        !matches!(self.code(), "keyring" | "key" | "there" | "system")
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            AdapterError::File { .. } | AdapterError::Blob { .. } | AdapterError::Document { .. } => {
                Some("take the package anew from whoever signed it; what was changed is not used")
            }
            AdapterError::Manifest(_) => Some("docs/adapters.md says what it may say"),
            AdapterError::Signature(_) => {
                Some("ask whoever made it for a package that the pinned keys signed")
            }
            AdapterError::Keys { .. } => Some("docs/signed-policies.md says what a file of keys holds"),
            AdapterError::Key { .. } => Some("claw keyring key KEY makes one"),
            AdapterError::Seen(SeenError::Rollback { .. } | SeenError::Twofold { .. }) => {
                Some("sign it as a higher `release`, if it is the one that is wanted")
            }
            AdapterError::There { .. } => Some("give another place; nothing is overwritten"),
            AdapterError::Keyring(error) => Some(error.hint()),
            AdapterError::Seen(_) | AdapterError::System { .. } => None,
        }
    }
}

/// The system refused to do something with a file.
pub(super) fn system(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> AdapterError {
    let path = path.to_owned();
    move |source| AdapterError::System { what, path, source }
}
