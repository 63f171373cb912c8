//! Where Claw and the host touch.

use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::{nodes, none, none_of};
use crate::facts::{Agent, Facts, Kind, Node};
use crate::mounts::mounts;
use crate::read::Read;
use crate::spelled::quoted;

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "claw-path",
        area: Area::Runtime,
        severity: Severity::Critical,
        title: "nobody but its owner can replace claw",
        reads: "the path of the running program, each part up to /",
        meaning: "whoever may write one of these parts decides what runs as the wall around every agent",
        mend: "install -o root -g root -m 755 claw /usr/local/bin/claw",
        reference: "path_resolution(7)",
        judge: |facts| program(facts, writable, "nobody else may write"),
    },
    Check {
        id: "claw-owner",
        area: Area::Runtime,
        severity: Severity::High,
        title: "claw belongs to root",
        reads: "the path of the running program, each part up to /",
        meaning: "every program of that user, an agent's tools outside a sandbox among them, can replace the runtime",
        mend: "install -o root -g root -m 755 claw /usr/local/bin/claw",
        reference: "path_resolution(7)",
        judge: |facts| program(facts, |node| node.user != 0, "all root's"),
    },
    Check {
        id: "claw-state",
        area: Area::Runtime,
        severity: Severity::High,
        title: "nobody else reads or writes the ledgers",
        reads: "$XDG_STATE_HOME/claw",
        meaning: "ledgers tell what agents reached, and who may write the directory can take one away",
        mend: "chmod -R go= ~/.local/state/claw",
        reference: "docs/ledger.md; XDG Base Directory Specification",
        judge: |facts| claw(facts, [&facts.claw.state], |node| node.mode & 0o077 != 0),
    },
    Check {
        id: "claw-trust",
        area: Area::Runtime,
        severity: Severity::Critical,
        title: "nobody else decides which policies are trusted",
        reads: "$XDG_CONFIG_HOME/claw and trusted-policies in it",
        meaning: "an entry there lets a repository grant itself egress",
        mend: "chmod -R go= ~/.config/claw",
        reference: "docs/tasks/trust-a-policy.md",
        judge: |facts| claw(facts, [&facts.claw.config, &facts.claw.trusted], |node| node.mode & 0o022 != 0),
    },
    Check {
        id: "claw-sockets",
        area: Area::Runtime,
        severity: Severity::High,
        title: "the control sockets of runs are their users'",
        reads: "listening UNIX sockets named @claw/USER/RUN and who made them (sock_diag)",
        meaning: "somebody stands where a run is asked for its state; claw checks the other side's user and refuses, and you should know who it is",
        mend: "ss -xlp | grep @claw/ # then end the process that is named",
        reference: "unix(7), SO_PEERCRED",
        judge: sockets,
    },
    Check {
        id: "claw-as-root",
        area: Area::Runtime,
        severity: Severity::Medium,
        title: "claw runs as an ordinary user",
        reads: "running programs named claw, and their users",
        meaning: "the agent keeps user 0 without capabilities: a flaw in the kernel's check of one is worth more",
        mend: "useradd --create-home agents && runuser -u agents -- claw run …",
        reference: "docs/host-setup.md",
        judge: |facts| match &facts.processes {
            Read::Known(all) => {
                let runs: Vec<_> =
                    all.iter().filter(|process| process.name == "claw" && process.pid != facts.own).collect();
                if runs.is_empty() {
                    return Verdict::Inapplicable("no run goes on".to_owned());
                }
                let root = runs.iter().filter(|process| process.user == 0);
                let root: Vec<String> = root.map(|process| format!("process {}", process.pid)).collect();
                none(&root, format!("{} processes, none of root's", runs.len()))
            }
            Read::Absent => Verdict::Unknown("the processes were not read".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why.clone()),
        },
    },
    Check {
        id: "agents-confined",
        area: Area::Runtime,
        severity: Severity::Critical,
        title: "running agents have no capability, no new privileges, and a filter",
        reads: "/proc/PID/status of every process in a sandbox of claw",
        meaning: "the kernel does not hold what claw asked for",
        mend: "kill PID # of its claw, seen with claw top; then: claw doctor",
        reference: "proc_pid_status(5); docs/sandbox.md",
        judge: |facts| {
            agents(facts, |agent| {
                let confined = agent.capabilities == 0 && agent.no_new_privileges && agent.seccomp == 2;
                Ok((!confined).then(|| {
                    format!(
                        "CapEff {:x}, NoNewPrivs {}, Seccomp {}",
                        agent.capabilities,
                        u8::from(agent.no_new_privileges),
                        agent.seccomp
                    )
                }))
            })
        },
    },
    Check {
        id: "agents-apart",
        area: Area::Runtime,
        severity: Severity::Critical,
        title: "running agents share no namespace with the host",
        reads: "/proc/PID/ns/{cgroup,ipc,mnt,net,pid,user,uts}",
        meaning: "an agent in the host's network or processes has walked past the gate",
        mend: "kill PID # of its claw, seen with claw top; then: claw doctor",
        reference: "namespaces(7); docs/sandbox.md",
        judge: |facts| {
            agents(facts, |agent| match &agent.shared {
                Read::Known(shared) if shared.is_empty() => Ok(None),
                Read::Known(shared) => {
                    Ok(Some(format!("shares {}", shared.iter().cloned().collect::<Vec<_>>().join(", "))))
                }
                Read::Absent => Ok(None),
                Read::Unknown(why) => Err(why.clone()),
            })
        },
    },
    Check {
        id: "agents-mounts",
        area: Area::Runtime,
        severity: Severity::High,
        title: "running agents write no place that the host's own programs trust",
        reads: "/proc/PID/mountinfo of every process in a sandbox of claw, against the host's",
        meaning: "what the policy lets the agent write there, root or a person outside executes or believes later",
        mend: "claw policy check agent_runtime.yaml # then take the path out of filesystem.write",
        reference: "docs/policy.md; mount_namespaces(7)",
        judge: |facts| agents(facts, |agent| shared_mounts(facts, agent)),
    },
    Check {
        id: "set-user-id",
        area: Area::Runtime,
        severity: Severity::High,
        title: "only known programs change the user",
        reads: "files with the set-user-id bit on every local file system of the tree",
        meaning: "a program outside a sandbox becomes root through it; inside, the bit does nothing",
        mend: "chmod u-s FILE # for each that is named and that no package of yours needs",
        reference: "CIS Debian Linux 12 Benchmark; execve(2)",
        judge: |facts| walked(facts, &unexpected(&facts.walk.setuid, SETUID), Some("chmod u-s")),
    },
    Check {
        id: "set-user-id-writable",
        area: Area::Runtime,
        severity: Severity::Critical,
        title: "no program that changes the user can be written by others",
        reads: "files with the set-user-id bit on every local file system of the tree",
        meaning: "whoever may write it is root, or the file's owner",
        mend: "chmod go-w,u-s FILE # for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            let bad: Vec<String> = facts
                .walk
                .setuid
                .iter()
                .filter(|(_, node)| node.mode & 0o022 != 0)
                .map(|(path, node)| format!("{path} ({})", node.show()))
                .collect();
            walked(facts, &bad, None)
        },
    },
    Check {
        id: "set-group-id",
        area: Area::Runtime,
        severity: Severity::Medium,
        title: "only known programs change the group",
        reads: "files with the set-group-id bit on every local file system of the tree",
        meaning: "a program outside a sandbox joins a group that may read secrets or devices",
        mend: "chmod g-s FILE # for each that is named and that no package of yours needs",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| walked(facts, &unexpected(&facts.walk.setgid, SETGID), Some("chmod g-s")),
    },
    Check {
        id: "file-capabilities",
        area: Area::Runtime,
        severity: Severity::Medium,
        title: "only known programs are given capabilities",
        reads: "security.capability of executable files of the whole tree",
        meaning: "a program outside a sandbox has a part of root's power for the asking",
        mend: "setcap -r FILE # for each that is named and that no package of yours needs",
        reference: "capabilities(7), File capabilities",
        judge: |facts| {
            let bad: Vec<String> = facts
                .walk
                .capable
                .iter()
                .filter(|(path, set)| !may_have(path, *set))
                .map(|(path, _)| path.clone())
                .collect();
            walked(facts, &bad, Some("setcap -r"))
        },
    },
    Check {
        id: "shared-memory",
        area: Area::Runtime,
        severity: Severity::Medium,
        title: "no shared memory is open to everybody",
        reads: "/proc/sysvipc/shm",
        meaning: "programs of different users read and write each other's memory; claw's sandboxes have an IPC namespace of their own",
        mend: "ipcrm -m ID # for each that is named, if its owner is gone",
        reference: "sysvipc(7); proc(5)",
        judge: shared_memory,
    },
    Check {
        id: "shared-memory-files",
        area: Area::Runtime,
        severity: Severity::Medium,
        title: "no file of shared memory is open to everybody",
        reads: "/dev/shm/*",
        meaning: "the same by another door: any user changes what another program takes for its own",
        mend: "chmod o-rw FILE # for each that is named",
        reference: "shm_overview(7)",
        judge: |facts| {
            let bad = |node: &Node| node.kind == Kind::File && node.mode & 0o006 != 0;
            nodes(facts.nodes_below("/dev/shm"), bad, "/dev/shm is empty or not there")
        },
    },
    Check {
        id: "device-memory",
        area: Area::Runtime,
        severity: Severity::Critical,
        title: "memory and ports of the machine are root's",
        reads: "/dev/mem, /dev/kmem, /dev/port",
        meaning: "reading them is reading every agent, every key, and the kernel",
        mend: "chown root:kmem /dev/mem /dev/port && chmod 640 /dev/mem /dev/port",
        reference: "mem(4)",
        judge: |facts| {
            devices(facts, &["/dev/mem", "/dev/kmem", "/dev/port"], |node| {
                node.user != 0 || node.mode & 0o026 != 0
            })
        },
    },
    Check {
        id: "device-disks",
        area: Area::Runtime,
        severity: Severity::Critical,
        title: "disks are read and written by root only",
        reads: "block devices in /dev",
        meaning: "whoever opens the device reads and writes every file below all rights and walls",
        mend: "chown root:disk DEVICE && chmod 660 DEVICE # for each that is named",
        reference: "path_resolution(7), udev(7)",
        judge: |facts| {
            let disks = facts
                .nodes_below("/dev")
                .filter(|(_, node)| node.known().is_none_or(|node| node.kind == Kind::Block));
            nodes(disks, |node| node.user != 0 || node.mode & 0o006 != 0, "there are no block devices")
        },
    },
    Check {
        id: "device-machines",
        area: Area::Runtime,
        severity: Severity::Medium,
        title: "not everybody starts virtual machines or plays the keyboard",
        reads: "/dev/kvm, /dev/uinput, /dev/tpm0, /dev/tpmrm0",
        meaning: "kernel code of great width, keys of the TPM, or the keyboard of who sits there, open to every program",
        mend: "chmod o= /dev/kvm /dev/uinput /dev/tpm0 /dev/tpmrm0",
        reference: "kernel: Documentation/virt/kvm/api.rst",
        judge: |facts| {
            devices(facts, &["/dev/kvm", "/dev/uinput", "/dev/tpm0", "/dev/tpmrm0"], |node| {
                node.mode & 0o006 != 0
            })
        },
    },
];

