//! Which policy files a person has accepted: `claw policy trust`. A cloned repository must not grant itself egress.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;

/// The list of accepted digests.
#[derive(Debug, Clone)]
pub struct Trust {
    path: PathBuf,
}

/// Why the list could not be used. Then nothing is trusted.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the list of trusted policies `{path}`")]
pub struct TrustError {
    /// The file.
    pub path: PathBuf,
    #[source]
    source: io::Error,
}

impl Trust {
    /// The list in Claw's configuration directory.
    pub fn at(config: &Path) -> Trust {
        Trust { path: config.join("trusted-policies") }
    }

    /// Whether exactly these bytes were accepted.
    pub fn accepts(&self, digest: &Digest) -> Result<bool, TrustError> {
        let wanted = digest.to_string();
        match fs::read_to_string(&self.path) {
            Ok(list) => Ok(list.lines().any(|line| line.split_whitespace().next() == Some(wanted.as_str()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.fail(source)),
        }
    }

    /// Accepts these bytes. The list is replaced whole, so that a crash leaves the old one or the new one.
    pub fn accept(&self, digest: &Digest, name: &Path) -> Result<(), TrustError> {
        if self.accepts(digest)? {
            return Ok(());
        }
        let mut list = match fs::read_to_string(&self.path) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(self.fail(source)),
        };
        list.push_str(&format!("{digest} {}\n", name.display().to_string().escape_default()));
        self.replace(&list).map_err(|source| self.fail(source))
    }

    /// Whether this content of a file that an agent could write was seen or accepted before. Of a file that was never
    /// seen, the content is remembered.
    pub(crate) fn remembers(&self, file: &Path, digest: &Digest) -> Result<bool, TrustError> {
        let seen = Trust { path: self.path.with_file_name("exposed-files") };
        let name = file.display().to_string().escape_default().to_string();
        let list = match fs::read_to_string(&seen.path) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(seen.fail(source)),
        };
        let mut own =
            list.lines().filter_map(|line| line.split_once(' ')).filter(|(_, path)| *path == name).peekable();
        let known = own.peek().is_some();
        if own.any(|(seen, _)| seen == digest.to_string()) || self.accepts(digest)? {
            return Ok(true);
        }
        if known {
            return Ok(false);
        }
        seen.replace(&format!("{list}{digest} {name}\n")).map_err(|source| seen.fail(source))?;
        Ok(true)
    }

    fn replace(&self, list: &str) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = parent.join(format!(".{name}.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(list.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        fs::File::open(parent)?.sync_all()
    }

    fn fail(&self, source: io::Error) -> TrustError {
        TrustError { path: self.path.clone(), source }
    }
}
