//! The judgement: each commit of a range, by the allowed signers that held before it and by the newest that are known.
//!
//! A key must be allowed by every parent's version of the file, at this place in the history and for these paths. The newest versions speak
//! too: a key that was taken out, or narrowed, still counts for what came before that change, and for nothing beside it. So a retired
//! key gains nothing by branching from an old commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use gix_hash::ObjectId;
use sigstore_verify::Verifier;
use thiserror::Error;

use crate::finding::{Code, Finding, Judged, Level, Report};
use crate::graph::{Graph, Set};
use crate::lineage::{Lineage, LineageError, PLACE, Pinned, SIGNATURES};
use crate::object::{Commit, Person, Tag};
use crate::signature::{Broken, Revoked, Seal, Standing};
use crate::signers::{Authors, Key, Merges, Role, Signer, Signers};
use crate::source::{ReadError, Source, What};
use crate::tree::{Own, OwnKind, Trees};

mod mend;

/// What is to be judged.
pub struct Request {
    /// The ranges.
    pub ranges: Vec<Range>,
    /// Commits up to which nothing is judged, because whoever asks says so.
    pub since: Vec<ObjectId>,
    /// Commits whose allowed signers speak too, beside those of each range: the tip of the main branch.
    pub trusted: Vec<ObjectId>,
    /// The first version of the allowed signers.
    pub signers: Signers,
    /// Where that comes from.
    pub pinned: Pinned,
    /// What signatures are verified with.
    pub means: Means,
    /// Whether every file's content is read, and its id recomputed.
    pub contents: bool,
}

/// What signatures are verified with, beside the allowed signers.
pub struct Means {
    /// The time, in seconds since 1970: only for keys that end by themselves.
    pub now: u64,
    /// Sigstore's roots, for X.509.
    pub sigstore: Verifier,
}

/// One range.
#[derive(Debug, Clone)]
pub struct Range {
    /// As it was asked for.
    pub label: String,
    /// Its last commit.
    pub tip: ObjectId,
    /// What was judged before, with all before it.
    pub exclude: Vec<ObjectId>,
    /// The tag that named the tip.
    pub tag: Option<Named>,
    /// A commit that must be in the history, and why.
    pub must_hold: Option<(ObjectId, &'static str)>,
}

/// A tag as its ref names it.
#[derive(Debug, Clone)]
pub struct Named {
    /// Without `refs/tags/`.
    pub name: String,
    /// The tag object, or the commit if it is no object.
    pub id: ObjectId,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Commits that were read.
    Read(usize),
    /// Commits whose allowed signers are known, of how many.
    Walked(usize, usize),
    /// Commits that were judged, of how many.
    Judged(usize, usize),
}

/// Why nothing could be judged.
#[derive(Debug, Error)]
pub enum JudgeError {
    /// An object cannot be had.
    #[error("the history cannot be read")]
    Read(#[from] ReadError),
    /// The history begins with other allowed signers than those given.
    #[error(
        "commit {commit}, where judging begins, carries other allowed signers ({found}) than those given ({given})"
    )]
    Mismatch {
        /// The commit.
        commit: ObjectId,
        /// The digest of what was given.
        given: String,
        /// The digest of what it carries.
        found: String,
    },
}

