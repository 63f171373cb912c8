//! Opening files below a directory that is taken for `/`, without following a link out of it (openat2(2)).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::check_long;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// To read it; a FIFO or a device does not make the call wait.
    Read,
    /// To look at it only (`O_PATH`).
    Look,
    /// To look at it only, and at a link itself.
    LookAtLink,
}

/// Opens `path` with `root` taken for `/`, for absolute paths and links too; kernel ≥ 5.6. Magic links are not followed.
pub fn open_in(root: BorrowedFd<'_>, path: &Path, how: Open) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = match how {
        Open::Read => libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC,
        Open::Look => libc::O_PATH | libc::O_CLOEXEC,
        Open::LookAtLink => libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC,
    };
    // SAFETY: open_how is plain integers; path is NUL-terminated; sizes describe live memory; the descriptor is new and ours.
    unsafe {
        let mut request: libc::open_how = std::mem::zeroed();
        request.flags = u64::try_from(flags).unwrap_or_default();
        request.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
        let number = check_long(libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            std::ptr::from_ref(&request),
            size_of::<libc::open_how>(),
        ))?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(number).map_err(io::Error::other)?))
    }
}
