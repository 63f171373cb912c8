//! To which keyring metadata belongs. Its holders may hold another one with the same keys: what they approve there must not count here.
//!
//! The first root has a mark that no other has. The digest of what was signed of it is the keyring's name: nobody can give it to another
//! one. Every later root, and all that a keyring approves, carries that name. A repository of other tools has neither; there, a
//! signature says only whose key made it.

use std::collections::BTreeMap;

use claw_model::digest::Digest;
use serde_json::Value;
use sigstore_tuf::{Metadata, Root};

use crate::tuf::{Trusted, TufError};

/// The keyring that a root belongs to; none if it is not one of Claw's.
pub fn keyring(root: &[u8]) -> Result<Option<Digest>, TufError> {
    let metadata = Metadata::<Root>::from_slice(root).map_err(|error| TufError::of("root", error))?;
    let first = metadata.signed().version == 1;
    let extra = &metadata.signed().extra;
    match (extra.get(MARK), named("root", extra)?) {
        (None, None) => Ok(None),
        (Some(_), None) if first => Ok(Some(Digest::of(metadata.signed_canonical()))),
        (None, Some(named)) if !first => Ok(Some(named)),
        _ => Err(TufError::Unnamed { role: "root".to_owned() }),
    }
}

impl Trusted {
    /// Refuses a role that was verified and belongs to another keyring than the pinned root. Of roots, each up to the newest.
    pub(super) fn one_keyring(&self, role: &str) -> Result<(), TufError> {
        let set = self.set();
        let extra = match role {
            "root" => {
                let newest = self.root().version;
                let mut roots = self.roots().filter(|(version, _)| *version <= newest);
                return roots.try_for_each(|(_, bytes)| same(role, self.keyring, keyring(bytes)?));
            }
            "timestamp" => set.timestamp().map(|role| &role.extra),
            "snapshot" => set.snapshot().map(|role| &role.extra),
            _ => set.targets_role(role).map(|role| &role.extra),
        };
        extra.map_or(Ok(()), |extra| self.same_keyring(role, extra))
    }

    /// Refuses a role that belongs to another keyring.
    pub(super) fn same_keyring(&self, role: &str, extra: &BTreeMap<String, Value>) -> Result<(), TufError> {
        same(role, self.keyring, named(role, extra)?)
    }
}

fn named(role: &str, extra: &BTreeMap<String, Value>) -> Result<Option<Digest>, TufError> {
    let Some(named) = extra.get(KEYRING) else { return Ok(None) };
    let digest = named.as_str().and_then(|text| text.parse().ok());
    digest.map(Some).ok_or_else(|| TufError::Unnamed { role: role.to_owned() })
}

fn same(role: &str, own: Option<Digest>, found: Option<Digest>) -> Result<(), TufError> {
    match own == found {
        true => Ok(()),
        false => Err(TufError::OtherKeyring { role: role.to_owned(), own, found }),
    }
}

/// What makes a first root unlike any other.
pub(crate) const MARK: &str = "x-claw-mark";
/// The keyring that a later root, or an approval, belongs to.
pub(crate) const KEYRING: &str = "x-claw-keyring";
