//! What an ordinary process may ask of the kernel.

use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::{none_of, number, number_or};
use crate::facts::Facts;
use crate::read::Read;

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "user-namespaces",
        area: Area::Privilege,
        severity: Severity::Low,
        title: "user namespaces are for named programs only",
        reads: "user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns",
        meaning: "any process outside a sandbox can become root in a namespace and reach kernel code that only root reaches; claw needs them itself, so name claw rather than close them",
        mend: "printf '%s\\n' kernel.apparmor_restrict_unprivileged_userns=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf # where the kernel has this key, with a profile for claw: docs/host-setup.md",
        reference: "user_namespaces(7); docs/host-setup.md",
        judge: user_namespaces,
    },
    Check {
        id: "bpf-unprivileged",
        area: Area::Privilege,
        severity: Severity::High,
        title: "only the privileged load BPF programs",
        reads: "kernel.unprivileged_bpf_disabled",
        meaning: "any process outside a sandbox can feed programs to the kernel's verifier, a common way to root",
        mend: "printf '%s\\n' kernel.unprivileged_bpf_disabled=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/kernel.rst; bpf(2)",
        judge: |facts| {
            number(
                facts,
                "/proc/sys/kernel/unprivileged_bpf_disabled",
                |value| value > 0,
                "it may have no bpf(2), or no way to refuse it",
            )
        },
    },
    Check {
        id: "bpf-jit-harden",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "compiled BPF programs hide their constants",
        reads: "net.core.bpf_jit_harden, net.core.bpf_jit_enable",
        meaning: "a program that the kernel compiles can carry code of the attacker's choice into kernel memory",
        mend: "printf '%s\\n' net.core.bpf_jit_harden=2 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/net.rst",
        judge: |facts| match facts.line("/proc/sys/net/core/bpf_jit_enable") {
            Read::Known("0") => Verdict::Pass("net.core.bpf_jit_enable = 0: nothing is compiled".to_owned()),
            _ => number(
                facts,
                "/proc/sys/net/core/bpf_jit_harden",
                |value| value > 0,
                "it may have no BPF compiler",
            ),
        },
    },
    Check {
        id: "perf-events",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "the kernel's performance counters are for the privileged",
        reads: "kernel.perf_event_paranoid",
        meaning: "counters tell an ordinary process what others and the kernel do, keys included; 2 is the highest step of kernel.org's kernel, 3 (nothing at all) is known to Debian's and Ubuntu's",
        mend: "printf '%s\\n' kernel.perf_event_paranoid=3 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/perf-security.rst; perf_event_open(2)",
        judge: |facts| {
            number_or(
                facts,
                "/proc/sys/kernel/perf_event_paranoid",
                |value| value >= 2,
                Verdict::Inapplicable(
                    "this kernel has no performance events (perf_event_open(2))".to_owned(),
                ),
            )
        },
    },
    Check {
        id: "ptrace-scope",
        area: Area::Privilege,
        severity: Severity::High,
        title: "a process is traced by its parent or by root only",
        reads: "kernel.yama.ptrace_scope",
        meaning: "whatever runs as the same user outside a sandbox can take over claw's supervisor before it hides, or another agent's tools",
        mend: "printf '%s\\n' kernel.yama.ptrace_scope=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/LSM/Yama.rst; ptrace(2)",
        judge: |facts| {
            number(
                facts,
                "/proc/sys/kernel/yama/ptrace_scope",
                |value| value >= 1,
                "Yama is not in it, so who may trace whom cannot be narrowed here",
            )
        },
    },
    Check {
        id: "kernel-pointers",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "kernel addresses are hidden",
        reads: "kernel.kptr_restrict",
        meaning: "an address of the kernel is half of an exploit that leaves a sandbox",
        mend: "printf '%s\\n' kernel.kptr_restrict=2 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/kernel.rst",
        judge: |facts| {
            number(facts, "/proc/sys/kernel/kptr_restrict", |value| value >= 1, "very old or unusual")
        },
    },
    Check {
        id: "kernel-log",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "the kernel's log is for root",
        reads: "kernel.dmesg_restrict",
        meaning: "the log names kernel addresses and what failed when somebody tried to get out",
        mend: "printf '%s\\n' kernel.dmesg_restrict=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "CIS Debian Linux 12 Benchmark; dmesg(1)",
        judge: |facts| {
            number(facts, "/proc/sys/kernel/dmesg_restrict", |value| value == 1, "it may have no log")
        },
    },
    Check {
        id: "kexec",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "no other kernel is loaded while this one runs",
        reads: "kernel.kexec_load_disabled",
        meaning: "who became root for a moment can replace the kernel that holds every sandbox",
        mend: "printf '%s\\n' kernel.kexec_load_disabled=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/kernel.rst; kexec_load(2)",
        judge: |facts| {
            number_or(
                facts,
                "/proc/sys/kernel/kexec_load_disabled",
                |value| value == 1,
                Verdict::Inapplicable("this kernel has no kexec".to_owned()),
            )
        },
    },
    Check {
        id: "module-loading",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "only signed modules are loaded, or none",
        reads: "kernel.modules_disabled, /sys/module/module/parameters/sig_enforce, lockdown",
        meaning: "root for a moment is kernel for good: a module undoes every wall without a trace",
        mend: "sysctl -w kernel.modules_disabled=1 # until the next start, as late in it as can be: in /etc/sysctl.d it would stop the start's own modules; load what claw needs before: docs/host-setup.md",
        reference: "kernel: Documentation/admin-guide/module-signing.rst",
        judge: module_loading,
    },
    Check {
        id: "lockdown",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "root cannot change the running kernel",
        reads: "/sys/kernel/security/lockdown",
        meaning: "without it root reads and writes kernel memory, so what one agent won holds for all",
        mend: "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&lockdown=integrity /' /etc/default/grub && update-grub # then restart",
        reference: "kernel_lockdown(7)",
        judge: lockdown,
    },
    Check {
        id: "core-pattern",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "a crash starts no program of root's",
        reads: "kernel.core_pattern",
        meaning: "an agent that crashes makes the kernel start that program outside the sandbox, as root, and feed it the agent's memory",
        mend: "printf '%s\\n' kernel.core_pattern=core >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "core(5)",
        judge: |facts| match facts.line("/proc/sys/kernel/core_pattern") {
            Read::Known(text) if text.starts_with('|') => {
                Verdict::fail(format!("kernel.core_pattern = {text}"))
            }
            Read::Known(text) => Verdict::Pass(format!("kernel.core_pattern = {text}")),
            Read::Absent => Verdict::Inapplicable("this kernel writes no core files".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why),
        },
    },
    Check {
        id: "core-of-privileged",
        area: Area::Privilege,
        severity: Severity::High,
        title: "programs that changed their user leave no core file",
        reads: "fs.suid_dumpable",
        meaning: "the memory of a privileged program, with its secrets, lands where its caller can read it",
        mend: "printf '%s\\n' fs.suid_dumpable=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "CIS Debian Linux 12 Benchmark; proc_sys_fs(5)",
        judge: |facts| number(facts, "/proc/sys/fs/suid_dumpable", |value| value == 0, "unusual"),
    },
    Check {
        id: "sysrq",
        area: Area::Privilege,
        severity: Severity::Low,
        title: "the emergency key dumps and kills nothing",
        reads: "kernel.sysrq",
        meaning: "a console, also a remote one, can kill claw or print memory without a login",
        mend: "printf '%s\\n' kernel.sysrq=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysrq.rst",
        // sync (16), remount read-only (32) and restart (128) only
        judge: |facts| {
            number_or(
                facts,
                "/proc/sys/kernel/sysrq",
                |value| value != 1 && value & !0xb0 == 0,
                Verdict::Inapplicable("this kernel has no emergency key".to_owned()),
            )
        },
    },
    Check {
        id: "io-uring",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "io_uring is for the privileged, or for nobody",
        reads: "kernel.io_uring_disabled",
        meaning: "calls made through it pass no system call filter; claw's sandboxes refuse it, other programs of this host do not",
        mend: "printf '%s\\n' kernel.io_uring_disabled=2 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/kernel.rst; io_uring(7)",
        judge: |facts| {
            number(
                facts,
                "/proc/sys/kernel/io_uring_disabled",
                |value| value >= 1,
                "it is older than 6.6, or has no io_uring",
            )
        },
    },
    Check {
        id: "userfaultfd",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "an ordinary process cannot hold the kernel still",
        reads: "vm.unprivileged_userfaultfd",
        meaning: "it widens the races in the kernel that exploits need",
        mend: "printf '%s\\n' vm.unprivileged_userfaultfd=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/vm.rst; userfaultfd(2)",
        judge: |facts| {
            number_or(
                facts,
                "/proc/sys/vm/unprivileged_userfaultfd",
                |value| value == 0,
                Verdict::Inapplicable("this kernel has no userfaultfd".to_owned()),
            )
        },
    },
    Check {
        id: "line-disciplines",
        area: Area::Privilege,
        severity: Severity::Low,
        title: "terminals load no modules for ordinary users",
        reads: "dev.tty.ldisc_autoload",
        meaning: "a terminal is enough to load old kernel code that nobody uses",
        mend: "printf '%s\\n' dev.tty.ldisc_autoload=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: drivers/tty/Kconfig (LDISC_AUTOLOAD)",
        judge: |facts| {
            number(facts, "/proc/sys/dev/tty/ldisc_autoload", |value| value == 0, "older than 5.1")
        },
    },
    Check {
        id: "terminal-input",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "no process types into another's terminal",
        reads: "dev.tty.legacy_tiocsti",
        meaning: "a tool that shares a terminal with a person can type commands that the person's shell then runs, outside",
        mend: "printf '%s\\n' dev.tty.legacy_tiocsti=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "ioctl_tty(2), TIOCSTI",
        judge: |facts| {
            number(
                facts,
                "/proc/sys/dev/tty/legacy_tiocsti",
                |value| value == 0,
                "older than 6.2: it is allowed",
            )
        },
    },
    Check {
        id: "lowest-address",
        area: Area::Privilege,
        severity: Severity::Medium,
        title: "page zero cannot be mapped",
        reads: "vm.mmap_min_addr",
        meaning: "a null pointer in the kernel becomes a pointer to the attacker's memory",
        mend: "printf '%s\\n' vm.mmap_min_addr=65536 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/vm.rst",
        judge: |facts| {
            number(facts, "/proc/sys/vm/mmap_min_addr", |value| value >= 4096, "no memory management unit?")
        },
    },
    Check {
        id: "modprobe-path",
        area: Area::Privilege,
        severity: Severity::High,
        title: "the kernel's helper for modules is root's",
        reads: "kernel.modprobe and the rights of that file",
        meaning: "the kernel starts it as root whenever an unknown format or protocol is asked for",
        mend: "printf '%s\\n' kernel.modprobe=/sbin/modprobe >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf && chown root:root /sbin/modprobe && chmod 755 /sbin/modprobe",
        reference: "kernel: Documentation/admin-guide/sysctl/kernel.rst",
        judge: modprobe,
    },
    Check {
        id: "binary-formats",
        area: Area::Privilege,
        severity: Severity::High,
        title: "no interpreter inherits the rights of what it runs",
        reads: "/proc/sys/fs/binfmt_misc/*",
        meaning: "with flag C a set-user-id file of a foreign format runs an interpreter as root",
        mend: "echo -1 > /proc/sys/fs/binfmt_misc/NAME # for each that is named, until the next start; for good: take its file out of /usr/lib/binfmt.d or /etc/binfmt.d",
        reference: "kernel: Documentation/admin-guide/binfmt-misc.rst",
        judge: binary_formats,
    },
];

