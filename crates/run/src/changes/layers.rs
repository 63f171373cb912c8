//! Where changes are kept: `changes/RUN` in Claw's state directory, with a record of what the trees were, a lock that the run
//! holds, and for each tree the two directories that overlayfs writes to.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use claw_plan::{Plan, Step};
use claw_policy::later::Protect;
use claw_sys::below::{self, Lock, Open};
use claw_sys::{beneath, mount};
use serde::{Deserialize, Serialize};

use super::{ChangesError, system};

/// The layers of a run that is about to begin. The lock is held as long as this lives.
#[derive(Debug)]
pub(crate) struct Layers {
    directory: PathBuf,
    /// What is written to.
    uppers: Vec<File>,
    _lock: File,
}

/// What a run left.
#[derive(Debug)]
pub struct Kept {
    /// The run.
    pub run: String,
    /// When it began: the kernel's own time of change, in seconds and nanoseconds.
    pub(crate) begun: (i64, i64),
    /// The reviewed trees.
    pub(crate) trees: Vec<Tree>,
    /// What the policy protects.
    pub(crate) protect: Protect,
    pub(crate) directory: PathBuf,
    pub(crate) state: State,
    lock: Option<File>,
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ended,
    Running,
}

/// A reviewed tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tree {
    pub(crate) path: PathBuf,
    device: u64,
    inode: u64,
}

/// `record.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    begun: (i64, i64),
    trees: Vec<Tree>,
    protect: Vec<String>,
}

impl Kept {
    /// When it began, in seconds since 1970.
    pub fn seconds(&self) -> i64 {
        self.begun.0
    }

    /// The trees that were reviewed.
    pub fn trees(&self) -> impl Iterator<Item = &Path> {
        self.trees.iter().map(|tree| tree.path.as_path())
    }

    /// Whether it still goes on.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// From now on nobody else looks or decides. Fails while the run goes on, or somebody looks.
    pub(crate) fn claim(&self) -> Result<(), ChangesError> {
        let held = self.lock.as_ref().is_some_and(|lock| below::lock(lock.as_fd(), Lock::Alone).is_ok());
        if held { Ok(()) } else { Err(ChangesError::Running(self.run.clone())) }
    }

    /// The tree on the host, if it is still the one that the run began with.
    pub(crate) fn lower(&self, tree: &Tree) -> Result<OwnedFd, ChangesError> {
        let replaced = || ChangesError::Replaced(tree.path.clone());
        let place = mount::place_exactly(&tree.path).map_err(|_| replaced())?;
        let about = File::from(place.try_clone().map_err(system(&tree.path))?)
            .metadata()
            .map_err(system(&tree.path))?;
        if (about.dev(), about.ino()) != (tree.device, tree.inode) {
            return Err(replaced());
        }
        below::open(place.as_fd(), Path::new(""), Open::Directory).map_err(system(&tree.path))
    }

    /// What was written to it.
    pub(crate) fn upper(&self, number: usize) -> Result<OwnedFd, ChangesError> {
        let path = self.directory.join(number.to_string()).join("upper");
        let place = mount::place_exactly(&path).map_err(system(&path))?;
        below::open(place.as_fd(), Path::new(""), Open::Directory).map_err(system(&path))
    }
}

impl Layers {
    /// Makes the layers that a plan names; `None` if it reviews nothing.
    pub(crate) fn make(
        plan: &Plan,
        directory: &Path,
        run: &str,
        protect: &Protect,
    ) -> Result<Option<Layers>, ChangesError> {
        let steps = plan.tree.iter().filter_map(|step| match step {
            Step::Review { source, upper, work, .. } => Some((source, upper, work)),
            _ => None,
        });
        // the plan has them in the order of their mounts; the record in that of their numbers
        let mut steps: Vec<_> = steps.collect();
        steps.sort_by_key(|(_, upper, _)| number(upper));
        if steps.is_empty() {
            return Ok(None);
        }
        let fail =
            |error: io::Error| ChangesError::NoLayer { path: directory.to_owned(), why: error.to_string() };
        if let Some(parent) = directory.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(fail)?;
        }
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ChangesError::Undecided(run.to_owned()));
            }
            other => other.map_err(fail)?,
        }
        let made = Layers::fill(directory, &steps, protect);
        if made.is_err() {
            let _ = fs::remove_dir_all(directory);
        }
        made.map(Some).map_err(fail)
    }

    fn fill(
        directory: &Path,
        steps: &[(&PathBuf, &PathBuf, &PathBuf)],
        protect: &Protect,
    ) -> io::Result<Layers> {
        let new = |name: &str| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join(name))
        };
        let (mut trees, mut uppers) = (Vec::new(), Vec::new());
        for (source, upper, work) in steps {
            let about = fs::symlink_metadata(source)?;
            for path in [upper, work] {
                DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            }
            probe(upper)?;
            // the overlay shows this directory's mode as the tree's
            fs::set_permissions(upper, fs::Permissions::from_mode(about.mode() & 0o1777))?;
            uppers.push(File::from(below::open(
                mount::place_exactly(upper)?.as_fd(),
                Path::new(""),
                Open::Directory,
            )?));
            trees.push(Tree { path: (*source).clone(), device: about.dev(), inode: about.ino() });
        }
        // order: the lock's own time of change is the latest that can be called "before the run"
        let lock = new("lock")?;
        below::lock(lock.as_fd(), Lock::Alone)?;
        let about = lock.metadata()?;
        let begun = (about.ctime(), about.ctime_nsec());
        let record = Record { version: 1, begun, trees, protect: protect.words() };
        let mut file = new("record.json")?;
        file.write_all(&serde_json::to_vec(&record).map_err(io::Error::other)?)?;
        Ok(Layers { directory: directory.to_owned(), uppers, _lock: lock })
    }

    /// Whether the agent left anything. Only open descriptors are asked: the supervisor opens nothing once it is confined.
    pub(crate) fn hold_changes(&self) -> bool {
        // what cannot be read is rather looked at than passed over
        self.uppers.iter().any(|upper| has_names(upper).unwrap_or(true))
    }

    /// Takes everything away again where nothing was run, or nothing written.
    pub(crate) fn undo(self) {
        if !self.hold_changes() {
            let _ = clear(&self.directory);
        }
    }
}

