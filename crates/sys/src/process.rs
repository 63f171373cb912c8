//! Processes: namespaced children, what they inherit, and how they end.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::{check, check_long, check_size};

/// Namespaces to make (namespaces(7)), as clone(2) flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces(i32);

impl Namespaces {
    /// User, mount, pid, ipc, uts and network.
    pub const ALL: Namespaces = Namespaces(
        libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWNET,
    );
    /// The same without ipc.
    pub const ALL_BUT_IPC: Namespaces = Namespaces(Namespaces::ALL.0 & !libc::CLONE_NEWIPC);
}

/// What becomes of this process's other descriptors in a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherit {
    /// They are closed.
    Nothing,
    /// They stay open.
    All,
}

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The process that forked, with the child's pid.
    Parent(i32),
}

/// Which side of [`clone`] this is.
#[derive(Debug)]
pub enum Cloned {
    /// The first process of the new namespaces.
    Child,
    /// The process in between, with its end of the channel. It has no other descriptor.
    Between(OwnedFd),
    /// The process that asked for it.
    Parent(Birth),
}

/// A first process of new namespaces that is being made.
#[derive(Debug)]
pub struct Birth {
    between: i32,
    channel: OwnedFd,
}

impl Birth {
    /// Waits until it is there, and tells its pid. The process in between goes on with the other end of the channel.
    pub fn settle(self) -> io::Result<(i32, OwnedFd)> {
        let mut word = [0; 8];
        let heard = crate::socket::receive_descriptors(self.channel.as_fd(), &mut word);
        let number = match heard {
            Ok((8, _)) => i32::try_from(i64::from_ne_bytes(word)).map_err(io::Error::other),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        };
        match number {
            Ok(pid) if pid > 0 => Ok((pid, self.channel)),
            failed => {
                let _ = wait(self.between, Wait::Block);
                Err(failed
                    .map_or_else(|error| error, |error| io::Error::from_raw_os_error(error.wrapping_neg())))
            }
        }
    }
}

/// clone(2) into new namespaces, in a process without other threads. The child dies with this thread
/// (`PR_SET_PDEATHSIG`), has the given user and group maps (user_namespaces(7)), and of this process's descriptors only
/// the standard three and `keep`, which becomes number 3, and the others as `inherit` says.
///
/// Namespaces take the kernel a while. A process in between has them made, while this one goes on (`CLONE_PARENT`: the
/// child is this process's all the same). `elsewhere` is where those two may run. `Err` in them means that they must end.
pub fn clone(
    namespaces: Namespaces,
    maps: (&str, &str),
    keep: BorrowedFd<'_>,
    inherit: Inherit,
    elsewhere: Option<Processors>,
) -> io::Result<Cloned> {
    let (channel, theirs) = crate::socket::pair()?;
    let copy = |flags: libc::c_int| {
        // SAFETY: clone(2) without CLONE_VM copies this single-threaded process, as fork(2) does.
        check_long(unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) })
    };
    let between = copy(libc::SIGCHLD)?;
    // whichever of the two runs first: on the processor of this process the other would wait behind it
    if between != 0 {
        let between = libc::c_int::try_from(between).map_err(io::Error::other)?;
        if let Some(elsewhere) = elsewhere {
            let _ = elsewhere.keep(between);
        }
        return Ok(Cloned::Parent(Birth { between, channel }));
    }
    drop(channel);
    if let Some(elsewhere) = elsewhere {
        let _ = elsewhere.keep_to();
    }
    let made = copy(namespaces.0 | libc::CLONE_PARENT | libc::SIGCHLD);
    if matches!(made, Ok(0)) {
        drop(theirs);
        if settle(maps, keep, inherit).is_err() {
            exit_now(125);
        }
        return Ok(Cloned::Child);
    }
    let word =
        made.unwrap_or_else(|error| i64::from(error.raw_os_error().unwrap_or(libc::EINVAL)).wrapping_neg());
    // order: while this process holds the other channel too, nobody notices that its ends are gone
    let told = close_all_but(&[theirs.as_raw_fd()])
        .and_then(|()| crate::socket::send_descriptors(theirs.as_fd(), &word.to_ne_bytes(), &[]));
    if told.is_err() || word < 0 {
        exit_now(125);
    }
    Ok(Cloned::Between(theirs))
}

/// What a new child does first.
fn settle(maps: (&str, &str), keep: BorrowedFd<'_>, inherit: Inherit) -> io::Result<()> {
    die_with_parent()?;
    for (path, text) in
        [("/proc/self/setgroups", "deny"), ("/proc/self/uid_map", maps.0), ("/proc/self/gid_map", maps.1)]
    {
        std::fs::write(path, text)?;
    }
    // SAFETY: integers only; the process has no other user of the descriptors that are closed, and `keep` is not used
    // under its old number again.
    unsafe {
        check(libc::dup2(keep.as_raw_fd(), 3))?;
        if inherit == Inherit::Nothing {
            check_long(libc::syscall(libc::SYS_close_range, 4u32, u32::MAX, 0))?;
        }
    }
    Ok(())
}

