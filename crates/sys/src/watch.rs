//! Changes in a directory as a descriptor (inotify(7)).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{check, check_size};

/// A descriptor that becomes readable when a file of the directory was written and closed, put there, or taken away.
pub fn directory(path: &Path) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked before it is used.
    let number = check(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
    // SAFETY: the kernel gave this descriptor to us alone.
    let watch = unsafe { OwnedFd::from_raw_fd(number) };
    more_of(watch.as_fd(), path)?;
    Ok(watch)
}

/// Watches this directory too.
pub fn more_of(watch: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let changes =
        libc::IN_CLOSE_WRITE | libc::IN_MOVED_TO | libc::IN_MOVED_FROM | libc::IN_DELETE | libc::IN_CREATE;
    // SAFETY: the path is a live string that ends with NUL.
    check(unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), changes | libc::IN_ONLYDIR) })?;
    Ok(())
}

/// A descriptor that becomes readable when one of these files was written, replaced, taken away, or given other attributes.
pub fn files<'a>(paths: impl Iterator<Item = &'a Path>) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked before it is used.
    let number = check(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
    // SAFETY: the kernel gave this descriptor to us alone.
    let watch = unsafe { OwnedFd::from_raw_fd(number) };
    more(watch.as_fd(), paths)?;
    Ok(watch)
}

/// Watches these files too.
pub fn more<'a>(watch: BorrowedFd<'_>, paths: impl Iterator<Item = &'a Path>) -> io::Result<()> {
    let changes = libc::IN_MODIFY | libc::IN_ATTRIB | libc::IN_MOVE_SELF | libc::IN_DELETE_SELF;
    for path in paths {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the path is a live string that ends with NUL.
        check(unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), changes) })?;
    }
    Ok(())
}

/// Takes what has happened; which file it was does not matter to the caller, who looks at its own.
pub fn take(watch: BorrowedFd<'_>) -> io::Result<()> {
    let mut buffer = [0u8; 4096];
    loop {
        // SAFETY: the buffer is live and as long as is said.
        let read = unsafe { libc::read(watch.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check_size(read) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_written_file_is_told_once() {
        let directory = std::env::temp_dir().join(format!("claw-watch-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let watch = super::directory(&directory).unwrap();
        let ready = || crate::process::poll(&[watch.as_fd()], 0).unwrap() == [true];
        assert!(!ready());
        fs::write(directory.join("a"), "x").unwrap();
        assert!(ready());
        take(watch.as_fd()).unwrap();
        assert!(!ready());
        fs::remove_dir_all(&directory).unwrap();
    }
}
