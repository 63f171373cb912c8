//! The default system call filter: what is allowed is listed, everything else is refused.
//!
//! Arguments are compared as 32 bits, as the kernel reads them, so that set upper bits do not slip through. Calls of a
//! foreign ABI end the process; x32 numbers are not listed and so do not exist.

use claw_plan::Plan;

use crate::walls::{self, Wall};

/// Numbers from libc, and `NAME = NUMBER` for calls that it does not name yet (the same on every architecture).
macro_rules! calls {
    ($($name:ident $(= $number:literal)?)*) => { &[$(calls!(@one $name $(= $number)?)),*] };
    (@one $name:ident) => { libc::$name };
    (@one $name:ident = $number:literal) => { $number };
}

mod gate;
mod profile;
mod table;

pub use self::gate::{Answers, Gated};
pub(crate) use self::gate::{gate, keeper};
pub(crate) use self::profile::Stack;
use self::table::{Answer, Check, Table, any_of, bits, equal, kind_is, masked, unequal};
pub(crate) use self::table::{ProfileError, Program};

/// The filter of the profile `standard`.
pub(crate) fn standard() -> Result<Program, ProfileError> {
    standard_table().compile()
}

/// The agent's filter under a plan that asks for more than `standard`.
pub(crate) fn of(plan: &Plan) -> Result<Program, ProfileError> {
    let mut table = if plan.broker { brokered_table() } else { standard_table() };
    let mut refused = NEVER.to_vec();
    if plan.listed {
        // a file without a name, or shared memory, would be code that no list holds
        table = table
            .with(&[libc::SYS_memfd_create], Answer::Unknown)
            .checked(libc::SYS_shmat, vec![Check::new(libc::EPERM, [masked(2, libc::SHM_EXEC)])]);
        refused.push(libc::SYS_memfd_create);
    }
    if plan.broker {
        refused.extend_from_slice(NESTED);
    }
    if let Some(profile) = &plan.calls {
        // what the profile ends a process for is left to the profile
        refused.retain(|number| u32::try_from(*number).is_ok_and(|number| profile.kills(number).is_some()));
        table = table.with(&refused, Answer::Allow);
    }
    table.compile()
}

/// The filter where the gate may hand sockets over that are connected outside. What could lead such a socket elsewhere is refused:
/// requests to the socket's own network namespace, beside what `standard` refuses. Every connect(2), bind(2) and listen(2) waits
/// for an answer, by a filter of its own ([`Stack`]): none is left to the kernel, which would read its arguments again. Init performs
/// them, outside of any Landlock domain that the agent makes: a program is told that there is none, and takes no wall for granted.
fn brokered_table() -> Table {
    let mut requests: Vec<Check> = terminal();
    // 0x8910 to 0x89ff ask the socket's network namespace (netdevice(7)); those below are the socket's own
    requests.push(Check::new(libc::EPERM, [bits(1, 0xff00, 0x8900), any_of(1, 0xf0)]));
    standard_table().checked(libc::SYS_ioctl, requests).with(NESTED, Answer::Unknown)
}

/// Keystrokes and selections put into the terminal of whoever started the agent, another line discipline for it, and its
/// exclusive use, and holding up its output, where whoever started the agent writes too (`TIOCSTI`, `TIOCLINUX`, `TIOCSETD`,
/// `TIOCEXCL`, `TCXONC`, ioctl_tty(2)).
fn terminal() -> Vec<Check> {
    if !walls::stands(Wall::Session) {
        return Vec::new();
    }
    [0x5412, 0x541c, 0x5423, 0x540c, 0x540a].map(|code| Check::new(libc::EPERM, [equal(1, code)])).into()
}

