//! Where a run's policy comes from, so that it can be read again while the agent runs.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_policy::Policy;

use crate::trust::{Trust, TrustError};

/// A policy file, and whether its content must have been accepted before.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file, as messages name it.
    pub name: PathBuf,
    /// The file.
    pub file: PathBuf,
    /// What was accepted.
    pub trust: Trust,
    /// It was named on the command line: its content need not have been accepted.
    pub named: bool,
}

/// Why a file is no policy.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It could not be read now: that may pass.
    Unread(String),
    /// What it says is wrong.
    Bad(String),
}

/// What tells one state of a file from another; `None` where there is none.
pub(crate) type Stamp = Option<Vec<u8>>;

impl Source {
    /// Reads the file as it is now; one that is `exposed` to the agent must have been accepted. What is wrong is said in one
    /// text.
    pub(crate) fn fetch(&self, exposed: bool) -> Result<String, Unusable> {
        let name = self.name.display();
        let mut bytes = Vec::new();
        open(&self.file)
            .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
            .map_err(|error| Unusable::Unread(format!("cannot read `{name}`: {error}")))?;
        let digest = Digest::of(&bytes);
        let unread = |error: TrustError| Unusable::Unread(error.to_string());
        let accepted = match exposed {
            true => self.trust.last(&self.file).map_err(unread)? == Some(digest.to_string()),
            false => self.named || self.trust.accepts(&digest).map_err(unread)?,
        };
        if !accepted {
            let why = if exposed { ", and it lies where the agent may write" } else { "" };
            return Err(Unusable::Bad(format!(
                "the content of `{name}` was not accepted{why}; read it, then `claw policy trust {name}` and SIGHUP"
            )));
        }
        String::from_utf8(bytes).map_err(|_| Unusable::Bad(format!("`{name}` is not UTF-8 text")))
    }

    /// What a text says, if it is a policy.
    pub(crate) fn parse(&self, text: &str) -> Result<Policy, Unusable> {
        let name = self.name.display();
        Policy::parse(text, &name.to_string()).map_err(|error| {
            let problems = error.problems().iter();
            let lines = problems.map(|problem| format!("{name}:{}: {}", problem.line(), problem.message()));
            Unusable::Bad(lines.collect::<Vec<_>>().join("; "))
        })
    }

    /// Which state the file is in.
    pub(crate) fn stamp(&self) -> Stamp {
        let found = fs::metadata(&self.file).ok()?;
        let state = (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec());
        Some(format!("{state:?}").into_bytes())
    }

    /// The directory that the file is in.
    pub(crate) fn directory(&self) -> &Path {
        self.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// Opens a regular file, and nothing that would be waited for.
pub(crate) fn open(path: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// As much as a policy may have.
const LARGEST: u64 = 64 << 20;
