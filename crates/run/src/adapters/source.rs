//! Files below a directory, read so that no link leads elsewhere.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use claw_adapter::{LARGEST, Sources};
use claw_model::digest::Digest;
use claw_sys::below::{self, Open};
use claw_sys::mount;

/// A directory.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Directory> {
        mount::place(path).map(Directory)
    }

    /// A regular file with one name. Another name of it could be written by somebody else.
    pub(super) fn file(&self, name: &str) -> Result<File, String> {
        let opened = below::open(self.0.as_fd(), Path::new(name), Open::Read);
        let file = File::from(opened.map_err(|error| why(&error))?);
        let about = file.metadata().map_err(|error| error.to_string())?;
        if !about.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        if about.nlink() != 1 {
            return Err("it has another name (a hard link)".to_owned());
        }
        Ok(file)
    }

    /// A document.
    pub(super) fn document(&self, name: &str) -> Result<Vec<u8>, String> {
        let most = u64::try_from(LARGEST).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let file = self.file(name)?;
        file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() > LARGEST {
            return Err(format!("it has more than {LARGEST} bytes"));
        }
        Ok(bytes)
    }

    /// Digest and size of a file of any size.
    pub(super) fn sum(&self, name: &str) -> Result<(Digest, u64), String> {
        let file = self.file(name)?;
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let most = size.min(claw_adapter::LARGEST_ARTIFACT).saturating_add(1);
        let digest = Digest::of_reader(&mut file.take(most)).map_err(|error| error.to_string())?;
        Ok((digest, size))
    }
}

/// An adapter as it is written.
impl Sources for Directory {
    fn document(&self, path: &str) -> Option<Vec<u8>> {
        Directory::document(self, path).ok()
    }
    fn artifact(&self, path: &str) -> Option<(Digest, u64)> {
        self.sum(path).ok()
    }
}

fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ELOOP) => "it is, or lies behind, a symbolic link".to_owned(),
        Some(libc::ENOENT) => "it is not there".to_owned(),
        _ => error.to_string(),
    }
}