fn user_namespaces(facts: &Facts) -> Verdict {
    let value = |key: &str| facts.line(&format!("/proc/sys/{key}")).known().map(|text| (*text).to_owned());
    let all = value("user/max_user_namespaces");
    let clone = value("kernel/unprivileged_userns_clone");
    let profile = value("kernel/apparmor_restrict_unprivileged_userns");
    match (all.as_deref(), clone.as_deref(), profile.as_deref()) {
        (_, _, Some("1")) => Verdict::Pass("AppArmor lets only programs with a profile make them".to_owned()),
        (Some("0"), ..) | (_, Some("0"), _) => {
            Verdict::Pass("ordinary users cannot make any (then claw needs root)".to_owned())
        }
        (Some(most), _, Some(_)) => {
            Verdict::fail(format!("user.max_user_namespaces = {most}, for every program"))
        }
        (Some(most), ..) => Verdict::fail_with(
            format!(
                "user.max_user_namespaces = {most}, for every program; no key of this kernel names programs"
            ),
            "printf '%s\\n' user.max_user_namespaces=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf # only where nothing needs them: claw does. Else accept it in a baseline, or start a kernel with AppArmor that has apparmor_restrict_unprivileged_userns",
        ),
        (None, ..) => Verdict::Unknown("user.max_user_namespaces could not be read".to_owned()),
    }
}

