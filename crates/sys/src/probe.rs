//! Calls that a sandbox must refuse, made to see that it does. Each returns what the kernel said.

use std::io;

use crate::{check_long, process};

/// A forbidden call: its name and how to try it. None of them changes anything if it is refused, and none is dangerous
/// if it is not.
pub type Attempt = (&'static str, fn() -> io::Result<()>);

/// System calls that no agent needs.
pub const CALLS: &[Attempt] = &[
    ("io_uring_setup", || raw(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0])),
    ("bpf", || raw(libc::SYS_bpf, [0, 0, 0, 0, 0])),
    ("ptrace", || raw(libc::SYS_ptrace, [0, 0, 0, 0, 0])),
    ("keyctl", || raw(libc::SYS_keyctl, [0, -3, 0, 0, 0])),
    ("perf_event_open", || raw(libc::SYS_perf_event_open, [0, 0, -1, -1, 0])),
    ("userfaultfd", || raw(libc::SYS_userfaultfd, [1, 0, 0, 0, 0])),
    ("memfd_secret", || raw(libc::SYS_memfd_secret, [0, 0, 0, 0, 0])),
    ("personality", || raw(libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0])),
    ("mount", || raw(libc::SYS_mount, [0, 0, 0, 0, 0])),
    ("fsopen", || raw(libc::SYS_fsopen, [0, 0, 0, 0, 0])),
    ("unshare of a user namespace", || raw(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0, 0])),
    ("setns", || raw(libc::SYS_setns, [-1, 0, 0, 0, 0])),
    ("init_module", || raw(libc::SYS_init_module, [0, 0, 0, 0, 0])),
    ("process_vm_writev", || raw(libc::SYS_process_vm_writev, [1, 0, 0, 0, 0])),
    ("open_by_handle_at", || raw(libc::SYS_open_by_handle_at, [0, 0, 0, 0, 0])),
];

/// Sockets that no agent may make: family, type, protocol.
pub const SOCKETS: &[(&str, libc::c_int, libc::c_int, libc::c_int)] = &[
    ("raw IPv4", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    ("raw IPv6", libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
    ("ping", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
    ("packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
    ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ("xdp", 44, libc::SOCK_RAW, 0),
    ("netlink netfilter", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
    ("MPTCP", libc::AF_INET, libc::SOCK_STREAM, 262),
    ("SCTP", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    ("SCTP by packet", libc::AF_INET, libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP),
    ("UDP-Lite", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
];

fn raw(number: libc::c_long, arguments: [i64; 5]) -> io::Result<()> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: null pointers and invalid numbers only: refused by the filter, or by the kernel's own checks.
    check_long(unsafe { libc::syscall(number, a, b, c, d, e) }).map(|_| ())
}

/// The kernel's answer to a call that the filter let through is not a refusal by the filter: these tell the two apart.
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EPERM
                | libc::ENOSYS
                | libc::EACCES
                | libc::EAFNOSUPPORT
                | libc::EPROTONOSUPPORT
                | libc::ESOCKTNOSUPPORT
        )
    )
}

/// The Landlock ABI of this kernel: 0 if there is none (landlock_create_ruleset(2)).
pub fn landlock_abi() -> u32 {
    // SAFETY: a null ruleset with size zero and the version flag only asks.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    u32::try_from(answer).unwrap_or_default()
}

/// Whether this user may make user namespaces: tried in a child that ends at once.
pub fn user_namespaces() -> io::Result<()> {
    // SAFETY: as in `process::launch`: the child only ends.
    let pid = unsafe {
        let flags = libc::c_long::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::SIGCHLD);
        let pid = check_long(libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0))?;
        if pid == 0 {
            libc::_exit(0);
        }
        pid
    };
    process::wait(i32::try_from(pid).unwrap_or_default(), process::Wait::Block).map(|_| ())
}
