//! Opening files below one directory and nowhere else, by a process that may have been taken over.
//!
//! A system call filter sees the numbers of a call, not what its pointers lead to. So the rules that openat2(2) obeys
//! (`RESOLVE_BENEATH`, no links) stand at one address, on a page that is read-only and sealed (mseal(2), Linux 6.10); the
//! filter lets openat2 through with that address and one directory's descriptor, and every other way to open nothing. Before
//! 6.10 the page is read-only, but whoever runs code in the process can map another one in its place.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;

use crate::{check, check_long};

/// The rules, on their page.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    address: usize,
    sealed: bool,
}

impl Rules {
    /// This process's rules; made and sealed when they are first asked for.
    pub fn of_this_process() -> io::Result<Rules> {
        if let Some(rules) = RULES.get() {
            return Ok(*rules);
        }
        let rules = make()?;
        Ok(*RULES.get_or_init(|| rules))
    }

    /// Where they stand.
    pub fn address(self) -> u64 {
        u64::try_from(self.address).unwrap_or_default()
    }

    /// How long they are, as openat2(2) is told.
    pub fn size(self) -> usize {
        size_of::<libc::open_how>()
    }

    /// Whether the kernel keeps the page as it is, whoever asks.
    pub fn is_sealed(self) -> bool {
        self.sealed
    }
}

/// Opens what is below the directory, for reading. No link is followed on the way.
pub fn open(directory: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let rules = Rules::of_this_process()?;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let (number, size) = (directory.as_raw_fd(), rules.size());
    let opened = loop {
        // SAFETY: the path is a live string that ends with NUL; the rules are a page that is never unmapped, and `size` is
        // that of the structure on it.
        let opened = unsafe { libc::syscall(libc::SYS_openat2, number, path.as_ptr(), rules.address, size) };
        match check_long(opened) {
            // the kernel could not tell whether a rename led the way out of the directory: tried again, as openat2(2) says
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            other => break other?,
        }
    };
    let opened = RawFd::try_from(opened).map_err(io::Error::other)?;
    // SAFETY: the kernel gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// Where a link below the directory leads (readlinkat(2)). Links on the way there are followed.
pub fn link(directory: BorrowedFd<'_>, path: &Path) -> io::Result<std::path::PathBuf> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut room = [0u8; 4096];
    // SAFETY: the path is a live string that ends with NUL, the room is live and as long as is said.
    let length = unsafe {
        libc::readlinkat(directory.as_raw_fd(), path.as_ptr(), room.as_mut_ptr().cast(), room.len())
    };
    let length = crate::check_size(length)?;
    let target = room.get(..length).unwrap_or_default();
    Ok(std::ffi::OsStr::from_bytes(target).into())
}

/// The names in an open directory, but for its own and its parent's; as many as `most`.
pub fn names(directory: OwnedFd, most: usize) -> io::Result<Vec<String>> {
    Ok(Names::of(directory)?.take(most).collect())
}

/// The names in an open directory (getdents64(2)), one after the other, but for its own and its parent's.
#[derive(Debug)]
pub struct Names(NonNull<libc::DIR>);

impl Names {
    /// Takes the directory over.
    pub fn of(directory: OwnedFd) -> io::Result<Names> {
        let number = directory.into_raw_fd();
        // SAFETY: fdopendir(3) takes the descriptor over; if it fails, it is still ours.
        NonNull::new(unsafe { libc::fdopendir(number) }).map(Names).ok_or_else(|| {
            let error = io::Error::last_os_error();
            // SAFETY: not taken over, so nobody else closes it.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
            error
        })
    }
}

impl Iterator for Names {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            // SAFETY: the stream is open, and used by its one owner.
            let entry = NonNull::new(unsafe { libc::readdir(self.0.as_ptr()) })?;
            // SAFETY: readdir(3) gave an entry, whose name ends with NUL; it is read before the next call.
            let name = unsafe { CStr::from_ptr((*entry.as_ptr()).d_name.as_ptr()) };
            match name.to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => return Some(name.to_owned()),
            }
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // SAFETY: the stream is open and not used again.
        let _ = unsafe { libc::closedir(self.0.as_ptr()) };
    }
}

fn make() -> io::Result<Rules> {
    let (protection, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new page wherever the kernel wants it.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let read =
        u64::from((libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW).cast_unsigned());
    // SAFETY: numbers only.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = read;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: the page is writable, aligned for anything, and larger than the structure; nobody else knows it yet.
    unsafe { page.cast::<libc::open_how>().write(how) };
    // SAFETY: the page was just mapped, and nothing writes to it any more.
    check(unsafe { libc::mprotect(page, PAGE, libc::PROT_READ) })?;
    // SAFETY: plain numbers; the page stays mapped for as long as this process lives.
    let sealed = check_long(unsafe { libc::syscall(MSEAL, page, PAGE, 0) }).is_ok();
    Ok(Rules { address: page.expose_provenance(), sealed })
}

static RULES: OnceLock<Rules> = OnceLock::new();
const PAGE: usize = 4096;
/// mseal(2), the same number on every architecture.
const MSEAL: libc::c_long = 462;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn nothing_outside_the_directory_is_opened() {
        let root = std::env::temp_dir().join(format!("claw-beneath-{}", std::process::id()));
        fs::create_dir_all(root.join("in/deep")).unwrap();
        fs::write(root.join("secret"), "s").unwrap();
        fs::write(root.join("in/deep/file"), "text").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("in/link")).unwrap();
        let directory = File::open(root.join("in")).unwrap();
        let mut text = String::new();
        let file = open(directory.as_fd(), Path::new("deep/file")).unwrap();
        File::from(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        for path in ["../secret", "/etc/hostname", "link", "deep/../../secret"] {
            assert!(open(directory.as_fd(), Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(link(directory.as_fd(), Path::new("link")).unwrap(), Path::new("../secret"));
        let mut found = names(directory.into(), 9).unwrap();
        found.sort();
        assert_eq!(found, ["deep", "link"]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_rules_cannot_be_changed_where_the_kernel_seals() {
        let rules = Rules::of_this_process().unwrap();
        let release = crate::process::kernel_release();
        let mut numbers = release.split(|character: char| !character.is_ascii_digit());
        let mut next = || numbers.next().and_then(|part| part.parse::<u32>().ok()).unwrap_or_default();
        assert_eq!(rules.is_sealed(), (next(), next()) >= (6, 10), "{release}");
        if rules.is_sealed() {
            let page = std::ptr::with_exposed_provenance_mut(rules.address);
            // SAFETY: the page stays as it is: that is what is shown.
            unsafe {
                assert_eq!(libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_WRITE), -1);
                assert_eq!(libc::munmap(page, PAGE), -1);
                assert_eq!(libc::madvise(page, PAGE, libc::MADV_DONTNEED), -1);
                let fixed = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
                let again = libc::mmap(page, PAGE, libc::PROT_READ | libc::PROT_WRITE, fixed, -1, 0);
                assert_eq!(again, libc::MAP_FAILED);
            }
        }
    }
}