/// What Debian, Fedora and their kin install with the set-user-id bit.
const SETUID: &[&str] = &[
    "at",
    "bwrap",
    "chage",
    "chfn",
    "chrome-sandbox",
    "chsh",
    "crontab",
    "dbus-daemon-launch-helper",
    "doas",
    "fusermount",
    "fusermount3",
    "gpasswd",
    "grub2-set-bootflag",
    "mount",
    "mount.cifs",
    "mount.nfs",
    "newgidmap",
    "newgrp",
    "newuidmap",
    "ntfs-3g",
    "pam_timestamp_check",
    "passwd",
    "ping",
    "ping6",
    "pkexec",
    "polkit-agent-helper-1",
    "pppd",
    "snap-confine",
    "ssh-keysign",
    "su",
    "sudo",
    "sudoedit",
    "umount",
    "unix_chkpwd",
    "userhelper",
    "vmware-user-suid-wrapper",
    "Xorg.wrap",
];

/// The same for set-group-id.
const SETGID: &[&str] = &[
    "bsd-write",
    "camel-lock-helper-1.2",
    "chage",
    "crontab",
    "dotlockfile",
    "expiry",
    "lockdev",
    "mail-lock",
    "mail-touchlock",
    "mail-unlock",
    "mlock",
    "pam_extrausers_chkpwd",
    "plocate",
    "locate",
    "mlocate",
    "postdrop",
    "postqueue",
    "screen",
    "ssh-agent",
    "unix_chkpwd",
    "utempter",
    "wall",
    "write",
    "write.ul",
];

