//! System calls of another process that wait for our answer (seccomp_unotify(2)), and what it takes to give one: its
//! memory, its descriptors, a descriptor put into it.
//!
//! What is read of another process is read once and used as it was read: the process may change it at any time.

use std::ffi::CStr;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{check, check_long};

/// One system call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Which call this is, to whoever has the listener.
    pub id: u64,
    /// The thread that made it.
    pub thread: u32,
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What the caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The call returns 0.
    Done,
    /// The call fails with this number of errno(3).
    Error(i32),
    /// The kernel performs the call. What was read of its arguments may have changed since.
    Continue,
}

/// Installs a filter on this thread and what it starts, and returns the descriptor that its notifications come from. A
/// caller whose call is being looked at can only be killed, not interrupted, where the kernel knows that (Linux 5.19).
pub fn filter(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let length = libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let install = |flags: libc::c_ulong| {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the structure points to `length` live instructions, which the kernel copies and checks.
        check_long(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) })
    };
    let number = match install(NEW_LISTENER | WAIT_KILLABLE) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(NEW_LISTENER)?,
        other => other?,
    };
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets the kernel run the answering process where the asking one ran (Linux 6.6); elsewhere nothing changes.
pub fn wake_on_this_processor(listener: BorrowedFd<'_>) {
    // SAFETY: the request takes a number.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, 1u64) };
}

/// Takes the next call. Blocks unless the listener is readable.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Call> {
    // SAFETY: the kernel wants the structure zeroed, and fills it.
    let mut notification: libc::seccomp_notif = unsafe { zeroed() };
    // SAFETY: the structure is live and as large as the request says.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notification) })?;
    Ok(Call {
        id: notification.id,
        thread: notification.pid,
        number: notification.data.nr.into(),
        arguments: notification.data.args,
    })
}

/// Whether the caller still waits: only then is its number still its own.
pub fn waits(listener: BorrowedFd<'_>, call: &Call) -> bool {
    // SAFETY: the request reads a live number.
    unsafe { libc::ioctl(listener.as_raw_fd(), VALID, &raw const call.id) == 0 }
}

/// Answers.
pub fn reply(listener: BorrowedFd<'_>, call: &Call, reply: Reply) -> io::Result<()> {
    // SAFETY: plain numbers.
    let mut response: libc::seccomp_notif_resp = unsafe { zeroed() };
    response.id = call.id;
    match reply {
        Reply::Done => {}
        Reply::Error(number) => response.error = number.checked_neg().unwrap_or(-libc::EPERM),
        Reply::Continue => response.flags = CONTINUE,
    }
    // SAFETY: the structure is live and as large as the request says.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut response) }).map(|_| ())
}

/// Puts a descriptor into the caller, in place of its descriptor `number`.
pub fn replace(
    listener: BorrowedFd<'_>,
    call: &Call,
    source: BorrowedFd<'_>,
    number: u32,
    close_on_exec: bool,
) -> io::Result<()> {
    // SAFETY: plain numbers.
    let mut place: libc::seccomp_notif_addfd = unsafe { zeroed() };
    place.id = call.id;
    place.flags = SET_NUMBER;
    place.srcfd = source.as_raw_fd().cast_unsigned();
    place.newfd = number;
    place.newfd_flags = if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 };
    // SAFETY: the structure is live and as large as the request says.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), ADD_DESCRIPTOR, &raw const place) }).map(|_| ())
}

/// A thread of another process, or before Linux 6.9 its process, as a descriptor that no other can take over
/// (pidfd_open(2)).
#[derive(Debug)]
pub struct Thread {
    descriptor: OwnedFd,
    exact: bool,
}

impl Thread {
    /// Opens the thread of this number.
    pub fn open(number: u32) -> io::Result<Thread> {
        let open = |number: u32, flags: libc::c_int| {
            // SAFETY: plain numbers.
            check_long(unsafe { libc::syscall(libc::SYS_pidfd_open, number, flags) })
        };
        let (descriptor, exact) = match open(number, THREAD) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => (open(leader(number)?, 0)?, false),
            other => (other?, true),
        };
        let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
        // SAFETY: the kernel gave this descriptor to us alone.
        Ok(Thread { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) }, exact })
    }

    /// Whether it stands for the thread itself: once that has ended, whatever is asked fails, also when the number was given
    /// to another.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// A copy of one of its descriptors (pidfd_getfd(2)): the same open file.
    pub fn descriptor(&self, number: u32) -> io::Result<OwnedFd> {
        let thread = self.descriptor.as_raw_fd();
        // SAFETY: plain numbers.
        let copy = check_long(unsafe { libc::syscall(libc::SYS_pidfd_getfd, thread, number, 0) })?;
        // SAFETY: the kernel gave this descriptor to us alone.
        Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(copy).map_err(io::Error::other)?) })
    }
}

