//! Resource limits of this process (getrlimit(2)).

use std::io;

use crate::check;

/// A soft and a hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is enforced now.
    pub soft: u64,
    /// How far the process may raise it.
    pub hard: u64,
}

/// The limit on open descriptors.
pub fn open_files() -> io::Result<Limit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit(2) writes one rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok(Limit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

/// Sets the limit on open descriptors.
pub fn set_open_files(limit: Limit) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
    // SAFETY: setrlimit(2) reads one rlimit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(|_| ())
}

/// Raises the limit on open descriptors as far as this process may, up to `wanted`. Returns what is granted.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let now = open_files()?;
    if now.soft >= wanted {
        return Ok(now.soft);
    }
    let more = Limit { soft: wanted, hard: wanted.max(now.hard) };
    if set_open_files(more).is_err() {
        set_open_files(Limit { soft: now.hard.min(wanted), hard: now.hard })?;
    }
    Ok(open_files()?.soft)
}

/// No core files: the memory of this process, and of those it starts, lands on no disk. A program that the kernel pipes cores
/// to gets them whatever the limit is (core(5)), but for a limit of one byte (fs/coredump.c), for which no file is written
/// either. Where this process may have no byte, files alone are forbidden.
pub fn no_core_files() -> io::Result<()> {
    let set = |most| {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: setrlimit(2) reads one rlimit.
        check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) }).map(|_| ())
    };
    set(1).or_else(|_| set(0))
}
