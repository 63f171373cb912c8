//! The listed executables, watched outside while the agent runs. The agent executes copies, so a change cannot reach it; but
//! it tells that something on this machine changes what the agent was agreed to be.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use claw_model::digest::Digest;
use claw_sys::watch;
use tokio::io::unix::AsyncFd;

use crate::executables::digest;
use crate::reader::{Reader, Words};
use crate::supervisor::waitable;

/// The supervisor's half: it hears that something happened, and has the reader look.
pub(crate) struct Watched {
    watch: AsyncFd<OwnedFd>,
    reader: Reader,
}

/// The reader's half: files, what they contained when the run began, and in which state they were seen last.
struct Files {
    watch: OwnedFd,
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

/// A watch that is not waited on yet, and its reader.
pub(crate) struct Begun(OwnedFd, Reader);

impl Begun {
    /// Begins to watch. This process must have no other threads.
    pub(crate) fn begin(files: Vec<(PathBuf, Digest)>) -> io::Result<Begun> {
        let watch = watch::files(files.iter().map(|(path, _)| path.as_path()))?;
        let files = files.into_iter().map(|(path, digest)| {
            let state = state(&path);
            (path, digest, state)
        });
        let mut files = Files { watch: watch.try_clone()?, files: files.collect() };
        let kept = files.watch.as_raw_fd();
        let reader = Reader::start(Some(kept), move |_| files.look())?;
        Ok(Begun(watch, reader))
    }
}

impl Watched {
    pub(crate) fn of(Begun(watch, reader): Begun) -> io::Result<Watched> {
        Ok(Watched { watch: waitable(watch)?, reader })
    }

    /// Waits until something happens to one of them.
    pub(crate) async fn touched(&self) {
        let Ok(mut ready) = self.watch.readable().await else { return std::future::pending().await };
        let _ = watch::take(self.watch.get_ref().as_fd());
        ready.clear_ready();
    }

    /// Which of them were changed since they were looked at last. Reading them may take a while.
    pub(crate) async fn look(&mut self) -> io::Result<Vec<Changed>> {
        // whoever writes a file anew empties it first: that is not its content yet
        tokio::time::sleep(SETTLED).await;
        let words = self.reader.ask(&[]).await?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(io::Error::other);
        let changed = words.chunks_exact(3).filter_map(|row| match row {
            [path, expected, found] => Some((path, expected, found)),
            _ => None,
        });
        changed
            .map(|(path, expected, found)| {
                let expected = text(expected)?.parse().map_err(io::Error::other)?;
                let found = text(found)?;
                let found =
                    (!found.is_empty()).then(|| found.parse()).transpose().map_err(io::Error::other)?;
                Ok(Changed { path: OsStr::from_bytes(path).into(), expected, found })
            })
            .collect()
    }
}

/// Waits until something happens to a listed executable.
pub(crate) async fn touched(watched: Option<&Watched>) {
    match watched {
        Some(watched) => watched.touched().await,
        None => std::future::pending().await,
    }
}

impl Files {
    fn look(&mut self) -> Words {
        let mut words = Words::new();
        let mut suspect = Vec::new();
        for (path, expected, seen) in &mut self.files {
            let now = state(path);
            if now != *seen {
                *seen = now;
                suspect.push((path.clone(), *expected));
            }
        }
        // a file that was replaced is another one: the name is watched anew
        let _ = watch::more(self.watch.as_fd(), suspect.iter().map(|(path, _)| path.as_path()));
        for (path, expected) in suspect {
            let found = digest(&path).ok();
            if found != Some(expected) {
                let found = found.map(|found| found.to_string()).unwrap_or_default();
                words.extend([path.into_os_string().into_vec(), expected.to_string().into(), found.into()]);
            }
        }
        words
    }
}

const SETTLED: Duration = Duration::from_millis(30);

fn state(path: &Path) -> State {
    let about = fs::metadata(path).ok()?;
    Some((about.dev(), about.ino(), about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()))
}