impl AsFd for Thread {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The process of a thread.
pub fn leader(thread: u32) -> io::Result<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status"))?;
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    group.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Reads another process's memory, once, all or nothing (process_vm_readv(2)).
pub fn memory(thread: u32, address: u64, room: &mut [u8]) -> io::Result<()> {
    let pid = libc::pid_t::try_from(thread).map_err(io::Error::other)?;
    let here = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let address = usize::try_from(address).map_err(io::Error::other)?;
    let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: room.len() };
    // SAFETY: the kernel writes at most the length of `room` into it; the other address is not of this process.
    let read = unsafe { libc::process_vm_readv(pid, &raw const here, 1, &raw const there, 1, 0) };
    match usize::try_from(read) {
        Ok(length) if length == room.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// What a socket is: domain, type, and the cookie of its network namespace (socket(7)).
pub fn kind(socket: BorrowedFd<'_>) -> io::Result<(i32, i32, u64)> {
    let domain = number(socket, libc::SO_DOMAIN)?;
    let kind = number(socket, libc::SO_TYPE)?;
    Ok((domain, kind, network(socket)?))
}

/// The cookie of a socket's network namespace (`SO_NETNS_COOKIE`, Linux 5.14).
pub fn network(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut value = 0u64;
    get(socket, libc::SOL_SOCKET, NETWORK_COOKIE, &mut value)?;
    Ok(value)
}

/// What was asked of a socket before it was connected, as far as it travels with a connection.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    no_delay: i32,
    keep_alive: i32,
    patience: [libc::timeval; 2],
    waits: bool,
}

/// Asks a socket for it (tcp(7), socket(7), fcntl(2)).
pub fn asked(socket: BorrowedFd<'_>) -> io::Result<Asked> {
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut asked = Asked { no_delay: 0, keep_alive: 0, patience: [none; 2], waits: true };
    get(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, &mut asked.no_delay)?;
    get(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &mut asked.keep_alive)?;
    for (name, patience) in TIMEOUTS.into_iter().zip(&mut asked.patience) {
        get(socket, libc::SOL_SOCKET, name, patience)?;
    }
    // SAFETY: plain numbers.
    let flags = check(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) })?;
    asked.waits = flags & libc::O_NONBLOCK == 0;
    Ok(asked)
}

/// Gives it to a socket that was just made and does not wait ([`crate::socket::open`]): what nobody asked for stays as it is.
pub fn like(asked: &Asked, fresh: BorrowedFd<'_>) -> io::Result<()> {
    for (level, name, value) in [
        (libc::IPPROTO_TCP, libc::TCP_NODELAY, asked.no_delay),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, asked.keep_alive),
    ] {
        if value != 0 {
            set(fresh, level, name, &value)?;
        }
    }
    for (name, patience) in TIMEOUTS.into_iter().zip(&asked.patience) {
        if patience.tv_sec != 0 || patience.tv_usec != 0 {
            set(fresh, libc::SOL_SOCKET, name, patience)?;
        }
    }
    if asked.waits {
        // SAFETY: plain numbers.
        check(unsafe { libc::fcntl(fresh.as_raw_fd(), libc::F_SETFL, libc::O_RDWR) })?;
    }
    Ok(())
}

/// connect(2) with an address as it was read.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let (storage, length) = stored(address)?;
    // SAFETY: the storage is live and holds `length` bytes.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const storage).cast(), length) }).map(|_| ())
}

/// bind(2) with an address as it was read.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let (storage, length) = stored(address)?;
    // SAFETY: the storage is live and holds `length` bytes.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const storage).cast(), length) }).map(|_| ())
}

/// Gives this thread alone the file mode mask and, if any, the working directory of whoever made a call (unshare(2) with
/// `CLONE_FS`): a path that it names from then on is the caller's.
pub fn stand_in(mask: u32, directory: Option<BorrowedFd<'_>>) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::unshare(libc::CLONE_FS) })?;
    // SAFETY: takes and returns a number.
    unsafe { libc::umask(mask & 0o777) };
    match directory {
        // SAFETY: plain numbers.
        Some(directory) => check(unsafe { libc::fchdir(directory.as_raw_fd()) }).map(|_| ()),
        None => Ok(()),
    }
}

/// Where a path leads, seen from this thread: a descriptor that only names the place (`O_PATH`). A path that leads over a link of `/proc`
/// which stands for what a process holds fails with `ELOOP` (openat2(2), `RESOLVE_NO_MAGICLINKS`, Linux 5.6).
pub fn place(path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    let mut how: libc::open_how = unsafe { zeroed() };
    how.flags = u64::from((libc::O_PATH | libc::O_CLOEXEC).cast_unsigned());
    how.resolve = libc::RESOLVE_NO_MAGICLINKS;
    let (here, size) = (libc::AT_FDCWD, size_of::<libc::open_how>());
    // SAFETY: the path is live and ends with NUL; `how` is live and as long as is said.
    let place =
        check_long(unsafe { libc::syscall(libc::SYS_openat2, here, path.as_ptr(), &raw const how, size) })?;
    // SAFETY: the kernel gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(place).map_err(io::Error::other)?) })
}

