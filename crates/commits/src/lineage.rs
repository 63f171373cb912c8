//! The versions of the allowed signers along the history: which one holds at each commit, and whether each change was allowed by the version
//! before it.
//!
//! The first version is the one given from outside. A change that is not allowed does not take: what follows is judged by the version before.
//! Where histories join, the version that follows all the others holds; if none does, the join is a change of each of them.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use gix_hash::ObjectId;

use crate::finding::{Code, Finding};
use crate::graph::{Graph, Set, to_usize};
use crate::judge::{Means, Position, sealed, stands};
use crate::object::Commit;
use crate::signature::{Broken, Seal, blocks};
use crate::signers::{Role, Signer, Signers, digest_of};
use crate::source::{ReadError, Source, What};
use crate::tree::Trees;

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
        let first =
            Version { signers: signers.clone(), by: None, line: BTreeSet::from([0]), before: Vec::new() };
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

    /// The commits that changed or removed a key's entry, in the line of this version.
    pub(crate) fn changes_of(&self, version: usize, key: &str) -> Vec<u32> {
        let line = self.get(version).map(|version| &version.line);
        let line = line.into_iter().flatten().filter_map(|version| self.get(*version));
        let changed = line.filter(|version| {
            let own = version.signers.by_id(key);
            version.before.iter().filter_map(|before| self.get(*before)).any(|before| {
                let old = before.signers.by_id(key);
                old.is_some() && old != own
            })
        });
        changed.filter_map(|version| version.by).collect()
    }

    /// Whether a key was ever known in the line of this version.
    pub(crate) fn ever_knew(&self, version: usize, key: &str) -> bool {
        let line = self.get(version).map(|version| &version.line);
        line.into_iter()
            .flatten()
            .filter_map(|version| self.get(*version))
            .any(|version| version.signers.by_id(key).is_some())
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
        self.found.versions.push(Version { signers, by: Some(number), line, before: tops.to_vec() });
        version
    }

    fn change(&mut self, number: u32, tops: &[usize], blob: ObjectId) -> Result<usize, LineageError> {
        let text = self.source.read(&blob, What::Blob)?;
        let read = std::str::from_utf8(&text).ok();
        let signers = match read.map(Signers::parse) {
            Some(Ok(signers)) => signers,
            other => {
                let why = match other {
                    Some(Err(error)) => format!("`{PLACE}` cannot be read: {error}"),
                    _ => format!("`{PLACE}` is no text"),
                };
                let deciding = self.deciding(tops);
                let finding = self.on(number, Finding::error(Code::PolicyInvalid, why)).who(deciding);
                self.found.findings.push(finding);
                return Ok(self.stay(number, tops));
            }
        };
        let signatures = match self.trees.find(&self.graph.tree(number), SIGNATURES)? {
            Some(blob) => self.source.read(&blob, What::Blob)?,
            None => Vec::new(),
        };
        let signatures = String::from_utf8_lossy(&signatures).into_owned();
        let next = tops.iter().filter_map(|top| self.found.get(*top)).map(|top| top.signers.version).max();
        let next = next.unwrap_or(0).saturating_add(1);
        let mut missing = Vec::new();
        if signers.version != next {
            missing.push(format!("its `version` is {}, and must be {next}", signers.version));
        }
        for top in tops {
            let Some(top) = self.found.get(*top) else { continue };
            if !signers.previous.contains(&top.signers.digest) {
                missing.push(format!("its `previous` does not name \"{}\"", top.signers.digest));
            }
            let agreed = self.agreed(number, &top.signers, &text, &signatures)?;
            if agreed.len() < top.signers.threshold {
                let names: Vec<&str> = agreed.iter().map(String::as_str).collect();
                let others: Vec<&str> =
                    top.signers.deciding().into_iter().filter(|name| !agreed.contains(*name)).collect();
                missing.push(format!(
                    "{} of {} people agreed ({}); {} could",
                    agreed.len(),
                    top.signers.threshold,
                    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") },
                    others.join(", ")
                ));
            }
        }
        if missing.is_empty() {
            let why = format!("the allowed signers are version {} from here", signers.version);
            let finding = self.on(number, Finding::note(Code::PolicyChanged, why));
            self.found.findings.push(finding);
            return Ok(self.add(number, tops, signers));
        }
        let why = format!("the allowed signers were changed without leave: {}", missing.join("; "));
        let fix = format!(
            "ssh-keygen -Y sign -n {PURPOSE} -f KEY {PLACE} && cat {PLACE}.sig >> {SIGNATURES}, then amend the commit"
        );
        let deciding = self.deciding(tops);
        let finding = self.on(number, Finding::error(Code::PolicyUnauthorised, why)).who(deciding).fix(fix);
        self.found.findings.push(finding);
        Ok(self.stay(number, tops))
    }

    fn stay(&mut self, number: u32, tops: &[usize]) -> usize {
        match tops {
            [only] => *only,
            _ => self.join(number, tops),
        }
    }

    /// Who of a version's people agrees to a text: by signing the commit, or the text itself.
    fn agreed(
        &self,
        number: u32,
        by: &Signers,
        text: &[u8],
        signatures: &str,
    ) -> Result<BTreeSet<String>, ReadError> {
        let position = Position::new(self.graph);
        let counts =
            |signer: &Signer| signer.roles.contains(&Role::Policy) && position.holds(signer, number).is_ok();
        let mut agreed = BTreeSet::new();
        let mut take = |seal: Result<Seal, Broken>| {
            let signer = seal.ok().and_then(|seal| stands(by, &seal, self.means).ok().cloned());
            if let Some(signer) = signer.filter(|signer| counts(signer)) {
                agreed.insert(signer.name);
            }
        };
        let data = self.source.read(&self.graph.id(number), What::Commit)?;
        if let Ok(commit) = Commit::parse(&data, self.source.hash()) {
            if let Some(seal) = sealed(&commit) {
                take(seal);
            }
        }
        for block in blocks(signatures).into_iter().take(MOST_SIGNATURES) {
            take(Seal::read(block.as_bytes(), text, PURPOSE));
        }
        Ok(agreed)
    }

    fn deciding(&self, tops: &[usize]) -> Vec<String> {
        let tops = tops.iter().filter_map(|top| self.found.get(*top));
        let names: BTreeSet<String> =
            tops.flat_map(|top| top.signers.deciding()).map(str::to_owned).collect();
        names.into_iter().collect()
    }

    fn parent(&self, number: u32) -> String {
        let parent = self.graph.parents(number).first();
        parent.map(|parent| self.graph.id(*parent).to_string()).unwrap_or_default()
    }

    fn on(&self, number: u32, finding: Finding) -> Finding {
        let id = self.graph.id(number);
        let mut finding = finding.on(id).paths(&[PLACE.as_bytes().to_vec()]);
        if let Ok(data) = self.source.read(&id, What::Commit) {
            if let Ok(commit) = Commit::parse(&data, self.source.hash()) {
                finding.subject = commit.subject;
                finding.author = format!("{} <{}>", commit.author.name, commit.author.email);
            }
        }
        finding
    }
}

const MOST_SIGNATURES: usize = 64;
