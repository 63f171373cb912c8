//! The listed executables, watched outside while the agent runs. The agent executes copies, so a change cannot reach it; but
//! it tells that something on this machine changes what the agent was agreed to be.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_sys::watch;
use tokio::io::unix::AsyncFd;

use crate::executables::digest;
use crate::supervisor::waitable;

/// Files, what they contained when the run began, and in which state they were seen last.
pub(crate) struct Watched {
    watch: AsyncFd<OwnedFd>,
    files: Vec<(PathBuf, Digest, State)>,
}

/// A file that is not as it was.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) path: PathBuf,
    pub(crate) expected: Digest,
    /// `None`: it is gone, or cannot be read.
    pub(crate) found: Option<Digest>,
}

type State = Option<(u64, u64, i64, i64, i64, i64)>;

impl Watched {
    pub(crate) fn begin(files: Vec<(PathBuf, Digest)>) -> io::Result<Watched> {
        let watch = watch::files(files.iter().map(|(path, _)| path.as_path()))?;
        let files = files.into_iter().map(|(path, digest)| {
            let state = state(&path);
            (path, digest, state)
        });
        Ok(Watched { files: files.collect(), watch: waitable(watch)? })
    }

    /// Waits until something happens to one of them.
    pub(crate) async fn touched(&self) {
        let Ok(mut ready) = self.watch.readable().await else { return std::future::pending().await };
        let _ = watch::take(self.watch.get_ref().as_fd());
        ready.clear_ready();
    }

    /// Which of them were changed since they were looked at last. Reading them may take a while.
    pub(crate) async fn look(&mut self) -> Vec<Changed> {
        let mut suspect = Vec::new();
        for (path, expected, seen) in &mut self.files {
            let now = state(path);
            if now != *seen {
                *seen = now;
                suspect.push((path.clone(), *expected));
            }
        }
        // a file that was replaced is another one: the name is watched anew
        let names = suspect.iter().map(|(path, _)| path.as_path());
        let _ = watch::more(self.watch.get_ref().as_fd(), names);
        let compared = tokio::task::spawn_blocking(move || {
            let compare = |(path, expected): (PathBuf, Digest)| {
                let found = digest(&path).ok();
                (found != Some(expected)).then_some(Changed { path, expected, found })
            };
            suspect.into_iter().filter_map(compare).collect()
        });
        compared.await.unwrap_or_default()
    }
}

fn state(path: &Path) -> State {
    let about = fs::metadata(path).ok()?;
    Some((about.dev(), about.ino(), about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()))
}
