//! Capabilities of this thread (capabilities(7)).

use std::io;

use crate::{check, check_long};

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Version 3 of the interface: two words for each set.
const VERSION: u32 = 0x2008_0522;

/// Gives up every capability for good: bounding, ambient, inheritable, permitted and effective. Bounding entries can
/// only be dropped with `CAP_SETPCAP`; without it they stay, and mean nothing under `no_new_privs`.
pub fn drop_all() -> io::Result<()> {
    // SAFETY: prctl(2) with integer arguments.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) })?;
    drop_bounding();
    write(&[Data::default(); 2])
}

/// The part of [`drop_all`] that takes nothing away yet: no program that is executed from now on gains a capability.
pub fn drop_bounding() {
    for capability in 0..64 {
        // SAFETY: prctl(2) with integer arguments.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) } {
            // SAFETY: as above.
            1 => drop(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }),
            0 => {}
            // this kernel has no capability of that number, nor of a higher one
            _ => break,
        }
    }
}

/// Whether permitted, effective, inheritable and ambient sets are empty.
pub fn are_none() -> io::Result<bool> {
    let empty = read()?.iter().all(|set| set.effective | set.permitted | set.inheritable == 0);
    // SAFETY: prctl(2) with integer arguments.
    let ambient = (0..41).any(|capability| unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1
    });
    Ok(empty && !ambient)
}

fn read() -> io::Result<[Data; 2]> {
    let header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 reads a header and writes exactly two data words.
    check_long(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    Ok(data)
}

fn write(data: &[Data; 2]) -> io::Result<()> {
    let header = Header { version: VERSION, pid: 0 };
    // SAFETY: version 3 reads a header and exactly two data words.
    check_long(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(|_| ())
}
