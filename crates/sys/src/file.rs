//! Opening files below a directory that is taken for `/`, without following a link out of it (openat2(2)); what else a
//! host can be asked without being changed.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{check_long, check_size};

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

/// Where the link behind a descriptor of [`Open::LookAtLink`] leads, as its text (readlinkat(2)).
pub fn link(fd: BorrowedFd<'_>) -> io::Result<String> {
    let mut buffer = [0u8; 4096];
    // SAFETY: the empty path names the descriptor itself; pointer and length describe `buffer`.
    let length =
        unsafe { libc::readlinkat(fd.as_raw_fd(), c"".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let length = check_size(length)?;
    Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
}

/// Which capabilities a file gives to who executes it, permitted and inheritable ones together (`security.capability`,
/// capabilities(7)); a value of an unknown shape gives all of them. Links are not followed.
pub fn capabilities(path: &Path) -> io::Result<Option<u64>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut value = [0u8; 64];
    // SAFETY: both names are NUL-terminated; pointer and length describe `value`.
    let length = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    match check_size(length) {
        Ok(length) => Ok(Some(set(value.get(..length).unwrap_or_default()).unwrap_or(u64::MAX))),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `struct vfs_cap_data`: revision and flags, then permitted and inheritable words, little-endian; revision 1 has one pair,
/// 2 and 3 have two (include/uapi/linux/capability.h).
fn set(value: &[u8]) -> Option<u64> {
    let word = |at: usize| {
        let bytes = value.get(at..at.checked_add(4)?)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    let low = word(4)? | word(8)?;
    match word(0)? >> 24 {
        1 => Some(low),
        2 | 3 => Some(low | (word(12)? | word(16)?) << 32),
        _ => None,
    }
}

/// The number of the file system that something open is on (fstatfs(2)).
pub fn system(fd: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: an all-zero statfs is valid; the kernel fills it in; the descriptor is open.
    let number = unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        crate::check(libc::fstatfs(fd.as_raw_fd(), &mut found))?;
        found.f_type
    };
    // the numbers are 32 bits wide, whatever holds them
    Ok(u64::from(u32::try_from(number & 0xffff_ffff).unwrap_or_default()))
}

/// Whether the kernel's clock is kept by a time service (adjtimex(2)). Nothing is changed.
pub fn clock_is_kept() -> io::Result<bool> {
    // SAFETY: an all-zero timex asks for no change; the kernel writes into it only.
    let (state, status) = unsafe {
        let mut clock: libc::timex = std::mem::zeroed();
        let state = crate::check(libc::adjtimex(&mut clock))?;
        (state, clock.status)
    };
    Ok(state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0)
}