fn standard_table() -> Table {
    let table = Table::new(Answer::Unknown).with(ALLOWED, Answer::Allow).with(NEVER, Answer::Refuse);
    table
        .checked(libc::SYS_socket, sockets())
        .checked(libc::SYS_socketpair, vec![Check::new(libc::EAFNOSUPPORT, [unequal(0, libc::AF_UNIX)])])
        .checked(libc::SYS_unshare, namespaces(&NAMESPACES))
        // clone(2) takes the low byte of its flags as the exit signal: CLONE_NEWTIME (0x80) is part of that
        .checked(libc::SYS_clone, namespaces(NAMESPACES.get(1..).unwrap_or_default()))
        .checked(libc::SYS_ioctl, terminal())
        .checked(libc::SYS_personality, vec![Check::new(libc::EPERM, [unequal(0, 0), unequal(0, -1)])])
        .checked(libc::SYS_sendto, vec![Check::new(libc::EOPNOTSUPP, [masked(3, libc::MSG_FASTOPEN)])])
        .checked(libc::SYS_sendmsg, vec![Check::new(libc::EOPNOTSUPP, [masked(2, libc::MSG_FASTOPEN)])])
        .checked(libc::SYS_sendmmsg, vec![Check::new(libc::EOPNOTSUPP, [masked(3, libc::MSG_FASTOPEN)])])
        .checked(libc::SYS_setsockopt, settings())
        .checked(libc::SYS_fcntl, vec![Check::new(libc::EPERM, [equal(1, libc::F_SETLEASE)])])
        .lifted()
        // init is process 1 and has the agent's user: an agent that slows it down or limits it outlives the supervisor
        .checked(libc::SYS_sched_setscheduler, vec![of_init(0)])
        .checked(libc::SYS_sched_setparam, vec![of_init(0)])
        .checked(libc::SYS_sched_setattr, vec![of_init(0)])
        .checked(libc::SYS_sched_setaffinity, vec![of_init(0)])
        .checked(libc::SYS_prlimit64, vec![of_init(0)])
        // by group or by user, these reach processes outside: the supervisor shares both
        .checked(libc::SYS_setpriority, vec![of_init(1), Check::new(libc::EPERM, [unequal(0, PRIO_PROCESS)])])
        .checked(
            libc::SYS_ioprio_set,
            vec![of_init(1), Check::new(libc::EPERM, [unequal(0, IOPRIO_WHO_PROCESS)])],
        )
}

impl Table {
    /// Without set-user-id and set-group-id bits: a program with them in a directory that the agent may write would give
    /// whoever runs it outside the rights of whoever started the agent.
    fn lifted(self) -> Table {
        let lifts = |mode: u32| Check::new(libc::EPERM, [any_of(mode, LIFTS)]);
        let makes = |flags: u32, mode: u32| {
            Check::new(libc::EPERM, [any_of(flags, libc::O_CREAT | TEMPORARY), any_of(mode, LIFTS)])
        };
        self.checked(libc::SYS_chmod, vec![lifts(1)])
            .checked(libc::SYS_fchmod, vec![lifts(1)])
            .checked(libc::SYS_fchmodat, vec![lifts(2)])
            .checked(FCHMODAT2, vec![lifts(2)])
            .checked(libc::SYS_creat, vec![lifts(1)])
            .checked(libc::SYS_mknod, vec![lifts(1)])
            .checked(libc::SYS_mknodat, vec![lifts(2)])
            .checked(libc::SYS_open, vec![makes(1, 2)])
            .checked(libc::SYS_openat, vec![makes(2, 3)])
    }
}

/// The filter of the process that reads files again for the supervisor: no sockets, no other processes, nothing written.
pub(crate) fn reader() -> Result<Program, ProfileError> {
    let away = [libc::SYS_socket, libc::SYS_socketpair, libc::SYS_connect, libc::SYS_bind, libc::SYS_kill];
    let more =
        [libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_pidfd_open, libc::SYS_rmdir];
    let processes = [libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork, libc::SYS_vfork];
    let table =
        outside().with(&away, Answer::Refuse).with(&more, Answer::Refuse).with(&processes, Answer::Refuse);
    table.compile()
}

/// What no process of Claw's outside the sandbox does: it opens files for reading only, and executes nothing.
fn outside() -> Table {
    let writes = |argument| -> Vec<Check> {
        let flags = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];
        flags.iter().map(|flag| Check::new(libc::EPERM, [masked(argument, *flag)])).collect()
    };
    let table = Table::new(Answer::Allow).with(NEVER, Answer::Refuse).with(CHANGES, Answer::Refuse);
    #[cfg(target_arch = "x86_64")]
    let table = table.checked(libc::SYS_open, writes(1));
    table.checked(libc::SYS_openat, writes(2))
}

