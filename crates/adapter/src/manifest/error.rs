//! Why a manifest is refused.

/// Why a manifest is refused. Each says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is larger than any.
    #[error("`adapter.toml` has more than {} bytes", crate::LARGEST)]
    Large,
    /// It is not TOML, or has other fields.
    #[error("adapter.toml:{line}: {why}")]
    Toml {
        /// Where.
        line: usize,
        /// By the parser.
        why: String,
    },
    /// A value is not possible.
    #[error("adapter.toml:{line}: {why}")]
    Value {
        /// Where.
        line: usize,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A rule of `egress` is none.
    #[error("adapter.toml:{line}: egress `{name}`: {why}")]
    Egress {
        /// Where.
        line: usize,
        /// Which.
        name: String,
        /// By the parser of policies.
        why: String,
    },
    /// A file that is named is not there, or too large.
    #[error("adapter.toml:{line}: `{path}` is not a file of this adapter that can be read")]
    Missing {
        /// Where it is named.
        line: usize,
        /// Which.
        path: String,
    },
    /// A file that is named is wrong.
    #[error("`{path}`: {why}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It cannot be spelled.
    #[error("the manifest has no canonical spelling: {0}")]
    Spelling(String),
}
