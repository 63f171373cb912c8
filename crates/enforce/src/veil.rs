//! Of `/proc` what is for user 0 alone. User 0 inside is user 0 outside, and would see what only that user may read of the
//! whole machine.
//!
//! The supervisor looks for it in the host's `/proc` while init makes the tree: there the kernel has every entry already, where
//! a new `/proc` makes each when it is first looked at. What is mounted over on the host init looks at itself.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Paths below `/proc`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Veil {
    /// For user 0 alone.
    pub(crate) hidden: Vec<PathBuf>,
    /// Something else stands there where it was looked; the empty path is all of it.
    unclear: Vec<PathBuf>,
}

impl Veil {
    /// What the `/proc` at this place has. The two upper levels are looked at, and those settings of the kernel among which there
    /// are such: all of them would take too long.
    pub(crate) fn of(top: &Path) -> io::Result<Veil> {
        let mut look = Look { top, device: top.metadata()?.dev(), veil: Veil::default() };
        if !top.join("sys/kernel").is_dir() {
            // mounted without what is not of processes (`subset=pid`)
            return Ok(Veil::unknown());
        }
        for directory in look.look_into(Path::new(""))? {
            look.look_into(&directory)?;
        }
        for directory in SETTINGS {
            look.look_into(Path::new(directory))?;
        }
        Ok(look.veil)
    }

    /// Nothing is known.
    pub(crate) fn unknown() -> Veil {
        Veil { hidden: Vec::new(), unclear: vec![PathBuf::new()] }
    }

    /// Looks in the `/proc` at this place at what was unclear in another.
    pub(crate) fn settle(self, top: &Path) -> io::Result<Vec<PathBuf>> {
        let mut look = Look {
            top,
            device: top.metadata()?.dev(),
            veil: Veil { hidden: self.hidden, unclear: Vec::new() },
        };
        for path in self.unclear {
            let Ok(about) = top.join(&path).symlink_metadata() else { continue };
            if look.at(&path, &about) && is_looked_into(&path) {
                return Ok(Veil::of(top)?.hidden);
            }
        }
        Ok(look.veil.hidden)
    }
}

struct Look<'a> {
    top: &'a Path,
    device: u64,
    veil: Veil,
}

impl Look<'_> {
    /// Returns the directories that are still shown, but for those of processes.
    fn look_into(&mut self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut shown = Vec::new();
        let entries = match std::fs::read_dir(self.top.join(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(shown),
            other => other?.flatten(),
        };
        for entry in entries {
            let path = directory.join(entry.file_name());
            if is_process(&path) {
                continue;
            }
            let Ok(about) = entry.metadata() else { continue };
            if self.at(&path, &about) {
                shown.push(path);
            }
        }
        Ok(shown)
    }

    /// Whether it is a directory that is still shown.
    fn at(&mut self, path: &Path, about: &std::fs::Metadata) -> bool {
        let wanted = if about.is_dir() { 0o005 } else { 0o004 };
        if about.dev() != self.device {
            self.veil.unclear.push(path.to_owned());
        } else if about.is_symlink() {
        } else if about.permissions().mode() & wanted != wanted {
            self.veil.hidden.push(path.to_owned());
        } else {
            return about.is_dir();
        }
        false
    }
}

/// Whether more is asked of this directory than its own mode.
fn is_looked_into(path: &Path) -> bool {
    path.components().count() <= 1 || SETTINGS.iter().any(|directory| Path::new(directory).starts_with(path))
}

/// Whether this is what `/proc` has for a process.
fn is_process(path: &Path) -> bool {
    path.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Where the kernel's settings are not for everybody to read. Those of the network are the sandbox's own.
const SETTINGS: [&str; 4] = ["sys/kernel", "sys/kernel/usermodehelper", "sys/vm", "sys/fs"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_mounted_over_is_looked_at_again() {
        let place = std::env::temp_dir().join(format!("claw-veil-{}", std::process::id()));
        std::fs::create_dir_all(place.join("sys/kernel")).unwrap();
        std::fs::create_dir_all(place.join("bus/input")).unwrap();
        let mode = |path: &str, mode| {
            let path = place.join(path);
            if !path.exists() {
                std::fs::write(&path, "").unwrap();
            }
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, bits) in [
            ("kcore", 0o400),
            ("version", 0o444),
            ("123", 0o400),
            ("bus/secret", 0o600),
            ("bus/input", 0o500),
            ("sys/kernel/cad_pid", 0o600),
        ] {
            mode(path, bits);
        }
        let expected: Vec<PathBuf> =
            ["bus/input", "bus/secret", "kcore", "sys/kernel/cad_pid"].map(PathBuf::from).into();
        let sorted = |mut paths: Vec<PathBuf>| {
            paths.sort();
            paths
        };
        let whole = Veil::of(&place).unwrap();
        assert_eq!(whole.unclear, Vec::<PathBuf>::new());
        assert_eq!(sorted(whole.hidden), expected);
        assert_eq!(sorted(Veil::unknown().settle(&place).unwrap()), expected);
        // where something else stood over a file and a directory, what is below it counts
        let unclear = ["kcore", "version", "bus", "gone"].map(PathBuf::from).into();
        let veil = Veil { hidden: vec!["sys/kernel/cad_pid".into()], unclear };
        assert_eq!(sorted(veil.settle(&place).unwrap()), expected);
        let veil = |unclear: &str| Veil { hidden: Vec::new(), unclear: vec![unclear.into()] };
        assert_eq!(sorted(veil("sys/kernel").settle(&place).unwrap()), expected);
        assert_eq!(veil("bus/input").settle(&place).unwrap(), [PathBuf::from("bus/input")]);
        std::fs::remove_dir_all(place.join("sys")).unwrap();
        assert_eq!(Veil::of(&place).unwrap(), Veil::unknown());
        std::fs::remove_dir_all(place).unwrap();
        // another file system over a part of a real one
        let veil = Veil::of(Path::new("/proc")).unwrap();
        assert!(veil.hidden.contains(&PathBuf::from("sys/kernel/cad_pid")), "{veil:?}");
    }
}
