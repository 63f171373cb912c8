//! Signatures of three kinds, told apart by their first line.
//!
//! An SSH signature carries its key, so it is verified here and now, and the allowed signers are asked about the key afterwards. An OpenPGP
//! signature names a key that only the allowed signers have, and an X.509 signature an identity that they name.

use thiserror::Error;

mod openpgp;
mod ssh;
mod x509;

pub use claw_verify::ssh::{SshKey, SshKeyError};
pub use openpgp::{Certificate, CertificateError};
pub(crate) use openpgp::{Pgp, Revoked, Standing};
pub use x509::X509;

/// A signature block that was read, over bytes that it was read with.
#[derive(Debug, Clone)]
pub enum Seal {
    /// By this SSH key: verified.
    Ssh(SshKey),
    /// An OpenPGP signature: verified once the key is known.
    OpenPgp(Box<Pgp>),
    /// An X.509 signature with its log entry: verified for an identity.
    X509(Box<X509>),
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broken {
    /// It begins like no signature that is known.
    #[error("the signature is of no known kind")]
    Kind,
    /// It cannot be read.
    #[error("the {0} signature cannot be read")]
    Unreadable(&'static str),
    /// More stands in the block than one signature.
    #[error("more stands in the signature block than one signature")]
    More,
    /// It is no signature of these bytes.
    #[error("the signature does not fit what it signs: one of the two was changed")]
    Mismatch,
    /// It was made for something else.
    #[error("the signature was made for `{0}`, not for this")]
    Purpose(String),
    /// Its algorithm is broken, or not one of those that are verified.
    #[error("{0} is not accepted")]
    Algorithm(String),
    /// A security key was not touched when it signed.
    #[error("the security key was not touched when it signed")]
    NotTouched,
    /// Its certificate lived for minutes, and nothing but the signer says when it signed.
    #[error(
        "no log entry is in the signature, so only the signer says when the certificate was used (gitsign: rekorMode = offline)"
    )]
    NoTime,
    /// Sigstore's check refused it.
    #[error("the X.509 signature does not hold: {0}")]
    Sigstore(String),
}

impl Seal {
    /// Reads a signature over `payload`, made for `purpose` (the SSH namespace: `git` for commits and tags).
    pub fn read(block: &[u8], payload: &[u8], purpose: &str) -> Result<Seal, Broken> {
        let text = std::str::from_utf8(block).map_err(|_| Broken::Kind)?;
        match text {
            text if text.starts_with("-----BEGIN SSH SIGNATURE-----") => {
                ssh::verify(text, payload, purpose).map(Seal::Ssh)
            }
            text if text.starts_with("-----BEGIN PGP SIGNATURE-----") => {
                Pgp::read(text, payload).map(Box::new).map(Seal::OpenPgp)
            }
            text if text.starts_with("-----BEGIN SIGNED MESSAGE-----") => {
                X509::read(text, payload).map(Box::new).map(Seal::X509)
            }
            _ => Err(Broken::Kind),
        }
    }
}

/// The signature blocks of a file that holds several, one behind the other.
pub fn blocks(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.starts_with("-----BEGIN ") {
            open = true;
            found.push(String::new());
        }
        if let (true, Some(block)) = (open, found.last_mut()) {
            block.push_str(line);
            block.push('\n');
        }
        if line.starts_with("-----END ") {
            open = false;
        }
    }
    found
}