/// Judges; what can be told is told on the way.
pub fn judge(
    source: &dyn Source,
    request: &Request,
    tell: &mut dyn FnMut(Progress),
) -> Result<Report, JudgeError> {
    let mut tips: Vec<ObjectId> = request.since.iter().chain(&request.trusted).copied().collect();
    for range in &request.ranges {
        tips.push(range.tip);
        tips.extend(&range.exclude);
        tips.extend(range.must_hold.map(|(commit, _)| commit));
    }
    let mut graph = Graph::read(source, &tips, &mut |read| tell(Progress::Read(read)))?;
    let forged = std::mem::take(&mut graph.forged);
    let numbers = |ids: &[ObjectId]| ids.iter().filter_map(|id| graph.find(id)).collect::<Vec<u32>>();
    let unjudged = graph.ancestors(numbers(&request.since));
    // where the base itself gives the first version, the versions before it are not judged
    let excluded = request.ranges.iter().flat_map(|range| numbers(&range.exclude));
    let settled = match request.pinned {
        Pinned::Outside => unjudged.clone(),
        Pinned::Base => {
            let begun = numbers(&request.since).into_iter().chain(numbers(&request.trusted));
            graph.ancestors(begun.chain(excluded))
        }
    };
    let trees = Trees::new(source);
    let size = graph.len();
    let given = (&request.signers, request.pinned, &settled, &request.means);
    let mut lineage =
        Lineage::read(source, &graph, &trees, given, &mut |walked| tell(Progress::Walked(walked, size)))
            .map_err(|error| match error {
                LineageError::Read(error) => JudgeError::Read(error),
                LineageError::Mismatch(mismatch) => JudgeError::Mismatch {
                    commit: mismatch.commit,
                    given: mismatch.given,
                    found: mismatch.found,
                },
            })?;
    let mut report = Report::default();
    report.findings.extend(forged.iter().map(forgery));
    report.findings.append(&mut lineage.findings);
    for range in &request.ranges {
        let mut newest: BTreeSet<usize> =
            numbers(&request.trusted).into_iter().map(|number| lineage.after(number)).collect();
        newest.extend(numbers(&range.exclude).into_iter().map(|number| lineage.after(number)));
        newest.extend(graph.find(&range.tip).map(|tip| lineage.after(tip)));
        let newest = lineage.newest(newest);
        let judge = Judge {
            source,
            graph: &graph,
            trees: &trees,
            lineage: &lineage,
            request,
            newest,
            position: Position::new(&graph),
            contents: RefCell::default(),
        };
        judge.range(range, &unjudged, &mut report, tell)?;
    }
    Ok(report.finish())
}

struct Judge<'a> {
    source: &'a dyn Source,
    graph: &'a Graph,
    trees: &'a Trees<'a>,
    lineage: &'a Lineage,
    request: &'a Request,
    newest: Vec<usize>,
    position: Position<'a>,
    /// Trees and files whose ids were recomputed.
    contents: RefCell<BTreeSet<ObjectId>>,
}

