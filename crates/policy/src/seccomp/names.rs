//! Names of system calls and errors, from tables that are generated from the kernel's.

use std::str::FromStr;

use syscalls::{
    Errno, aarch64, arm, loongarch64, mips, mips64, powerpc, powerpc64, riscv32, riscv64, s390x, x86, x86_64,
};

use super::Architecture;

/// The number of a call.
pub(super) fn number(name: &str, architecture: Architecture) -> Option<u32> {
    let id = match architecture {
        Architecture::X86_64 => x86_64::Sysno::from_str(name).ok()?.id(),
        Architecture::Aarch64 => aarch64::Sysno::from_str(name).ok()?.id(),
    };
    u32::try_from(id).ok()
}

/// The name of a call.
pub fn name_of(number: u32, architecture: Architecture) -> Option<&'static str> {
    let number = usize::try_from(number).ok()?;
    match architecture {
        Architecture::X86_64 => x86_64::Sysno::new(number).map(|call| call.name()),
        Architecture::Aarch64 => aarch64::Sysno::new(number).map(|call| call.name()),
    }
}

/// Every name this architecture has.
pub(super) fn all(architecture: Architecture) -> impl Iterator<Item = &'static str> {
    (0..1024).filter_map(move |number| name_of(number, architecture))
}

/// Whether any architecture has a call of that name.
pub(super) fn exists(name: &str) -> bool {
    macro_rules! any {
        ($($architecture:ident)*) => { false $(|| $architecture::Sysno::from_str(name).is_ok())* };
    }
    any!(x86_64 aarch64 x86 arm loongarch64 mips mips64 powerpc powerpc64 riscv32 riscv64 s390x)
        || PRIVATE.contains(&name)
}

/// The number of an error, by its name.
pub(super) fn errno(name: &str) -> Option<u16> {
    let found = (1..=133u16).find(|number| Errno::new((*number).into()).name() == Some(name));
    found.or(match name {
        "EWOULDBLOCK" => Some(11),
        "EDEADLOCK" => Some(35),
        "ENOTSUP" => Some(95),
        _ => None,
    })
}

/// The usual ones, for proposals.
pub(super) const ERRNOS: &[&str] =
    &["EPERM", "ENOENT", "EACCES", "EINVAL", "ENOSYS", "ENOTSUP", "EAFNOSUPPORT"];

/// Calls that only libseccomp names, and private ones of Arm that no table lists.
const PRIVATE: &[&str] = &[
    "breakpoint",
    "cacheflush",
    "set_tls",
    "get_tls",
    "usr26",
    "usr32",
    "arm_fadvise64_64",
    "arm_sync_file_range",
    "sync_file_range2",
    "s390_guarded_storage",
    "s390_sthyi",
    "sys_debug_setcontext",
    "multiplexer",
    "rtas",
    "subpage_prot",
    "switch_endian",
    "swapcontext",
    "syscall",
];
