//! Time, logs, updates, and where the host itself runs.

use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::{none, none_of};
use crate::facts::Facts;
use crate::read::Read;

const DAY: i64 = 86_400;

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "clock",
        area: Area::Operations,
        severity: Severity::Medium,
        title: "a service keeps the clock",
        reads: "adjtimex(2), which only asks; running programs; /run/systemd/timesync/synchronized",
        meaning: "expiry of policies and certificates, and the times in ledgers, are guesses",
        mend: "apt-get install chrony",
        reference: "CIS Debian Linux 12 Benchmark; adjtimex(2)",
        judge: clock,
    },
    Check {
        id: "audit-daemon",
        area: Area::Operations,
        severity: Severity::Medium,
        title: "the kernel's audit is recorded",
        reads: "running programs of root's (/proc/PID/status, exe): auditd",
        meaning: "what agents do is in claw's ledger; what is done to the host outside is nowhere",
        mend: "apt-get install auditd",
        reference: "CIS Debian Linux 12 Benchmark; auditd(8)",
        judge: |facts| match facts.runs_as_root("auditd") {
            Read::Known(_) => Verdict::Pass("auditd runs".to_owned()),
            Read::Absent => Verdict::fail("auditd does not run"),
            Read::Unknown(why) => Verdict::Unknown(why),
        },
    },
    Check {
        id: "log-kept",
        area: Area::Operations,
        severity: Severity::Medium,
        title: "the log outlives a restart",
        reads: "/var/log/journal; running programs: systemd-journald, rsyslogd, syslog-ng",
        meaning: "who broke in restarts the host, and nothing is left to read",
        mend: "mkdir -p /var/log/journal && systemctl restart systemd-journald",
        reference: "journald.conf(5), Storage; CIS Debian Linux 12 Benchmark",
        judge: log_kept,
    },
    Check {
        id: "log-elsewhere",
        area: Area::Operations,
        severity: Severity::Low,
        title: "the log is kept on another host too",
        reads: "running programs: systemd-journal-upload, fluent-bit, vector, promtail; forwarding in /etc/rsyslog.conf and /etc/rsyslog.d",
        meaning: "root of this host writes its history anew",
        mend: "apt-get install systemd-journal-remote && systemctl enable --now systemd-journal-upload # with URL= in journal-upload.conf",
        reference: "journal-upload.conf(5); CIS Debian Linux 12 Benchmark",
        judge: log_elsewhere,
    },
    Check {
        id: "updates-known",
        area: Area::Operations,
        severity: Severity::Medium,
        title: "the list of updates is at most a week old",
        reads: "times of /var/lib/apt/lists/*, /var/lib/apt/periodic/update-success-stamp; apt is not run",
        meaning: "a flaw that the world knows is open here, and nobody here knows",
        mend: "apt-get update",
        reference: "apt-get(8), FILES",
        judge: updates_known,
    },
    Check {
        id: "updates-installed",
        area: Area::Operations,
        severity: Severity::Medium,
        title: "packages were changed within a month",
        reads: "time of /var/lib/dpkg/status",
        meaning: "updates that are known are not installed, or there were none for a month, which is rare",
        mend: "apt-get upgrade",
        reference: "dpkg(1), FILES; CIS Debian Linux 12 Benchmark",
        judge: |facts| match facts.node("/var/lib/dpkg/status") {
            Read::Known(node) => age(facts, node.modified, 30, "packages were changed"),
            Read::Absent => Verdict::Inapplicable("packages are not dpkg's here".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why),
        },
    },
    Check {
        id: "updates-automatic",
        area: Area::Operations,
        severity: Severity::Low,
        title: "mends of flaws are installed without a person",
        reads: "/etc/apt/apt.conf, /etc/apt/apt.conf.d/*",
        meaning: "a host that nobody looks at stays open",
        mend: "apt-get install unattended-upgrades && dpkg-reconfigure -f noninteractive unattended-upgrades",
        reference: "Debian Wiki: UnattendedUpgrades",
        judge: automatic,
    },
    Check {
        id: "packages-signed",
        area: Area::Operations,
        severity: Severity::High,
        title: "only signed packages are installed",
        reads: "/etc/apt/sources.list, /etc/apt/sources.list.d/*, /etc/apt/apt.conf, /etc/apt/apt.conf.d/*",
        meaning: "whoever stands on the way to a mirror puts code into the host",
        mend: "editor /etc/apt/sources.list # take trusted=yes and AllowUnauthenticated out of the lines that are named",
        reference: "sources.list(5), OPTIONS; apt-secure(8)",
        judge: signed,
    },
    Check {
        id: "restart-pending",
        area: Area::Operations,
        severity: Severity::Medium,
        title: "the kernel that runs is the one that is installed",
        reads: "/run/reboot-required, /proc/sys/kernel/osrelease, /proc/stat, times of /boot/vmlinuz-*",
        meaning: "a mend of the kernel is on the disk and not in force",
        mend: "systemctl reboot",
        reference: "needrestart(1)",
        judge: restart,
    },
    Check {
        id: "host-visible",
        area: Area::Operations,
        severity: Severity::Medium,
        title: "this is the host, not a container on it",
        reads: "/proc/self/ns/{pid,user}, /.dockerenv, /run/.containerenv, /run/systemd/container, /proc/1/cgroup, osrelease",
        meaning: "checks of disks, accounts and services speak of the container; kernel and firewall are another's, and what is around cannot be judged",
        mend: "claw host audit # on the host itself",
        reference: "systemd-detect-virt(1)",
        judge: |facts| match container(facts) {
            Some(kind) => Verdict::fail(format!("a container: {kind}")),
            None if !facts.live => Verdict::Unknown("files alone do not tell".to_owned()),
            None => Verdict::Pass("no sign of a container".to_owned()),
        },
    },
];

