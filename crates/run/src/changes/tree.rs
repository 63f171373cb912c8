//! From two layers to a list of changes. The upper layer is read as the kernel writes it: a device 0/0 or a file with the
//! attribute `overlay.whiteout` is a deletion, a directory with `overlay.opaque` hides what the host has under its name.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_policy::later;
use claw_sys::below::{self, Open};

use super::layers::{Kept, Tree};
use super::links::Links;
use super::{Change, ChangesError, Kind, Node, Refusal, Shape, system};

/// What the agent wrote in a run and the host does not have, in order of the paths.
pub fn changes(kept: &Kept) -> Result<Vec<Change>, ChangesError> {
    let mut all = Vec::new();
    for (number, tree) in kept.trees.iter().enumerate() {
        let (upper, lower) = (kept.upper(number)?, kept.lower(tree)?);
        let (above, links) = (above(&tree.path), Links::of(&upper, &lower));
        let mut walk = Walk { kept, tree, number, above, links, found: Vec::new(), summed: 0 };
        let sides = Sides { upper: &upper, lower: Some(&lower), opaque: false, bare: false };
        walk.directory(&sides, Path::new("")).map_err(|wrong| match wrong {
            Wrong::TooMany => ChangesError::TooMany(MOST),
            Wrong::System(path, error) => system(&tree.path.join(path))(error),
        })?;
        all.append(&mut walk.found);
    }
    Ok(all)
}

struct Walk<'a> {
    kept: &'a Kept,
    tree: &'a Tree,
    number: usize,
    /// What stands above the tree's root, as far as names there say what its files do.
    above: PathBuf,
    links: Links<'a>,
    found: Vec<Change>,
    /// Bytes of files whose digests were computed.
    summed: u64,
}

/// One directory on both sides.
#[derive(Clone, Copy)]
struct Sides<'a> {
    upper: &'a OwnedFd,
    lower: Option<&'a OwnedFd>,
    /// What only the host has is hidden.
    opaque: bool,
    /// It lies in a repository that is not called `.git`.
    bare: bool,
}

enum Wrong {
    TooMany,
    System(PathBuf, io::Error),
}

/// What stands at a name.
pub(crate) struct Found {
    pub(super) place: OwnedFd,
    pub(super) about: std::fs::Metadata,
}

