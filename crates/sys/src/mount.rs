//! Mounts by descriptor: the mount API of Linux 5.2 (open_tree, move_mount, fsopen) and mount_setattr(2) of 5.12.

use std::ffi::{CStr, CString};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{check, check_long};

/// Attributes of a mount, as mount_setattr(2) names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// `MOUNT_ATTR_RDONLY`.
    pub const READ_ONLY: Attributes = Attributes(0x1);
    /// `MOUNT_ATTR_NOSUID`.
    pub const NO_SETUID: Attributes = Attributes(0x2);
    /// `MOUNT_ATTR_NODEV`.
    pub const NO_DEVICES: Attributes = Attributes(0x4);
    /// `MOUNT_ATTR_NOEXEC`.
    pub const NO_EXEC: Attributes = Attributes(0x8);
    /// None.
    pub const NONE: Attributes = Attributes(0);

    /// Both.
    pub const fn and(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }
}

/// Makes every mount of this namespace private, so that nothing done here is seen outside (mount_namespaces(7)).
pub fn make_private() -> io::Result<()> {
    // SAFETY: the strings are live and NUL-terminated; null source, type and data are allowed for this change.
    check(unsafe {
        libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        )
    })
    .map(|_| ())
}

/// A detached copy of the tree at `path`, with what is mounted below it (open_tree(2)).
pub fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    const CLONE: libc::c_uint = 1;
    const RECURSIVE: libc::c_uint = 0x8000;
    let path = text(path)?;
    let flags = CLONE | RECURSIVE | libc::O_CLOEXEC.cast_unsigned();
    // SAFETY: the path is live and NUL-terminated; the descriptor is new.
    unsafe {
        let raw = check_long(libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags))?;
        owned(raw)
    }
}

/// How far a change of attributes reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This mount alone.
    One,
    /// This mount and every mount below it.
    Below,
}

/// Sets attributes on a mount (mount_setattr(2)).
pub fn restrict(mount: BorrowedFd<'_>, set: Attributes, reach: Reach) -> io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        userns: u64,
    }
    const EMPTY_PATH: libc::c_uint = 0x1000;
    const RECURSIVE: libc::c_uint = 0x8000;
    let attributes = MountAttr { set: set.0, clear: 0, propagation: libc::MS_PRIVATE, userns: 0 };
    // SAFETY: `attributes` has the layout of `struct mount_attr` and the stated size.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            if reach == Reach::Below { EMPTY_PATH | RECURSIVE } else { EMPTY_PATH },
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    })
    .map(|_| ())
}

/// A new file system of that type with these options (fsopen(2), fsconfig(2), fsmount(2)), detached.
pub fn create(kind: &CStr, options: &[(&str, &str)], attributes: Attributes) -> io::Result<OwnedFd> {
    const SET_FLAG: libc::c_uint = 0;
    const SET_STRING: libc::c_uint = 1;
    const CREATE: libc::c_uint = 6;
    const CLOEXEC: libc::c_uint = 1;
    // SAFETY: all strings are live and NUL-terminated; null is passed where the command takes no key or value; the
    // descriptors are new.
    unsafe {
        let context = owned(check_long(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC))?)?;
        let configure = |command: libc::c_uint, key: *const libc::c_char, value: *const libc::c_char| {
            check_long(libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0))
        };
        for (key, value) in options {
            let key = CString::new(*key)?;
            if value.is_empty() {
                configure(SET_FLAG, key.as_ptr(), std::ptr::null())?;
            } else {
                let value = CString::new(*value)?;
                configure(SET_STRING, key.as_ptr(), value.as_ptr())?;
            }
        }
        configure(CREATE, std::ptr::null(), std::ptr::null())?;
        owned(check_long(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, attributes.0))?)
    }
}

/// Whether the file system of a mount takes no writes (fstatvfs(3), `ST_RDONLY`).
pub fn is_read_only(mount: BorrowedFd<'_>) -> io::Result<bool> {
    let mut about = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: on success the call fills `about`, and only then is it read.
    unsafe {
        check(libc::fstatvfs(mount.as_raw_fd(), about.as_mut_ptr()))?;
        Ok(about.assume_init().f_flag & libc::ST_RDONLY != 0)
    }
}

/// Attaches a detached mount at `path`, which is looked up below `directory` without following a last symbolic link
/// (move_mount(2)).
pub fn attach(mount: BorrowedFd<'_>, directory: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    const FROM_EMPTY_PATH: libc::c_uint = 0x4;
    const TO_EMPTY_PATH: libc::c_uint = 0x40;
    let empty = path.as_os_str().is_empty();
    let path = text(path)?;
    // SAFETY: the paths are live and NUL-terminated.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            directory.as_raw_fd(),
            path.as_ptr(),
            if empty { FROM_EMPTY_PATH | TO_EMPTY_PATH } else { FROM_EMPTY_PATH },
        )
    })
    .map(|_| ())
}