/// The same for capabilities, each with those that it is given.
const CAPABLE: &[(&str, &[u32])] = &[
    ("arping", &[NET_RAW]),
    ("clockdiff", &[NET_RAW]),
    ("dumpcap", &[NET_ADMIN, NET_RAW]),
    ("fping", &[NET_RAW]),
    ("gst-ptp-helper", &[NET_BIND_SERVICE, NET_ADMIN, SYS_NICE]),
    ("mtr-packet", &[NET_RAW]),
    ("newgidmap", &[SET_GROUP]),
    ("newuidmap", &[SET_USER]),
    ("ping", &[NET_RAW]),
    ("suexec", &[SET_GROUP, SET_USER]),
];

// include/uapi/linux/capability.h
const SET_GROUP: u32 = 6;
const SET_USER: u32 = 7;
const NET_BIND_SERVICE: u32 = 10;
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const SYS_NICE: u32 = 23;

/// Places that the host's own programs execute or believe.
const TRUSTED: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev/shm",
    "/etc",
    "/home",
    "/lib",
    "/opt",
    "/proc/sys",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
    "/var/lib",
    "/var/run",
    "/var/spool",
];

/// Writable by somebody who neither owns it nor is root; a sticky directory keeps its entries for their owners.
fn writable(node: &Node) -> bool {
    let sticky = node.kind == Kind::Directory && node.mode & 0o1000 != 0;
    !sticky && (node.mode & 0o002 != 0 || (node.mode & 0o020 != 0 && node.group != 0))
}

