//! Whose turn it is to change the firewall of this network namespace.
//!
//! A lock in a directory that only root writes: whoever applies holds it, and so does a guard until it ends; the kernel lets
//! it go when its holder dies. Beside it lies the socket that a guard is asked over. No other user can take either.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use claw_sys::process;

use super::FirewallError;
use crate::control;

/// The turn, while this lives.
pub(super) struct Turn {
    _lock: File,
    socket: PathBuf,
}

impl Turn {
    /// Takes the turn. `None` if there is no directory and none can be made: then no guard can wait either.
    pub(super) fn take() -> Result<Option<Turn>, FirewallError> {
        let name = network().map_err(failed(Path::new(NETWORK)))?;
        let directory = Path::new(DIRECTORY);
        match fs::DirBuilder::new().mode(0o755).create(directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if is_missing(directory) && is_no_place(&error) => return Ok(None),
            Err(error) => return Err(failed(directory)(error)),
        }
        trusted(directory)?;
        let path = directory.join(format!("{name}.lock"));
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path);
        let lock = match lock {
            Ok(lock) => lock,
            // whoever cannot write here cannot have left a guard here, unless there is a lock
            Err(error) if is_missing(&path) && is_no_place(&error) => return Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::EROFS) => {
                File::open(&path).map_err(failed(&path))?
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        // one that no guard stands for is over soon
        for _ in 0..PATIENCE {
            match lock.try_lock() {
                Ok(()) => {
                    let socket = directory.join(format!("{name}.socket"));
                    return Ok(Some(Turn { _lock: lock, socket }));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
                Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
            }
        }
        Err(FirewallError::Waiting)
    }

    /// Opens the socket that a guard is asked over. One that lies there is of a guard that died: else the lock were taken.
    pub(super) fn listen(&self) -> Result<UnixListener, FirewallError> {
        let open = || {
            if let Err(error) = fs::remove_file(&self.socket)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let listener = UnixListener::bind(&self.socket)?;
            fs::set_permissions(&self.socket, Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        open().map_err(failed(&self.socket))
    }
}

impl Drop for Turn {
    /// The lock stays as a file: who waits for it holds it open.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

/// The guard that waits here, if one does and it is of root or this user.
pub(super) fn waiting() -> Result<Option<UnixStream>, FirewallError> {
    let directory = Path::new(DIRECTORY);
    if is_missing(directory) {
        return Ok(None);
    }
    trusted(directory)?;
    let name = network().map_err(failed(Path::new(NETWORK)))?;
    let stream = UnixStream::connect(directory.join(format!("{name}.socket"))).ok();
    Ok(stream.filter(control::is_own))
}

/// A directory of root or this user that nobody else writes.
fn trusted(directory: &Path) -> Result<(), FirewallError> {
    let found = fs::symlink_metadata(directory).map_err(failed(directory))?;
    let own = found.uid() == 0 || found.uid() == process::identity().0;
    if found.is_dir() && own && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(failed(directory)(io::Error::other("somebody else may write there")))
}

/// This network namespace's number: no two that exist share one.
fn network() -> io::Result<String> {
    let found = fs::metadata(NETWORK)?;
    Ok(found.ino().to_string())
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn is_no_place(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EROFS | libc::ENOENT))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FirewallError {
    let path = path.to_owned();
    move |source| FirewallError::Turn { path, source }
}

/// Only root writes to `/run` (hier(7), file-hierarchy(7)).
pub(super) const DIRECTORY: &str = "/run/claw-firewall";
/// Times that the lock is tried.
const PATIENCE: u32 = 20;
const NETWORK: &str = "/proc/self/ns/net";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_that_nobody_else_writes_is_trusted() {
        let place = std::env::temp_dir().join(format!("claw-turn-{}", std::process::id()));
        let directory = place.join("turn");
        fs::create_dir_all(&directory).unwrap();
        for (mode, good) in [(0o755, true), (0o777, false), (0o775, false), (0o1777, false), (0o700, true)] {
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            assert_eq!(trusted(&directory).is_ok(), good, "{mode:o}");
        }
        let link = place.join("link");
        std::os::unix::fs::symlink(&directory, &link).unwrap();
        assert!(trusted(&link).is_err());
        let file = place.join("file");
        fs::write(&file, "").unwrap();
        assert!(trusted(&file).is_err());
        fs::remove_dir_all(&place).unwrap();
    }
}
