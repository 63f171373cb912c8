//! A tree of files that is taken for a host's: its own `/`, or a directory.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use claw_host::Read;
use claw_sys::file::{self, Open};

/// Where files are read.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Whether it is the running host, which can be asked by system calls too.
    live: bool,
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
        Root::open(Path::new("/"), true)
    }

    /// A directory that is taken for `/`: no link leads out of it.
    pub fn tree(path: &Path) -> Result<Root, RootError> {
        Root::open(path, false)
    }

    fn open(path: &Path, live: bool) -> Result<Root, RootError> {
        let failed = |source| RootError { path: path.to_owned(), source };
        let directory = File::open(path).map_err(failed)?;
        if !directory.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        Ok(Root { directory: directory.into(), live })
    }

    /// Whether it is the running host.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The content of a small file.
    pub fn text(&self, path: &Path) -> Read<String> {
        match self.read_text(path) {
            Ok(text) => Read::Known(text),
            Err(error) => self.why(path, &error),
        }
    }

    fn read_text(&self, path: &Path) -> io::Result<String> {
        let file = File::from(file::open_in(self.directory.as_fd(), path, Open::Read)?);
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
    fn why<T>(&self, path: &Path, error: &io::Error) -> Read<T> {
        match error.kind() {
            io::ErrorKind::NotFound => {
                let mounts = ["/proc/sys", "/sys/kernel"];
                let bare = mounts.iter().find(|mount| {
                    path.starts_with(Path::new(mount).parent().unwrap_or(Path::new("/")))
                        && file::open_in(self.directory.as_fd(), Path::new(mount), Open::Look).is_err()
                });
                bare.map_or(Read::Absent, |mount| Read::Unknown(format!("there is no {mount} to read")))
            }
            io::ErrorKind::PermissionDenied => Read::Unknown("only root may read it".to_owned()),
            _ => Read::Unknown(error.to_string()),
        }
    }
}

const LARGEST: u64 = 1 << 20;
