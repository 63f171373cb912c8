//! SSH signatures (`ssh-keygen -Y sign`) and lists of allowed signers. No log, and no time that anyone vouches for.
//!
//! After OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f, and the section ALLOWED SIGNERS of ssh-keygen(1). ssh-key reads the
//! formats; what is signed is verified by the one provider of cryptography. Certificates are not read: an entry names a key.

mod allowed;
mod crypto;

use ssh_key::public::KeyData;
use ssh_key::{Fingerprint, HashAlg, SshSig};

pub use allowed::{Allowed, Entry};

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
    let signature = read(armoured)?;
    let key = signature.public_key();
    let fingerprint = Fingerprint::new(HashAlg::Sha256, key).to_string();
    let by = || format!("the SSH key {fingerprint}");
    if signature.namespace() != asked.namespace {
        let why = format!(
            "it is for `{}`, not for `{}`",
            signature.namespace().escape_debug(),
            asked.namespace.escape_debug()
        );
        return Err(Error::Signature { by: by(), why });
    }
    let digest = hash(signature.hash_alg(), artifact)?;
    crypto::verify(&signature, &signed(&signature, &digest))
        .map_err(|why| Error::Signature { by: by(), why })?;
    let entry = asked.allowed.find(key, asked, clock).map_err(|why| Error::Stranger { who: by(), why })?;
    let principal = asked.principal.map_or_else(|| entry.principals().to_owned(), str::to_owned);
    let verified =
        Verified::new(artifact.name(), vec![Signer::Ssh { principal, fingerprint }], vec![Proof::Signature]);
    Ok(verified.within(entry.from(), entry.until()))
}

fn read(armoured: &str) -> Result<SshSig, Error> {
    let malformed = |why: String| Error::Malformed { what: "SSH signature", why };
    if armoured.len() > LARGEST {
        return Err(malformed(format!("it has more than {LARGEST} bytes")));
    }
    let signature = SshSig::from_pem(armoured.trim_end()).map_err(|error| malformed(error.to_string()))?;
    if signature.version() != SshSig::VERSION {
        return Err(malformed(format!("its version is {}", signature.version())));
    }
    Ok(signature)
}

/// What the key signs: PROTOCOL.sshsig, section 2.
fn signed(signature: &SshSig, digest: &[u8]) -> Vec<u8> {
    let mut bytes = b"SSHSIG".to_vec();
    let fields = [
        signature.namespace().as_bytes(),
        signature.reserved(),
        signature.hash_alg().as_str().as_bytes(),
        digest,
    ];
    for field in fields {
        // No field is longer than the signature itself, which is bounded.
        bytes.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// The artefact's digest by the signature's algorithm.
fn hash(algorithm: HashAlg, artifact: &Artifact) -> Result<Vec<u8>, Error> {
    let digests = artifact.digests();
    let found = match algorithm {
        HashAlg::Sha256 => digests.sha256.map(|digest| digest.as_bytes().to_vec()),
        HashAlg::Sha512 => digests.sha512.map(|digest| digest.to_vec()),
        _ => None,
    };
    found.ok_or_else(|| Error::Artifact { why: format!("its {} is not known", algorithm.as_str()) })
}

fn same(one: &KeyData, other: &KeyData) -> bool {
    one == other
}

const LARGEST: usize = 1 << 16;

#[cfg(test)]
mod tests;
