//! The judgement: each commit of a range, by the allowed signers that held before it and by the newest that are known.
//!
//! A key must be allowed by every parent's version of the file, at this place in the history and for these paths. The newest versions speak
//! too: a key that was taken out, or narrowed, still counts for what came before that change, and for nothing beside it. So a retired
//! key gains nothing by branching from an old commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use gix_hash::ObjectId;
use sigstore_verify::Verifier;
use thiserror::Error;

use crate::finding::{Code, Finding, Judged, Level, Report};
use crate::graph::{Graph, Set};
use crate::lineage::{Lineage, LineageError, Pinned, Version};
use crate::object::{Commit, Person};
use crate::signers::{Signer, Signers};
use crate::source::{ReadError, Source, What};
use crate::tree::Trees;

mod mend;
mod position;
mod rights;
mod stand;
mod tags;

pub(crate) use position::Position;
pub(crate) use stand::{sealed, stands};

/// What is to be judged.
pub struct Request {
    /// The ranges.
    pub ranges: Vec<Range>,
    /// Commits that must be part of a history.
    pub kept: Vec<Kept>,
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
    /// Tags of the repository and the commits behind them: those of a range's history that hold are told.
    pub tags: Vec<(Named, ObjectId)>,
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
    /// Whether somebody said that one history goes on from the other: then they have something in common.
    pub goes_on: bool,
}

/// A commit that must be part of a history.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The commit.
    pub commit: ObjectId,
    /// The last commit of the history.
    pub of: ObjectId,
    /// Why it must.
    pub why: Why,
}

/// Why a commit must be part of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was judged, found clean, and recorded.
    Recorded,
    /// It was pushed before.
    Pushed,
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
    }
    // what was recorded and is not even there was rewritten too: a new clone has only what is left
    let gone = |kept: &&Kept| matches!(source.what(&kept.commit), Err(ReadError::Missing(_)));
    let (gone, kept): (Vec<&Kept>, Vec<&Kept>) = request.kept.iter().partition(gone);
    tips.extend(kept.iter().flat_map(|kept| [kept.commit, kept.of]));
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
    report.findings.extend(gone.into_iter().map(rewritten));
    for kept in kept {
        let within = graph.find(&kept.of).map(|of| graph.ancestors([of]));
        let held =
            graph.find(&kept.commit).zip(within).is_some_and(|(number, within)| within.contains(number));
        if !held {
            report.findings.push(rewritten(kept));
        }
    }
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
            strange: strange(&graph, request, range),
            contents: RefCell::default(),
        };
        judge.range(range, &unjudged, &mut report, tell)?;
        judge.vouched(range, &mut report)?;
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
    /// Where histories begin that are not known.
    strange: BTreeSet<u32>,
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
        let common = |number: u32| within.contains(number) && excluded.contains(number);
        if range.goes_on && !range.exclude.is_empty() && !self.graph.all().any(common) {
            let why = format!(
                "`{}`: the two have no commit in common, so neither goes on from the other",
                range.label
            );
            report.findings.push(Finding::error(Code::Unrelated, why).on(range.tip));
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
        // order: also what is not judged here: somebody who was let in by people who were taken out since does not decide
        report.findings.extend(self.lapsed(|number| within.contains(number) && !unjudged.contains(number)));
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

    /// Changes of the allowed signers whose people no longer count, by a newest version that does not follow them: keys that were
    /// taken out agree to nothing beside that change.
    fn lapsed(&self, looked_at: impl Fn(u32) -> bool) -> Vec<Finding> {
        let mut found = Vec::new();
        for (place, version) in self.lineage.versions.iter().enumerate() {
            let Some(by) = version.by.filter(|by| looked_at(*by)) else { continue };
            let mut beside = self.newest.iter().filter(|newest| {
                self.lineage.get(**newest).is_some_and(|newest| !newest.line.contains(&place))
            });
            if !beside.all(|newest| self.would_agree(version, by, *newest)) {
                let why = "the people who agreed to this version of the allowed signers no longer decide";
                found.push(Finding::error(Code::PolicyUnauthorised, why).on(self.graph.id(by)));
            }
        }
        found
    }

    fn adopted(&self, id: &ObjectId) -> Option<String> {
        let mut found = self.newest.iter().filter_map(|place| {
            let version = self.lineage.get(*place)?;
            let reason = version.signers.adopted.get(id)?;
            let all = self.newest.iter().all(|newest| self.accepts(*newest, version, id));
            all.then(|| reason.clone())
        });
        found.next()
    }

    /// Whether a newest version adopts a commit itself, or would agree to all that led to another version that does.
    fn accepts(&self, newest: usize, other: &Version, id: &ObjectId) -> bool {
        let Some(own) = self.lineage.get(newest) else { return false };
        own.signers.adopted.contains_key(id)
            || other.line.difference(&own.line).all(|place| {
                let version = self.lineage.get(*place);
                version
                    .is_some_and(|version| version.by.is_none_or(|by| self.would_agree(version, by, newest)))
            })
    }

    fn would_agree(&self, version: &Version, by: u32, newest: usize) -> bool {
        let counts = |signer: &Signer| self.position.holds(signer, by).is_ok();
        self.lineage.would_agree(version, newest, counts)
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
}

/// Where histories begin that are not known: by nothing that was judged before or accepted; without any of it, not by a trusted commit;
/// without one, not by the line of first parents that the range ends.
fn strange(graph: &Graph, request: &Request, range: &Range) -> BTreeSet<u32> {
    let given = request.since.iter().chain(&range.exclude);
    // order: what was only pushed was perhaps judged by nobody, and so was a main branch past the recorded head
    let kept = request.kept.iter().filter(|kept| kept.why == Why::Recorded).map(|kept| &kept.commit);
    let mut known: Vec<u32> = given.chain(kept).filter_map(|id| graph.find(id)).collect();
    if known.is_empty() {
        known.extend(request.trusted.iter().filter_map(|id| graph.find(id)));
    }
    if known.is_empty() {
        let mut first = graph.find(&range.tip);
        while let Some(parent) = first.and_then(|number| graph.parents(number).first().copied()) {
            first = Some(parent);
        }
        known.extend(first);
    }
    let known = graph.roots(known);
    graph.roots(graph.all()).difference(&known).copied().collect()
}

fn rewritten(kept: &Kept) -> Finding {
    let Kept { commit, of, why } = kept;
    let what = match why {
        Why::Recorded => "the recorded head",
        Why::Pushed => "what was pushed before,",
    };
    let why = format!("{what} {commit} is not part of the history of {of}: it was rewritten");
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

fn written(person: &Person) -> String {
    format!("{} <{}>", person.name, person.email)
}