/// An address in storage that is aligned as its structure asks for.
fn stored(address: &[u8]) -> io::Result<(libc::sockaddr_storage, libc::socklen_t)> {
    let length = libc::socklen_t::try_from(address.len()).map_err(io::Error::other)?;
    if address.len() > size_of::<libc::sockaddr_storage>() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a zeroed storage is valid.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    // SAFETY: both are live, apart from each other, and the storage is at least as long.
    unsafe { std::ptr::copy_nonoverlapping(address.as_ptr(), (&raw mut storage).cast(), address.len()) };
    Ok((storage, length))
}

/// listen(2).
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(|_| ())
}

/// Tears the connection, now: a reset is sent, and what waits to be sent is dropped (connect(2) with `AF_UNSPEC`).
pub fn tear(socket: BorrowedFd<'_>) {
    let mut nowhere = [0u8; 16];
    if let (Some(place), Ok(family)) = (nowhere.first_chunk_mut::<2>(), u16::try_from(libc::AF_UNSPEC)) {
        *place = family.to_ne_bytes();
    }
    let _ = connect(socket, &nowhere);
}

/// Whether the socket was asked to be torn when it is closed (`SO_LINGER` of no seconds, socket(7)).
pub fn wants_tearing(socket: BorrowedFd<'_>) -> bool {
    let mut linger = libc::linger { l_onoff: 0, l_linger: 0 };
    get(socket, libc::SOL_SOCKET, libc::SO_LINGER, &mut linger).is_ok()
        && linger.l_onoff != 0
        && linger.l_linger == 0
}

/// Ends both directions (shutdown(2)).
pub fn end(socket: BorrowedFd<'_>) {
    // SAFETY: plain numbers.
    let _ = unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Ends a process that a descriptor stands for, now (pidfd_send_signal(2)).
pub fn end_process(process: BorrowedFd<'_>) -> io::Result<()> {
    let (number, signal) = (process.as_raw_fd(), libc::SIGKILL);
    let nothing: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: plain numbers and no pointer.
    check_long(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, number, signal, nothing, 0) }).map(|_| ())
}

/// Bytes of data that a connection has sent or is going to send, what was sent again not counted, and has received
/// (`TCP_INFO`, tcp(7)).
pub fn carried(socket: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let mut info = [0u8; 232];
    let mut length = libc::socklen_t::try_from(info.len()).unwrap_or_default();
    // SAFETY: the kernel writes at most `length` bytes.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    let at = |from: usize| -> u64 {
        info.get(from..from + 8)
            .and_then(|part| part.try_into().ok())
            .map(u64::from_ne_bytes)
            .unwrap_or_default()
    };
    let waiting =
        info.get(WAITING..WAITING + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_ne_bytes);
    Ok((at(SENT).saturating_sub(at(SENT_AGAIN)).saturating_add(waiting.into()), at(RECEIVED)))
}

fn number(socket: BorrowedFd<'_>, name: libc::c_int) -> io::Result<i32> {
    let mut value = 0i32;
    get(socket, libc::SOL_SOCKET, name, &mut value)?;
    Ok(value)
}

/// `T` is a plain structure of numbers, in which any bits are a value.
fn get<T: Copy>(socket: BorrowedFd<'_>, level: i32, name: i32, value: &mut T) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default();
    // SAFETY: the value is live and as long as is said; see above.
    let code = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, std::ptr::from_mut(value).cast(), &raw mut length)
    };
    check(code).map(|_| ())
}

fn set<T: Copy>(socket: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default();
    // SAFETY: the value is live and as long as is said.
    let code = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length)
    };
    check(code).map(|_| ())
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`, `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
const NEW_LISTENER: libc::c_ulong = 1 << 3;
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
/// linux/seccomp.h: `_IOWR('!', 0, struct seccomp_notif)` and so on. C libraries differ in the type, and the kernel looks at 32 bits.
const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
const VALID: libc::Ioctl = 0x4008_2102_u32 as libc::Ioctl;
const ADD_DESCRIPTOR: libc::Ioctl = 0x4018_2103_u32 as libc::Ioctl;
const SET_FLAGS: libc::Ioctl = 0x4008_2104_u32 as libc::Ioctl;
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, `SECCOMP_ADDFD_FLAG_SETFD`.
const CONTINUE: u32 = 1;
const SET_NUMBER: u32 = 1;
const TIMEOUTS: [libc::c_int; 2] = [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO];
/// `PIDFD_THREAD`.
const THREAD: libc::c_int = libc::O_EXCL;
const NETWORK_COOKIE: libc::c_int = 71;
/// Offsets of `tcpi_notsent_bytes`, `tcpi_bytes_sent`, `tcpi_bytes_retrans` and `tcpi_bytes_received` in `struct tcp_info` (linux/tcp.h).
const WAITING: usize = 144;
const SENT: usize = 200;
const SENT_AGAIN: usize = 208;
const RECEIVED: usize = 128;
