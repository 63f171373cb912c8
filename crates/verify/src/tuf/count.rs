//! Who signed a role so that it counts: valid signatures by distinct keys, each in its time.

use std::collections::{BTreeMap, BTreeSet};

use claw_model::digest::Digest;
use jiff::Timestamp;
use sigstore_tuf::{Key, Metadata, Root, Snapshot, Targets};
use sigstore_types::SignatureBytes;

use crate::tuf::{TufError, strict};

/// Whom a role asks.
pub(super) struct Authority<'a> {
    pub(super) role: &'a str,
    pub(super) keys: &'a BTreeMap<String, Key>,
    pub(super) ids: &'a [String],
    pub(super) threshold: usize,
}

/// Whose signatures counted.
#[derive(Debug)]
pub(super) struct Count {
    version: u64,
    content: Digest,
    threshold: usize,
    signers: BTreeMap<String, Signer>,
}

#[derive(Debug)]
struct Signer {
    name: Option<String>,
    until: Option<Timestamp>,
}

impl Count {
    pub(super) fn of(
        authority: &Authority<'_>,
        version: u64,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Count, TufError> {
        strict::once(authority.role, authority.ids, authority.keys)?;
        let (signed, signatures) = parts(authority.role, bytes)?;
        let asked: BTreeSet<&String> = authority.ids.iter().collect();
        let mut signers = BTreeMap::new();
        for signature in signatures {
            let Some(key) = authority.keys.get(&signature.keyid).filter(|_| asked.contains(&signature.keyid))
            else {
                continue;
            };
            let raw = data_encoding::HEXLOWER_PERMISSIVE.decode(signature.sig.as_bytes()).unwrap_or_default();
            let valid = !raw.is_empty() && key.verify(&signed, &SignatureBytes::new(raw)).is_ok();
            let (from, until) = (time(key, FROM)?, time(key, UNTIL)?);
            let in_time = from.is_none_or(|from| from <= now) && until.is_none_or(|until| now <= until);
            if valid && in_time {
                let name = key.extra.get(NAME).and_then(|name| name.as_str()).map(str::to_owned);
                signers.insert(signature.keyid.clone(), Signer { name, until });
            }
        }
        let content = Digest::of(&signed);
        let count = Count { version, content, threshold: authority.threshold, signers };
        count.without(authority.role, &BTreeSet::new()).map(|()| count)
    }

    pub(super) fn without(&self, role: &str, revoked: &BTreeSet<String>) -> Result<(), TufError> {
        let found = self.signers.keys().filter(|id| !revoked.contains(*id)).count();
        match found >= self.threshold.max(1) {
            true => Ok(()),
            false => Err(TufError::Threshold { role: role.to_owned(), found, threshold: self.threshold }),
        }
    }

    pub(super) fn signers(&self) -> BTreeMap<String, Option<String>> {
        self.signers.iter().map(|(id, signer)| (id.clone(), signer.name.clone())).collect()
    }

    /// Its version, and the digest of all that the signatures are over.
    pub(super) fn content(&self) -> (u64, Digest) {
        (self.version, self.content)
    }

    pub(super) fn threshold(&self) -> usize {
        self.threshold
    }

    /// When so many keys have run out that the rest is too few.
    pub(super) fn until(&self) -> Option<Timestamp> {
        let mut ends: Vec<Timestamp> =
            self.signers.values().map(|signer| signer.until.unwrap_or(Timestamp::MAX)).collect();
        ends.sort_unstable_by(|one, other| other.cmp(one));
        ends.get(self.threshold.saturating_sub(1)).copied().filter(|end| *end != Timestamp::MAX)
    }
}

/// The digest of what is signed of a role.
pub(super) fn content(role: &str, bytes: &[u8]) -> Result<Digest, TufError> {
    parts(role, bytes).map(|(signed, _)| Digest::of(&signed))
}

/// The signed bytes and the signatures.
fn parts(role: &str, bytes: &[u8]) -> Result<(Vec<u8>, Vec<sigstore_tuf::Signature>), TufError> {
    let wrong = |error| TufError::of(role, error);
    macro_rules! of {
        ($kind:ty) => {{
            let metadata = Metadata::<$kind>::from_slice(bytes).map_err(wrong)?;
            (metadata.signed_canonical().to_vec(), metadata.signatures().to_vec())
        }};
    }
    Ok(match role {
        "root" => of!(Root),
        "timestamp" => of!(sigstore_tuf::Timestamp),
        "snapshot" => of!(Snapshot),
        _ => of!(Targets),
    })
}

/// A bound of a key's validity. One that cannot be read bounds everything.
pub(super) fn time(key: &Key, which: &'static str) -> Result<Option<Timestamp>, TufError> {
    let Some(value) = key.extra.get(which) else { return Ok(None) };
    let time = value.as_str().and_then(|text| text.parse().ok());
    time.map(Some).ok_or(TufError::KeyTime { field: which })
}

/// Whether it can be what a holder is called: plain, so that no name passes for a line, or for another name.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.trim() == name
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" .-_@+".contains(&byte))
}

/// Bytes of a holder's name.
const LONGEST_NAME: usize = 80;
/// Who holds the key, for people to read.
pub(crate) const NAME: &str = "x-claw-name";
/// From when the key counts.
pub(crate) const FROM: &str = "x-claw-from";
/// Until when the key counts.
pub(crate) const UNTIL: &str = "x-claw-until";
