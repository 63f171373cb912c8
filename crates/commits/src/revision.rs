//! Names of commits and ranges, as far as they have one reading.

use gix_hash::ObjectId;
use thiserror::Error;

use crate::judge::Named;
use crate::object::{self, Tag};
use crate::repo::{RepoError, Repository};
use crate::source::{ReadError, Source, What};

/// A range as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What was judged before; none for the whole history.
    pub base: Option<String>,
    /// The last commit.
    pub tip: String,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The commit.
    pub commit: ObjectId,
    /// The tag, if the name is one.
    pub tag: Option<Named>,
}

/// Why a name stands for nothing.
#[derive(Debug, Error)]
pub enum RevisionError {
    /// Two dots are a range, three are another question.
    #[error("`{0}` is no range here")]
    Range(String),
    /// Nothing is called like this.
    #[error("nothing is called `{0}`")]
    Unknown(String),
    /// A part of an id.
    #[error("`{0}` is a part of an id, and could be that of another object tomorrow")]
    Short(String),
    /// More than one thing is called like this.
    #[error("`{name}` is both {first} and {second}")]
    Ambiguous {
        /// The name.
        name: String,
        /// A ref.
        first: String,
        /// Another.
        second: String,
    },
    /// It has no such parent.
    #[error("`{0}` goes back further than the history does")]
    Past(String),
    /// It names no commit.
    #[error("`{0}` names no commit")]
    NoCommit(String),
    /// The repository.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// An object.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl RevisionError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            RevisionError::Range(text) => Some(format!(
                "write `{}`: all that the second has and the first has not",
                text.replace("...", "..")
            )),
            RevisionError::Short(text) => Some(format!("write the whole id: git rev-parse {text}")),
            RevisionError::Ambiguous { first, .. } => Some(format!("write `{first}`")),
            RevisionError::Repo(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }
}

impl Written {
    /// Reads `A..B`, or `B` for all of its history.
    pub fn parse(text: &str) -> Result<Written, RevisionError> {
        let name = |text: &str| if text.is_empty() { "HEAD".to_owned() } else { text.to_owned() };
        if text.contains("...") || text.starts_with('^') {
            return Err(RevisionError::Range(text.to_owned()));
        }
        Ok(match text.split_once("..") {
            Some((base, tip)) => Written { base: Some(name(base)), tip: name(tip) },
            None => Written { base: None, tip: name(text) },
        })
    }
}

/// What a name stands for: a full id, `HEAD`, a ref, a branch or a tag, with `~N` and `^N` behind it.
pub fn resolve(repository: &Repository, text: &str) -> Result<Resolved, RevisionError> {
    let end = text.find(['~', '^']).unwrap_or(text.len());
    let (name, steps) = text.split_at(end);
    let (id, tag) = named(repository, name, text)?;
    let mut commit = peel(repository, id, text)?;
    let tag = match tag.filter(|_| steps.is_empty()).map(|name| Named { name, id }) {
        None if steps.is_empty() => tag_object(repository, id)?,
        tag => tag,
    };
    let mut rest = steps;
    while let Some(step) = rest.chars().next() {
        let after = rest.get(1..).unwrap_or_default();
        let digits = after.len().saturating_sub(after.trim_start_matches(|c: char| c.is_ascii_digit()).len());
        let (count, next) = after.split_at(digits);
        let count: usize = if count.is_empty() { 1 } else { count.parse().unwrap_or(usize::MAX) };
        if !matches!(next.chars().next(), None | Some('~' | '^')) {
            return Err(RevisionError::Unknown(text.to_owned()));
        }
        let (times, parent) = if step == '~' { (count, 1) } else { (1, count) };
        for _ in 0..times {
            let data = repository.read(&commit, What::Commit)?;
            let parents =
                object::links(&data, repository.hash()).map(|(_, parents)| parents).unwrap_or_default();
            let next = parent.checked_sub(1).map_or(Some(commit), |place| parents.get(place).copied());
            commit = next.ok_or_else(|| RevisionError::Past(text.to_owned()))?;
        }
        rest = next;
    }
    Ok(Resolved { commit, tag })
}

/// The object a name stands for, and the tag's name if it is one.
fn named(
    repository: &Repository,
    name: &str,
    text: &str,
) -> Result<(ObjectId, Option<String>), RevisionError> {
    let hex = name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex
        && name.len() == repository.hash().len_in_hex()
        && let Ok(id) = ObjectId::from_hex(name.as_bytes())
    {
        return Ok((id, None));
    }
    let name = if name == "@" { "HEAD" } else { name };
    if name == "HEAD" || name.starts_with("refs/") {
        let id = repository.reference(name)?.ok_or_else(|| RevisionError::Unknown(name.to_owned()))?;
        return Ok((id, name.strip_prefix("refs/tags/").map(str::to_owned)));
    }
    let mut found: Vec<(String, ObjectId)> = Vec::new();
    let places =
        ["refs/", "refs/tags/", "refs/heads/", "refs/remotes/"].map(|prefix| format!("{prefix}{name}"));
    for full in places.into_iter().chain([format!("refs/remotes/{name}/HEAD")]) {
        if let Some(id) = repository.reference(&full)? {
            found.push((full, id));
        }
    }
    match found.as_slice() {
        [] if hex => Err(RevisionError::Short(name.to_owned())),
        [] => Err(RevisionError::Unknown(text.to_owned())),
        [(full, id)] => Ok((*id, full.strip_prefix("refs/tags/").map(str::to_owned))),
        [(first, _), (second, _), ..] => Err(RevisionError::Ambiguous {
            name: name.to_owned(),
            first: first.clone(),
            second: second.clone(),
        }),
    }
}

/// The tag that an object is, by its own name, whatever names it.
pub fn tag_object(repository: &Repository, id: ObjectId) -> Result<Option<Named>, RevisionError> {
    if repository.what(&id)? != What::Tag {
        return Ok(None);
    }
    let tag = Tag::parse(&repository.read(&id, What::Tag)?, repository.hash());
    Ok(Some(Named { name: tag.map_or_else(|_| id.to_string(), |tag| tag.name), id }))
}

/// The commit behind tags.
pub fn peel(repository: &Repository, mut id: ObjectId, text: &str) -> Result<ObjectId, RevisionError> {
    for _ in 0..DEEPEST {
        match repository.what(&id)? {
            What::Commit => return Ok(id),
            What::Tag => {
                let data = repository.read(&id, What::Tag)?;
                let tag = Tag::parse(&data, repository.hash());
                id = tag.map_err(|_| RevisionError::NoCommit(text.to_owned()))?.target;
            }
            What::Tree | What::Blob => break,
        }
    }
    Err(RevisionError::NoCommit(text.to_owned()))
}

const DEEPEST: usize = 8;
