//! One entry of a layer: what it is to do to the tree, or why it is refused. No link is followed here or later, so a path is
//! what it says.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An entry as the archive has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name.
    pub path: &'a [u8],
    /// What it is.
    pub kind: Kind,
    /// What it leads to, if it is a link of either kind.
    pub link: &'a [u8],
    /// Its permission bits.
    pub mode: u32,
    /// Its bytes.
    pub size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symbolic,
    /// Another name of a file.
    Hard,
    /// A device for characters or blocks.
    Device,
    /// A named pipe.
    Pipe,
    /// Anything else: sparse files, headers for the whole archive, what somebody invented.
    Other,
}

/// What is to be done. Paths are relative, clean, and without `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The root itself: nothing.
    Root,
    /// A directory with these permissions.
    Directory {
        /// Where.
        path: PathBuf,
        /// Permission bits, without those that give privileges.
        mode: u32,
    },
    /// A file.
    File {
        /// Where.
        path: PathBuf,
        /// Permission bits, without those that give privileges.
        mode: u32,
    },
    /// A symbolic link.
    Symbolic {
        /// Where.
        path: PathBuf,
        /// Its text.
        text: PathBuf,
    },
    /// Another name for a file that is there.
    Hard {
        /// Where.
        path: PathBuf,
        /// The file.
        to: PathBuf,
    },
    /// What lower layers have there is gone.
    Remove {
        /// What.
        path: PathBuf,
    },
    /// What lower layers have below it is gone.
    Empty {
        /// The directory.
        path: PathBuf,
    },
}

/// Why an entry is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It leads out of the tree.
    #[error("its path is absolute")]
    Absolute,
    /// It leads out of the tree.
    #[error("its path holds `..`")]
    Above,
    /// It has no name.
    #[error("its path is empty")]
    Empty,
    /// A NUL ends a path for the kernel and not for others.
    #[error("its path holds a NUL")]
    Nul,
    /// It is longer or deeper than is unpacked.
    #[error(
        "its path is longer than 4,096 bytes, or deeper than 128 directories, or has a name of more than 255 bytes"
    )]
    Long,
    /// Names that stand for deletions must not stand for anything else.
    #[error("`.wh.` begins a name that is no white-out")]
    Whiteout,
    /// The link's text.
    #[error("it leads out of the tree: `{}`", .0.escape_debug())]
    LeadsOut(String),
    /// A link without a text.
    #[error("it is a link to nothing")]
    NoTarget,
    /// A file system that anybody can mount must not bring devices.
    #[error("it is a device")]
    Device,
    /// Pipes reach from sandbox to sandbox.
    #[error("it is a named pipe")]
    Pipe,
    /// Not known.
    #[error("it is of a kind that is not unpacked")]
    Other,
}

/// Judges one entry.
pub fn judge(entry: &Entry<'_>) -> Result<Act, EntryError> {
    match entry.kind {
        Kind::Device => return Err(EntryError::Device),
        Kind::Pipe => return Err(EntryError::Pipe),
        Kind::Other => return Err(EntryError::Other),
        Kind::File | Kind::Directory | Kind::Symbolic | Kind::Hard => {}
    }
    // the root has this name in some archives
    if entry.kind == Kind::Directory && entry.path == b"/" {
        return Ok(Act::Root);
    }
    let Some(path) = clean(entry.path)? else {
        return if entry.kind == Kind::Directory { Ok(Act::Root) } else { Err(EntryError::Empty) };
    };
    let (above, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    if above.components().any(|part| is_whiteout(part.as_os_str())) {
        return Err(EntryError::Whiteout);
    }
    if is_whiteout(name) {
        return whiteout(entry, above, name);
    }
    // set-user-id and set-group-id are left out, and so is what would keep the owner from reading
    match entry.kind {
        Kind::Directory => Ok(Act::Directory { path, mode: entry.mode & 0o1777 | 0o700 }),
        Kind::Symbolic => symbolic(path, entry.link),
        Kind::Hard => {
            let to = clean(entry.link)?.ok_or(EntryError::NoTarget)?;
            if to.components().any(|part| is_whiteout(part.as_os_str())) {
                return Err(EntryError::Whiteout);
            }
            Ok(Act::Hard { path, to })
        }
        _ => Ok(Act::File { path, mode: entry.mode & 0o777 | 0o400 }),
    }
}

/// A name for a message, cut where it is longer than anybody reads.
pub fn shown(name: &[u8]) -> String {
    match name.split_at_checked(LONGEST_SHOWN) {
        Some((start, rest)) if !rest.is_empty() => format!("{}…", String::from_utf8_lossy(start)),
        _ => String::from_utf8_lossy(name).into_owned(),
    }
}

fn is_whiteout(name: &OsStr) -> bool {
    name.as_bytes().starts_with(WHITEOUT)
}

fn whiteout(entry: &Entry<'_>, above: &Path, name: &OsStr) -> Result<Act, EntryError> {
    if entry.kind != Kind::File || entry.size != 0 {
        return Err(EntryError::Whiteout);
    }
    let rest = name.as_bytes().strip_prefix(WHITEOUT).unwrap_or_default();
    match rest {
        b".wh..opq" => Ok(Act::Empty { path: above.to_owned() }),
        b"" | b"." | b".." => Err(EntryError::Whiteout),
        // reserved by the file system that invented them
        _ if rest.starts_with(WHITEOUT) => Err(EntryError::Whiteout),
        name => Ok(Act::Remove { path: above.join(OsStr::from_bytes(name)) }),
    }
}

/// A text that begins with `/` begins at the root of the tree, for whoever lives in it; one that climbs above it is refused.
fn symbolic(path: PathBuf, text: &[u8]) -> Result<Act, EntryError> {
    if text.is_empty() {
        return Err(EntryError::NoTarget);
    }
    if text.contains(&0) {
        return Err(EntryError::Nul);
    }
    if text.len() > LONGEST {
        return Err(EntryError::Long);
    }
    let mut depth = match text.first() {
        Some(b'/') => 0,
        _ => path.components().count().saturating_sub(1),
    };
    for part in text.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match usize::checked_sub(depth, 1) {
                Some(less) => depth = less,
                None => return Err(EntryError::LeadsOut(shown(text))),
            },
            _ => depth = depth.saturating_add(1),
        }
    }
    Ok(Act::Symbolic { path, text: OsStr::from_bytes(text).into() })
}

/// A path without `.` and empty parts; `None` for the root itself.
fn clean(path: &[u8]) -> Result<Option<PathBuf>, EntryError> {
    if path.is_empty() {
        return Err(EntryError::Empty);
    }
    if path.first() == Some(&b'/') {
        return Err(EntryError::Absolute);
    }
    if path.contains(&0) {
        return Err(EntryError::Nul);
    }
    let mut clean = PathBuf::new();
    let mut depth = 0usize;
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(EntryError::Above),
            name if name.len() > LONGEST_NAME => return Err(EntryError::Long),
            name => clean.push(OsStr::from_bytes(name)),
        }
        depth = depth.saturating_add(1);
    }
    if path.len() > LONGEST || depth > DEEPEST {
        return Err(EntryError::Long);
    }
    Ok((depth > 0).then_some(clean))
}

const WHITEOUT: &[u8] = b".wh.";
const LONGEST: usize = 4096;
const LONGEST_NAME: usize = 255;
const LONGEST_SHOWN: usize = 200;
const DEEPEST: usize = 128;

#[cfg(test)]
mod tests;