/// Overwrites this process's arguments and environment in memory, and gives it `name` instead: nothing of what the
/// caller was told stays readable (proc_pid_stat(5), fields `arg_start` to `env_end`).
pub fn forget(name: &str) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // the name in parentheses may hold anything; fields are counted behind it, where the first is number 3
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let field = |number: usize| -> io::Result<usize> {
        let text = fields.split_whitespace().nth(number.saturating_sub(3)).unwrap_or_default();
        text.parse().map_err(|_| io::Error::other("unreadable /proc/self/stat"))
    };
    for (start, end) in [(field(48)?, field(49)?), (field(50)?, field(51)?)] {
        let length = end.saturating_sub(start);
        if start != 0 && length != 0 {
            // SAFETY: the kernel put arguments and environment into [start, end) of this process's stack, writable;
            // they stay terminated text (all zeros), and no reference to them is alive: the standard library copies.
            unsafe { std::ptr::write_bytes(std::ptr::with_exposed_provenance_mut::<u8>(start), 0, length) };
        }
    }
    let name = std::ffi::CString::new(name)?;
    // SAFETY: PR_SET_NAME reads a NUL-terminated text.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) }).map(|_| ())
}

/// fork(2), in a process without other threads: the child may do anything.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: the caller's process is single-threaded (init, or a test), so the child's memory is consistent.
    let pid = check(unsafe { libc::fork() })?;
    Ok(if pid == 0 { Fork::Child } else { Fork::Parent(pid) })
}

/// Whether this process may execute what stands at the path (access(2)): a regular file.
pub fn executable(path: &std::path::Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: a NUL-terminated string.
    check(unsafe { libc::access(name.as_ptr(), libc::X_OK) }).map(|_| ())
}

/// execve(2). Comes back only to say why not.
pub fn execute(program: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> io::Error {
    let pointers = |list: &[&CStr]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end in null and point to live, NUL-terminated strings.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once, without destructors (_exit(2)).
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) does not return.
    unsafe { libc::_exit(code) }
}

/// What a child did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It ended with this code.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// A signal stopped it.
    Stopped(i32),
    /// It goes on.
    Continued,
}

/// waitpid(2) for any child (`pid` of -1) or one. `None`: nothing has happened yet (only with `Wait::Poll`).
pub fn wait(pid: i32, how: Wait) -> io::Result<Option<(i32, Change)>> {
    let mut status = 0;
    let flags = match how {
        Wait::Block => 0,
        Wait::Poll => libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED,
    };
    // SAFETY: waitpid(2) writes one int.
    let found = check(unsafe { libc::waitpid(pid, &raw mut status, flags) })?;
    if found == 0 {
        return Ok(None);
    }
    let change = if libc::WIFEXITED(status) {
        Change::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Change::Killed(libc::WTERMSIG(status))
    } else if libc::WIFSTOPPED(status) {
        Change::Stopped(libc::WSTOPSIG(status))
    } else {
        Change::Continued
    };
    Ok(Some((found, change)))
}

/// How `wait` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it ends.
    Block,
    /// Not at all; stops and continues are told too.
    Poll,
}

/// This process dies with the thread that made it (`PR_SET_PDEATHSIG`, prctl(2)). Check afterwards that the parent was
/// still there.
pub fn die_with_parent() -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)
}

/// Nobody may read this process's memory or descriptors (`PR_SET_DUMPABLE`, prctl(2)).
pub fn hide() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0)
}

/// No exec may give this process more than it has (`PR_SET_NO_NEW_PRIVS`).
pub fn no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// The processors that this process may run on (sched_setaffinity(2)).
#[derive(Clone, Copy)]
pub struct Processors(libc::cpu_set_t);

impl std::fmt::Debug for Processors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: reads a whole, initialised set.
        write!(formatter, "Processors({})", unsafe { libc::CPU_COUNT(&self.0) })
    }
}

impl Processors {
    /// Those of this process. Fails on a machine with more than 1,024.
    pub fn of_this() -> io::Result<Processors> {
        let mut set = Processors(Processors::none());
        // SAFETY: sched_getaffinity(2) writes at most the size it is given.
        check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set.0) })?;
        Ok(set)
    }

    /// These without the one that this process runs on now; `None` if there is no other.
    pub fn others(&self) -> Option<Processors> {
        // SAFETY: no arguments; and a set is read and written within its bounds, which the macros check.
        unsafe {
            let here = usize::try_from(libc::sched_getcpu()).ok()?;
            let mut set = self.0;
            libc::CPU_CLR(here, &mut set);
            (libc::CPU_COUNT(&set) > 0).then_some(Processors(set))
        }
    }

    /// This process runs on these alone from now on.
    pub fn keep_to(&self) -> io::Result<()> {
        self.keep(0)
    }

    /// The same for another process.
    pub fn keep(&self, process: i32) -> io::Result<()> {
        // SAFETY: sched_setaffinity(2) reads the size it is given.
        check(unsafe { libc::sched_setaffinity(process, size_of::<libc::cpu_set_t>(), &raw const self.0) })
            .map(|_| ())
    }

    fn none() -> libc::cpu_set_t {
        // SAFETY: a set of bits, all zero, is the empty set.
        unsafe { std::mem::zeroed() }
    }
}

