//! What the kernel holds against what gets through.

use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::{machine, none, number, some};
use crate::facts::Facts;
use crate::read::Read;

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "landlock",
        area: Area::Kernel,
        severity: Severity::High,
        title: "Landlock is there and current",
        reads: "landlock_create_ruleset(2), which only asks",
        meaning: "below ABI 3 claw runs nothing; below 6 (Linux 6.12) an agent can signal the process group that started it",
        mend: "apt-get install --only-upgrade linux-image-amd64 # 6.12 or later, with landlock in lsm=",
        reference: "landlock(7)",
        judge: |facts| match &facts.landlock {
            Read::Known(abi) if *abi >= 6 => Verdict::Pass(format!("ABI {abi}")),
            Read::Known(0) => Verdict::fail("there is none"),
            Read::Known(abi) => Verdict::fail(format!("ABI {abi}")),
            Read::Absent => Verdict::Unknown("it was not asked".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why.clone()),
        },
    },
    Check {
        id: "mandatory-access",
        area: Area::Kernel,
        severity: Severity::Medium,
        title: "AppArmor or SELinux confines the host's own services",
        reads: "/sys/kernel/security/lsm, /sys/module/apparmor/parameters/enabled, /sys/fs/selinux/enforce",
        meaning: "a service that an agent talks to through a permitted destination is confined by nothing but its user",
        mend: "apt-get install apparmor && sed -i 's/^GRUB_CMDLINE_LINUX=\"/&apparmor=1 security=apparmor /' /etc/default/grub && update-grub # then restart",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: mandatory_access,
    },
    Check {
        id: "seccomp",
        area: Area::Kernel,
        severity: Severity::Critical,
        title: "system calls can be filtered and handed to a supervisor",
        reads: "/proc/sys/kernel/seccomp/actions_avail",
        meaning: "without filters claw runs nothing; without user_notif nothing can be listed or brokered",
        mend: "apt-get install --only-upgrade linux-image-amd64 # a kernel with CONFIG_SECCOMP_FILTER=y",
        reference: "seccomp(2)",
        judge: |facts| match facts.line("/proc/sys/kernel/seccomp/actions_avail") {
            Read::Known(text) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let missing: Vec<String> = ["kill_process", "errno", "user_notif"]
                    .iter()
                    .filter(|word| !words.contains(word))
                    .map(|word| format!("{word} is missing"))
                    .collect();
                none(&missing, text)
            }
            Read::Absent if facts.live => Verdict::fail("this kernel has no seccomp filters"),
            Read::Absent => Verdict::Unknown("the kernel of this tree does not tell".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why),
        },
    },
    Check {
        id: "cpu-mitigations",
        area: Area::Kernel,
        severity: Severity::High,
        title: "known flaws of the processor are mended or absent",
        reads: "/sys/devices/system/cpu/vulnerabilities/*",
        meaning: "an agent reads memory of the host, of claw's gate, or of other agents, through the processor",
        mend: "apt-get install intel-microcode amd64-microcode && sed -i 's/mitigations=off//' /etc/default/grub && update-grub # then restart",
        reference: "kernel: Documentation/admin-guide/hw-vuln/",
        judge: |facts| vulnerabilities(facts, |text| text.starts_with("Vulnerable")),
    },
    Check {
        id: "cpu-threads",
        area: Area::Kernel,
        severity: Severity::Medium,
        title: "two threads of a core do not spy on each other",
        reads: "/sys/devices/system/cpu/vulnerabilities/* (SMT), /sys/devices/system/cpu/smt/active",
        meaning: "an agent on one thread of a core reads what runs on the other",
        mend: "echo off > /sys/devices/system/cpu/smt/control && sed -i 's/^GRUB_CMDLINE_LINUX=\"/&nosmt /' /etc/default/grub && update-grub",
        reference: "kernel: Documentation/admin-guide/hw-vuln/core-scheduling.rst",
        judge: |facts| match facts.line("/sys/devices/system/cpu/smt/active") {
            Read::Known("0") => Verdict::Pass("one thread for each core".to_owned()),
            _ => vulnerabilities(facts, |text| text.contains("SMT vulnerable")),
        },
    },
    Check {
        id: "boot-parameters",
        area: Area::Kernel,
        severity: Severity::High,
        title: "the kernel was started with its defences on",
        reads: "/proc/cmdline",
        meaning: "one word at the start turns a whole class of walls off for every agent",
        mend: "editor /etc/default/grub && update-grub # take out the words that are named; then restart",
        reference: "kernel: Documentation/admin-guide/kernel-parameters.txt",
        judge: boot_parameters,
    },
    Check {
        id: "secure-boot",
        area: Area::Kernel,
        severity: Severity::Medium,
        title: "the firmware starts only what is signed",
        reads: "/sys/firmware/efi/efivars/SecureBoot-*, SetupMode-*",
        meaning: "what starts before the kernel can hold anything back from everything above, claw included",
        mend: "mokutil --sb-state && systemctl reboot --firmware-setup # turn Secure Boot on there",
        reference: "UEFI 2.10, 32.3; CIS Debian Linux 12 Benchmark",
        judge: secure_boot,
    },
    Check {
        id: "integrity-measurement",
        area: Area::Kernel,
        severity: Severity::Low,
        title: "the kernel measures what is executed",
        reads: "/sys/kernel/security/ima/runtime_measurements_count, violations",
        meaning: "nobody can prove later which claw and which tools ran on this host",
        mend: "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&ima_policy=tcb /' /etc/default/grub && update-grub # then restart",
        reference: "kernel: Documentation/admin-guide/kernel-parameters.txt (ima_policy)",
        judge: measurement,
    },
    Check {
        id: "tpm",
        area: Area::Kernel,
        severity: Severity::Low,
        title: "there is a TPM 2.0",
        reads: "/sys/class/tpm/tpm0/tpm_version_major",
        meaning: "the host cannot prove to others what it runs, and keys cannot be bound to that",
        mend: "systemctl reboot --firmware-setup # turn the TPM on there; for a virtual machine, give it a virtual TPM",
        reference: "TCG PC Client Platform TPM Profile",
        judge: |facts| match facts.line("/sys/class/tpm/tpm0/tpm_version_major") {
            Read::Known("2") => Verdict::Pass("TPM 2".to_owned()),
            Read::Known(version) => Verdict::fail(format!("TPM {version}")),
            Read::Absent => Verdict::fail("there is none"),
            Read::Unknown(why) => Verdict::Unknown(why),
        },
    },
    Check {
        id: "protected-symlinks",
        area: Area::Kernel,
        severity: Severity::Medium,
        title: "links in shared directories are followed for their owner only",
        reads: "fs.protected_symlinks",
        meaning: "a process in /tmp leads a privileged one to a file of its choice",
        mend: "printf '%s\\n' fs.protected_symlinks=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/fs.rst",
        judge: |facts| number(facts, "/proc/sys/fs/protected_symlinks", |value| value == 1, "unusual"),
    },
    Check {
        id: "protected-hardlinks",
        area: Area::Kernel,
        severity: Severity::Medium,
        title: "nobody gives another name to a file that is not theirs",
        reads: "fs.protected_hardlinks",
        meaning: "an old set-user-id file is kept alive under another name after its update",
        mend: "printf '%s\\n' fs.protected_hardlinks=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/fs.rst",
        judge: |facts| number(facts, "/proc/sys/fs/protected_hardlinks", |value| value == 1, "unusual"),
    },
    Check {
        id: "protected-fifos",
        area: Area::Kernel,
        severity: Severity::Low,
        title: "FIFOs of others in shared directories are not opened by accident",
        reads: "fs.protected_fifos",
        meaning: "a process in /tmp reads what a privileged one meant to write to its own file",
        mend: "printf '%s\\n' fs.protected_fifos=2 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/fs.rst",
        judge: |facts| number(facts, "/proc/sys/fs/protected_fifos", |value| value >= 1, "older than 4.19"),
    },
    Check {
        id: "protected-files",
        area: Area::Kernel,
        severity: Severity::Low,
        title: "files of others in shared directories are not opened by accident",
        reads: "fs.protected_regular",
        meaning: "a process in /tmp owns the file that a privileged one believes it made",
        mend: "printf '%s\\n' fs.protected_regular=2 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/fs.rst",
        judge: |facts| number(facts, "/proc/sys/fs/protected_regular", |value| value >= 1, "older than 4.19"),
    },
    Check {
        id: "address-randomisation",
        area: Area::Kernel,
        severity: Severity::High,
        title: "programs are laid out anew at every start",
        reads: "kernel.randomize_va_space",
        meaning: "a flaw in claw's gate or in a service is exploited at the first try",
        mend: "printf '%s\\n' kernel.randomize_va_space=2 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| number(facts, "/proc/sys/kernel/randomize_va_space", |value| value == 2, "unusual"),
    },
    Check {
        id: "kernel-taint",
        area: Area::Kernel,
        severity: Severity::Medium,
        title: "the kernel runs only what it was built for",
        reads: "kernel.tainted",
        meaning: "a foreign module or an earlier crash makes every promise about this kernel weaker",
        mend: "cat /proc/sys/kernel/tainted /proc/modules # unload or replace what is named; then restart",
        reference: "kernel: Documentation/admin-guide/tainted-kernels.rst",
        judge: taint,
    },
    Check {
        id: "oops-limit",
        area: Area::Kernel,
        severity: Severity::Low,
        title: "the kernel stops after errors of its own",
        reads: "kernel.panic_on_oops, kernel.oops_limit",
        meaning: "an exploit that fails makes an error and may try again, ten thousand times by default",
        mend: "printf '%s\\n' kernel.oops_limit=100 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/admin-guide/sysctl/kernel.rst",
        judge: oops,
    },
];

