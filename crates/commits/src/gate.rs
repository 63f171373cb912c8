//! From arguments to a report: which ranges, which first version of the allowed signers, which recorded head.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use sigstore_verify::Verifier;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use thiserror::Error;

use crate::finding::{Code, Finding, Report};
use crate::head::{FORMAT, Head, HeadError, moved};
use crate::hook::{self, Hook, HookError, Update};
use crate::judge::{JudgeError, Kept, Means, Named, Progress, Range, Request, Why, judge};
use crate::lineage::{PLACE, Pinned};
use crate::repo::{RepoError, Repository, Surroundings};
use crate::revision::{RevisionError, Written, peel, resolve, tag_object};
use crate::signers::{Signers, SignersError};
use crate::source::{ReadError, Source, What};
use crate::tree::Trees;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The range, if it is not a hook's.
    pub range: Option<String>,
    /// A hook and its standard input.
    pub hook: Option<(Hook, String)>,
    /// A directory of the repository.
    pub repo: PathBuf,
    /// The first version of the allowed signers.
    pub allowed: Option<PathBuf>,
    /// Up to where nothing is judged.
    pub since: Vec<String>,
    /// Commits whose allowed signers speak too.
    pub trusted: Vec<String>,
    /// The recorded head.
    pub head: Option<PathBuf>,
    /// Whether every file's content is read.
    pub contents: bool,
    /// Sigstore's trusted root, for X.509; without it the public one that is compiled in.
    pub trust_root: Option<PathBuf>,
    /// What git's environment says.
    pub around: Surroundings,
    /// Seconds since 1970.
    pub now: u64,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum GateError {
    /// The repository.
    #[error("the repository cannot be judged")]
    Repo(#[from] RepoError),
    /// A name.
    #[error("the range cannot be read")]
    Revision(#[from] RevisionError),
    /// The file of signers.
    #[error("{file}:{}: {}", .error.line, .error.what)]
    Signers {
        /// Where it is.
        file: String,
        /// What is wrong with it.
        error: SignersError,
    },
    /// A file.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing says who may sign.
    #[error("nothing says who may sign: no --allowed, and no `{PLACE}` where judging begins")]
    Unpinned,
    /// The judgement.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// An object.
    #[error("the history cannot be read")]
    Read(#[from] ReadError),
    /// The recorded head.
    #[error("{path} cannot be used")]
    Head {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HeadError,
    },
    /// The hook's input.
    #[error("the hook's input cannot be read")]
    Hook(#[from] HookError),
    /// Sigstore's trusted root.
    #[error("the trusted root of Sigstore cannot be used")]
    TrustRoot(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No commit is in the range.
    #[error("nothing was judged: no commit is in `{0}`")]
    Nothing(String),
    /// Whoever commits would write the record.
    #[error("{} lies where files of the repository are checked out", .0.display())]
    HeadInside(PathBuf),
    /// The record leads elsewhere.
    #[error("{} is a link, or another thing that is no file", .0.display())]
    HeadNoFile(PathBuf),
    /// No branch is the main one, so nothing would be kept.
    #[error("HEAD stands for `{head}`, which is not there, and would not be after this push")]
    NoMain {
        /// What HEAD stands for.
        head: String,
        /// A branch that is there, or is pushed.
        branch: Option<String>,
    },
    /// A client does not know what a server has.
    #[error("--head is for a range, or for what a server receives")]
    HeadOfPush,
}

impl GateError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            GateError::Repo(error) => error.hint().map(str::to_owned),
            GateError::Revision(error) => error.hint(),
            GateError::Signers { error, .. } => error.hint.clone(),
            GateError::Nothing(_) => {
                Some("`A..B` is all that B has and A has not; are the two the wrong way round?".to_owned())
            }
            GateError::HeadInside(_) => {
                Some("keep the record outside of the working tree, where nobody who commits can write it".to_owned())
            }
            GateError::HeadNoFile(_) => Some("name the file itself".to_owned()),
            GateError::NoMain { head, branch } => Some(match branch {
                Some(branch) => format!("say which branch is the main one: git symbolic-ref HEAD {branch}"),
                None => format!("push {head} first"),
            }),
            GateError::Unpinned => Some(
                "a history cannot vouch for itself: give the first allowed signers with --allowed FILE, kept outside the repository"
                    .to_owned(),
            ),
            GateError::Judge(JudgeError::Mismatch { commit, .. }) => {
                Some(format!("if you trust what it carries: git show {commit}:{PLACE} > FILE, and --allowed FILE"))
            }
            GateError::Judge(JudgeError::Read(ReadError::Missing(_))) | GateError::Read(ReadError::Missing(_)) => {
                Some("fetch the whole history first: git fetch --unshallow, without --filter".to_owned())
            }
            GateError::Head { source: HeadError::Since { .. }, path } => {
                Some(format!("if the baseline is to move, delete {} yourself", path.display()))
            }
            _ => None,
        }
    }
}

/// Judges what is asked, and records the head if nothing refuses.
pub fn run(options: &Options, tell: &mut dyn FnMut(Progress)) -> Result<Report, GateError> {
    let repository = Repository::open(&options.repo, &options.around)?;
    let mut report_first = repository.disguises()?;
    let ids = |names: &[String]| {
        names
            .iter()
            .map(|name| resolve(&repository, name).map(|found| found.commit))
            .collect::<Result<Vec<_>, _>>()
    };
    let (since, mut trusted) = (ids(&options.since)?, ids(&options.trusted)?);
    // order: before it is read
    let place = options.head.as_deref().map(|path| Place::hold(path, &repository)).transpose()?;
    let recorded = recorded(options, &since)?;
    if let Some(path) = &options.head {
        report_first.extend(unrecorded(path, recorded.as_ref()));
    }
    let mut updates = Vec::new();
    let (ranges, mut kept, main) = match &options.hook {
        Some((hook, input)) => {
            let main = match hook {
                Hook::PreReceive => repository.reference("HEAD")?,
                Hook::PrePush => None,
            };
            trusted.extend(main);
            updates = hook::read(*hook, input, repository.hash())?;
            if *hook == Hook::PreReceive && main.is_none() {
                begins(&repository, &updates)?;
            }
            let judged = match &recorded {
                Some(head) => {
                    let commit = commit_of(options, head)?;
                    // where it is gone, that is told, and judging begins as without it
                    let gone = matches!(repository.what(&commit), Err(ReadError::Missing(_)));
                    if gone { trusted.clone() } else { vec![commit] }
                }
                None => trusted.clone(),
            };
            let known = Known { hook: *hook, judged, recorded: recorded.as_ref() };
            let (ranges, kept) = from_hook(&repository, &updates, &known, &mut report_first)?;
            (ranges, kept, main)
        }
        None => {
            let range = asked(&repository, options.range.as_deref().unwrap_or("HEAD"))?;
            let tip = range.tip;
            (vec![range], Vec::new(), Some(tip))
        }
    };
    let named = if options.head.is_some() { tags(&repository)? } else { Vec::new() };
    if let Some(head) = &recorded {
        let commit = commit_of(options, head)?;
        match main {
            Some(of) => kept.push(Kept { commit, of, why: Why::Recorded }),
            None => {
                let why = format!("the recorded head {commit} was that of a main branch, and there is none");
                report_first.push(Finding::error(Code::Rewritten, why).on(commit));
            }
        }
        report_first.extend(head.missed(&expected(head, &named, &updates)));
    }
    if ranges.is_empty() && kept.is_empty() {
        return Ok(Report { findings: report_first, ..Report::default() }.finish());
    }
    let (signers, pinned) = first_signers(options, &repository, &since, &trusted, &ranges)?;
    let means = Means { now: options.now, sigstore: sigstore(options)? };
    let request = Request {
        ranges,
        kept,
        since,
        trusted,
        signers,
        pinned,
        means,
        contents: options.contents,
        tags: named,
    };
    let mut report = judge(&repository, &request, tell)?;
    let none = report.ranges.iter().all(|range| range.commits == 0 && range.unjudged == 0);
    if options.hook.is_none() && none && request.ranges.iter().all(|range| range.tag.is_none()) {
        return Err(GateError::Nothing(options.range.clone().unwrap_or_default()));
    }
    report.findings.append(&mut report_first);
    let report = report.finish();
    if let (Some(path), Some(_), true) = (&options.head, &place, report.clean) {
        // order: what nobody vouches for is not kept: else whoever brings a tag past the gate takes its name for ever
        let mut tags = recorded.as_ref().map(|head| head.tags.clone()).unwrap_or_default();
        let vouched = request.tags.iter().filter(|(tag, _)| report.vouched.contains(&tag.name));
        tags.extend(vouched.map(|(tag, commit)| (tag.name.clone(), commit.to_string())));
        let judged = report.ranges.iter().find(|judged| {
            let of_main = |kept: &Kept| kept.why == Why::Pushed && kept.of.to_string() == judged.tip;
            options.hook.is_none()
                || request.kept.iter().any(|kept| of_main(kept) && Some(kept.commit) == main)
        });
        let head = judged.zip(main).map(|(judged, main)| Head {
            format: FORMAT,
            // order: not what is pushed: whether the server takes it is not settled yet
            head: main.to_string(),
            since: judged.since.clone(),
            version: judged.version,
            allowed: judged.allowed.clone(),
            tags: tags.clone(),
        });
        let same = || recorded.clone().map(|head| Head { format: FORMAT, tags, ..head });
        if let Some(head) = head.or_else(same) {
            record(path, &head, recorded.as_ref())?;
        }
    }
    Ok(report)
}

/// Sigstore's roots: the given ones, or the public ones.
fn sigstore(options: &Options) -> Result<Verifier, GateError> {
    let text = match &options.trust_root {
        Some(path) => {
            fs::read_to_string(path).map_err(|source| GateError::File { path: path.clone(), source })?
        }
        None => SIGSTORE_PRODUCTION_TRUSTED_ROOT.to_owned(),
    };
    let root = TrustedRoot::from_json(&text).map_err(|error| GateError::TrustRoot(Box::new(error)))?;
    Verifier::new(&root).map_err(|error| GateError::TrustRoot(Box::new(error)))
}

fn asked(repository: &Repository, text: &str) -> Result<Range, GateError> {
    let written = Written::parse(text)?;
    let tip = resolve(repository, &written.tip)?;
    let base = written.base.as_deref().map(|base| resolve(repository, base)).transpose()?;
    Ok(Range {
        label: text.to_owned(),
        tip: tip.commit,
        exclude: base.into_iter().map(|base| base.commit).collect(),
        tag: tip.tag,
        goes_on: true,
    })
}

/// Refuses a push after which HEAD would stand for no branch: every push is judged from the main branch on, and it is kept.
fn begins(repository: &Repository, updates: &[Update]) -> Result<(), GateError> {
    let head = repository.head_name()?.unwrap_or_else(|| "HEAD".to_owned());
    let pushed = updates.iter().filter(|update| update.new.is_some()).map(|update| update.name.clone());
    let pushed: Vec<String> = pushed.filter(|name| name.starts_with("refs/heads/")).collect();
    if pushed.contains(&head) {
        return Ok(());
    }
    let there = repository.ids("refs/heads/")?.into_iter().map(|(name, _)| format!("refs/heads/{name}"));
    Err(GateError::NoMain { head, branch: there.chain(pushed).next() })
}

/// What is known where a hook runs, whatever is pushed.
struct Known<'a> {
    hook: Hook,
    /// What was judged: the recorded head; without one the end of the main branch, and what else was named.
    judged: Vec<ObjectId>,
    recorded: Option<&'a Head>,
}

/// What a hook was told about, as ranges, and what must stay part of them.
fn from_hook(
    repository: &Repository,
    updates: &[Update],
    known: &Known<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(Vec<Range>, Vec<Kept>), GateError> {
    let head = repository.head_name()?;
    let main = head.map(|name| repository.final_name(&name)).transpose()?;
    let (mut ranges, mut kept) = (Vec::new(), Vec::new());
    for update in updates {
        let name = &update.name;
        if name.starts_with("refs/replace/") {
            let why = format!("`{name}` would show git another history");
            findings.push(Finding::error(Code::ReplaceRef, why));
            continue;
        }
        // a symbolic ref is another name of what it stands for; whether it is one on another machine is not known here
        let stands_for = match known.hook {
            Hook::PreReceive => repository.final_name(name)?,
            Hook::PrePush => name.clone(),
        };
        let tag = stands_for.strip_prefix("refs/tags/");
        if let Some(finding) = tag.and_then(|tag| known.misses(repository, tag, update)) {
            findings.push(finding);
            continue;
        }
        let Some(new) = update.new else {
            let is_main = main.as_ref() == Some(&stands_for);
            if known.hook == Hook::PreReceive && is_main {
                let why = format!("`{name}` is the main branch, and is not deleted");
                findings.push(Finding::error(Code::Deleted, why));
            }
            continue;
        };
        let tip = match peel(repository, new, name) {
            Ok(tip) => tip,
            Err(RevisionError::NoCommit(_)) => {
                let why = format!("`{name}` names no commit");
                findings.push(Finding::error(Code::TagTarget, why).on(new));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let (None, Some(old)) = (tag, update.old) {
            let commit = match peel(repository, old, name) {
                // what is not here cannot be part of what is
                Err(RevisionError::Read(ReadError::Missing(_))) => old,
                other => other?,
            };
            kept.push(Kept { commit, of: tip, why: Why::Pushed });
        }
        let tag = match tag {
            Some(tag) => Some(Named { name: tag.to_owned(), id: new }),
            None => tag_object(repository, new)?,
        };
        // order: from what is known of the main branch on, never from a branch's own end: what it took before was judged, if it was, by
        // what held then, and perhaps by nobody
        ranges.push(Range { label: name.clone(), tip, exclude: known.judged.clone(), tag, goes_on: false });
    }
    Ok((ranges, kept))
}

impl Known<'_> {
    /// Why an update of a tag is refused: it would end, or name something else than it did, be that deleted meanwhile.
    fn misses(&self, repository: &Repository, tag: &str, update: &Update) -> Option<Finding> {
        let recorded = self.recorded.and_then(|head| head.tags.get(tag).cloned());
        let was = update.old.map(|old| named(repository, old)).or(recorded);
        match (was, update.new) {
            (Some(was), None) => {
                let why = format!(
                    "the tag `{tag}` names {was}, and is not deleted: it could be pushed anew for something else"
                );
                Some(Finding::error(Code::Deleted, why).on(was))
            }
            (Some(was), Some(new)) => {
                let is = named(repository, new);
                (was != is).then(|| moved(tag, &was, &is))
            }
            // git asks for the end of what is not there, too
            (None, _) => None,
        }
    }
}

/// What a tag names: the commit behind it; itself, where none is.
fn named(repository: &Repository, id: ObjectId) -> String {
    peel(repository, id, "").unwrap_or(id).to_string()
}

/// What the tags name, with those that are pushed anew: these are judged one by one.
fn expected(head: &Head, named: &[(Named, ObjectId)], updates: &[Update]) -> BTreeMap<String, String> {
    let now = named.iter().map(|(tag, commit)| (tag.name.clone(), commit.to_string()));
    let mut tags: BTreeMap<String, String> = now.collect();
    for tag in updates.iter().filter_map(|update| update.name.strip_prefix("refs/tags/")) {
        if let Some(was) = head.tags.get(tag) {
            tags.entry(tag.to_owned()).or_insert_with(|| was.clone());
        }
    }
    tags
}

/// The tags of the repository, and what each names: the commit behind it; itself, where none is.
fn tags(repository: &Repository) -> Result<Vec<(Named, ObjectId)>, GateError> {
    let tags = repository.ids("refs/tags/")?.into_iter();
    Ok(tags.map(|(name, id)| (Named { name, id }, peel(repository, id, "").unwrap_or(id))).collect())
}

/// The first version of the allowed signers: the given one, or that of the commit where judging begins.
fn first_signers(
    options: &Options,
    repository: &Repository,
    since: &[ObjectId],
    trusted: &[ObjectId],
    ranges: &[Range],
) -> Result<(Signers, Pinned), GateError> {
    if let Some(path) = &options.allowed {
        let text =
            fs::read_to_string(path).map_err(|source| GateError::File { path: path.clone(), source })?;
        return Ok((parse(&text, &path.display().to_string())?, Pinned::Outside));
    }
    let bases = ranges.iter().flat_map(|range| &range.exclude);
    let begin = trusted.iter().chain(bases).chain(since).next().ok_or(GateError::Unpinned)?;
    let data = repository.read(begin, What::Commit)?;
    let (tree, _) = crate::object::links(&data, repository.hash()).map_err(|_| GateError::Unpinned)?;
    let blob = Trees::new(repository).find(&tree, PLACE)?.ok_or(GateError::Unpinned)?;
    let text = repository.read(&blob, What::Blob)?;
    Ok((parse(&String::from_utf8_lossy(&text), &format!("{begin}:{PLACE}"))?, Pinned::Base))
}

fn parse(text: &str, file: &str) -> Result<Signers, GateError> {
    Signers::parse(text).map_err(|error| GateError::Signers { file: file.to_owned(), error })
}

/// The recorded head, if there is one.
fn recorded(options: &Options, since: &[ObjectId]) -> Result<Option<Head>, GateError> {
    let Some(path) = &options.head else { return Ok(None) };
    if matches!(options.hook, Some((Hook::PrePush, _))) {
        return Err(GateError::HeadOfPush);
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(GateError::File { path: path.clone(), source }),
    };
    let refused = |source| GateError::Head { path: path.clone(), source };
    let head = Head::parse(&text).map_err(refused)?;
    let asked: Vec<String> = since.iter().map(ToString::to_string).collect();
    head.since(&asked).map_err(refused)?;
    Ok(Some(head))
}

/// Tells that there is nothing to compare with: a record that somebody took away looks like one that never was.
fn unrecorded(path: &Path, recorded: Option<&Head>) -> Option<Finding> {
    let what = match recorded {
        None => "no head was recorded",
        Some(head) if head.format < FORMAT => "no tags were recorded",
        Some(_) => return None,
    };
    let why = format!("{what} in {} before, so nothing of that could be missed", path.display());
    Some(Finding::note(Code::Unrecorded, why))
}

/// A record that is held while it is compared and written, so that of two runs the second sees what the first has written.
struct Place {
    _lock: fs::File,
}

impl Place {
    /// Refuses a record that is a link, or lies where files of the repository do: whoever commits would say what was judged before,
    /// or where it is written.
    fn hold(path: &Path, repository: &Repository) -> Result<Place, GateError> {
        let failed = |source| GateError::File { path: path.to_owned(), source };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = fs::canonicalize(parent).map_err(failed)?;
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        match fs::symlink_metadata(parent.join(name)) {
            Ok(there) if !there.is_file() => return Err(GateError::HeadNoFile(path.to_owned())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        if repository.is_checked_out(&parent)? {
            return Err(GateError::HeadInside(path.to_owned()));
        }
        // beside it, since the record itself is another file each time
        let mut lock = std::ffi::OsString::from(".");
        lock.push(name);
        lock.push(".lock");
        let lock = parent.join(lock);
        // a directory can be named by nobody who commits into it, but a link could be
        if fs::symlink_metadata(&lock).is_ok_and(|there| !there.is_file()) {
            return Err(GateError::HeadNoFile(lock));
        }
        let mut open = fs::OpenOptions::new();
        let open = open.write(true).create(true).truncate(false);
        let file = open.open(&lock).map_err(|source| GateError::File { path: lock.clone(), source })?;
        file.lock().map_err(|source| GateError::File { path: lock, source })?;
        Ok(Place { _lock: file })
    }
}

fn commit_of(options: &Options, head: &Head) -> Result<ObjectId, GateError> {
    let path = options.head.clone().unwrap_or_default();
    head.commit().map_err(|source| GateError::Head { path, source })
}

/// Writes the head whole.
fn record(path: &Path, head: &Head, before: Option<&Head>) -> Result<(), GateError> {
    if before == Some(head) {
        return Ok(());
    }
    let text = head.text().map_err(|source| GateError::Head { path: path.to_owned(), source })?;
    claw_sys::whole::replace(path, text.as_bytes(), 0o644)
        .map_err(|source| GateError::File { path: path.to_owned(), source })
}
