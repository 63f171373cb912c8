//! A repository on disk, read without git: objects, refs, and what would show git another history.
//!
//! Replace refs and grafts are found and told; objects are read as they are, never as their replacement. What cannot be judged is refused:
//! shallow and partial clones, formats that are not known. In a pre-receive hook, objects are in quarantine: git says where.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix_hash::{Kind, ObjectId};
use gix_object::Find;
use gix_odb::store::init::Options;
use gix_ref::Target;
use thiserror::Error;

use crate::finding::{Code, Finding};
use crate::source::{ReadError, Source, What, check_id};

mod config;

/// What git's environment says where objects are.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `GIT_DIR`
    pub git_dir: Option<PathBuf>,
    /// `GIT_OBJECT_DIRECTORY`
    pub objects: Option<PathBuf>,
    /// `GIT_ALTERNATE_OBJECT_DIRECTORIES`, split.
    pub alternates: Vec<PathBuf>,
    /// `GIT_WORK_TREE`
    pub worktree: Option<PathBuf>,
    /// `GIT_NAMESPACE`
    pub namespace: Option<OsString>,
}

/// A repository.
pub struct Repository {
    worktree: Option<PathBuf>,
    git: PathBuf,
    common: PathBuf,
    hash: Kind,
    stores: Vec<gix_odb::Handle>,
    refs: gix_ref::file::Store,
}

/// Why a repository cannot be judged.
#[derive(Debug, Error)]
pub enum RepoError {
    /// There is none.
    #[error("{0} is not in a git repository")]
    None(PathBuf),
    /// A file of it cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its history was cut off when it was cloned.
    #[error(
        "the repository is a shallow clone: its history is cut off, and what is behind the cut cannot be judged"
    )]
    Shallow,
    /// Its objects are partly elsewhere.
    #[error(
        "the repository is a partial clone ({0}): objects are missing and would be fetched, and cannot be judged"
    )]
    Partial(String),
    /// Its refs are shown to git by other names.
    #[error("git reads the refs in the namespace `{}`, and the gate reads them as they are", .0.escape_debug())]
    Namespace(String),
    /// It says it is in a format that is not known here.
    #[error("the repository's `{key}` is `{value}`, which is not known here")]
    Format {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// Its refs cannot be read.
    #[error("the refs of the repository cannot be read")]
    Refs(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A ref leads to itself.
    #[error("the ref `{0}` leads to itself")]
    Loop(String),
}

impl RepoError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            RepoError::None(_) => Some("name it with --repo"),
            RepoError::Shallow => Some(
                "git fetch --unshallow; in a workflow of GitHub: fetch-depth: 0; in GitLab: GIT_DEPTH: 0",
            ),
            RepoError::Partial(_) => Some("clone it again without --filter"),
            RepoError::Namespace(_) => {
                Some("name it with --repo, and its refs as they are: refs/namespaces/NAME/refs/heads/BRANCH")
            }
            _ => None,
        }
    }
}

impl Repository {
    /// Opens the repository that a directory is in.
    pub fn open(directory: &Path, around: &Surroundings) -> Result<Repository, RepoError> {
        // the main branch of a namespace is another one, and what is pushed to it would be judged from the wrong end
        if let Some(namespace) = &around.namespace {
            return Err(RepoError::Namespace(namespace.to_string_lossy().into_owned()));
        }
        let (git, worktree) = match &around.git_dir {
            // git takes the directory that it is called in for the files' one (git(1), GIT_DIR)
            Some(git) => (git.clone(), Some(directory.to_owned())),
            None => discover(directory)?,
        };
        let common = match read(&git.join("commondir"))? {
            Some(text) => git.join(text.trim()),
            None => git.clone(),
        };
        let hash = judgeable(&common)?;
        let mut places = vec![around.objects.clone().unwrap_or_else(|| common.join("objects"))];
        places.extend(around.alternates.iter().cloned());
        places.push(common.join("objects"));
        places.dedup();
        let mut stores = Vec::new();
        for place in places {
            if let Some(name) = promised(&place)? {
                return Err(RepoError::Partial(name));
            }
            let options =
                Options { object_hash: hash, alloc_limit_bytes: Some(LARGEST), ..Options::default() };
            let mut handle = gix_odb::at_opts(place.clone(), Vec::new(), options)
                .map_err(|source| RepoError::File { path: place.clone(), source })?;
            handle.set_pack_cache(|| Box::<gix_pack::cache::lru::StaticLinkedList<64>>::default());
            stores.push(handle);
        }
        let options = gix_ref::store::init::Options { object_hash: hash, ..Default::default() };
        let refs = if git == common {
            gix_ref::file::Store::at(git.clone(), options)
        } else {
            gix_ref::file::Store::for_linked_worktree(git.clone(), common.clone(), options)
        };
        let worktree = around.worktree.clone().or(worktree);
        Ok(Repository { worktree, git, common, hash, stores, refs })
    }