/// Makes the directory the root of this mount namespace (pivot_root(2), the form with two dots). The old root is still
/// mounted over it: see [`leave`]. The directory must be a mount point.
pub fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: calls with descriptors and static strings only.
    unsafe {
        check(libc::fchdir(root.as_raw_fd()))?;
        check_long(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
    }
    Ok(())
}

/// Lets the old root go after [`pivot`]. The kernel waits until no processor uses it any more.
pub fn leave() -> io::Result<()> {
    // SAFETY: calls with static strings only.
    unsafe {
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr()))?;
    }
    Ok(())
}

/// Opens `path` as if `root` were the root directory: no link and no `..` leads out (openat2(2), Linux 5.6). The
/// descriptor only names the place (`O_PATH`).
pub fn resolve(root: BorrowedFd<'_>, path: &Path, last: Last) -> io::Result<OwnedFd> {
    const IN_ROOT: u64 = 0x10;
    let follow = if last == Last::Follow { 0 } else { libc::O_NOFOLLOW };
    let flags = libc::O_PATH | libc::O_CLOEXEC | follow;
    let how = OpenHow { flags: u64::from(flags.cast_unsigned()), mode: 0, resolve: IN_ROOT };
    let path = if path.as_os_str().is_empty() { c".".to_owned() } else { text(path)? };
    // SAFETY: the path is live and NUL-terminated; `how` has the layout and size of `struct open_how`; the descriptor
    // is new.
    unsafe {
        owned(check_long(libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        ))?)
    }
}

/// What happens when the last component of a path is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It is followed.
    Follow,
    /// It is named itself.
    Stay,
}

/// mkdirat(2).
pub fn make_directory(parent: BorrowedFd<'_>, name: &Path, mode: u32) -> io::Result<()> {
    let name = text(name)?;
    // SAFETY: the name is live and NUL-terminated.
    check(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), mode) }).map(|_| ())
}

/// symlinkat(2).
pub fn make_link(parent: BorrowedFd<'_>, name: &Path, target: &Path) -> io::Result<()> {
    let (name, target) = (text(name)?, text(target)?);
    // SAFETY: both texts are live and NUL-terminated.
    check(unsafe { libc::symlinkat(target.as_ptr(), parent.as_raw_fd(), name.as_ptr()) }).map(|_| ())
}

/// A new file, open for writing (openat(2) with `O_CREAT | O_EXCL`).
pub fn make_file(parent: BorrowedFd<'_>, name: &Path, mode: u32) -> io::Result<OwnedFd> {
    let name = text(name)?;
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: the name is live and NUL-terminated; the descriptor is new.
    unsafe { owned(libc::c_long::from(check(libc::openat(parent.as_raw_fd(), name.as_ptr(), flags, mode))?)) }
}

/// Every mount point, in order of its path (proc_pid_mountinfo(5)); octal escapes are undone.
pub fn points() -> io::Result<Vec<PathBuf>> {
    // a page at a time: the kernel writes the list anew from its start for each smaller piece
    let mut text = String::with_capacity(1 << 14);
    std::fs::File::open("/proc/self/mountinfo")?.read_to_string(&mut text)?;
    let plain = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    let unescape = |text: &str| {
        plain.iter().fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
    };
    let mut points: Vec<PathBuf> =
        text.lines().filter_map(|line| line.split(' ').nth(4)).map(|name| unescape(name).into()).collect();
    points.sort();
    points.dedup();
    Ok(points)
}

/// Names a place without opening it (`O_PATH`, open(2)).
pub fn place(path: &Path) -> io::Result<OwnedFd> {
    let path = text(path)?;
    // SAFETY: the path is live and NUL-terminated; the descriptor is new.
    unsafe { owned(libc::c_long::from(check(libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC))?)) }
}

/// Names a place, and refuses if any part of the path is a symbolic link (openat2(2), `RESOLVE_NO_SYMLINKS`): what was
/// judged by its path is what is opened.
pub fn place_exactly(path: &Path) -> io::Result<OwnedFd> {
    const NO_SYMLINKS: u64 = 0x04;
    let how = OpenHow {
        flags: u64::from((libc::O_PATH | libc::O_CLOEXEC).cast_unsigned()),
        mode: 0,
        resolve: NO_SYMLINKS,
    };
    let path = text(path)?;
    // SAFETY: as in `resolve`.
    unsafe {
        owned(check_long(libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        ))?)
    }
}

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::other("path holds a NUL"))
}

/// # Safety
/// `raw` is a descriptor that a system call just returned and nothing owns.
unsafe fn owned(raw: libc::c_long) -> io::Result<OwnedFd> {
    let raw = libc::c_int::try_from(raw).map_err(io::Error::other)?;
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
