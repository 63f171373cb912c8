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
    /// Refuses roots and approvals that belong to another keyring than the pinned root.
    pub(super) fn one_keyring(&mut self) -> Result<(), TufError> {
        let own = keyring(self.pinned().1)?;
        let newest = self.root().version;
        for (_, bytes) in self.roots().filter(|(version, _)| *version <= newest) {
            same("root", own, keyring(bytes)?)?;
        }
        let set = self.set();
        let roles = [
            ("timestamp", set.timestamp().map(|role| &role.extra)),
            ("snapshot", set.snapshot().map(|role| &role.extra)),
            ("targets", set.targets_role("targets").map(|role| &role.extra)),
        ];
        for (role, extra) in roles {
            same(role, own, extra.map(|extra| named(role, extra)).transpose()?.flatten())?;
        }
        self.keyring = own;
        Ok(())
    }

    /// Refuses a delegated role that belongs to another keyring.
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
