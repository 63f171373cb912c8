//! The versions of the allowed signers along the history: which one holds at each commit, and whether each change was allowed by the version
//! before it.
//!
//! The first version is the one given from outside. A change that is not allowed does not take: what follows is judged by the version before.
//! Where histories join, the version that follows all the others holds; if none does, the join is a change of each of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use gix_hash::ObjectId;

use crate::finding::{Code, Finding};
use crate::graph::{Graph, Set, to_usize};
use crate::judge::Means;
use crate::signers::{Role, Signer, Signers, digest_of};
use crate::source::{ReadError, Source, What};
use crate::tree::Trees;

mod change;

/// Where the allowed signers are in a repository.
pub const PLACE: &str = ".claw/allowed-signers.toml";
/// Where the signatures of others over them are.
pub const SIGNATURES: &str = ".claw/allowed-signers.sig";
/// What these signatures are made for: the namespace of `ssh-keygen -Y sign -n`.
pub const PURPOSE: &str = "claw-allowed-signers";

/// Where the first version comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// From a file that is not in the history: what the history carries where judging begins must be the same.
    Outside,
    /// From the commit where judging begins: what lies beside it may carry older ones, and is judged by this one.
    Base,
}

/// One version.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) signers: Signers,
    /// The commit that made it; none for the one given from outside.
    pub(crate) by: Option<u32>,
    /// The versions it follows, itself among them.
    pub(crate) line: BTreeSet<usize>,
    /// The versions just before it.
    pub(crate) before: Vec<usize>,
    /// The keys that agreed to it, each with its person.
    pub(crate) agreed: BTreeMap<String, String>,
    /// How many people that took.
    pub(crate) threshold: usize,
}

/// All versions, and which holds where.
pub(crate) struct Lineage {
    pub(crate) versions: Vec<Version>,
    at: Vec<usize>,
    pub(crate) findings: Vec<Finding>,
}

/// What is known while the history is walked.
struct Walk<'a> {
    source: &'a dyn Source,
    graph: &'a Graph,
    trees: &'a Trees<'a>,
    means: &'a Means,
    pinned: Pinned,
    raw: Vec<Option<ObjectId>>,
    digests: RefCell<HashMap<ObjectId, String>>,
    found: Lineage,
}

/// The tree of the baseline carries allowed signers that are not the ones given.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) commit: ObjectId,
    pub(crate) given: String,
    pub(crate) found: String,
}

pub(crate) enum LineageError {
    Read(ReadError),
    Mismatch(Mismatch),
}

impl From<ReadError> for LineageError {
    fn from(error: ReadError) -> LineageError {
        LineageError::Read(error)
    }
}

impl Lineage {
    /// Walks the whole history, parents first.
    pub(crate) fn read(
        source: &dyn Source,
        graph: &Graph,
        trees: &Trees<'_>,
        (signers, pinned, unjudged, means): (&Signers, Pinned, &Set, &Means),
        tell: &mut dyn FnMut(usize),
    ) -> Result<Lineage, LineageError> {
        let first = Version {
            signers: signers.clone(),
            by: None,
            line: BTreeSet::from([0]),
            before: Vec::new(),
            agreed: BTreeMap::new(),
            threshold: 0,
        };
        let found =
            Lineage { versions: vec![first], at: Vec::with_capacity(graph.len()), findings: Vec::new() };
        let raw = Vec::with_capacity(graph.len());
        let mut walk = Walk { source, graph, trees, means, pinned, raw, digests: RefCell::default(), found };
        for number in graph.all() {
            let tree = graph.tree(number);
            let same = graph.parents(number).iter().find(|parent| graph.tree(**parent) == tree);
            let raw = match same {
                Some(parent) => walk.raw(*parent),
                None => trees.find(&tree, PLACE)?,
            };
            walk.raw.push(raw);
            let version = if unjudged.contains(number) { 0 } else { walk.version(number, raw, unjudged)? };
            walk.found.at.push(version);
            tell(to_usize(number));
        }
        Ok(walk.found)
    }

    /// The version that holds after a commit.
    pub(crate) fn after(&self, number: u32) -> usize {
        self.at.get(to_usize(number)).copied().unwrap_or(0)
    }

    /// The versions that hold before a commit: those of its parents that no other of them follows.
    pub(crate) fn before(&self, graph: &Graph, number: u32) -> Vec<usize> {
        let parents: BTreeSet<usize> =
            graph.parents(number).iter().map(|parent| self.after(*parent)).collect();
        if parents.is_empty() { vec![0] } else { self.newest(parents) }
    }

    /// Of these versions, those that no other of them follows.
    pub(crate) fn newest(&self, of: BTreeSet<usize>) -> Vec<usize> {
        let follows = |version: usize, other: usize| {
            version != other && self.get(version).is_some_and(|version| version.line.contains(&other))
        };
        of.iter().copied().filter(|other| !of.iter().any(|version| follows(*version, *other))).collect()
    }

    pub(crate) fn get(&self, version: usize) -> Option<&Version> {
        self.versions.get(version)
    }

    /// Whether as many people as a version took, and as another takes by now, would still agree to it, by another version that does not follow it.
    pub(crate) fn would_agree(&self, version: &Version, by: usize, counts: impl Fn(&Signer) -> bool) -> bool {
        let Some(other) = self.get(by) else { return true };
        // where histories only join, nobody had to agree
        if version.threshold == 0 {
            return true;
        }
        let still = version.agreed.iter().filter(|(key, _)| match other.signers.by_id(key) {
            Some(signer) => signer.roles.contains(&Role::Policy) && counts(signer),
            None => !self.ever_knew(by, key),
        });
        let people: BTreeSet<&String> = still.map(|(_, person)| person).collect();
        people.len() >= version.threshold.max(other.signers.threshold)
    }

