//! What somebody would try who makes the supervisor run code of his own. For tests: debug builds alone have it.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::beneath::Rules;
use crate::{check, check_long};

/// What is tried, and what the kernel said.
pub type Tried = (String, io::Result<()>);

/// What there is to reach: a file that is nobody's business, a socket that somebody else listens on, an empty directory, and
/// the sandbox's `/proc`, which is open.
#[derive(Debug)]
pub struct Prize<'a> {
    /// The file.
    pub file: &'a Path,
    /// The socket.
    pub socket: &'a Path,
    /// The directory.
    pub directory: &'a Path,
    /// The sandbox's `/proc`.
    pub processes: BorrowedFd<'a>,
    /// A UNIX socket that somebody is connected to.
    pub peer: BorrowedFd<'a>,
}

/// Tries everything. `Ok` means that it was done, or that the kernel looked at the call and found something else wrong.
pub fn attempts(prize: &Prize<'_>) -> io::Result<Vec<Tried>> {
    let file = CString::new(prize.file.as_os_str().as_bytes())?;
    let directory = CString::new(prize.directory.as_os_str().as_bytes())?;
    let mut tried = Vec::new();
    let mut note = |name: &str, result: io::Result<()>| tried.push((name.to_owned(), result));
    let parent = parent();
    let (path, empty) = (file.as_ptr() as i64, directory.as_ptr() as i64);
    let here = i64::from(libc::AT_FDCWD);
    let how = |flags: i32, resolve: u64| -> libc::open_how {
        // SAFETY: numbers only.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = u64::from(flags.cast_unsigned());
        how.resolve = resolve;
        how
    };
    let free = how(libc::O_RDONLY, 0);
    let size = i64::try_from(size_of::<libc::open_how>()).unwrap_or_default();
    let own = (&raw const free) as i64;
    let rules = i64::try_from(Rules::of_this_process()?.address()).unwrap_or_default();
    let processes = i64::from(prize.processes.as_raw_fd());
    note("open", call(libc::SYS_open, [path, 0, 0, 0, 0]));
    note("openat", call(libc::SYS_openat, [here, path, 0, 0, 0]));
    note("openat for writing", call(libc::SYS_openat, [here, path, i64::from(libc::O_RDWR), 0, 0]));
    note("openat2", call(libc::SYS_openat2, [here, path, own, size, 0]));
    note("openat2 by the sandbox's /proc", call(libc::SYS_openat2, [processes, path, own, size, 0]));
    note(
        "openat2 from here by the rules",
        call(libc::SYS_openat2, [here, c"Cargo.toml".as_ptr() as i64, rules, size, 0]),
    );
    note("openat2 by the rules (rules)", call(libc::SYS_openat2, [processes, path, rules, size, 0]));
    for way in ["../../../../../..", "1/root", "1/cwd/../../../.."] {
        let long = CString::new(format!("{way}{}", prize.file.display()))?;
        let name = format!("openat2 by the rules and `{way}` (rules)");
        note(&name, call(libc::SYS_openat2, [processes, long.as_ptr() as i64, rules, size, 0]));
    }
    note("rules made writable (sealed)", call(libc::SYS_mprotect, [rules, 4096, 3, 0, 0]));
    note("rules unmapped (sealed)", call(libc::SYS_munmap, [rules, 4096, 0, 0, 0]));
    note(
        "rules forgotten (sealed)",
        call(libc::SYS_madvise, [rules, 4096, i64::from(libc::MADV_DONTNEED), 0, 0]),
    );
    let fixed = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    note("rules mapped over (sealed)", call(libc::SYS_mmap, [rules, 4096, 3, fixed, -1]));
    note("rules moved away (sealed)", call(libc::SYS_mremap, [rules, 4096, 4096, 3, rules + (1 << 30)]));
    note("creat", call(libc::SYS_creat, [c"/tmp/claw-taken".as_ptr() as i64, 0o600, 0, 0, 0]));
    note("unlink", call(libc::SYS_unlink, [c"/tmp/claw-taken".as_ptr() as i64, 0, 0, 0, 0]));
    note("truncate", call(libc::SYS_truncate, [c"/tmp/claw-none".as_ptr() as i64, 0, 0, 0, 0]));
    note(
        "rename",
        call(
            libc::SYS_rename,
            [c"/tmp/claw-none".as_ptr() as i64, c"/tmp/claw-none2".as_ptr() as i64, 0, 0, 0],
        ),
    );
    note("rmdir", call(libc::SYS_rmdir, [empty, 0, 0, 0, 0]));
    note("chdir", call(libc::SYS_chdir, [c"/".as_ptr() as i64, 0, 0, 0, 0]));
    note("inotify_add_watch", call(libc::SYS_inotify_add_watch, [0, path, 2, 0, 0]));
    note("name_to_handle_at", call(libc::SYS_name_to_handle_at, [here, path, 0, 0, 0]));
    note("memfd_create", call(libc::SYS_memfd_create, [c"x".as_ptr() as i64, 0, 0, 0, 0]));
    note("execve", call(libc::SYS_execve, [c"/nonexistent".as_ptr() as i64, 0, 0, 0, 0]));
    note("fork", fork());
    note("a socket of another program", unix(prize.socket));
    note("a netlink socket", call(libc::SYS_socket, [16, 3, 0, 0, 0]));
    note("a raw socket", call(libc::SYS_socket, [2, 3, 1, 0, 0]));
    note("socketpair", call(libc::SYS_socketpair, [1, 1, 0, tried_room(), 0]));
    note("ptrace", call(libc::SYS_ptrace, [0x4206, parent, 0, 0, 0]));
    note("process_vm_readv", call(libc::SYS_process_vm_readv, [parent, 0, 0, 0, 0]));
    note("kill", call(libc::SYS_kill, [parent, 0, 0, 0, 0]));
    note("pidfd_open", call(libc::SYS_pidfd_open, [parent, 0, 0, 0, 0]));
    note("pidfd_getfd", call(libc::SYS_pidfd_getfd, [0, 0, 0, 0, 0]));
    note("pidfd_send_signal", call(libc::SYS_pidfd_send_signal, [0, i64::from(libc::SIGSTOP), 0, 0, 0]));
    note("a process by a socket's peer", peer(prize.peer));
    note("a call of the agent's taken", call(libc::SYS_ioctl, [0, 0xc050_2100, tried_room(), 0, 0]));
    note("listen", call(libc::SYS_listen, [0, 1, 0, 0, 0]));
    note("umask", call(libc::SYS_umask, [0o77, 0, 0, 0, 0]));
    note("a signal by F_SETOWN", call(libc::SYS_fcntl, [0, 8, parent, 0, 0]));
    note("a keystroke", call(libc::SYS_ioctl, [0, 0x5412, c"x".as_ptr() as i64, 0, 0]));
    note(
        "new code",
        call(libc::SYS_mmap, [0, 4096, 7, i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS), -1]),
    );
    note("io_uring_setup", call(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]));
    note("unshare", call(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0, 0]));
    note("being traceable again", call(libc::SYS_prctl, [i64::from(libc::PR_SET_DUMPABLE), 1, 0, 0, 0]));
    note("limits of another process", call(libc::SYS_prlimit64, [parent, 7, 0, tried_room(), 0]));
    Ok(tried)
}

