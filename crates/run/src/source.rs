//! Where a run's policy comes from, so that it can be read again while the agent runs.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_policy::{CeilingFile, Policy, PolicyError, ReadCeiling};

use crate::facts::canonical;
use crate::signed::{self, Demand, Held};
use crate::supervisor::told;
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
    /// That it must be signed, and by whom.
    pub signed: Option<Demand>,
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

    /// Its signature, if one is demanded and there.
    pub(crate) fn signature(&self) -> Result<Option<Vec<u8>>, Unusable> {
        let demanded = self.signed.as_ref().map(|_| signed::signature(&self.file));
        demanded.transpose().map(Option::flatten).map_err(|error| Unusable::Unread(told(&error)))
    }

    /// What is signed of a content, if that is demanded.
    pub(crate) fn judge(&self, content: &str, signature: Option<&[u8]>) -> Result<Option<Held>, Unusable> {
        let Some(demand) = &self.signed else { return Ok(None) };
        let name = self.name.display().to_string();
        let held = demand.judge((&name, &self.file), content.as_bytes(), signature);
        held.map(Some).map_err(|error| Unusable::Bad(told(&error)))
    }

    /// What a text says, if it is a policy; `read` reads its ceilings.
    pub(crate) fn parse(&self, text: &str, read: ReadCeiling<'_>) -> Result<Policy, Unusable> {
        let name = self.name.display();
        Policy::parse_under(text, &name.to_string(), &self.file, read).map_err(|error| {
            let problems = error.problems().iter();
            let lines = problems.map(|problem| format!("{name}:{}: {}", problem.line(), problem.message()));
            Unusable::Bad(lines.collect::<Vec<_>>().join("; "))
        })
    }
}

/// Which state a file is in.
pub(crate) fn stamp(file: &Path) -> Stamp {
    let found = fs::metadata(file).ok()?;
    let state = (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec());
    Some(format!("{state:?}").into_bytes())
}

/// The directory that a file is in.
pub(crate) fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads a ceiling: it is found from the place of the file that names it.
pub(crate) fn ceiling(named: &Path, by: &Path) -> Result<CeilingFile, String> {
    let path = directory(by).join(named);
    let mut text = String::new();
    open(&path)
        .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
        .map_err(|error| format!("cannot read the ceiling `{}`: {error}", named.display()))?;
    Ok(CeilingFile { real: canonical(&path), path, text })
}

/// Parses a policy, with the ceilings that it names: each is found from the place of the file that names it. `name` is what
/// messages call it, `file` is where it is.
pub fn parse(text: &str, name: &str, file: &Path) -> Result<Policy, PolicyError> {
    Policy::parse_under(text, name, &canonical(file), &ceiling)
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