fn clock(facts: &Facts) -> Verdict {
    const SERVICES: &[&str] =
        &["chronyd", "ntpd", "ntpsec", "systemd-timesyncd", "openntpd", "timemaster", "ptp4l", "phc2sys"];
    let service = facts.runs(SERVICES);
    match (&facts.clock, service) {
        (Read::Known(true), Read::Known(name)) => {
            Verdict::Pass(format!("{name} runs, and the kernel says that the clock is kept"))
        }
        (Read::Known(true), _) => Verdict::Pass("the kernel says that the clock is kept".to_owned()),
        (Read::Known(false), Read::Known(name)) => {
            Verdict::fail(format!("{name} runs, and the kernel says that the clock is not kept"))
        }
        (Read::Known(false), _) => Verdict::fail("the kernel says that nothing keeps the clock"),
        (_, Read::Known(name))
            if matches!(facts.node("/run/systemd/timesync/synchronized"), Read::Known(_)) =>
        {
            Verdict::Pass(format!("{name} runs, and has found the time"))
        }
        (Read::Unknown(why), Read::Absent) if facts.processes.known().is_some_and(|all| !all.is_empty()) => {
            Verdict::fail(format!("no service for it runs (the kernel was not asked: {why})"))
        }
        (Read::Unknown(why), _) => Verdict::Unknown(why.clone()),
        (Read::Absent, _) => Verdict::Unknown("the kernel was not asked".to_owned()),
    }
}

fn log_kept(facts: &Facts) -> Verdict {
    match facts.runs(&["rsyslogd", "syslog-ng"]) {
        Read::Known(name) => return Verdict::Pass(format!("{name} runs")),
        Read::Unknown(why) => return Verdict::Unknown(why),
        Read::Absent => {}
    }
    match (facts.runs(&["systemd-journald"]), facts.node("/var/log/journal")) {
        (Read::Known(name), Read::Known(_)) => {
            Verdict::Pass(format!("{name} runs, and /var/log/journal is there"))
        }
        (Read::Known(name), Read::Absent) => {
            Verdict::fail(format!("{name} runs, and there is no /var/log/journal"))
        }
        (Read::Absent, _) => Verdict::fail("no log daemon runs"),
        (Read::Unknown(why), _) | (_, Read::Unknown(why)) => Verdict::Unknown(why),
    }
}

fn log_elsewhere(facts: &Facts) -> Verdict {
    let sender = facts.runs(&["systemd-journal-upload", "fluent-bit", "vector", "promtail", "filebeat"]);
    if let Read::Known(name) = sender {
        return Verdict::Pass(format!("{name} runs"));
    }
    let forwards = |text: &str| {
        text.lines().map(str::trim).filter(|line| !line.starts_with('#')).any(|line| {
            line.contains("omfwd")
                || line.contains("omrelp")
                || line.split_whitespace().nth(1).is_some_and(|word| word.starts_with('@'))
        })
    };
    let main = facts.texts.get("/etc/rsyslog.conf").map(|text| ("/etc/rsyslog.conf", text));
    for (path, text) in main.into_iter().chain(facts.texts_below("/etc/rsyslog.d")) {
        match text {
            Read::Known(text) if forwards(text) => return Verdict::Pass(format!("{path} forwards")),
            Read::Unknown(why) => return Verdict::Unknown(format!("{path}: {why}")),
            Read::Known(_) | Read::Absent => {}
        }
    }
    match (&facts.processes, &sender) {
        (Read::Unknown(why), _) | (_, Read::Unknown(why)) => Verdict::Unknown(why.clone()),
        (Read::Known(_), _) => Verdict::fail("no program that sends it is known here"),
        (Read::Absent, _) => Verdict::Unknown("the processes were not read".to_owned()),
    }
}

