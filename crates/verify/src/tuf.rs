//! The Update Framework (TUF 1.0), as a client without a network: metadata files in, a set that may be trusted out.
//!
//! `sigstore-tuf` follows the specification's workflow; here stands what it leaves to its caller. Files are read strictly, one
//! key counts once whatever names it has, keys count only in their time, and what was seen before is never followed by less.
//! Nothing is fetched: what is not among the files is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claw_model::digest::Digest;
use jiff::Timestamp;
use sigstore_tuf::{Delegations, Role, Root, TargetFile, TrustedMetadataSet, Updater, UpdaterConfig};

use crate::Clock;
use crate::tuf::count::{Authority, Count};

pub use self::bound::keyring;
pub(crate) use self::bound::{KEYRING, MARK};
pub(crate) use self::count::{FROM, NAME, UNTIL, is_name};
pub use self::error::TufError;
pub(crate) use self::error::called;
pub use self::files::Files;
pub use self::holders::{Holders, holders};
pub use self::seen::{Known, Seen, SeenError};

mod bound;
mod count;
mod error;
mod files;
mod holders;
mod seen;
mod strict;
#[cfg(test)]
pub(crate) mod tests;
pub mod uptane;

/// Metadata that was verified from a pinned root down to the targets.
#[derive(Debug)]
pub struct Trusted {
    updater: Updater,
    files: Arc<Files>,
    pinned: Vec<u8>,
    pinned_version: u64,
    clock: Clock,
    known: Option<Known>,
    counts: BTreeMap<String, Count>,
    keyring: Option<Digest>,
    compromised: Option<BTreeSet<String>>,
}

/// A target as the signed metadata describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub path: String,
    /// Its bytes.
    pub length: u64,
    /// Digests by algorithm, in hex.
    pub hashes: BTreeMap<String, String>,
    /// What whoever approved it says of it.
    pub custom: Option<serde_json::Value>,
}

/// Which version of each role is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// Of the root.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of each role that lists targets, by its name.
    pub roles: BTreeMap<String, u64>,
}

/// Whether these bytes are a root that can be pinned: strict, and signed by its own keys.
pub fn pin(root: &[u8]) -> Result<(), TufError> {
    strict::check("the pinned root", root)?;
    strict::root(root)?;
    TrustedMetadataSet::from_root(root).map(drop).map_err(|error| TufError::of("root", error))
}

impl Trusted {
    /// Follows the roots from the pinned one to the newest, then timestamp, snapshot and targets. `known` is what was trusted
    /// before: anything lower is refused, and so is anything else by the same version.
    pub fn refresh(
        pinned: &[u8],
        files: &Files,
        clock: &Clock,
        known: Option<&Known>,
    ) -> Result<Trusted, TufError> {
        let mut trusted = Trusted::begin(pinned, files, clock, known)?;
        trusted.advance().map(|()| trusted)
    }

    fn begin(
        pinned: &[u8],
        files: &Files,
        clock: &Clock,
        known: Option<&Known>,
    ) -> Result<Trusted, TufError> {
        pin(pinned)?;
        let files = Arc::new(files.strict()?);
        let mut config = UpdaterConfig::default();
        config.max_root_rotations = MOST_ROOTS;
        let updater =
            Updater::new(files.repository(), pinned).map_err(|error| TufError::of("root", error))?;
        let pinned_version = updater.trusted().root().version;
        let trusted = Trusted {
            updater: updater.with_config(config),
            files,
            pinned: pinned.to_owned(),
            pinned_version,
            clock: *clock,
            known: known.cloned(),
            counts: BTreeMap::new(),
            keyring: keyring(pinned)?,
            compromised: None,
        };
        trusted.older_roots()?;
        Ok(trusted)
    }