fn program(facts: &Facts, bad: fn(&Node) -> bool, good: &str) -> Verdict {
    match &facts.claw.program {
        Read::Known(parts) => {
            let found: Vec<String> = parts
                .iter()
                .filter(|(_, node)| bad(node))
                .map(|(path, node)| format!("{path} ({})", node.show()))
                .collect();
            let path = parts.last().map(|(path, _)| path.as_str()).unwrap_or_default();
            none(&found, format!("{path}: {good}"))
        }
        Read::Absent => Verdict::Inapplicable("claw is not installed in this tree".to_owned()),
        Read::Unknown(why) => Verdict::Unknown(why.clone()),
    }
}

fn claw<const N: usize>(
    facts: &Facts,
    places: [&(String, Read<Node>); N],
    bad: fn(&Node) -> bool,
) -> Verdict {
    if !facts.live {
        return Verdict::Inapplicable(
            "the state of claw belongs to a user, not to a tree of files".to_owned(),
        );
    }
    nodes(places.iter().map(|(path, node)| (path.as_str(), node)), bad, "it does not exist yet")
}

fn sockets(facts: &Facts) -> Verdict {
    let all = match &facts.abstracts {
        Read::Known(all) => all,
        Read::Absent => return Verdict::Unknown("the sockets were not read".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why.clone()),
    };
    let (mut found, mut missed, mut seen) = (Vec::new(), Vec::new(), 0u32);
    for (name, user) in all {
        if !name.starts_with("claw/") {
            continue;
        }
        seen = seen.saturating_add(1);
        match user {
            _ if owned(name, *user) => {}
            Some(user) => found.push(format!("@{name} was made by user {user}")),
            None => missed.push(format!("@{name}: the kernel does not tell whose it is")),
        }
    }
    if seen == 0 {
        return Verdict::Inapplicable("no run goes on".to_owned());
    }
    none_of(&found, &missed, format!("{seen} sockets"))
}

/// Whether a socket is the control socket of a run, by `@claw/USER/RUN` and made by that user.
pub(crate) fn owned(name: &str, user: Option<u32>) -> bool {
    let named = name.strip_prefix("claw/").and_then(|rest| rest.split_once('/'));
    named.is_some_and(|(named, run)| !run.is_empty() && named.parse().ok() == user && user.is_some())
}

fn agents(facts: &Facts, bad: impl Fn(&Agent) -> Result<Option<String>, String>) -> Verdict {
    let all = match &facts.agents {
        Read::Known(all) if all.is_empty() && facts.strangers.is_empty() => {
            return Verdict::Inapplicable("no agent runs".to_owned());
        }
        Read::Known(all) => all,
        Read::Absent => return Verdict::Unknown("the processes were not read".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why.clone()),
    };
    let (mut found, mut missed) = (Vec::new(), facts.strangers.clone());
    for agent in all {
        match bad(agent) {
            Ok(Some(what)) => found.push(format!("process {} ({}): {what}", agent.pid, agent.name)),
            Ok(None) => {}
            Err(why) => missed.push(format!("process {}: {why}", agent.pid)),
        }
    }
    none_of(&found, &missed, format!("{} processes", all.len()))
}

