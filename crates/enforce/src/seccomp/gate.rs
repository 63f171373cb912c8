//! The supervisor's filter: what it may do is listed. It is what holds if somebody makes the gate run
//! code of his own. He can open nothing but the sandbox's `/proc`, below it and by no link; make no socket but for TCP and
//! UDP; execute, trace and map as code nothing; signal nobody but init; take no descriptor out of a process; and no
//! terminal takes a keystroke from him.
//!
//! Where sockets are brokered or a profile answers, init takes the agent's calls, copies its sockets and ends whoever the profile
//! ends (`calls`), so that the supervisor only gives answers: three requests to one listener.
//!
//! Landlock would hold less here: a process in a Landlock domain may not look at processes outside of it, so that records
//! would name none, and it knows nothing of UNIX sockets before its ABI 9.

use super::table::{Answer, Check, Condition, Table, bits, equal, masked, other_address, unequal};

/// Which calls of the agent the supervisor answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// Connections, by sockets that it puts into the agent.
    pub sockets: bool,
    /// What a system call profile says something about.
    pub profile: bool,
}

/// What the filter is made for.
#[derive(Debug, Clone, Copy)]
pub struct Gated {
    /// The descriptor that stands for the sandbox's `/proc`.
    pub processes: i32,
    /// Where the rules of openat2(2) stand, and how long they are ([`claw_sys::beneath`]).
    pub rules: (u64, i32),
    /// Init, as this process sees it.
    pub init: i32,
    /// This process.
    pub own: i32,
    /// What it answers.
    pub answers: Answers,
}

/// The supervisor's filter.
pub(crate) fn gate(gated: &Gated) -> Table {
    let Gated { processes, rules: (rules, size), init, own, answers } = *gated;
    let mut below =
        vec![Check::new(libc::EPERM, [unequal(0, processes)]), Check::new(libc::EPERM, [unequal(3, size)])];
    below.extend(other_address(libc::EPERM, 2, rules));
    let only = |argument: u32, values: &[i32]| -> Check {
        let others: Vec<Condition> = values.iter().map(|value| unequal(argument, *value)).collect();
        Check::new(libc::EPERM, others)
    };
    let mut requests = REQUESTS.to_vec();
    if answers.sockets || answers.profile {
        requests.extend([SEND, VALID]);
    }
    if answers.sockets {
        requests.push(ADD_DESCRIPTOR);
    }
    let of_sockets = |name| vec![Check::new(libc::EPERM, [equal(1, libc::SOL_SOCKET), equal(2, name)])];
    Table::new(Answer::Unknown)
        .with(RELAYS, Answer::Allow)
        .checked(libc::SYS_getsockopt, of_sockets(SO_PEERPIDFD))
        .checked(libc::SYS_setsockopt, of_sockets(SO_PASSPIDFD))
        .checked(libc::SYS_openat2, below)
        .checked(libc::SYS_socket, sockets())
        .checked(libc::SYS_ioctl, vec![only(1, &requests)])
        .checked(libc::SYS_fcntl, vec![only(1, COMMANDS)])
        .checked(libc::SYS_prctl, vec![only(0, &[libc::PR_SET_NAME, PR_SET_VMA])])
        // a descriptor's own state, not that of a path; a path beside the flag yields no content
        .checked(libc::SYS_newfstatat, vec![Check::new(libc::EPERM, [bits(3, libc::AT_EMPTY_PATH, 0)])])
        .checked(libc::SYS_statx, vec![Check::new(libc::EPERM, [bits(2, libc::AT_EMPTY_PATH, 0)])])
        // threads, never processes
        .checked(libc::SYS_clone, vec![Check::new(libc::EPERM, [bits(0, libc::CLONE_THREAD, 0)])])
        .checked(libc::SYS_kill, vec![only(0, &[init, own])])
        .checked(libc::SYS_tgkill, vec![only(0, &[own])])
        .checked(libc::SYS_prlimit64, vec![only(0, &[0, own])])
        .checked(libc::SYS_mmap, vec![Check::new(libc::EPERM, [masked(2, libc::PROT_EXEC)])])
        .checked(libc::SYS_mprotect, vec![Check::new(libc::EPERM, [masked(2, libc::PROT_EXEC)])])
}

/// The filter of who waits for the disk.
pub(crate) fn keeper() -> Table {
    Table::new(Answer::Unknown).with(KEEPS, Answer::Allow)
}