    /// As far as it goes. What was verified before a flaw is counted and judged before the flaw is told: an old timestamp is
    /// a rollback, whatever is missing below it.
    fn advance(&mut self) -> Result<(), TufError> {
        let now = self.clock.now();
        let refreshed = files::now(self.updater.refresh(now)).ok_or(TufError::Waits)?;
        for role in TOP {
            let Some(count) = self.count_top(role)? else { break };
            // order: before it is remembered: what was signed elsewhere teaches nothing here
            self.one_keyring(role)?;
            if let Some(known) = &self.known {
                // a key that was taken back teaches nothing: else it could still drive versions up
                count.without(role, known.compromised())?;
                known.judge(role, self, &count)?;
            }
            self.counts.insert(role.to_owned(), count);
        }
        refreshed.map_err(|error| TufError::of("metadata", error))
    }

    /// Looks a target up, along the delegations that lead to it.
    pub fn target(&mut self, path: &str) -> Result<Target, TufError> {
        let now = self.clock.now();
        let found = files::now(self.updater.get_target_info(path, now)).ok_or(TufError::Waits)?;
        let found = found.map_err(|error| TufError::of("targets", error))?;
        self.count_delegated()?;
        match found {
            Some(TargetFile { length, hashes, custom, .. }) => {
                Ok(Target { path: path.to_owned(), length, hashes, custom })
            }
            None => Err(TufError::NoTarget { path: path.to_owned() }),
        }
    }

    /// The names that the targets role lists, and delegated roles that a look-up has led to. Other roles are asked by name.
    pub fn listed(&self) -> Vec<String> {
        let roles = self.counts.keys().filter_map(|role| self.set().targets_role(role));
        let names: BTreeSet<String> = roles.flat_map(|targets| targets.targets.keys().cloned()).collect();
        names.into_iter().collect()
    }

    /// The versions.
    pub fn versions(&self) -> Versions {
        let set = self.set();
        // what the snapshot names counts, looked at or not: a role that was rolled back must not wait to be asked
        let roles = set.snapshot().map(|snapshot| {
            let named = snapshot.meta.iter();
            // one role has one name: by a second one it could seem newer than what is loaded
            let role = |name: &str| name.strip_suffix(".json").map(str::to_owned);
            named.filter_map(|(name, file)| Some((role(name)?, file.version))).collect()
        });
        Versions {
            root: set.root().version,
            timestamp: set.timestamp().map(|timestamp| timestamp.version).unwrap_or_default(),
            snapshot: set.snapshot().map(|snapshot| snapshot.version).unwrap_or_default(),
            roles: roles.unwrap_or_default(),
        }
    }

    /// Until when it holds: the first of the expiries of all that it stands on, keys included.
    pub fn until(&self) -> Timestamp {
        let set = self.set();
        let targets = self.counts.keys().filter_map(|role| set.targets_role(role)).map(Role::expires);
        let above =
            [Some(set.root().expires), set.timestamp().map(Role::expires), set.snapshot().map(Role::expires)];
        let keys = self.counts.values().filter_map(Count::until);
        above.into_iter().flatten().chain(targets).chain(keys).min().unwrap_or(Timestamp::MIN)
    }

    /// The newest time at which root or targets say that they were signed, as far as the clock believes it, and which of the
    /// two. It is a floor for the clock. Timestamp and snapshot are one holder's word, and that moves no clock.
    pub fn issued(&self) -> Option<(Timestamp, &'static str)> {
        let set = self.set();
        // nobody may lift the floor past what he signed for
        let of = |extra: &BTreeMap<String, serde_json::Value>, expires: Timestamp| {
            let time = extra.get(ISSUED)?.as_str()?.parse::<Timestamp>().ok()?;
            Some(self.clock.lifted(time)).filter(|_| time <= expires)
        };
        let root = of(&set.root().extra, set.root().expires).map(|time| (time, "root"));
        let targets = set.targets_role("targets").and_then(|role| of(&role.extra, role.expires));
        root.max(targets.map(|time| (time, "targets")))
    }

    /// Who signed a role so that it counted, by key id, with the name that the keyring gives, if it gives one.
    pub fn signers(&self, role: &str) -> BTreeMap<String, Option<String>> {
        self.counts.get(role).map(Count::signers).unwrap_or_default()
    }

