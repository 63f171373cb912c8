//! Whom a bundle is judged by: authorities and logs, and the time.

use claw_model::digest::Digest;
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::Verifier;

use super::refused;
use crate::{Clock, Error, json};

/// A `trusted_root.json` that was read.
#[derive(Debug, Clone)]
pub struct Root {
    root: TrustedRoot,
    digest: Digest,
}

/// A trust root made ready, at one time. Verifies any number of bundles.
pub struct Trust {
    verifier: Verifier,
    clock: Clock,
}

impl Root {
    /// Reads a trust root.
    pub fn read(bytes: &[u8]) -> Result<Root, Error> {
        let unusable = |why: String| Error::Trust { what: WHAT, why };
        json::value(WHAT, bytes).map_err(|error| unusable(error.to_string()))?;
        let text = std::str::from_utf8(bytes).map_err(|error| unusable(error.to_string()))?;
        let root = TrustedRoot::from_json(text).map_err(|error| unusable(error.to_string()))?;
        Ok(Root { root, digest: Digest::of(bytes) })
    }

    /// The public-good instance's, as it was when this program was built.
    pub fn public_good() -> Result<Root, Error> {
        Root::read(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes())
    }

    /// Of the bytes it was read from.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Trust {
    /// Makes a root ready. Logs whose keys begin after the clock's time are left out: the library below asks the system's
    /// clock for that, and so can only refuse more.
    pub fn new(root: &Root, clock: Clock) -> Result<Trust, Error> {
        let now = clock.now();
        let mut root = root.root.clone();
        root.tlogs.retain(|log| log.public_key.valid_for.is_none_or(|valid| valid.has_started_by(now)));
        root.ctlogs.retain(|log| log.public_key.valid_for.is_none_or(|valid| valid.has_started_by(now)));
        let verifier = Verifier::new(&root).map_err(refused::why)?;
        Ok(Trust { verifier, clock })
    }

    /// The time it judges by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("clock", &self.clock).finish_non_exhaustive()
    }
}

const WHAT: &str = "trust root";
