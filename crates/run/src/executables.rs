//! Finds the files that a list of digests means, and confirms that they are what the list says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_plan::Listing;
use claw_policy::{Exec, Executable, Policy, parse_list};
use claw_verify::policy::Role;

use crate::facts::canonical;
use crate::source::open;
use crate::{Held, PlanError, as_signed};

/// The files that may be executed, each where it really is; `None` where any may.
pub(crate) fn listed(
    policy: &Policy,
    (directory, held): (&Path, Option<&Held>),
    visible: &[PathBuf],
) -> Result<Option<Vec<Listing>>, PlanError> {
    let Exec::Listed(listed) = &policy.process().exec else { return Ok(None) };
    let mut entries = listed.digests.clone();
    if let Some(file) = &listed.file {
        entries.extend(list(file, directory, held)?);
    }
    if entries.is_empty() {
        return Err(PlanError::NothingListed);
    }
    let mut found: BTreeMap<PathBuf, Digest> = BTreeMap::new();
    let mut anywhere: BTreeMap<Digest, (&Executable, bool)> = BTreeMap::new();
    for entry in &entries {
        let Some(path) = &entry.path else {
            anywhere.insert(entry.digest, (entry, false));
            continue;
        };
        let wrong = |why: String| PlanError::Listed { entry: entry.entry.clone(), path: path.clone(), why };
        let real = canonical(path);
        let digest = digest(&real).map_err(|error| wrong(error.to_string()))?;
        if digest != entry.digest {
            return Err(wrong(format!("it has the digest {digest}, not the one that is listed")));
        }
        if !visible.iter().any(|above| real.starts_with(above)) {
            return Err(wrong(format!("`{}` is not visible inside", real.display())));
        }
        found.insert(real, digest);
    }
    if !anywhere.is_empty() {
        search(visible, &mut anywhere, &mut found);
        if let Some((entry, _)) = anywhere.values().find(|(_, there)| !there) {
            let path = PathBuf::from(entry.digest.to_string());
            let why = "no file that is visible inside has this digest".to_owned();
            return Err(PlanError::Listed { entry: entry.entry.clone(), path, why });
        }
    }
    Ok(Some(found.into_iter().map(|(path, digest)| Listing { path, digest }).collect()))
}

/// The list in a file of its own.
pub(crate) fn list(file: &Path, directory: &Path, held: Option<&Held>) -> Result<Vec<Executable>, PlanError> {
    let name = file.display().to_string();
    let fail = |why: String| PlanError::NoList { path: file.to_owned(), why };
    let mut text = String::new();
    let read = open(&directory.join(file)).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    let length = read.map_err(|error| fail(error.to_string()))?;
    if u64::try_from(length).is_ok_and(|length| length >= LARGEST) {
        return Err(fail("it is larger than 16 MiB".to_owned()));
    }
    as_signed(held, Role::Executables, file, text.as_bytes())?;
    Ok(parse_list(&text, &name)?)
}

/// Looks at every file that could be executed or loaded: those with a permission to execute, and shared libraries.
fn search(
    visible: &[PathBuf],
    wanted: &mut BTreeMap<Digest, (&Executable, bool)>,
    found: &mut BTreeMap<PathBuf, Digest>,
) {
    let mut seen = BTreeSet::new();
    let mut open: Vec<PathBuf> = visible.iter().map(|path| canonical(path)).collect();
    while let Some(path) = open.pop() {
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.is_dir() {
            if seen.insert(path.clone()) {
                let below = fs::read_dir(&path).into_iter().flatten().flatten();
                open.extend(below.map(|entry| entry.path()));
            }
            continue;
        }
        let library = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
        if !about.is_file() || (about.permissions().mode() & 0o111 == 0 && !library) {
            continue;
        }
        if let Ok(digest) = digest(&path)
            && let Some((_, there)) = wanted.get_mut(&digest)
        {
            *there = true;
            found.insert(path, digest);
        }
    }
}

pub(crate) fn digest(path: &Path) -> std::io::Result<Digest> {
    Digest::of_reader(&mut open(path)?.take(MOST))
}

const LARGEST: u64 = 16 << 20;
/// No executable is larger.
const MOST: u64 = 4 << 30;