    /// Whether a directory is one into which files of the repository are checked out, however it was found. Its own
    /// directory is none: no commit puts a file there.
    pub fn is_checked_out(&self, directory: &Path) -> Result<bool, RepoError> {
        let real = |path: &Path| match fs::canonicalize(path) {
            Ok(path) => Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RepoError::File { path: path.to_owned(), source }),
        };
        let Some(directory) = real(directory)? else { return Ok(false) };
        let own: Vec<PathBuf> = [real(&self.git)?, real(&self.common)?].into_iter().flatten().collect();
        if own.iter().any(|own| directory.starts_with(own)) {
            return Ok(false);
        }
        let text = read(&self.common.join("config"))?.unwrap_or_default();
        let settings = config::read(&text);
        let bare = settings.iter().any(|entry| entry.name() == "core.bare" && entry.value == "true");
        let mut roots: Vec<PathBuf> = self.worktree.iter().filter(|_| !bare).cloned().collect();
        // git's own directory is in the files' one, unless it says otherwise
        let beside = own.iter().filter(|own| own.ends_with(".git"));
        roots.extend(beside.filter_map(|own| own.parent()).map(Path::to_owned));
        let set = settings.into_iter().filter(|entry| entry.name() == "core.worktree");
        roots.extend(set.map(|entry| self.common.join(entry.text)));
        roots.extend(self.linked()?);
        for root in roots {
            if real(&root)?.is_some_and(|root| directory.starts_with(root)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where further work trees are (gitrepository-layout(5), `worktrees`).
    fn linked(&self) -> Result<Vec<PathBuf>, RepoError> {
        let path = self.common.join("worktrees");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(RepoError::File { path, source }),
        };
        let mut roots = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| RepoError::File { path: path.clone(), source })?.path();
            let dot = read(&entry.join("gitdir"))?.map(|text| entry.join(text.trim()));
            roots.extend(dot.as_deref().and_then(Path::parent).map(Path::to_owned));
        }
        Ok(roots)
    }

    /// What shows git another history than the one that is judged.
    pub fn disguises(&self) -> Result<Vec<Finding>, RepoError> {
        let mut found = Vec::new();
        let grafts = read(&self.common.join("info/grafts"))?.unwrap_or_default();
        for line in grafts.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let commit = line.split_whitespace().next().unwrap_or_default();
            let why = "`info/grafts` gives git other parents for this commit than it has";
            found.push(Finding::error(Code::Graft, why).on(commit.escape_debug()).fix("rm .git/info/grafts"));
        }
        for (name, target) in self.below("refs/replace/")? {
            let replaced = name.strip_prefix("refs/replace/").unwrap_or(&name).to_owned();
            let why = format!("git shows {target} in place of {replaced}; the true one was judged");
            let fix = format!("git replace -d {replaced}");
            found.push(Finding::error(Code::ReplaceRef, why).on(replaced).fix(fix));
        }
        Ok(found)
    }

    /// What a ref names, symbolic refs followed.
    pub fn reference(&self, name: &str) -> Result<Option<ObjectId>, RepoError> {
        let mut at = name.to_owned();
        for _ in 0..DEEPEST_REF {
            match self.exact(&at)? {
                None => return Ok(None),
                Some(Target::Object(id)) => return Ok(Some(id)),
                Some(Target::Symbolic(next)) => at = next.as_bstr().to_string(),
            }
        }
        Err(RepoError::Loop(name.to_owned()))
    }

    /// The ref that a ref stands for, symbolic refs followed; itself if it is none.
    pub fn final_name(&self, name: &str) -> Result<String, RepoError> {
        let mut at = name.to_owned();
        for _ in 0..DEEPEST_REF {
            match self.exact(&at)? {
                Some(Target::Symbolic(next)) => at = next.as_bstr().to_string(),
                _ => return Ok(at),
            }
        }
        Err(RepoError::Loop(name.to_owned()))
    }

    /// The branch that HEAD stands for.
    pub fn head_name(&self) -> Result<Option<String>, RepoError> {
        Ok(match self.exact("HEAD")? {
            Some(Target::Symbolic(name)) => Some(name.as_bstr().to_string()),
            _ => None,
        })
    }

    fn exact(&self, name: &str) -> Result<Option<Target>, RepoError> {
        let partial: Result<&gix_ref::PartialNameRef, _> = name.try_into();
        let Ok(partial) = partial else { return Ok(None) };
        let found = self.refs.try_find(partial).map_err(|error| RepoError::Refs(Box::new(error)))?;
        Ok(found.filter(|found| found.name.as_bstr() == name).map(|found| found.target))
    }

    /// What the refs below a prefix name, by the rest of their names, symbolic refs followed.
    pub fn ids(&self, prefix: &str) -> Result<Vec<(String, ObjectId)>, RepoError> {
        let mut found = Vec::new();
        for (name, _) in self.below(prefix)? {
            let id = self.reference(&name)?;
            let short = name.strip_prefix(prefix).unwrap_or(&name).to_owned();
            found.extend(id.map(|id| (short, id)));
        }
        Ok(found)
    }

    fn below(&self, prefix: &str) -> Result<Vec<(String, String)>, RepoError> {
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| RepoError::Refs(error);
        let all = self.refs.iter().map_err(|error| refused(Box::new(error)))?;
        let mut found = Vec::new();
        for reference in all.all().map_err(|error| refused(Box::new(error)))? {
            let reference = reference.map_err(|error| refused(Box::new(error)))?;
            let name = reference.name.as_bstr().to_string();
            if name.starts_with(prefix) {
                let target = match reference.target {
                    Target::Object(id) => id.to_string(),
                    Target::Symbolic(name) => name.as_bstr().to_string(),
                };
                found.push((name, target));
            }
        }
        Ok(found)
    }
}

