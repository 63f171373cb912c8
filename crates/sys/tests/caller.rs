//! What is asked of a thread of another process, and what a socket is given that takes another's place.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use claw_sys::notify::{self, Thread};
use claw_sys::socket::{self, Kind};

#[test]
fn a_thread_that_has_ended_is_never_taken_for_another() {
    let mut child = Command::new("sleep").arg("60").stdin(Stdio::piped()).spawn().unwrap();
    let thread = Thread::open(child.id()).unwrap();
    thread.descriptor(0).unwrap();
    assert_eq!(thread.descriptor(99).unwrap_err().raw_os_error(), Some(libc::EBADF));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(thread.descriptor(0).unwrap_err().raw_os_error(), Some(libc::ESRCH));
}

#[test]
fn memory_is_read_whole_or_not_at_all() {
    let (own, text) = (std::process::id(), *b"an address");
    let place = u64::try_from(text.as_ptr().addr()).unwrap();
    let mut room = [0; 10];
    notify::memory(own, place, &mut room).unwrap();
    assert_eq!(room, text);
    notify::memory(own, 0, &mut []).unwrap();
    assert_eq!(notify::memory(own, 16, &mut room).unwrap_err().raw_os_error(), Some(libc::EFAULT));
    // the first half is there, the second is not
    let last = u64::MAX - 4;
    assert!(notify::memory(own, last, &mut room).is_err());
}

#[test]
fn what_was_asked_of_a_socket_is_asked_of_the_one_in_its_place() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let own = TcpStream::connect(address).unwrap();
    let like_own = || {
        let fresh = socket::open(Kind::Stream, address).unwrap();
        notify::like(&notify::asked(own.as_fd()).unwrap(), fresh.as_fd()).unwrap();
        let waits = notify::asked(fresh.as_fd()).unwrap();
        (TcpStream::from(fresh), format!("{waits:?}"))
    };
    let (plain, asked) = like_own();
    assert!(!plain.nodelay().unwrap() && plain.read_timeout().unwrap().is_none());
    assert!(asked.contains("waits: true"), "{asked}");
    own.set_nodelay(true).unwrap();
    own.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    own.set_nonblocking(true).unwrap();
    let (set, asked) = like_own();
    assert!(set.nodelay().unwrap() && set.write_timeout().unwrap().is_none());
    assert_eq!(set.read_timeout().unwrap(), Some(Duration::from_secs(3)));
    assert!(asked.contains("waits: false"), "{asked}");
}