/// Sockets by family, type and protocol. No raw, ping, packet, vsock, SCTP, MPTCP, UDP-Lite; netlink for routes only.
fn sockets() -> Vec<Check> {
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let mut checks = vec![
        Check::new(libc::EAFNOSUPPORT, families.map(|family| unequal(0, family))),
        // getifaddrs(3) and name look-ups read interfaces and routes
        Check::new(libc::EPROTONOSUPPORT, [equal(0, libc::AF_NETLINK), unequal(2, libc::NETLINK_ROUTE)]),
    ];
    for family in [libc::AF_INET, libc::AF_INET6] {
        // of the sixteen types only 1 and 2 are left: 0, 3, and whatever has the bits 4 or 8
        for kind in [kind_is(0), kind_is(libc::SOCK_RAW), masked(1, 4), masked(1, 8)] {
            checks.push(Check::new(libc::EPROTONOSUPPORT, [equal(0, family), kind]));
        }
        for (kind, protocol) in [(libc::SOCK_STREAM, 6), (libc::SOCK_DGRAM, 17)] {
            let other = [equal(0, family), kind_is(kind), unequal(2, 0), unequal(2, protocol)];
            checks.push(Check::new(libc::EPROTONOSUPPORT, other));
        }
    }
    checks
}

/// The call is about process 1.
fn of_init(argument: u32) -> Check {
    Check::new(libc::EPERM, [equal(argument, 1)])
}

/// Socket options that change where packets go: fast open, source routes (RFC 7126), another interface, another source
/// address than the namespace's own, marks.
fn settings() -> Vec<Check> {
    let options = |level: i32, names: &[i32]| -> Vec<Check> {
        names.iter().map(|name| Check::new(libc::EPERM, [equal(1, level), equal(2, *name)])).collect()
    };
    let mut settings = fast_open();
    settings.extend(options(libc::IPPROTO_IP, &[libc::IP_OPTIONS, libc::IP_FREEBIND, libc::IP_TRANSPARENT]));
    // IPV6_2292HOPOPTS to IPV6_2292PKTOPTIONS, IPV6_HOPOPTS to IPV6_DSTOPTS, IPV6_TRANSPARENT, IPV6_FREEBIND (linux/in6.h)
    settings.extend(options(libc::IPPROTO_IPV6, &[3, 4, 5, 6, 54, 55, 57, 59, 75, 78]));
    let own = [libc::SO_BINDTODEVICE, SO_BINDTOIFINDEX, libc::SO_DONTROUTE, libc::SO_MARK];
    settings.extend(options(libc::SOL_SOCKET, &own));
    settings
}

/// TCP fast open as an option: listening with it, and `connect` without `connect` (tcp(7)).
fn fast_open() -> Vec<Check> {
    [libc::TCP_FASTOPEN, libc::TCP_FASTOPEN_CONNECT]
        .map(|name| Check::new(libc::EOPNOTSUPP, [equal(1, libc::IPPROTO_TCP), equal(2, name)]))
        .into()
}

/// New namespaces: a user namespace would give the agent capabilities over a network of its own.
fn namespaces(flags: &[i32]) -> Vec<Check> {
    flags.iter().map(|flag| Check::new(libc::EPERM, [masked(0, *flag)])).collect()
}

/// `S_ISUID` and `S_ISGID` (inode(7)).
const LIFTS: i32 = 0o6000;
/// What `O_TMPFILE` is without `O_DIRECTORY` (open(2)).
const TEMPORARY: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;
const FCHMODAT2: i64 = 452;
const SO_BINDTOIFINDEX: i32 = 62;
const PRIO_PROCESS: i32 = 0;
const IOPRIO_WHO_PROCESS: i32 = 1;
const NAMESPACES: [i32; 8] = [
    CLONE_NEWTIME,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];
const CLONE_NEWTIME: i32 = 0x80;

