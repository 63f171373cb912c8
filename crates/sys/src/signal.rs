//! Signals as a descriptor (signalfd(2)) and as masks (sigprocmask(2)).

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

use crate::{check, check_size};

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Who sent it.
    pub origin: Origin,
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The kernel: a key on the terminal, for example. Everyone in the foreground group has it already.
    Kernel,
    /// A process.
    Process,
}

/// A saved signal mask.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mask")
    }
}

/// Blocks these signals for this thread. Returns the mask as it was.
pub fn block(signals: &[i32]) -> io::Result<Mask> {
    // SAFETY: sigset_t values are initialised by sigemptyset before use, and pointers are to live values.
    unsafe {
        let (set, mut before) = (set(signals), zeroed());
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, &raw mut before))?;
        Ok(Mask(before))
    }
}

/// Puts a mask back.
pub fn restore(mask: Mask) -> io::Result<()> {
    // SAFETY: the mask was written by the kernel.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const mask.0, std::ptr::null_mut()) })
        .map(|_| ())
}

/// Unblocks everything, and lets a broken pipe end this process again: Rust's runtime ignores it. What the caller
/// ignores otherwise stays ignored, as nohup(1) relies on.
pub fn reset() -> io::Result<()> {
    // SAFETY: a default disposition and an empty mask; no handler runs.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let empty = set(&[]);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut())).map(|_| ())
    }
}

/// A non-blocking descriptor that delivers these (blocked) signals.
pub fn descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised; the descriptor is new.
    unsafe {
        let set = set(signals);
        let raw = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(raw))
    }
}

/// Reads one signal, if one is there.
pub fn read(descriptor: BorrowedFd<'_>) -> io::Result<Signal> {
    // SAFETY: the kernel writes whole signalfd_siginfo records of the stated size.
    unsafe {
        let mut info: libc::signalfd_siginfo = zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        let read =
            check_size(libc::read(descriptor.as_raw_fd(), std::ptr::from_mut(&mut info).cast(), size))?;
        if read != size {
            return Err(io::Error::other("short read from signalfd"));
        }
        let origin = if info.ssi_code == libc::SI_KERNEL { Origin::Kernel } else { Origin::Process };
        Ok(Signal { number: i32::try_from(info.ssi_signo).unwrap_or_default(), origin })
    }
}

/// Prepares this process for [`interrupt`], before any thread that may be called: the signal has a handler that does nothing, and
/// is blocked here and in every thread that this one starts, until such a thread asks for it ([`heed`]).
pub fn interruptible() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    block(&[INTERRUPT])?;
    // SAFETY: a zeroed sigaction has an empty mask and no flags, so that a system call that waits is not begun again; the handler
    // does nothing.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        check(libc::sigaction(INTERRUPT, &raw const action, std::ptr::null_mut())).map(|_| ())
    }
}

/// Lets this thread be called away from a system call that waits.
pub fn heed() -> io::Result<()> {
    // SAFETY: the set is initialised before use, and the pointer is to a live value.
    unsafe {
        let set = set(&[INTERRUPT]);
        check(libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut())).map(|_| ())
    }
}

/// Calls a thread that heeds it away from a system call in which it waits: that fails with `EINTR` (pthread_kill(3)).
pub fn interrupt<T>(thread: &JoinHandle<T>) -> io::Result<()> {
    // C libraries differ in the type
    let identifier = thread.as_pthread_t() as libc::pthread_t;
    // SAFETY: whoever has the handle has neither joined nor detached the thread, so its identifier is its own.
    match unsafe { libc::pthread_kill(identifier, INTERRUPT) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// kill(2).
pub fn send(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes two integers.
    check(unsafe { libc::kill(pid, signal) }).map(|_| ())
}

/// # Safety
/// None beyond calling libc's set functions on a local value.
unsafe fn set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set before anything is added.
    unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Nobody else sends it here.
const INTERRUPT: libc::c_int = libc::SIGUSR1;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_waits_is_called_away() {
        interruptible().unwrap();
        let (one, _other) = UnixStream::pair().unwrap();
        let (begins, begun) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            heed().unwrap();
            begins.send(()).unwrap();
            let mut room = [0u8; 1];
            // SAFETY: one byte of room for one byte.
            check_size(unsafe { libc::read(one.as_raw_fd(), room.as_mut_ptr().cast(), 1) })
        });
        begun.recv().unwrap();
        while !thread.is_finished() {
            interrupt(&thread).unwrap();
            std::thread::yield_now();
        }
        assert_eq!(thread.join().unwrap().unwrap_err().raw_os_error(), Some(libc::EINTR));
    }
}