fn module_loading(facts: &Facts) -> Verdict {
    if facts.node("/proc/modules") == Read::Absent
        && facts.line("/proc/sys/kernel/modules_disabled") == Read::Absent
    {
        return Verdict::Inapplicable("this kernel loads no modules".to_owned());
    }
    if facts.line("/sys/module/module/parameters/sig_enforce") == Read::Known("Y") {
        return Verdict::Pass("only signed modules are loaded (sig_enforce)".to_owned());
    }
    if let Read::Known(text) = facts.line("/sys/kernel/security/lockdown")
        && (text.contains("[integrity]") || text.contains("[confidentiality]"))
    {
        return Verdict::Pass(format!("only signed modules are loaded (lockdown: {text})"));
    }
    number(
        facts,
        "/proc/sys/kernel/modules_disabled",
        |value| value == 1,
        "there is no way to turn loading off",
    )
}

fn lockdown(facts: &Facts) -> Verdict {
    match facts.line("/sys/kernel/security/lockdown") {
        Read::Known(text) if text.contains("[none]") => Verdict::fail(text),
        Read::Known(text) => Verdict::Pass(text.to_owned()),
        Read::Absent => {
            Verdict::Unknown("this kernel has no lockdown, or securityfs is not mounted".to_owned())
        }
        Read::Unknown(why) => Verdict::Unknown(why),
    }
}

