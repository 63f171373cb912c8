//! Where a pack is unpacked before it is believed: beside its place, to appear there whole, or to be removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use claw_verify::pack::{Sink, Verdict};

/// A directory that nobody looks at yet.
pub(super) struct Stage {
    out: PathBuf,
    place: PathBuf,
    file: Option<File>,
}

/// Why nothing was unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    /// Something is there.
    #[error("`{0}` exists")]
    Exists(PathBuf),
    /// It cannot be written.
    #[error("cannot write `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Stage {
    pub(super) fn beside(out: &Path) -> Result<Stage, StageError> {
        if out.symlink_metadata().is_ok() {
            return Err(StageError::Exists(out.to_owned()));
        }
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let place = parent.join(format!(".{name}.{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&place);
        made.map_err(|source| StageError::Io { path: place.clone(), source })?;
        Ok(Stage { out: out.to_owned(), place, file: None })
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// It is believed: it takes its place.
    pub(super) fn appear(&self) -> Result<(), StageError> {
        let fail = |source| StageError::Io { path: self.out.clone(), source };
        if self.out.symlink_metadata().is_ok() {
            return Err(StageError::Exists(self.out.clone()));
        }
        fs::rename(&self.place, &self.out).map_err(fail)?;
        let parent = self.out.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all()).map_err(fail)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // gone if it appeared
        let _ = fs::remove_dir_all(&self.place);
    }
}

impl Sink for Stage {
    fn begin(&mut self, name: &str, _: u64) -> io::Result<()> {
        // names were judged: a few fixed ones, and digests
        let path = self.place.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        self.file = Some(File::create_new(path)?);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn end(&mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |file| file.sync_all())
    }
}

/// Gives artefacts and what belongs to them their names, below `artefacts/`.
pub(super) fn named(place: &Path, verdict: &Verdict) -> io::Result<()> {
    for artefact in &verdict.pack.value().artefacts {
        let own = (artefact.name.as_str(), artefact.entry());
        let attached = artefact.attachments.iter().map(|one| (one.name.as_str(), one.entry()));
        for (name, entry) in std::iter::once(own).chain(attached) {
            // INVARIANT: parts of names were judged when the archive was compared with the approvals
            let path = place.join("artefacts").join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::hard_link(place.join(entry), path)?;
        }
    }
    Ok(())
}