fn mandatory_access(facts: &Facts) -> Verdict {
    if let Read::Known(enforce) = facts.line("/sys/fs/selinux/enforce") {
        return match enforce {
            "1" => Verdict::Pass("SELinux, enforcing".to_owned()),
            _ => Verdict::fail("SELinux is there and only reports"),
        };
    }
    let list = facts.line("/sys/kernel/security/lsm");
    if let Read::Known(list) = &list
        && list.split(',').any(|one| one == "apparmor")
    {
        return Verdict::Pass(format!("AppArmor is active ({list})"));
    }
    match (facts.line("/sys/module/apparmor/parameters/enabled"), list) {
        (Read::Known("Y"), _) => Verdict::Pass("AppArmor is active".to_owned()),
        (Read::Known(_), _) => Verdict::fail("AppArmor is built in and off"),
        (_, Read::Known(list)) => Verdict::fail(format!("active: {list}")),
        (Read::Absent, Read::Absent) => {
            Verdict::Unknown("no sign of either; the kernel's own list is not there (no LSM framework, or securityfs is not mounted)".to_owned())
        }
        (Read::Unknown(why), _) | (_, Read::Unknown(why)) => Verdict::Unknown(why),
    }
}

fn vulnerabilities(facts: &Facts, bad: fn(&str) -> bool) -> Verdict {
    const PLACE: &str = "/sys/devices/system/cpu/vulnerabilities";
    let (mut found, mut seen) = (Vec::new(), 0u32);
    for (path, text) in facts.texts_below(PLACE) {
        let name = path.rsplit('/').next().unwrap_or_default();
        match text {
            Read::Known(text) if bad(text.trim()) => found.push(format!("{name}: {}", text.trim())),
            Read::Known(_) => seen = seen.saturating_add(1),
            Read::Unknown(why) => return Verdict::Unknown(format!("{name}: {why}")),
            Read::Absent => {}
        }
    }
    if found.is_empty() && seen == 0 {
        return Verdict::Unknown("the kernel tells nothing about its processor's flaws".to_owned());
    }
    match none(&found, format!("{seen} flaws asked after")) {
        Verdict::Fail { seen, .. } if machine(facts).is_some() => Verdict::fail_with(
            seen,
            "apt-get upgrade # and a restart, on the machine around this one: microcode, and which threads share a core, are its own; then start this one anew, with the flags of that processor",
        ),
        verdict => verdict,
    }
}

