//! The agent's own process gives up everything before it becomes the agent: capabilities, new privileges, files that
//! were not granted, system calls that are not listed.

use std::io;

use claw_plan::{Access, Grant, Plan};
use claw_sys::{capability, probe, process, resource};
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};

use crate::apparmor::AppArmor;
use crate::seccomp::{self, Program};
use crate::walls::{self, Wall};
use crate::words::{Applied, Failure, Step};

/// The filter is on.
pub(crate) struct Filtered(());

/// Puts the filter on. The standard one lets everything through that [`confine`] still does, so it can be put on before the tree
/// stands, while this process waits.
pub(crate) fn filter(plan: &Plan, standard: &Program) -> Result<Filtered, Failure> {
    let step = || "install the system call filter".to_owned();
    if walls::stands(Wall::Seccomp) {
        if is_standard(plan) {
            standard.install().step(step)?;
        } else {
            seccomp::of(plan).step(step)?.install().step(step)?;
        }
    }
    Ok(Filtered(()))
}

/// Whether the filter is the one for every run.
pub(crate) fn is_standard(plan: &Plan) -> bool {
    !(plan.broker || plan.calls.is_some() || plan.listed)
}

/// Confines this process for good. Order: Landlock needs open paths, and a filter of the plan's own may refuse the rest.
pub(crate) fn confine(
    plan: &Plan,
    (standard, filtered): (&Program, Option<Filtered>),
    apparmor: &AppArmor,
) -> Result<Applied, Failure> {
    resource::no_core_files().step(|| "forbid core files".to_owned())?;
    if walls::stands(Wall::Capabilities) {
        capability::drop_all().step(|| "drop capabilities".to_owned())?;
    }
    // order: with no_new_privs a profile could only be put beside the one that Claw itself has
    let apparmor = if walls::stands(Wall::AppArmor) { apparmor.enter()? } else { "not whole".to_owned() };
    if walls::stands(Wall::NoNewPrivileges) {
        process::no_new_privileges().step(|| "set no_new_privs".to_owned())?;
    }
    let landlock_abi = if walls::stands(Wall::Landlock) { landlock(&plan.landlock)? } else { 0 };
    if filtered.is_none() {
        filter(plan, standard)?;
    }
    if !walls::all_stand() {
        return Ok(Applied { landlock_abi, seccomp: "not whole".to_owned(), apparmor, ..Applied::default() });
    }
    let mut applied = Applied { apparmor, ..receipt(landlock_abi)? };
    if plan.broker {
        applied.seccomp.push_str(", connect brokered");
    }
    if plan.listed {
        applied.seccomp.push_str(", executables listed");
    }
    if plan.calls.is_some() {
        applied.seccomp.push_str(", ");
        applied.seccomp.push_str(&plan.seccomp);
    }
    Ok(applied)
}

/// The second wall: the same view as the mounts, held by another mechanism.
fn landlock(grants: &[Grant]) -> Result<u32, Failure> {
    let step = || "restrict files with Landlock".to_owned();
    let missing = "the kernel needs Landlock ABI 3 or later (Linux 6.2, CONFIG_SECURITY_LANDLOCK, and `landlock` in lsm=)";
    let granted = probe::landlock_abi();
    if granted < 3 {
        let why = format!("this kernel offers Landlock ABI {granted}");
        return Err(Failure::new(step(), why).hint(missing));
    }
    let abi = match granted {
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        _ => ABI::V6,
    };
    let handled = AccessFs::from_all(abi);
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset = ruleset.handle_access(handled).step(step)?;
    if granted >= 6 {
        ruleset = ruleset.scope(Scope::from_all(abi)).step(step)?;
    }
    let mut ruleset = ruleset.create().step(step)?;
    for grant in grants {
        let path = match PathFd::new(&grant.path) {
            Ok(path) => path,
            Err(error) => return Err(Failure::new(format!("grant `{}`", grant.path.display()), error)),
        };
        let mut access = allowed(grant.access, abi);
        if grant.path.is_file() {
            access &= AccessFs::from_file(abi);
        }
        ruleset = ruleset.add_rule(PathBeneath::new(path, access)).step(step)?;
    }
    let ruleset = ruleset.no_new_privs(walls::stands(Wall::NoNewPrivileges));
    ruleset.restrict_self().step(step)?;
    Ok(granted.min(6))
}

fn allowed(access: Access, abi: ABI) -> BitFlags<AccessFs> {
    match access {
        Access::Read => AccessFs::from_read(abi),
        Access::Write => AccessFs::from_all(abi) & !(AccessFs::MakeChar | AccessFs::MakeBlock),
        Access::Device => {
            let device = AccessFs::from_read(abi) | AccessFs::WriteFile | AccessFs::Truncate;
            if abi >= ABI::V5 { device | AccessFs::IoctlDev } else { device }
        }
    }
}

/// What the kernel says of this process now (proc_pid_status(5)). Anything but the strictest answer is a failure.
fn receipt(landlock_abi: u32) -> Result<Applied, Failure> {
    let status = std::fs::read_to_string("/proc/self/status").step(|| "read /proc/self/status".to_owned())?;
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned()
    };
    let wrong = |what: &str| Err(Failure::new("confirm the confinement", format!("the kernel says {what}")));
    if !capability::are_none().step(|| "read capabilities".to_owned())? || !is_zero(&field("CapEff:")) {
        return wrong("that capabilities are left");
    }
    if field("NoNewPrivs:") != "1" {
        return wrong("that no_new_privs is not set");
    }
    if field("Seccomp:") != "2" {
        return wrong("that the system call filter is missing");
    }
    Ok(Applied {
        namespaces: Vec::new(),
        landlock_abi,
        seccomp: "standard".to_owned(),
        capabilities: "none".to_owned(),
        refused: 0,
        apparmor: String::new(),
    })
}

fn is_zero(hexadecimal: &str) -> bool {
    !hexadecimal.is_empty() && hexadecimal.bytes().all(|digit| digit == b'0')
}

/// The namespaces of this process that are not those of `others` (the identifiers that `namespaces(7)` describes).
pub(crate) fn namespaces() -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for name in ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"] {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}"))?;
        found.push((name.to_owned(), link.display().to_string()));
    }
    Ok(found)
}
