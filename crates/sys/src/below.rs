//! Files by a directory's descriptor and a path below it that follows no link (openat2(2), Linux 5.6).

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{check, check_long, check_size};

/// What is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Only the place, whatever stands there; a last symbolic link itself (`O_PATH`).
    Place,
    /// A directory.
    Directory,
    /// A file to read; one that would have to be waited for is opened at once.
    Read,
    /// A new file with no permissions but the owner's, to write.
    New,
}

/// Opens `path` below `directory`: no `..`, no absolute path, no symbolic link on the way, no other mount. An empty path is the
/// directory itself.
pub fn open(directory: BorrowedFd<'_>, path: &Path, what: Open) -> io::Result<OwnedFd> {
    const NO_XDEV: u64 = 0x01;
    const NO_MAGICLINKS: u64 = 0x02;
    const NO_SYMLINKS: u64 = 0x04;
    const BENEATH: u64 = 0x08;
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let (flags, mode) = match what {
        Open::Place => (libc::O_PATH | libc::O_NOFOLLOW, 0),
        Open::Directory => (libc::O_RDONLY | libc::O_DIRECTORY, 0),
        Open::Read => (libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0),
        Open::New => (libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600),
    };
    // a last link is refused by `NO_SYMLINKS` with an error of its own
    let flags = (flags | libc::O_CLOEXEC).cast_unsigned();
    let how = OpenHow { flags: flags.into(), mode, resolve: BENEATH | NO_SYMLINKS | NO_MAGICLINKS | NO_XDEV };
    let path = if path.as_os_str().is_empty() { c".".to_owned() } else { text(path)? };
    // SAFETY: the path is live and NUL-terminated; `how` has the layout and size of `struct open_how`; the descriptor is
    // new and owned by nobody else.
    unsafe {
        let raw = check_long(libc::syscall(
            libc::SYS_openat2,
            directory.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        ))?;
        Ok(OwnedFd::from_raw_fd(libc::c_int::try_from(raw).map_err(io::Error::other)?))
    }
}

/// The text of the symbolic link that the descriptor names (readlinkat(2) with an empty path).
pub fn link_text(link: BorrowedFd<'_>) -> io::Result<PathBuf> {
    let mut buffer = vec![0u8; 4096];
    // SAFETY: the buffer is writable and has the stated length; the path is NUL-terminated.
    let length = check_size(unsafe {
        libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    })?;
    buffer.truncate(length);
    Ok(PathBuf::from(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(buffer)))
}

/// Where data begins at or behind an offset; `None` if only a hole is left (lseek(2), `SEEK_DATA`).
pub fn data_from(file: BorrowedFd<'_>, offset: u64) -> io::Result<Option<u64>> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    // SAFETY: integers only.
    match unsafe { libc::lseek(file.as_raw_fd(), offset, libc::SEEK_DATA) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            error => Err(error),
        },
        found => Ok(u64::try_from(found).ok()),
    }
}

/// The value of an extended attribute of what the descriptor names, up to 256 bytes; `None` if it has none (getxattr(2)).
pub fn attribute(place: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    // a descriptor that only names a place has no attributes of its own, but the path to it does
    let path = CString::new(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
    let mut buffer = vec![0u8; 256];
    // SAFETY: path and name are NUL-terminated; the buffer is writable and has the stated length.
    let length = check_size(unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    });
    match length {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::ENOTSUP | libc::EPERM)) => {
            Ok(None)
        }
        // longer than any that is asked for
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => Ok(Some(buffer)),
        Err(error) => Err(error),
    }
}

/// Sets an extended attribute of what the descriptor names (setxattr(2)).
pub fn set_attribute(place: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    let path = CString::new(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
    // SAFETY: path and name are NUL-terminated; the value has the stated length.
    check(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) })
        .map(|_| ())
}

/// What unlinkat(2) takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remove {
    /// Anything but a directory.
    File,
    /// An empty directory.
    Directory,
}

/// Takes one name out of a directory (unlinkat(2)); a link is not followed.
pub fn remove(parent: BorrowedFd<'_>, name: &Path, what: Remove) -> io::Result<()> {
    let name = one(name)?;
    let flags = if what == Remove::Directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: the name is live and NUL-terminated.
    check(unsafe { libc::unlinkat(parent.as_raw_fd(), name.as_ptr(), flags) }).map(|_| ())
}

/// What becomes of something that has the new name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is replaced.
    Replace,
    /// The call fails.
    Refuse,
}

/// Renames within one directory (renameat2(2)).
pub fn rename(parent: BorrowedFd<'_>, from: &Path, to: &Path, taken: Taken) -> io::Result<()> {
    let (from, to) = (one(from)?, one(to)?);
    let flags = if taken == Taken::Refuse { libc::RENAME_NOREPLACE } else { 0 };
    let directory = parent.as_raw_fd();
    // SAFETY: both names are live and NUL-terminated.
    check_long(unsafe {
        libc::syscall(libc::SYS_renameat2, directory, from.as_ptr(), directory, to.as_ptr(), flags)
    })
    .map(|_| ())
}

/// Another name for a file (linkat(2)); a symbolic link is not followed.
pub fn link(from: BorrowedFd<'_>, old: &Path, to: BorrowedFd<'_>, new: &Path) -> io::Result<()> {
    let (old, new) = (one(old)?, one(new)?);
    // SAFETY: both names are live and NUL-terminated.
    check(unsafe { libc::linkat(from.as_raw_fd(), old.as_ptr(), to.as_raw_fd(), new.as_ptr(), 0) })
        .map(|_| ())
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// By nobody else.
    Alone,
    /// By others as well, but by nobody alone.
    Shared,
}

/// Takes the lock of an open file, or says `WouldBlock`; a lock that is held already is changed (flock(2)).
pub fn lock(file: BorrowedFd<'_>, how: Lock) -> io::Result<()> {
    let operation = if how == Lock::Alone { libc::LOCK_EX } else { libc::LOCK_SH };
    // SAFETY: integers only.
    check(unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) }).map(|_| ())
}

/// One name, and no path.
fn one(name: &Path) -> io::Result<CString> {
    let bytes = name.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.contains(&b'/') || bytes == b"." || bytes == b".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    text(name)
}

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::other("path holds a NUL"))
}