fn boot_parameters(facts: &Facts) -> Verdict {
    const BAD: &[&str] = &[
        "mitigations=off",
        "nokaslr",
        "nopti",
        "pti=off",
        "nospectre_v1",
        "nospectre_v2",
        "spectre_v2=off",
        "spec_store_bypass_disable=off",
        "mds=off",
        "tsx_async_abort=off",
        "l1tf=off",
        "nosmap",
        "nosmep",
        "selinux=0",
        "enforcing=0",
        "apparmor=0",
        "norandmaps",
        "module.sig_enforce=0",
        "init_on_alloc=0",
        "randomize_kstack_offset=off",
        "lockdown=none",
        "systemd.debug-shell",
        "init=/bin/sh",
        "init=/bin/bash",
        "iommu=off",
        "intel_iommu=off",
    ];
    match facts.line("/proc/cmdline") {
        Read::Known(text) => {
            let found: Vec<String> =
                text.split_whitespace().filter(|word| BAD.contains(word)).map(str::to_owned).collect();
            none(&found, "no word that turns a defence off")
        }
        Read::Absent => Verdict::Unknown("the kernel does not tell how it was started".to_owned()),
        Read::Unknown(why) => Verdict::Unknown(why),
    }
}

/// A variable is four bytes of attributes, then its value (kernel: Documentation/filesystems/efivarfs.rst).
fn secure_boot(facts: &Facts) -> Verdict {
    const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let variable = |name: &str| facts.text(&format!("/sys/firmware/efi/efivars/{name}-{GLOBAL}"));
    let on = |text: &str| text.ends_with('\u{1}');
    match (variable("SecureBoot"), variable("SetupMode")) {
        (Read::Known(text), _) if !on(text) => Verdict::fail("it is off"),
        (Read::Known(_), Read::Known(setup)) if on(setup) => {
            Verdict::fail("it is in setup mode: anybody may enrol keys")
        }
        (Read::Known(_), _) => Verdict::Pass("it is on".to_owned()),
        (Read::Unknown(why), _) => Verdict::Unknown(why),
        (Read::Absent, _) => match facts.node("/sys/firmware/efi") {
            Read::Known(_) => {
                Verdict::Unknown("the firmware does not tell (efivarfs is not mounted?)".to_owned())
            }
            _ => Verdict::Unknown(
                "not started by UEFI: what started this kernel cannot be judged from here".to_owned(),
            ),
        },
    }
}

