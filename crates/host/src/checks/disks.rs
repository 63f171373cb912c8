//! What is stored, and how it is mounted.

use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::runtime::{walked, walked_but};
use crate::checks::{nodes, none};
use crate::facts::{Facts, Kind};
use crate::mounts::{Mount, at, mounts};
use crate::read::Read;

const MOUNTS: &str = "/proc/self/mountinfo";

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "root-immutable",
        area: Area::Disks,
        severity: Severity::Low,
        title: "the system itself cannot be changed",
        reads: "/proc/self/mountinfo, /sys/block/dm-*/dm/uuid",
        meaning: "what an intruder puts into the system stays there over every restart",
        mend: "systemd-repart --help # an image with dm-verity; or `ro` for / in /etc/fstab with a writable /var",
        reference: "kernel: Documentation/admin-guide/device-mapper/verity.rst",
        judge: immutable,
    },
    Check {
        id: "disk-encryption",
        area: Area::Disks,
        severity: Severity::Medium,
        title: "the disk is read by this host only",
        reads: "/proc/self/mountinfo, /sys/block/dm-*/dm/uuid",
        meaning: "who has the disk, or a copy of it, has ledgers, keys and what agents wrote",
        mend: "e2fsck -f DEVICE && resize2fs DEVICE SIZE && cryptsetup reencrypt --encrypt --reduce-device-size 32M DEVICE # from a rescue system, with a backup; SIZE is 32 MiB less than the device has: without it the end of the file system is cut off. Then /etc/crypttab, /etc/fstab and update-initramfs -u",
        reference: "cryptsetup-reencrypt(8)",
        judge: encryption,
    },
    Check {
        id: "tmp-mount",
        area: Area::Disks,
        severity: Severity::Medium,
        title: "/tmp holds no devices and no programs that change the user",
        reads: MOUNTS,
        meaning: "every program may write there: with the bit of set-user-id a file from an agent's result becomes a way to its owner",
        mend: "printf 'tmpfs /tmp tmpfs mode=1777,nosuid,nodev,noexec 0 0\\n' >> /etc/fstab && mount /tmp # hides what is in /tmp now; programs that run from /tmp need TMPDIR elsewhere",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| options(facts, "/tmp", &["nosuid", "nodev", "noexec"]),
    },
    Check {
        id: "var-tmp-mount",
        area: Area::Disks,
        severity: Severity::Low,
        title: "/var/tmp holds no devices and no programs that change the user",
        reads: MOUNTS,
        meaning: "the same as /tmp, and it stays over a restart",
        mend: "printf '/var/tmp /var/tmp none bind,nosuid,nodev,noexec 0 0\\n' >> /etc/fstab && mount /var/tmp",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| options(facts, "/var/tmp", &["nosuid", "nodev", "noexec"]),
    },
    Check {
        id: "shm-mount",
        area: Area::Disks,
        severity: Severity::Medium,
        title: "shared memory holds no programs",
        reads: MOUNTS,
        meaning: "every program may write there, and nothing of it is on a disk to be found later",
        mend: "printf 'tmpfs /dev/shm tmpfs nosuid,nodev,noexec 0 0\\n' >> /etc/fstab && mount -o remount,nosuid,nodev,noexec /dev/shm",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| options(facts, "/dev/shm", &["nosuid", "nodev", "noexec"]),
    },
    Check {
        id: "home-mount",
        area: Area::Disks,
        severity: Severity::Low,
        title: "homes hold no devices and no programs that change the user",
        reads: MOUNTS,
        meaning: "agents write into workspaces in homes; those files keep no special power only if the mount says so",
        mend: "printf '/home /home none bind,nosuid,nodev 0 0\\n' >> /etc/fstab && mount /home",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| options(facts, "/home", &["nosuid", "nodev"]),
    },
    Check {
        id: "proc-of-others",
        area: Area::Disks,
        severity: Severity::Low,
        title: "users do not see each other's processes",
        reads: MOUNTS,
        meaning: "arguments of claw and of agents' tools, which often hold keys, are read by every user",
        mend: "printf 'proc /proc proc hidepid=invisible 0 0\\n' >> /etc/fstab && mount -o remount,hidepid=invisible /proc # it may hold for every mount of /proc on this machine, containers' too; claw host audit as an ordinary user sees less then",
        reference: "proc(5), hidepid",
        judge: |facts| {
            with_mounts(facts, |all| match at(all, "/proc") {
                Some(proc) => {
                    let option = proc.options.iter().find(|option| option.starts_with("hidepid="));
                    match option.and_then(|option| option.split_once('=')) {
                        Some((_, value @ ("1" | "2" | "4" | "noaccess" | "invisible" | "ptraceable"))) => {
                            Verdict::Pass(format!("hidepid={value}"))
                        }
                        _ => Verdict::fail("no hidepid"),
                    }
                }
                None => Verdict::Unknown("/proc is no mount".to_owned()),
            })
        },
    },
    Check {
        id: "debug-files",
        area: Area::Disks,
        severity: Severity::Low,
        title: "the kernel's debugging files are root's",
        reads: "/proc/self/mountinfo, /sys/kernel/debug, /sys/kernel/tracing",
        meaning: "they tell and change what no program needs",
        mend: "chmod 700 /sys/kernel/debug /sys/kernel/tracing # until the next start; for good: printf 'debugfs /sys/kernel/debug debugfs mode=700 0 0\\n' >> /etc/fstab, and tracefs alike",
        reference: "kernel: Documentation/filesystems/debugfs.rst",
        judge: |facts| {
            with_mounts(facts, |all| {
                let mounted = ["/sys/kernel/debug", "/sys/kernel/tracing"]
                    .into_iter()
                    .filter(|place| at(all, place).is_some());
                let named = mounted.filter_map(|path| Some((path, facts.nodes.get(path)?)));
                nodes(named, |node| node.mode & 0o007 != 0, "they are not mounted")
            })
        },
    },
    Check {
        id: "swap",
        area: Area::Disks,
        severity: Severity::Medium,
        title: "memory reaches the disk encrypted or not at all",
        reads: "/proc/swaps, /sys/block/dm-*/dm/uuid",
        meaning: "keys and prompts of agents lie on the disk after the process that held them is gone",
        mend: "swapoff -a && sed -i '/\\sswap\\s/d' /etc/fstab # or swap on an encrypted device: crypttab(5)",
        reference: "crypttab(5), swap",
        judge: swap,
    },
    Check {
        id: "open-directories",
        area: Area::Disks,
        severity: Severity::High,
        title: "where everybody writes, nobody takes another's files away",
        reads: "directories that anybody may write, on every local file system of the tree",
        meaning: "one agent's workspace, or a service's file, is replaced by any other program",
        mend: "chmod o-w DIRECTORY # or +t, for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| walked(facts, &facts.walk.open_directories, Some("chmod o-w")),
    },
    Check {
        id: "open-files",
        area: Area::Disks,
        severity: Severity::Critical,
        title: "files of the system are not everybody's to write",
        reads: "files below /bin, /boot, /etc, /lib*, /opt, /sbin, /usr that anybody may write",
        meaning: "the next program that root starts, or reads, is the writer's",
        mend: "chmod o-w FILE # for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            let walk = &facts.walk;
            walked_but(facts, &walk.open_files, &walk.missed_of_system, Some("chmod o-w"))
        },
    },
    Check {
        id: "services-writable",
        area: Area::Disks,
        severity: Severity::Critical,
        title: "what the system starts by itself is root's",
        reads: "/etc/systemd/system, /usr/lib/systemd/system, /etc/cron*, /etc/crontab, /etc/profile, /etc/profile.d",
        meaning: "whoever may write one of them is root at the next start, log-in or full hour",
        mend: "chown root:root FILE && chmod go-w FILE # for each that is named",
        reference: "systemd.unit(5); crontab(5); CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            let places = [
                "/etc/systemd/system",
                "/usr/lib/systemd/system",
                "/etc/cron.d",
                "/etc/cron.daily",
                "/etc/cron.hourly",
                "/etc/cron.weekly",
                "/etc/cron.monthly",
                "/etc/profile.d",
            ];
            let files = ["/etc/crontab", "/etc/profile"];
            let named = files.iter().filter_map(|path| Some((*path, facts.nodes.get(*path)?)));
            let listed = places.iter().flat_map(|place| facts.nodes_below(place));
            let bad = |node: &crate::facts::Node| {
                matches!(node.kind, Kind::File | Kind::Directory) && node.foreign()
            };
            nodes(listed.chain(named), bad, "there are none")
        },
    },
    Check {
        id: "preloaded-code",
        area: Area::Disks,
        severity: Severity::High,
        title: "no library is put into every program",
        reads: "/etc/ld.so.preload",
        meaning: "code in every process of the host, claw's gate among them",
        mend: "rm /etc/ld.so.preload",
        reference: "ld.so(8)",
        judge: |facts| match facts.line("/etc/ld.so.preload") {
            Read::Absent if facts.text("/etc/passwd") == Read::Absent => {
                Verdict::Unknown("there is no system to read".to_owned())
            }
            Read::Known("") | Read::Absent => Verdict::Pass("there is none".to_owned()),
            Read::Known(text) => Verdict::fail(text.replace('\n', ", ")),
            Read::Unknown(why) => Verdict::Unknown(why),
        },
    },
];

