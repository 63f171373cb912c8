//! Where a link of a reviewed tree leads, in the tree as it will be: what the agent wrote, over what the host has.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use claw_sys::below::{self, Open};

use super::Shape;
use super::tree::Found;

/// Both layers of a tree.
pub(super) struct Links<'a> {
    upper: &'a OwnedFd,
    lower: &'a OwnedFd,
    looked: Cell<u32>,
}

impl Links<'_> {
    pub(super) fn of<'a>(upper: &'a OwnedFd, lower: &'a OwnedFd) -> Links<'a> {
        Links { upper, lower, looked: Cell::new(0) }
    }

    /// Whether a link at this path leads out of the tree, by itself or over others. So does one of which it cannot be told.
    pub(super) fn leads_out(&self, path: &Path, target: &Path) -> bool {
        self.follow(path, target).unwrap_or(true)
    }

    fn follow(&self, path: &Path, target: &Path) -> io::Result<bool> {
        // a walk goes over no link, so these are directories
        let parent = path.parent().unwrap_or(Path::new(""));
        let mut at: PathBuf = parent.to_owned();
        let mut rest: VecDeque<Step> = steps(target);
        let mut links = 0;
        while let Some(step) = rest.pop_front() {
            match step {
                Step::Root => return Ok(true),
                Step::Up if !at.pop() => return Ok(true),
                Step::Up => {}
                Step::Down(name) => {
                    at.push(name);
                    let Some(over) = self.link_at(&at)? else { continue };
                    links += 1;
                    if links > MOST_LINKS {
                        return Ok(true);
                    }
                    at.pop();
                    for step in steps(&over).into_iter().rev() {
                        rest.push_front(step);
                    }
                }
            }
        }
        Ok(false)
    }

    /// What the link at a path names, if one will stand there. No directory of the path is a link.
    fn link_at(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let (mut upper, mut lower) = (Some(self.upper.try_clone()?), Some(self.lower.try_clone()?));
        let mut names = path.iter().map(Path::new).peekable();
        while let Some(name) = names.next() {
            self.looked.set(self.looked.get().saturating_add(1));
            if self.looked.get() > MOST_LOOKED {
                return Err(io::Error::other("the links lead over too many directories"));
            }
            let stands = |directory: &Option<OwnedFd>| match directory {
                Some(directory) => Found::at(directory, name),
                None => Ok(None),
            };
            let (mut now, mut was) = (stands(&upper)?, stands(&lower)?);
            if let Some(above) = &now {
                if above.is_whiteout()? {
                    return Ok(None);
                }
                if above.shape() != Shape::Directory || above.is_opaque()? {
                    was = None;
                }
            }
            if names.peek().is_none() {
                let found = now.or(was).filter(|found| found.shape() == Shape::Link);
                return found.map(|link| below::link_text(link.place.as_fd())).transpose();
            }
            let open =
                |found: &mut Option<Found>, directory: &Option<OwnedFd>| match (found.take(), directory) {
                    (Some(found), Some(directory)) if found.shape() == Shape::Directory => {
                        below::open(directory.as_fd(), name, Open::Directory).map(Some)
                    }
                    _ => Ok(None),
                };
            (upper, lower) = (open(&mut now, &upper)?, open(&mut was, &lower)?);
        }
        Ok(None)
    }
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(target: &Path) -> VecDeque<Step> {
    let step = |part: Component<'_>| match part {
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir => None,
        Component::ParentDir => Some(Step::Up),
        Component::RootDir | Component::Prefix(_) => Some(Step::Root),
    };
    target.components().filter_map(step).collect()
}

/// Links that one may lead over (path_resolution(7)).
const MOST_LINKS: u32 = 40;
/// Names that are looked up for all links of a tree.
const MOST_LOOKED: u32 = 1_000_000;
