//! A signature block, as `ssh-keygen -Y sign` and git write it (PROTOCOL.sshsig). The one reader of it.
//!
//! Reading says whose it claims to be and what for. Only [`Block::verify`] and [`Block::signer`] say that it holds.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use ssh_key::{HashAlg, SshSig};

use super::error::LARGEST;
use super::{SshError, SshKey, crypto};

/// A signature block that was read, and not verified.
#[derive(Debug, Clone)]
pub struct Block(SshSig);

/// By which digest the content is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Block {
    /// Reads one block, and nothing beside it.
    pub fn read(armoured: &str) -> Result<Block, SshError> {
        if armoured.len() > LARGEST {
            return Err(SshError::Large);
        }
        if armoured.matches("-----BEGIN ").count() > 1 {
            return Err(SshError::More);
        }
        // order: the reader of the armour wants exactly one newline at the end
        let signature =
            SshSig::from_pem(armoured.trim_end()).map_err(|error| SshError::Unreadable(error.to_string()))?;
        if signature.version() != SshSig::VERSION {
            return Err(SshError::Version(signature.version()));
        }
        if !signature.reserved().is_empty() {
            return Err(SshError::Reserved);
        }
        Ok(Block(signature))
    }

    /// The key that it claims to be by.
    pub fn key(&self) -> SshKey {
        SshKey::of(self.0.public_key())
    }

    /// By which digest the content is signed.
    pub fn hash(&self) -> Result<Hash, SshError> {
        match self.0.hash_alg() {
            HashAlg::Sha256 => Ok(Hash::Sha256),
            HashAlg::Sha512 => Ok(Hash::Sha512),
            other => Err(SshError::Algorithm(other.as_str().to_owned())),
        }
    }

    /// Whether it was made for this.
    pub fn made_for(&self, purpose: &str) -> Result<(), SshError> {
        let found = self.0.namespace();
        match found == purpose {
            true => Ok(()),
            false => Err(SshError::Purpose { found: found.to_owned(), asked: purpose.to_owned() }),
        }
    }

    /// Whether its key signed, for this purpose, the content that has this digest.
    pub fn verify(&self, purpose: &str, digest: &[u8]) -> Result<(), SshError> {
        self.made_for(purpose)?;
        crypto::verify(&self.0, &self.signed(digest))
    }

    /// The key that signed these bytes for this purpose.
    pub fn signer(&self, purpose: &str, bytes: &[u8]) -> Result<SshKey, SshError> {
        let algorithm = match self.hash()? {
            Hash::Sha256 => &SHA256,
            Hash::Sha512 => &SHA512,
        };
        self.verify(purpose, digest(algorithm, bytes).as_ref())?;
        Ok(self.key())
    }

    /// What the key signs: PROTOCOL.sshsig, section 2.
    fn signed(&self, digest: &[u8]) -> Vec<u8> {
        let mut bytes = b"SSHSIG".to_vec();
        let (namespace, hash) = (self.0.namespace().as_bytes(), self.0.hash_alg());
        for field in [namespace, self.0.reserved(), hash.as_str().as_bytes(), digest] {
            // No field is longer than the signature itself, which is bounded.
            bytes.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        bytes
    }
}