fn with_mounts(facts: &Facts, judge: impl Fn(&[Mount<'_>]) -> Verdict) -> Verdict {
    match facts.text(MOUNTS) {
        Read::Known(text) => judge(&mounts(text)),
        Read::Absent => Verdict::Unknown("the mounts were not read".to_owned()),
        Read::Unknown(why) => Verdict::Unknown(why),
    }
}

fn options(facts: &Facts, place: &str, wanted: &[&str]) -> Verdict {
    with_mounts(facts, |all| match at(all, place) {
        Some(mount) => {
            let missing: Vec<String> = wanted
                .iter()
                .filter(|option| !mount.has(option))
                .map(|option| format!("no {option}"))
                .collect();
            let mend = format!(
                "mount -o remount,{} {place} # until the next start; for good, the same words in its line of /etc/fstab, or of its systemd mount unit",
                wanted.join(",")
            );
            match none(&missing, wanted.join(", ")) {
                // shared memory has no line of its own to begin with
                Verdict::Fail { seen, mend: None } if place != "/dev/shm" => Verdict::fail_with(seen, mend),
                verdict => verdict,
            }
        }
        None => Verdict::fail("it is no mount of its own"),
    })
}

/// The device mapper's name of what is mounted: `CRYPT-LUKS2-…`, `CRYPT-VERITY-…`, `LVM-…`.
fn mapped<'a>(facts: &'a Facts, mount: &Mount<'_>) -> Option<&'a str> {
    let (_, minor) = mount.device.split_once(':')?;
    mapped_minor(facts, minor)
}

fn mapped_minor<'a>(facts: &'a Facts, minor: &str) -> Option<&'a str> {
    facts.texts.get(&format!("/sys/block/dm-{minor}/dm/uuid"))?.known().map(|text| text.trim())
}

