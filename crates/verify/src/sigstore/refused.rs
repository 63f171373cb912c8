//! The library's reasons, as classes and codes that do not change with it.

use sigstore_verify::Error as Theirs;
use sigstore_verify::error::{CertificateError, TimestampError, TransparencyLogError};

use crate::Error;

/// Why the library refused.
pub(super) fn why(error: Theirs) -> Error {
    let why = error.to_string();
    match error {
        Theirs::IdentityMismatch { expected, actual } => {
            let found = actual.map(|name| name.to_string()).unwrap_or_default();
            Error::Identity { what: "identity", asked: expected.to_string(), found }
        }
        Theirs::IssuerMismatch { expected, actual } => {
            Error::Identity { what: "issuer", asked: expected, found: actual.unwrap_or_default() }
        }
        Theirs::SignatureInvalid(_) => Error::Signature { by: "the bundle's signer".to_owned(), why },
        Theirs::ArtifactMismatch(_) => Error::Artifact { why },
        Theirs::UnsupportedArtifact(_) => {
            let hint = "an artefact of this size can only be verified by the digest that was signed";
            Error::Unsupported { what: "form of signature", found: why, hint }
        }
        Theirs::Certificate(error) => Error::Certificate { code: certificate(&error), why },
        Theirs::TransparencyLog(error) => Error::Log { code: log(&error), why },
        Theirs::Timestamp(error) => Error::Time { code: time(&error), why },
        Theirs::UnsupportedBundle(_) => Error::Unsupported {
            what: "bundle's content",
            found: why,
            hint: "see docs/verify.md for what is",
        },
        Theirs::InvalidTrustRoot(_) | Theirs::TrustRoot(_) | Theirs::TrustedCertificate(_) => {
            Error::Trust { what: "trust root", why }
        }
        Theirs::Bundle(error) => bundle(&error, why),
        Theirs::Crypto(_) => Error::Signature { by: "the bundle's signer".to_owned(), why },
        _ => Error::Malformed { what: "bundle", why },
    }
}

fn bundle(error: &sigstore_verify::bundle::Error, why: String) -> Error {
    use sigstore_verify::bundle::Error as Shape;
    match error {
        Shape::MissingInclusionPromise(_) => Error::Log { code: "log-promise", why },
        Shape::MissingInclusionProof(_) | Shape::LogIndexOutOfRange { .. } => {
            Error::Log { code: "log-inclusion", why }
        }
        Shape::MissingCheckpoint | Shape::CheckpointRootMismatch => {
            Error::Log { code: "log-checkpoint", why }
        }
        Shape::MissingSigningTimeEvidence | Shape::MissingTimestamp => Error::Time { code: "time-none", why },
        _ => Error::Malformed { what: "bundle", why },
    }
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Malformed(_) => "certificate-malformed",
        CertificateError::NoValidAuthority { .. } => "certificate-authority",
        CertificateError::NotYetValid { .. } => "certificate-not-yet",
        CertificateError::Expired { .. } => "certificate-expired",
        CertificateError::Sct(_) => "certificate-log",
        _ => "certificate-chain",
    }
}

fn log(error: &TransparencyLogError) -> &'static str {
    match error {
        TransparencyLogError::UnknownLog { .. } => "log-unknown",
        TransparencyLogError::InclusionProof(_) => "log-inclusion",
        TransparencyLogError::Checkpoint(_) => "log-checkpoint",
        TransparencyLogError::InclusionPromise(_) => "log-promise",
        TransparencyLogError::EntryMismatch(_) => "log-entry",
        TransparencyLogError::IntegratedTime(_) => "log-time",
        _ => "log-malformed",
    }
}

fn time(error: &TimestampError) -> &'static str {
    match error {
        TimestampError::OutsideAuthorityValidity { .. } => "time-authority",
        TimestampError::NoVerifiedTimestamp(_) => "time-none",
        _ => "time-invalid",
    }
}
