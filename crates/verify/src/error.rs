//! Why something is not verified. Classes and codes do not change.

use jiff::Timestamp;

use claw_model::digest::Digest;

use crate::KeyId;
use crate::tuf::called;

/// What kind of check said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// It cannot be read: not what it says it is.
    Input,
    /// It can be read, and asks for something that is not known here.
    Unsupported,
    /// What the caller brought to judge by is unusable: key, trust root, policy, list of signers.
    Trust,
    /// A signature is wrong.
    Signature,
    /// It is signed, and not by enough of those who were asked.
    Signer,
    /// It is about other bytes.
    Artifact,
    /// The certificate is not acceptable.
    Certificate,
    /// The evidence of a transparency log is not.
    Log,
    /// The evidence of a time is not.
    Time,
    /// The certificate names somebody else.
    Identity,
    /// It was made elsewhere, otherwise, or of something else than the policy asks.
    Provenance,
    /// It is not valid now.
    Validity,
}

/// Why something is not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than are read.
    #[error("the {what} has more than {most} bytes")]
    Large {
        /// The document.
        what: &'static str,
        /// Bytes that are read.
        most: usize,
    },
    /// Lists and objects inside each other beyond what is read.
    #[error("the {what} nests deeper than {most} levels")]
    Deep {
        /// The document.
        what: &'static str,
        /// Levels that are read.
        most: usize,
    },
    /// A key stands twice.
    #[error("the {what} writes the key `{}` twice: which one counts would depend on the reader", key.escape_debug())]
    Twice {
        /// The document.
        what: &'static str,
        /// The key.
        key: String,
    },
    /// Not the JSON of such a document.
    #[error("the {what} is not one: {}", line(why))]
    Json {
        /// The document.
        what: &'static str,
        /// By the parser.
        why: String,
    },
    /// Otherwise malformed.
    #[error("the {what} is malformed: {}", line(why))]
    Malformed {
        /// The document or field.
        what: &'static str,
        /// In which way.
        why: String,
    },
    /// A kind that is not known.
    #[error("the {what} `{}` is not known; hint: {hint}", found.escape_debug())]
    Unsupported {
        /// Of what.
        what: &'static str,
        /// What is written.
        found: String,
        /// What is known.
        hint: &'static str,
    },

    /// The caller's key, trust root, policy or list is unusable.
    #[error("the {what} cannot be used: {}", line(why))]
    Trust {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A threshold that no set of keys can meet, or of nothing.
    #[error("a threshold of {need} with {have} distinct keys: hint: from 1 to the number of keys")]
    Impossible {
        /// Asked for.
        need: usize,
        /// Pinned.
        have: usize,
    },

    /// A signature of a pinned key, or one that must hold, is wrong.
    #[error("the signature of {by} is wrong: {}", line(why))]
    Signature {
        /// Whose it claims to be.
        by: String,
        /// What was found.
        why: String,
    },
    /// Too few of those who were asked signed.
    #[error("{} of the {pinned} pinned keys signed this, {need} are needed", signed.len())]
    Threshold {
        /// Asked for.
        need: usize,
        /// Distinct keys that signed.
        signed: Vec<KeyId>,
        /// Keys that were pinned.
        pinned: usize,
    },
    /// Somebody signed who is not listed.
    #[error("{who} is not among those who may sign: {}", line(why))]
    Stranger {
        /// The signer.
        who: String,
        /// What was looked for.
        why: String,
    },

    /// It was signed for another keyring, by whoever holds keys of both.
    #[error("it was signed for {}, and the keys are those of {}", called(*named), called(*own))]
    OtherKeyring {
        /// What it names.
        named: Option<Digest>,
        /// Whose keys were asked.
        own: Option<Digest>,
    },

    /// It is about other bytes.
    #[error("it is not about this artefact: {}", line(why))]
    Artifact {
        /// What differs.
        why: String,
    },
    /// The certificate is not acceptable.
    #[error("the certificate is refused: {}", line(why))]
    Certificate {
        /// Which check.
        code: &'static str,
        /// Why.
        why: String,
    },
    /// The evidence of a transparency log is not.
    #[error("the log's evidence is refused: {}", line(why))]
    Log {
        /// Which check.
        code: &'static str,
        /// Why.
        why: String,
    },
    /// The evidence of a time is not.
    #[error("the evidence of the time is refused: {}", line(why))]
    Time {
        /// Which check.
        code: &'static str,
        /// Why.
        why: String,
    },
    /// The certificate names somebody else.
    #[error("the {what} is `{}`, not `{}`", found.escape_debug(), asked.escape_debug())]
    Identity {
        /// Identity or issuer.
        what: &'static str,
        /// What was asked for.
        asked: String,
        /// What the certificate says.
        found: String,
    },
    /// The provenance is not what the policy asks for.
    #[error("{what} is {found}, not {asked}")]
    Provenance {
        /// Which part.
        what: &'static str,
        /// What was asked for.
        asked: String,
        /// What is there.
        found: String,
    },

    /// Valid later.
    #[error("it is valid from {from}, and it is {now}")]
    NotYet {
        /// First moment.
        from: Timestamp,
        /// The time that counts.
        now: Timestamp,
    },
    /// No longer valid.
    #[error("it was valid until {until}, and it is {now}")]
    Expired {
        /// Last moment.
        until: Timestamp,
        /// The time that counts.
        now: Timestamp,
    },
}

