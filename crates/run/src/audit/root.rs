//! A tree of files that is taken for a host's: its own `/`, or a directory.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use claw_host::Read;
use claw_host::facts::{Kind, Node};
use claw_sys::file::{self, Open};

/// Where files are read.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Whether it is the running host, which can be asked by system calls too.
    live: bool,
    /// How long a walk over the tree may take.
    pub(super) walk: Duration,
}

/// The tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tree `{path}`")]
pub struct RootError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Root {
    /// The running host.
    pub fn host() -> Result<Root, RootError> {
        Root::take(Path::new("/"), true)
    }

    /// A directory that is taken for `/`: no link leads out of it.
    pub fn tree(path: &Path) -> Result<Root, RootError> {
        Root::take(path, false)
    }

    fn take(path: &Path, live: bool) -> Result<Root, RootError> {
        let failed = |source| RootError { path: path.to_owned(), source };
        let directory = File::open(path).map_err(failed)?;
        if !directory.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        Ok(Root { directory: directory.into(), live, walk: TIME })
    }

    /// The same with another bound for the walk over the whole tree.
    pub fn walking(self, time: Duration) -> Root {
        Root { walk: time, ..self }
    }

    /// Whether it is the running host.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The content of a small file.
    pub fn text(&self, path: &Path) -> Read<String> {
        self.text_from(path, path)
    }

    /// The content of a small file, looked for where the kernel shows it to this thread.
    pub fn text_from(&self, path: &Path, place: &Path) -> Read<String> {
        match self.read_text(place) {
            Ok(text) => Read::Known(text),
            Err(error) => self.why(path, &error),
        }
    }

    /// What a file is; links are followed within the tree.
    pub fn node(&self, path: &Path) -> Read<Node> {
        // a magic link of /proc is not followed: it is what it is
        let looked = self
            .open(path, Open::Look)
            .or_else(|error| match error.raw_os_error() {
                Some(libc::ELOOP) => self.open(path, Open::LookAtLink),
                _ => Err(error),
            })
            .and_then(|file| File::from(file).metadata());
        match looked {
            Ok(metadata) => Read::Known(node(&metadata)),
            Err(error) => self.why(path, &error),
        }
    }

    /// The names in a directory, in order; one with more than so many is unknown.
    pub fn names(&self, path: &Path) -> Read<Vec<String>> {
        let listed = self.directory(path).and_then(|directory| {
            let entries = std::fs::read_dir(directory.path())?.take(MOST_NAMES.saturating_add(1));
            let mut names = entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<_>>>()?;
            if names.len() > MOST_NAMES {
                return Err(io::Error::other(format!("it holds more than {MOST_NAMES} names")));
            }
            names.sort();
            Ok(names)
        });
        match listed {
            Ok(names) => Read::Known(names),
            Err(error) => self.why(path, &error),
        }
    }

    /// Where a link leads, as its text.
    pub fn link(&self, path: &Path) -> Read<String> {
        match self.open(path, Open::LookAtLink).and_then(|link| file::link(link.as_fd())) {
            Ok(text) => Read::Known(text),
            Err(error) => self.why(path, &error),
        }
    }

    /// An open directory.
    pub fn directory(&self, path: &Path) -> io::Result<Directory> {
        Ok(Directory(self.open(path, Open::Read)?))
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<OwnedFd> {
        file::open_in(self.directory.as_fd(), path, how)
    }

    fn read_text(&self, path: &Path) -> io::Result<String> {
        let file = File::from(self.open(path, Open::Read)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        let length = file.take(LARGEST).read_to_end(&mut bytes)?;
        if u64::try_from(length).is_ok_and(|length| length >= LARGEST) {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Nothing is there, or nothing can be said: a tree without `/proc` says nothing about its kernel.
    pub(super) fn why<T>(&self, path: &Path, error: &io::Error) -> Read<T> {
        match error.kind() {
            io::ErrorKind::NotFound => {
                let mounts = ["/proc/sys", "/sys/kernel"];
                let bare = mounts.iter().find(|mount| {
                    path.starts_with(Path::new(mount).parent().unwrap_or(Path::new("/")))
                        && self.open(Path::new(mount), Open::Look).is_err()
                });
                bare.map_or(Read::Absent, |mount| Read::Unknown(format!("there is no {mount} to read")))
            }
            io::ErrorKind::PermissionDenied => Read::Unknown("only root may read it".to_owned()),
            _ => Read::Unknown(error.to_string()),
        }
    }
}

/// A directory that is open.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Directory {
    /// What it is.
    pub fn metadata(&self) -> io::Result<Metadata> {
        // through the descriptor: no path is looked up
        std::fs::metadata(self.path())
    }

    /// A path to it for as long as it is open.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// What the checks want to know of a file.
pub(super) fn node(metadata: &Metadata) -> Node {
    let kind = metadata.file_type();
    Node {
        kind: match () {
            () if kind.is_file() => Kind::File,
            () if kind.is_dir() => Kind::Directory,
            () if kind.is_socket() => Kind::Socket,
            () if kind.is_block_device() => Kind::Block,
            () if kind.is_char_device() => Kind::Character,
            () => Kind::Other,
        },
        mode: metadata.mode() & 0o7777,
        user: metadata.uid(),
        group: metadata.gid(),
        modified: metadata.mtime(),
    }
}

/// A walk over the tree ends after this time.
const TIME: Duration = Duration::from_millis(1_400);

const LARGEST: u64 = 1 << 20;
const MOST_NAMES: usize = 16_384;
