//! The highest version of each signed policy that was ever let hold on this machine. Anything lower is a rollback.
//!
//! One file for each name, and in it a line for each version: number and digest. A line is added and waited for on the disk
//! before its policy holds. It is added, not put in place of the file, because the supervisor opens and renames nothing once
//! it is confined. A torn last line was never waited for, so nothing ever held by it: the next run takes it away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;

/// The versions of one name, open so that more can be added later.
#[derive(Debug)]
pub struct Seen {
    path: PathBuf,
    file: File,
}

/// A version, and what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: u64,
    /// The digest of all that was signed as it.
    pub digest: Digest,
}

/// Why a version is not let hold.
#[derive(Debug, thiserror::Error)]
pub enum SeenError {
    /// An older one.
    #[error("`{name}` version {offered} is older than version {seen}, which was seen on this machine")]
    Rollback {
        /// The policy's name.
        name: String,
        /// What is offered.
        offered: u64,
        /// What was seen.
        seen: u64,
    },
    /// One number, two policies.
    #[error("`{name}` version {version} was seen with another content, {seen}")]
    Twofold {
        /// The policy's name.
        name: String,
        /// The number of both.
        version: u64,
        /// What was seen.
        seen: Digest,
    },
    /// The file is not what this wrote.
    #[error("`{}` line {line} is not a version and a digest", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// The file cannot be used.
    #[error("cannot use the versions seen in `{}`", .path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Seen {
    /// The versions of this name below Claw's state directory, made if there are none yet.
    pub fn open(state: &Path, name: &str) -> Result<Seen, SeenError> {
        Seen::at(place(state, name))
    }

    /// The versions of this name in a directory of their own.
    pub(crate) fn open_in(home: &Path, name: &str) -> Result<Seen, SeenError> {
        Seen::at(home.join(RELEASES).join(format!("{name}.versions")))
    }

    fn at(path: PathBuf) -> Result<Seen, SeenError> {
        let fail = |source| SeenError::System { path: path.clone(), source };
        let home = path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(home).map_err(fail)?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(fail)?;
        // order: other runs of this name begin at the same time, and may be in the middle of a line
        file.lock().map_err(fail)?;
        let whole = whole(&read(&mut file).map_err(fail)?);
        if file.metadata().map_err(fail)?.len() != whole {
            file.set_len(whole).map_err(fail)?;
            file.sync_all().map_err(fail)?;
        }
        file.unlock().map_err(fail)?;
        File::open(home).and_then(|home| home.sync_all()).map_err(fail)?;
        Ok(Seen { path, file })
    }

    /// The highest version, without making or changing anything.
    pub fn look(state: &Path, name: &str) -> Result<Option<Version>, SeenError> {
        let path = place(state, name);
        match fs::read(&path) {
            Ok(bytes) => highest(&bytes, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SeenError::System { path, source }),
        }
    }

    /// Lets a version hold: it is the highest, or becomes it before this returns.
    pub fn admit(&mut self, name: &str, offered: Version) -> Result<(), SeenError> {
        let bytes = read(&mut self.file).map_err(|source| self.fail(source))?;
        let seen = highest(&bytes, &self.path)?;
        if !rises(name, offered, seen)? {
            return Ok(());
        }
        let line = format!("{} {}\n", offered.number, offered.digest);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| self.fail(source))
    }

    fn fail(&self, source: io::Error) -> SeenError {
        SeenError::System { path: self.path.clone(), source }
    }
}

/// Whether a version is higher than what was seen. One that is neither higher nor the same is refused.
pub fn rises(name: &str, offered: Version, seen: Option<Version>) -> Result<bool, SeenError> {
    let Some(seen) = seen else { return Ok(true) };
    let name = || name.to_owned();
    if offered.number < seen.number {
        return Err(SeenError::Rollback { name: name(), offered: offered.number, seen: seen.number });
    }
    if offered.number == seen.number && offered.digest != seen.digest {
        return Err(SeenError::Twofold { name: name(), version: seen.number, seen: seen.digest });
    }
    Ok(offered.number > seen.number)
}

fn place(state: &Path, name: &str) -> PathBuf {
    state.join(HOME).join(format!("{name}.versions"))
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Bytes of whole lines.
fn whole(bytes: &[u8]) -> u64 {
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
    u64::try_from(end).unwrap_or_default()
}

fn highest(bytes: &[u8], path: &Path) -> Result<Option<Version>, SeenError> {
    let end = usize::try_from(whole(bytes)).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let versions = text.lines().enumerate().map(|(at, line)| {
        let broken = || SeenError::Broken { path: path.to_owned(), line: at.saturating_add(1) };
        let (number, digest) = line.split_once(' ').ok_or_else(broken)?;
        let number = number.parse().map_err(|_| broken())?;
        let digest = digest.parse().map_err(|_| broken())?;
        Ok(Version { number, digest })
    });
    let versions: Vec<Version> = versions.collect::<Result<_, SeenError>>()?;
    Ok(versions.into_iter().max_by_key(|version| version.number))
}

/// Where they are, below Claw's state directory.
const HOME: &str = "policies";
/// Where those of adapters are, below the adapters' directory.
const RELEASES: &str = "releases";

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64, content: &str) -> Version {
        Version { number, digest: Digest::of(content.as_bytes()) }
    }

    fn fresh(name: &str) -> PathBuf {
        let state = std::env::temp_dir().join(format!("claw-seen-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&state);
        state
    }

    #[test]
    fn a_version_only_rises_and_both_numbers_are_named() {
        let state = fresh("rises");
        let mut seen = Seen::open(&state, "a").unwrap();
        seen.admit("a", version(3, "x")).unwrap();
        seen.admit("a", version(3, "x")).unwrap();
        seen.admit("a", version(7, "y")).unwrap();
        let error = Seen::open(&state, "a").unwrap().admit("a", version(6, "z")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a` version 6 is older than version 7, which was seen on this machine"
        );
        let error = seen.admit("a", version(7, "z")).unwrap_err();
        assert!(matches!(error, SeenError::Twofold { version: 7, .. }), "{error}");
        assert_eq!(Seen::look(&state, "a").unwrap(), Some(version(7, "y")));
        assert_eq!(Seen::look(&state, "b").unwrap(), None);
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn two_runs_see_each_others_versions() {
        let state = fresh("two");
        let (mut one, mut other) = (Seen::open(&state, "a").unwrap(), Seen::open(&state, "a").unwrap());
        one.admit("a", version(9, "x")).unwrap();
        assert!(matches!(other.admit("a", version(8, "y")), Err(SeenError::Rollback { .. })));
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn a_torn_last_line_is_taken_away_and_a_broken_one_refused() {
        let state = fresh("torn");
        Seen::open(&state, "a").unwrap().admit("a", version(4, "x")).unwrap();
        let path = place(&state, "a");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"5 sha256:00").unwrap();
        assert_eq!(Seen::look(&state, "a").unwrap(), Some(version(4, "x")));
        Seen::open(&state, "a").unwrap().admit("a", version(5, "y")).unwrap();
        assert_eq!(Seen::look(&state, "a").unwrap(), Some(version(5, "y")));
        fs::write(&path, "not a version\n").unwrap();
        assert!(matches!(Seen::look(&state, "a"), Err(SeenError::Broken { line: 1, .. })));
        fs::remove_dir_all(state).unwrap();
    }
}