fn immutable(facts: &Facts) -> Verdict {
    with_mounts(facts, |all| match at(all, "/") {
        Some(root) if mapped(facts, root).is_some_and(|name| name.starts_with("CRYPT-VERITY")) => {
            Verdict::Pass("/ is on dm-verity".to_owned())
        }
        Some(root) if root.has("ro") || matches!(root.kind, "squashfs" | "erofs") => {
            Verdict::Pass(format!("/ is read-only ({})", root.kind))
        }
        Some(root) => Verdict::fail(format!("/ is writable ({} on {})", root.kind, root.source)),
        None => Verdict::Unknown("there is no mount at /".to_owned()),
    })
}

fn encryption(facts: &Facts) -> Verdict {
    const NO_DISK: &[&str] = &["overlay", "virtiofs", "9p", "nfs", "nfs4", "tmpfs", "rootfs", "fuse"];
    with_mounts(facts, |all| {
        let Some(root) = at(all, "/") else { return Verdict::Unknown("there is no mount at /".to_owned()) };
        if NO_DISK.contains(&root.kind) || root.kind.starts_with("fuse.") {
            return Verdict::Unknown(format!("/ is {}: its disk cannot be seen from here", root.kind));
        }
        match mapped(facts, root) {
            Some(name) if name.starts_with("CRYPT-") && !name.starts_with("CRYPT-VERITY") => {
                Verdict::Pass(format!("/ is on {name}"))
            }
            Some(name) if name.starts_with("LVM-") => {
                Verdict::Unknown(format!("/ is on {name}; what is below the volume group is not followed"))
            }
            _ => Verdict::fail(format!(
                "/ is on {}, which is not encrypted here; the disk's own encryption cannot be seen",
                root.source
            )),
        }
    })
}

fn swap(facts: &Facts) -> Verdict {
    let text = match facts.text("/proc/swaps") {
        Read::Known(text) => text,
        Read::Absent => return Verdict::Inapplicable("this kernel has no swap".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why),
    };
    let encrypted = |device: &str| {
        device.starts_with("/dev/zram")
            || device
                .strip_prefix("/dev/dm-")
                .and_then(|minor| mapped_minor(facts, minor))
                .is_some_and(|name| name.starts_with("CRYPT-"))
    };
    let all: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let bad: Vec<String> =
        all.iter().filter(|device| !encrypted(device)).map(|device| (*device).to_owned()).collect();
    none(&bad, format!("{} swap areas, none in the clear", all.len()))
}
