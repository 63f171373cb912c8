//! Who may approve, as the root of a keyring says it: one that is pinned by itself, or the newest of a repository.

use jiff::Timestamp;
use sigstore_tuf::{Key, Root, TrustedMetadataSet};

use crate::PublicKey;
use crate::key::Algorithm;
use crate::tuf::count::time;
use crate::tuf::{FROM, Trusted, TufError, UNTIL, strict};

/// The keys that approve, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// Each key, from when until when.
    pub keys: Vec<(PublicKey, Option<Timestamp>, Option<Timestamp>)>,
    /// How many of them must sign.
    pub threshold: usize,
    /// Until when the root holds.
    pub expires: Timestamp,
}

/// The holders of a pinned root, which must be signed by as many of its own keys as it asks for.
pub fn holders(root: &[u8]) -> Result<Holders, TufError> {
    strict::check("the pinned root", root)?;
    strict::root(root)?;
    let set = TrustedMetadataSet::from_root(root).map_err(|error| TufError::of("root", error))?;
    of(set.root(), set.root().expires)
}

impl Trusted {
    /// The holders now, as the newest root names them.
    pub fn holders(&self) -> Result<Holders, TufError> {
        of(self.root(), self.until())
    }
}

fn of(root: &Root, expires: Timestamp) -> Result<Holders, TufError> {
    let Some(role) = root.role(APPROVES) else {
        return Err(TufError::NoRole { role: APPROVES.to_owned() });
    };
    let keys = role.keyids.iter().map(|id| {
        let key = root
            .keys
            .get(id)
            .ok_or_else(|| TufError::Key { why: format!("`{id}` is named and not there") })?;
        Ok((public(key)?, time(key, FROM)?, time(key, UNTIL)?))
    });
    Ok(Holders { keys: keys.collect::<Result<_, TufError>>()?, threshold: role.threshold, expires })
}

/// TUF writes an Ed25519 key in hex, and others in PEM.
fn public(key: &Key) -> Result<PublicKey, TufError> {
    let text = key.keyval.public.as_str();
    let read = match key.keytype.as_str() {
        "ed25519" => {
            let raw = data_encoding::HEXLOWER.decode(text.as_bytes());
            let raw = raw.map_err(|error| TufError::Key { why: error.to_string() })?;
            PublicKey::from_raw(Algorithm::Ed25519, &raw)
        }
        _ => PublicKey::from_pem(text),
    };
    read.map_err(|error| TufError::Key { why: error.to_string() })
}

/// The role whose keys approve.
const APPROVES: &str = "targets";
