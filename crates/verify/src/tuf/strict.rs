//! What the client below would read over: a key of JSON written twice, one key that stands under two names, and a name
//! that passes for something else.

use std::collections::BTreeMap;

use sigstore_tuf::{Key, Metadata, Root};

use crate::json;
use crate::tuf::{NAME, TufError, is_name};

/// Refuses what is no JSON with each key once.
pub(super) fn check(name: &str, bytes: &[u8]) -> Result<(), TufError> {
    json::value("metadata", bytes).map_err(|why| TufError::Json { name: name.to_owned(), why })?;
    Ok(())
}

/// Refuses a root in which a role counts one key twice.
pub(super) fn root(bytes: &[u8]) -> Result<(), TufError> {
    let metadata = Metadata::<Root>::from_slice(bytes).map_err(|error| TufError::of("root", error))?;
    let root = metadata.signed();
    for key in root.keys.values() {
        let Some(name) = key.extra.get(NAME) else { continue };
        if !name.as_str().is_some_and(is_name) {
            return Err(TufError::Key {
                why: format!("`{}` is no name of a holder", name.to_string().escape_debug()),
            });
        }
    }
    root.roles.iter().try_for_each(|(role, keys)| once(role, &keys.keyids, &root.keys))
}

/// Refuses a list of key ids in which an id, or the key behind two ids, stands twice: one person would count as two.
pub(super) fn once(role: &str, ids: &[String], keys: &BTreeMap<String, Key>) -> Result<(), TufError> {
    let mut seen: BTreeMap<Vec<u8>, &String> = BTreeMap::new();
    for id in ids {
        // a key of a kind that is not known cannot count, so it cannot count twice
        let Some(key) = keys.get(id).and_then(|key| key.verification_key().ok()) else { continue };
        if let Some(other) = seen.insert(key.as_bytes().to_vec(), id) {
            let (one, other) = (other.clone(), id.clone());
            return Err(TufError::SameKey { role: role.to_owned(), one, other });
        }
    }
    Ok(())
}
