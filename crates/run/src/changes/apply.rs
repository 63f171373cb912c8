//! Changes onto the host's tree, one after the other, by descriptors below it.
//!
//! No link is followed, on neither side: not one that the agent made, not one that somebody made on the host. Files are
//! written beside their place and renamed into it, so that each is the old one or the new one; another name of the host's
//! file (a hard link) keeps the old content. What could not be done is told, and the rest is done.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use claw_sys::below::{self, Open, Remove, Taken};
use claw_sys::mount;

use super::layers::Kept;
use super::tree::{self, Found};
use super::{Change, ChangesError, Kind, Refusal, Shape, changes};

/// Which changes to apply.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// These and what is below them, as whole paths; all if there are none.
    pub paths: Vec<PathBuf>,
    /// Those as well that make somebody run code later.
    pub flagged: bool,
    /// Those as well where the host's own changed since the run began.
    pub overwrite: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Applied {
    /// Done, in this order.
    pub done: Vec<Change>,
    /// Not done, each with its reason.
    pub refused: Vec<Change>,
}

/// Applies what was chosen.
pub fn apply(kept: &Kept, choice: &Choice) -> Result<Applied, ChangesError> {
    kept.claim()?;
    let all = changes(kept)?;
    for path in &choice.paths {
        if !all.iter().any(|change| change.place().starts_with(path)) {
            return Err(ChangesError::NoSuchChange(path.clone()));
        }
    }
    let mut applied = Applied::default();
    for mut change in all {
        if !choice.paths.is_empty() && !choice.paths.iter().any(|path| change.place().starts_with(path)) {
            continue;
        }
        change.refused = refusal(&change, choice);
        if change.refused.is_none()
            && let Err(why) = one(kept, &change)
        {
            change.refused = Some(Refusal::Failed(why));
        }
        if change.refused.is_some() { &mut applied.refused } else { &mut applied.done }.push(change);
    }
    Ok(applied)
}

/// Why this one is not applied.
fn refusal(change: &Change, choice: &Choice) -> Option<Refusal> {
    let refused = match &change.refused {
        Some(Refusal::Conflict(_)) if choice.overwrite => None,
        other => other.clone(),
    };
    let named = choice.flagged || choice.paths.contains(&change.place());
    let flagged = change.flagged.clone().filter(|_| !named);
    refused.or_else(|| flagged.map(Refusal::Flagged))
}

fn one(kept: &Kept, change: &Change) -> Result<(), String> {
    let tree = kept.trees.get(change.number).ok_or("it belongs to no tree of the run")?;
    let (upper, lower) = (kept.upper(change.number), kept.lower(tree));
    let (upper, lower) =
        (upper.map_err(|error| error.to_string())?, lower.map_err(|error| error.to_string())?);
    let place = Place::of(&upper, &lower, &change.path)?;
    let done = match change.kind {
        Kind::Deleted => place.remove(),
        Kind::Mode => place.mode(&upper),
        Kind::Type => place.replace(&upper),
        Kind::Added => place.make(&upper, Taken::Refuse),
        Kind::Modified => place.make(&upper, Taken::Replace),
    };
    done.map_err(|error| why(&error))
}

/// Where one change goes.
struct Place<'a> {
    parent: OwnedFd,
    name: &'a Path,
    path: &'a Path,
}