/// TCP and UDP, as the agent's: no UNIX socket, which would lead to whatever listens on this machine for its user.
fn sockets() -> Vec<Check> {
    let mut checks = super::sockets();
    for family in [libc::AF_UNIX, libc::AF_NETLINK] {
        checks.push(Check::new(libc::EAFNOSUPPORT, [equal(0, family)]));
    }
    checks
}

/// What terminals and sockets are asked (ioctl_tty(2), linux/sockios.h): state, size, who is in the foreground, how much
/// waits. None of them types.
const REQUESTS: &[i32] = &[0x5401, 0x540f, 0x5410, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451];

/// What a listener is asked (`SECCOMP_IOCTL_NOTIF_*`, linux/seccomp.h): to answer, whether the caller still waits, to put a
/// socket into it. To take a call is not among them.
const SEND: i32 = 0xc018_2101_u32.cast_signed();
const VALID: i32 = 0x4008_2102;
const ADD_DESCRIPTOR: i32 = 0x4018_2103;

/// Whoever is at the other end of a UNIX socket, as a descriptor that he can be signalled by (linux/socket.h).
const SO_PASSPIDFD: i32 = 76;
const SO_PEERPIDFD: i32 = 77;

/// What descriptors are asked (fcntl(2)): copies, flags, the size of pipes. None makes the kernel send signals.
const COMMANDS: &[i32] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_SETPIPE_SZ,
    libc::F_GETPIPE_SZ,
];

/// Names for memory (`PR_SET_VMA_ANON_NAME`), which the C library gives to its own.
const PR_SET_VMA: i32 = 0x5356_4d41;

/// What relaying, resolving, writing records and ending need. Groups: open files, memory, threads and signals, time, events,
/// sockets, limits and the end.
const RELAYS: &[i64] = calls! {
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_close SYS_close_range SYS_dup SYS_dup2 SYS_dup3 SYS_lseek
    SYS_fstat SYS_fsync SYS_fdatasync SYS_splice SYS_pipe2 SYS_getdents64 SYS_readlinkat
    SYS_munmap SYS_mremap SYS_madvise SYS_brk
    SYS_futex SYS_set_robust_list SYS_rseq SYS_exit SYS_exit_group SYS_sched_yield SYS_sched_getaffinity SYS_gettid
    SYS_getpid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_sigaltstack SYS_rt_sigaction SYS_rt_sigprocmask
    SYS_rt_sigreturn SYS_restart_syscall
    SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_wait SYS_epoll_pwait SYS_epoll_pwait2 SYS_poll SYS_ppoll SYS_eventfd2
    SYS_connect SYS_bind SYS_accept SYS_accept4 SYS_getsockname SYS_getpeername
    SYS_shutdown SYS_sendto SYS_sendmsg SYS_sendmmsg SYS_recvfrom SYS_recvmsg SYS_recvmmsg
    SYS_getrandom SYS_uname SYS_wait4 SYS_getrusage
};

/// What one word, waiting and writing out need.
const KEEPS: &[i64] = calls! {
    SYS_sendmsg SYS_recvmsg SYS_fdatasync SYS_close SYS_munmap SYS_brk SYS_madvise SYS_restart_syscall SYS_rt_sigreturn SYS_exit_group
};

#[cfg(test)]
mod tests {
    use super::*;

    const RELAYING: Answers = Answers { sockets: false, profile: false };
    const GATED: Gated =
        Gated { processes: 9, rules: (0x7f12_3456_7000, 24), init: 77, own: 76, answers: RELAYING };
    const ANSWERING: [Answers; 4] = [
        RELAYING,
        Answers { sockets: true, profile: false },
        Answers { sockets: false, profile: true },
        Answers { sockets: true, profile: true },
    ];

    fn programs() -> Vec<super::super::Program> {
        ANSWERING.map(|answers| gate(&Gated { answers, ..GATED }).compile().unwrap()).into()
    }

    #[test]
    fn only_what_is_below_one_directory_is_opened() {
        programs().iter().for_each(opens_below_one_directory);
    }