impl Found {
    /// `None`: nothing stands there.
    pub(crate) fn at(directory: &OwnedFd, name: &Path) -> io::Result<Option<Found>> {
        match below::open(directory.as_fd(), name, Open::Place) {
            Ok(place) => {
                let file = File::from(place);
                let about = file.metadata()?;
                Ok(Some(Found { place: file.into(), about }))
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        let kind = self.about.file_type();
        if kind.is_file() {
            Shape::File
        } else if kind.is_dir() {
            Shape::Directory
        } else if kind.is_symlink() {
            Shape::Link
        } else if kind.is_fifo() {
            Shape::Pipe
        } else if kind.is_socket() {
            Shape::Socket
        } else {
            Shape::Device
        }
    }

    /// A deletion, as the kernel writes it down.
    pub(super) fn is_whiteout(&self) -> io::Result<bool> {
        match self.shape() {
            Shape::Device => Ok(self.about.file_type().is_char_device() && self.about.rdev() == 0),
            Shape::File => {
                Ok(self.attribute(c"user.overlay.whiteout", c"trusted.overlay.whiteout")?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// Whether the host's directory of this name is hidden.
    pub(super) fn is_opaque(&self) -> io::Result<bool> {
        let value = self.attribute(c"user.overlay.opaque", c"trusted.overlay.opaque")?;
        Ok(value.is_some_and(|value| value == b"y"))
    }

    fn attribute(&self, own: &CStr, roots: &CStr) -> io::Result<Option<Vec<u8>>> {
        match below::attribute(self.place.as_fd(), own)? {
            Some(value) => Ok(Some(value)),
            None => below::attribute(self.place.as_fd(), roots),
        }
    }

    pub(super) fn mode(&self) -> u32 {
        // of a directory, set-group-id comes from the one above
        let bits = if self.shape() == Shape::Directory { 0o1777 } else { 0o7777 };
        self.about.mode() & bits
    }

    fn later(&self) -> later::Shape {
        match self.shape() {
            Shape::Directory => later::Shape::Directory,
            Shape::File => later::Shape::File,
            _ => later::Shape::Other,
        }
    }
}

impl Walk<'_> {
    fn directory(&mut self, sides: &Sides<'_>, path: &Path) -> Result<(), Wrong> {
        let wrong = |error| Wrong::System(path.to_owned(), error);
        let names = names(sides.upper).map_err(wrong)?;
        let bare = sides.bare || is_repository(sides, &names, &self.above.join(path));
        let sides = &Sides { bare, ..*sides };
        for name in &names {
            self.entry(sides, &path.join(name), Path::new(name))?;
        }
        let Some(lower) = sides.lower.filter(|_| sides.opaque) else { return Ok(()) };
        for name in self::names(lower).map_err(wrong)?.difference(&names) {
            if let Some(was) = Found::at(lower, Path::new(name)).map_err(wrong)? {
                self.deleted(sides, &path.join(name), &was)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, sides: &Sides<'_>, path: &Path, name: &Path) -> Result<(), Wrong> {
        let wrong = |error| Wrong::System(path.to_owned(), error);
        let Some(now) = Found::at(sides.upper, name).map_err(wrong)? else { return Ok(()) };
        let was = match sides.lower {
            Some(lower) => Found::at(lower, name).map_err(wrong)?,
            None => None,
        };
        match now.is_whiteout() {
            Ok(true) => return was.map_or(Ok(()), |was| self.deleted(sides, path, &was)),
            Ok(false) => {}
            // its owner alone reads what the kernel wrote down beside it, and only with a permission to read
            Err(error) if is_hidden(&error) => {
                let kind = if was.is_some() { Kind::Modified } else { Kind::Added };
                self.tell(kind, sides, path, was.as_ref(), Some(&now))?;
                return self.refuse(sides, path, &now, "its permissions hide what it holds".to_owned());
            }
            Err(error) => return Err(wrong(error)),
        }
        if now.shape() != Shape::Directory {
            return self.file(sides, path, was.as_ref(), &now);
        }
        let was_directory = was.as_ref().filter(|was| was.shape() == Shape::Directory);
        match (&was, was_directory) {
            (None, _) => self.tell(Kind::Added, sides, path, None, Some(&now))?,
            (Some(was), None) => self.tell(Kind::Type, sides, path, Some(was), Some(&now))?,
            (_, Some(was)) if was.mode() != now.mode() => {
                self.tell(Kind::Mode, sides, path, Some(was), Some(&now))?;
            }
            _ => {}
        }
        if path.components().count() >= DEEPEST {
            let why = format!("what lies below is deeper than {DEEPEST} directories");
            return self.refuse(sides, path, &now, why);
        }
        let open = |directory: &OwnedFd| below::open(directory.as_fd(), name, Open::Directory);
        // order: to be listed, searched, and asked for what the kernel wrote down beside it
        let looked_into = open(sides.upper).and_then(|upper| {
            Found::at(&upper, Path::new("."))?;
            let redirected = now.attribute(c"user.overlay.redirect", c"trusted.overlay.redirect")?;
            Ok((upper, redirected.is_some(), now.is_opaque()?))
        });
        let (upper, redirected, opaque) = match looked_into {
            Ok(found) => found,
            Err(error) if is_hidden(&error) => {
                return self.refuse(sides, path, &now, "its permissions hide what lies below".to_owned());
            }
            Err(error) => return Err(wrong(error)),
        };
        if redirected {
            return self.refuse(sides, path, &now, "it stands for another directory of the host".to_owned());
        }
        let lower = match (was_directory, sides.lower) {
            (Some(_), Some(lower)) => Some(open(lower).map_err(wrong)?),
            _ => None,
        };
        self.directory(&Sides { upper: &upper, lower: lower.as_ref(), opaque, bare: sides.bare }, path)
    }

    fn file(
        &mut self,
        sides: &Sides<'_>,
        path: &Path,
        was: Option<&Found>,
        now: &Found,
    ) -> Result<(), Wrong> {
        let wrong = |error| Wrong::System(path.to_owned(), error);
        let kind = match was {
            None => Kind::Added,
            Some(was) if was.shape() != now.shape() => Kind::Type,
            Some(was) => match (same(was, now).map_err(wrong)?, was.mode() == now.mode()) {
                (true, true) => return Ok(()),
                (true, false) => Kind::Mode,
                (false, _) => Kind::Modified,
            },
        };
        self.tell(kind, sides, path, was, Some(now))?;
        if let Some(was) = was.filter(|was| was.shape() == Shape::Directory) {
            self.all_below(path, was)?;
        }
        let partial = now.shape() == Shape::File
            && now.attribute(c"user.overlay.metacopy", c"trusted.overlay.metacopy").map_err(wrong)?.is_some();
        if partial && let Some(change) = self.found.last_mut() {
            change.refused = Some(Refusal::Kind("its content is not kept".to_owned()));
        }
        Ok(())
    }

    /// Something of the host that is gone, with everything below.
    fn deleted(&mut self, sides: &Sides<'_>, path: &Path, was: &Found) -> Result<(), Wrong> {
        self.tell(Kind::Deleted, sides, path, Some(was), None)?;
        if was.shape() != Shape::Directory {
            return Ok(());
        }
        self.all_below(path, was)
    }

    /// A directory goes only with all that it holds.
    fn all_below(&mut self, path: &Path, was: &Found) -> Result<(), Wrong> {
        let mut below = Below { entries: 0, refused: None };
        self.below(&was.place, path, &mut below).map_err(|error| Wrong::System(path.to_owned(), error))?;
        if let Some(change) = self.found.last_mut() {
            if let Some(was) = &mut change.was {
                was.size = below.entries;
            }
            change.refused = change.refused.take().or(below.refused);
        }
        Ok(())
    }

    /// What a directory that is gone held, and whether it may go.
    fn below(&self, directory: &OwnedFd, path: &Path, seen: &mut Below) -> io::Result<()> {
        let directory = below::open(directory.as_fd(), Path::new(""), Open::Directory)?;
        for name in names(&directory)? {
            let path = path.join(&name);
            let Some(found) = Found::at(&directory, Path::new(&name))? else { continue };
            seen.entries = seen.entries.saturating_add(1);
            if seen.entries > MOST as u64 || path.components().count() > DEEPEST {
                return Err(io::Error::other("it holds too much"));
            }
            if let Some(why) = self.kept.protect.covers(&self.above.join(&path), found.later()) {
                seen.refused.get_or_insert(Refusal::Protected(format!("`{}`: {why}", super::text(&path))));
            } else if let Some(why) = self.conflict(&found) {
                seen.refused.get_or_insert(Refusal::Conflict(format!("`{}`: {why}", super::text(&path))));
            }
            if found.shape() == Shape::Directory {
                self.below(&found.place, &path, seen)?;
            }
        }
        Ok(())
    }

    /// The kernel sets a file's time of change itself, whatever is done to it.
    fn conflict(&self, was: &Found) -> Option<&'static str> {
        let changed = (was.about.ctime(), was.about.ctime_nsec()) > self.kept.begun;
        // a directory changes with every name in it
        (changed && was.shape() != Shape::Directory).then_some("the host's own changed since the run began")
    }

    fn tell(
        &mut self,
        kind: Kind,
        sides: &Sides<'_>,
        path: &Path,
        was: Option<&Found>,
        now: Option<&Found>,
    ) -> Result<(), Wrong> {
        if self.found.len() >= MOST {
            return Err(Wrong::TooMany);
        }
        let mut node =
            |found: Option<&Found>| found.map(|found| describe(found, &mut self.summed)).transpose();
        let wrong = |error| Wrong::System(path.to_owned(), error);
        let (before, after) = (node(was).map_err(wrong)?, node(now).map_err(wrong)?);
        let leads_out = after
            .as_ref()
            .and_then(|node| node.target.as_deref())
            .is_some_and(|target| self.links.leads_out(path, target));
        // what takes the place of something else ends that, and begins this
        let shapes: Vec<later::Shape> = [now, was].into_iter().flatten().map(Found::later).collect();
        let name = self.above.join(path);
        let flagged = match kind {
            Kind::Deleted => None,
            _ if sides.bare => {
                Some("it belongs to a git repository, whose hooks and settings run".to_owned())
            }
            _ => shapes
                .iter()
                .find_map(|shape| later::why(&name, *shape))
                .or(leads_out
                    .then_some("it leads out of the tree: what is written through it is written elsewhere"))
                .map(str::to_owned),
        };
        let refused = self
            .protected(sides, &name, &shapes)
            .map(Refusal::Protected)
            .or_else(|| now.and_then(never).map(|why| Refusal::Kind(why.to_owned())))
            .or_else(|| was.and_then(|was| self.conflict(was)).map(|why| Refusal::Conflict(why.to_owned())));
        self.found.push(Change {
            tree: self.tree.path.clone(),
            path: path.to_owned(),
            kind,
            was: before,
            now: after,
            flagged,
            refused,
            number: self.number,
        });
        Ok(())
    }

    fn protected(&self, sides: &Sides<'_>, name: &Path, shapes: &[later::Shape]) -> Option<String> {
        match shapes.iter().find_map(|shape| self.kept.protect.covers(name, *shape)) {
            None if sides.bare && self.kept.protect.is_standard() => Some(
                "the policy protects it: it belongs to a git repository, whose hooks and settings run"
                    .to_owned(),
            ),
            other => other,
        }
    }

    /// A directory of which more cannot be said.
    fn refuse(&mut self, sides: &Sides<'_>, path: &Path, now: &Found, why: String) -> Result<(), Wrong> {
        if self.found.last().is_none_or(|change| change.path != path) {
            self.tell(Kind::Modified, sides, path, None, Some(now))?;
        }
        if let Some(change) = self.found.last_mut() {
            change.refused = Some(Refusal::Kind(why));
        }
        Ok(())
    }
}

struct Below {
    entries: u64,
    refused: Option<Refusal>,
}

/// Why something is never made, whoever asks.
fn never(now: &Found) -> Option<&'static str> {
    match now.shape() {
        Shape::Pipe => Some("a named pipe is not applied"),
        Shape::Socket => Some("a socket is not applied"),
        Shape::Device => Some("a device is not applied"),
        Shape::File if now.mode() & 0o6000 != 0 => {
            Some("it would gain the privileges of its owner: not applied")
        }
        Shape::File | Shape::Directory | Shape::Link => None,
    }
}

/// Names above a tree's root that say what its files do: those below the repository in which it lies, or else all of them. What
/// a repository is called, and where it lies, says nothing of what is in it.
fn above(root: &Path) -> PathBuf {
    let repository = root.ancestors().find(|at| at.join(".git").symlink_metadata().is_ok());
    let within = repository.and_then(|at| root.strip_prefix(at).ok());
    within.unwrap_or_else(|| root.strip_prefix("/").unwrap_or(root)).to_owned()
}

/// Whether a permission is missing to look at something.
fn is_hidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// A git repository by what is in it, as git recognises one, whatever it is called. Where it is called `.git` its names say
/// more; among the data of one it is another.
fn is_repository(sides: &Sides<'_>, names: &BTreeSet<OsString>, path: &Path) -> bool {
    let there = |name: &str| {
        let gone = |found: &Found| found.is_whiteout().unwrap_or(true);
        match names.contains(&OsString::from(name)) {
            true => Found::at(sides.upper, Path::new(name))
                .is_ok_and(|found| found.is_some_and(|found| !gone(&found))),
            false => sides
                .lower
                .filter(|_| !sides.opaque)
                .is_some_and(|lower| Found::at(lower, Path::new(name)).is_ok_and(|found| found.is_some())),
        }
    };
    !path.ends_with(".git") && there("HEAD") && (there("commondir") || there("objects") && there("refs"))
}

fn describe(found: &Found, summed: &mut u64) -> io::Result<Node> {
    let shape = found.shape();
    let size = if shape == Shape::File { found.about.size() } else { 0 };
    let whole = summed.saturating_add(size);
    let digest = match shape {
        // one that this user may not read has no digest; applying it will say why. Enormous ones cost the agent nothing
        Shape::File if whole <= MOST_SUMMED => {
            *summed = whole;
            open(found).and_then(|mut file| Digest::of_reader(&mut file)).ok()
        }
        _ => None,
    };
    let target = match shape {
        Shape::Link => Some(below::link_text(found.place.as_fd())?),
        _ => None,
    };
    Ok(Node { shape, mode: found.mode(), size, digest: digest.map(|digest| digest.to_string()), target })
}

/// Whether both hold the same.
pub(super) fn same(one: &Found, other: &Found) -> io::Result<bool> {
    match one.shape() {
        Shape::Link => Ok(below::link_text(one.place.as_fd())? == below::link_text(other.place.as_fd())?),
        Shape::File if one.about.size() != other.about.size() => Ok(false),
        Shape::File => match (open(one), open(other)) {
            (Ok(one), Ok(other)) => equal(&one, &other),
            // one that cannot be read is not known to be equal
            _ => Ok(false),
        },
        _ => Ok(true),
    }
}

/// Compares what is data on either side: a hole holds zeros, and reading enormous ones takes long.
fn equal(one: &File, other: &File) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0u64;
    loop {
        let next = [below::data_from(one.as_fd(), at)?, below::data_from(other.as_fd(), at)?];
        let Some(data) = next.into_iter().flatten().min() else { return Ok(true) };
        let length = fill(one, data, &mut left)?;
        if fill(other, data, &mut right)? != length || left.get(..length) != right.get(..length) {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
        at = data.saturating_add(length as u64);
    }
}

fn fill(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(filled as u64))? {
            0 => break,
            length => filled = filled.saturating_add(length),
        }
    }
    Ok(filled)
}

/// Opens exactly what was found, which is a regular file.
pub(super) fn open(found: &Found) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", found.place.as_raw_fd()))
}

pub(crate) fn names(directory: &OwnedFd) -> io::Result<BTreeSet<OsString>> {
    let entries = std::fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    let names = entries.take(MOST).map(|entry| entry.map(|entry| entry.file_name()));
    names.collect()
}

const CHUNK: usize = 1 << 18;
/// Bytes of all files whose digests are told; the rest has none.
const MOST_SUMMED: u64 = 1 << 30;
/// Changes of one run.
const MOST: usize = 1_000_000;
/// Directories below each other, each of which holds descriptors open.
const DEEPEST: usize = 128;