impl Judge<'_> {
    fn range(
        &self,
        range: &Range,
        unjudged: &Set,
        report: &mut Report,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), JudgeError> {
        let Some(tip) = self.graph.find(&range.tip) else {
            return Err(ReadError::Missing(range.tip).into());
        };
        let within = self.graph.ancestors([tip]);
        let excluded: Vec<u32> = range.exclude.iter().filter_map(|id| self.graph.find(id)).collect();
        let excluded = self.graph.ancestors(excluded);
        if let Some((commit, why)) = range.must_hold {
            if !self.graph.find(&commit).is_some_and(|number| within.contains(number)) {
                report.findings.push(rewritten(range, commit, why));
            }
        }
        let judged: Vec<u32> = self
            .graph
            .all()
            .filter(|number| {
                within.contains(*number) && !excluded.contains(*number) && !unjudged.contains(*number)
            })
            .collect();
        let last = self.lineage.get(self.lineage.after(tip));
        let mut summary = Judged {
            range: range.label.clone(),
            tip: range.tip.to_string(),
            base: range.exclude.iter().map(ToString::to_string).collect(),
            since: self.request.since.iter().map(ToString::to_string).collect(),
            unjudged: self
                .graph
                .all()
                .filter(|number| within.contains(*number) && unjudged.contains(*number))
                .count(),
            commits: judged.len(),
            signed: BTreeMap::new(),
            version: last.map_or(0, |version| version.signers.version),
            allowed: last.map(|version| version.signers.digest.clone()).unwrap_or_default(),
            allowed_by: last.and_then(|version| version.by).map(|by| self.graph.id(by).to_string()),
        };
        if let Some(tag) = &range.tag {
            self.tag(tag, tip, report)?;
        }
        for (done, number) in judged.iter().enumerate() {
            tell(Progress::Judged(done, judged.len()));
            if let Some(name) = self.commit(*number, &mut report.findings)? {
                let count = summary.signed.entry(name).or_default();
                *count = count.saturating_add(1);
            }
        }
        report.ranges.push(summary);
        Ok(())
    }

    /// Judges a commit; who signed it, if it counts.
    fn commit(&self, number: u32, findings: &mut Vec<Finding>) -> Result<Option<String>, JudgeError> {
        let id = self.graph.id(number);
        let data = match self.source.read(&id, What::Commit) {
            Ok(data) => data,
            // told already, when the history was read
            Err(ReadError::Id { .. } | ReadError::Collision(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let commit = match Commit::parse(&data, self.source.hash()) {
            Ok(commit) => commit,
            Err(error) => {
                findings.push(Finding::error(Code::Malformed, error.to_string()).on(id));
                return Ok(None);
            }
        };
        let mut own = Vec::new();
        let mut signer = self.unless_unreadable(self.signed(number, &commit, &mut own), &mut own)?;
        if self.request.contents {
            self.unless_unreadable(self.contents(number).map(Some), &mut own)?;
        }
        for finding in &mut own {
            finding.commit.get_or_insert_with(|| id.to_string());
            finding.subject.clone_from(&commit.subject);
            finding.author = written(&commit.author);
        }
        let refused = own.iter().any(|finding| finding.level == Level::Error);
        // who adopts a commit has seen its content: one that lies about it was not seen
        let lies = own
            .iter()
            .any(|finding| matches!(finding.code, Code::IdMismatch | Code::Collision | Code::Malformed));
        if let (true, false, Some(reason)) = (refused, lies, self.adopted(&id)) {
            let codes: BTreeSet<String> = own.iter().map(|finding| finding.code.name()).collect();
            let codes: Vec<String> = codes.into_iter().collect();
            let why = format!("adopted by the allowed signers: {reason} (otherwise: {})", codes.join(", "));
            let note = Finding::note(Code::Adopted, why).on(id);
            own = vec![Finding { subject: commit.subject.clone(), author: written(&commit.author), ..note }];
            signer = None;
        } else if refused {
            for finding in &mut own {
                self.mend(finding, number, &commit);
            }
            signer = None;
        }
        findings.append(&mut own);
        Ok(signer)
    }

    /// An object that lies about its content is a finding; one that is not there ends the judgement.
    fn unless_unreadable<T>(
        &self,
        result: Result<Option<T>, ReadError>,
        own: &mut Vec<Finding>,
    ) -> Result<Option<T>, JudgeError> {
        match result {
            Ok(value) => Ok(value),
            Err(error @ (ReadError::Id { .. } | ReadError::Collision(_) | ReadError::Tree(_))) => {
                own.push(Finding { commit: None, ..forgery(&error) });
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Judges signature, place and paths.
    fn signed(
        &self,
        number: u32,
        commit: &Commit,
        own: &mut Vec<Finding>,
    ) -> Result<Option<String>, ReadError> {
        let seal = match sealed(commit) {
            None => {
                own.push(Finding::error(Code::Unsigned, "the commit has no signature"));
                return Ok(None);
            }
            Some(Err(error)) => {
                own.push(Finding::error(Code::BadSignature, error.to_string()));
                return Ok(None);
            }
            Some(Ok(seal)) => seal,
        };
        let (mut name, mut changes) = (None, None);
        let mut strict = (Merges::Report, Authors::Report);
        for version in self.lineage.before(self.graph, number) {
            let Some(version) = self.lineage.get(version) else { continue };
            let signer = match stands(&version.signers, &seal, &self.request.means) {
                Ok(signer) => signer,
                Err(why) => {
                    own.push(why.finding());
                    return Ok(None);
                }
            };
            if version.signers.merges == Merges::Refuse {
                strict.0 = Merges::Refuse;
            }
            if version.signers.authors == Authors::Refuse {
                strict.1 = Authors::Refuse;
            }
            let allowed = self.allowed(signer, number, &mut changes)?;
            name = Some((signer.name.clone(), signer.principals.clone()));
            if let Some(finding) = allowed {
                own.push(finding.signer(signer.name.as_str()));
                return Ok(None);
            }
        }
        let Some((name, principals)) = name else { return Ok(None) };
        for version in &self.newest {
            if let Some(finding) = self.newest(*version, &seal, number, &mut changes)? {
                own.push(finding.signer(name.as_str()));
                return Ok(None);
            }
        }
        if self.graph.parents(number).len() > 1 {
            self.merge(number, &name, strict.0, &mut changes, own)?;
        }
        if !principals.contains(&commit.author.email) {
            let why = format!("signed by {name}, written by {}", written(&commit.author));
            let level = if strict.1 == Authors::Refuse { Level::Error } else { Level::Note };
            let finding = Finding { level, ..Finding::error(Code::SignerNotAuthor, why) };
            own.push(finding.signer(name.as_str()));
        }
        Ok(Some(name))
    }

    /// Whether an entry allows a commit at its place.
    fn allowed(
        &self,
        signer: &Signer,
        number: u32,
        changes: &mut Option<Vec<Own>>,
    ) -> Result<Option<Finding>, ReadError> {
        if let Err(misplaced) = self.position.holds(signer, number) {
            return Ok(Some(misplaced.finding(&signer.name)));
        }
        self.rights(signer, number, changes)
    }

    fn rights(
        &self,
        signer: &Signer,
        number: u32,
        changes: &mut Option<Vec<Own>>,
    ) -> Result<Option<Finding>, ReadError> {
        let deciding = signer.roles.contains(&Role::Policy);
        if !signer.roles.contains(&Role::Commit) {
            let others = self.touched(number, changes)?.iter().any(|own| !is_policy(&own.path));
            if others || !deciding {
                let why = format!("the key of {} may not sign commits", signer.name);
                return Ok(Some(Finding::error(Code::Role, why)));
            }
        }
        if signer.may_touch_everything() {
            return Ok(None);
        }
        // the file of signers itself is held by its threshold, whoever commits it
        let outside: Vec<Vec<u8>> = self
            .touched(number, changes)?
            .iter()
            .filter(|own| !signer.may_touch(&own.path) && !(deciding && is_policy(&own.path)))
            .map(|own| own.path.clone())
            .collect();
        if outside.is_empty() {
            return Ok(None);
        }
        let patterns: Vec<String> = signer.paths.iter().map(ToString::to_string).collect();
        let why = format!("the key of {} may touch {} only", signer.name, patterns.join(", "));
        Ok(Some(Finding::error(Code::Path, why).paths(&outside)))
    }

    /// What the newest versions say of a key that an older one allowed.
    fn newest(
        &self,
        version: usize,
        seal: &Seal,
        number: u32,
        changes: &mut Option<Vec<Own>>,
    ) -> Result<Option<Finding>, ReadError> {
        let Some(found) = self.lineage.get(version) else { return Ok(None) };
        let signers = &found.signers;
        let Some(id) = self.key_of(seal) else { return Ok(None) };
        // order: what came before a change of the key's entry keeps what it was allowed then
        let settled = self
            .lineage
            .changes_of(version, &id)
            .into_iter()
            .any(|change| self.position.is_before(number, change));
        let Some(signer) = signers.by_id(&id) else {
            if settled || !self.lineage.ever_knew(version, &id) {
                return Ok(None);
            }
            let why = "the key is no longer among the allowed signers, and the commit is not from before that change";
            return Ok(Some(Finding::error(Code::OutOfRange, why)));
        };
        if let Err(why) = stands(signers, seal, &self.request.means) {
            return Ok(Some(why.finding()));
        }
        if let Err(misplaced) = self.position.holds(signer, number) {
            return Ok(Some(misplaced.finding(&signer.name)));
        }
        if settled { Ok(None) } else { self.rights(signer, number, changes) }
    }

    /// What the key that made a signature is known by.
    fn key_of(&self, seal: &Seal) -> Option<String> {
        let made = |signer: &&Signer| match (&signer.key, seal) {
            (Key::Ssh(key), Seal::Ssh(other)) => key == other,
            (Key::OpenPgp(certificate), Seal::OpenPgp(pgp)) => {
                certificate.judge(pgp, self.request.means.now).is_some()
            }
            (Key::X509 { identity, issuer }, Seal::X509(x509)) => {
                x509.verify(&self.request.means.sigstore, identity, issuer).is_ok()
            }
            _ => false,
        };
        let mut keys = self.lineage.versions.iter().flat_map(|version| &version.signers.keys);
        keys.find(made).map(|signer| signer.key.id())
    }

    /// Tells what a merge changes beside its sides.
    fn merge(
        &self,
        number: u32,
        name: &str,
        merges: Merges,
        changes: &mut Option<Vec<Own>>,
        own: &mut Vec<Finding>,
    ) -> Result<(), ReadError> {
        let of = |changes: &[Own], kind| -> Vec<Vec<u8>> {
            changes.iter().filter(|own| own.why == kind).map(|own| own.path.clone()).collect()
        };
        let changes = self.touched(number, changes)?;
        let (slipped, resolved) = (of(changes, OwnKind::Slipped), of(changes, OwnKind::Resolved));
        if !slipped.is_empty() {
            let level = if merges == Merges::Refuse { Level::Error } else { Level::Note };
            let why =
                format!("the merge changes {} that no side of it changed like this", paths(slipped.len()));
            let finding = Finding { level, ..Finding::error(Code::MergeContent, why) };
            own.push(finding.paths(&slipped).signer(name));
        }
        if !resolved.is_empty() {
            let why = format!("the merge decides {} that several sides changed", paths(resolved.len()));
            own.push(Finding::note(Code::MergeResolution, why).paths(&resolved).signer(name));
        }
        Ok(())
    }

    /// The paths that a commit answers for, read once.
    fn touched<'b>(&self, number: u32, changes: &'b mut Option<Vec<Own>>) -> Result<&'b [Own], ReadError> {
        if changes.is_none() {
            let parents = self.graph.parents(number);
            let bases = if parents.len() > 1 { self.graph.bases(parents) } else { Vec::new() };
            let trees = |of: &[u32]| of.iter().map(|number| self.graph.tree(*number)).collect::<Vec<_>>();
            *changes = Some(self.trees.own(&self.graph.tree(number), &trees(parents), &trees(&bases))?);
        }
        Ok(changes.as_deref().unwrap_or_default())
    }

    fn adopted(&self, id: &ObjectId) -> Option<String> {
        let versions = self.newest.iter().filter_map(|version| self.lineage.get(*version));
        let mut reasons = versions.filter_map(|version| version.signers.adopted.get(id).cloned());
        reasons.next()
    }

    /// Recomputes the ids of everything below a commit's tree that was not seen before.
    fn contents(&self, number: u32) -> Result<(), ReadError> {
        let mut waiting = vec![self.graph.tree(number)];
        while let Some(tree) = waiting.pop() {
            if !self.contents.borrow_mut().insert(tree) {
                continue;
            }
            for entry in self.trees.read(&tree)?.values() {
                if entry.is_tree() {
                    waiting.push(entry.id);
                } else if entry.mode & 0o170_000 != 0o160_000 && self.contents.borrow_mut().insert(entry.id) {
                    self.source.read(&entry.id, What::Blob)?;
                }
            }
        }
        Ok(())
    }

    /// Judges the tag that named a tip, and the tags that it names.
    fn tag(&self, named: &Named, tip: u32, report: &mut Report) -> Result<(), JudgeError> {
        let (mut id, mut name) = (named.id, Some(named.name.clone()));
        for depth in 0..DEEPEST_TAG {
            let what = self.source.what(&id)?;
            if what == What::Commit {
                if depth == 0 {
                    let why = format!("`{}` is a lightweight tag: nothing vouches for it", named.name);
                    let fix = format!("git tag -s -f {} {id}", shell(&named.name));
                    report.findings.push(Finding::error(Code::TagLightweight, why).on(id).fix(fix));
                }
                return Ok(());
            }
            if what != What::Tag {
                let why = format!("the tag `{}` names a {}, not a commit", named.name, what.name());
                report.findings.push(Finding::error(Code::TagTarget, why).on(id));
                return Ok(());
            }
            let data = match self.source.read(&id, What::Tag) {
                Ok(data) => data,
                Err(error @ (ReadError::Id { .. } | ReadError::Collision(_))) => {
                    report.findings.push(forgery(&error));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            let tag = match Tag::parse(&data, self.source.hash()) {
                Ok(tag) => tag,
                Err(error) => {
                    report.findings.push(Finding::error(Code::Malformed, error.to_string()).on(id));
                    return Ok(());
                }
            };
            if name.take().is_some_and(|name| name != tag.name) {
                let why = format!("the tag object behind `{}` is a tag named `{}`", named.name, tag.name);
                report.findings.push(Finding::error(Code::TagName, why).on(id));
            }
            if let Some(finding) = self.tag_signed(&tag, tip) {
                let tagger = tag.tagger.as_ref().map(written).unwrap_or_default();
                let fix = format!("git tag -s -f {} {}", shell(&tag.name), tag.target);
                report
                    .findings
                    .push(Finding { author: tagger.clone(), ..finding }.on(id).who([tagger]).fix(fix));
            }
            id = tag.target;
        }
        let why = format!("the tag `{}` names tags that name tags, too many times", named.name);
        report.findings.push(Finding::error(Code::TagTarget, why).on(named.id));
        Ok(())
    }

    fn tag_signed(&self, tag: &Tag, tip: u32) -> Option<Finding> {
        let Some(signature) = &tag.signature else {
            return Some(Finding::error(
                Code::TagUnsigned,
                format!("the tag `{}` has no signature", tag.name),
            ));
        };
        let seal = match Seal::read(signature, &tag.payload, PURPOSE_GIT) {
            Ok(seal) => seal,
            Err(error) => return Some(Finding::error(Code::BadSignature, error.to_string())),
        };
        let mut versions: BTreeSet<usize> = self.newest.iter().copied().collect();
        versions.insert(self.lineage.after(tip));
        for version in versions.into_iter().filter_map(|version| self.lineage.get(version)) {
            let signer = match stands(&version.signers, &seal, &self.request.means) {
                Ok(signer) => signer,
                Err(why) => return Some(why.finding()),
            };
            if !signer.roles.contains(&Role::Tag) {
                let why = format!("the key of {} may not sign tags", signer.name);
                return Some(Finding::error(Code::Role, why).signer(signer.name.as_str()));
            }
            if let Err(misplaced) = self.position.holds(signer, tip) {
                return Some(misplaced.finding(&signer.name));
            }
        }
        None
    }
}

/// Places in the history, with what was computed for them kept.
pub(crate) struct Position<'a> {
    graph: &'a Graph,
    before: RefCell<BTreeMap<u32, Rc<Set>>>,
    after: RefCell<BTreeMap<u32, Rc<Set>>>,
}

/// Why a key does not count at a place.
pub(crate) enum Misplaced {
    Early(ObjectId),
    Late(ObjectId),
    Unknown(ObjectId),
    Revoked(String),
}

impl<'a> Position<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Position<'a> {
        Position { graph, before: RefCell::default(), after: RefCell::default() }
    }

    /// Whether a commit is the other, or comes before it.
    pub(crate) fn is_before(&self, number: u32, other: u32) -> bool {
        let mut kept = self.before.borrow_mut();
        let set = kept.entry(other).or_insert_with(|| Rc::new(self.graph.ancestors([other])));
        set.contains(number)
    }

    fn is_after(&self, number: u32, other: u32) -> bool {
        let mut kept = self.after.borrow_mut();
        let set = kept.entry(other).or_insert_with(|| Rc::new(self.graph.descendants(other)));
        set.contains(number)
    }

    /// Whether a key counts for a commit at this place.
    pub(crate) fn holds(&self, signer: &Signer, number: u32) -> Result<(), Misplaced> {
        let find = |id: ObjectId| self.graph.find(&id).ok_or(Misplaced::Unknown(id));
        let late = match signer.until {
            Some(until) => !self.is_before(number, find(until)?),
            None => false,
        };
        if let Some(reason) = signer.revoked.as_ref().filter(|_| late || signer.until.is_none()) {
            return Err(Misplaced::Revoked(reason.clone()));
        }
        if let (true, Some(until)) = (late, signer.until) {
            return Err(Misplaced::Late(until));
        }
        if let Some(from) = signer.from {
            if !self.is_after(number, find(from)?) {
                return Err(Misplaced::Early(from));
            }
        }
        Ok(())
    }
}

impl Misplaced {
    fn finding(&self, name: &str) -> Finding {
        let (code, why) = match self {
            Misplaced::Early(from) => (
                Code::OutOfRange,
                format!("the key of {name} counts from {from} on, and this commit does not follow it"),
            ),
            Misplaced::Late(until) => (
                Code::OutOfRange,
                format!(
                    "the key of {name} counts up to {until}, and this commit is not part of what led there"
                ),
            ),
            Misplaced::Unknown(id) => (
                Code::OutOfRange,
                format!("the key of {name} counts by the commit {id}, which is not in this history"),
            ),
            Misplaced::Revoked(reason) => (Code::Revoked, format!("the key of {name} is revoked: {reason}")),
        };
        Finding::error(code, why).signer(name)
    }
}

/// Why a signature is none of an allowed signer.
pub(crate) enum Why {
    Unknown(String),
    Broken(Broken),
    Expired(String),
    Revoked(String, Revoked),
}

impl Why {
    fn finding(&self) -> Finding {
        match self {
            Why::Unknown(key) => Finding::error(
                Code::UnknownKey,
                format!("signed with {key}, which no allowed signer has here"),
            ),
            Why::Broken(error) => Finding::error(Code::BadSignature, error.to_string()),
            Why::Expired(name) => Finding::error(
                Code::Expired,
                format!(
                    "the key of {name} has ended; `until` with its last commit keeps what it signed before"
                ),
            )
            .signer(name.as_str()),
            Why::Revoked(name, how) => {
                let how = match how {
                    Revoked::Retired => "retired; `until` with its last commit keeps what it signed before",
                    Revoked::Compromised => "compromised, or no reason was given",
                };
                Finding::error(Code::Revoked, format!("the certificate of {name} is revoked: {how}"))
                    .signer(name.as_str())
            }
        }
    }
}

/// The allowed signer who made a signature.
pub(crate) fn stands<'a>(signers: &'a Signers, seal: &Seal, means: &Means) -> Result<&'a Signer, Why> {
    match seal {
        Seal::Ssh(key) => {
            let own = |signer: &&Signer| matches!(&signer.key, Key::Ssh(other) if other == key);
            signers.keys.iter().find(own).ok_or_else(|| Why::Unknown(key.to_string()))
        }
        Seal::OpenPgp(pgp) => {
            let judged = signers.keys.iter().find_map(|signer| match &signer.key {
                Key::OpenPgp(certificate) => certificate.judge(pgp, means.now).map(|judged| (signer, judged)),
                Key::Ssh(_) | Key::X509 { .. } => None,
            });
            let Some((signer, judged)) = judged else { return Err(Why::Unknown(pgp.issuer())) };
            match judged.map_err(Why::Broken)? {
                Standing::Good => Ok(signer),
                Standing::Expired(_) | Standing::Revoked(Revoked::Retired) if signer.until.is_some() => {
                    Ok(signer)
                }
                Standing::Expired(_) | Standing::MadeAfterEnd(_) => Err(Why::Expired(signer.name.clone())),
                Standing::Revoked(how) => Err(Why::Revoked(signer.name.clone(), how)),
            }
        }
        Seal::X509(x509) => {
            let mut why = Why::Unknown("a certificate of Sigstore".to_owned());
            for signer in &signers.keys {
                let Key::X509 { identity, issuer } = &signer.key else { continue };
                match x509.verify(&means.sigstore, identity, issuer) {
                    Ok(()) => return Ok(signer),
                    Err(error) => why = Why::Broken(error),
                }
            }
            Err(why)
        }
    }
}

/// The signature of a commit, read.
pub(crate) fn sealed(commit: &Commit) -> Option<Result<Seal, Broken>> {
    let signature = commit.signature.as_ref()?;
    Some(Seal::read(signature, &commit.payload, PURPOSE_GIT))
}

fn rewritten(range: &Range, commit: ObjectId, why: &str) -> Finding {
    let why = format!("{why} {commit} is not part of the history of {}: it was rewritten", range.tip);
    Finding::error(Code::Rewritten, why).on(commit).fix(format!("git merge {commit}"))
}

fn forgery(error: &ReadError) -> Finding {
    let (code, id) = match error {
        ReadError::Collision(id) => (Code::Collision, Some(id)),
        ReadError::Id { id, .. } => (Code::IdMismatch, Some(id)),
        ReadError::Tree(id) => (Code::Malformed, Some(id)),
        _ => (Code::Malformed, None),
    };
    let finding = Finding::error(code, error.to_string()).fix("git fsck --full");
    match id {
        Some(id) => finding.on(id),
        None => finding,
    }
}

fn is_policy(path: &[u8]) -> bool {
    path == PLACE.as_bytes() || path == SIGNATURES.as_bytes()
}

fn written(person: &Person) -> String {
    format!("{} <{}>", person.name, person.email)
}

fn paths(count: usize) -> String {
    if count == 1 { "a path".to_owned() } else { format!("{count} paths") }
}

/// A name as a shell reads it.
fn shell(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+'));
    if plain && !name.starts_with('-') {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

/// What git's signatures are made for.
const PURPOSE_GIT: &str = "git";
const DEEPEST_TAG: usize = 8;