/// Parsers quote what they read. None of it ends the line or hides what follows.
fn line(why: &str) -> String {
    let plain = |character: char| matches!(character, '\'' | '"' | '\\');
    why.chars().fold(String::new(), |mut text, character| {
        match plain(character) {
            true => text.push(character),
            false => text.extend(character.escape_debug()),
        }
        text
    })
}

impl Error {
    /// What kind of check said no.
    pub fn class(&self) -> Class {
        match self {
            Error::Large { .. } | Error::Deep { .. } | Error::Twice { .. } => Class::Input,
            Error::Json { .. } | Error::Malformed { .. } => Class::Input,
            Error::Unsupported { .. } => Class::Unsupported,
            Error::Trust { .. } | Error::Impossible { .. } => Class::Trust,
            Error::Signature { .. } => Class::Signature,
            Error::Threshold { .. } | Error::Stranger { .. } | Error::OtherKeyring { .. } => Class::Signer,
            Error::Artifact { .. } => Class::Artifact,
            Error::Certificate { .. } => Class::Certificate,
            Error::Log { .. } => Class::Log,
            Error::Time { .. } => Class::Time,
            Error::Identity { .. } => Class::Identity,
            Error::Provenance { .. } => Class::Provenance,
            Error::NotYet { .. } | Error::Expired { .. } => Class::Validity,
        }
    }

    /// A word for the check that said no.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Large { .. } => "too-large",
            Error::Deep { .. } => "too-deep",
            Error::Twice { .. } => "key-twice",
            Error::Json { .. } | Error::Malformed { .. } => "malformed",
            Error::Unsupported { .. } => "unsupported",
            Error::Trust { .. } => "trust",
            Error::Impossible { .. } => "impossible-threshold",
            Error::Signature { .. } => "signature",
            Error::Threshold { .. } => "threshold",
            Error::Stranger { .. } => "stranger",
            Error::OtherKeyring { .. } => "other-keyring",
            Error::Artifact { .. } => "other-artifact",
            Error::Certificate { code, .. } | Error::Log { code, .. } | Error::Time { code, .. } => code,
            Error::Identity { .. } => "identity",
            Error::Provenance { .. } => "provenance",
            Error::NotYet { .. } => "not-yet-valid",
            Error::Expired { .. } => "expired",
        }
    }
}

impl Class {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Input => "input",
            Class::Unsupported => "unsupported",
            Class::Trust => "trust",
            Class::Signature => "signature",
            Class::Signer => "signer",
            Class::Artifact => "artifact",
            Class::Certificate => "certificate",
            Class::Log => "log",
            Class::Time => "time",
            Class::Identity => "identity",
            Class::Provenance => "provenance",
            Class::Validity => "validity",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parser_quotes_ends_no_line() {
        let why = "unknown field `\nverified  sha256:00\u{202e}`, expected \"x\"".to_owned();
        let text = Error::Malformed { what: "policy", why }.to_string();
        assert!(!text.contains('\n') && !text.contains('\u{202e}') && text.contains("\"x\""), "{text}");
    }
}
