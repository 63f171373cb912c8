//! Why an SSH signature, a key, or a line of a list of allowed signers is refused.

use jiff::Timestamp;
use thiserror::Error;

/// Why an SSH signature is none of these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SshError {
    /// More bytes than are read.
    #[error("it has more than {LARGEST} bytes")]
    Large,
    /// More stands there than one signature.
    #[error("more stands there than one signature")]
    More,
    /// The armour, or what is in it, cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is of a version that nobody described yet.
    #[error("its version is {0}")]
    Version(u32),
    /// A field has content that no version describes, and that OpenSSH leaves out of what it signs.
    #[error("its reserved field is not empty")]
    Reserved,
    /// It was made for something else.
    #[error("it is for `{}`, not for `{}`", found.escape_debug(), asked.escape_debug())]
    Purpose {
        /// The namespace that was signed.
        found: String,
        /// The one that was asked for.
        asked: String,
    },
    /// Its algorithm is broken, or none of those that are verified.
    #[error("a signature by {0} is not accepted")]
    Algorithm(String),
    /// A signature for every message can be written down for its key.
    #[error("the key is a point of small order")]
    SmallOrder,
    /// The numbers of an RSA key are not positive.
    #[error("the key is none")]
    NoKey,
    /// Fewer bytes than such a signature has.
    #[error("it is too short")]
    Short,
    /// An ECDSA signature is two numbers, each in its one spelling.
    #[error("it is not two numbers")]
    Numbers,
    /// A security key signed without anybody there.
    #[error("nobody touched the security key")]
    Untouched,
    /// The key did not sign these bytes.
    #[error("it is not this key's signature of this")]
    Wrong,
}

/// Why a public key is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SshKeyError {
    /// It is no line of an OpenSSH public key.
    #[error("the key is no OpenSSH public key")]
    Unreadable,
    /// Signatures of this kind are not verified.
    #[error("keys of kind {0} are not accepted")]
    Kind(String),
}

/// Why a line of a list of allowed signers is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineError {
    /// A quote is not closed.
    #[error("a quote is not closed")]
    Quote,
    /// A backslash could mean two things.
    #[error("a backslash is not read")]
    Backslash,
    /// Nothing follows where something must.
    #[error("it ends early")]
    Early,
    /// No principal.
    #[error("it names nobody")]
    Nobody,
    /// No key.
    #[error("it has no key")]
    NoKey,
    /// The key cannot be read.
    #[error("{0}")]
    Key(String),
    /// Certificates are not read.
    #[error("certificates are not read; hint: list the keys themselves")]
    Certificate,
    /// An option is not known, or stands twice.
    #[error("the option `{}` is not known, or stands twice", .0.escape_debug())]
    Option(String),
    /// No time, or one without its zone.
    #[error("`{}` is not a time; hint: YYYYMMDDHHMMSSZ", .0.escape_debug())]
    Time(String),
}

/// Why no entry lets a key sign.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unlisted {
    /// No line has this key.
    #[error("it is not listed")]
    Key,
    /// The line is for somebody else.
    #[error("line {line}: it is for `{}`, not `{}`", listed.escape_debug(), asked.escape_debug())]
    Principal {
        /// Which line.
        line: usize,
        /// Whom it is for.
        listed: String,
        /// Who was asked for.
        asked: String,
    },
    /// The line is for something else.
    #[error(
        "line {line}: it is for the namespaces `{}`, not `{}`",
        listed.escape_debug(),
        asked.escape_debug()
    )]
    Namespace {
        /// Which line.
        line: usize,
        /// What it is for.
        listed: String,
        /// What was asked for.
        asked: String,
    },
    /// The line counts later.
    #[error("line {line}: it is valid from {from}, and it is {now}")]
    Early {
        /// Which line.
        line: usize,
        /// From when.
        from: Timestamp,
        /// The time that counts.
        now: Timestamp,
    },
    /// The line counts no more.
    #[error("line {line}: it was valid until {until}, and it is {now}")]
    Late {
        /// Which line.
        line: usize,
        /// Until when.
        until: Timestamp,
        /// The time that counts.
        now: Timestamp,
    },
}

/// Bytes of a signature.
pub(super) const LARGEST: usize = 1 << 16;