/// Installs a system call filter on this thread and what it starts (seccomp(2)). Needs `no_new_privs`.
pub fn filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the structure points to `length` live instructions, which the kernel copies and checks.
    check_long(unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program) }).map(|_| ())
}

/// Gives up supplementary groups (setgroups(2)); needs `CAP_SETGID`.
pub fn drop_groups() -> io::Result<()> {
    // SAFETY: an empty list.
    check(unsafe { libc::setgroups(0, std::ptr::null()) }).map(|_| ())
}

/// unshare(2) of the cgroup namespace.
pub fn unshare_cgroup() -> io::Result<()> {
    // SAFETY: unshare(2) takes flags.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }).map(|_| ())
}

/// What one of the standard streams is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// A terminal or another character device, a pipe, or a regular file.
    Plain,
    /// A connected UNIX stream socket: one fixed peer, which has no name, and no way to another.
    Pair,
    /// A UNIX stream socket that is connected to a name, and from which nothing is to be read any more.
    Outlet,
    /// A UNIX stream socket that is connected to a name: a service, which can answer with descriptors.
    Service,
    /// Any other socket: it can be connected elsewhere, around every namespace.
    Socket,
    /// A directory: paths can be looked up from it, around the mount namespace.
    Directory,
    /// A block device, or nothing that fstat(2) knows.
    Other,
}

/// Whether a descriptor is a regular file (fstat(2)).
pub fn is_file(number: RawFd) -> bool {
    // SAFETY: the kernel fills a live structure.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        libc::fstat(number, &raw mut status) == 0 && status.st_mode & libc::S_IFMT == libc::S_IFREG
    }
}

/// Whether a descriptor was opened for reading alone (fcntl(2)).
pub fn is_read_only(number: RawFd) -> bool {
    // SAFETY: a question about a number.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_ACCMODE == libc::O_RDONLY
}

/// Another descriptor for the same open file (dup(2)).
pub fn copy(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a question about a number; the result is checked before it is used.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Puts a descriptor in the place of another one (dup2(2)).
pub fn put(descriptor: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: both are numbers; what stood at the second is closed, and nobody here owns it.
    check(unsafe { libc::dup2(descriptor.as_raw_fd(), number) }).map(|_| ())
}

/// What descriptor 0, 1 or 2 is (fstat(2), getpeername(2)).
pub fn stream(number: RawFd) -> Stream {
    // SAFETY: zeroed structures are valid, and the kernel writes at most their size.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstat(number, &raw mut status) != 0 {
            return Stream::Other;
        }
        match status.st_mode & libc::S_IFMT {
            libc::S_IFCHR | libc::S_IFIFO | libc::S_IFREG => Stream::Plain,
            libc::S_IFDIR => Stream::Directory,
            libc::S_IFSOCK => {
                let mut peer: libc::sockaddr_storage = std::mem::zeroed();
                let mut length = libc::socklen_t::try_from(size_of_val(&peer)).unwrap_or_default();
                let connected =
                    libc::getpeername(number, std::ptr::from_mut(&mut peer).cast(), &raw mut length) == 0;
                let mut kind: libc::c_int = 0;
                let mut size = libc::socklen_t::try_from(size_of_val(&kind)).unwrap_or_default();
                let (level, name) = (libc::SOL_SOCKET, libc::SO_TYPE);
                libc::getsockopt(number, level, name, std::ptr::from_mut(&mut kind).cast(), &raw mut size);
                let unix = i32::from(peer.ss_family) == libc::AF_UNIX && kind == libc::SOCK_STREAM;
                // unix(7): the address of a socket without a name is its family alone
                let named = usize::try_from(length).unwrap_or_default() > size_of_val(&peer.ss_family);
                match connected && unix {
                    false => Stream::Socket,
                    true if !named => Stream::Pair,
                    true if is_at_end(number) => Stream::Outlet,
                    true => Stream::Service,
                }
            }
            _ => Stream::Other,
        }
    }
}

/// Whether a stream socket has nothing more to read: its end without a wait, and without taking anything (recv(2)).
fn is_at_end(number: RawFd) -> bool {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the kernel writes at most one byte to a live one.
    unsafe { libc::recv(number, std::ptr::from_mut(&mut byte).cast(), 1, flags) == 0 }
}

