//! The log of releases: one line for each, a Merkle tree over the lines, and a head that is signed.
//!
//! A line's hash is RFC 9162's leaf hash of its bytes, without the end of the line. Proofs are verified by sigstore-merkle.

use claw_model::digest::Digest;
use serde::{Deserialize, Serialize};
use sigstore_types::Sha256Hash;

use super::Manifest;
use crate::envelope::Envelope;
use crate::{Error, Keys, Proof, Verified, json};

/// The payload type of a head.
pub const HEAD: &str = "application/vnd.claw.release-log-head+json";

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The number of the release.
    pub release: u64,
    /// Its version.
    pub version: String,
    /// The commit that was built.
    pub commit: String,
    /// The bytes of its manifest.
    pub manifest: Digest,
}

/// What the log was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Lines.
    pub size: u64,
    /// The tree's root over them.
    pub root: Digest,
}

/// What ships with a release: its line, and the way from it to a signed head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The line.
    pub entry: String,
    /// Where it stands, from 0.
    pub index: u64,
    /// From the line to the root.
    pub inclusion: Vec<Digest>,
    /// The head before this release, if there was one, and the way from it to this one.
    pub before: Option<Before>,
    /// The head, signed, as a DSSE envelope.
    pub head: serde_json::Value,
}

/// A head that this log continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// It.
    pub head: Head,
    /// RFC 9162's proof that nothing in it was changed.
    pub consistency: Vec<Digest>,
}

impl Head {
    /// The head in an envelope, if enough of the keys signed it.
    pub fn verify(envelope: &[u8], keys: &Keys) -> Result<Verified<Head>, Error> {
        let payload = Envelope::read(envelope)?.verify(HEAD, keys)?;
        payload.try_map(|payload| json::read("head of the release log", &payload.bytes))
    }
}

impl Evidence {
    /// Reads it, on nobody's word.
    pub fn read(bytes: &[u8]) -> Result<Evidence, Error> {
        json::read("evidence of the release log", bytes)
    }

    /// Proves that the manifest stands in the log whose head the keys signed, and that this log continues the one before.
    pub fn prove(&self, manifest: Verified<Manifest>, keys: &Keys) -> Result<Verified<Manifest>, Error> {
        let refused = |code: &'static str, why: String| Error::Log { code, why };
        let entry: Entry = json::read("line of the release log", self.entry.as_bytes())?;
        let value = manifest.value();
        let own = Entry {
            release: value.release,
            version: value.version.clone(),
            commit: value.commit.clone(),
            manifest: Digest::of(&value.write()?),
        };
        if entry != own {
            return Err(refused(
                "other-entry",
                format!("its line is of release {}, and of another manifest", entry.release),
            ));
        }
        let head = Head::verify(self.head.to_string().as_bytes(), keys)?;
        let leaf = sigstore_merkle::hash_leaf(self.entry.as_bytes());
        let Head { size, root } = *head.value();
        sigstore_merkle::verify_inclusion_proof(
            &leaf,
            self.index,
            size,
            &hashes(&self.inclusion),
            &hash(&root),
        )
        .map_err(|error| refused("inclusion", error.to_string()))?;
        if let Some(before) = &self.before {
            let old = hash(&before.head.root);
            let way = hashes(&before.consistency);
            sigstore_merkle::verify_consistency_proof(before.head.size, size, &way, &old, &hash(&root))
                .map_err(|error| refused("consistency", error.to_string()))?;
        }
        let mut manifest = manifest;
        manifest.prove(Proof::Log);
        Ok(manifest)
    }
}

/// The leaf hash of a line.
pub fn leaf(line: &str) -> Digest {
    Digest(*sigstore_merkle::hash_leaf(line.as_bytes()).as_bytes())
}

fn hash(digest: &Digest) -> Sha256Hash {
    Sha256Hash::new(*digest.as_bytes())
}

fn hashes(digests: &[Digest]) -> Vec<Sha256Hash> {
    digests.iter().map(hash).collect()
}
