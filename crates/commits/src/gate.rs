//! From arguments to a report: which ranges, which first version of the allowed signers, which recorded head.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use sigstore_verify::Verifier;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use thiserror::Error;

use crate::finding::{Code, Finding, Report};
use crate::head::{FORMAT, Head, HeadError};
use crate::hook::{self, Hook, HookError, Update};
use crate::judge::{JudgeError, Means, Named, Progress, Range, Request, judge};
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
    /// A recorded head is that of one range.
    #[error("--head records one range, and there are {0}")]
    Several(usize),
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
    let mut ranges = match &options.hook {
        Some((hook, input)) => {
            let main = repository.reference("HEAD")?;
            if *hook == Hook::PreReceive {
                trusted.extend(main);
            }
            let updates = hook::read(*hook, input, repository.hash())?;
            from_hook(&repository, &updates, (*hook, &trusted), &mut report_first)?
        }
        None => vec![asked(&repository, options.range.as_deref().unwrap_or("HEAD"))?],
    };
    let recorded = recorded(options, &since, &mut ranges)?;
    if ranges.is_empty() {
        return Ok(Report { findings: report_first, ..Report::default() }.finish());
    }
    let (signers, pinned) = first_signers(options, &repository, &since, &trusted, &ranges)?;
    let means = Means { now: options.now, sigstore: sigstore(options)? };
    let request = Request { ranges, since, trusted, signers, pinned, means, contents: options.contents };
    let mut report = judge(&repository, &request, tell)?;
    let none = report.ranges.iter().all(|range| range.commits == 0 && range.unjudged == 0);
    if options.hook.is_none() && none && request.ranges.iter().all(|range| range.tag.is_none()) {
        return Err(GateError::Nothing(options.range.clone().unwrap_or_default()));
    }
    report.findings.append(&mut report_first);
    let report = report.finish();
    if let (Some(path), true) = (&options.head, report.clean) {
        record(path, &report, recorded.as_ref())?;
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
        must_hold: None,
    })
}

/// What a hook was told about, as ranges.
fn from_hook(
    repository: &Repository,
    updates: &[Update],
    (hook, trusted): (Hook, &[ObjectId]),
    findings: &mut Vec<Finding>,
) -> Result<Vec<Range>, GateError> {
    let head = repository.head_name()?;
    let main = head.map(|name| repository.final_name(&name)).transpose()?;
    let mut ranges = Vec::new();
    for update in updates {
        if update.name.starts_with("refs/replace/") {
            let why = format!("`{}` would show git another history", update.name);
            findings.push(Finding::error(Code::ReplaceRef, why));
            continue;
        }
        // a symbolic ref is another name of what it stands for
        let is_main = main.is_some() && main == Some(repository.final_name(&update.name)?);
        let Some(new) = update.new else {
            if hook == Hook::PreReceive && is_main {
                let why = format!("`{}` is the main branch, and is not deleted", update.name);
                findings.push(Finding::error(Code::Deleted, why));
            }
            continue;
        };
        let tag = update.name.strip_prefix("refs/tags/").map(|name| Named { name: name.to_owned(), id: new });
        let tip = match peel(repository, new, &update.name) {
            Ok(tip) => tip,
            Err(RevisionError::NoCommit(_)) => {
                let why = format!("`{}` names no commit", update.name);
                findings.push(Finding::error(Code::TagTarget, why).on(new));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (mut exclude, mut must_hold) = (trusted.to_vec(), None);
        if let Some(old) = update.old {
            let old = peel(repository, old, &update.name)?;
            // order: a tag is not moved at all, a branch only forward
            if tag.is_none() {
                must_hold = Some((old, "what was pushed before,"));
                // order: what a side branch took before is judged again, by what holds on the main branch now
                if is_main || hook == Hook::PrePush {
                    exclude = vec![old];
                }
            } else if old != tip {
                let why = format!("`{}` named {old} before, and a tag does not move", update.name);
                findings.push(Finding::error(Code::Rewritten, why).on(old));
            }
        }
        let tag = match tag {
            None => tag_object(repository, new)?,
            tag => tag,
        };
        ranges.push(Range { label: update.name.clone(), tip, exclude, tag, must_hold });
    }
    Ok(ranges)
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

/// The recorded head, which must stay part of the one range there is.
fn recorded(options: &Options, since: &[ObjectId], ranges: &mut [Range]) -> Result<Option<Head>, GateError> {
    let Some(path) = &options.head else { return Ok(None) };
    let [range] = ranges else { return Err(GateError::Several(ranges.len())) };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(GateError::File { path: path.clone(), source }),
    };
    let refused = |source| GateError::Head { path: path.clone(), source };
    let head = Head::parse(&text).map_err(refused)?;
    let asked: Vec<String> = since.iter().map(ToString::to_string).collect();
    head.since(&asked).map_err(refused)?;
    let commit =
        ObjectId::from_hex(head.head.as_bytes()).map_err(|_| refused(HeadError::Id(head.head.clone())))?;
    range.must_hold = Some((commit, "the recorded head"));
    Ok(Some(head))
}

/// Writes the head beside and renames it, so that it is never half written.
fn record(path: &Path, report: &Report, before: Option<&Head>) -> Result<(), GateError> {
    let Some(judged) = report.ranges.first() else { return Ok(()) };
    let head = Head {
        format: FORMAT,
        head: judged.tip.clone(),
        since: judged.since.clone(),
        version: judged.version,
        allowed: judged.allowed.clone(),
    };
    if before == Some(&head) {
        return Ok(());
    }
    let text = head.text().map_err(|source| GateError::Head { path: path.to_owned(), source })?;
    let refused = |source| GateError::File { path: path.to_owned(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, text).map_err(refused)?;
    fs::rename(&beside, path).map_err(refused)
}
