//! What this machine has verified before, kept in its state directory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_sys::whole;
use claw_verify::Clock;
use claw_verify::tuf::{Files, Seen, SeenError};
use jiff::Timestamp;

/// The memory, locked while it is looked at and changed.
pub(super) struct Memory {
    path: PathBuf,
    _lock: File,
    pub(super) seen: Seen,
}

/// The memory cannot be used. Then nothing is believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemoryError {
    /// A file.
    #[error("cannot use what was verified before, `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Its content.
    #[error("cannot read what was verified before, `{path}`")]
    Content {
        path: PathBuf,
        #[source]
        source: SeenError,
    },
}

impl Memory {
    /// Opens and locks it. One that was never there is empty.
    pub(super) fn open(state: &Path) -> Result<Memory, MemoryError> {
        let path = state.join("seen.json");
        let fail = |source| MemoryError::Io { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(fail)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = lock.open(state.join("seen.lock")).map_err(fail)?;
        lock.lock().map_err(fail)?;
        let seen = match fs::read(&path) {
            Ok(bytes) => {
                Seen::parse(&bytes).map_err(|source| MemoryError::Content { path: path.clone(), source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::new(),
            Err(source) => return Err(fail(source)),
        };
        Ok(Memory { path, _lock: lock, seen })
    }

    /// The clock, held up by when this program was made and by what was verified in the repository of this root, or without
    /// one in any. The floor if `now` cannot be.
    pub(super) fn clock(&self, now: Option<Timestamp>, root: Option<&[u8]>) -> Result<Clock, Timestamp> {
        let floor = released().max(self.seen.floor(root).unwrap_or(Timestamp::MIN));
        match now {
            Some(now) if now < floor => Err(floor),
            now => Ok(Clock::new(now.unwrap_or_else(Timestamp::now), floor).built(released())),
        }
    }

    /// Remembers what these files hold that was signed, whatever is judged of the rest.
    pub(super) fn learn(&mut self, pinned: &[u8], files: &Files, clock: &Clock) -> Result<(), MemoryError> {
        self.seen.learn(pinned, files, clock);
        self.keep()
    }

    /// Keeps it: on the disk before anything takes effect. What is there already is not written again.
    pub(super) fn keep(&self) -> Result<(), MemoryError> {
        let bytes = self.seen.to_bytes();
        // what could not be read again would end all belief on this machine
        Seen::parse(&bytes).map_err(|source| MemoryError::Content { path: self.path.clone(), source })?;
        if fs::read(&self.path).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        whole::replace(&self.path, &bytes, 0o600)
            .map_err(|source| MemoryError::Io { path: self.path.clone(), source })
    }
}

/// No clock can be right that is before this: the source says it, so that two builds agree.
fn released() -> Timestamp {
    RELEASED.parse().unwrap_or(Timestamp::MIN)
}

const RELEASED: &str = "2026-11-01T00:00:00Z";