/// Refused to agent and supervisor alike.
const NEVER: &[i64] = calls! {
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_kcmp SYS_pidfd_getfd SYS_process_madvise
    SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_memfd_secret
    SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    SYS_keyctl SYS_add_key SYS_request_key
    SYS_init_module SYS_finit_module SYS_delete_module
    SYS_mount SYS_umount2 SYS_pivot_root SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick SYS_move_mount SYS_open_tree
    SYS_mount_setattr SYS_chroot SYS_setns
    SYS_kexec_load SYS_kexec_file_load SYS_reboot SYS_swapon SYS_swapoff SYS_acct SYS_quotactl SYS_quotactl_fd
    SYS_settimeofday SYS_clock_settime SYS_clock_adjtime SYS_adjtimex
    SYS_sethostname SYS_setdomainname SYS_syslog SYS_vhangup SYS_lookup_dcookie
    SYS_name_to_handle_at SYS_open_by_handle_at SYS_fanotify_init SYS_fanotify_mark
    SYS_nfsservctl SYS_move_pages SYS_migrate_pages SYS_mbind SYS_set_mempolicy
    SYS_modify_ldt SYS_iopl SYS_ioperm SYS_uselib SYS_ustat SYS_sysfs SYS__sysctl
};

/// What the supervisor needs no more: execution, namespaces, and changes to files by name.
const CHANGES: &[i64] = calls! {
    SYS_execve SYS_execveat SYS_unshare SYS_openat2 SYS_creat SYS_mkdir SYS_mkdirat SYS_rename SYS_renameat
    SYS_renameat2 SYS_rmdir SYS_link SYS_linkat SYS_symlink SYS_symlinkat SYS_unlink SYS_unlinkat SYS_mknod SYS_mknodat
    SYS_chmod SYS_fchmodat SYS_chown SYS_lchown SYS_fchownat SYS_truncate SYS_setxattr SYS_lsetxattr
    SYS_utime SYS_utimes SYS_utimensat SYS_futimesat SYS_memfd_create SYS_seccomp
};

