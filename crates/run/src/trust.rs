//! Which policy files a person has accepted: `claw policy trust`. A cloned repository must not grant itself egress.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
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

    /// Whether this is the content of a file that an agent could write which was accepted last. Of a file that was never
    /// seen, the content is remembered.
    pub(crate) fn remembers(&self, file: &Path, digest: &Digest) -> Result<bool, TrustError> {
        match self.last(file)? {
            Some(last) => Ok(last == digest.to_string()),
            None => self.renew(file, digest).map(|()| true),
        }
    }

    /// The content of a file that an agent could write which was accepted last.
    pub(crate) fn last(&self, file: &Path) -> Result<Option<String>, TrustError> {
        let (seen, name) = self.exposed(file);
        let list = seen.read()?;
        Ok(list
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, path)| *path == name)
            .map(|(digest, _)| digest.to_owned()))
    }

    /// From now on this is the content of that file which counts.
    pub fn renew(&self, file: &Path, digest: &Digest) -> Result<(), TrustError> {
        let (seen, name) = self.exposed(file);
        let list = seen.read()?;
        let others = list.lines().filter(|line| line.split_once(' ').is_none_or(|(_, path)| path != name));
        let mut list: String = others.flat_map(|line| [line, "\n"]).collect();
        list.push_str(&format!("{digest} {name}\n"));
        seen.replace(&list).map_err(|source| seen.fail(source))
    }

    fn exposed(&self, file: &Path) -> (Trust, String) {
        let seen = Trust { path: self.path.with_file_name("exposed-files") };
        (seen, file.display().to_string().escape_default().to_string())
    }

    fn read(&self) -> Result<String, TrustError> {
        match fs::read_to_string(&self.path) {
            Ok(list) => Ok(list),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(self.fail(source)),
        }
    }

    fn replace(&self, list: &str) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        claw_sys::whole::replace(&self.path, list.as_bytes(), 0o600)
    }

    fn fail(&self, source: io::Error) -> TrustError {
        TrustError { path: self.path.clone(), source }
    }
}
