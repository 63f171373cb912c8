//! The adapters of this machine: each release once, by the digest of its manifest, and the one that counts of each name.
//!
//! Order: the package is copied beside the store, the copy is verified, moved into the store, its release becomes the
//! highest that was seen, and only then it counts. Whatever is cut off before leaves what counted before.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_verify::Keys;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::system;
use super::layout::{DIRECTORIES, Layout};
use super::pack::{beside, copy, place, sync};
use super::{AdapterError, Package, Pinned, verify};
use crate::seen::{Seen, Version, rises};

/// An adapter that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its number.
    pub release: u64,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The keys that signed it.
    pub keys: Vec<String>,
    /// Its tools.
    pub tools: Vec<Pinned>,
    /// When it was installed.
    pub installed: String,
}

/// Whether what is installed can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is in the store.
    Present,
    /// It is not.
    Missing,
    /// Something is there that is not what was installed.
    Changed,
}

/// Verifies a package and lets it count. One with a lower release than what was installed before is refused.
pub fn install(package: &Path, keys: &Keys, state: &Path) -> Result<Installed, AdapterError> {
    // order: nothing is copied of what does not hold
    verify(package, keys)?;
    let home = home(state);
    let store = home.join(STORE);
    for path in [&store, &home.join(CURRENT)] {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(system("make", path))?;
    }
    // order: one at a time, so that what counts is what was let in last
    let lock = fs::File::open(&home).map_err(system("open", &home))?;
    lock.lock().map_err(system("lock", &home))?;
    let fresh = beside(&store.join("incoming"));
    let _ = fs::remove_dir_all(&fresh);
    let put = bring(package, &fresh).and_then(|()| {
        // what is verified is the copy, which nobody else writes
        let verified = verify(&fresh, keys)?;
        let place = store.join(verified.digest.hex());
        settle(&fresh, &place).map_err(system("install", &place))?;
        Ok((verified, place))
    });
    let _ = fs::remove_dir_all(&fresh);
    let (package, _) = put?;
    let Package { digest, ref manifest, .. } = package;
    let offered = Version { number: manifest.release, digest };
    // a floor of its own, should the list of releases be gone
    let before = current(&home, &manifest.id)?;
    rises(&manifest.id, offered, before.map(|old| Version { number: old.release, digest: old.digest }))?;
    let mut seen = Seen::open_in(&home, &manifest.id)?;
    seen.admit(&manifest.id, offered)?;
    let installed = Installed {
        id: manifest.id.clone(),
        version: manifest.version.clone(),
        release: manifest.release,
        digest,
        keys: package.keys(),
        tools: package.pinned(),
        installed: Timestamp::now().to_string(),
    };
    let current = home.join(CURRENT).join(format!("{}.json", manifest.id));
    let bytes =
        serde_json::to_vec(&installed).map_err(io::Error::other).map_err(system("write", &current))?;
    place(&current, &bytes).map_err(system("write", &current))?;
    fs::File::open(home.join(CURRENT)).and_then(|home| home.sync_all()).map_err(system("write", &current))?;
    Ok(installed)
}

/// The adapters that count, by name.
pub fn list(state: &Path) -> Result<Vec<(Installed, State)>, AdapterError> {
    let home = home(state);
    let current = home.join(CURRENT);
    let entries = match fs::read_dir(&current) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(system("read", &current)(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(system("read", &current))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = fs::read(&path).map_err(system("read", &path))?;
        let file = || path.display().to_string();
        let installed: Installed = claw_verify::json::read("record of an adapter", &bytes)
            .map_err(|error| AdapterError::File { file: file(), why: error.to_string() })?;
        let state = state_of(&home.join(STORE).join(installed.digest.hex()), installed.digest);
        found.push((installed, state));
    }
    found.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
    Ok(found)
}

/// Whether each file of a package in the store is there, and is what it was.
fn state_of(package: &Path, digest: Digest) -> State {
    if !package.join("oci-layout").is_file() {
        return State::Missing;
    }
    match Layout::open(package).and_then(|layout| layout.whole()) {
        Ok(found) if found == digest => State::Present,
        _ => State::Changed,
    }
}

/// What counts of a name, if anything does.
fn current(home: &Path, id: &str) -> Result<Option<Installed>, AdapterError> {
    let path = home.join(CURRENT).join(format!("{id}.json"));
    match fs::read(&path) {
        Ok(bytes) => claw_verify::json::read("record of an adapter", &bytes)
            .map(Some)
            .map_err(|error| AdapterError::File { file: path.display().to_string(), why: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(system("read", &path)(source)),
    }
}

/// Copies a package, file by file.
fn bring(package: &Path, to: &Path) -> Result<(), AdapterError> {
    let layout = Layout::open(package)?;
    for path in std::iter::once(to.to_owned()).chain(DIRECTORIES.map(|below| to.join(below))) {
        DirBuilder::new().mode(0o700).create(&path).map_err(system("make", &path))?;
    }
    for name in layout.names() {
        let path = to.join(name);
        if path.parent().is_none_or(|parent| !parent.is_dir()) {
            return Err(AdapterError::File {
                file: name.clone(),
                why: "it is no file of a layout".to_owned(),
            });
        }
        copy(layout.file(name)?, &path).map_err(system("write", &path))?;
    }
    sync(to).map_err(system("write", to))
}

/// Moves a verified package into the store. One that is there with the same digest was verified before it came there, and
/// is replaced all the same: whatever happened to it since is gone.
fn settle(fresh: &Path, kept: &Path) -> io::Result<()> {
    let old = beside(kept);
    let _ = fs::remove_dir_all(&old);
    match fs::rename(kept, &old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(fresh, kept)?;
    if let Some(store) = kept.parent() {
        fs::File::open(store)?.sync_all()?;
    }
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

fn home(state: &Path) -> PathBuf {
    state.join("adapters")
}

/// Packages by digest.
const STORE: &str = "sha256";
/// What counts, by name.
const CURRENT: &str = "installed";