/// What programs need. Groups: files, directories and attributes, memory, processes and threads, signals, time,
/// events, sockets, identity, scheduling, and what sandboxed programs use to confine themselves further.
const ALLOWED: &[i64] = calls! {
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev SYS_preadv2 SYS_pwritev2
    SYS_open SYS_openat SYS_creat SYS_close SYS_close_range SYS_dup SYS_dup2 SYS_dup3 SYS_fcntl SYS_flock
    SYS_ioctl SYS_lseek SYS_fsync SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range SYS_ftruncate SYS_truncate
    SYS_fallocate SYS_fadvise64 SYS_readahead SYS_sendfile SYS_copy_file_range SYS_splice SYS_tee
    SYS_pipe SYS_pipe2 SYS_memfd_create SYS_statfs SYS_fstatfs
    SYS_stat SYS_lstat SYS_fstat SYS_newfstatat SYS_statx SYS_access SYS_faccessat SYS_faccessat2 SYS_getdents
    SYS_getdents64 SYS_getcwd SYS_chdir SYS_fchdir SYS_mkdir SYS_mkdirat SYS_rmdir SYS_rename SYS_renameat
    SYS_renameat2 SYS_link SYS_linkat SYS_unlink SYS_unlinkat SYS_symlink SYS_symlinkat SYS_readlink SYS_readlinkat
    SYS_chmod SYS_fchmod SYS_fchmodat fchmodat2=452 SYS_chown SYS_lchown SYS_fchown SYS_fchownat SYS_utime SYS_utimes
    SYS_utimensat SYS_futimesat SYS_umask SYS_mknod SYS_mknodat
    SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_listxattr SYS_llistxattr SYS_flistxattr SYS_setxattr SYS_lsetxattr
    SYS_fsetxattr SYS_removexattr SYS_lremovexattr SYS_fremovexattr
    SYS_inotify_init SYS_inotify_init1 SYS_inotify_add_watch SYS_inotify_rm_watch
    SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_mincore SYS_msync SYS_brk SYS_mlock SYS_mlock2
    SYS_mlockall SYS_munlock SYS_munlockall SYS_remap_file_pages SYS_membarrier SYS_pkey_alloc SYS_pkey_free
    SYS_pkey_mprotect map_shadow_stack=453 mseal=462 SYS_get_mempolicy
    SYS_clone SYS_fork SYS_vfork SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_wait4 SYS_waitid SYS_kill
    SYS_tkill SYS_tgkill SYS_pidfd_open SYS_pidfd_send_signal SYS_getpid SYS_getppid SYS_gettid SYS_getpgid
    SYS_setpgid SYS_getpgrp SYS_getsid SYS_setsid SYS_set_tid_address SYS_set_robust_list SYS_get_robust_list
    SYS_futex SYS_futex_waitv futex_wake=454 futex_wait=455 futex_requeue=456 SYS_rseq SYS_arch_prctl SYS_prctl SYS_personality SYS_unshare
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigpending SYS_rt_sigtimedwait SYS_rt_sigqueueinfo
    SYS_rt_tgsigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_sigaltstack SYS_pause SYS_alarm SYS_restart_syscall
    SYS_signalfd SYS_signalfd4
    SYS_time SYS_gettimeofday SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_times
    SYS_getitimer SYS_setitimer SYS_timer_create SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun
    SYS_timer_delete SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime
    SYS_poll SYS_ppoll SYS_select SYS_pselect6 SYS_epoll_create SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_wait
    SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd SYS_eventfd2 SYS_io_setup SYS_io_destroy SYS_io_submit
    SYS_io_cancel SYS_io_getevents io_pgetevents=333
    SYS_socket SYS_socketpair SYS_bind SYS_connect SYS_listen SYS_accept SYS_accept4 SYS_getsockname SYS_getpeername SYS_getsockopt
    SYS_setsockopt SYS_shutdown SYS_sendto SYS_sendmsg SYS_sendmmsg SYS_recvfrom SYS_recvmsg SYS_recvmmsg
    SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid SYS_getresgid SYS_getgroups SYS_setuid SYS_setgid
    SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setgroups SYS_setfsuid SYS_setfsgid SYS_capget
    SYS_capset SYS_uname SYS_sysinfo SYS_getrandom SYS_getcpu SYS_getrlimit SYS_setrlimit SYS_prlimit64 SYS_getrusage
    SYS_getpriority SYS_setpriority SYS_ioprio_get SYS_ioprio_set
    SYS_sched_yield SYS_sched_getaffinity SYS_sched_setaffinity SYS_sched_getparam SYS_sched_setparam
    SYS_sched_getscheduler SYS_sched_setscheduler SYS_sched_getattr SYS_sched_setattr SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_rr_get_interval
    SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_semget SYS_semop SYS_semtimedop SYS_semctl SYS_shmget SYS_shmat
    SYS_shmdt SYS_shmctl SYS_mq_open SYS_mq_unlink SYS_mq_timedsend SYS_mq_timedreceive SYS_mq_notify
    SYS_mq_getsetattr
    SYS_seccomp SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self
};

/// Walls that a program makes for itself by the kernel's Landlock (landlock(7)).
const NESTED: &[i64] =
    calls! { SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self };

#[cfg(test)]
mod tests {
    use claw_policy::seccomp::{Architecture, CallProfile, Machine, name_of};

    use super::*;

    #[test]
    fn nothing_is_both_allowed_and_never_allowed() {
        assert!(ALLOWED.iter().all(|number| !NEVER.contains(number)));
    }

