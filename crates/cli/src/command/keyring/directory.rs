//! The directory of a keyring: read whole, and changed so that a crash leaves what is published in order.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_sys::whole;

use crate::command::bundle::failed;
use crate::command::bundle::files::{FileError, names, small};

/// A keyring's directory, locked.
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    pub(super) fn create(path: &Path) -> Result<Directory, u8> {
        let made = DirBuilder::new().mode(0o755).create(path);
        made.map_err(|error| failed(&FileError::of(path, error), Some("the directory must not exist yet")))?;
        Directory::open(path)
    }

    pub(super) fn open(path: &Path) -> Result<Directory, u8> {
        let wrong =
            |error| failed(&FileError::of(path, error), Some("make a keyring with `claw keyring new`"));
        let lock = File::open(path).map_err(wrong)?;
        lock.lock().map_err(wrong)?;
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }

    /// The files of it, by path.
    pub(super) fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, u8> {
        let mut files = BTreeMap::new();
        for part in PARTS {
            let directory = self.path.join(part);
            if !directory.is_dir() {
                continue;
            }
            for name in names(&directory).map_err(|error| failed(&error, None))? {
                // what a crash left
                if !name.starts_with('.') {
                    files.insert(format!("{part}/{name}"), small(&directory.join(&name))?);
                }
            }
        }
        Ok(files)
    }

    /// Writes what changed: what others point to first, the timestamp last, then removes drafts that are done.
    pub(super) fn keep(
        &self,
        before: &BTreeMap<String, Vec<u8>>,
        after: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(), u8> {
        let mut changed: Vec<&String> = after
            .iter()
            .filter(|(path, bytes)| before.get(*path) != Some(bytes))
            .map(|(path, _)| path)
            .collect();
        changed.sort_by_key(|path| rank(path));
        for path in changed {
            let place = self.path.join(path);
            let wrong = |error| failed(&FileError::of(&place, error), None);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent).map_err(wrong)?;
            }
            let bytes = after.get(path).map(Vec::as_slice).unwrap_or_default();
            whole::replace(&place, bytes, 0o644).map_err(wrong)?;
        }
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            let place = self.path.join(path);
            fs::remove_file(&place).map_err(|error| failed(&FileError::of(&place, error), None))?;
        }
        Ok(())
    }
}

/// Makes a file that was not there.
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), u8> {
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = made.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| failed(&FileError::of(path, error), Some("the file must not exist yet")))
}

fn rank(path: &str) -> u8 {
    match path {
        _ if path.starts_with("targets/") => 0,
        _ if path.ends_with(".root.json") => 1,
        _ if path.ends_with(".targets.json") => 2,
        _ if path.ends_with(".snapshot.json") => 3,
        "metadata/timestamp.json" => 4,
        _ => 5,
    }
}

const PARTS: [&str; 3] = ["draft", "metadata", "targets"];
