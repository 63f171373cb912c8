//! What the kernel itself measured: files as it executed, mapped or read them (IMA), and whether it vouches for their
//! attributes (EVM).
//!
//! Claw compares listed executables by itself; the kernel's list adds what Claw cannot see: a file that was changed and
//! changed back, and the files that Claw itself runs from. The list is in securityfs, for root alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_wire::ima::{Found, ImaError, Piece, spelled};

use crate::executables::digest;

/// What the kernel's list of measurements is good for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The kernel has no IMA.
    Absent,
    /// securityfs is not mounted, so nobody can tell.
    Hidden,
    /// It is for root alone.
    Private,
    /// It can be read.
    Readable,
}

/// The list, and what it should say of some files.
#[derive(Debug)]
pub(crate) struct Measured {
    list: File,
    unread: Vec<u8>,
    /// By the kernel's spelling of the path: the path, what it should contain, and what was measured last.
    files: BTreeMap<String, Relied>,
}

#[derive(Debug)]
struct Relied {
    path: PathBuf,
    expected: Digest,
    last: Option<Found>,
    told: Option<Found>,
}

/// A measurement that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deviation {
    pub(crate) path: PathBuf,
    pub(crate) expected: Digest,
    /// The digest; zeros where the kernel could not measure because the file was being written.
    pub(crate) found: String,
}

/// Why the list cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeasuredError {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    List(#[from] ImaError),
}

/// Whether the list is there and can be read.
pub(crate) fn presence() -> Presence {
    match File::open(LIST) {
        Ok(_) => Presence::Readable,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Presence::Private,
        Err(_) if Path::new(LSM).exists() => Presence::Absent,
        Err(_) => Presence::Hidden,
    }
}

/// How much the kernel has measured, in words.
pub(crate) fn measured() -> Result<String, MeasuredError> {
    let mut bytes = Vec::new();
    File::open(LIST)?.take(MOST).read_to_end(&mut bytes)?;
    let piece = Piece::read(&bytes)?;
    let of = |wanted: fn(&Found) -> bool| piece.measurements.iter().filter(|one| wanted(&one.found)).count();
    let comparable = of(|found| matches!(found, Found::Sha256(_)));
    let violations = of(|found| *found == Found::Violation);
    Ok(format!(
        "{} measurements, {comparable} of them with SHA-256, {violations} violations",
        piece.measurements.len()
    ))
}

/// Whether the kernel vouches for the security attributes of files, in words. `None`: it has no EVM, or does not tell this user.
pub(crate) fn evm() -> Option<String> {
    let text = fs::read_to_string(EVM).ok()?;
    let bits: u32 = text.trim().parse().ok()?;
    let mut words: Vec<&str> =
        BITS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word).collect();
    if words.is_empty() {
        words.push("off");
    }
    Some(format!("{} ({bits})", words.join(", ")))
}

impl Measured {
    /// Opens the list for these files and those that this process itself runs from.
    pub(crate) fn open(listed: impl Iterator<Item = (PathBuf, Digest)>) -> Result<Measured, MeasuredError> {
        let list = File::open(LIST)?;
        let mut files: Vec<(PathBuf, Digest)> = listed.collect();
        for path in own()? {
            // order: read now, so that the kernel has measured what stands there now
            let digest = digest(&path)?;
            files.push((path, digest));
        }
        let relied = |(path, expected): (PathBuf, Digest)| {
            (spelled(&path.to_string_lossy()), Relied { path, expected, last: None, told: None })
        };
        Ok(Measured { list, unread: Vec::new(), files: files.into_iter().map(relied).collect() })
    }

    /// Reads what was measured since it was read last. Returns what deviates; each measurement is told once.
    pub(crate) fn look(&mut self) -> Result<Vec<Deviation>, MeasuredError> {
        self.list.by_ref().take(MOST).read_to_end(&mut self.unread)?;
        let piece = Piece::read(&self.unread)?;
        self.unread.drain(..piece.taken);
        for measurement in piece.measurements {
            if let Some(file) = self.files.get_mut(&measurement.path) {
                file.last = Some(measurement.found);
            }
        }
        let deviations = self.files.values_mut().filter_map(Relied::deviation);
        Ok(deviations.collect())
    }

    /// How many of the files were measured with a digest that can be compared, and how many there are.
    pub(crate) fn known(&self) -> (usize, usize) {
        let comparable = |file: &&Relied| matches!(file.last, Some(Found::Sha256(_)));
        (self.files.values().filter(comparable).count(), self.files.len())
    }
}

impl Deviation {
    /// The kernel could not measure it.
    pub(crate) fn is_violation(&self) -> bool {
        self.found == Digest([0; 32]).to_string()
    }
}

impl Relied {
    fn deviation(&mut self) -> Option<Deviation> {
        let found = match self.last.as_ref()? {
            Found::Sha256(digest) if *digest == self.expected => return None,
            Found::Sha256(digest) => digest.to_string(),
            Found::Violation => Digest([0; 32]).to_string(),
            // no statement about this digest
            Found::Other(_) => return None,
        };
        if self.told == self.last {
            return None;
        }
        self.told.clone_from(&self.last);
        Some(Deviation { path: self.path.clone(), expected: self.expected, found })
    }
}

/// The executable of this process and what else it mapped as code (proc_pid_maps(5)).
fn own() -> io::Result<Vec<PathBuf>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let code = maps.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let permissions = fields.nth(1)?;
        let at = line.find('/')?;
        (permissions.contains('x')).then(|| PathBuf::from(line.get(at..).unwrap_or_default()))
    });
    let mut files: Vec<PathBuf> = code.collect();
    files.sort();
    files.dedup();
    Ok(files)
}

pub(crate) const LIST: &str = "/sys/kernel/security/ima/binary_runtime_measurements";
pub(crate) const EVM: &str = "/sys/kernel/security/evm";
/// Every securityfs has it (Linux 4.11).
pub(crate) const LSM: &str = "/sys/kernel/security/lsm";
/// A list with half a million entries; more is read the next time.
const MOST: u64 = 64 << 20;
/// The bits of `evm` (Documentation/ABI/testing/evm).
const BITS: &[(u32, &str)] = &[
    (1, "HMAC key loaded"),
    (2, "signatures checked"),
    (4, "metadata may be changed"),
    (0x8000_0000, "set up for good"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn relied(found: Found) -> Relied {
        Relied { path: "/a".into(), expected: Digest([1; 32]), last: Some(found), told: None }
    }

    #[test]
    fn only_what_contradicts_the_list_deviates_and_once() {
        assert_eq!(relied(Found::Sha256(Digest([1; 32]))).deviation(), None);
        assert_eq!(relied(Found::Other("sha1".to_owned())).deviation(), None);
        for found in [Found::Sha256(Digest([2; 32])), Found::Violation] {
            let mut file = relied(found.clone());
            let digest = if found == Found::Violation { [0; 32] } else { [2; 32] };
            let expected =
                Deviation { path: "/a".into(), expected: Digest([1; 32]), found: Digest(digest).to_string() };
            assert_eq!(file.deviation(), Some(expected));
            assert_eq!(file.deviation(), None);
            // the same again, after something else
            file.last = Some(Found::Sha256(Digest([3; 32])));
            assert!(file.deviation().is_some());
            file.last = Some(found);
            assert!(file.deviation().is_some());
        }
    }

    #[test]
    fn this_process_runs_from_its_executable_and_its_libraries() {
        let files = own().unwrap();
        assert!(files.contains(&std::env::current_exe().unwrap()), "{files:?}");
        assert!(files.iter().any(|file| file.to_string_lossy().contains("libc.so")), "{files:?}");
    }
}