    /// Debian's golang-github-containers-common holds the profile that container engines use by default.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn nothing_is_allowed_that_container_engines_do_not() {
        let text =
            std::fs::read_to_string("/usr/share/containers/seccomp.json").expect("the engines' profile");
        let machine = Machine { architecture: Architecture::X86_64, kernel: (6, 18) };
        let engine = CallProfile::parse(&text, "engine", machine).unwrap();
        let listed =
            |number: u32| engine.rules.iter().any(|rule| rule.calls.values().any(|own| *own == number));
        // younger than that list, and of a kind with what it allows
        let younger = [
            "io_pgetevents",
            "futex_waitv",
            "fchmodat2",
            "map_shadow_stack",
            "futex_wake",
            "futex_wait",
            "futex_requeue",
            "mseal",
        ];
        for number in ALLOWED.iter().filter_map(|number| u32::try_from(*number).ok()) {
            let name = name_of(number, machine.architecture).unwrap_or("unknown");
            assert!(listed(number) || younger.contains(&name), "{name}");
        }
    }

    #[test]
    fn filters_are_small() {
        for program in [standard().unwrap(), brokered_table().compile().unwrap(), reader().unwrap()] {
            assert!(program.len() < 800, "{}", program.len());
        }
    }

    #[test]
    fn sockets_are_judged_by_family_type_and_protocol() {
        let program = standard().unwrap();
        let ask = |family: i32, kind: i32, protocol: i32| {
            program.answer(libc::SYS_socket, [family as u64, kind as u64, protocol as u64, 0, 0, 0])
        };
        let open = Ok(());
        for family in [libc::AF_INET, libc::AF_INET6] {
            for flags in [0, libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC] {
                assert_eq!(ask(family, libc::SOCK_STREAM | flags, 0), open);
                assert_eq!(ask(family, libc::SOCK_STREAM | flags, 6), open);
                assert_eq!(ask(family, libc::SOCK_DGRAM | flags, 17), open);
                assert_eq!(ask(family, libc::SOCK_RAW | flags, 1), Err(libc::EPROTONOSUPPORT));
                assert_eq!(ask(family, libc::SOCK_STREAM | flags, 262), Err(libc::EPROTONOSUPPORT));
                assert_eq!(ask(family, libc::SOCK_STREAM | flags, 132), Err(libc::EPROTONOSUPPORT));
                assert_eq!(ask(family, libc::SOCK_DGRAM | flags, 136), Err(libc::EPROTONOSUPPORT));
                assert_eq!(ask(family, libc::SOCK_DGRAM | flags, 1), Err(libc::EPROTONOSUPPORT));
                for kind in (3..16).chain([0]) {
                    assert_eq!(ask(family, kind | flags, 0), Err(libc::EPROTONOSUPPORT), "type {kind}");
                }
            }
        }
        assert_eq!(ask(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0), open);
        assert_eq!(ask(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE), open);
        assert_eq!(
            ask(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
            Err(libc::EPROTONOSUPPORT)
        );
        for family in (3..50).filter(|family| ![libc::AF_INET6, libc::AF_NETLINK].contains(family)) {
            assert_eq!(ask(family, libc::SOCK_STREAM, 0), Err(libc::EAFNOSUPPORT), "family {family}");
        }
    }

    #[test]
    fn upper_bits_of_an_argument_hide_nothing() {
        let program = standard().unwrap();
        let high = 0xdead_beef_0000_0000u64;
        let ask =
            |number, arguments: [u64; 6]| program.answer(number, arguments.map(|argument| argument | high));
        assert_eq!(ask(libc::SYS_socket, [16, 3, 12, 0, 0, 0]), Err(libc::EPROTONOSUPPORT));
        assert_eq!(ask(libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]), Err(libc::EPERM));
        assert_eq!(ask(libc::SYS_sendto, [0, 0, 0, 0x2000_0000, 0, 0]), Err(libc::EOPNOTSUPP));
        assert_eq!(ask(libc::SYS_clone, [0x1000_0000, 0, 0, 0, 0, 0]), Err(libc::EPERM));
        assert_eq!(ask(libc::SYS_unshare, [0x80, 0, 0, 0, 0, 0]), Err(libc::EPERM));
    }

    #[test]
    fn what_programs_need_goes_on_and_what_nobody_needs_does_not() {
        let program = standard().unwrap();
        let plain = |number| program.answer(number, [0; 6]);
        assert_eq!(plain(libc::SYS_read), Ok(()));
        assert_eq!(plain(libc::SYS_execve), Ok(()));
        assert_eq!(program.answer(libc::SYS_clone, [0x0135_0f00, 0, 0, 0, 0, 0]), Ok(()), "a thread");
        assert_eq!(
            plain(libc::SYS_clone3),
            Err(libc::ENOSYS),
            "its flags cannot be read: programs use clone"
        );
        assert_eq!(program.answer(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]), Ok(()));
        assert_eq!(program.answer(libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0]), Err(libc::EPERM));
        for number in NEVER {
            assert_eq!(plain(*number), Err(libc::EPERM), "{number}");
        }
        assert_eq!(plain(0x4000_0000), Err(libc::ENOSYS), "x32");
        assert_eq!(plain(9999), Err(libc::ENOSYS));
    }

    #[test]
    fn init_and_processes_outside_cannot_be_slowed_down() {
        let program = standard().unwrap();
        let ask = |number, arguments: [u64; 3]| {
            let [a, b, c] = arguments;
            program.answer(number, [a, b, c, 0, 0, 0])
        };
        let calls = [
            libc::SYS_sched_setscheduler,
            libc::SYS_sched_setparam,
            libc::SYS_sched_setattr,
            libc::SYS_sched_setaffinity,
            libc::SYS_prlimit64,
        ];
        for number in calls {
            assert_eq!(ask(number, [1, 0, 0]), Err(libc::EPERM));
            assert_eq!(ask(number, [0, 0, 0]), Ok(()));
            assert_eq!(ask(number, [77, 0, 0]), Ok(()));
        }
        assert_eq!(ask(libc::SYS_setpriority, [0, 0, 5]), Ok(()));
        assert_eq!(ask(libc::SYS_setpriority, [0, 1, 5]), Err(libc::EPERM));
        assert_eq!(ask(libc::SYS_setpriority, [1, 0, 5]), Err(libc::EPERM), "the process group");
        assert_eq!(ask(libc::SYS_setpriority, [2, 0, 5]), Err(libc::EPERM), "the user");
        assert_eq!(ask(libc::SYS_ioprio_set, [2, 0, 0]), Err(libc::EPERM));
    }

    #[test]
    fn a_socket_of_another_namespace_can_only_be_used_as_it_is() {
        let program = brokered_table().compile().unwrap();
        let ask = |number, arguments: [u64; 3]| {
            let [a, b, c] = arguments;
            program.answer(number, [a, b, c, 0, 0, 0])
        };
        let (ip, ipv6, socket) = (0, 41, 1);
        for (level, name) in [(ip, 4), (ipv6, 57), (ipv6, 6), (socket, 25), (socket, 62), (socket, 5)] {
            assert_eq!(ask(libc::SYS_setsockopt, [3, level, name]), Err(libc::EPERM), "{level} {name}");
        }
        assert_eq!(ask(libc::SYS_setsockopt, [3, 6, 1]), Ok(()), "TCP_NODELAY");
        assert_eq!(ask(libc::SYS_setsockopt, [3, socket, 9]), Ok(()), "SO_KEEPALIVE");
        for request in [0x8912, 0x8913, 0x8927, 0x894c, 0x89f0] {
            assert_eq!(ask(libc::SYS_ioctl, [3, request, 0]), Err(libc::EPERM), "{request:x}");
        }
        for request in [0x5421, 0x541b, 0x8905, 0x5401] {
            assert_eq!(ask(libc::SYS_ioctl, [3, request, 0]), Ok(()), "{request:x}");
        }
    }

    #[test]
    fn no_wall_is_promised_that_init_would_step_over() {
        let (standard, brokered) = (standard().unwrap(), brokered_table().compile().unwrap());
        for number in NESTED {
            assert_eq!(standard.answer(*number, [0; 6]), Ok(()), "{number}");
            assert_eq!(brokered.answer(*number, [0; 6]), Err(libc::ENOSYS), "{number}");
        }
    }

    #[test]
    fn what_reads_files_again_opens_nothing_for_writing_and_executes_nothing() {
        let program = reader().unwrap();
        let open = |flags: i32| program.answer(libc::SYS_openat, [0, 0, flags as u64, 0, 0, 0]);
        assert_eq!(open(libc::O_RDONLY | libc::O_CLOEXEC), Ok(()));
        for flags in
            [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE | libc::O_RDWR]
        {
            assert_eq!(open(flags), Err(libc::EPERM));
        }
        for number in [libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_openat2] {
            assert_eq!(program.answer(number, [0; 6]), Err(libc::EPERM));
        }
        assert_eq!(program.answer(libc::SYS_write, [0; 6]), Ok(()));
    }
}
