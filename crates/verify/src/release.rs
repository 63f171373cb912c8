//! Releases of Claw: a signed manifest of files, and a log of all manifests that is only ever appended to.
//!
//! The manifest says which bytes a release has. The log says that everybody is shown the same releases: the entry of this
//! one stands under a head that was signed, by RFC 9162's proofs. Neither says that the bytes are good.

pub mod log;

use claw_model::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::{Error, Keys, Proof, Verified, json};

/// The payload type of a manifest.
pub const MANIFEST: &str = "application/vnd.claw.release+json";

/// What a release consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this document: 1.
    pub schema: u32,
    /// What is released.
    pub name: String,
    /// As people count.
    pub version: String,
    /// As releases are counted: each has a higher number than all before it.
    pub release: u64,
    /// The platform.
    pub target: String,
    /// The commit that was built.
    pub commit: String,
    /// Its files. The provenance among them names the compiler.
    pub files: Vec<File>,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Without directories.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// What it is.
    pub digest: Digest,
}

impl Manifest {
    /// The manifest in an envelope, if enough of the keys signed it.
    pub fn verify(envelope: &[u8], keys: &Keys) -> Result<Verified<Manifest>, Error> {
        let payload = Envelope::read(envelope)?.verify(MANIFEST, keys)?;
        payload.try_map(|payload| Manifest::read(&payload.bytes))
    }

    /// Reads a manifest; on nobody's word.
    pub fn read(bytes: &[u8]) -> Result<Manifest, Error> {
        let manifest: Manifest = json::read(WHAT, bytes)?;
        if manifest.schema != 1 {
            let found = manifest.schema.to_string();
            return Err(Error::Unsupported {
                what: "schema of a release",
                found,
                hint: "1 is; a newer claw may know it",
            });
        }
        let mut names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(malformed("a file stands twice"));
        }
        if names
            .iter()
            .any(|name| name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']))
        {
            return Err(malformed("the name of a file leads elsewhere"));
        }
        Ok(manifest)
    }

    /// As JSON, always the same bytes.
    pub fn write(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| malformed(&error.to_string()))
    }
}

impl Verified<Manifest> {
    /// Proves that these bytes are a file of the release, not older than `least`.
    pub fn prove_file(
        mut self,
        name: &str,
        digest: Digest,
        size: u64,
        least: u64,
    ) -> Result<Verified<Manifest>, Error> {
        let manifest = self.value();
        let Some(file) = manifest.files.iter().find(|file| file.name == name) else {
            let why = format!("release {} has no file `{}`", manifest.release, name.escape_debug());
            return Err(Error::Artifact { why });
        };
        if file.digest != digest || file.size != size {
            let why = format!(
                "`{name}` of release {} has {} bytes, {}; this has {size}, {digest}",
                manifest.release, file.size, file.digest
            );
            return Err(Error::Artifact { why });
        }
        if manifest.release < least {
            return Err(Error::Provenance {
                what: "the number of the release",
                asked: format!("{least} or higher, which was seen before"),
                found: manifest.release.to_string(),
            });
        }
        self.prove(Proof::Subject);
        Ok(self)
    }
}

fn malformed(why: &str) -> Error {
    Error::Malformed { what: WHAT, why: why.to_owned() }
}

const WHAT: &str = "release manifest";

#[cfg(test)]
mod tests;