fn age(facts: &Facts, when: i64, most: i64, what: &str) -> Verdict {
    let days = facts.now.saturating_sub(when).max(0).checked_div(DAY).unwrap_or_default();
    let seen = format!("{what} {days} days ago");
    if days <= most { Verdict::Pass(seen) } else { Verdict::fail(seen) }
}

fn updates_known(facts: &Facts) -> Verdict {
    if facts.node("/usr/bin/apt-get") == Read::Absent {
        return Verdict::Inapplicable("packages are not apt's here".to_owned());
    }
    if let Some(why) = facts.unlisted("/var/lib/apt/lists") {
        return Verdict::Unknown(why.to_owned());
    }
    let listed = || facts.nodes_below("/var/lib/apt/lists");
    if !listed().any(|(path, _)| path.contains("Release")) {
        return Verdict::fail("there are no lists: updates were never asked for");
    }
    // a list keeps the time of its server; `partial` changes with every question
    let asked = listed().filter(|(path, _)| path.contains("Release") || path.ends_with("/partial"));
    let times = asked.filter_map(|(_, node)| Some(node.known()?.modified));
    let stamp = facts.node("/var/lib/apt/periodic/update-success-stamp").known().map(|node| node.modified);
    match times.chain(stamp).max() {
        Some(newest) => age(facts, newest, 7, "updates were asked for at the latest"),
        None => Verdict::Unknown("the lists have no time that can be read".to_owned()),
    }
}

fn apt(facts: &Facts) -> impl Iterator<Item = (&str, &Read<String>)> {
    let main = facts.texts.get("/etc/apt/apt.conf").map(|text| ("/etc/apt/apt.conf", text));
    main.into_iter().chain(facts.texts_below("/etc/apt/apt.conf.d"))
}

fn lines<'a>(text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let code = |line: &'a str| line.trim().split("//").next().unwrap_or_default();
    text.lines().map(code).enumerate().filter(|(_, line)| !line.starts_with('#'))
}

fn automatic(facts: &Facts) -> Verdict {
    if facts.node("/usr/bin/apt-get") == Read::Absent {
        return Verdict::Inapplicable("packages are not apt's here".to_owned());
    }
    let mut answer = None;
    for (path, text) in apt(facts) {
        match text {
            // a later file overrides an earlier one
            Read::Known(text) => {
                for (_, line) in lines(text).filter(|(_, line)| line.contains("Unattended-Upgrade ")) {
                    answer = Some((path, !line.contains("\"0\"")));
                }
            }
            Read::Unknown(why) => return Verdict::Unknown(format!("{path}: {why}")),
            Read::Absent => {}
        }
    }
    match answer {
        Some((path, true)) => Verdict::Pass(format!("{path} turns it on")),
        Some((path, false)) => Verdict::fail(format!("{path} turns it off")),
        None => Verdict::fail("no setting turns it on"),
    }
}

fn signed(facts: &Facts) -> Verdict {
    if facts.node("/usr/bin/apt-get") == Read::Absent {
        return Verdict::Inapplicable("packages are not apt's here".to_owned());
    }
    let main = facts.texts.get("/etc/apt/sources.list").map(|text| ("/etc/apt/sources.list", text));
    let sources = main.into_iter().chain(facts.texts_below("/etc/apt/sources.list.d"));
    let (mut found, mut missed, mut seen) = (Vec::new(), Vec::new(), 0u32);
    for (path, text) in sources.chain(apt(facts)) {
        let text = match text {
            Read::Known(text) => text.to_lowercase(),
            Read::Unknown(why) => {
                missed.push(format!("{path}: {why}"));
                continue;
            }
            Read::Absent => continue,
        };
        seen = seen.saturating_add(1);
        for (number, line) in lines(&text) {
            let squeezed: String = line.chars().filter(|character| !character.is_whitespace()).collect();
            let trusts = squeezed.contains("trusted=yes") || squeezed.starts_with("trusted:yes");
            let unsigned =
                ["allowunauthenticated", "allowinsecurerepositories", "allow-insecure", "allow-weak"];
            let allows = unsigned.iter().any(|word| squeezed.contains(word))
                && !squeezed.contains("\"false\"")
                && !squeezed.contains("\"0\"");
            if trusts || allows {
                found.push(format!("{path}:{}", number.saturating_add(1)));
            }
        }
    }
    none_of(&found, &missed, format!("{seen} files"))
}