fn modprobe(facts: &Facts) -> Verdict {
    let path = match facts.line("/proc/sys/kernel/modprobe") {
        Read::Known(path) => path,
        Read::Absent => return Verdict::Inapplicable("this kernel starts no helper for modules".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why),
    };
    match (path, facts.node(path)) {
        ("", _) => Verdict::Pass("kernel.modprobe is empty: nothing is started".to_owned()),
        ("/sbin/modprobe" | "/usr/sbin/modprobe", Read::Known(node)) if node.foreign() => {
            Verdict::fail(format!("{path} ({})", node.show()))
        }
        ("/sbin/modprobe" | "/usr/sbin/modprobe", Read::Unknown(why)) => Verdict::Unknown(why),
        ("/sbin/modprobe" | "/usr/sbin/modprobe", _) => Verdict::Pass(format!("kernel.modprobe = {path}")),
        _ => Verdict::fail(format!("kernel.modprobe = {path}")),
    }
}

fn binary_formats(facts: &Facts) -> Verdict {
    const PLACE: &str = "/proc/sys/fs/binfmt_misc";
    if let Some(why) = facts.unlisted(PLACE) {
        return Verdict::Unknown(why.to_owned());
    }
    let (mut found, mut missed, mut seen) = (Vec::new(), Vec::new(), 0u32);
    for (path, text) in facts.texts_below(PLACE) {
        let name = path.rsplit('/').next().unwrap_or_default();
        match text {
            _ if matches!(name, "register" | "status") => {}
            Read::Known(text) => {
                seen = seen.saturating_add(1);
                let flags = text.lines().find_map(|line| line.strip_prefix("flags: ")).unwrap_or_default();
                if text.starts_with("enabled") && flags.contains('C') {
                    found.push(format!("{name} (flags {flags})"));
                }
            }
            Read::Unknown(why) => missed.push(format!("{name}: {why}")),
            Read::Absent => {}
        }
    }
    if seen == 0 && missed.is_empty() {
        return Verdict::Inapplicable("no foreign formats are registered".to_owned());
    }
    none_of(&found, &missed, format!("{seen} formats, none with flag C"))
}
