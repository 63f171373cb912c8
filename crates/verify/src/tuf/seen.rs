//! What a node has trusted before, so that nothing older is trusted after it.
//!
//! A repository is known by the digests of its roots: whoever pins a newer root of the same chain meets the same memory.

use std::collections::BTreeMap;

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json;
use crate::tuf::{Trusted, TufError};

/// All that a node remembers. It is kept by the caller, replaced whole, before anything takes effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    version: u32,
    /// A time that holds for every repository, as it was kept once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<Timestamp>,
    repositories: Vec<Known>,
}

/// What is remembered of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Digests of its roots, by version.
    roots: BTreeMap<u64, Digest>,
    root: u64,
    timestamp: u64,
    snapshot: u64,
    /// By name of each role that lists targets.
    roles: BTreeMap<String, u64>,
    revocations: u64,
    /// Versions of roles whose signatures were counted: they never fall, whoever signs the snapshot.
    #[serde(default)]
    approved: BTreeMap<String, u64>,
    /// The newest time that was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<Timestamp>,
    /// On whose word: names, or key ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    word: Vec<String>,
    /// Who signs roles whose keys, once replaced, free their versions: else a thief's highest version would last.
    keys: BTreeMap<String, Digest>,
}

/// The memory cannot be read. Then nothing is trusted.
#[derive(Debug, thiserror::Error)]
pub enum SeenError {
    /// It is not as it was written.
    #[error(transparent)]
    Json(#[from] crate::Error),
    /// It was written by another version of this program.
    #[error("it has version {0}, and {VERSION} is known")]
    Version(u32),
}

impl Seen {
    /// Nothing was seen.
    pub fn new() -> Seen {
        Seen { version: VERSION, floor: None, repositories: Vec::new() }
    }

    /// Reads what [`Seen::to_bytes`] wrote.
    pub fn parse(bytes: &[u8]) -> Result<Seen, SeenError> {
        let seen: Seen = json::read("what was trusted before", bytes)?;
        if seen.version != VERSION {
            return Err(SeenError::Version(seen.version));
        }
        Ok(seen)
    }

    /// As it is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The newest time that was verified in the repository of this root: the clock cannot say less. Without one, in any.
    pub fn floor(&self, root: Option<&[u8]>) -> Option<Timestamp> {
        let own = match root {
            Some(root) => self.known(root).and_then(|known| known.floor),
            None => self.repositories.iter().filter_map(|known| known.floor).max(),
        };
        own.max(self.floor)
    }

    /// On whose word that time stands.
    pub fn word(&self, root: &[u8]) -> &[String] {
        self.known(root).map(|known| known.word.as_slice()).unwrap_or_default()
    }

    /// What is known of the repository to which this root belongs.
    pub fn known(&self, root: &[u8]) -> Option<&Known> {
        let digest = Digest::of(root);
        self.repositories.iter().find(|known| known.roots.values().any(|root| *root == digest))
    }

    /// Remembers what was just verified. Nothing gets lower but what replaced keys set free.
    pub fn remember(&mut self, trusted: &Trusted, revocations: u64) {
        let (pinned_version, pinned) = trusted.pinned();
        let pinned = Digest::of(pinned);
        let at = self.repositories.iter().position(|known| known.roots.values().any(|root| *root == pinned));
        let mut known = at.map(|at| self.repositories.swap_remove(at)).unwrap_or_default();
        let versions = trusted.versions();
        known.roots.insert(pinned_version, pinned);
        known.roots.extend(trusted.roots().map(|(version, bytes)| (version, Digest::of(bytes))));
        known.root = versions.root;
        known.timestamp = versions.timestamp;
        known.snapshot = versions.snapshot;
        for role in trusted.counted().iter().filter(|role| !SINGLE.contains(&role.as_str())) {
            if let Some(version) = versions.roles.get(role) {
                let highest = known.approved.entry(role.clone()).or_default();
                *highest = (*highest).max(*version);
            }
        }
        known.roles = versions.roles;
        if let Some((issued, role)) = trusted.issued().filter(|(issued, _)| Some(*issued) > known.floor) {
            known.floor = Some(issued);
            let signers = trusted.signers(role).into_iter();
            known.word =
                signers.map(|(id, name)| name.map_or(id.clone(), |name| format!("{name} {id}"))).collect();
        }
        known.keys = keys(trusted);
        known.revocations = known.revocations.max(revocations);
        self.repositories.push(known);
        self.repositories.sort_by_key(|known| known.roots.values().next().copied());
    }
}

impl Default for Seen {
    fn default() -> Seen {
        Seen::new()
    }
}

impl Known {
    /// The version of the revocations that was trusted last.
    pub fn revocations(&self) -> u64 {
        self.revocations
    }

    /// Refuses what is lower than what was trusted before.
    pub(super) fn judge(&self, trusted: &Trusted) -> Result<(), TufError> {
        let new = trusted.versions();
        let keys = keys(trusted);
        let replaced = |role: &str| new.root > self.root && keys.get(role) != self.keys.get(role);
        lower("root", self.root, new.root)?;
        // 5.3.11: new keys for timestamp or snapshot set the versions of both free
        if !replaced("timestamp") && !replaced("snapshot") {
            lower("timestamp", self.timestamp, new.timestamp)?;
            lower("snapshot", self.snapshot, new.snapshot)?;
            for (role, before) in &self.roles {
                match new.roles.get(role) {
                    Some(after) => lower(role, *before, *after)?,
                    None => return Err(TufError::Rollback { role: role.clone(), trusted: *before, new: 0 }),
                }
            }
        }
        // what was approved never falls, new keys or not. A role that only a snapshot named may be a thief's invention
        for (role, before) in &self.approved {
            new.roles.get(role).map_or(Ok(()), |after| lower(role, *before, *after))?;
        }
        Ok(())
    }
}

fn lower(role: &str, trusted: u64, new: u64) -> Result<(), TufError> {
    match new < trusted {
        true => Err(TufError::Rollback { role: role.to_owned(), trusted, new }),
        false => Ok(()),
    }
}

fn keys(trusted: &Trusted) -> BTreeMap<String, Digest> {
    let root = trusted.root();
    let of = |role: &str| {
        let mut ids = root.role(role).map(|keys| keys.keyids.clone()).unwrap_or_default();
        ids.sort_unstable();
        Digest::of(ids.join("\n").as_bytes())
    };
    SINGLE.into_iter().map(|role| (role.to_owned(), of(role))).collect()
}

/// Roles that one key signs.
const SINGLE: [&str; 2] = ["timestamp", "snapshot"];
const VERSION: u32 = 1;
