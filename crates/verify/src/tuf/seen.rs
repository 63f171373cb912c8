//! What a node has trusted before, so that nothing older is trusted after it.
//!
//! A repository is known by what was signed as its roots, whoever else signs it: whoever pins another root of the same chain
//! meets the same memory. Only roots to which the pinned one leads are among them: anybody can make one that leads to it.

use std::collections::{BTreeMap, BTreeSet};

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::tuf::count::{self, Count};
use crate::tuf::{Files, Trusted, TufError};
use crate::{Clock, json};

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
    /// Digests of what was signed as its roots, by version. The first that was seen stays.
    roots: BTreeMap<u64, Digest>,
    root: u64,
    timestamp: u64,
    snapshot: u64,
    /// By name of each role that lists targets.
    roles: BTreeMap<String, u64>,
    revocations: u64,
    /// Keys that the newest list of what was taken back calls compromised.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    compromised: BTreeSet<String>,
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
    /// What was signed as the version that is remembered, by role: one version is one content.
    #[serde(default)]
    contents: BTreeMap<String, (u64, Digest)>,
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
        self.repositories.get(self.at(root)?)
    }

    fn at(&self, root: &[u8]) -> Option<usize> {
        // what an earlier version kept is of the whole file
        let digests = [count::content("root", root).ok()?, Digest::of(root)];
        self.repositories.iter().position(|known| known.roots.values().any(|root| digests.contains(root)))
    }

    /// Remembers what was just verified. Nothing gets lower but what replaced keys set free.
    pub fn remember(&mut self, trusted: &Trusted, revocations: u64) {
        let mut known = self.take(trusted);
        if let Some((issued, role)) = trusted.issued().filter(|(issued, _)| Some(*issued) > known.floor) {
            known.floor = Some(issued);
            let signers = trusted.signers(role).into_iter();
            known.word =
                signers.map(|(id, name)| name.map_or(id.clone(), |name| format!("{name} {id}"))).collect();
        }
        known.revocations = known.revocations.max(revocations);
        self.put(known);
    }

    /// Remembers what these files hold that was signed, role after role up to the first that is refused: keys that a root
    /// replaced stay replaced, and what was seen once is not followed by less, even where the rest is refused. It judges
    /// nothing, and is called before [`Trusted::refresh`] does.
    pub fn learn(&mut self, pinned: &[u8], files: &Files, clock: &Clock) {
        if self.known(pinned).is_none() {
            self.meet(pinned, files, clock);
        }
        let Ok(mut trusted) = Trusted::begin(pinned, files, clock, self.known(pinned)) else { return };
        let _ = trusted.advance();
        let known = self.take(&trusted);
        self.put(known);
    }

    /// A root that was not pinned here before leads to one that was: then both are of one repository.
    fn meet(&mut self, pinned: &[u8], files: &Files, clock: &Clock) {
        let Ok(mut trusted) = Trusted::begin(pinned, files, clock, None) else { return };
        let _ = trusted.advance();
        let (roots, (version, _)) = (trusted.chain(), trusted.pinned());
        let Some(digest) = roots.get(&version) else { return };
        let is_same = |known: &&mut Known| {
            roots.iter().any(|(version, digest)| known.roots.get(version) == Some(digest))
        };
        if let Some(known) = self.repositories.iter_mut().find(is_same) {
            known.roots.entry(version).or_insert(*digest);
        }
    }

    fn take(&mut self, trusted: &Trusted) -> Known {
        let (_, pinned) = trusted.pinned();
        let mut known = self.at(pinned).map(|at| self.repositories.swap_remove(at)).unwrap_or_default();
        known.take(trusted);
        known
    }

    fn put(&mut self, known: Known) {
        // of which no root was believed, there is nothing to know
        if known != Known::default() {
            self.repositories.push(known);
        }
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

    /// The highest version of a root or of approvals that was seen, and the digest of what was signed, if that is known.
    pub(crate) fn newest(&self, role: &str) -> (u64, Option<Digest>) {
        let version = match role {
            "root" => self.root,
            _ => self.approved.get(role).copied().unwrap_or_default(),
        };
        let content =
            self.contents.get(role).filter(|(seen, _)| *seen == version).map(|(_, content)| *content);
        (version, content)
    }

    pub(super) fn compromised(&self) -> &BTreeSet<String> {
        &self.compromised
    }

    /// Refuses of a role that was verified what is lower than what was trusted before, or else by the same version.
    pub(super) fn judge(&self, role: &str, trusted: &Trusted, count: &Count) -> Result<(), TufError> {
        match role {
            "root" => {
                lower("root", self.root, trusted.root().version)?;
                // the chain leads through every root between: from another one, whoever left could lead anywhere
                match self.contents.get("root") {
                    Some((version, content)) if trusted.root_content(*version)? != Some(*content) => {
                        Err(TufError::OtherRoot { version: *version })
                    }
                    _ => Ok(()),
                }
            }
            "timestamp" if !self.is_free(trusted) => {
                let (version, _) = count.content();
                lower("timestamp", self.timestamp, version)?;
                lower("snapshot", self.snapshot, trusted.snapshot_version().unwrap_or_default())?;
                self.same(role, count)
            }
            "snapshot" => {
                let new = trusted.versions().roles;
                if !self.is_free(trusted) {
                    self.same(role, count)?;
                    for (role, before) in &self.roles {
                        match new.get(role) {
                            Some(after) => lower(role, *before, *after)?,
                            None => {
                                let role = role.clone();
                                return Err(TufError::Rollback { role, trusted: *before, new: 0 });
                            }
                        }
                    }
                }
                // what was approved never falls, new keys or not. A role that only a snapshot named may be a thief's invention
                self.approved.iter().try_for_each(|(role, before)| {
                    new.get(role).map_or(Ok(()), |after| lower(role, *before, *after))
                })
            }
            "timestamp" => Ok(()),
            _ => {
                lower(role, self.approved.get(role).copied().unwrap_or_default(), count.content().0)?;
                self.same(role, count)
            }
        }
    }

    fn same(&self, role: &str, count: &Count) -> Result<(), TufError> {
        let (version, content) = count.content();
        match self.contents.get(role) {
            Some((before, other)) if *before == version && *other != content => {
                Err(TufError::Changed { role: role.to_owned(), version })
            }
            _ => Ok(()),
        }
    }

    /// 5.3.11: new keys for timestamp or snapshot set the versions of both free.
    fn is_free(&self, trusted: &Trusted) -> bool {
        let keys = keys(trusted);
        self.keys.iter().any(|(role, before)| keys.get(role) != Some(before))
    }

    /// Whatever was judged.
    fn take(&mut self, trusted: &Trusted) {
        if let Some(compromised) = &trusted.compromised {
            self.compromised = compromised.clone();
        }
        let counted = trusted.counted();
        let held = |role: &str| counted.iter().any(|counted| counted == role);
        if held("root") {
            self.root = trusted.root().version;
            for (version, digest) in trusted.chain() {
                self.roots.entry(version).or_insert(digest);
            }
        }
        if held("timestamp") {
            if self.is_free(trusted) {
                self.roles.clear();
                self.contents.retain(|role, _| !SINGLE.contains(&role.as_str()));
            }
            self.keys = keys(trusted);
            self.timestamp = trusted.versions().timestamp;
            self.snapshot = trusted.snapshot_version().unwrap_or_default();
        }
        if held("snapshot") {
            self.roles = trusted.versions().roles;
        }
        for role in &counted {
            let Some((version, content)) = trusted.content(role) else { continue };
            self.contents.insert(role.clone(), (version, content));
            if role != "root" && !SINGLE.contains(&role.as_str()) {
                let highest = self.approved.entry(role.clone()).or_default();
                *highest = (*highest).max(version);
            }
        }
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