/// Whether anything is in an open directory. Its times would say so too, but they are the agent's to set.
fn has_names(mut directory: &File) -> io::Result<bool> {
    directory.rewind()?;
    Ok(!beneath::names(directory.try_clone()?.into(), 1)?.is_empty())
}

/// What deletions and replaced directories are written down with must be possible.
fn probe(upper: &Path) -> io::Result<()> {
    let place = mount::place(upper)?;
    below::set_attribute(place.as_fd(), c"user.claw.probe", b"y")
        .map_err(|error| io::Error::other(format!("it takes no user extended attributes: {error}")))
}

/// Every run that left something, or goes on, by name.
pub fn kept(state: &Path) -> Result<Vec<Kept>, ChangesError> {
    let directory = home(state);
    let mut runs = Vec::new();
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(runs),
        other => other.map_err(system(&directory))?,
    };
    for entry in entries {
        let name = entry.map_err(system(&directory))?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        if !nothing(&directory.join(name)) {
            runs.push(open(state, name)?);
        }
    }
    runs.sort_by_key(|kept| kept.begun);
    Ok(runs)
}

/// What one run left. While this lives, nobody else can decide about it.
pub fn open(state: &Path, run: &str) -> Result<Kept, ChangesError> {
    let directory = home(state).join(run);
    let plain =
        !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !plain || !directory.is_dir() {
        return Err(ChangesError::None(run.to_owned()));
    }
    let wrong = |why: String| ChangesError::Record { run: run.to_owned(), why };
    let bytes = fs::read(directory.join("record.json")).map_err(|error| wrong(error.to_string()))?;
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if record.version != 1 {
        return Err(wrong(format!("it has the version {}", record.version)));
    }
    let mut protect = Protect::default();
    for name in &record.protect {
        protect.add(name).map_err(|why| wrong(why.to_owned()))?;
    }
    let lock = lock(&directory, Lock::Shared).map_err(|error| wrong(error.to_string()))?;
    Ok(Kept {
        run: run.to_owned(),
        begun: record.begun,
        trees: record.trees,
        protect,
        state: if lock.is_some() { State::Ended } else { State::Running },
        directory,
        lock,
    })
}

/// Removes what a run left.
pub fn discard(state: &Path, run: &str) -> Result<(), ChangesError> {
    let directory = home(state).join(run);
    let running = || ChangesError::Running(run.to_owned());
    let held = match open(state, run) {
        Ok(kept) => {
            kept.claim()?;
            kept.lock
        }
        // what cannot be understood can still be thrown away
        Err(ChangesError::Record { .. }) => match lock(&directory, Lock::Alone) {
            Ok(None) => return Err(running()),
            other => other.unwrap_or_default(),
        },
        Err(error) => return Err(error),
    };
    let cleared = clear(&directory).map_err(system(&directory));
    drop(held);
    cleared
}

/// Removes the layers of runs that ended and left nothing.
pub(crate) fn sweep(state: &Path) {
    let Ok(entries) = fs::read_dir(home(state)) else { return };
    for directory in entries.flatten().map(|entry| entry.path()) {
        if nothing(&directory) && matches!(lock(&directory, Lock::Alone), Ok(Some(_))) {
            let _ = clear(&directory);
        }
    }
}

/// The lock of a run: `None` while the run, or somebody who decides about it, holds it.
fn lock(directory: &Path, how: Lock) -> io::Result<Option<File>> {
    let file = File::open(directory.join("lock"))?;
    match below::lock(file.as_fd(), how) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// A run whose layers are there and empty.
fn nothing(directory: &Path) -> bool {
    let layers = (0..).map(|number: usize| directory.join(number.to_string()).join("upper"));
    let mut layers = layers.take_while(|upper| upper.is_dir()).peekable();
    layers.peek().is_some() && layers.all(|upper| is_empty(&upper))
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Removes a directory whatever modes the agent gave to what is below, and however deep it lies: each directory is moved up
/// before it is emptied. Links are not followed.
fn clear(directory: &Path) -> io::Result<()> {
    let mut numbers = 0..u64::MAX;
    let mut open = vec![directory.to_owned()];
    let mut emptied = Vec::new();
    while let Some(path) = open.pop() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        // order: what is moved into the first directory must not be found there
        let entries: Vec<_> = fs::read_dir(&path)?.collect::<io::Result<_>>()?;
        for entry in entries {
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            let Some(number) = numbers.next() else { continue };
            let aside = directory.join(format!(".removed{number}"));
            // order: a directory that may not be written to cannot be moved
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700))?;
            fs::rename(entry.path(), &aside)?;
            open.push(aside);
        }
        emptied.push(path);
    }
    emptied.iter().rev().try_for_each(fs::remove_dir)
}

fn home(state: &Path) -> PathBuf {
    state.join(HOME)
}

/// The number of a layer, by which the record finds its tree.
fn number(upper: &Path) -> usize {
    let name = upper.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(usize::MAX)
}

/// Below the state directory.
pub(crate) const HOME: &str = "changes";
