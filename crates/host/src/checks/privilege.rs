//! What an ordinary process may ask of the kernel.

use crate::check::{Area, Check, Severity};
use crate::checks::{no_key, number};

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[Check {
    id: "bpf-unprivileged",
    area: Area::Privilege,
    severity: Severity::High,
    title: "only the privileged load BPF programs",
    reads: "kernel.unprivileged_bpf_disabled",
    meaning: "a process outside a sandbox can feed programs to the kernel's verifier, a common way to root",
    mend: "sysctl -w kernel.unprivileged_bpf_disabled=1",
    reference: "kernel: Documentation/admin-guide/sysctl/kernel.rst",
    judge: |facts| {
        number(
            facts,
            "/proc/sys/kernel/unprivileged_bpf_disabled",
            |value| value > 0,
            no_key("this kernel has no such key: it may have no bpf(2), or no way to refuse it"),
        )
    },
}];
