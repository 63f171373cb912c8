//! Adapter packages on disk: packed, signed, verified, installed, listed. Nothing of an adapter is run here.
//!
//! A package is an OCI image layout in a directory. It is read below that directory's descriptor; links of any kind, files
//! that nothing names, and files that are larger than they may be are refused. The signature is verified before anything
//! else is made of what it covers.

mod error;
mod install;
mod layout;
mod pack;
mod source;

use std::path::Path;

use claw_adapter::{Manifest, Release};
use claw_model::digest::Digest;
use claw_verify::{Keys, Signer, Verified};
use serde::{Deserialize, Serialize};

pub use error::AdapterError;
pub use install::{Installed, State, install, list};
pub use pack::{add, is_packed, new, pack};

/// A package that was verified, whole.
#[derive(Debug)]
pub struct Package {
    /// The digest of its manifest in the layout: its name in the store.
    pub digest: Digest,
    /// What it is.
    pub manifest: Manifest,
    release: Verified<Release>,
}

/// A tool, as it is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Its name.
    pub tool: String,
    /// The digest of its definition.
    pub definition: Digest,
}

impl Package {
    /// The ids of the keys that signed it.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.release.signers().iter().map(|signer| match signer {
            Signer::Key(id) => id.to_string(),
            other => other.to_string(),
        });
        keys.collect()
    }

    /// The definitions of its tools.
    pub fn pinned(&self) -> Vec<Pinned> {
        let tools = self.manifest.tools.iter();
        tools.map(|tool| Pinned { tool: tool.name.clone(), definition: tool.definition }).collect()
    }
}

/// Verifies a package: every byte of it.
pub fn verify(package: &Path, keys: &Keys) -> Result<Package, AdapterError> {
    layout::Layout::open(package)?.verify(keys)
}

#[cfg(test)]
mod tests;