/// What the filter, or the rules, say; anything else came from further inside.
pub fn is_refused(result: &io::Result<()>) -> bool {
    let refusals =
        [libc::EPERM, libc::ENOSYS, libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT, libc::EXDEV, libc::ELOOP];
    result.as_ref().is_err_and(|error| error.raw_os_error().is_some_and(|number| refusals.contains(&number)))
}

fn call(number: libc::c_long, arguments: [i64; 5]) -> io::Result<()> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: pointers are null or to live strings and structures of the caller; the pages that are asked to change are those
    // that must not, and whoever leaves the walls out for a test loses this process to it.
    check_long(unsafe { libc::syscall(number, a, b, c, d, e, 0) }).map(|_| ())
}

/// Room for two numbers that the kernel may write.
fn tried_room() -> i64 {
    static ROOM: [std::sync::atomic::AtomicU64; 2] = [const { std::sync::atomic::AtomicU64::new(0) }; 2];
    ROOM.as_ptr().expose_provenance() as i64
}

fn parent() -> i64 {
    // SAFETY: no arguments.
    i64::from(unsafe { libc::getppid() })
}

fn fork() -> io::Result<()> {
    // SAFETY: the child does nothing but end.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        crate::process::exit_now(0);
    }
    crate::process::wait(pid, crate::process::Wait::Block).map(|_| ())
}

/// Whoever is at the other end of a socket, as a descriptor (`SO_PEERPIDFD`).
fn peer(socket: BorrowedFd<'_>) -> io::Result<()> {
    let (mut number, mut length) = (0i32, 4u32);
    let (value, size) = ((&raw mut number) as i64, (&raw mut length) as i64);
    call(libc::SYS_getsockopt, [i64::from(socket.as_raw_fd()), 1, 77, value, size])
}

fn unix(path: &Path) -> io::Result<()> {
    std::os::unix::net::UnixStream::connect(path).map(|_| ())
}