/// Gives this thread a network and a mount namespace of its own (unshare(2)); needs `CAP_SYS_ADMIN`.
pub fn unshare_network() -> io::Result<()> {
    // SAFETY: unshare(2) takes flags.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) }).map(|_| ())
}

/// Leaves the terminal and the session it was started in (setsid(2)): what happens to them does not happen to this process.
pub fn leave_session() -> io::Result<()> {
    // SAFETY: setsid(2) takes nothing.
    check(unsafe { libc::setsid() }).map(|_| ())
}

/// Sets the host name of this UTS namespace (sethostname(2)).
pub fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(|_| ())
}

/// Real user and group ids (getuid(2), getgid(2)).
pub fn identity() -> (u32, u32) {
    // SAFETY: these calls always succeed.
    unsafe { (libc::getuid(), libc::getgid()) }
}

/// `uname -r` (uname(2)).
pub fn kernel_release() -> String {
    // SAFETY: uname(2) fills the structure with NUL-terminated text.
    unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        if libc::uname(&raw mut name) != 0 {
            return String::from("unknown");
        }
        CStr::from_ptr(name.release.as_ptr()).to_string_lossy().into_owned()
    }
}

/// A sealed, anonymous, close-on-exec file for passing bytes to a child (memfd_create(2)).
pub fn memory_file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is live and NUL-terminated; the descriptor is new.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC))?)) }
}

/// A descriptor that this process was started with. `None` if there is none of that number.
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl(2) tells whether the descriptor exists; the caller takes each number once, at start.
    unsafe {
        if libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) < 0 {
            return None;
        }
        Some(OwnedFd::from_raw_fd(number))
    }
}

/// Closes every descriptor from `first` up when the next exec happens (close_range(2), Linux 5.11).
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOEXEC: libc::c_uint = 4;
    // SAFETY: close_range(2) with integers; nothing is closed now.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOEXEC) }).map(|_| ())
}

/// Closes every descriptor but these (close_range(2), Linux 5.9). For a process that is to use no other from then on.
pub fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|number| u32::try_from(*number).ok()).collect();
    keep.sort_unstable();
    let mut first = 0u32;
    for number in keep.into_iter().chain([u32::MAX]) {
        if let Some(last) = number.checked_sub(1)
            && first <= last
        {
            // SAFETY: integers only; the caller uses none of what is closed.
            check_long(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

/// Wakes another process on its own processor (eventfd(2)). A message on a socket draws the woken process to the sender's
/// processor, where it waits until the sender pauses; two processes that are to work at the same time need this instead.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A bell that rings in whoever is forked afterwards. It counts: two rings are heard by two waits.
    pub fn new() -> io::Result<Bell> {
        // SAFETY: eventfd(2) takes two integers and returns a new descriptor.
        unsafe {
            Ok(Bell(OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_SEMAPHORE))?)))
        }
    }

    /// Rings.
    pub fn ring(&self) -> io::Result<()> {
        let one = 1u64;
        // SAFETY: eight live bytes, as eventfd(2) asks.
        check_size(unsafe { libc::write(self.0.as_raw_fd(), std::ptr::from_ref(&one).cast(), 8) }).map(|_| ())
    }

    /// Waits until it rings.
    pub fn wait(&self) -> io::Result<()> {
        let mut count = 0u64;
        // SAFETY: eight live bytes, as eventfd(2) asks.
        check_size(unsafe { libc::read(self.0.as_raw_fd(), std::ptr::from_mut(&mut count).cast(), 8) })
            .map(|_| ())
    }
}

/// poll(2) until one of the descriptors can be read or has ended, or `milliseconds` have passed (-1: forever).
pub fn poll(descriptors: &[BorrowedFd<'_>], milliseconds: i32) -> io::Result<Vec<bool>> {
    let mut list: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|descriptor| libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let count = libc::nfds_t::try_from(list.len()).unwrap_or_default();
    // SAFETY: the list is live and has `count` entries.
    match check(unsafe { libc::poll(list.as_mut_ptr(), count, milliseconds) }) {
        Ok(_) => Ok(list.iter().map(|entry| entry.revents != 0).collect()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(vec![false; list.len()]),
        Err(error) => Err(error),
    }
}

fn prctl(option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: prctl(2) with integer arguments.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) }).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn two_rings_are_heard_by_two_waits() {
        let bell = Bell::new().unwrap();
        bell.ring().unwrap();
        bell.ring().unwrap();
        bell.wait().unwrap();
        assert_eq!(poll(&[bell.0.as_fd()], 0).unwrap(), [true]);
        bell.wait().unwrap();
        assert_eq!(poll(&[bell.0.as_fd()], 0).unwrap(), [false]);
    }
}