fn measurement(facts: &Facts) -> Verdict {
    let count = match facts.line("/sys/kernel/security/ima/runtime_measurements_count") {
        Read::Known(count) => count.parse::<u64>().unwrap_or_default(),
        Read::Unknown(why) => return Verdict::Unknown(why),
        Read::Absent if facts.line("/sys/kernel/security/lsm") == Read::Absent => {
            return Verdict::Unknown("securityfs is not mounted, or this kernel has no IMA".to_owned());
        }
        Read::Absent => return Verdict::fail("this kernel has no IMA"),
    };
    match facts.line("/sys/kernel/security/ima/violations") {
        Read::Known(violations) if violations != "0" => Verdict::fail(format!(
            "{count} measurements, {violations} of files that changed while they were read"
        )),
        _ if count <= 1 => Verdict::fail("no policy: nothing but the start is measured"),
        _ => Verdict::Pass(format!("{count} measurements")),
    }
}

fn taint(facts: &Facts) -> Verdict {
    const BITS: &[(u32, &str)] = &[
        (0, "proprietary module"),
        (1, "module loaded by force"),
        (3, "module unloaded by force"),
        (4, "machine check"),
        (5, "bad page"),
        (7, "died before (oops)"),
        (9, "warning"),
        (12, "module from outside the kernel's tree"),
        (13, "unsigned module"),
        (14, "soft lockup"),
        (15, "live patched"),
    ];
    match facts.line("/proc/sys/kernel/tainted").map(str::parse::<u64>) {
        Read::Known(Ok(0)) => Verdict::Pass("not tainted".to_owned()),
        Read::Known(Ok(value)) => {
            let named: Vec<String> = BITS
                .iter()
                .filter(|(bit, _)| value >> bit & 1 == 1)
                .map(|(_, name)| (*name).to_owned())
                .collect();
            Verdict::fail(format!("kernel.tainted = {value}: {}", some(&named)))
        }
        Read::Known(Err(_)) => Verdict::Unknown("kernel.tainted holds no number".to_owned()),
        Read::Absent => Verdict::Unknown("the kernel does not tell".to_owned()),
        Read::Unknown(why) => Verdict::Unknown(why),
    }
}

fn oops(facts: &Facts) -> Verdict {
    if facts.line("/proc/sys/kernel/panic_on_oops") == Read::Known("1") {
        return Verdict::Pass("kernel.panic_on_oops = 1".to_owned());
    }
    number(
        facts,
        "/proc/sys/kernel/oops_limit",
        |value| (1..=100).contains(&value),
        "older than 6.2: there is no limit",
    )
}
