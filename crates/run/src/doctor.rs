//! What this kernel can enforce, what each missing feature costs, and how to get it.

use std::fs;
use std::path::Path;

use claw_plan::Limits;
use claw_sys::probe;
use serde::Serialize;

use crate::ima::{self, Presence};

/// One feature of the kernel.
#[derive(Debug, Clone, Serialize)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// Whether it is there.
    pub status: Status,
    /// What was seen.
    pub seen: String,
    /// What is lost without it.
    pub cost: &'static str,
    /// How to get it.
    pub remedy: &'static str,
}

/// Whether a feature is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    Ok,
    /// It is not, and `claw run` refuses to run.
    Missing,
    /// It is not, and only what asks for it is refused.
    Absent,
}

/// Looks at every feature but the sandbox as a whole, which the caller tries by running one.
pub fn features() -> Vec<Feature> {
    vec![
        user_namespaces(),
        landlock(),
        overlay(),
        seccomp(),
        ipv6(),
        control_groups(),
        apparmor(),
        measurements(),
        attributes(),
    ]
}

fn user_namespaces() -> Feature {
    let tried = probe::user_namespaces();
    let mut seen = match &tried {
        Ok(()) => "a user namespace with a network namespace was made".to_owned(),
        Err(error) => error.to_string(),
    };
    for switch in [
        "user/max_user_namespaces",
        "kernel/unprivileged_userns_clone",
        "kernel/apparmor_restrict_unprivileged_userns",
    ] {
        if let Ok(value) = fs::read_to_string(Path::new("/proc/sys").join(switch)) {
            seen.push_str(&format!("; {} = {}", switch.replace('/', "."), value.trim()));
        }
    }
    Feature {
        name: "user namespaces",
        status: if tried.is_ok() { Status::Ok } else { Status::Missing },
        seen,
        cost: "no sandbox can be built",
        remedy: "sysctl user.max_user_namespaces=16384, and where they exist kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0; in a container, allow unshare in its seccomp profile",
    }
}

fn landlock() -> Feature {
    let abi = probe::landlock_abi();
    Feature {
        name: "landlock",
        status: if abi >= 3 { Status::Ok } else { Status::Missing },
        seen: format!("ABI {abi}"),
        cost: "the second wall around files is missing, so nothing is run; below ABI 6 (Linux 6.12), an agent can signal the process group that it was started in",
        remedy: "Linux 6.2 or later with CONFIG_SECURITY_LANDLOCK=y and `landlock` in the lsm= boot parameter",
    }
}

fn overlay() -> Feature {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let there = known.lines().any(|line| line.trim_start().trim_start_matches("nodev").trim() == "overlay");
    Feature {
        name: "overlayfs",
        status: if there { Status::Ok } else { Status::Missing },
        seen: if there { "registered" } else { "not registered (a module may still be loaded on demand)" }
            .to_owned(),
        cost: "host directories cannot be shown without their sockets",
        remedy: "CONFIG_OVERLAY_FS, Linux 5.11 or later for use in user namespaces; modprobe overlay",
    }
}

fn seccomp() -> Feature {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let there = actions.contains("errno") && actions.contains("kill_process");
    Feature {
        name: "seccomp filters",
        status: if there { Status::Ok } else { Status::Missing },
        seen: actions.trim().to_owned(),
        cost: "no system call can be refused",
        remedy: "CONFIG_SECCOMP_FILTER=y",
    }
}

fn ipv6() -> Feature {
    let there = Path::new("/proc/sys/net/ipv6").exists();
    Feature {
        name: "ipv6",
        status: if there { Status::Ok } else { Status::Missing },
        seen: if there { "available" } else { "disabled in the kernel" }.to_owned(),
        cost: "the sandbox's own network has both families; without IPv6 it cannot be built",
        remedy: "boot without ipv6.disable=1 (the host itself may keep IPv6 off by sysctl)",
    }
}

fn control_groups() -> Feature {
    let limits = Limits { memory: Some(1 << 30), pids: Some(64), cpu: Some(1.0) };
    let name = format!("claw-doctor-{}", std::process::id());
    let tried = claw_enforce::Cgroup::make(&name, &limits);
    Feature {
        name: "control groups",
        status: if tried.is_ok() { Status::Ok } else { Status::Absent },
        seen: match &tried {
            Ok(_) => "memory, pids and cpu can be limited".to_owned(),
            Err(error) => error.to_string(),
        },
        cost: "policies with `process.limits` are refused (exit 125); others run",
        remedy: "run in a delegated cgroup: systemd-run --user --scope -p Delegate=yes claw run …",
    }
}

/// Whether the agent's profile is loaded is seen by entering it, in a child that ends at once.
fn apparmor() -> Feature {
    let own = claw_enforce::apparmor::own();
    let entered = claw_enforce::apparmor::try_profile();
    let there = matches!(&entered, Ok(now) if now.starts_with(claw_enforce::apparmor::PROFILE));
    let mut seen = match entered {
        Ok(now) if there => format!("the agent gets {now}"),
        Ok(why) => why,
        Err(error) => error.to_string(),
    };
    if let Some(own) = own {
        seen.push_str(&format!("; claw itself is {own}"));
    }
    Feature {
        name: "apparmor",
        status: if there { Status::Ok } else { Status::Absent },
        seen,
        cost: "one wall less around the agent; the others hold",
        remedy: "a kernel with AppArmor, and as root: apparmor_parser -r packaging/apparmor/claw-agent packaging/apparmor/claw (docs/apparmor.md)",
    }
}

fn measurements() -> Feature {
    let presence = ima::presence();
    Feature {
        name: "ima",
        status: if presence == Presence::Readable { Status::Ok } else { Status::Absent },
        seen: match presence {
            Presence::Absent => "not in this kernel".to_owned(),
            Presence::Hidden => "securityfs is not mounted".to_owned(),
            Presence::Private => "in this kernel; its list is for root alone".to_owned(),
            Presence::Readable => ima::measured().unwrap_or_else(|error| error.to_string()),
        },
        cost: "under `exec: listed`, a file that is changed and changed back outside is not noticed; what is executed is compared all the same",
        remedy: "boot with ima_policy=tcb ima_hash=sha256, mount securityfs, run claw as root (docs/executables.md)",
    }
}

fn attributes() -> Feature {
    let evm = ima::evm();
    Feature {
        name: "evm",
        status: if evm.as_ref().is_some_and(|words| !words.starts_with("off")) {
            Status::Ok
        } else {
            Status::Absent
        },
        seen: evm.unwrap_or_else(|| "not in this kernel, or not told to this user".to_owned()),
        cost: "the kernel does not vouch for the security attributes of files; Claw relies on none",
        remedy: "load a key for EVM (CONFIG_EVM; /sys/kernel/security/evm)",
    }
}
