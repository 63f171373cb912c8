//! SSH signatures (`ssh-keygen -Y sign`) and lists of allowed signers. No log, and no time that anyone vouches for.
//!
//! After OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f, and the section ALLOWED SIGNERS of ssh-keygen(1). ssh-key reads the
//! formats; what is signed is verified by the one provider of cryptography. Certificates are not read: an entry names a key.

mod allowed;
mod block;
mod crypto;
mod error;
mod key;

pub use allowed::{Allowed, Entry};
pub use block::{Block, Hash};
pub use error::{LineError, SshError, SshKeyError, Unlisted};
pub use key::SshKey;

use crate::artifact::Artifact;
use crate::{Clock, Error, Proof, Signer, Verified};

/// What is asked of an SSH signature.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who may sign what.
    pub allowed: &'a Allowed,
    /// Who must have signed; else anyone who is listed.
    pub principal: Option<&'a str>,
    /// What for: `file` where nothing else was agreed on.
    pub namespace: &'a str,
}

/// Verifies a signature of an artefact.
///
/// An entry's `valid-after` and `valid-before` are judged at the clock's time, never at one that the signer wrote.
pub fn verify(
    armoured: &str,
    artifact: &Artifact,
    asked: &Asked<'_>,
    clock: &Clock,
) -> Result<Verified<String>, Error> {
    let block = Block::read(armoured)
        .map_err(|why| Error::Malformed { what: "SSH signature", why: why.to_string() })?;
    let key = block.key();
    let by = || format!("the SSH key {key}");
    let wrong = |why: SshError| Error::Signature { by: by(), why: why.to_string() };
    block.made_for(asked.namespace).map_err(wrong)?;
    let digest = digest(block.hash().map_err(wrong)?, artifact)?;
    block.verify(asked.namespace, &digest).map_err(wrong)?;
    let entry = asked.allowed.find(&key, asked, clock);
    let entry = entry.map_err(|why| Error::Stranger { who: by(), why: why.to_string() })?;
    let principal = asked.principal.map_or_else(|| entry.principals().to_owned(), str::to_owned);
    let signer = Signer::Ssh { principal, fingerprint: key.to_string() };
    let verified = Verified::new(artifact.name(), vec![signer], vec![Proof::Signature]);
    Ok(verified.within(entry.from(), entry.until()))
}

/// The artefact's digest by the signature's algorithm.
fn digest(algorithm: Hash, artifact: &Artifact) -> Result<Vec<u8>, Error> {
    let digests = artifact.digests();
    let (found, name) = match algorithm {
        Hash::Sha256 => (digests.sha256.map(|digest| digest.as_bytes().to_vec()), "sha256"),
        Hash::Sha512 => (digests.sha512.map(|digest| digest.to_vec()), "sha512"),
    };
    found.ok_or_else(|| Error::Artifact { why: format!("its {name} is not known") })
}

#[cfg(test)]
mod tests;
