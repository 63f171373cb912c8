//! Layers to a tree. Every path is opened below the tree's root without following a link, so that no entry, in whichever order,
//! can reach outside.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use claw_image::{Act, Entry, Kind, shown};
use claw_sys::below::{self, Open};
use claw_sys::mount;
use tar::{Archive, EntryType};

use super::layout::Image;
use super::stream::{Budget, Held, Stream};
use super::{RootError, system};
use crate::changes::{Found, Shape, names, remove_all};

/// What each layer takes away of those below it.
pub(super) type Removals = Vec<Vec<Act>>;

/// Reads every layer to its end and judges every entry. Nothing is written.
pub(super) fn judge(image: &Image) -> Result<Removals, RootError> {
    let mut removals = Vec::new();
    let (mut entries, mut names) = (0usize, 0usize);
    let budget = Budget::new();
    for number in 1..=image.layers.len() {
        let mut removed = Vec::new();
        each(image, number, &budget, &mut |act, _| {
            entries = entries.saturating_add(1);
            if entries > MOST_ENTRIES {
                return Err(format!("the image has more than {MOST_ENTRIES} entries"));
            }
            if let Act::Remove { path } | Act::Empty { path } = &act {
                names = names.saturating_add(path.as_os_str().len());
                if names > MOST_REMOVED {
                    return Err(format!(
                        "the image takes away names of more than {} MiB",
                        MOST_REMOVED >> 20
                    ));
                }
                removed.push(act);
            }
            Ok(())
        })?;
        removals.push(removed);
    }
    Ok(removals)
}

/// Unpacks every layer into an empty directory.
pub(super) fn unpack(image: &Image, removals: &Removals, tree: &Path) -> Result<(), RootError> {
    let place = mount::place_exactly(tree).map_err(system(tree))?;
    let root = below::open(place.as_fd(), Path::new(""), Open::Directory).map_err(system(tree))?;
    let tree = Tree { root };
    let budget = Budget::new();
    for (number, removed) in (1..).zip(removals) {
        // order: deletions concern the layers below alone, wherever they stand in this one
        for act in removed {
            tree.perform(act, &mut io::empty()).map_err(|error| RootError::Place {
                layer: number,
                path: path(act),
                why: why(&error),
            })?;
        }
        each(image, number, &budget, &mut |act, content| match act {
            Act::Remove { .. } | Act::Empty { .. } => Ok(()),
            act => tree.perform(&act, content).map_err(|error| why(&error)),
        })?;
    }
    Ok(())
}

/// Gives every entry, judged, with its content; and confirms that it was the layer that the image names.
fn each(
    image: &Image,
    number: usize,
    budget: &Budget,
    take: &mut dyn FnMut(Act, &mut dyn io::Read) -> Result<(), String>,
) -> Result<(), RootError> {
    let failed = |error: io::Error| RootError::Layer { layer: number, why: error.to_string() };
    let (blob, _) = layer(image, number)?;
    let held = Held::default();
    let mut archive = Archive::new(Stream::of(image.blob(blob)?, blob, budget, &held));
    let mut entries = archive.entries().map_err(failed)?;
    // order: an entry's content is read to its end below, so that what is read here is headers
    while let Some(entry) = held.within(LARGEST_HEADER, || entries.next()) {
        let mut entry = entry.map_err(failed)?;
        let name = entry.path_bytes().into_owned();
        let path = || shown(&name);
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let header = entry.header();
        let (kind, mode) = (kind(header.entry_type()), header.mode().map_err(failed)?);
        let judged = claw_image::judge(&Entry { path: &name, kind, link: &link, mode, size: entry.size() });
        let act = judged.map_err(|source| RootError::Entry { layer: number, path: path(), source })?;
        take(act, &mut entry).map_err(|why| RootError::Place { layer: number, path: path(), why })?;
        io::copy(&mut entry, &mut io::sink()).map_err(failed)?;
    }
    finish(image, number, archive)
}

fn finish(image: &Image, number: usize, archive: Archive<Stream>) -> Result<(), RootError> {
    let wrong = |why: String| RootError::Layer { layer: number, why };
    let (_, expected) = layer(image, number)?;
    let found = archive.into_inner().finish().map_err(|error| wrong(error.to_string()))?;
    match found == *expected {
        true => Ok(()),
        false => {
            Err(wrong(format!("uncompressed it has the digest {found}, and the config says {expected}")))
        }
    }
}