/// A writable mount inside that shows a trusted place of the host's file systems.
fn shared_mounts(facts: &Facts, agent: &Agent) -> Result<Option<String>, String> {
    let own = match facts.text("/proc/self/mountinfo") {
        Read::Known(text) => mounts(text),
        Read::Absent => return Err("the host's mounts were not read".to_owned()),
        Read::Unknown(why) => return Err(why),
    };
    let inside = match &agent.mounts {
        Read::Known(text) => mounts(text),
        Read::Absent => return Ok(None),
        Read::Unknown(why) => return Err(why.clone()),
    };
    let mut found = Vec::new();
    for mount in inside.iter().filter(|mount| mount.has("rw")) {
        // where the host sees the same part of the same file system
        for outer in own.iter().filter(|outer| outer.device == mount.device) {
            let Some(rest) = mount.root.strip_prefix(outer.root.trim_end_matches('/')) else { continue };
            let place = format!("{}{rest}", outer.place.trim_end_matches('/'));
            let place = if place.len() > 1 { place.trim_end_matches('/') } else { "/" };
            if TRUSTED.contains(&place) {
                found.push(format!("{place} at {}", mount.place));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok((!found.is_empty()).then(|| format!("writes {}", found.join(", "))))
}

fn unexpected(files: &[(String, Node)], known: &[&str]) -> Vec<String> {
    let foreign = |(path, _): &&(String, Node)| !packaged(path).is_some_and(|name| known.contains(&name));
    files.iter().filter(foreign).map(|(path, _)| path.clone()).collect()
}

/// The name of a file where packages put it: elsewhere a known name counts for nothing.
fn packaged(path: &str) -> Option<&str> {
    let packages = ["/usr/", "/bin/", "/sbin/"].iter().any(|place| path.starts_with(place));
    (packages && !path.starts_with("/usr/local/")).then(|| path.rsplit('/').next())?
}

/// Whether a file is one that is given capabilities, and has no other.
fn may_have(path: &str, set: u64) -> bool {
    let known = packaged(path).and_then(|name| CAPABLE.iter().find(|(known, _)| *known == name));
    known.is_some_and(|(_, given)| given.iter().fold(set, |left, one| left & !(1 << one)) == 0)
}

/// What a walk found, and what it could not look at. With a command, the mend names each path.
pub(crate) fn walked(facts: &Facts, found: &[String], command: Option<&str>) -> Verdict {
    walked_but(facts, found, &facts.walk.missed, command)
}

/// The same where not everything that was missed matters.
pub(crate) fn walked_but(
    facts: &Facts,
    found: &[String],
    missed: &[String],
    command: Option<&str>,
) -> Verdict {
    let walk = &facts.walk;
    if walk.entries == 0 {
        return Verdict::Unknown(format!("there is nothing in {}", walk.places));
    }
    match (none_of(found, missed, format!("{} files of {}", walk.entries, walk.places)), command) {
        (Verdict::Fail { seen, .. }, Some(command)) => Verdict::fail_with(seen, mended(command, found)),
        (verdict, _) => verdict,
    }
}

/// Paths that one command names.
const MOST_MENDED: usize = 16;

/// The command for each path; setcap(8) wants its word again for each.
fn mended(command: &str, found: &[String]) -> String {
    let again = if command.ends_with(" -r") { " -r " } else { " " };
    // a name that is not UTF-8 cannot be written here
    let named: Vec<&String> = found.iter().filter(|path| !path.contains('\u{fffd}')).collect();
    let paths: Vec<String> = named.iter().take(MOST_MENDED).map(|path| quoted(path)).collect();
    let rest = match found.len().saturating_sub(paths.len()) {
        0 => String::new(),
        rest => format!(" # and {rest} more"),
    };
    if paths.is_empty() {
        return format!("{command} FILE # for each that is named; the names are not UTF-8");
    }
    let dashes = if again == " " { " --" } else { "" };
    format!("{command}{dashes} {}{rest}", paths.join(again))
}

fn devices(facts: &Facts, paths: &[&str], bad: fn(&Node) -> bool) -> Verdict {
    let named = paths.iter().filter_map(|path| Some((*path, facts.nodes.get(*path)?)));
    nodes(named, bad, "there are no such devices")
}

/// key, shmid, perms (octal), size, cpid, lpid, nattch, uid … (proc_sysvipc(5))
fn shared_memory(facts: &Facts) -> Verdict {
    let text = match facts.text("/proc/sysvipc/shm") {
        Read::Known(text) => text,
        Read::Absent => return Verdict::Inapplicable("this kernel has no such memory".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why),
    };
    let (mut found, mut seen) = (Vec::new(), 0u32);
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, id, mode, _, _, _, _, user, ..] = fields.as_slice() else { continue };
        seen = seen.saturating_add(1);
        if u32::from_str_radix(mode, 8).is_ok_and(|mode| mode & 0o006 != 0) {
            found.push(format!("segment {id} (mode {mode}, user {user})"));
        }
    }
    none(&found, format!("{seen} segments"))
}
