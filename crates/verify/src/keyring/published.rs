//! What was published, as its signatures say. Whoever carries the directory can put any file into it: one that not enough holders
//! signed is the base of nothing, and is refused by its name.

use std::collections::BTreeMap;

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Keyring, KeyringError, Signed, need, version};
use crate::pack::REVOCATIONS;
use crate::revocation::Revocations;
use crate::tuf::KEYRING;

/// Approvals that enough holders signed.
pub(super) struct Approvals {
    pub(super) version: u64,
    pub(super) signed: Signed,
    /// Whether they are those whom the newest root asks. Else they are those of a root before it.
    pub(super) stand: bool,
}

impl Keyring {
    /// Whether a root was published, whoever signed it.
    pub(super) fn has_root(&self) -> bool {
        !self.numbered("root").is_empty()
    }

    /// The newest root. Each is signed by the one before, and by itself.
    pub(super) fn root(&self) -> Result<Option<(u64, Signed)>, KeyringError> {
        Ok(self.roots()?.pop())
    }

    fn roots(&self) -> Result<Vec<(u64, Signed)>, KeyringError> {
        let mut roots: Vec<(u64, Signed)> = Vec::new();
        for (number, path) in self.numbered("root") {
            let root = self.file(path)?;
            let before = roots.last();
            if before.map_or(Some(1), |(before, _)| before.checked_add(1)) != Some(number) {
                return Err(KeyringError::Gap { path: path.to_owned() });
            }
            self.is_own(path, ("root", number), &root)?;
            for asks in before.iter().map(|(_, before)| before).chain([&root]) {
                let have = root.valid(asks.body(), "root")?.len();
                enough(path, have, need(asks.body(), "root"))?;
            }
            roots.push((number, root));
        }
        Ok(roots)
    }

    /// Refuses a chain of roots that does not lead through this one: an older state, or another history.
    pub fn follows(&self, root: &[u8]) -> Result<(), KeyringError> {
        let root = Signed::read("the pinned root", root)?;
        let (role, roots, seen) = ("root", self.roots()?, version(root.body()));
        match roots.iter().find(|(number, _)| *number == seen) {
            Some((_, own)) if own.bytes()? == root.bytes()? => Ok(()),
            Some(_) => Err(KeyringError::Forked { role, version: seen }),
            None => {
                let version = roots.last().map(|(number, _)| *number).unwrap_or_default();
                Err(KeyringError::Older { role, seen, version })
            }
        }
    }

    /// The newest approvals. Where a holder left, those from before may be signed by too few of the rest.
    pub(super) fn approved(&self) -> Result<Option<Approvals>, KeyringError> {
        let Some((version, path)) = self.numbered("targets").pop_last() else { return Ok(None) };
        let signed = self.file(path)?;
        self.is_own(path, ("targets", version), &signed)?;
        let taken = self.list_of(&signed)?.1.compromised();
        let (mut have, mut least, mut stand) = (0, usize::MAX, true);
        for (_, root) in self.roots()?.iter().rev() {
            let valid = signed.valid(root.body(), "targets")?;
            let count = valid.iter().filter(|id| !taken.contains(*id)).count();
            let need = need(root.body(), "targets");
            if count >= need {
                return Ok(Some(Approvals { version, signed, stand }));
            }
            // what is told of those whom the newest root asks
            if stand {
                (have, least, stand) = (count, need, false);
            }
        }
        enough(path, have, least)?;
        Ok(None)
    }

    /// The list of what was taken back that these approvals name, by its digest.
    pub(super) fn list_of(&self, targets: &Signed) -> Result<(&Vec<u8>, Revocations), KeyringError> {
        let hex = listed(targets.body()).unwrap_or_default();
        let path = format!("targets/{hex}.{REVOCATIONS}");
        let bytes = self.files.get(&path).ok_or(KeyringError::NoRevocations)?;
        if Digest::of(bytes).hex() != hex {
            return Err(KeyringError::Changed { path });
        }
        // an expired list is the one that is about to be renewed
        let list = Revocations::read(bytes, Timestamp::MIN, 0).map_err(KeyringError::Revocations)?;
        Ok((bytes, list))
    }

    /// The version that the next snapshot or timestamp gets: the seconds of the time at which it is made, or else one more than
    /// the highest that a key which counts has signed. So it grows though somebody took files away, or put some in.
    pub(super) fn after(&self, role: &'static str, now: Timestamp) -> Result<u64, KeyringError> {
        let files = match role {
            "timestamp" => BTreeMap::from([(0, "metadata/timestamp.json")]),
            _ => self.numbered(role),
        };
        let Some((_, root)) = self.root()? else { return Err(KeyringError::None) };
        let taken = self.published_list()?.map(|list| list.compromised()).unwrap_or_default();
        let mut highest = None;
        for path in files.into_values().filter(|path| self.files.contains_key(*path)) {
            // what is not read was not signed
            let Ok(signed) = self.file(path) else { continue };
            if !is_of(role, &signed) || !self.is_named(&signed)? {
                continue;
            }
            let by = signed.valid(root.body(), role)?.into_iter().find(|id| !taken.contains(id));
            highest = highest.max(by.map(|by| (version(signed.body()), by)));
        }
        let now = u64::try_from(now.as_second()).unwrap_or(1).max(1);
        let Some((version, key)) = highest else { return Ok(now) };
        version.checked_add(1).map(|next| next.max(now)).ok_or(KeyringError::Spent { role, key })
    }

    /// Refuses a file that is another one than its name says, or was signed for another keyring.
    fn is_own(&self, path: &str, (role, number): (&str, u64), signed: &Signed) -> Result<(), KeyringError> {
        if !is_of(role, signed) || version(signed.body()) != number {
            return Err(KeyringError::Misnamed { path: path.to_owned() });
        }
        match (role, number) == ("root", 1) || self.is_named(signed)? {
            true => Ok(()),
            false => Err(KeyringError::Other { path: path.to_owned() }),
        }
    }

    /// Whether it was made for this keyring.
    pub(super) fn is_named(&self, signed: &Signed) -> Result<bool, KeyringError> {
        let name = self.name()?.map(|name| json!(name.to_string()));
        Ok(signed.body().get(KEYRING) == name.as_ref())
    }

    fn file(&self, path: &str) -> Result<Signed, KeyringError> {
        Signed::read(path, self.files.get(path).map(Vec::as_slice).unwrap_or_default())
    }

    /// The files of a role by the number in their names, as readers ask for them.
    fn numbered(&self, role: &str) -> BTreeMap<u64, &str> {
        let ending = format!(".{role}.json");
        let number = |path: &str| {
            let digits = path.strip_prefix("metadata/")?.strip_suffix(&ending)?;
            digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
        };
        self.files.keys().filter_map(|path| Some((number(path)?, path.as_str()))).collect()
    }
}

/// Holders sign all roles with the same keys: only the body says of which one it is.
pub(super) fn is_of(role: &str, signed: &Signed) -> bool {
    signed.body().get("_type").and_then(Value::as_str) == Some(role)
}

/// The digest of the list that approvals name.
pub(super) fn listed(targets: &Value) -> Option<&str> {
    targets.pointer(&format!("/targets/{REVOCATIONS}/hashes/sha256")).and_then(Value::as_str)
}

fn enough(path: &str, have: usize, need: usize) -> Result<(), KeyringError> {
    match have >= need {
        true => Ok(()),
        false => Err(KeyringError::Unsigned { path: path.to_owned(), have, need }),
    }
}