    fn opens_below_one_directory(program: &super::super::Program) {
        let open = |arguments: [u64; 4]| {
            let [a, b, c, d] = arguments;
            program.answer(libc::SYS_openat2, [a, b, c, d, 0, 0])
        };
        assert_eq!(open([9, 1, 0x7f12_3456_7000, 24]), Ok(()));
        let here = u64::from(libc::AT_FDCWD.cast_unsigned());
        for refused in [
            [8, 1, 0x7f12_3456_7000, 24],
            [here, 1, 0x7f12_3456_7000, 24],
            [9, 1, 0x7f12_3456_7008, 24],
            [9, 1, 0x7e12_3456_7000, 24],
            [9, 1, 0x3456_7000, 24],
            [9, 1, 0x7f12_3456_7000, 8],
        ] {
            assert_eq!(open(refused), Err(libc::EPERM), "{refused:x?}");
        }
        for number in [libc::SYS_openat, libc::SYS_open, libc::SYS_creat, libc::SYS_open_by_handle_at] {
            assert_eq!(program.answer(number, [0; 6]), Err(libc::ENOSYS), "{number}");
        }
    }

    #[test]
    fn what_relays_and_answers_does_nothing_else() {
        programs().iter().for_each(does_nothing_else);
    }

    fn does_nothing_else(program: &super::super::Program) {
        let ask = |number, arguments: [u64; 3]| {
            let [a, b, c] = arguments;
            program.answer(number, [a, b, c, 0, 0, 0])
        };
        let (unix, inet, stream) = (1, 2, 1);
        assert_eq!(ask(libc::SYS_socket, [inet, stream, 6]), Ok(()));
        assert_eq!(ask(libc::SYS_socket, [unix, stream, 0]), Err(libc::EAFNOSUPPORT));
        assert_eq!(ask(libc::SYS_socket, [16, 3, 0]), Err(libc::EAFNOSUPPORT));
        assert_eq!(ask(libc::SYS_ioctl, [0, 0x5412, 0]), Err(libc::EPERM), "TIOCSTI");
        assert_eq!(ask(libc::SYS_ioctl, [0, 0x8901, 0]), Err(libc::EPERM), "FIOSETOWN");
        assert_eq!(ask(libc::SYS_fcntl, [0, 8, 0]), Err(libc::EPERM), "F_SETOWN");
        assert_eq!(ask(libc::SYS_kill, [77, 9, 0]), Ok(()));
        assert_eq!(ask(libc::SYS_kill, [1, 9, 0]), Err(libc::EPERM));
        assert_eq!(ask(libc::SYS_clone, [0x0135_0f00, 0, 0]), Ok(()), "a thread");
        assert_eq!(ask(libc::SYS_clone, [17, 0, 0]), Err(libc::EPERM), "a process");
        assert_eq!(ask(libc::SYS_mmap, [0, 4096, 7]), Err(libc::EPERM), "code");
        for number in [
            libc::SYS_execve,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_umask,
            libc::SYS_memfd_create,
            libc::SYS_inotify_add_watch,
            libc::SYS_rmdir,
            libc::SYS_io_uring_setup,
            libc::SYS_socketpair,
            libc::SYS_listen,
        ] {
            assert_eq!(ask(number, [0; 3]), Err(libc::ENOSYS), "{number}");
        }
        assert_eq!(ask(libc::SYS_ioctl, [5, 0xc050_2100, 0]), Err(libc::EPERM), "taking a call");
        assert_eq!(ask(libc::SYS_getsockopt, [5, 1, 77]), Err(libc::EPERM), "SO_PEERPIDFD");
        assert_eq!(ask(libc::SYS_setsockopt, [5, 1, 76]), Err(libc::EPERM), "SO_PASSPIDFD");
        assert_eq!(ask(libc::SYS_getsockopt, [5, 6, 11]), Ok(()), "TCP_INFO");
    }

    #[test]
    fn calls_are_answered_only_where_some_wait() {
        for (answers, program) in ANSWERING.into_iter().zip(programs()) {
            let ask = |number, arguments: [u64; 4]| {
                let [a, b, c, d] = arguments;
                program.answer(number, [a, b, c, d, 0, 0]).is_ok()
            };
            let some = answers.sockets || answers.profile;
            for request in [0xc018_2101, 0x4008_2102] {
                assert_eq!(ask(libc::SYS_ioctl, [5, request, 0, 0]), some, "{answers:?}");
            }
            assert_eq!(ask(libc::SYS_ioctl, [5, 0x4018_2103, 0, 0]), answers.sockets, "{answers:?}");
            assert!(!ask(libc::SYS_pidfd_send_signal, [5, 9, 0, 0]), "{answers:?}");
        }
    }

    #[test]
    fn nothing_that_is_never_allowed_is_listed() {
        assert!(RELAYS.iter().chain(KEEPS).all(|number| !super::super::NEVER.contains(number)));
    }
}