fn restart(facts: &Facts) -> Verdict {
    if matches!(facts.node("/run/reboot-required"), Read::Known(_)) {
        return Verdict::fail("/run/reboot-required says so");
    }
    let release = match facts.line("/proc/sys/kernel/osrelease") {
        Read::Known(release) => release,
        Read::Absent => return Verdict::Unknown("the running kernel was not read".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why),
    };
    let started = facts.text("/proc/stat").known().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<i64>().ok()
    });
    let Some(started) = started else {
        return Verdict::Unknown("the time of the start was not read".to_owned());
    };
    let kernels: Vec<_> = facts
        .nodes_below("/boot")
        .filter_map(|(path, node)| Some((path.strip_prefix("/boot/vmlinuz-")?, node.known()?)))
        .collect();
    if kernels.is_empty() {
        return Verdict::Unknown("no kernel is installed in /boot: it was started from elsewhere".to_owned());
    }
    let newer: Vec<String> = kernels
        .iter()
        .filter(|(name, node)| *name != release && node.modified > started)
        .map(|(name, _)| format!("{name} was installed after {release} was started"))
        .collect();
    none(&newer, format!("{release}, and none newer since it was started"))
}

/// What kind of container this is, if there is a sign of one.
///
/// The first namespaces of processes and users have these numbers in every kernel (include/linux/proc_ns.h): who is in both
/// is in no container, whatever a file from an image says.
pub(crate) fn container(facts: &Facts) -> Option<String> {
    let first = [("pid", "pid:[4026531836]"), ("user", "user:[4026531837]")];
    if first.iter().all(|(kind, name)| facts.line(&format!("/proc/self/ns/{kind}")) == Read::Known(*name)) {
        return None;
    }
    if let Read::Known(kind) = facts.line("/run/systemd/container") {
        return Some(kind.to_owned());
    }
    if matches!(facts.node("/.dockerenv"), Read::Known(_)) {
        return Some("Docker".to_owned());
    }
    if matches!(facts.node("/run/.containerenv"), Read::Known(_)) {
        return Some("Podman".to_owned());
    }
    let cgroup = facts.text("/proc/1/cgroup");
    let signs = ["docker", "kubepods", "libpod", "/lxc", "containerd"];
    if let Some(sign) = cgroup.known().and_then(|text| signs.iter().find(|sign| text.contains(*sign))) {
        return Some(format!("control group of {}", sign.trim_start_matches('/')));
    }
    let release = facts.line("/proc/sys/kernel/osrelease");
    release.known().is_some_and(|text| text.to_lowercase().contains("microsoft")).then(|| "WSL".to_owned())
}

/// What kind of virtual machine this is, if there is a sign of one.
pub(crate) fn machine(facts: &Facts) -> Option<String> {
    const VENDORS: &[&str] = &[
        "QEMU",
        "KVM",
        "VMware",
        "VirtualBox",
        "innotek",
        "Xen",
        "Bochs",
        "Parallels",
        "Amazon EC2",
        "Google Compute",
        "Microsoft Corporation Virtual",
        "OpenStack",
        "DigitalOcean",
        "Hetzner",
        "Firecracker",
        "Alibaba",
        "Scaleway",
        "OracleCloud",
    ];
    if let Read::Known(kind) = facts.line("/sys/hypervisor/type") {
        return Some(kind.to_owned());
    }
    let name = ["sys_vendor", "product_name"]
        .iter()
        .filter_map(|name| {
            facts.line(&format!("/sys/class/dmi/id/{name}")).known().map(|text| (*text).to_owned())
        })
        .collect::<Vec<_>>()
        .join(" ");
    if VENDORS.iter().any(|vendor| name.contains(vendor)) {
        return Some(name);
    }
    let flags = facts.text("/proc/cpuinfo");
    let flags = flags.known().and_then(|text| text.lines().find(|line| line.starts_with("flags")));
    flags
        .is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
        .then(|| "the processor says so".to_owned())
}