    /// The roles whose signatures were counted.
    pub fn counted(&self) -> Vec<String> {
        self.counts.keys().cloned().collect()
    }

    /// The role on whose word a target stands: the first that lists it, in the order in which delegations are followed.
    pub fn role_of(&self, path: &str) -> Option<String> {
        let mut todo = vec!["targets".to_owned()];
        let mut done = BTreeSet::new();
        while !todo.is_empty() {
            let role = todo.remove(0);
            let Some(targets) = self.set().targets_role(&role).filter(|_| done.insert(role.clone())) else {
                continue;
            };
            if targets.target(path).is_some() {
                return Some(role);
            }
            let mut children = Vec::new();
            for child in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
                if child.matches_path(path).ok()? {
                    children.push(child.name.clone());
                    if child.terminating {
                        todo.clear();
                        break;
                    }
                }
            }
            children.append(&mut todo);
            todo = children;
        }
        None
    }

    /// The version of a role that was counted, and the digest of what was signed.
    fn content(&self, role: &str) -> Option<(u64, Digest)> {
        self.counts.get(role).map(Count::content)
    }

    /// The digest of what was signed as this version of the root, if it stands between the pinned one and the newest.
    fn root_content(&self, version: u64) -> Result<Option<Digest>, TufError> {
        let bytes = match self.files.read(&format!("{version}.root.json")) {
            Some(bytes) if version <= self.root().version => bytes,
            None if version == self.pinned_version => &self.pinned,
            _ => return Ok(None),
        };
        count::content("root", bytes).map(Some)
    }

    /// The digest of what was signed as each root from the pinned one to the newest, if that one was counted.
    fn chain(&self) -> BTreeMap<u64, Digest> {
        let newest = self.root().version;
        let held = self.counts.contains_key("root");
        let files =
            self.files.roots().filter(|(version, _)| (self.pinned_version + 1..=newest).contains(version));
        let roots = files.chain([(self.pinned_version, self.pinned.as_slice())]).filter(|_| held);
        roots.filter_map(|(version, bytes)| Some((version, count::content("root", bytes).ok()?))).collect()
    }

    /// The version of the snapshot that the timestamp names.
    fn snapshot_version(&self) -> Option<u64> {
        Some(self.set().timestamp()?.snapshot_meta()?.version)
    }

    /// How many signers the role needs.
    pub fn threshold(&self, role: &str) -> usize {
        self.counts.get(role).map(Count::threshold).unwrap_or_default()
    }

    /// Counts again without these keys: they are compromised, and are remembered so if enough are left.
    pub fn without(&mut self, compromised: &BTreeSet<String>) -> Result<(), TufError> {
        self.counts.iter().try_for_each(|(role, count)| count.without(role, compromised))?;
        self.compromised = Some(compromised.clone());
        Ok(())
    }

    /// The keyring that all of it belongs to; none if it is a repository of other tools.
    pub fn keyring(&self) -> Option<Digest> {
        self.keyring
    }

    /// The root that is trusted now.
    pub fn root(&self) -> &Root {
        self.set().root()
    }

    /// The root that was pinned: its version and bytes.
    pub fn pinned(&self) -> (u64, &[u8]) {
        (self.pinned_version, &self.pinned)
    }

    /// Names of metadata files that nothing led to. Who carries files says what each is for.
    pub fn unused(&self) -> Vec<String> {
        self.files.unused()
    }

    /// The metadata files that something led to.
    pub fn used(&self) -> Files {
        self.files.those_used()
    }

    /// Every root that is held, by its version.
    pub fn roots(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.files.roots()
    }

    fn set(&self) -> &TrustedMetadataSet {
        self.updater.trusted()
    }

    /// Roots before the pinned one must lead to it. They are there for nodes that pinned an older one.
    fn older_roots(&self) -> Result<(), TufError> {
        let pinned = self.root().version;
        let mut older = self.files.roots().filter(|(version, _)| *version <= pinned);
        let Some((mut last, first)) = older.next() else { return Ok(()) };
        let wrong = |error| TufError::of("root", error);
        let mut set = TrustedMetadataSet::from_root(first).map_err(wrong)?;
        self.named(&set, last)?;
        for (version, bytes) in older {
            set.update_root(bytes).map_err(wrong)?;
            last = version;
            self.named(&set, last)?;
        }
        if last != pinned {
            return Err(TufError::RootGap { last, pinned });
        }
        match set.root_bytes() == self.pinned || set.root() == self.root() {
            true => Ok(()),
            false => Err(TufError::OtherRoot { version: pinned }),
        }
    }

    fn named(&self, set: &TrustedMetadataSet, version: u64) -> Result<(), TufError> {
        let new = set.root().version;
        if new != version {
            return Err(TufError::RootVersion { trusted: version, new });
        }
        self.files.used(&format!("{version}.root.json"));
        Ok(())
    }

    /// Counts a role of the root's, if it was verified.
    fn count_top(&self, role: &str) -> Result<Option<Count>, TufError> {
        let root = self.root();
        let set = self.set();
        let (version, bytes) = match role {
            "root" => {
                let newest = self.files.read(&format!("{}.root.json", root.version));
                (root.version, newest.unwrap_or(&self.pinned))
            }
            "timestamp" => match set.timestamp() {
                Some(timestamp) => (timestamp.version, self.files.must("timestamp.json")?),
                None => return Ok(None),
            },
            "snapshot" => match set.snapshot() {
                Some(snapshot) => (snapshot.version, self.files.must(&self.name(role, snapshot.version))?),
                None => return Ok(None),
            },
            _ => match set.targets_role(role) {
                Some(targets) => (targets.version, self.files.must(&self.name(role, targets.version))?),
                None => return Ok(None),
            },
        };
        let Some(keys) = root.role(role) else {
            return Err(TufError::NoRole { role: role.to_owned() });
        };
        let authority = Authority { role, keys: &root.keys, ids: &keys.keyids, threshold: keys.threshold };
        Count::of(&authority, version, bytes, self.clock.now()).map(Some)
    }

    /// Counts roles that a look-up has loaded, each by the keys of the role that led there.
    fn count_delegated(&mut self) -> Result<(), TufError> {
        let mut todo = vec!["targets".to_owned()];
        let mut done = BTreeSet::new();
        while let Some(delegator) = todo.pop() {
            if !done.insert(delegator.clone()) {
                continue;
            }
            let targets = self.set().targets_role(&delegator);
            let Some(Delegations { keys, roles, .. }) =
                targets.and_then(|targets| targets.delegations.clone())
            else {
                continue;
            };
            for role in roles {
                let Some(own) = self.set().targets_role(&role.name) else { continue };
                self.same_keyring(&role.name, &own.extra)?;
                let ids = &role.keyids;
                let authority = Authority { role: &role.name, keys: &keys, ids, threshold: role.threshold };
                let version = self.versions().roles.get(&role.name).copied().unwrap_or_default();
                let bytes = self.files.must(&self.name(&role.name, version))?.to_vec();
                let count = Count::of(&authority, version, &bytes, self.clock.now())?;
                if let Some(known) = &self.known {
                    known.judge(&role.name, self, &count)?;
                }
                self.counts.insert(role.name.clone(), count);
                todo.push(role.name);
            }
        }
        Ok(())
    }

    fn name(&self, role: &str, version: u64) -> String {
        let encoded = files::encoded(role);
        match self.root().consistent_snapshot {
            true => format!("{version}.{encoded}.json"),
            false => format!("{encoded}.json"),
        }
    }
}

impl Target {
    /// Its SHA-256, without which nothing is installed.
    pub fn sha256(&self) -> Option<Digest> {
        self.hashes.get("sha256").and_then(|hex| format!("sha256:{hex}").parse().ok())
    }
}

/// Rotations that are followed at once: a node may have been away for long.
const MOST_ROOTS: u32 = 1024;

/// The roles that the root names, in the order in which they are verified.
const TOP: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

/// When a role was signed, on the word of those who signed it.
pub(crate) const ISSUED: &str = "x-claw-issued";
