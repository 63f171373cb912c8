//! The only unsafe code in Claw: a small function per system-call family.
//!
//! Each function cites its man page, takes descriptors rather than paths where the kernel offers it, and returns what
//! the kernel granted. Nothing here knows what a policy is, and nothing decides.
#![expect(
    unsafe_code,
    reason = "this crate is where system calls are made; every block says why it is sound"
)]

pub mod below;
pub mod beneath;
pub mod capability;
pub mod datagram;
pub mod diag;
pub mod file;
pub mod link;
pub mod mount;
pub mod netlink;
pub mod nflog;
pub mod nft;
pub mod notify;
pub mod probe;
pub mod process;
pub mod resource;
pub mod ruleset;
pub mod signal;
pub mod snapshot;
pub mod socket;
#[cfg(debug_assertions)]
pub mod taken;
pub mod terminal;
pub mod watch;
pub mod whole;

use std::io;

/// Turns the `-1 and errno` convention into a `Result` (errno(3)).
fn check(value: libc::c_int) -> io::Result<libc::c_int> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// The same for calls that return a `long` (syscall(2)).
fn check_long(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// The same for calls that return a size (read(2)).
fn check_size(value: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::Error::last_os_error())
}

/// The native-endian 32 bits at `at`, if they are there.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The native-endian 16 bits at `at`, if they are there.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_ne_bytes)
}
