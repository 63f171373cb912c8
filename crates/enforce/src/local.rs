//! connect(2) and bind(2) of the agent's UNIX sockets: performed by threads of init, each with the caller's working directory and
//! mask, since a path or a full queue may hold a call up as long as the agent likes. Init itself never waits.
//!
//! A path leads where it leads the caller. Links of `/proc` that stand for what a process holds (`/proc/self/cwd`) would be init's
//! own here: what leads over one is refused.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use claw_sys::notify::{self, Call};
use claw_sys::signal;

use crate::calls::answer;

/// Threads that perform a call, and where they answer it.
pub(crate) struct Local {
    listener: Arc<OwnedFd>,
    performing: Vec<Performing>,
}

struct Performing {
    call: Call,
    thread: JoinHandle<()>,
}

impl Local {
    /// Answers by this listener.
    pub(crate) fn of(listener: &Arc<OwnedFd>) -> io::Result<Local> {
        signal::interruptible()?;
        Ok(Local { listener: Arc::clone(listener), performing: Vec::new() })
    }

    /// Performs a call on another thread, which answers it. An error, to be answered with: there is no room for one.
    pub(crate) fn perform(&mut self, call: Call, socket: OwnedFd, address: Vec<u8>) -> Result<(), i32> {
        if !self.has_room(call.number) {
            return Err(libc::EAGAIN);
        }
        let listener = Arc::clone(&self.listener);
        let perform = move || {
            // where that cannot be, the thread waits to its end
            let _ = signal::heed();
            if let Some(done) = perform(listener.as_fd(), &call, &socket, &address) {
                // a caller that is gone needs no answer
                let _ = notify::reply(listener.as_fd(), &call, answer(done));
            }
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn(perform).map_err(|_| libc::EAGAIN)?;
        self.performing.push(Performing { call, thread });
        Ok(())
    }

    /// Whether one more call of this number may be performed. Each has places of its own, so that what waits for a full queue
    /// holds up no bind(2). Whoever is gone has left its place: its thread is called away from what it waits for.
    fn has_room(&mut self, number: i64) -> bool {
        self.performing.retain(|one| !one.thread.is_finished());
        let mut waiting = 0;
        for one in &self.performing {
            if !notify::waits(self.listener.as_fd(), &one.call) {
                // lost if it comes before the thread waits; the next call asks again
                let _ = signal::interrupt(&one.thread);
            } else if one.call.number == number {
                waiting += 1;
            }
        }
        waiting < MOST_PERFORMED && self.performing.len() < MOST_THREADS
    }
}

/// Performs a call as its caller would. `None`: the caller is gone.
fn perform(
    listener: BorrowedFd<'_>,
    call: &Call,
    socket: &OwnedFd,
    address: &[u8],
) -> Option<io::Result<()>> {
    let path = path_of(address);
    let standing = || {
        let is_relative = path.as_ref().is_some_and(|path| !path.as_bytes().starts_with(b"/"));
        let directory = is_relative.then(|| directory_of(call.thread)).transpose()?;
        Ok((mask(call.thread), directory))
    };
    let (mask, directory) = match standing() {
        Ok(found) => found,
        Err(error) => return Some(Err(error)),
    };
    if !notify::waits(listener, call) {
        return None;
    }
    let stands = notify::stand_in(mask, directory.as_ref().map(AsFd::as_fd));
    drop(directory);
    Some(stands.and_then(|()| match call.number {
        libc::SYS_bind => bind(socket.as_fd(), address, path),
        _ => connect(socket.as_fd(), address, path),
    }))
}

/// The name that was given is the socket's own from then on, so it is left as it is, and only looked at before. What the agent
/// exchanges in between could still lead over a link of init's: to nothing but what is inside, where it goes by itself.
fn bind(socket: BorrowedFd<'_>, address: &[u8], path: Option<CString>) -> io::Result<()> {
    if let Some(parent) = path.as_ref().and_then(|path| parent_of(path.as_bytes())) {
        notify::place(&CString::new(parent)?)?;
    }
    notify::bind(socket, address)
}

/// The last name is followed too, so what it leads to is held and connected: nothing is looked up twice.
fn connect(socket: BorrowedFd<'_>, address: &[u8], path: Option<CString>) -> io::Result<()> {
    let Some(path) = path else { return notify::connect(socket, address) };
    let place = notify::place(&path)?;
    let mut held = address.first_chunk::<2>().map(|family| family.to_vec()).unwrap_or_default();
    held.extend(format!("/proc/self/fd/{}\0", place.as_raw_fd()).as_bytes());
    notify::connect(socket, &held)
}

/// The path in an address, if it has one (unix(7)): neither abstract nor without a name.
fn path_of(address: &[u8]) -> Option<CString> {
    let (family, name) = address.split_first_chunk::<2>()?;
    let is_unix = i32::from(u16::from_ne_bytes(*family)) == libc::AF_UNIX && name.len() <= LONGEST_PATH;
    let path = name.split(|byte| *byte == 0).next().filter(|path| is_unix && !path.is_empty())?;
    CString::new(path).ok()
}

/// The directory in which the last name of a path stands, if the path names one.
fn parent_of(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last.saturating_add(1));
    let path = path.get(..end)?;
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    path.get(..=slash)
}

/// A thread's working directory. To stand in it, it need not be readable.
fn directory_of(thread: u32) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags).open(format!("/proc/{thread}/cwd"))
}

/// umask(2) of a thread (proc_pid_status(5)); the strictest, if it is not told.
fn mask(thread: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let mask =
        status.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("Umask:")?.trim(), 8).ok());
    mask.unwrap_or(0o077)
}

/// `sun_path` of `struct sockaddr_un`.
const LONGEST_PATH: usize = 108;
/// Callers that may wait for connect(2) of UNIX sockets, and as many for bind(2).
const MOST_PERFORMED: usize = 64;
/// Threads of all of them, and of callers that are gone.
const MOST_THREADS: usize = 256;
/// Bytes of stack for one of those threads.
const STACK: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_where_the_kernel_finds_one() {
        let check = |family: i32, name: &[u8], expected: Option<&str>| {
            let address = [&u16::try_from(family).unwrap().to_ne_bytes()[..], name].concat();
            let path = path_of(&address).map(|path| path.into_string().unwrap());
            assert_eq!(path.as_deref(), expected, "{name:?}");
        };
        check(libc::AF_UNIX, b"a/b", Some("a/b"));
        check(libc::AF_UNIX, b"a\0b", Some("a"));
        check(libc::AF_UNIX, &[b'x'; 108], Some(&"x".repeat(108)));
        for none in [&b""[..], b"\0", b"\0abstract", &[b'x'; 109]] {
            check(libc::AF_UNIX, none, None);
        }
        check(libc::AF_UNSPEC, b"a", None);
        assert_eq!(path_of(b"x"), None);
    }

    #[test]
    fn the_last_name_stands_in_its_parent() {
        for (path, parent) in [
            ("s", None),
            ("s/", None),
            ("..", None),
            ("", None),
            ("/", None),
            ("//", None),
            ("/s", Some("/")),
            ("/a/s", Some("/a/")),
            ("a//s///", Some("a//")),
            ("./s", Some("./")),
            ("a/..", Some("a/")),
        ] {
            assert_eq!(parent_of(path.as_bytes()), parent.map(str::as_bytes), "{path}");
        }
    }
}
