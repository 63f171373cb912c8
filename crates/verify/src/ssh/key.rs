//! Public keys, known by their fingerprints.

use std::fmt;

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PublicKey};

use super::SshKeyError;

/// A public key, known by its fingerprint: the SHA-256 of all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshKey {
    fingerprint: String,
}

impl SshKey {
    /// Reads a line like that of a `.pub` file. A key whose signatures are never accepted is refused.
    pub fn parse(line: &str) -> Result<SshKey, SshKeyError> {
        let key = PublicKey::from_openssh(line.trim()).map_err(|_| SshKeyError::Unreadable)?;
        match key.algorithm() {
            Algorithm::Ed25519
            | Algorithm::Rsa { .. }
            | Algorithm::Ecdsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256 => Ok(SshKey::of(key.key_data())),
            other => Err(SshKeyError::Kind(other.to_string())),
        }
    }

    pub(super) fn of(key: &KeyData) -> SshKey {
        SshKey { fingerprint: key.fingerprint(HashAlg::Sha256).to_string() }
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint)
    }
}