fn layer(
    image: &Image,
    number: usize,
) -> Result<&(claw_image::Descriptor, claw_model::digest::Digest), RootError> {
    let found = number.checked_sub(1).and_then(|index| image.layers.get(index));
    found.ok_or_else(|| RootError::Layer { layer: number, why: "there is no such layer".to_owned() })
}

fn kind(kind: EntryType) -> Kind {
    match kind {
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symbolic,
        EntryType::Link => Kind::Hard,
        EntryType::Char | EntryType::Block => Kind::Device,
        EntryType::Fifo => Kind::Pipe,
        _ => Kind::Other,
    }
}

fn path(act: &Act) -> String {
    match act {
        Act::Remove { path } | Act::Empty { path } => shown(path.as_os_str().as_bytes()),
        _ => String::new(),
    }
}

struct Tree {
    root: OwnedFd,
}

impl Tree {
    fn perform(&self, act: &Act, content: &mut dyn io::Read) -> io::Result<()> {
        match act {
            Act::Root => Ok(()),
            Act::Directory { path, mode } => {
                let (parent, name) = self.parent(path)?;
                if Found::at(&parent, &name)?.is_none_or(|found| found.shape() != Shape::Directory) {
                    remove_all(&parent, &name)?;
                    mount::make_directory(parent.as_fd(), &name, 0o700)?;
                }
                let made = File::from(below::open(parent.as_fd(), &name, Open::Directory)?);
                made.set_permissions(Permissions::from_mode(*mode))
            }
            Act::File { path, mode } => {
                let (parent, name) = self.parent(path)?;
                remove_all(&parent, &name)?;
                let mut file = File::from(below::open(parent.as_fd(), &name, Open::New)?);
                io::copy(content, &mut file)?;
                file.set_permissions(Permissions::from_mode(*mode))
            }
            Act::Symbolic { path, text } => {
                let (parent, name) = self.parent(path)?;
                remove_all(&parent, &name)?;
                mount::make_link(parent.as_fd(), &name, text)
            }
            Act::Hard { path, to } => self.hard(path, to),
            Act::Remove { path } => match self.existing(path.parent())? {
                Some(parent) => remove_all(&parent, Path::new(path.file_name().unwrap_or_default())),
                None => Ok(()),
            },
            Act::Empty { path } => {
                let Some(directory) = self.existing(Some(path))? else { return Ok(()) };
                names(&directory)?.iter().try_for_each(|name| remove_all(&directory, Path::new(name)))
            }
        }
    }

    fn hard(&self, path: &Path, to: &Path) -> io::Result<()> {
        let there = Found::at(&self.root, to)?;
        if path == to || there.is_none_or(|found| found.shape() != Shape::File) {
            return Err(io::Error::other(format!(
                "it is another name for `{}`, which is no file",
                shown(to.as_os_str().as_bytes())
            )));
        }
        let (parent, name) = self.parent(path)?;
        let (from, old) = self.parent(to)?;
        remove_all(&parent, &name)?;
        below::link(from.as_fd(), &old, parent.as_fd(), &name)
    }

    /// The directory that holds a path, made if it is not there, and the path's last name.
    fn parent(&self, path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.directory(path.parent().unwrap_or(Path::new("")))?, name.into()))
    }

    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        match below::open(self.root.as_fd(), path, Open::Directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.as_os_str().is_empty() => {}
            other => return other,
        }
        let (parent, name) = self.parent(path)?;
        mount::make_directory(parent.as_fd(), &name, 0o755)?;
        below::open(parent.as_fd(), &name, Open::Directory)
    }

    /// A directory that lower layers have; `None` if they have none of that name.
    fn existing(&self, path: Option<&Path>) -> io::Result<Option<OwnedFd>> {
        match below::open(self.root.as_fd(), path.unwrap_or(Path::new("")), Open::Directory) {
            Ok(directory) => Ok(Some(directory)),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ELOOP) => "a symbolic link lies on the way to it".to_owned(),
        Some(libc::ENOTDIR) => "something on the way to it is no directory".to_owned(),
        _ => error.to_string(),
    }
}

/// Entries of all layers.
const MOST_ENTRIES: usize = 1_000_000;
/// Bytes of the names that all layers take away.
const MOST_REMOVED: usize = 16 << 20;
/// Bytes of an entry's header and those that extend it, all together: the reader of archives keeps them in memory.
const LARGEST_HEADER: u64 = 1 << 20;