impl Place<'_> {
    /// The directory above is made if it is new as well.
    fn of<'a>(upper: &OwnedFd, lower: &OwnedFd, path: &'a Path) -> Result<Place<'a>, String> {
        let name = Path::new(path.file_name().ok_or("it has no name")?);
        let above = path.parent().unwrap_or(Path::new(""));
        let parent = parent(upper, lower, above).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => "the way to it on the host leads through a symbolic link".to_owned(),
            Some(libc::EXDEV) => "the way to it on the host leads to another mount".to_owned(),
            _ => format!("the directory above it cannot be used: {error}"),
        })?;
        Ok(Place { parent, name, path })
    }

    fn make(&self, upper: &OwnedFd, taken: Taken) -> io::Result<()> {
        let beside = self.prepare(upper)?;
        self.put(&beside, taken)
    }

    /// Something of another type. What the host has goes only once the new one is there whole.
    fn replace(&self, upper: &OwnedFd) -> io::Result<()> {
        let beside = self.prepare(upper)?;
        if let Err(error) = self.remove() {
            let _ = remove_all(&self.parent, &beside);
            return Err(error);
        }
        self.put(&beside, Taken::Refuse)
    }

    /// Makes it whole under a name beside.
    fn prepare(&self, upper: &OwnedFd) -> io::Result<PathBuf> {
        let Some(new) = Found::at(upper, self.path)? else { return Err(io::ErrorKind::NotFound.into()) };
        let beside = beside();
        let made = match new.shape() {
            Shape::Directory => mount::make_directory(self.parent.as_fd(), &beside, 0o700)
                .and_then(|()| self.set_mode(&beside, &new)),
            Shape::Link => below::link_text(new.place.as_fd())
                .and_then(|text| mount::make_link(self.parent.as_fd(), &beside, &text)),
            Shape::File => self.copy(&new, &beside),
            Shape::Pipe | Shape::Socket | Shape::Device => return Err(io::ErrorKind::Unsupported.into()),
        };
        if made.is_err() {
            let _ = remove_all(&self.parent, &beside);
        }
        made.map(|()| beside)
    }

    fn copy(&self, new: &Found, beside: &Path) -> io::Result<()> {
        let source = tree::open(new)?;
        let copy = File::from(below::open(self.parent.as_fd(), beside, Open::New)?);
        copy_sparse(&source, &copy)?;
        copy.set_permissions(Permissions::from_mode(new.mode() & 0o777))?;
        copy.sync_all()
    }

    fn put(&self, beside: &Path, taken: Taken) -> io::Result<()> {
        let put = below::rename(self.parent.as_fd(), beside, self.name, taken);
        if put.is_err() {
            let _ = remove_all(&self.parent, beside);
        }
        put
    }

    /// The agent's permissions on the host's own, and nothing that gives privileges.
    fn mode(&self, upper: &OwnedFd) -> io::Result<()> {
        let Some(new) = Found::at(upper, self.path)? else { return Err(io::ErrorKind::NotFound.into()) };
        // a file gets another inode: another name of it on the host keeps its mode
        match new.shape() {
            Shape::Directory => self.set_mode(self.name, &new),
            _ => self.make(upper, Taken::Replace),
        }
    }

    fn set_mode(&self, name: &Path, new: &Found) -> io::Result<()> {
        let made = below::open(self.parent.as_fd(), name, Open::Directory)?;
        File::from(made).set_permissions(Permissions::from_mode(new.mode() & 0o1777))
    }

    /// What the host has, with everything below.
    fn remove(&self) -> io::Result<()> {
        remove_all(&self.parent, self.name)
    }
}

/// Takes a name out of a directory, with everything below. No link is followed, and no other mount is entered.
pub(crate) fn remove_all(parent: &OwnedFd, name: &Path) -> io::Result<()> {
    match Found::at(parent, name)? {
        None => Ok(()),
        Some(old) if old.shape() == Shape::Directory => {
            empty(&below::open(parent.as_fd(), name, Open::Directory)?, 0)?;
            below::remove(parent.as_fd(), name, Remove::Directory)
        }
        Some(_) => below::remove(parent.as_fd(), name, Remove::File),
    }
}

/// The host's directory at a path; those that only the agent's tree has are made.
fn parent(upper: &OwnedFd, lower: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    match below::open(lower.as_fd(), path, Open::Directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.as_os_str().is_empty() => {}
        other => return other,
    }
    let above = parent(upper, lower, path.parent().unwrap_or(Path::new("")))?;
    let name = Path::new(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    let mode = Found::at(upper, path)?.map_or(0o755, |found| found.mode() & 0o777);
    mount::make_directory(above.as_fd(), name, 0o700)?;
    let made = File::from(below::open(above.as_fd(), name, Open::Directory)?);
    made.set_permissions(Permissions::from_mode(mode))?;
    Ok(made.into())
}

/// Empties a directory of the host. Nothing on another mount is touched.
fn empty(directory: &OwnedFd, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("it holds too many directories below each other"));
    }
    for name in tree::names(directory)? {
        let name = Path::new(&name);
        match Found::at(directory, name)? {
            None => {}
            Some(found) if found.shape() == Shape::Directory => {
                empty(&below::open(directory.as_fd(), name, Open::Directory)?, depth.saturating_add(1))?;
                below::remove(directory.as_fd(), name, Remove::Directory)?;
            }
            Some(_) => below::remove(directory.as_fd(), name, Remove::File)?,
        }
    }
    Ok(())
}

/// Holes stay holes: a file that only looks large must not fill the disk.
fn copy_sparse(source: &File, copy: &File) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0u64;
    while let Some(data) = below::data_from(source.as_fd(), at)? {
        let read = source.read_at(&mut buffer, data)?;
        let block = buffer.get(..read).unwrap_or_default();
        if block.is_empty() {
            break;
        }
        copy.write_all_at(block, data)?;
        at = data.saturating_add(block.len() as u64);
    }
    copy.set_len(source.metadata()?.len())
}

/// A name beside, which nobody else has.
fn beside() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!(".claw-apply-{}-{number}", std::process::id()))
}

fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ELOOP) => "a symbolic link stands in the way on the host".to_owned(),
        Some(libc::EXDEV) => "another mount stands in the way on the host".to_owned(),
        Some(libc::EEXIST) => "the host has something there now".to_owned(),
        _ => error.to_string(),
    }
}

const DEEPEST: usize = 128;