impl Source for Repository {
    fn hash(&self) -> Kind {
        self.hash
    }

    fn read(&self, id: &ObjectId, what: What) -> Result<Vec<u8>, ReadError> {
        let mut buffer = Vec::new();
        let kind = self.find(id, &mut buffer)?;
        if kind != what.kind() {
            return Err(ReadError::Other { id: *id, expected: what.name() });
        }
        check_id(id, what, &buffer)?;
        Ok(buffer)
    }

    fn what(&self, id: &ObjectId) -> Result<What, ReadError> {
        Ok(match self.find(id, &mut Vec::new())? {
            gix_object::Kind::Commit => What::Commit,
            gix_object::Kind::Tree => What::Tree,
            gix_object::Kind::Blob => What::Blob,
            gix_object::Kind::Tag => What::Tag,
        })
    }
}

impl Repository {
    fn find(&self, id: &ObjectId, buffer: &mut Vec<u8>) -> Result<gix_object::Kind, ReadError> {
        for store in &self.stores {
            let found =
                store.try_find(id, buffer).map_err(|source| ReadError::Storage { id: *id, source })?;
            if let Some(kind) = found.map(|found| found.kind) {
                return Ok(kind);
            }
        }
        Err(ReadError::Missing(*id))
    }
}

/// The git directory of the repository that a directory is in, and where its files are checked out.
fn discover(directory: &Path) -> Result<(PathBuf, Option<PathBuf>), RepoError> {
    for at in directory.ancestors() {
        let dot = at.join(".git");
        if dot.is_dir() {
            return Ok((dot, Some(at.to_owned())));
        }
        if let Some(text) = read(&dot).ok().flatten()
            && let Some(path) = text.trim().strip_prefix("gitdir: ")
        {
            return Ok((at.join(path), Some(at.to_owned())));
        }
        if at.join("HEAD").is_file() && at.join("objects").is_dir() && at.join("refs").is_dir() {
            return Ok((at.to_owned(), None));
        }
    }
    Err(RepoError::None(directory.to_owned()))
}

/// Whether the repository can be judged; the kind of its ids.
fn judgeable(common: &Path) -> Result<Kind, RepoError> {
    if read(&common.join("shallow"))?.is_some_and(|text| !text.trim().is_empty()) {
        return Err(RepoError::Shallow);
    }
    let text = read(&common.join("config"))?.unwrap_or_default();
    let mut hash = Kind::Sha1;
    for entry in config::read(&text) {
        let format = || RepoError::Format { key: entry.name(), value: entry.value.clone() };
        match (entry.section.as_str(), entry.key.as_str()) {
            ("core", "repositoryformatversion") if !matches!(entry.value.as_str(), "0" | "1") => {
                return Err(format());
            }
            ("extensions", "objectformat") => {
                hash = match entry.value.as_str() {
                    "sha1" => Kind::Sha1,
                    "sha256" => Kind::Sha256,
                    _ => return Err(format()),
                }
            }
            ("extensions", "refstorage") if entry.value != "files" => return Err(format()),
            ("extensions", "partialclone") => return Err(RepoError::Partial(entry.name())),
            ("extensions", key) if !KNOWN.contains(&key) => return Err(format()),
            ("remote", "promisor") if entry.value != "false" => return Err(RepoError::Partial(entry.name())),
            _ => {}
        }
    }
    Ok(hash)
}

/// A pack whose missing objects somebody else promised.
fn promised(objects: &Path) -> Result<Option<String>, RepoError> {
    let path = objects.join("pack");
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RepoError::File { path, source }),
    };
    for entry in entries {
        let entry = entry.map_err(|source| RepoError::File { path: path.clone(), source })?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".promisor") {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Option<String>, RepoError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(RepoError::File { path: path.to_owned(), source }),
    }
}

/// Extensions that change nothing of what is read here.
const KNOWN: &[&str] = &[
    "noop",
    "noop-v1",
    "objectformat",
    "refstorage",
    "worktreeconfig",
    "preciousobjects",
    "relativeworktrees",
];
const DEEPEST_REF: usize = 8;
/// No object is read that is larger.
const LARGEST: usize = 1 << 30;