    /// The commits that changed or removed a key's entry, in the line of this version, with the entry after each.
    pub(crate) fn changes_of(&self, version: usize, key: &str) -> Vec<(u32, Option<&Signer>)> {
        let changed = self.line(version).filter(|version| {
            let own = version.signers.by_id(key);
            version.before.iter().filter_map(|before| self.get(*before)).any(|before| {
                let old = before.signers.by_id(key);
                old.is_some() && old != own
            })
        });
        changed.filter_map(|version| Some((version.by?, version.signers.by_id(key)))).collect()
    }

    /// The commits from which on the line of this version says something that it did not say before.
    pub(crate) fn changes_to(&self, version: usize, says: &dyn Fn(&Signers) -> bool) -> Vec<u32> {
        let new = self.line(version).filter(|version| {
            let mut before = version.before.iter().filter_map(|before| self.get(*before));
            says(&version.signers) && before.any(|before| !says(&before.signers))
        });
        new.filter_map(|version| version.by).collect()
    }

    fn line(&self, version: usize) -> impl Iterator<Item = &Version> {
        let line = self.get(version).map(|version| &version.line);
        line.into_iter().flatten().filter_map(|version| self.get(*version))
    }

    /// Whether a key was ever known in the line of this version.
    pub(crate) fn ever_knew(&self, version: usize, key: &str) -> bool {
        self.line(version).any(|version| version.signers.by_id(key).is_some())
    }
}

impl Walk<'_> {
    fn raw(&self, number: u32) -> Option<ObjectId> {
        self.raw.get(to_usize(number)).copied().flatten()
    }

    fn digest(&self, blob: &ObjectId) -> Result<String, ReadError> {
        if let Some(known) = self.digests.borrow().get(blob) {
            return Ok(known.clone());
        }
        let digest = digest_of(&self.source.read(blob, What::Blob)?);
        self.digests.borrow_mut().insert(*blob, digest.clone());
        Ok(digest)
    }

    fn is(&self, version: usize, blob: &ObjectId) -> Result<bool, ReadError> {
        let digest = self.digest(blob)?;
        Ok(self.found.get(version).is_some_and(|version| version.signers.digest == digest))
    }

    fn version(&mut self, number: u32, raw: Option<ObjectId>, unjudged: &Set) -> Result<usize, LineageError> {
        let parents = self.graph.parents(number).to_vec();
        let given =
            parents.iter().filter(|parent| self.pinned == Pinned::Outside && unjudged.contains(**parent));
        for parent in given {
            let Some(blob) = self.raw(*parent) else { continue };
            if !self.is(0, &blob)? {
                return Err(LineageError::Mismatch(Mismatch {
                    commit: self.graph.id(*parent),
                    given: self
                        .found
                        .get(0)
                        .map(|version| version.signers.digest.clone())
                        .unwrap_or_default(),
                    found: self.digest(&blob)?,
                }));
            }
        }
        let tops = self.found.before(self.graph, number);
        let only = match tops.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        // what a parent of the version that holds already had is no change of this commit, but a merge takes the file that holds
        let inherited = |parent: &u32| self.raw(*parent) == raw && Some(self.found.after(*parent)) == only;
        if let (Some(only), true) = (only, parents.iter().any(inherited)) {
            let mut offered = false;
            for blob in parents.iter().filter_map(|parent| self.raw(*parent)) {
                offered |= Some(blob) != raw && self.is(only, &blob)?;
            }
            if !offered {
                return Ok(only);
            }
        }
        let Some(blob) = raw else {
            if let ([], Some(only)) = (parents.as_slice(), only) {
                return Ok(only);
            }
            let why = format!("`{PLACE}` was deleted: the last version holds on");
            let fix = format!("git checkout {} -- {PLACE}", self.parent(number));
            let finding = self.on(number, Finding::error(Code::PolicyRemoved, why)).fix(fix);
            self.found.findings.push(finding);
            return Ok(only.unwrap_or_else(|| self.join(number, &tops)));
        };
        let mut all = true;
        for top in &tops {
            all &= self.is(*top, &blob)?;
        }
        match (all, only) {
            (true, Some(only)) => Ok(only),
            (true, None) => Ok(self.join(number, &tops)),
            _ => self.change(number, &tops, blob),
        }
    }

    /// The first of several versions, as one that follows all of them: where their texts are the same, or nothing better is known.
    fn join(&mut self, number: u32, tops: &[usize]) -> usize {
        let first = tops.first().and_then(|top| self.found.get(*top)).map(|version| version.signers.clone());
        match first {
            Some(signers) => self.add(number, tops, signers),
            None => 0,
        }
    }

    fn add(&mut self, number: u32, tops: &[usize], signers: Signers) -> usize {
        let version = self.found.versions.len();
        let lines =
            tops.iter().filter_map(|top| self.found.get(*top)).flat_map(|top| top.line.iter().copied());
        let line = lines.chain([version]).collect();
        let before = tops.to_vec();
        let (agreed, threshold) = (BTreeMap::new(), 0);
        self.found.versions.push(Version { signers, by: Some(number), line, before, agreed, threshold });
        version
    }
}
